/*
 * launcher/start: every kind of broken script has its name, foreseen and after
 * a real exec; and what a worker finds when it runs.
 *
 * With "--tell" this program is that worker: it prints what it was given.
 */
#include "launcher/start.h"
#include "launcher/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#define BYTES(text) text, sizeof(text) - 1

extern char **environ;

static char directory[] = "/tmp/scgid-start.XXXXXX";
static char self[4096];
static int directory_fd = -1;
static const struct config_user us = {.name = (char[]){"somebody"}};

static int
tell(int argc, char **argv)
{
	char line[4096] = "";
	FILE *status = fopen("/proc/self/status", "re");
	mode_t mask = umask(0);

	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) != -1 &&
		    (status == NULL || fd != fileno(status)))
			printf("fd %d\n", fd);
	while (status != NULL && fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, "SigBlk", 6) == 0 ||
		    strncmp(line, "SigIgn", 6) == 0)
			fputs(line, stdout);
	if (status != NULL)
		fclose(status);
	printf("session %d group %d\n", getsid(0) == getpid(),
	    getpgrp() == getpid());
	printf("umask %03o\n", (unsigned)mask);
	for (int i = 0; i < argc; i++)
		printf("argv %s\n", argv[i]);
	for (char **e = environ; *e != NULL; e++)
		printf("env %s\n", *e);
	printf("cwd %s\n", getcwd(line, sizeof(line)));
	printf("stdin %s\n", fgets(line, sizeof(line), stdin));
	fflush(stdout);
	return fputs("to stderr", stderr) == EOF ? 1 : 7;
}

