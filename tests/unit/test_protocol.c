/*
 * launcher/protocol: what one process says to another, over a real pair, and
 * what a lying one may say.
 */
#include "launcher/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMS	    "CONTENT_LENGTH\0000\0SCGI\0001\0A\0\0"
#define BYTES(text) text, sizeof(text) - 1

static int pair[2];
static int stdio[3];
static char received[PROTOCOL_MESSAGE_MAX];

/* One of each type, with something in every member. */
static const struct protocol_message examples[] = {
    {.type = PROTOCOL_RUN,
	.request = 0xfffffffe,
	.map = 7,
	.text = "/cgi-bin/a",
	.data = PARAMS,
	.data_length = sizeof(PARAMS) - 1},
    {.type = PROTOCOL_STARTED, .request = 1, .pid = 2, .text = "/srv/a"},
    {.type = PROTOCOL_FAILED,
	.request = 2,
	.code = ENOENT,
	.reason = REASON_SCRIPT_NOT_FOUND,
	.text = "/srv/a: no such file"},
    {.type = PROTOCOL_SIGNAL, .request = 3, .code = SIGTERM, .text = ""},
    {.type = PROTOCOL_SIGNAL, .request = 3, .code = SIGKILL, .text = ""},
    {.type = PROTOCOL_SIGNAL, .request = 3, .code = 0, .text = ""},
    {.type = PROTOCOL_EXITED,
	.request = 4,
	.pid = INT32_MAX,
	.code = 0x7f00,
	.reason = REASON_OUT_OF_MEMORY,
	.group_left = true,
	.user_time = INT64_MAX,
	.system_time = -1,
	.peak_memory = INT64_C(1) << 40,
	.started_at = 1,
	.number = 11,
	.text = "/srv/a"},
    {.type = PROTOCOL_INSPECT, .request = 5, .text = ""},
    {.type = PROTOCOL_TREE,
	.request = 5,
	.pid = 7,
	.text = "7 sh S (8 sleep S)"},
    {.type = PROTOCOL_HELLO, .text = ""},
    {.type = PROTOCOL_SERVER,
	.code = PROTOCOL_SERVER_ENDED,
	.start = START_PERL,
	.number = 7,
	.requests = UINT32_MAX,
	.pid = 3,
	.peak_memory = 4096,
	.text = "/usr/bin/perl /srv/a",
	.data = "it was not used",
	.data_length = 15},
};

#define EXAMPLES (sizeof(examples) / sizeof(examples[0]))

static size_t
count_descriptors(void)
{
	DIR *directory = opendir("/dev/fd");
	size_t n = 0;

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		n++;
	closedir(directory);
	return n;
}

static int
open_pair(void **state)
{
	static size_t before;

	*state = &before;
	before = count_descriptors();
	return fd_message_pair(pair);
}

/* Every test ends with the descriptors it began with. */
static int
close_pair(void **state)
{
	const size_t *before = *state;

	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return count_descriptors() == *before ? 0 : -1;
}

static int
receive(struct protocol_message *m)
{
	memset(received, 0x5a, sizeof(received));
	return protocol_receive(pair[1], received, sizeof(received), m, stdio);
}

static void
assert_no_stdio(void)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(stdio[i], -1);
}

/* Send raw bytes with `count` descriptors, more than the module would. */
static void
send_raw(const void *data, size_t length, size_t count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)data, length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (count > 0) {
		struct cmsghdr *c;

		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0],
			    sizeof(int));
	}
	assert_int_equal(sendmsg(pair[0], &message, 0), length);
}

/* The wire form of a message, in memory of just its size; the caller frees. */
static char *
encode(const struct protocol_message *m, size_t *length)
{
	ssize_t n;
	char *data;

	assert_int_equal(protocol_send(pair[0], m, NULL, false), 0);
	n = recv(pair[1], received, sizeof(received), 0);
	assert_true(n > 0);
	*length = (size_t)n;
	assert_non_null(data = malloc(*length));
	memcpy(data, received, *length);
	return data;
}

