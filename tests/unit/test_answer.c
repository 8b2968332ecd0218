/* The responses that tests/bench/load counts, cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"

struct expectation {
	const char *bytes;
	bool is_http;
	bool ends; /* the connection, behind the bytes */
	bool whole;
	int status;
	uint64_t length;
	bool keeps;
};

static const struct expectation WHOLE[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, false, true,
	200, 5, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, true, true, 200,
	5, true},
    {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	true, false, true, 503, 0, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n0A;x=1f\r\n0123456789\r\n0\r\n\r\n",
	true, false, true, 200, 13, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n0\r\nX: y\r\n\r\n",
	true, false, true, 200, 1, true},
    {"HTTP/1.0 200 OK\r\n\r\nabc", true, true, true, 200, 3, false},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", true, false, true, 304, 0, true},
    {"Status: 404 Not Found\r\n\r\nno", false, true, true, 404, 2, false},
    {"Status: 200 OK\r\nContent-Length: 2\r\n\r\nno", false, true, true, 200, 2,
	false},
};

static const struct expectation BROKEN[] = {
    {"", true, true, false, 0, 0, false},
    {"HTTP/1.1 200 OK\r\n", true, true, false, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", true, true, false, 200,
	4, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true,
	true, false, 200, 3, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", true, false, false, 200,
	1, false},
    {"Status: 200 OK\r\nContent-Length: 3\r\n\r\nno", false, true, false, 200,
	2, false},
};

static void
check_cut(const struct expectation *e, size_t cut)
{
	struct answer answer = {0};
	size_t length = strlen(e->bytes);
	bool whole;

	answer_begin(&answer, e->is_http);
	answer_take(&answer, e->bytes, cut);
	answer_take(&answer, e->bytes + cut, length - cut);
	whole = e->ends ? answer_end(&answer) : answer.state == ANSWER_WHOLE;
	assert_int_equal(whole, e->whole);
	assert_int_equal(answer.status, e->status);
	assert_int_equal(answer.length, e->length);
	if (whole)
		assert_int_equal(answer.keeps, e->keeps);
	answer_fini(&answer);
}

static void
check_all(const struct expectation *all, size_t count)
{
	size_t i, cut;

	for (i = 0; i < count; i++)
		for (cut = 0; cut <= strlen(all[i].bytes); cut++)
			check_cut(&all[i], cut);
}

static void
test_whole(void **state)
{
	(void)state;
	check_all(WHOLE, sizeof(WHOLE) / sizeof(WHOLE[0]));
}

static void
test_broken(void **state)
{
	(void)state;
	check_all(BROKEN, sizeof(BROKEN) / sizeof(BROKEN[0]));
}

static void
test_large_first_piece(void **state)
{
	static const char head[] = "Status: 200 OK\r\n\r\n";
	static char bytes[200 * 1024];
	struct answer answer = {0};

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, head, strlen(head));
	answer_begin(&answer, false);
	assert_int_equal(
	    answer_take(&answer, bytes, sizeof(bytes)), ANSWER_TO_END);
	assert_int_equal(answer.length, sizeof(bytes) - strlen(head));
	/* Without an empty line it is none. */
	answer_begin(&answer, false);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(
	    answer_take(&answer, bytes, sizeof(bytes)), ANSWER_BAD);
	answer_fini(&answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_large_first_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