static void
make_file(const char *name, const char *text, size_t length, mode_t mode)
{
	int fd;

	(void)unlink(name);
	fd = open(name, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(fd_write_all(fd, text, length), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int
make_directory(void **state)
{
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	if (length == -1 || mkdtemp(directory) == NULL ||
	    chdir(directory) == -1)
		return -1;
	directory_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory_fd == -1 ? -1 : 0;
}

static int
remove_directory(void **state)
{
	DIR *d = opendir(".");
	struct dirent *entry;

	(void)state;
	if (d == NULL)
		return -1;
	while ((entry = readdir(d)) != NULL)
		(void)unlink(entry->d_name);
	closedir(d);
	fd_close(&directory_fd);
	if (chdir("/") == -1)
		return -1;
	return rmdir(directory);
}

/* start_worker as the launcher calls it: nothing ignored, all blocked. */
static pid_t
start(const char *path, char *const *argv, char *const *envp,
    const int stdio[3], int *at_exec)
{
	const struct limits none = {0};
	const struct start_command command = {.path = path,
	    .argv = argv,
	    .envp = envp,
	    .directory = directory_fd,
	    .stdio = stdio,
	    .limits = &none};
	sigset_t all, saved;
	pid_t pid;
	int error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &saved);
	pid = start_worker(&command, at_exec);
	error = errno;
	sigprocmask(SIG_SETMASK, &saved, NULL);
	errno = error;
	return pid;
}

/* Run `path` with its output to nowhere: 0, or the errno of the exec. */
static int
run(const char *path)
{
	char *const argv[] = {(char *)(uintptr_t)path, NULL};
	char *const envp[] = {NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int stdio[3] = {null, null, null}, at_exec = -1, error, status;
	pid_t pid = start(path, argv, envp, stdio, &at_exec);

	error = errno;
	close(null);
	assert_int_equal(at_exec, 1);
	if (pid != -1) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		return 0;
	}
	/* What failed left no zombie. */
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	assert_int_equal(errno, ECHILD);
	return error;
}

static void
assert_failure(struct start_failure *f, const char *path, enum reason reason,
    const char *part)
{
	if (f->reason != reason)
		fail_msg("%s: %s, not %s: %.*s", path,
		    reason_text(f->reason)->name, reason_text(reason)->name,
		    (int)f->detail.length, f->detail.data);
	if (reason == REASON_NONE) {
		assert_int_equal(f->detail.length, 0);
		return;
	}
	for (size_t i = 0; i < f->detail.length; i++)
		assert_in_range(f->detail.data[i], ' ', '~');
	assert_int_equal(buffer_append(&f->detail, "", 1), 0);
	if (strstr(f->detail.data, part) == NULL)
		fail_msg(
		    "\"%s\" does not speak of \"%s\"", f->detail.data, part);
	buffer_fini(&f->detail);
}

/* Foreseen and for real: one name. */
static void
check_broken(const char *path, enum reason reason, const char *part)
{
	struct start_failure f;
	int error;

	assert_int_equal(start_check(path, path, &us, &f), reason);
	assert_failure(&f, path, reason, part);
	error = run(path);
	assert_int_equal(error != 0, reason != REASON_NONE);
	if (error == 0)
		return;
	start_diagnose(path, path, error, &us, &f);
	assert_int_equal(f.error, error);
	assert_failure(&f, path, reason, part);
}

static void
check_script(
    const char *text, size_t length, enum reason reason, const char *part)
{
	make_file("script", text, length, 0755);
	check_broken("./script", reason, part);
}

static void
test_good_scripts(void **state)
{
	(void)state;
	check_script(BYTES("#!/bin/sh\nexit 0\n"), REASON_NONE, "");
	check_script(BYTES("#! \t/bin/sh -e\nexit 0\n"), REASON_NONE, "");
	check_script(BYTES("#!/bin/sh"), REASON_NONE, "");
	check_script(BYTES("#!/bin/sh\nexit 0\n\r\n"), REASON_NONE, "");
	check_broken("/bin/true", REASON_NONE, "");
}

static void
test_item_42_line_ends_and_no_interpreter(void **state)
{
	(void)state;
	check_script(BYTES("#!/bin/sh\r\nexit 0\r\n"), REASON_CRLF_SHEBANG,
	    "./script: ");
	check_script(BYTES("#!\r\n"), REASON_CRLF_SHEBANG, "DOS");
	check_script(
	    BYTES("echo hello\n"), REASON_BAD_EXECUTABLE, "no #! line");
	check_script(
	    BYTES(" #!/bin/sh\n"), REASON_BAD_EXECUTABLE, "no #! line");
	check_script(BYTES("\n#!/bin/sh\r\n"), REASON_BAD_EXECUTABLE, "no #!");
}

static void
test_item_37_other_failures(void **state)
{
	(void)state;
	check_broken("./none", REASON_SCRIPT_NOT_FOUND, "./none: No such file");
	check_script(BYTES(""), REASON_BAD_EXECUTABLE, "is empty");
	check_script(BYTES("#!/no/such/perl -w\n"),
	    REASON_INTERPRETER_NOT_FOUND, "/no/such/perl: ");
	check_script(BYTES("#!/no/\033[1m\xff\"\n"),
	    REASON_INTERPRETER_NOT_FOUND, "/no/\\x1b[1m\\xff\\\"");
	check_script(BYTES("#!/etc/passwd\n"), REASON_PERMISSION_DENIED,
	    "/etc/passwd: the interpreter");
	check_script(BYTES("\xef\xbb\xbf#!/bin/sh\n"), REASON_BAD_EXECUTABLE,
	    "byte order mark");
	check_script(BYTES("#!\nexit\n"), REASON_BAD_EXECUTABLE, "no program");
	make_file("plain", BYTES("#!/bin/sh\n"), 0644);
	check_broken("./plain", REASON_SCRIPT_NOT_EXECUTABLE, "chmod +x");
	make_file("plain", BYTES("#!/bin/sh\n"), 0);
	check_broken("./plain", REASON_SCRIPT_NOT_EXECUTABLE, "chmod +x");
	make_file("a\nb", BYTES("x"), 0755);
	check_broken("./a\nb", REASON_BAD_EXECUTABLE, "./a\\nb: ");
}

/* The fault is the program's that runs the script, and not the script's. */
static void
test_handlers(void **state)
{
	static const struct {
		const char *path, *part;
		enum reason reason;
	} cases[] = {
	    {"./none", "./none: No such file", REASON_INTERPRETER_NOT_FOUND},
	    {"./handler/x", "./handler/x: ", REASON_INTERPRETER_NOT_FOUND},
	    {"./handler", "may not execute it", REASON_PERMISSION_DENIED}};
	struct start_failure f;
	int error;

	(void)state;
	make_file("script", BYTES("#!/bin/sh\n"), 0755);
	make_file("handler", BYTES("#!/bin/sh\n"), 0644);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *path = cases[i].path;

		start_check(path, "./script", &us, &f);
		assert_failure(&f, path, cases[i].reason, cases[i].part);
		error = run(path);
		start_diagnose(path, "./script", error, &us, &f);
		assert_failure(&f, path, cases[i].reason, cases[i].part);
	}
}

/* Not foreseen, only diagnosed. */
static void
test_damaged_program(void **state)
{
	struct start_failure f;
	int error;

	(void)state;
	make_file("program", BYTES("\177ELF\2\1\1 no more of it"), 0755);
	assert_int_equal(
	    start_check("./program", "./program", &us, &f), REASON_NONE);
	assert_int_equal(f.detail.length, 0);
	assert_int_not_equal(error = run("./program"), 0);
	start_diagnose("./program", "./program", error, &us, &f);
	assert_failure(&f, "./program", REASON_BAD_EXECUTABLE, "damaged");
}

static void
test_not_ours_to_execute(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	make_file("script", BYTES("#!/bin/sh\n"), 0655);
	check_broken("./script", REASON_PERMISSION_DENIED,
	    "user somebody may not execute it");
	/* It need not be readable, if it can be executed: none foreseen. */
	make_file("script", BYTES("#!/bin/sh\n"), 0111);
	assert_int_equal(start_check("./script", "./script", &us,
			     &(struct start_failure){0}),
	    REASON_NONE);
}

/* In a mount namespace of our own, so that nobody else sees it. */
static void
test_noexec_mount(void **state)
{
	(void)state;
#ifdef __linux__
	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		skip();
	/* The old one is still of the old name space. */
	fd_close(&directory_fd);
	directory_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdir("mount", 0755), 0);
	assert_int_equal(
	    mount("none", "mount", "tmpfs", MS_NOEXEC, "size=64k"), 0);
	make_file("mount/script", BYTES("#!/bin/sh\n"), 0755);
	check_broken("mount/script", REASON_NOEXEC_MOUNT, "noexec");
	make_file("mount/script", BYTES("#!/bin/sh\n"), 0644);
	check_broken("mount/script", REASON_SCRIPT_NOT_EXECUTABLE, "chmod +x");
	assert_int_equal(umount2("mount", MNT_DETACH), 0);
	assert_int_equal(rmdir("mount"), 0);
#else
	skip();
#endif
}

