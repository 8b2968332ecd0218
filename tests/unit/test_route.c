/*
 * cgi/route: the path of a request, and the maps that cover it.
 */
#include "cgi/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARAMS(text) text, sizeof(text) - 1

/* `wanted` is the path, or NULL if a rule has to be broken. */
static void
check_request(const char *params, size_t length, const char *wanted)
{
	struct buffer path = {0};
	struct scgi_found found;
	const char *rule;

	assert_int_equal(buffer_append(&path, "kept", 4), 0);
	scgi_find_params(params, length, &found);
	rule = cgi_request_path(&found, &path);
	assert_memory_equal(path.data, "kept", 4);
	if (wanted == NULL) {
		assert_non_null(rule);
		assert_int_equal(path.length, 4);
	} else {
		assert_null(rule);
		assert_string_equal(path.data + 4, wanted);
		assert_int_equal(path.length, 4 + strlen(wanted) + 1);
	}
	buffer_fini(&path);
}

static void
check_decode(const char *uri, const char *wanted)
{
	struct buffer path = {0};
	size_t length = strlen(uri);
	const char *rule;
	char *exact;

	/* A copy without its NUL, so that a sanitizer sees an overrun. */
	exact = malloc(length + 1);
	assert_non_null(exact);
	memcpy(exact + 1, uri, length);
	rule = cgi_decode_path(exact + 1, length, &path);
	free(exact);
	if (wanted == NULL) {
		assert_non_null(rule);
		assert_int_equal(path.length, 0);
	} else {
		assert_null(rule);
		assert_string_equal(path.data, wanted);
	}
	buffer_fini(&path);
}

static void
test_sources(void **state)
{
	(void)state;
	/* SCRIPT_NAME + PATH_INFO, if either is given */
	check_request(PARAMS("SCRIPT_NAME\0/cgi\0PATH_INFO\0/a b\0"
			     "DOCUMENT_URI\0/other\0"),
	    "/cgi/a b");
	check_request(PARAMS("SCRIPT_NAME\0/cgi\0REQUEST_URI\0/o\0"), "/cgi");
	check_request(PARAMS("SCRIPT_NAME\0\0PATH_INFO\0/x\0"), "/x");
	check_request(PARAMS("SCRIPT_NAME\0/\0PATH_INFO\0/x\0"), "/x");
	check_request(PARAMS("SCRIPT_NAME\0/\0PATH_INFO\0\0"), "/");
	/* then DOCUMENT_URI, which nginx has decoded */
	check_request(PARAMS("SCRIPT_NAME\0\0PATH_INFO\0\0"
			     "REQUEST_URI\0/r\0DOCUMENT_URI\0/d%41\0"),
	    "/d%41");
	/* then REQUEST_URI, raw */
	check_request(
	    PARAMS("DOCUMENT_URI\0\0REQUEST_URI\0/%41?b/../c\0"), "/A");
	check_request(PARAMS("REQUEST_URI\0http://h:1/a/b?c\0"), "/a/b");
	check_request(PARAMS("REQUEST_URI\0http://h\0"), "/");
	check_request(PARAMS("REQUEST_URI\0http://h?/x\0"), "/");
	check_request(PARAMS("REQUEST_URI\0/x?u=http://h/y\0"), "/x");
}

static void
test_broken(void **state)
{
	(void)state;
	check_request(PARAMS(""), NULL);
	check_request(PARAMS("SCRIPT_NAME\0\0REQUEST_URI\0\0"), NULL);
	check_request(PARAMS("SCRIPT_NAME\0cgi\0"), NULL);
	check_request(PARAMS("PATH_INFO\0x\0"), NULL);
	check_request(PARAMS("DOCUMENT_URI\0x\0"), NULL);
	check_request(PARAMS("REQUEST_URI\0*\0"), NULL);
	check_request(PARAMS("REQUEST_URI\0h?u=://x/\0"), NULL);
	check_request(PARAMS("REQUEST_URI\0?x\0"), NULL);
}

static void
test_item_18_case_and_bytes_are_kept(void **state)
{
	(void)state;
	check_decode("/AbC/%c3%A9%20%0a+", "/AbC/\xc3\xa9 \n+");
}

