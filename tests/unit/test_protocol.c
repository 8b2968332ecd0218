/*
 * The messages between gateway and launcher: what is sent arrives, and what
 * breaks a rule does not.
 */
#include "launcher/protocol.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char params[] = "A\0b";

/* One valid message of each type. */
static const struct protocol_message valid[] = {
    {.type = PROTOCOL_RUN, .text = "/x", .data = params, .data_length = 4},
    {.type = PROTOCOL_STARTED, .pid = 7, .started_at = 5, .text = "/x"},
    {.type = PROTOCOL_FAILED, .reason = REASON_FORK_FAILED, .text = "why"},
    {.type = PROTOCOL_SIGNAL, .code = SIGTERM},
    {.type = PROTOCOL_EXITED, .pid = 7, .started_at = 5, .user_time = 3},
    {.type = PROTOCOL_INSPECT},
    {.type = PROTOCOL_TREE, .pid = 7, .text = "7 sh S (8 sleep S)"},
};

#define TYPES (sizeof(valid) / sizeof(valid[0]))

/* Send `m` and receive it; the result of receiving, and its errno. */
static int
pass(const struct protocol_message *m, struct protocol_message *got)
{
	static char buffer[PROTOCOL_MESSAGE_MAX];
	int ends[2], stdio[3], n, error;

	assert_int_equal(fd_message_pair(ends), 0);
	assert_int_equal(protocol_send(ends[0], m, NULL, false), 0);
	n = protocol_receive(ends[1], buffer, sizeof(buffer), got, stdio);
	error = errno;
	for (int i = 0; i < 3; i++)
		assert_int_equal(stdio[i], -1);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	errno = error;
	return n;
}

static void
assert_refused(const struct protocol_message *m)
{
	struct protocol_message got;

	errno = 0;
	assert_int_equal(pass(m, &got), -1);
	assert_int_equal(errno, EPROTO);
}

static void
test_every_type_arrives_as_it_was_sent(void **state)
{
	struct protocol_message m, got;

	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		m = valid[i];
		m.request = 42;
		assert_int_equal(pass(&m, &got), 1);
		assert_int_equal(got.type, m.type);
		assert_int_equal(got.request, 42);
		assert_int_equal(got.pid, m.pid);
		assert_int_equal(got.code, m.code);
		assert_int_equal(got.reason, m.reason);
		assert_int_equal(got.started_at, m.started_at);
		assert_int_equal(got.user_time, m.user_time);
		assert_string_equal(got.text, m.text ? m.text : "");
		assert_int_equal(got.data_length, m.data_length);
		if (m.data_length > 0)
			assert_memory_equal(got.data, m.data, m.data_length);
	}
}

static void
test_what_a_type_must_have(void **state)
{
	struct protocol_message m;

	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		m = valid[i];
		if (m.pid == 0)
			continue;
		m.pid = 1;
		assert_refused(&m);
		m.pid = -7;
		assert_refused(&m);
	}
	m = valid[0];
	m.text = "x";
	assert_refused(&m);
	m = valid[3];
	m.code = SIGSTOP;
	assert_refused(&m);
	memset(&m, 0, sizeof(m));
	assert_refused(&m);
	m.type = PROTOCOL_TREE + 1;
	m.pid = 7;
	assert_refused(&m);
}

/* A question has nothing to say, and an answer must fit. */
static void
test_inspect_and_tree_are_bounded(void **state)
{
	char text[PROTOCOL_TREE_MAX + 1];
	struct protocol_message m, got;

	(void)state;
	m = valid[5];
	m.text = "x";
	assert_refused(&m);
	m = valid[5];
	m.data = params;
	m.data_length = 4;
	assert_refused(&m);
	m = valid[6];
	m.data = params;
	m.data_length = 4;
	assert_refused(&m);
	memset(text, 'x', sizeof(text));
	text[PROTOCOL_TREE_MAX - 1] = '\0';
	m = valid[6];
	m.text = text;
	assert_int_equal(pass(&m, &got), 1);
	text[PROTOCOL_TREE_MAX - 1] = 'x';
	text[PROTOCOL_TREE_MAX] = '\0';
	assert_refused(&m);
}

static void
test_only_run_brings_descriptors(void **state)
{
	static char buffer[PROTOCOL_MESSAGE_MAX];
	const int stdio[3] = {0, 1, 2};
	struct protocol_message got;
	int ends[2], received[3];

	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		assert_int_equal(fd_message_pair(ends), 0);
		assert_int_equal(
		    protocol_send(ends[0], &valid[i], stdio, false), 0);
		assert_int_equal(protocol_receive(ends[1], buffer,
				     sizeof(buffer), &got, received),
		    i == 0 ? 1 : -1);
		for (int j = 0; j < 3; j++) {
			if (i == 0)
				assert_true(received[j] > 2);
			else
				assert_int_equal(received[j], -1);
			fd_close(&received[j]);
		}
		fd_close(&ends[0]);
		fd_close(&ends[1]);
	}
}

/* Every prefix of a message, and the message with a byte more. */
static void
test_length_must_be_exact(void **state)
{
	char bytes[512];
	struct protocol_message got;
	int ends[2], fds[FD_PASS_MAX];
	size_t fd_count;
	ssize_t n;

	(void)state;
	assert_int_equal(fd_message_pair(ends), 0);
	assert_int_equal(protocol_send(ends[0], &valid[6], NULL, false), 0);
	n = fd_receive_message(ends[1], bytes, sizeof(bytes), fds, &fd_count);
	assert_true(n > 0 && n < 500);
	bytes[n] = '\0';
	for (size_t length = 0; length <= (size_t)n + 1; length++)
		assert_int_equal(protocol_decode(bytes, length, 0, &got),
		    length == (size_t)n ? 0 : -1);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_type_arrives_as_it_was_sent),
	    cmocka_unit_test(test_what_a_type_must_have),
	    cmocka_unit_test(test_inspect_and_tree_are_bounded),
	    cmocka_unit_test(test_only_run_brings_descriptors),
	    cmocka_unit_test(test_length_must_be_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
