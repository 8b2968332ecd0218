/*
 * launcher/fork_process: messages from a fork server that may say anything, and
 * slots that may name anyone.
 *
 * The process is a sleep(1), which never looks at its socket; what it could say
 * is said here, on the descriptor that it has too.
 */
#include "launcher/fork_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/system.h"

static char *const no_strings[] = {NULL};
static int here = -1;

static struct fork_process *
start(void)
{
	static char *const argv[] = {
	    (char *)(uintptr_t) "sleep", (char *)(uintptr_t) "100", NULL};
	const struct start_command command = {.path = "/bin/sleep",
	    .argv = argv,
	    .envp = no_strings,
	    .directory = here};
	const struct fork_options options = {
	    .mode = FORK_AT_MAIN, .library = "/dev/null"};
	struct fork_process *p = fork_process_start(&command, &options);

	assert_non_null(p);
	return p;
}

static void
finish(struct fork_process *p)
{
	pid_t pid = p->pid;

	fork_process_free(p);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Says it as the fork server would. */
static int
say(struct fork_process *p, const void *bytes, size_t length, size_t fd_count)
{
	const int fds[FORK_FDS] = {here, here, here, here};
	struct iovec part = {(void *)(uintptr_t)bytes, length};

	return fd_send_message(p->far_end, &part, 1, fds, fd_count, false);
}

static int
hear(struct fork_process *p, struct fork_received *r)
{
	int result = fork_process_receive(p, r);

	if (result != 1 || r->type != FORK_RUN)
		for (int i = 0; i < FORK_FDS; i++)
			assert_int_equal(r->fds[i], -1);
	for (int i = 0; i < FORK_FDS; i++)
		fd_close(&r->fds[i]);
	return result;
}

static struct start_command
command_of(char *const *argv)
{
	static const struct limits limits;
	static int stdio[3];

	stdio[0] = stdio[1] = stdio[2] = here;
	return (struct start_command){.path = "/x/name",
	    .argv = argv,
	    .directory = here,
	    .stdio = stdio,
	    .limits = &limits};
}

static int
send_one(struct fork_process *p, uint32_t id)
{
	static char *const argv[] = {(char *)(uintptr_t) "a",
	    (char *)(uintptr_t) "", (char *)(uintptr_t) "c", NULL};
	static char text[] = "A=1\0B=";
	static char *envp[] = {text, text + 4, NULL};
	const struct start_command command = command_of(argv);
	const struct cgi_environment environment = {.envp = envp,
	    .count = 2,
	    .text = {.data = text, .length = sizeof(text)}};

	return fork_process_send(p, id, false, &command, &environment);
}

/* The library has room for so many; exec does not mind. */
static void
test_many_arguments(void **state)
{
	static char *argv[FORK_ARGUMENTS_MAX + 2];
	static char *envp[] = {NULL};
	const struct start_command command = command_of(argv);
	const struct cgi_environment nothing = {.envp = envp};
	struct fork_process *p = start();

	(void)state;
	for (size_t i = 0; i < FORK_ARGUMENTS_MAX; i++)
		argv[i] = (char *)(uintptr_t) "a";
	assert_int_equal(fork_process_send(p, 1, false, &command, &nothing), 0);
	argv[FORK_ARGUMENTS_MAX] = (char *)(uintptr_t) "a";
	assert_int_equal(
	    fork_process_send(p, 2, false, &command, &nothing), -1);
	assert_int_equal(errno, E2BIG);
	finish(p);
}

/* The kernel refuses a string of 32 pages, and its NUL counts. */
static void
test_long_variable(void **state)
{
	size_t longest = 32 * (size_t)sysconf(_SC_PAGESIZE);
	static char *const argv[] = {(char *)(uintptr_t) "a", NULL};
	const struct start_command command = command_of(argv);
	char *text = calloc(1, longest + 4);
	char *envp[] = {text, text + longest, NULL};
	const struct cgi_environment environment = {.envp = envp,
	    .count = 2,
	    .text = {.data = text, .length = longest + 4}};
	struct fork_process *p = start();

	(void)state;
	assert_non_null(text);
	memset(text, 'A', longest - 1);
	memcpy(text + longest, "B=1", 4);
	assert_int_equal(
	    fork_process_send(p, 1, false, &command, &environment), 0);
	text[longest - 1] = 'A';
	assert_int_equal(
	    fork_process_send(p, 2, false, &command, &environment), -1);
	assert_int_equal(errno, E2BIG);
	free(text);
	finish(p);
}

static void
test_taken_back(void **state)
{
	struct fork_process *p = start();
	struct fork_received r;

	(void)state;
	assert_int_equal(fork_process_take_back(p, &r), 0);
	assert_int_equal(send_one(p, 7), 0);
	assert_int_equal(p->running, 1);
	fork_process_retire(p);
	assert_true(p->end_by > 0);
	assert_int_equal(fork_process_take_back(p, &r), 1);
	assert_int_equal(r.type, FORK_RUN);
	assert_int_equal(r.id, 7);
	assert_string_equal(r.command.argv[0], "a");
	assert_string_equal(r.command.argv[1], "");
	assert_string_equal(r.command.argv[2], "c");
	assert_null(r.command.argv[3]);
	assert_string_equal(r.command.envp[1], "B=");
	assert_null(r.command.envp[2]);
	for (int i = 0; i < FORK_FDS; i++)
		fd_close(&r.fds[i]);
	assert_int_equal(fork_process_take_back(p, &r), 0);
	finish(p);
}

/* A RUN with every length and count: whole, or refused. */
static void
test_damaged_run(void **state)
{
	struct fork_process *p = start();
	union {
		struct fork_run run;
		char bytes[sizeof(struct fork_run) + 8];
	} m;
	const size_t whole = sizeof(m.run) + 6;
	struct fork_received r;

	(void)state;
	memset(&m, 0, sizeof(m));
	m.run.type = FORK_RUN;
	memcpy(m.bytes + sizeof(m.run), "a\0b\0c", 6);
	m.run.argument_count = 2;
	m.run.variable_count = 1;
	for (size_t length = 0; length <= whole; length++) {
		assert_int_equal(say(p, m.bytes, length, FORK_FDS), 0);
		assert_int_equal(hear(p, &r), length == whole ? 1 : -1);
	}
	for (size_t count = 0; count <= FORK_FDS; count++) {
		assert_int_equal(say(p, m.bytes, whole, count), 0);
		assert_int_equal(hear(p, &r), count == FORK_FDS ? 1 : -1);
	}
	for (uint32_t a = 0; a < 6; a++)
		for (uint32_t v = 0; v < 6; v++) {
			m.run.argument_count = a;
			m.run.variable_count = v;
			assert_int_equal(say(p, m.bytes, whole, FORK_FDS), 0);
			assert_int_equal(
			    hear(p, &r), a > 0 && a + v == 3 ? 1 : -1);
		}
	m.run.argument_count = UINT32_MAX;
	m.run.variable_count = 4;
	assert_int_equal(say(p, m.bytes, whole, FORK_FDS), 0);
	assert_int_equal(hear(p, &r), -1);
	finish(p);
}

static void
test_other_messages(void **state)
{
	struct fork_process *p = start();
	struct fork_received r;

	(void)state;
	for (int type = 0; type < 256; type++) {
		char text[3] = {(char)type, 'x', '\0'};
		bool has_names = type == FORK_FILES || type == FORK_LEARNED;

		assert_int_equal(say(p, text, 1, 0), 0);
		assert_int_equal(
		    hear(p, &r), has_names || type == FORK_HELLO ? 1 : -1);
		assert_int_equal(say(p, text, 2, 1), 0);
		assert_int_equal(hear(p, &r), -1);
		assert_int_equal(say(p, text, 3, 0), 0);
		assert_int_equal(hear(p, &r), has_names ? 1 : -1);
	}
	assert_int_equal(hear(p, &r), 0);
	shutdown(p->far_end, SHUT_RDWR);
	assert_int_equal(hear(p, &r), -1);
	finish(p);
}

/* A pid in a slot counts if it is a child of ours. */
static void
test_slots(void **state)
{
	struct fork_process *p = start();
	const int32_t strangers[] = {
	    0, 1, -1, INT32_MIN, INT32_MAX, (int32_t)getppid()};
	uint64_t rings;
	uint32_t id;

	(void)state;
	assert_int_equal(send_one(p, 7), 0);
	assert_int_equal(fork_process_find(p, 7), 0);
	p->slots[0].request = 7;
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		p->slots[0].pid = strangers[i];
		assert_int_equal(fork_process_find(p, 7), 0);
	}
	p->slots[0].pid = p->pid;
	assert_int_equal(fork_process_find(p, 7), p->pid);
	assert_int_equal(fork_process_find(p, 8), 0);
	assert_true(fork_process_has(p, p->pid));
	assert_true(fork_process_reaped(p, p->pid, 0, &id));
	assert_int_equal(id, 7);
	assert_int_equal(p->running, 0);
	assert_int_equal(p->slots[0].pid, 0);
	assert_false(fork_process_reaped(p, p->pid, 0, &id));
	/* More ends than beginnings. */
	p->slots[0] = (struct fork_slot){p->pid, 9};
	assert_true(fork_process_reaped(p, p->pid, 0, &id));
	assert_int_equal(p->running, 0);
	/* It rang itself, unless it was killed before. */
	assert_int_equal(read(p->bell, &rings, sizeof(rings)), -1);
	p->slots[0] = (struct fork_slot){p->pid, 10};
	assert_true(fork_process_reaped(p, p->pid, SIGKILL, &id));
	assert_int_equal(read(p->bell, &rings, sizeof(rings)), sizeof(rings));
	finish(p);
}

static void
test_full(void **state)
{
	struct fork_process *p = start();
	int sent = 0;

	(void)state;
	assert_int_equal(send_one(p, 0), -1);
	while (sent < 10000 && send_one(p, (uint32_t)sent + 1) == 0)
		sent++;
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0 && sent <= FORK_SLOTS / 2);
	finish(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_many_arguments),
	    cmocka_unit_test(test_long_variable),
	    cmocka_unit_test(test_taken_back),
	    cmocka_unit_test(test_damaged_run),
	    cmocka_unit_test(test_other_messages),
	    cmocka_unit_test(test_slots),
	    cmocka_unit_test(test_full),
	};

#ifndef HAVE_PRELOAD
	return 0;
#endif
	here = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
