/*
 * cgi/reason: the table is complete and says only what may be said.
 */
#include "cgi/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What the conformance list, the logs and the manual call them. */
static const struct {
	enum reason reason;
	const char *name;
	int status;
} expected[] = {
    {REASON_NONE, "none", 200},
    {REASON_BAD_REQUEST, "bad-request", 400},
    {REASON_REQUEST_HEADER_TOO_LARGE, "request-header-too-large", 431},
    {REASON_HEADER_TIMEOUT, "header-timeout", 408},
    {REASON_BODY_TOO_LARGE, "body-too-large", 413},
    {REASON_BODY_TIMEOUT, "body-timeout", 408},
    {REASON_CLIENT_ABORTED, "client-aborted", 499},
    {REASON_NO_MAP, "no-map", 404},
    {REASON_QUEUE_FULL, "queue-full", 503},
    {REASON_QUEUE_TIMEOUT, "queue-timeout", 503},
    {REASON_SCRIPT_NOT_FOUND, "script-not-found", 404},
    {REASON_SCRIPT_NOT_EXECUTABLE, "script-not-executable", 403},
    {REASON_NAME_NOT_ALLOWED, "name-not-allowed", 403},
    {REASON_PERMISSION_DENIED, "permission-denied", 403},
    {REASON_OUTSIDE_ROOT, "outside-root", 403},
    {REASON_UNSAFE_PERMISSIONS, "unsafe-permissions", 403},
    {REASON_NOT_A_FILE, "not-a-file", 403},
    {REASON_INTERPRETER_NOT_FOUND, "interpreter-not-found", 500},
    {REASON_CRLF_SHEBANG, "crlf-shebang", 500},
    {REASON_BAD_EXECUTABLE, "bad-executable", 500},
    {REASON_NOEXEC_MOUNT, "noexec-mount", 500},
    {REASON_SCRIPT_BUSY, "script-busy", 503},
    {REASON_ENVIRONMENT_TOO_LARGE, "environment-too-large", 431},
    {REASON_NO_HEADER, "no-header", 502},
    {REASON_BAD_HEADER, "bad-header", 502},
    {REASON_HEADER_TOO_LARGE, "header-too-large", 502},
    {REASON_EMPTY_OUTPUT, "empty-output", 502},
    {REASON_TRUNCATED_BODY, "truncated-body", 502},
    {REASON_EXIT_STATUS, "exit-status", 502},
    {REASON_KILLED_BY_SIGNAL, "killed-by-signal", 502},
    {REASON_OUT_OF_MEMORY, "out-of-memory", 502},
    {REASON_FIRST_BYTE_TIMEOUT, "first-byte-timeout", 504},
    {REASON_IDLE_TIMEOUT, "idle-timeout", 504},
    {REASON_SCRIPT_TIMEOUT, "script-timeout", 504},
    {REASON_REDIRECT_LOOP, "redirect-loop", 502},
    {REASON_FORK_FAILED, "fork-failed", 503},
    {REASON_NO_DESCRIPTORS, "no-descriptors", 503},
    {REASON_SPOOL_FAILED, "spool-failed", 503},
    {REASON_LAUNCHER_LOST, "launcher-lost", 503},
    {REASON_SHUTDOWN, "shutdown", 503},
};

static void
test_table(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(sizeof(expected) / sizeof(expected[0]), REASON_COUNT);
	for (i = 0; i < REASON_COUNT; i++) {
		const struct reason_text *t = reason_text(expected[i].reason);

		assert_int_equal(expected[i].reason, i);
		assert_string_equal(t->name, expected[i].name);
		assert_int_equal(t->status, expected[i].status);
	}
}

/* A sentence is a whole one, plain enough for any page; advice is one line. */
static void
test_texts(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < REASON_COUNT; i++) {
		const struct reason_text *t = reason_text((enum reason)i);
		size_t length = strlen(t->sentence);

		assert_true(length > 15 && length < 80);
		assert_true(t->sentence[0] >= 'A' && t->sentence[0] <= 'Z');
		assert_int_equal(t->sentence[length - 1], '.');
		assert_null(strpbrk(t->sentence, "<>&/\"\n"));
		assert_true(strlen(t->advice) > 5);
		assert_null(strchr(t->advice, '\n'));
	}
}

static void
test_out_of_range(void **state)
{
	(void)state;
	assert_string_equal(reason_text(REASON_COUNT)->name, "none");
	assert_string_equal(reason_text((enum reason) - 1)->name, "none");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
