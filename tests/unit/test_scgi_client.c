/*
 * frontend/scgi_client: where to connect, what is sent, what comes back.
 */
#include "frontend/scgi_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "scgi/request.h"

static void
test_targets(void **state)
{
	struct scgi_target t;
	const struct sockaddr_un *un = (void *)&t.address;
	const struct sockaddr_in *in = (void *)&t.address;
	const struct sockaddr_in6 *in6 = (void *)&t.address;

	(void)state;
	assert_null(scgi_client_parse_target(&t, "unix:/run/a:b.sock"));
	assert_int_equal(un->sun_family, AF_UNIX);
	assert_string_equal(un->sun_path, "/run/a:b.sock");
	assert_int_equal(t.length, sizeof(*un));
	assert_null(scgi_client_parse_target(&t, "127.0.0.1:4000"));
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(in->sin_addr.s_addr, htonl(0x7f000001));
	assert_int_equal(in->sin_port, htons(4000));
	assert_int_equal(t.length, sizeof(*in));
	assert_null(scgi_client_parse_target(&t, "localhost:65535"));
	assert_int_equal(in->sin_addr.s_addr, htonl(0x7f000001));
	assert_int_equal(in->sin_port, htons(65535));
	assert_null(scgi_client_parse_target(&t, "10.1.2.3:0"));
	assert_int_equal(in->sin_port, 0);
	assert_null(scgi_client_parse_target(&t, "[::1]:80"));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_int_equal(in6->sin6_port, htons(80));
	assert_memory_equal(
	    &in6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
	assert_int_equal(t.length, sizeof(*in6));
}

static void
test_targets_that_are_none(void **state)
{
	static const char *const wrong[] = {"", ":", ":80", "127.0.0.1",
	    "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:80x", "127.0.0.1: 80",
	    "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:65536",
	    "127.0.0.1:99999999999999999999", "example.org:80", "::1:80",
	    "[::1]", "[::1]80", "[:80", "[]:80", "]:80", "[:", "[127.0.0.1]:80",
	    "[::1:80", "unix:", "unix:relative", "/run/a.sock"};
	struct scgi_target t;
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *why = scgi_client_parse_target(&t, wrong[i]);

		if (why == NULL || *why == '\0')
			fail_msg("\"%s\" was taken", wrong[i]);
	}
	/* As long as a path may be, and one longer. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "unix:/", 6);
	text[5 + sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = '\0';
	assert_null(scgi_client_parse_target(&t, text));
	text[strlen(text)] = 'x';
	text[5 + sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
	assert_non_null(scgi_client_parse_target(&t, text));
	/* A host that is too long for the copy. */
	for (size_t length = 60; length < 70; length++) {
		memset(text, '1', length);
		memcpy(text + length, ":80", 4);
		assert_non_null(scgi_client_parse_target(&t, text));
		text[0] = '[';
		text[length - 1] = ']';
		assert_non_null(scgi_client_parse_target(&t, text));
	}
}

/* The DOCUMENT_URI of a request for `uri`; `wanted` NULL: none. */
static void
check_document_uri(const char *uri, const char *wanted)
{
	const struct scgi_stock stock = {.uri = uri};
	struct buffer params = {0};
	const char *found;

	assert_int_equal(scgi_client_write_stock(&params, &stock), 0);
	assert_true(scgi_check_params(params.data, params.length));
	found = scgi_get_param(params.data, params.length, "DOCUMENT_URI");
	if (wanted == NULL)
		assert_null(found);
	else if (found == NULL)
		fail_msg("%s has no DOCUMENT_URI", uri);
	else
		assert_string_equal(found, wanted);
	assert_string_equal(
	    scgi_get_param(params.data, params.length, "REQUEST_URI"), uri);
	buffer_fini(&params);
}

static void
test_document_uri(void **state)
{
	(void)state;
	check_document_uri("/", "/");
	check_document_uri("/a/b", "/a/b");
	check_document_uri("/a/b/", "/a/b/");
	check_document_uri("/a%20b%2fc%c3%A9", "/a b/c\xc3\xa9");
	check_document_uri("/a?x=/../y", "/a");
	check_document_uri("/a%3fb", "/a?b");
	check_document_uri("//a///b//", "/a/b/");
	check_document_uri("/./a/././b/.", "/a/b/");
	check_document_uri("/a/../b", "/b");
	check_document_uri("/a/b/..", "/a/");
	check_document_uri("/a/b/../..", "/");
	check_document_uri("/a/%2e%2e/b", "/b");
	check_document_uri("/...", "/...");
	check_document_uri("/..a/.b", "/..a/.b");
	/* The server is to judge these. */
	check_document_uri("/..", NULL);
	check_document_uri("/../a", NULL);
	check_document_uri("/a/../../b", NULL);
	check_document_uri("/a%2f..%2f..%2fb", NULL);
	check_document_uri("/%", NULL);
	check_document_uri("/%4", NULL);
	check_document_uri("/%4x", NULL);
	check_document_uri("/a%00b", NULL);
}

