/*
 * scgi/request: the wire format.  Every verdict is asked for at each length of
 * the input, from a copy of just that length, so that a read past it is seen.
 */
#include "scgi/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1
#define MAX	    (128 * 1024)

/* The least block that is right, and its length. */
#define LEAST "CONTENT_LENGTH\0000\0SCGI\0001\0"

static struct buffer input;

static int
tear_down(void **state)
{
	(void)state;
	buffer_fini(&input);
	return 0;
}

/* The first `length` bytes of `input`, judged in a piece of memory of that. */
static enum scgi_result
parse_prefix(size_t length, size_t max, struct scgi_header *h)
{
	char *exact = malloc(length > 0 ? length : 1);
	enum scgi_result result;

	assert_non_null(exact);
	if (length > 0)
		memcpy(exact, input.data, length);
	result = scgi_parse_header(exact, length, max, h);
	if (result == SCGI_DONE)
		assert_int_equal(
		    h->params + h->params_length + 1 - exact, h->size);
	if (h->params != NULL)
		h->params = input.data + (h->params - exact);
	for (size_t i = 0; i < SCGI_PARAM_COUNT; i++)
		if (h->found.value[i] != NULL)
			h->found.value[i] =
			    input.data + (h->found.value[i] - exact);
	free(exact);
	return result;
}

/*
 * The parser law: until enough is there the answer is MORE, and from then on
 * it is the one that the whole gets.
 */
static enum scgi_result
parse_max(size_t max, struct scgi_header *h)
{
	enum scgi_result whole = parse_prefix(input.length, max, h), part;
	struct scgi_header p;
	bool decided = false;

	for (size_t i = 0; i < input.length; i++) {
		part = parse_prefix(i, max, &p);
		if (!decided && part == SCGI_MORE) {
			assert_true(p.size == 0 || p.size > i);
			assert_true(p.size == 0 || whole == SCGI_BAD ||
			    p.size == h->size);
			continue;
		}
		decided = true;
		assert_int_equal(part, whole);
		assert_ptr_equal(p.rule, h->rule);
		assert_ptr_equal(p.params, h->params);
		assert_int_equal(p.params_length, h->params_length);
		assert_int_equal(p.content_length, h->content_length);
		assert_int_equal(p.size, h->size);
		assert_string_equal(p.duplicate, h->duplicate);
	}
	return whole;
}

static enum scgi_result
parse(const char *data, size_t length, struct scgi_header *h)
{
	input.length = 0;
	assert_int_equal(buffer_append(&input, data, length), 0);
	return parse_max(MAX, h);
}

/* The block as a netstring, with two bytes of what may follow. */
static enum scgi_result
parse_block(const char *block, size_t length, struct scgi_header *h)
{
	const struct buffer params = {
	    .data = (char *)(uintptr_t)block, .length = length};

	input.length = 0;
	assert_int_equal(scgi_write_header(&input, &params), 0);
	assert_int_equal(buffer_append(&input, "9:", 2), 0);
	return parse_max(MAX, h);
}

static void
assert_bad(
    enum scgi_result result, const struct scgi_header *h, const char *part)
{
	assert_int_equal(result, SCGI_BAD);
	assert_non_null(h->rule);
	if (strstr(h->rule, part) == NULL)
		fail_msg("\"%s\" does not speak of \"%s\"", h->rule, part);
}

static void
test_example_of_the_specification(void **state)
{
	struct scgi_header h;
	const char *cursor, *name, *value;

	(void)state;
	assert_int_equal(parse(BYTES("70:CONTENT_LENGTH\00027\0SCGI\0001\0"
				     "REQUEST_METHOD\0POST\0"
				     "REQUEST_URI\0/deepthought\0,"
				     "What is the answer to life?"),
			     &h),
	    SCGI_DONE);
	assert_int_equal(h.content_length, 27);
	assert_int_equal(h.size, 74);
	assert_int_equal(h.params_length, 70);
	assert_string_equal(h.duplicate, "");
	assert_memory_equal(input.data + h.size, "What", 4);
	cursor = h.params;
	for (int i = 0; i < 4; i++)
		assert_true(
		    scgi_next_param(&cursor, h.params + 70, &name, &value));
	assert_string_equal(name, "REQUEST_URI");
	assert_string_equal(value, "/deepthought");
	assert_false(scgi_next_param(&cursor, h.params + 70, &name, &value));
	assert_ptr_equal(cursor, h.params + 70);
}