static void
test_busy_script(void **state)
{
	struct start_failure f;
	int writer, error;

	(void)state;
	make_file("script", BYTES("#!/bin/sh\n"), 0755);
	writer = open("script", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(writer != -1);
	error = run("./script");
	close(writer);
	assert_int_equal(run("./script"), 0);
	if (error == 0)
		skip(); /* this kernel does not mind */
	assert_int_equal(error, ETXTBSY);
	start_diagnose("/bin/sh", "./script", error, &us, &f);
	assert_failure(&f, "./script", REASON_SCRIPT_BUSY, "./script: ");
}

static void
test_environment_too_large(void **state)
{
	const size_t size = 16 * 1024 * 1024;
	char *large = malloc(size);
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};
	char *const envp[] = {large, NULL};
	const int stdio[3] = {0, 1, 2};
	struct start_failure f;
	int at_exec = -1;

	(void)state;
	assert_non_null(large);
	memset(large, 'x', size - 1);
	large[size - 1] = '\0';
	assert_int_equal(start("/bin/true", argv, envp, stdio, &at_exec), -1);
	assert_int_equal(errno, E2BIG);
	assert_int_equal(at_exec, 1);
	start_diagnose("/bin/true", "/bin/true", E2BIG, &us, &f);
	assert_failure(&f, "true", REASON_ENVIRONMENT_TOO_LARGE, "parameters");
	free(large);
}

