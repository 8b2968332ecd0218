/* What a process can and cannot do once it is in the gateways' sandbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox.h"

#ifdef SCGID_SANITIZED
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

static char spool[] = "/tmp/scgid-unit.XXXXXX";
static char elsewhere[] = "/tmp/scgid-unit.XXXXXX";

typedef bool attempt(void);

/* in_sandbox: what `try` says in a child that has entered it. */
static bool
in_sandbox(attempt *try, int part)
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if ((sandbox_gateway(spool) & part) == 0)
			_exit(2);
		_exit(try() ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == 2)
		skip(); /* not this kernel */
	return WEXITSTATUS(status) == 1;
}

static bool
is_refused(long n)
{
	return n == -1 && (errno == EPERM || errno == EACCES);
}

/* Each of these says whether it was refused. */

static bool
read_a_file(void)
{
	return is_refused(open("/etc/passwd", O_RDONLY));
}

static bool
read_null(void)
{
	return is_refused(open("/dev/null", O_RDONLY));
}

static bool
read_memory(void)
{
	return is_refused(open("/proc/self/mem", O_RDWR));
}

static bool
make_a_file_elsewhere(void)
{
	return is_refused(fd_temporary_file(elsewhere));
}

static bool
write_a_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/old", elsewhere);
	return is_refused(open(path, O_WRONLY));
}

static bool
remove_a_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/old", elsewhere);
	return is_refused(unlink(path));
}

static bool
execute(void)
{
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};

	return is_refused(execv("/bin/true", argv));
}

static bool
start_a_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return is_refused(pid);
}

static bool
trace(void)
{
	return is_refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static bool
make_a_port(void)
{
	return is_refused(socket(AF_INET, SOCK_STREAM, 0)) &&
	    is_refused(socket(AF_INET6, SOCK_DGRAM, 0)) &&
	    is_refused(socket(AF_UNIX, SOCK_STREAM, 0)) &&
	    is_refused(socket(AF_NETLINK, SOCK_RAW, 0));
}

static bool
make_a_datagram_socket(void)
{
	return is_refused(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static bool
signal_others(void)
{
	return is_refused(kill(getppid(), 0)) && is_refused(kill(0, 0)) &&
	    is_refused(kill(-1, 0)) && kill(getpid(), 0) == 0;
}

static bool
change_user(void)
{
	return is_refused(setuid(getuid())) && is_refused(chroot("/")) &&
	    is_refused(setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1));
}

static bool
make_code(void)
{
	return is_refused(mmap(NULL, 4096, PROT_READ | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? -1
		       : 0) &&
	    is_refused(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL));
}

/* And what it needs: true if all of it can be done. */
static bool
do_its_work(void)
{
	int fd = fd_temporary_file(spool), memory = fd_memory_file();
	char name[64], byte = 0;

	if (fd == -1 || memory == -1 || pwrite(fd, "x", 1, 0) != 1 ||
	    pread(fd, &byte, 1, 0) != 1 || byte != 'x')
		return false;
	snprintf(name, sizeof(name), "%s/scgid.XXXXXXXX", spool);
	if ((fd = mkostemp(name, O_CLOEXEC)) == -1 || unlink(name) == -1 ||
	    fchmod(fd, 0444) == -1)
		return false;
	log_info("still logging");
	return malloc(10000000) != NULL;
}

static bool
connect_to_syslog(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) != -1 &&
	    is_refused(socket(AF_UNIX, SOCK_STREAM, 0));
}

static void
test_files(void **state)
{
	(void)state;
	assert_true(in_sandbox(make_a_file_elsewhere, SANDBOX_FILES));
	assert_true(in_sandbox(write_a_file, SANDBOX_FILES));
	assert_true(in_sandbox(remove_a_file, SANDBOX_FILES));
	if (IS_SANITIZED)
		return;
	assert_true(in_sandbox(read_a_file, SANDBOX_FILES));
	/* Either part alone is enough for these. */
	assert_true(in_sandbox(read_a_file, SANDBOX_CALLS));
	assert_true(in_sandbox(read_null, SANDBOX_CALLS));
	assert_true(in_sandbox(read_memory, SANDBOX_CALLS));
}

static void
test_processes(void **state)
{
	(void)state;
	assert_true(in_sandbox(execute, SANDBOX_CALLS));
	assert_true(in_sandbox(signal_others, SANDBOX_CALLS));
	assert_true(in_sandbox(change_user, SANDBOX_CALLS));
	if (IS_SANITIZED)
		return;
	assert_true(in_sandbox(start_a_process, SANDBOX_CALLS));
	assert_true(in_sandbox(trace, SANDBOX_CALLS));
	assert_true(in_sandbox(make_code, SANDBOX_CALLS));
}

static void
test_sockets(void **state)
{
	(void)state;
	assert_true(in_sandbox(make_a_port, SANDBOX_CALLS));
	assert_true(in_sandbox(make_a_datagram_socket, SANDBOX_CALLS));
	log_open("syslog");
	assert_true(in_sandbox(connect_to_syslog, SANDBOX_CALLS));
	log_open("stderr");
}

static void
test_what_is_needed(void **state)
{
	(void)state;
	assert_true(in_sandbox(do_its_work, SANDBOX_NO_NEW_PRIVILEGES));
}

static int
set_up(void **state)
{
	char path[64];
	int fd;

	(void)state;
	if (mkdtemp(spool) == NULL || mkdtemp(elsewhere) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/old", elsewhere);
	if ((fd = open(path, O_CREAT | O_WRONLY, 0600)) == -1)
		return -1;
	return close(fd);
}

static int
tear_down(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/old", elsewhere);
	unlink(path);
	rmdir(elsewhere);
	return rmdir(spool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_processes),
	    cmocka_unit_test(test_sockets),
	    cmocka_unit_test(test_what_is_needed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