static void
test_item_01_split_at_every_byte(void **state)
{
	struct scgi_header h, p;

	(void)state;
	/* parse_max has tried each length; here, that none was decided early */
	assert_int_equal(
	    parse_block(BYTES(LEAST "A\0\0HTTP_B\0c d\xff\0"), &h), SCGI_DONE);
	assert_int_equal(h.content_length, 0);
	for (size_t i = 0; i < h.size; i++) {
		assert_int_equal(parse_prefix(i, MAX, &p), SCGI_MORE);
		assert_int_equal(p.size, i > 2 ? h.size : 0);
	}
	assert_int_equal(parse_prefix(h.size, MAX, &p), SCGI_DONE);
	assert_int_equal(parse_prefix(input.length, MAX, &p), SCGI_DONE);
}

static void
test_item_02_netstring_length(void **state)
{
	static const char *const wrong[] = {"x", "24x:", "-24:", "+24:", " 24:",
	    "24 :", "0x18:", "\2624:", "GET / HTTP/1.1\r\n", "\x16\x03\x01"};
	struct scgi_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_bad(
		    parse(wrong[i], strlen(wrong[i]), &h), &h, "not a number");
	assert_bad(parse(BYTES("\0"), &h), &h, "not a number");
	assert_bad(parse(BYTES("024:" LEAST ","), &h), &h, "leading zero");
	assert_bad(parse(BYTES("00:,"), &h), &h, "leading zero");
	assert_bad(parse(BYTES(":,"), &h), &h, "missing");
	assert_bad(parse(BYTES("0:,"), &h), &h, "empty");
	assert_bad(parse(BYTES("1000000000"), &h), &h, "too long");
	/* 2^64 + 24, 2^32 + 24 */
	assert_bad(parse(BYTES("18446744073709551640:"), &h), &h, "too long");
	assert_bad(parse(BYTES("4294967320:"), &h), &h, "too long");
	assert_int_equal(parse(BYTES("999999999"), &h), SCGI_MORE);
	assert_int_equal(parse(BYTES("999999999:"), &h), SCGI_TOO_LARGE);
	assert_int_equal(parse(BYTES(""), &h), SCGI_MORE);
}

static void
test_item_03_final_comma(void **state)
{
	struct scgi_header h;

	(void)state;
	assert_int_equal(parse(BYTES("24:" LEAST ","), &h), SCGI_DONE);
	assert_int_equal(parse(BYTES("24:" LEAST), &h), SCGI_MORE);
	assert_bad(parse(BYTES("24:" LEAST ";"), &h), &h, "comma");
	assert_bad(parse(BYTES("24:" LEAST "\0,"), &h), &h, "comma");
	assert_bad(parse(BYTES("23:" LEAST ","), &h), &h, "comma");
}

static void
test_item_04_strings(void **state)
{
	struct scgi_header h;

	(void)state;
	assert_bad(parse_block(BYTES(LEAST "ODD\0"), &h), &h, "no value");
	assert_bad(parse_block(BYTES("CONTENT_LENGTH\0"), &h), &h, "no value");
	assert_bad(parse_block(BYTES(LEAST "\0x\0"), &h), &h, "empty name");
	assert_bad(parse_block(BYTES(LEAST "\0\0"), &h), &h, "empty name");
	assert_bad(parse_block(BYTES(LEAST "\0"), &h), &h, "no value");
	assert_bad(parse_block(BYTES("\0\0" LEAST), &h), &h, "CONTENT_LENGTH");
	assert_bad(parse_block(BYTES(LEAST "A\0b"), &h), &h, "NUL");
	assert_bad(parse_block(BYTES(LEAST "A"), &h), &h, "NUL");
	assert_int_equal(parse_block(BYTES(LEAST "A\0\0"), &h), SCGI_DONE);
}

static void
test_item_05_content_length(void **state)
{
	static const char *const wrong[] = {"", "x", "1x", " 1", "1 ", "-1",
	    "+1", "0x1", "1,2", "9223372036854775808", "18446744073709551616",
	    "99999999999999999999999"};
	struct scgi_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buffer block = {0};

		scgi_write_param(&block, "CONTENT_LENGTH", wrong[i]);
		scgi_write_param(&block, "SCGI", "1");
		assert_bad(parse_block(block.data, block.length, &h), &h,
		    "not a length");
		buffer_fini(&block);
	}
	assert_bad(parse_block(BYTES("SCGI\0001\0CONTENT_LENGTH\0000\0"), &h),
	    &h, "first parameter");
	assert_bad(parse_block(BYTES("content_length\0000\0SCGI\0001\0"), &h),
	    &h, "first parameter");
	assert_bad(parse_block(BYTES("CONTENT_LENGTHS\0000\0SCGI\0001\0"), &h),
	    &h, "first parameter");
	assert_int_equal(
	    parse_block(
		BYTES("CONTENT_LENGTH\0009223372036854775799\0SCGI\0001\0"),
		&h),
	    SCGI_DONE);
	assert_true(h.content_length == INT64_C(9223372036854775799));
	assert_int_equal(
	    parse_block(BYTES("CONTENT_LENGTH\000007\0SCGI\0001\0"), &h),
	    SCGI_DONE);
	assert_int_equal(h.content_length, 7);
}