static void
test_stock_parameters(void **state)
{
	const struct scgi_stock stock = {.method = "POST",
	    .uri = "/a/b%20c?x=1&y=?",
	    .content_type = "text/plain",
	    .document_root = "/srv",
	    .protocol = "HTTP/1.1",
	    .remote_address = "127.0.0.1",
	    .server_name = "example.org",
	    .remote_port = 65535,
	    .server_port = 80,
	    .content_length = UINT64_C(9000000000000000000)};
	static const char wanted[] = "CONTENT_LENGTH\0"
				     "9000000000000000000\0"
				     "REQUEST_METHOD\0POST\0"
				     "REQUEST_URI\0/a/b%20c?x=1&y=?\0"
				     "QUERY_STRING\0x=1&y=?\0"
				     "CONTENT_TYPE\0text/plain\0"
				     "DOCUMENT_URI\0/a/b c\0"
				     "DOCUMENT_ROOT\0/srv\0"
				     "SCGI\0001\0"
				     "SERVER_PROTOCOL\0HTTP/1.1\0"
				     "REQUEST_SCHEME\0http\0"
				     "REMOTE_ADDR\000127.0.0.1\0"
				     "REMOTE_PORT\00065535\0"
				     "SERVER_PORT\00080\0"
				     "SERVER_NAME\0example.org";
	static const char wanted_local[] = "CONTENT_LENGTH\0000\0"
					   "REQUEST_METHOD\0GET\0"
					   "REQUEST_URI\0/x\0"
					   "QUERY_STRING\0\0"
					   "CONTENT_TYPE\0\0"
					   "DOCUMENT_URI\0/x\0"
					   "DOCUMENT_ROOT\0/var/www\0"
					   "SCGI\0001\0"
					   "SERVER_PROTOCOL\0HTTP/1.1\0"
					   "REQUEST_SCHEME\0http\0"
					   "REMOTE_ADDR\000127.0.0.1\0"
					   "REMOTE_PORT\00049152\0"
					   "SERVER_PORT\00080\0"
					   "SERVER_NAME\0localhost";
	const struct scgi_stock least = {.uri = "/"};
	const struct scgi_stock local = scgi_client_stock("/x");
	struct buffer params = {0}, wire = {0};
	struct scgi_header h;

	(void)state;
	assert_int_equal(scgi_client_write_stock(&params, &stock), 0);
	assert_int_equal(params.length, sizeof(wanted));
	assert_memory_equal(params.data, wanted, sizeof(wanted));
	/* What is not known is empty, and the whole is a request. */
	params.length = 0;
	assert_int_equal(scgi_client_write_stock(&params, &least), 0);
	assert_int_equal(scgi_write_header(&wire, &params), 0);
	assert_int_equal(
	    scgi_parse_header(wire.data, wire.length, 4096, &h), SCGI_DONE);
	assert_string_equal(h.duplicate, "");
	assert_string_equal(
	    scgi_get_param(h.params, h.params_length, "CONTENT_TYPE"), "");
	/* Of one without a web server only the type is empty. */
	params.length = 0;
	assert_int_equal(scgi_client_write_stock(&params, &local), 0);
	assert_int_equal(params.length, sizeof(wanted_local));
	assert_memory_equal(params.data, wanted_local, sizeof(wanted_local));
	buffer_fini(&params);
	buffer_fini(&wire);
}

static void
check_field(const char *name, const char *wanted)
{
	struct buffer params = {0};

	assert_int_equal(scgi_client_write_field(&params, name, "v"), 0);
	if (wanted == NULL) {
		assert_int_equal(params.length, 0);
	} else {
		assert_int_equal(params.length, strlen(wanted) + 3);
		assert_string_equal(params.data, wanted);
		assert_string_equal(params.data + strlen(wanted) + 1, "v");
	}
	buffer_fini(&params);
}

static void
test_request_fields(void **state)
{
	char name[300];

	(void)state;
	check_field("Accept", "HTTP_ACCEPT");
	check_field("x-Foo-9", "HTTP_X_FOO_9");
	check_field("", NULL);
	/* As nginx drops it: it would be taken for X-Foo. */
	check_field("X_Foo", NULL);
	check_field("a b", NULL);
	check_field("a=b", NULL);
	check_field("a\xc3\xa9", NULL);
	check_field("a.b", NULL);
	memset(name, 'N', sizeof(name));
	for (size_t length = 245; length < 300; length++) {
		struct buffer params = {0};

		memset(name, 'n', length);
		name[length] = '\0';
		assert_int_equal(scgi_client_write_field(&params, name, ""), 0);
		assert_int_equal(
		    params.length, length <= 250 ? length + 5 + 2 : 0);
		buffer_fini(&params);
	}
}

