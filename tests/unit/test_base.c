/*
 * base: buffers, the escaping of what goes to the log, descriptors, times.
 */
#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

static char directory[] = "/tmp/scgid-base.XXXXXX";
static int directory_fd = -1;

/* in/file, in/sub/, a file outside, and links of each kind in `in`. */
static int
make_tree(void **state)
{
	char absolute[128], inside[128];

	(void)state;
	if (mkdtemp(directory) == NULL || chdir(directory) == -1 ||
	    chmod(".", 0755) == -1 || mkdir("in", 0755) == -1 ||
	    mkdir("in/sub", 0755) == -1 || mkdir("insider", 0755) == -1)
		return -1;
	close(open("in/file", O_CREAT | O_WRONLY, 0644));
	close(open("in/sub/deep", O_CREAT | O_WRONLY, 0644));
	close(open("outside", O_CREAT | O_WRONLY, 0644));
	close(open("insider/file", O_CREAT | O_WRONLY, 0644));
	snprintf(absolute, sizeof(absolute), "%s/outside", directory);
	snprintf(inside, sizeof(inside), "%s/in/file", directory);
	if (symlink("file", "in/near") == -1 ||
	    symlink("../file", "in/sub/up") == -1 ||
	    symlink("sub", "in/to-sub") == -1 ||
	    symlink("../outside", "in/out") == -1 ||
	    symlink("../insider", "in/beside") == -1 ||
	    symlink("..", "in/parent") == -1 ||
	    symlink(absolute, "in/absolute") == -1 ||
	    symlink(inside, "in/absolute-inside") == -1 ||
	    symlink("nothing", "in/dangling") == -1 ||
	    symlink("loop", "in/loop") == -1)
		return -1;
	directory_fd = open("in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory_fd == -1 ? -1 : 0;
}

static int
remove_tree(void **state)
{
	static const char *const names[] = {"in/near", "in/sub/up", "in/to-sub",
	    "in/out", "in/beside", "in/parent", "in/absolute",
	    "in/absolute-inside", "in/dangling", "in/loop", "in/file",
	    "in/sub/deep", "outside", "insider/file", "in/sub", "in",
	    "insider"};
	int result = 0;

	(void)state;
	fd_close(&directory_fd);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (remove(names[i]) == -1)
			result = -1;
	/* A file that was left would keep this from working. */
	if (chdir("/") == -1 || rmdir(directory) == -1)
		result = -1;
	return result;
}

static void
test_buffer(void **state)
{
	struct buffer b = {0};
	char *data;

	(void)state;
	assert_int_equal(buffer_append(&b, NULL, 0), 0);
	assert_null(b.data);
	assert_int_equal(buffer_append_string(&b, "one "), 0);
	assert_int_equal(buffer_printf(&b, "%d%s", 2, " three"), 0);
	assert_int_equal(b.length, 11);
	assert_memory_equal(b.data, "one 2 three", 11);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buffer_append(&b, "0123456789", 10), 0);
	assert_int_equal(b.length, 50011);
	assert_true(b.capacity >= b.length);
	assert_memory_equal(b.data + 50001, "0123456789", 10);
	buffer_consume(&b, 4);
	assert_memory_equal(b.data, "2 three0", 8);
	buffer_consume(&b, b.length);
	assert_int_equal(b.length, 0);
	/* Room that was reserved is used: nothing moves. */
	assert_int_equal(buffer_reserve(&b, 100000), 0);
	data = b.data;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(buffer_append(&b, "0123456789", 10), 0);
	assert_ptr_equal(b.data, data);
	errno = 0;
	assert_int_equal(buffer_reserve(&b, SIZE_MAX), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(b.length, 100000);
	assert_ptr_equal(b.data, data);
	buffer_fini(&b);
	assert_null(b.data);
	buffer_fini(&b);
}

/* A formatted string longer than the first piece of memory. */
static void
test_buffer_printf_grows(void **state)
{
	struct buffer b = {0};

	(void)state;
	for (int i = 0; i < 300; i++)
		assert_int_equal(buffer_printf(&b, "%0*d", i, 7), 0);
	assert_int_equal(b.length, 1 + 299 * 300 / 2);
	assert_int_equal(b.data[b.length - 1], '7');
	buffer_fini(&b);
}

static void
check_escape(const char *text, size_t length, const char *wanted)
{
	size_t full = strlen(wanted) + 1;

	/* Whatever the size: a prefix, ended, and cut at a whole escape. */
	for (size_t size = 1; size <= full + 2; size++) {
		char *out = malloc(size);
		size_t n;

		assert_non_null(out);
		assert_ptr_equal(log_escape(out, size, text, length), out);
		n = strlen(out);
		assert_true(n < size);
		assert_memory_equal(out, wanted, n);
		if (size >= full)
			assert_string_equal(out, wanted);
		else
			assert_true(size - n <= 4);
		for (size_t i = 0; i < n; i++) {
			if (out[i] != '\\')
				continue;
			i += out[i + 1] == 'x' ? 3 : 1;
			assert_true(i < n);
		}
		free(out);
	}
}

static void
test_log_escape(void **state)
{
	char all[256], out[1100];

	(void)state;
	check_escape("", 0, "");
	check_escape("plain text, ~!", 14, "plain text, ~!");
	check_escape("a\"b\\c", 5, "a\\\"b\\\\c");
	check_escape("a\nb\tc\r\0d", 8, "a\\nb\\tc\\x0d\\x00d");
	check_escape("\x1b[31m\x7f\x80\xff\xc3\xa9", 10,
	    "\\x1b[31m\\x7f\\x80\\xff\\xc3\\xa9");
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	log_escape(out, sizeof(out), all, 256);
	for (const char *c = out; *c != '\0'; c++)
		assert_in_range(*c, ' ', '~');
	/* 93 as they are, 4 of two bytes, 159 of four */
	assert_int_equal(strlen(out), 93 + 2 * 4 + 4 * 159);
	assert_string_equal(
	    log_escape_bare(out, sizeof(out), "a\"b\\c\n", 6), "a\"b\\\\c\\n");
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

/* In a child, as the descriptors of a test are not its own alone. */
static int
close_others(int *keep, size_t count)
{
	int status;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		int wanted[8];

		for (size_t i = 0; i < count; i++)
			wanted[i] = keep[i];
		for (int fd = 20; fd < 40; fd++)
			if (dup2(0, fd) == -1)
				_exit(2);
		if (dup2(0, 900) == -1)
			_exit(2);
		fd_close_others(keep, count);
		for (int fd = 0; fd < 1000; fd++) {
			bool kept = fd <= 2;

			for (size_t i = 0; i < count; i++)
				kept = kept || fd == wanted[i];
			if (is_open(fd) != kept)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_close_others(void **state)
{
	int one[] = {25}, many[] = {900, 20, 21, 39, 2, 20, 30, 0};

	(void)state;
	assert_int_equal(close_others(NULL, 0), 0);
	assert_int_equal(close_others(one, 1), 0);
	assert_int_equal(close_others(many, 8), 0);
}

/* A message with more descriptors than one may carry, and one with four. */
static void
test_receive_overflow(void **state)
{
	int pair[2], fds[FD_PASS_MAX], sent[FD_PASS_MAX + 1];
	struct iovec part = {(void *)(uintptr_t) "hello", 5};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(sent))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	char data[16];
	size_t count;
	int lowest;

	(void)state;
	/* What the rule of the unread byte stands on. */
	assert_true(fd_unix_has_reset());
	assert_int_equal(fd_message_pair(pair), 0);
	for (size_t i = 0; i <= FD_PASS_MAX; i++)
		sent[i] = directory_fd;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(sent));
	memcpy(CMSG_DATA(c), sent, sizeof(sent));
	lowest = dup(0);
	close(lowest);
	assert_int_equal(sendmsg(pair[0], &message, 0), 5);
	assert_int_equal(
	    fd_receive_message(pair[1], data, sizeof(data), fds, &count), 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(count, 0);
	assert_false(is_open(lowest));
	/* As many as there may be. */
	assert_int_equal(
	    fd_send_message(pair[0], &part, 1, sent, FD_PASS_MAX, true), 0);
	assert_int_equal(
	    fd_receive_message(pair[1], data, sizeof(data), fds, &count), 5);
	assert_int_equal(count, FD_PASS_MAX);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		fd_close(&fds[i]);
	}
	/* Cut data is refused, and its descriptors are gone. */
	assert_int_equal(fd_send_message(pair[0], &part, 1, sent, 2, true), 0);
	assert_int_equal(fd_receive_message(pair[1], data, 4, fds, &count), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(count, 0);
	assert_false(is_open(lowest));
	assert_int_equal(fd_receive_message(pair[1], data, 4, fds, &count), -1);
	assert_int_equal(errno, EAGAIN);
	fd_close(&pair[0]);
	assert_int_equal(fd_receive_message(pair[1], data, 4, fds, &count), 0);
	fd_close(&pair[1]);
	assert_int_equal(pair[1], -1);
}

/* Those of the list and no others, neighbours or not, high or low. */
static void
test_close_all(void **state)
{
	static const bool listed[8] = {true, true, false, true, false, true};
	int opened[8], fds[6], n = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		opened[i] = fcntl(directory_fd, F_DUPFD, i == 5 ? 1100 : 3);
		if (opened[i] == -1) /* we may have no number so high */
			opened[i] = dup(directory_fd);
		assert_true(opened[i] > 0);
		if (listed[i])
			fds[n++] = opened[i];
	}
	fds[n++] = -1;
	fds[n++] = opened[7];
	errno = ENOENT;
	fd_close_all(fds, (size_t)n);
	assert_int_equal(errno, ENOENT);
	for (int i = 0; i < 8; i++)
		assert_int_equal(is_open(opened[i]), !listed[i] && i != 7);
	for (int i = 0; i < n; i++)
		assert_int_equal(fds[i], -1);
	for (int i = 0; i < 8; i++)
		if (is_open(opened[i]))
			close(opened[i]);
}

/* Whether a process, as another user if it can be, may open `fd` again. */
static int
reopen(int fd, int flags)
{
	char path[64], text[8] = "";
	int status, again;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (setgid(65534) == -1 || setuid(65534) == -1))
			_exit(2);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, flags);
		_exit(again != -1 && read(again, text, 8) == 4 &&
			    memcmp(text, "body", 4) == 0
			? 0
			: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
check_body_file(int fd)
{
	struct stat st;

	assert_true(fd != -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(fd_write_all(fd, "body", 4), 0);
	if (access("/proc/self/fd", X_OK) == 0)
		assert_int_equal(reopen(fd, O_RDONLY), 0);
}

static void
test_temporary_file(void **state)
{
	int fd = fd_temporary_file(directory);

	(void)state;
	/* remove_tree fails if it has a name. */
	check_body_file(fd);
	fd_close(&fd);
	errno = 0;
	assert_int_equal(fd_temporary_file("/nonexistent"), -1);
	assert_int_equal(errno, ENOENT);
}

static void
test_memory_file(void **state)
{
	int fd = fd_memory_file();

	(void)state;
	if (fd == -1 && errno == ENOSYS)
		skip();
	check_body_file(fd);
	fd_close(&fd);
}

static void
check_beneath(const char *path, const char *wanted, int error)
{
	struct stat st, st_wanted;
	int fd;

	errno = 0;
	fd = path_open_beneath(directory_fd, path);
	if (wanted == NULL) {
		if (fd != -1 || errno != error)
			fail_msg("%s: %d, %s", path, fd, strerror(errno));
		return;
	}
	if (fd == -1)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(stat(wanted, &st_wanted), 0);
	assert_true(st.st_ino == st_wanted.st_ino);
	fd_close(&fd);
}

static void
check_links(void)
{
	check_beneath("file", "in/file", 0);
	check_beneath("near", "in/file", 0);
	check_beneath("sub/up", "in/file", 0);
	check_beneath("to-sub", "in/sub", 0);
	check_beneath("to-sub/deep", "in/sub/deep", 0);
	check_beneath("to-sub/up", "in/file", 0);
	check_beneath("out", NULL, EXDEV);
	/* A directory whose name begins with ours is not below it. */
	check_beneath("beside", NULL, EXDEV);
	check_beneath("beside/file", NULL, EXDEV);
	check_beneath("parent", NULL, EXDEV);
	check_beneath("parent/outside", NULL, EXDEV);
	check_beneath("absolute", NULL, EXDEV);
	check_beneath("..", NULL, EXDEV);
	check_beneath("../outside", NULL, EXDEV);
	check_beneath("/etc/passwd", NULL, EXDEV);
	check_beneath("dangling", NULL, ENOENT);
	check_beneath("none", NULL, ENOENT);
	check_beneath("file/x", NULL, ENOTDIR);
	check_beneath("loop", NULL, ELOOP);
}

static void
test_open_beneath(void **state)
{
	(void)state;
	check_links();
	check_beneath("absolute-inside", NULL, EXDEV);
}

/* Make openat2 unknown to this process, as it is to an older kernel. */
static bool
forbid_openat2(void)
{
#if defined(__linux__) && defined(SYS_openat2)
	struct sock_filter filter[] = {
	    BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
	    sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
		return false;
	return syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) == -1 &&
	    errno == ENOSYS;
#else
	return false;
#endif
}

/* The last test: there is no way back from it. */
static void
test_open_beneath_without_openat2(void **state)
{
	(void)state;
	if (!forbid_openat2())
		skip();
	check_links();
}

static void
test_open_path(void **state)
{
	char path[4096], wanted[128];
	struct stat st;
	int fd;

	(void)state;
	fd = path_open(directory_fd, "near");
	assert_true(fd != -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	fd_close(&fd);
	fd = path_open_followed(directory_fd, "out");
	assert_true(fd != -1);
	fd_close(&fd);
	fd = path_open_followed(directory_fd, "to-sub");
	assert_true(fd != -1);
	if (path_of(fd, path, sizeof(path)) == 0) {
		snprintf(wanted, sizeof(wanted), "%s/in/sub", directory);
		assert_string_equal(path, wanted);
		/* Never a part of it. */
		assert_int_equal(path_of(fd, path, strlen(wanted)), -1);
	}
	fd_close(&fd);
}

/* time(2) may lag behind the clock by a tick, so ask the clock itself. */
static time_t
seconds_now(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return now.tv_sec;
}

/* The first that can be run; relative ones mean nothing. */
static void
test_path_search(void **state)
{
	struct buffer found = {0};

	(void)state;
	assert_int_equal(chdir("/usr/bin"), 0);
	assert_int_equal(path_search("", "env", &found), -1);
	assert_int_equal(
	    path_search(".:bin::usr/bin:/etc:/nowhere", "env", &found), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(found.length, 0);
	assert_int_equal(path_search("/:/nowhere", "usr", &found), -1);
	assert_int_equal(path_search("/etc", "passwd", &found), -1);
	assert_int_equal(
	    path_search("/nowhere:/usr/bin:/bin", "env", &found), 0);
	assert_string_equal(found.data, "/usr/bin/env");
	buffer_fini(&found);
	assert_int_equal(chdir(directory), 0);
}

static void
test_clock(void **state)
{
	char text[CLOCK_FORMAT_SIZE], shape[CLOCK_FORMAT_SIZE];
	int64_t before = clock_now();
	struct tm tm = {0};
	time_t start = seconds_now(), then;

	(void)state;
	clock_format_utc(text);
	for (size_t i = 0; i <= strlen(text); i++)
		shape[i] = text[i] >= '0' && text[i] <= '9' ? '9' : text[i];
	assert_string_equal(shape, "9999-99-99T99:99:99.999Z");
	assert_string_equal(
	    strptime(text, "%Y-%m-%dT%H:%M:%S", &tm), text + 19);
	then = timegm(&tm);
	assert_in_range(then, start, seconds_now());
	assert_true(clock_now() >= before);
	assert_true(clock_now() - before < 60 * 1000000);
}

/* Its text is kept for a second; it goes on, in that and into the next. */
static void
test_clock_goes_on(void **state)
{
	char before[CLOCK_FORMAT_SIZE], text[CLOCK_FORMAT_SIZE];
	char then[CLOCK_FORMAT_SIZE];
	time_t start = seconds_now(), now;
	unsigned changes = 0;

	(void)state;
	clock_format_utc(before);
	do {
		now = seconds_now();
		clock_format_utc(text);
		assert_true(strcmp(text, before) >= 0);
		changes += strcmp(text, before) != 0;
		strcpy(before, text);
	} while (now == start || changes < 10);
	strftime(then, sizeof(then), "%Y-%m-%dT%H:%M:%S", gmtime(&now));
	if (seconds_now() == now)
		assert_memory_equal(text, then, strlen(then));
}

static void
test_sooner(void **state)
{
	(void)state;
	assert_true(clock_sooner(0, 0) == 0);
	assert_true(clock_sooner(0, 7) == 7);
	assert_true(clock_sooner(7, 0) == 7);
	assert_true(clock_sooner(7, 8) == 7);
	assert_true(clock_sooner(8, 7) == 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sooner),
	    cmocka_unit_test(test_buffer),
	    cmocka_unit_test(test_buffer_printf_grows),
	    cmocka_unit_test(test_log_escape),
	    cmocka_unit_test(test_close_others),
	    cmocka_unit_test(test_receive_overflow),
	    cmocka_unit_test(test_close_all),
	    cmocka_unit_test(test_temporary_file),
	    cmocka_unit_test(test_memory_file),
	    cmocka_unit_test(test_open_path),
	    cmocka_unit_test(test_open_beneath),
	    cmocka_unit_test(test_path_search),
	    cmocka_unit_test(test_clock),
	    cmocka_unit_test(test_clock_goes_on),
	    cmocka_unit_test(test_open_beneath_without_openat2),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