/* That it is not exported is the environment's part. */
static void
test_item_06_scgi(void **state)
{
	struct scgi_header h;

	(void)state;
	assert_bad(parse_block(BYTES("CONTENT_LENGTH\0000\0"), &h), &h, "SCGI");
	assert_bad(parse_block(BYTES("CONTENT_LENGTH\0000\0SCGI\0\0"), &h), &h,
	    "SCGI");
	assert_bad(parse_block(BYTES("CONTENT_LENGTH\0000\0SCGI\0002\0"), &h),
	    &h, "SCGI");
	assert_bad(parse_block(BYTES("CONTENT_LENGTH\0000\0SCGI\00011\0"), &h),
	    &h, "SCGI");
	assert_bad(parse_block(BYTES("CONTENT_LENGTH\0000\0scgi\0001\0"), &h),
	    &h, "SCGI");
	assert_int_equal(
	    parse_block(BYTES("CONTENT_LENGTH\0000\0A\0b\0SCGI\0001\0"), &h),
	    SCGI_DONE);
}

static void
test_item_07_duplicates(void **state)
{
	struct scgi_header h;

	(void)state;
	assert_int_equal(
	    parse_block(BYTES(LEAST "A\0001\0B\0002\0A\0003\0"), &h),
	    SCGI_DONE);
	assert_string_equal(h.duplicate, "A");
	assert_string_equal(
	    scgi_get_param(h.params, h.params_length, "A"), "1");
	/* A later CONTENT_LENGTH: the first has counted. */
	assert_int_equal(parse_block(BYTES("CONTENT_LENGTH\0005\0SCGI\0001\0"
					   "CONTENT_LENGTH\000x\0"),
			     &h),
	    SCGI_DONE);
	assert_int_equal(h.content_length, 5);
	assert_string_equal(
	    scgi_get_param(h.params, h.params_length, "CONTENT_LENGTH"), "5");
	assert_int_equal(
	    parse_block(BYTES(LEAST "SCGI\0002\0"), &h), SCGI_DONE);
	assert_string_equal(h.duplicate, "SCGI");
	assert_bad(parse_block(BYTES(LEAST "HTTP_A\0001\0HTTP_A\0001\0"), &h),
	    &h, "twice");
	assert_bad(parse_block(BYTES(LEAST "HTTP_\0\0Q\0\0Q\0\0HTTP_\0\0"), &h),
	    &h, "twice");
	/* Names are bytes: these differ. */
	assert_int_equal(
	    parse_block(BYTES(LEAST "HTTP_A\0\0HTTP_a\0\0"), &h), SCGI_DONE);
	assert_string_equal(h.duplicate, "");
}

/* Those that we ask for are found in the one pass; the first of each counts. */
static void
test_params_that_we_ask_for(void **state)
{
	struct scgi_header h;
	struct scgi_found again;

	(void)state;
	assert_int_equal(parse_block(BYTES(LEAST "REMOTE_ADDR\0::1\0"
						 "HTTP_HOST\0a\0HTTP_HOS\0b\0"
						 "HTTP_HOSTS\0c\0"
						 "REQUEST_URI\0\0"
						 "PATH_INFO\0/1\0"
						 "PATH_INFO\0/2\0"),
			     &h),
	    SCGI_DONE);
	assert_string_equal(h.duplicate, "PATH_INFO");
	scgi_find_params(h.params, h.params_length, &again);
	assert_memory_equal(&h.found, &again, sizeof(again));
	assert_string_equal(h.found.value[SCGI_PARAM_SCGI], "1");
	assert_string_equal(h.found.value[SCGI_PARAM_REMOTE_ADDR], "::1");
	assert_string_equal(h.found.value[SCGI_PARAM_HTTP_HOST], "a");
	assert_string_equal(h.found.value[SCGI_PARAM_REQUEST_URI], "");
	assert_string_equal(h.found.value[SCGI_PARAM_PATH_INFO], "/1");
	assert_null(h.found.value[SCGI_PARAM_SCRIPT_NAME]);
	assert_bad(parse_block(BYTES(LEAST "HTTP_HOST\0a\0HTTP_HOST\0a\0"), &h),
	    &h, "twice");
	/* The log names the request even if it is a bad one. */
	assert_bad(parse_block(BYTES("REQUEST_URI\0/x\0SCGI\0001\0"), &h), &h,
	    "first parameter");
	assert_string_equal(h.found.value[SCGI_PARAM_REQUEST_URI], "/x");
}