static void
test_item_21_dots_and_slashes(void **state)
{
	(void)state;
	check_decode("/a%2Fb", "/a/b");
	check_decode("//a//b/", "//a//b/");
	check_decode("/a/./b/.", "/a/b/");
	check_decode("/a/../b", "/b");
	check_decode("/a/b/..", "/a/");
	check_decode("/..", "/");
	check_decode("/../../etc/passwd", "/etc/passwd");
	check_decode("/%2e%2e/%2e%2E%2fetc", "/etc");
	check_decode("/a/..%2f..%2f..%2fetc", "/etc");
	check_decode("/a%2f%2e%2e%2f%2e", "/");
	check_decode("/a//../b", "/a/b");
	check_decode("/.../..a/a../.b", "/.../..a/a../.b");
	check_decode("/%252e%252e/x", "/%2e%2e/x");
	/* Where a front end has resolved them, one that is left is refused. */
	check_request(PARAMS("DOCUMENT_URI\0/a/../b\0"), NULL);
	check_request(PARAMS("DOCUMENT_URI\0/a/.\0"), NULL);
	check_request(PARAMS("SCRIPT_NAME\0/a\0PATH_INFO\0/..\0"), NULL);
	check_request(PARAMS("SCRIPT_NAME\0/a/.\0PATH_INFO\0./b\0"), NULL);
	check_request(PARAMS("DOCUMENT_URI\0/.../..a\0"), "/.../..a");
}

static void
test_item_22_nul(void **state)
{
	struct buffer path = {0};

	(void)state;
	check_decode("/a%00", NULL);
	check_decode("/%00/a", NULL);
	assert_non_null(cgi_decode_path("/a\0b", 4, &path));
	assert_int_equal(path.length, 0);
	buffer_fini(&path);
	check_request(PARAMS("REQUEST_URI\0/a%00.cgi\0"), NULL);
}

static void
test_escapes(void **state)
{
	(void)state;
	check_decode("/%", NULL);
	check_decode("/%4", NULL);
	check_decode("/%4g", NULL);
	check_decode("/% 4", NULL);
	check_decode("/%-1", NULL);
	check_decode("/%41", "/A");
	check_decode("", NULL);
	check_decode("a", NULL);
	check_decode("%2fa", NULL);
	check_decode("/", "/");
}

static void
test_item_35_prefix(void **state)
{
	(void)state;
	assert_true(cgi_prefix_matches("/cgi", "/cgi"));
	assert_true(cgi_prefix_matches("/cgi", "/cgi/"));
	assert_true(cgi_prefix_matches("/cgi", "/cgi/x"));
	assert_false(cgi_prefix_matches("/cgi", "/cgi-x"));
	assert_false(cgi_prefix_matches("/cgi", "/cg"));
	assert_false(cgi_prefix_matches("/cgi", "/CGI"));
	assert_false(cgi_prefix_matches("/cgi", "/"));
	assert_true(cgi_prefix_matches("/", "/"));
	assert_true(cgi_prefix_matches("/", "/x"));
	assert_true(cgi_prefix_matches("/cgi/", "/cgi"));
	assert_string_equal(cgi_path_below("/cgi", "/cgi/x/y"), "/x/y");
	assert_string_equal(cgi_path_below("/cgi", "/cgi"), "");
	assert_string_equal(cgi_path_below("/", "/x"), "/x");
	assert_null(cgi_path_below("/cgi", "/cgix"));
}

static void
test_host(void **state)
{
	(void)state;
	assert_true(cgi_host_matches("example.org", "example.org"));
	assert_true(cgi_host_matches("example.org", "EXAMPLE.org:8080"));
	assert_true(cgi_host_matches("Example.ORG", "example.org."));
	assert_true(cgi_host_matches("example.org", "example.org.:80"));
	assert_false(cgi_host_matches("example.org", "example.orgx"));
	assert_false(cgi_host_matches("example.org", "xexample.org"));
	assert_false(cgi_host_matches("example.org", "example.or"));
	assert_false(cgi_host_matches("example.org", ""));
	assert_true(cgi_host_matches("*.example.org", "a.b.example.org"));
	assert_false(cgi_host_matches("*.example.org", "example.org"));
	assert_false(cgi_host_matches("*.example.org", "a.example.org.evil"));
	assert_true(cgi_host_matches("*", ""));
	assert_true(cgi_host_matches("w?w.*.org", "www.x.org"));
	assert_true(cgi_host_matches("*a*b", "xaxbab"));
	assert_false(cgi_host_matches("*a*b", "xaxbac"));
	assert_true(cgi_host_matches("[::1]", "[::1]:80"));
	assert_true(cgi_host_matches("[::1]", "[::1]"));
	assert_false(cgi_host_matches("[::1]", "[::2]:80"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sources),
	    cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_item_18_case_and_bytes_are_kept),
	    cmocka_unit_test(test_item_21_dots_and_slashes),
	    cmocka_unit_test(test_item_22_nul),
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_item_35_prefix),
	    cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