/* Read a head from memory of just its size, after trying all that is less. */
static void
read_head(const char *text, struct scgi_head *head)
{
	size_t length = strlen(text);

	for (size_t part = 0; part <= length; part++) {
		char *exact = malloc(part > 0 ? part : 1);
		bool whole;

		assert_non_null(exact);
		memcpy(exact, text, part);
		memset(head, 0x5a, sizeof(*head));
		whole = scgi_client_parse_head(exact, part, head);
		free(exact);
		if (whole) {
			assert_int_equal(head->size, part);
			return;
		}
	}
	fail_msg("no head in \"%s\"", text);
}

static void
check_head(const char *text, int status, const char *phrase, int64_t length)
{
	struct scgi_head head;

	read_head(text, &head);
	if (head.status != status || strcmp(head.phrase, phrase) != 0 ||
	    head.content_length != length)
		fail_msg("\"%s\": %d \"%s\" %lld", text, head.status,
		    head.phrase, (long long)head.content_length);
}

static void
test_heads(void **state)
{
	char text[300], phrase[64];
	struct scgi_head head;

	(void)state;
	check_head("\n", 200, "", -1);
	check_head("\r\n", 200, "", -1);
	check_head("A: b\n\n", 200, "", -1);
	check_head("A: b\r\n\nbody", 200, "", -1);
	check_head("A: b\n\r\nbody", 200, "", -1);
	check_head("Status: 404 Not Found\r\n\r\n", 404, "Not Found", -1);
	check_head("status:404\n\n", 404, "", -1);
	check_head("STATUS: 404 \n\n", 404, "", -1);
	check_head("Status: 404\nStatus: 500\n\n", 404, "", -1);
	check_head("Location: /x\n\n", 302, "", -1);
	check_head("Location: /x\nStatus: 201 Made\n\n", 201, "Made", -1);
	check_head("Status: 201\nLocation: /x\n\n", 201, "", -1);
	check_head("Content-Length: 12\nContent-Length: 5\n\n", 200, "", 12);
	check_head("Content-Length: 0\n\n", 200, "", 0);
	check_head("Content-Length: 1x\n\n", 200, "", -1);
	check_head("Content-Length: -1\n\n", 200, "", -1);
	check_head("Content-Length:\n\n", 200, "", -1);
	check_head("Content-Length: 999999999999999999\n\n", 200, "",
	    INT64_C(999999999999999999));
	check_head("Content-Length: 9999999999999999999\n\n", 200, "", -1);
	check_head("HTTP/1.1 404 Gone away\r\nStatus: 200\r\n\r\n", 404,
	    "Gone away", -1);
	/* Malformed: 0. */
	check_head("Status: abc\n\n", 0, "", -1);
	check_head("Status: 99\n\n", 0, "", -1);
	check_head("Status: 1000\n\n", 0, "", -1);
	check_head("Status:\n\n", 0, "", -1);
	check_head("HTTP/1.1\n\n", 0, "", -1);
	check_head("HTTP/1.1 \n\n", 0, "", -1);
	check_head("HTTP/1.1 20\n\n", 0, "", -1);
	/* A phrase is cut. */
	memset(text, 'p', sizeof(text));
	memcpy(text, "Status: 200 ", 12);
	memcpy(text + 200, "\n\n", 3);
	memset(phrase, 'p', 63);
	phrase[63] = '\0';
	read_head(text, &head);
	assert_string_equal(head.phrase, phrase);
	assert_false(scgi_client_parse_head("", 0, &head));
	assert_false(scgi_client_parse_head("A: b\r\n\r", 7, &head));
}

static void
test_fields(void **state)
{
	static const char block[] = "HTTP/1.1 200 OK\r\n"
				    "A:1\r\n"
				    "<!-- x -->: y\n"
				    "B :2\n"
				    ": none\n"
				    "no colon\n"
				    "C-d: \t three four\t \r\n"
				    "E:\n"
				    " F: continued\n"
				    "G: a:b\r\n"
				    "\r\n";
	static const char *const wanted[][2] = {
	    {"A", "1"}, {"C-d", "three four"}, {"E", ""}, {"G", "a:b"}};
	struct scgi_field field;
	size_t cursor = 0;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_true(scgi_client_next_field(
		    block, sizeof(block) - 1, &cursor, &field));
		assert_true(scgi_client_field_is(&field, wanted[i][0]));
		assert_int_equal(field.value_length, strlen(wanted[i][1]));
		assert_memory_equal(
		    field.value, wanted[i][1], field.value_length);
	}
	assert_false(scgi_client_field_is(&field, "GG"));
	assert_false(scgi_client_field_is(&field, ""));
	assert_true(scgi_client_field_is(&field, "g"));
	assert_false(
	    scgi_client_next_field(block, sizeof(block) - 1, &cursor, &field));
	/* The last line without its end. */
	cursor = 0;
	assert_true(scgi_client_next_field("A: bc", 4, &cursor, &field));
	assert_int_equal(field.value_length, 1);
	assert_false(scgi_client_next_field("A: bc", 4, &cursor, &field));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_targets_that_are_none),
	    cmocka_unit_test(test_document_uri),
	    cmocka_unit_test(test_stock_parameters),
	    cmocka_unit_test(test_request_fields),
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