static void
assert_same(const struct protocol_message *a, const struct protocol_message *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->request, b->request);
	assert_int_equal(a->map, b->map);
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->code, b->code);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->group_left, b->group_left);
	assert_true(a->user_time == b->user_time);
	assert_true(a->system_time == b->system_time);
	assert_true(a->peak_memory == b->peak_memory);
	assert_string_equal(a->text, b->text);
	assert_int_equal(a->data_length, b->data_length);
	if (a->data_length > 0)
		assert_memory_equal(a->data, b->data, a->data_length);
}

static void
test_round_trip(void **state)
{
	struct protocol_message m;

	(void)state;
	for (size_t i = 0; i < EXAMPLES; i++) {
		assert_int_equal(
		    protocol_send(pair[0], &examples[i], NULL, true), 0);
		assert_int_equal(receive(&m), 1);
		assert_same(&m, &examples[i]);
		assert_no_stdio();
	}
	/* In order, and one at a time. */
	for (size_t i = 0; i < EXAMPLES; i++)
		assert_int_equal(
		    protocol_send(pair[0], &examples[i], NULL, true), 0);
	for (size_t i = 0; i < EXAMPLES; i++) {
		assert_int_equal(receive(&m), 1);
		assert_same(&m, &examples[i]);
	}
	assert_int_equal(receive(&m), -1);
	assert_int_equal(errno, EAGAIN);
	fd_close(&pair[0]);
	assert_int_equal(receive(&m), 0);
	assert_no_stdio();
}

static void
test_no_text_is_an_empty_one(void **state)
{
	struct protocol_message m = {
	    .type = PROTOCOL_SIGNAL, .code = SIGKILL, .text = NULL};

	(void)state;
	assert_int_equal(protocol_send(pair[0], &m, NULL, true), 0);
	assert_int_equal(receive(&m), 1);
	assert_string_equal(m.text, "");
}