/* A name longer than `duplicate` is cut, never run over. */
static void
test_duplicate_with_a_long_name(void **state)
{
	char name[201];
	struct buffer block = {0};
	struct scgi_header h;

	(void)state;
	memset(name, 'N', 200);
	name[200] = '\0';
	scgi_write_param(&block, "CONTENT_LENGTH", "0");
	scgi_write_param(&block, "SCGI", "1");
	scgi_write_param(&block, name, "1");
	scgi_write_param(&block, name, "2");
	assert_int_equal(parse_block(block.data, block.length, &h), SCGI_DONE);
	assert_int_equal(strlen(h.duplicate), sizeof(h.duplicate) - 1);
	assert_memory_equal(h.duplicate, name, sizeof(h.duplicate) - 1);
	buffer_fini(&block);
}

static void
test_limit(void **state)
{
	struct scgi_header h;

	(void)state;
	input.length = 0;
	assert_int_equal(buffer_append(&input, BYTES("24:" LEAST ",")), 0);
	assert_int_equal(parse_max(24, &h), SCGI_DONE);
	assert_int_equal(parse_max(23, &h), SCGI_TOO_LARGE);
	assert_int_equal(parse_max(0, &h), SCGI_TOO_LARGE);
	/* Told as soon as the length is there, not once it has all come. */
	assert_int_equal(parse_prefix(2, 23, &h), SCGI_MORE);
	assert_int_equal(parse_prefix(3, 23, &h), SCGI_TOO_LARGE);
}

/* More parameters than fit the stack: the sorted path. */
static void
test_many_parameters(void **state)
{
	const size_t count = 10000;
	struct buffer block = {0}, wire = {0};
	struct scgi_header h;
	const char *cursor, *name, *value;
	size_t n = 0;
	char text[32];

	(void)state;
	scgi_write_param(&block, "CONTENT_LENGTH", "0");
	scgi_write_param(&block, "SCGI", "1");
	for (size_t i = 2; i < count; i++) {
		snprintf(text, sizeof(text), "HTTP_P%zu", count - i);
		assert_int_equal(scgi_write_param(&block, text, "v"), 0);
	}
	assert_int_equal(scgi_write_header(&wire, &block), 0);
	assert_int_equal(
	    scgi_parse_header(wire.data, wire.length, 1 << 20, &h), SCGI_DONE);
	assert_int_equal(h.size, wire.length);
	cursor = h.params;
	while (
	    scgi_next_param(&cursor, h.params + h.params_length, &name, &value))
		n++;
	assert_int_equal(n, count);
	/* One more, of a name that was there long before. */
	scgi_write_param(&block, "HTTP_P5000", "v");
	wire.length = 0;
	assert_int_equal(scgi_write_header(&wire, &block), 0);
	assert_bad(scgi_parse_header(wire.data, wire.length, 1 << 20, &h), &h,
	    "twice");
	buffer_fini(&block);
	buffer_fini(&wire);
}

static void
test_blocks(void **state)
{
	(void)state;
	assert_true(scgi_check_params("", 0));
	assert_true(scgi_check_params(BYTES("A\0\0")));
	assert_true(scgi_check_params(BYTES("A\0b\0C\0d\0")));
	assert_false(scgi_check_params(BYTES("A\0b")));
	assert_false(scgi_check_params(BYTES("A\0")));
	assert_false(scgi_check_params(BYTES("A")));
	assert_false(scgi_check_params(BYTES("\0")));
	assert_false(scgi_check_params(BYTES("\0b\0")));
	assert_false(scgi_check_params(BYTES("A\0b\0\0\0")));
	assert_null(scgi_get_param("", 0, "A"));
	assert_null(scgi_get_param(BYTES("A\0b\0"), "b"));
	assert_null(scgi_get_param(BYTES("AB\0b\0"), "A"));
	assert_string_equal(scgi_get_param(BYTES("A\0\0A\0b\0"), "A"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example_of_the_specification),
	    cmocka_unit_test(test_item_01_split_at_every_byte),
	    cmocka_unit_test(test_item_02_netstring_length),
	    cmocka_unit_test(test_item_03_final_comma),
	    cmocka_unit_test(test_item_04_strings),
	    cmocka_unit_test(test_item_05_content_length),
	    cmocka_unit_test(test_item_06_scgi),
	    cmocka_unit_test(test_item_07_duplicates),
	    cmocka_unit_test(test_params_that_we_ask_for),
	    cmocka_unit_test(test_duplicate_with_a_long_name),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_many_parameters),
	    cmocka_unit_test(test_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