/* Failures of ours, not of the script. */
static void
test_failures_before_exec(void **state)
{
	static const struct {
		int error;
		enum reason reason;
	} errors[] = {{EMFILE, REASON_NO_DESCRIPTORS},
	    {ENFILE, REASON_NO_DESCRIPTORS}, {EAGAIN, REASON_FORK_FAILED},
	    {ENOMEM, REASON_FORK_FAILED}, {EIO, REASON_FORK_FAILED}};
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};
	const int good[3] = {0, 1, 2}, bad[3] = {-1, 1, 2};
	int saved_fd;
	struct start_failure f;
	int at_exec = -1;

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		start_diagnose("/bin/sh", "/s", errors[i].error, &us, &f);
		assert_failure(&f, "/s", errors[i].reason, "/s: ");
	}
	assert_int_equal(start("/bin/true", argv, argv + 1, bad, &at_exec), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(at_exec, 0);
	at_exec = -1;
	saved_fd = directory_fd;
	directory_fd = -1;
	assert_int_equal(
	    start("/bin/true", argv, argv + 1, good, &at_exec), -1);
	directory_fd = saved_fd;
	assert_int_equal(errno, EBADF);
	assert_int_equal(at_exec, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
test_crlf(void **state)
{
	static const struct {
		const char *text;
		int wanted;
	} cases[] = {{"#!/bin/sh\r\n", 1}, {"#!/bin/sh -e\r\n", 1},
	    {"#!\r\n", 1}, {"#!/bin/sh\n\r\n", 0}, {"#!/bin/sh\r", 0},
	    {"#!/bin/sh \rx\n", 0}, {"\r\n", 0}, {"\n", 0}, {"", 0}, {"#", 0},
	    {"#!", 0}, {"#!\n", 0}, {"x#!\r\n", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_file("script", cases[i].text, strlen(cases[i].text), 0755);
		if (start_has_crlf_shebang("script") != cases[i].wanted)
			fail_msg("case %zu", i);
	}
	assert_int_equal(start_has_crlf_shebang("none"), 0);
	assert_int_equal(start_has_crlf_shebang("."), 0);
}

/* All that comes from `fd` until its end, as a string. */
static void
read_all(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	assert_int_equal(n, 0);
	text[used] = '\0';
}

static void
test_item_41_what_a_worker_finds(void **state)
{
	char *const argv[] = {(char *)(uintptr_t) "own name",
	    (char *)(uintptr_t) "--tell", (char *)(uintptr_t) "", NULL};
	char *const envp[] = {(char *)(uintptr_t) "A=b c", NULL};
	bool has_proc = access("/proc/self/status", R_OK) == 0;
	char text[8192], error_text[64], wanted[1024];
	int in[2], out[2], err[2], stdio[3], at_exec = 0, status;
	mode_t mask = umask(027);
	pid_t pid;

	(void)state;
	assert_int_equal(fd_pipe(in) + fd_pipe(out) + fd_pipe(err), 0);
	/* Ours, and without close-on-exec. */
	assert_int_equal(dup2(0, 77), 77);
	assert_int_equal(dup2(0, 901), 901);
	assert_int_equal(fd_write_all(in[1], "the body", 8), 0);
	stdio[0] = in[0];
	stdio[1] = out[1];
	stdio[2] = err[1];
	pid = start(self, argv, envp, stdio, &at_exec);
	umask(mask);
	assert_true(pid > 1);
	assert_int_equal(at_exec, 1);
	for (int i = 0; i < 3; i++) {
		/* Still ours, and as they were. */
		assert_int_equal(fcntl(stdio[i], F_GETFD), FD_CLOEXEC);
		close(stdio[i]);
	}
	close(in[1]);
	read_all(out[0], text, sizeof(text));
	read_all(err[0], error_text, sizeof(error_text));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	snprintf(wanted, sizeof(wanted),
	    "fd 0\nfd 1\nfd 2\n%ssession 1 group 1\numask 027\n"
	    "argv own name\nargv --tell\nargv \nenv A=b c\ncwd %s\n"
	    "stdin the body\n",
	    has_proc ? "SigBlk:\t0000000000000000\n"
		       "SigIgn:\t0000000000000000\n"
		     : "",
	    directory);
	assert_string_equal(text, wanted);
	assert_string_equal(error_text, "to stderr");
	close(out[0]);
	close(err[0]);
	close(77);
	close(901);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_scripts),
	    cmocka_unit_test(test_item_42_line_ends_and_no_interpreter),
	    cmocka_unit_test(test_item_37_other_failures),
	    cmocka_unit_test(test_handlers),
	    cmocka_unit_test(test_damaged_program),
	    cmocka_unit_test(test_not_ours_to_execute),
	    cmocka_unit_test(test_noexec_mount),
	    cmocka_unit_test(test_busy_script),
	    cmocka_unit_test(test_environment_too_large),
	    cmocka_unit_test(test_failures_before_exec),
	    cmocka_unit_test(test_crlf),
	    cmocka_unit_test(test_item_41_what_a_worker_finds),
	};

	if (argc > 1 && strcmp(argv[1], "--tell") == 0)
		return tell(argc, argv);
	/* Whoever started us may ignore some. */
	process_reset_signals();
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