static void
test_descriptors(void **state)
{
	struct protocol_message m;
	struct stat here, there;
	int files[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true((files[i] = fd_memory_file()) != -1);
	assert_int_equal(protocol_send(pair[0], &examples[0], files, true), 0);
	assert_int_equal(receive(&m), 1);
	assert_same(&m, &examples[0]);
	for (int i = 0; i < 3; i++) {
		assert_true(stdio[i] > 2);
		assert_int_equal(fstat(files[i], &here), 0);
		assert_int_equal(fstat(stdio[i], &there), 0);
		assert_true(here.st_ino == there.st_ino);
		assert_int_equal(fcntl(stdio[i], F_GETFD), FD_CLOEXEC);
		fd_close(&files[i]);
		fd_close(&stdio[i]);
	}
}

/* RUN has three or, if they were lost, none; no other type has any. */
static void
test_descriptor_counts(void **state)
{
	struct protocol_message m;
	size_t length;

	(void)state;
	for (size_t i = 0; i < EXAMPLES; i++) {
		char *data = encode(&examples[i], &length);

		for (size_t count = 0; count <= 4; count++) {
			bool fine = count == 0 ||
			    (count == 3 && examples[i].type == PROTOCOL_RUN);

			errno = 0;
			assert_int_equal(
			    protocol_decode(data, length, count, &m),
			    fine ? 0 : -1);
			assert_int_equal(errno, fine ? 0 : EPROTO);
			/* Refused ones must not leak: close_pair counts. */
			send_raw(data, length, count);
			assert_int_equal(receive(&m), fine ? 1 : -1);
			for (int k = 0; k < 3; k++) {
				assert_int_equal(
				    stdio[k] != -1, fine && count == 3);
				fd_close(&stdio[k]);
			}
		}
		free(data);
	}
}

/* More than any message carries: the message comes, with none. */
static void
test_too_many_descriptors(void **state)
{
	struct protocol_message m;
	size_t length;
	char *data = encode(&examples[0], &length);

	(void)state;
	send_raw(data, length, 8);
	assert_int_equal(receive(&m), 1);
	assert_same(&m, &examples[0]);
	assert_no_stdio();
	free(data);
}

static void
test_truncated_at_every_byte(void **state)
{
	struct protocol_message m;

	(void)state;
	for (size_t i = 0; i < EXAMPLES; i++) {
		size_t whole;
		char *data = encode(&examples[i], &whole);

		assert_int_equal(protocol_decode(data, whole, 0, &m), 0);
		for (size_t length = 0; length < whole; length++) {
			char *part = malloc(length > 0 ? length : 1);

			assert_non_null(part);
			memcpy(part, data, length);
			errno = 0;
			assert_int_equal(
			    protocol_decode(part, length, 0, &m), -1);
			assert_int_equal(errno, EPROTO);
			free(part);
			if (length == 0)
				continue;
			send_raw(data, length, 3);
			assert_int_equal(receive(&m), -1);
			assert_int_equal(errno, EPROTO);
			assert_no_stdio();
		}
		/* and a byte too many */
		data = realloc(data, whole + 1);
		assert_non_null(data);
		data[whole] = '\0';
		assert_int_equal(protocol_decode(data, whole + 1, 0, &m), -1);
		free(data);
	}
}

/*
 * Every byte of every message, with every value: whatever is taken must be
 * within bounds and round: a NUL at the end of text, a block that is one.
 */
static void
test_every_byte_changed(void **state)
{
	struct protocol_message m;

	(void)state;
	for (size_t i = 0; i < EXAMPLES; i++) {
		size_t length;
		char *data = encode(&examples[i], &length);

		for (size_t at = 0; at < length; at++) {
			char saved = data[at];

			for (int value = 0; value < 256; value++) {
				data[at] = (char)value;
				if (protocol_decode(data, length, 0, &m) == -1)
					continue;
				assert_in_range(
				    m.type, PROTOCOL_RUN, PROTOCOL_SERVER);
				assert_in_range(m.reason, 0, REASON_COUNT - 1);
				assert_ptr_equal(
				    m.text + strlen(m.text) + 1, m.data);
				assert_ptr_equal(
				    m.data + m.data_length, data + length);
			}
			data[at] = saved;
		}
		free(data);
	}
}

/* Lengths that lie: each four bytes of the head as each of these numbers. */
static void
test_hostile_numbers(void **state)
{
	static const uint32_t numbers[] = {0, 1, 0x7fffffff, 0x80000000,
	    0xffffffff, 0xfffffffe, 0xffffffc0, 0xffffffbf};
	struct protocol_message m;
	size_t length;
	char *data = encode(&examples[0], &length);
	size_t head = length - sizeof(PARAMS) + 1 - sizeof("/cgi-bin/a");
	int refused = 0;

	(void)state;
	for (size_t at = 0; at + 4 <= head; at += 4) {
		char saved[4];

		memcpy(saved, data + at, 4);
		for (size_t i = 0; i < sizeof(numbers) / 4; i++) {
			memcpy(data + at, &numbers[i], 4);
			if (protocol_decode(data, length, 0, &m) == 0)
				assert_ptr_equal(
				    m.data + m.data_length, data + length);
			else if (at >= head - 8)
				refused++;
		}
		memcpy(data + at, saved, 4);
	}
	/* The two lengths are the last of the head: none of these passes. */
	assert_int_equal(refused, 2 * sizeof(numbers) / 4);
	free(data);
}

static void
refuse(struct protocol_message m)
{
	assert_int_equal(protocol_send(pair[0], &m, NULL, true), 0);
	errno = 0;
	assert_int_equal(receive(&m), -1);
	assert_int_equal(errno, EPROTO);
}

static void
test_rules(void **state)
{
	struct protocol_message m;

	(void)state;
	m = examples[0];
	m.text = "cgi-bin";
	refuse(m);
	m.text = "";
	refuse(m);
	m = examples[0];
	m.data_length--;
	refuse(m);
	m.data = "\0b\0";
	m.data_length = 3;
	refuse(m);
	m = examples[1];
	for (int32_t pid = -2; pid <= 1; pid++) {
		m.pid = pid; /* kill(-1), kill(0), kill(-pid) of init */
		refuse(m);
	}
	m = examples[6];
	m.pid = 0;
	refuse(m);
	m = examples[2];
	m.reason = REASON_NONE;
	refuse(m);
	m.reason = REASON_COUNT;
	refuse(m);
	m.reason = (enum reason) - 1;
	refuse(m);
	m = examples[3];
	for (int32_t code = -1; code < 65; code++) {
		m.code = code;
		if (code != 0 && code != SIGTERM && code != SIGKILL)
			refuse(m);
	}
	m.code = SIGTERM;
	m.type = (enum protocol_type)0;
	refuse(m);
	m.type = (enum protocol_type)(PROTOCOL_SERVER + 1);
	refuse(m);
}

/* A NUL inside text would let two readers see two texts. */
static void
test_text_with_a_nul(void **state)
{
	struct protocol_message m;
	size_t length;
	char *data = encode(&examples[1], &length);

	(void)state;
	data[length - 2] = '\0';
	assert_int_equal(protocol_decode(data, length, 0, &m), -1);
	data[length - 2] = data[length - 1] = 'x';
	assert_int_equal(protocol_decode(data, length, 0, &m), -1);
	free(data);
}

static void
test_sizes(void **state)
{
	struct protocol_message m = examples[0];
	char *data = malloc(PROTOCOL_MESSAGE_MAX);
	size_t head;

	(void)state;
	assert_non_null(data);
	free(encode(&examples[0], &head));
	head -= m.data_length;
	memset(data, 'x', PROTOCOL_MESSAGE_MAX);
	data[1] = '\0';
	m.data = data;
	/* The largest request header and its path: it must fit. */
	m.data_length = 256 * 1024;
	data[m.data_length - 1] = '\0';
	assert_int_equal(protocol_send(pair[0], &m, NULL, false), 0);
	assert_int_equal(receive(&m), 1);
	assert_int_equal(m.data_length, 256 * 1024);
	data[256 * 1024 - 1] = 'x';
	/* The largest message there is, and a byte more. */
	m = examples[0];
	m.data = data;
	m.data_length = PROTOCOL_MESSAGE_MAX - head;
	data[m.data_length - 1] = '\0';
	assert_int_equal(protocol_send(pair[0], &m, NULL, false), 0);
	assert_int_equal(receive(&m), 1);
	assert_int_equal(m.data_length, PROTOCOL_MESSAGE_MAX - head);
	m = examples[0];
	m.data = data;
	m.data_length = PROTOCOL_MESSAGE_MAX - head;
	stdio[0] = stdio[1] = stdio[2] = pair[0];
	assert_int_equal(protocol_send(pair[0], &m, stdio, false), 0);
	assert_int_equal(protocol_receive(pair[1], received,
			     sizeof(received) - 1, &m, stdio),
	    -1);
	assert_int_equal(errno, EPROTO);
	assert_no_stdio();
	/* It is gone, as a whole: the next one is read from its start. */
	assert_int_equal(protocol_send(pair[0], &examples[1], NULL, true), 0);
	assert_int_equal(receive(&m), 1);
	assert_same(&m, &examples[1]);
	free(data);
}

static void
test_full_socket(void **state)
{
	struct protocol_message m;
	unsigned sent = 0, taken = 0;

	(void)state;
	while (protocol_send(pair[0], &examples[1], NULL, false) == 0)
		sent++;
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
	while (receive(&m) == 1) {
		assert_same(&m, &examples[1]);
		taken++;
	}
	assert_int_equal(taken, sent);
	/* The reader has gone: an error, not a signal. */
	fd_close(&pair[1]);
	assert_int_equal(protocol_send(pair[0], &examples[1], NULL, true), -1);
	assert_int_equal(errno, EPIPE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_round_trip),
	    TEST(test_no_text_is_an_empty_one),
	    TEST(test_descriptors),
	    TEST(test_descriptor_counts),
	    TEST(test_too_many_descriptors),
	    TEST(test_truncated_at_every_byte),
	    TEST(test_every_byte_changed),
	    TEST(test_hostile_numbers),
	    TEST(test_rules),
	    TEST(test_text_with_a_nul),
	    TEST(test_sizes),
	    TEST(test_full_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
