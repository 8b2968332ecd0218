/*
 * cgi/response, cgi/field and cgi/status: a script's header block.
 */
#include "cgi/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * The parser law: however the output arrives, the header ends at one place.
 * Each split hands over a copy of its own size, so that a sanitizer sees a
 * read behind what has arrived.
 */
static void
check_splits(const char *text, size_t length, size_t wanted)
{
	size_t split, scanned, end, step;
	char *part;

	for (split = 0; split <= length; split++) {
		part = malloc(split + 1);
		assert_non_null(part);
		memcpy(part + 1, text, split);
		scanned = 0;
		end = cgi_find_header_end(part + 1, split, &scanned);
		free(part);
		assert_int_equal(
		    end, wanted != 0 && split >= wanted ? wanted : 0);
		end = cgi_find_header_end(text, length, &scanned);
		assert_int_equal(end, wanted);
		/* Asked again, it says the same. */
		end = cgi_find_header_end(text, length, &scanned);
		assert_int_equal(end, wanted);
	}
	for (step = 0, scanned = 0; step < length; step++) {
		end = cgi_find_header_end(text, step, &scanned);
		assert_int_equal(
		    end, wanted != 0 && step >= wanted ? wanted : 0);
	}
}

static void
parse_bytes(
    struct cgi_response *r, const char *text, size_t length, bool pass_accel)
{
	size_t scanned = 0, end;
	char *block;

	end = cgi_find_header_end(text, length, &scanned);
	assert_true(end > 0);
	check_splits(text, length, end);
	block = malloc(end);
	assert_non_null(block);
	memcpy(block, text, end);
	assert_int_equal(cgi_parse_response(block, end, pass_accel, r), 0);
	free(block);
}

static void
parse(struct cgi_response *r, const char *text)
{
	parse_bytes(r, text, strlen(text), false);
}

static void
assert_text(const struct buffer *b, const char *wanted)
{
	assert_int_equal(b->length, strlen(wanted));
	if (b->length > 0)
		assert_memory_equal(b->data, wanted, b->length);
}

/* `text` is rewritten into `head`, with `notes` for the log. */
static void
accept_noted(const char *text, const char *head, const char *notes)
{
	struct cgi_response r;

	parse(&r, text);
	assert_int_equal(r.reason, REASON_NONE);
	assert_string_equal(r.detail, "");
	assert_text(&r.head, head);
	assert_text(&r.notes, notes);
	cgi_response_fini(&r);
}

static void
accept(const char *text, const char *head)
{
	accept_noted(text, head, "");
}

static void
refuse_bytes(
    const char *text, size_t length, enum reason reason, const char *detail)
{
	struct cgi_response r;

	parse_bytes(&r, text, length, false);
	assert_int_equal(r.reason, reason);
	assert_string_equal(r.detail, detail);
	assert_int_equal(r.head.length, 0);
	assert_false(r.is_local_redirect);
	cgi_response_fini(&r);
}

static void
refuse(const char *text, const char *detail)
{
	refuse_bytes(text, strlen(text), REASON_BAD_HEADER, detail);
}

static void
assert_local(const char *text, bool local, int status)
{
	struct cgi_response r;

	parse(&r, text);
	assert_int_equal(r.reason, REASON_NONE);
	assert_int_equal(r.is_local_redirect, local);
	assert_int_equal(r.status, status);
	assert_non_null(r.location);
	cgi_response_fini(&r);
}

static void
test_find_header_end(void **state)
{
	(void)state;
	check_splits("", 0, 0);
	check_splits("\n", 1, 1);
	check_splits("\r\n", 2, 2);
	check_splits("\r\r\n", 3, 0);
	check_splits("\n\n", 2, 1);
	check_splits("A: b\n", 5, 0);
	check_splits("A: b\n\n", 6, 6);
	check_splits("A: b\n\nbody\n\n", 12, 6);
	check_splits("A: b\r\n\r\n", 8, 8);
	check_splits("A: b\n\r\nx", 8, 7);
	check_splits("A: b\r\n\nx", 8, 7);
	check_splits("A: b\r\r\n\r\n", 9, 9);
	check_splits("A: b\r\n\r", 7, 0);
	check_splits("A: b\n\rc\n\n", 9, 9);
	check_splits("A: \0\n\0\n\n", 8, 8);
}

static void
test_item_51_line_ends(void **state)
{
	static const char head[] =
	    "Status: 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\n\r\n";

	(void)state;
	accept("Content-Type: text/plain\nX-A: b\n\n", head);
	accept("Content-Type: text/plain\r\nX-A: b\r\n\r\n", head);
	accept("Content-Type: text/plain\nX-A: b\r\n\n", head);
	accept("Content-Type:text/plain\r\nX-A:\t b \t\n\r\n", head);
}

static void
test_items_52_53_order_and_case(void **state)
{
	(void)state;
	accept("LOCATION: http://h/\nsTaTuS: 301\n\n",
	    "Status: 301 Moved Permanently\r\nLOCATION: http://h/\r\n\r\n");
	accept("sTaTuS: 301\nLOCATION: http://h/\n\n",
	    "Status: 301 Moved Permanently\r\nLOCATION: http://h/\r\n\r\n");
}

static void
test_item_54_empty_field(void **state)
{
	struct cgi_response r;

	(void)state;
	parse(&r, "Content-Type:\nStatus: \nLocation:\t\nX-A:\nX-B: c\n\n");
	assert_int_equal(r.reason, REASON_NONE);
	assert_int_equal(r.status, 200);
	assert_false(r.has_content_type);
	assert_null(r.location);
	assert_text(&r.head, "Status: 200 OK\r\nX-B: c\r\n\r\n");
	cgi_response_fini(&r);
	accept("Content-Type:\n\n", "Status: 200 OK\r\n\r\n");
	/* The second is the first one that was sent. */
	accept("Status:\nStatus: 404\n\n", "Status: 404 Not Found\r\n\r\n");
}

static void
test_item_55_space_and_continuation(void **state)
{
	(void)state;
	refuse("Content-Type: a\r\nFoo : bar\r\n\r\n",
	    "line 2, offset 17: \"Foo : bar\" has a space before the colon");
	refuse("Content-Type\t: a\n\n",
	    "line 1, offset 0: \"Content-Type\\t: a\" has a space before the "
	    "colon");
	refuse("A: b\n continued\n\n",
	    "line 2, offset 5: \" continued\" begins with a space or a tab");
	refuse("A: b\n\tcontinued\n\n",
	    "line 2, offset 5: \"\\tcontinued\" begins with a space or a tab");
	refuse(" x\nA: b\n\n",
	    "line 1, offset 0: \" x\" begins with a space or a tab");
	refuse("A: b\n \n\n",
	    "line 2, offset 5: \" \" begins with a space or a tab");
}

static void
test_item_56_duplicates(void **state)
{
	(void)state;
	accept_noted("Content-Type: a/b\nContent-type: c/d\n\n",
	    "Status: 200 OK\r\nContent-Type: a/b\r\n\r\n",
	    "a second Content-Type, dropped: \"Content-type: c/d\"\n");
	accept_noted("Status: 404\nStatus: 200 Fine\n\n",
	    "Status: 404 Not Found\r\n\r\n",
	    "a second status, dropped: \"Status: 200 Fine\"\n");
	accept_noted("Location: http://a/\nLocation: http://b/\n\n",
	    "Status: 302 Found\r\nLocation: http://a/\r\n\r\n",
	    "a second Location, dropped: \"Location: http://b/\"\n");
}

static void
test_item_57_status(void **state)
{
	(void)state;
	accept("X: y\n\n", "Status: 200 OK\r\nX: y\r\n\r\n");
	accept("Status: 404\n\n", "Status: 404 Not Found\r\n\r\n");
	accept("Status: 404 \n\n", "Status: 404 Not Found\r\n\r\n");
	accept("Status: 404 X\n\n", "Status: 404 X\r\n\r\n");
	accept("Status: 404   Not  here \n\n", "Status: 404 Not  here\r\n\r\n");
	accept("Status: 299\n\n", "Status: 299 Unknown\r\n\r\n");
	accept("Status: 200 \xc3\xa9\n\n", "Status: 200 \xc3\xa9\r\n\r\n");
	refuse("Status: abc\n\n",
	    "line 1, offset 0: \"Status: abc\" has no "
	    "status of three digits");
	refuse("Status: 99\n\n",
	    "line 1, offset 0: \"Status: 99\" has no "
	    "status of three digits");
	refuse("Status: 1000\n\n",
	    "line 1, offset 0: \"Status: 1000\" has no "
	    "status of three digits");
	refuse("Status: 099\n\n",
	    "line 1, offset 0: \"Status: 099\" has no "
	    "status of three digits");
	refuse("Status: 404X\n\n",
	    "line 1, offset 0: \"Status: 404X\" has no "
	    "status of three digits");
	refuse("Status: -20\n\n",
	    "line 1, offset 0: \"Status: -20\" has no "
	    "status of three digits");
}

static void
test_item_58_content_type(void **state)
{
	struct cgi_response r;

	(void)state;
	parse(&r, "X: y\n\n");
	assert_false(r.has_content_type);
	cgi_response_fini(&r);
	parse(&r, "content-TYPE: text/html\n\n");
	assert_true(r.has_content_type);
	cgi_response_fini(&r);
}

static void
test_item_59_no_header(void **state)
{
	(void)state;
	refuse_bytes("<html>\nhi\n\n", 11, REASON_NO_HEADER,
	    "the output begins with \"<html>\"");
	refuse_bytes("\nhi\n", 4, REASON_NO_HEADER,
	    "the output begins with an empty line");
	refuse_bytes("\r\n", 2, REASON_NO_HEADER,
	    "the output begins with an empty line");
	refuse_bytes("Traceback (most recent call last):\n  x\n\n", 40,
	    REASON_NO_HEADER,
	    "the output begins with \"Traceback (most recent call last):\"");
	refuse_bytes("\x7f"
		     "ELF\0\n\n",
	    7, REASON_NO_HEADER, "the output begins with \"\\x7fELF\\x00\"");
	refuse_bytes("0123456789012345678901234567890123456789012345678901\n\n",
	    54, REASON_NO_HEADER,
	    "the output begins with "
	    "\"012345678901234567890123456789012345678901234567...\"");
}

static void
test_items_59_60_has_field(void **state)
{
#define HAS(text) cgi_has_field(text, sizeof(text) - 1)
	(void)state;
	assert_true(HAS("Content-Type: text/html"));
	assert_true(HAS("Content-Type: text/html\r\n"));
	assert_true(HAS("Content-Type:"));
	assert_true(HAS("A : b\nfoo"));
	assert_true(HAS("HTTP/1.1 200 OK\n"));
	assert_false(HAS(""));
	assert_false(HAS("\n"));
	assert_false(HAS("\r\n"));
	assert_false(HAS("Hello"));
	assert_false(HAS("<!DOCTYPE html>: x"));
	assert_false(HAS("Hello world\nA: b\n"));
	assert_false(HAS(": b\n"));
#undef HAS
}

static void
test_items_61_62_absolute_location(void **state)
{
	(void)state;
	accept("Location: http://h/x?y#z\n\n",
	    "Status: 302 Found\r\nLocation: http://h/x?y#z\r\n\r\n");
	accept("Location: http://h/\nStatus: 303\nContent-Type: a/b\n\nbody",
	    "Status: 303 See Other\r\nLocation: http://h/\r\n"
	    "Content-Type: a/b\r\n\r\n");
	accept("Location: mailto:x@y\nContent-Type: a/b\n\nbody",
	    "Status: 302 Found\r\nLocation: mailto:x@y\r\n"
	    "Content-Type: a/b\r\n\r\n");
	accept("Status: 201\nLocation: /x\n\n",
	    "Status: 201 Created\r\nLocation: /x\r\n\r\n");
	assert_local("Location: http://h/\n\n", false, 302);
}

static void
test_item_63_local_location(void **state)
{
	struct cgi_response r;

	(void)state;
	assert_local("Location: /x\n\n", true, 302);
	assert_local("lOCATION:/\n\n", true, 302);
	assert_local("X-A:\nLocation: /x\n\n", true, 302);
	assert_local("<!--\nLocation: /x\n\n", true, 302);
	assert_local("Location: /x\nLocation: /y\n\n", true, 302);
	assert_local("Location: //h/x\n\n", false, 302);
	assert_local("Location: /x?y#z\n\n", false, 302);
	assert_local("Location: /x\nX-A: b\n\n", false, 302);
	assert_local("Content-Type: a/b\nLocation: /x\n\n", false, 302);
	assert_local("Location: /x\nContent-Length: 0\n\n", false, 302);
	assert_local("Location: /x\nConnection: close\n\n", false, 302);
	parse(&r, "Location: /x?y=%41&z\n\n");
	assert_string_equal(r.location, "/x?y=%41&z");
	assert_text(
	    &r.head, "Status: 302 Found\r\nLocation: /x?y=%41&z\r\n\r\n");
	cgi_response_fini(&r);
}

static void
test_item_64_local_location_with_status(void **state)
{
	(void)state;
	assert_local("Location: /x\nStatus: 302\n\n", false, 302);
	assert_local("Status: 307\nLocation: /x\n\n", false, 307);
	assert_local("HTTP/1.1 301 Moved\nLocation: /x\n\n", false, 301);
}

static void
test_item_65_relative_location(void **state)
{
	(void)state;
	accept_noted("Location: foo\n\n",
	    "Status: 302 Found\r\nLocation: foo\r\n\r\n",
	    "a relative redirect, sent as it is: \"Location: foo\"\n");
	accept_noted("Location: 1a:b\n\n",
	    "Status: 302 Found\r\nLocation: 1a:b\r\n\r\n",
	    "a relative redirect, sent as it is: \"Location: 1a:b\"\n");
	assert_local("Location: ?x\n\n", false, 302);
}

static void
test_item_66_several_kept(void **state)
{
	(void)state;
	accept("Set-Cookie: a=1\nSet-Cookie: b=2\nX: y\nSet-Cookie: a=3\n\n",
	    "Status: 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
	    "X: y\r\nSet-Cookie: a=3\r\n\r\n");
}

static void
test_items_67_72_removed(void **state)
{
	struct cgi_response r;

	(void)state;
	accept_noted("Transfer-Encoding: chunked\nconnection: close\n"
		     "Keep-Alive: 5\nProxy-Connection: a\nTE: b\nTrailer: c\n"
		     "Upgrade: d\nX-CGI-Foo: e\nX: y\n\n",
	    "Status: 200 OK\r\nX: y\r\n\r\n",
	    "removed the field \"Transfer-Encoding: chunked\"\n"
	    "removed the field \"connection: close\"\n"
	    "removed the field \"Keep-Alive: 5\"\n"
	    "removed the field \"Proxy-Connection: a\"\n"
	    "removed the field \"TE: b\"\n"
	    "removed the field \"Trailer: c\"\n"
	    "removed the field \"Upgrade: d\"\n"
	    "removed the field \"X-CGI-Foo: e\"\n");
	accept("X-CGIFoo: e\nTEA: f\n\n",
	    "Status: 200 OK\r\nX-CGIFoo: e\r\nTEA: f\r\n\r\n");
	parse(&r,
	    "X-Accel-Redirect: /a\nx-sendfile: /etc/passwd\n"
	    "X-Accel-Buffering: no\nX-LIGHTTPD-send-file: /x\n\n");
	assert_text(&r.head, "Status: 200 OK\r\n\r\n");
	cgi_response_fini(&r);
	parse_bytes(
	    &r, "X-Accel-Redirect: /a\nTE: b\nx-sendfile: /b\n\n", 44, true);
	assert_text(&r.head,
	    "Status: 200 OK\r\nX-Accel-Redirect: /a\r\n"
	    "x-sendfile: /b\r\n\r\n");
	cgi_response_fini(&r);
}

static void
test_item_68_content_length(void **state)
{
	struct cgi_response r;

	(void)state;
	parse(&r, "Content-Length: 5\ncontent-length: 005\nX: y\n\n");
	assert_int_equal(r.reason, REASON_NONE);
	assert_int_equal(r.content_length, 5);
	assert_text(
	    &r.head, "Status: 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\n");
	cgi_response_fini(&r);
	parse(&r, "X: y\n\n");
	assert_int_equal(r.content_length, -1);
	cgi_response_fini(&r);
	parse(&r, "Content-Length: 0\n\n");
	assert_int_equal(r.content_length, 0);
	cgi_response_fini(&r);
	parse(&r, "Content-Length: 922337203685477579\n\n");
	assert_true(r.content_length == 922337203685477579);
	cgi_response_fini(&r);
	refuse("Content-Length: 5\nContent-Length: 6\n\n",
	    "line 2, offset 18: \"Content-Length: 6\" contradicts an earlier "
	    "Content-Length");
	refuse("Content-Length: -5\n\n",
	    "line 1, offset 0: \"Content-Length: -5\" is not a length");
	refuse("Content-Length: 5, 5\n\n",
	    "line 1, offset 0: \"Content-Length: 5, 5\" is not a length");
	refuse("Content-Length: 0x5\n\n",
	    "line 1, offset 0: \"Content-Length: 0x5\" is not a length");
	refuse("Content-Length: 99999999999999999999\n\n",
	    "line 1, offset 0: \"Content-Length: 99999999999999999999\" is not "
	    "a length");
}

static void
test_item_70_no_body(void **state)
{
	struct cgi_response r;

	(void)state;
	assert_true(cgi_status_has_body(200));
	assert_false(cgi_status_has_body(204));
	assert_false(cgi_status_has_body(304));
	parse(&r, "Status: 204\nContent-Length: 5\n\n");
	assert_int_equal(r.content_length, -1);
	assert_text(&r.head, "Status: 204 No Content\r\n\r\n");
	cgi_response_fini(&r);
	accept("Status: 304\nContent-Length: 5\n\n",
	    "Status: 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
}

static void
test_item_71_interim(void **state)
{
	(void)state;
	refuse("Status: 100 Continue\n\n",
	    "line 1, offset 0: \"Status: 100 Continue\" is not a final status");
	refuse("Status: 199\n\n",
	    "line 1, offset 0: \"Status: 199\" is not a final status");
	refuse("HTTP/1.1 101 Switching Protocols\nUpgrade: x\n\n",
	    "line 1, offset 0: \"HTTP/1.1 101 Switching Protocols\" is not a "
	    "final status");
}

static void
test_item_73_dropped_lines(void **state)
{
	struct cgi_response r;
	char many[4096] = "A: b\n";
	int i;

	(void)state;
	accept_noted("<!--: spam\nContent-Type: text/html\n\n<body>",
	    "Status: 200 OK\r\nContent-Type: text/html\r\n\r\n",
	    "dropped the line \"<!--: spam\"\n");
	accept_noted("A: b\nno colon\n: c\nA\x01: d\nX\xc3\xa9: e\na b: c\n\n",
	    "Status: 200 OK\r\nA: b\r\n\r\n",
	    "dropped the line \"no colon\"\n"
	    "dropped the line \": c\"\n"
	    "dropped the line \"A\\x01: d\"\n"
	    "dropped the line \"X\\xc3\\xa9: e\"\n"
	    "dropped the line \"a b: c\"\n");
	/* The log is not flooded. */
	for (i = 0; i < 100; i++)
		strcat(many, "<noise>\n");
	strcat(many, "\n");
	parse(&r, many);
	assert_text(&r.head, "Status: 200 OK\r\nA: b\r\n\r\n");
	assert_true(r.notes.length < 2000);
	assert_memory_equal(
	    r.notes.data + r.notes.length - 19, "84 more like these\n", 19);
	cgi_response_fini(&r);
}

static void
test_item_74_controls(void **state)
{
	static const char nul[] = "X: a\0b\n\n";
	char text[] = "X: a?b\n\n";
	int c;

	(void)state;
	refuse_bytes(nul, sizeof(nul) - 1, REASON_BAD_HEADER,
	    "line 1, offset 0: \"X: a\\x00b\" has the control byte 0x00 at "
	    "offset 4");
	refuse("X: y\nSet-Cookie: a\rX-Evil: b\n\n",
	    "line 2, offset 5: \"Set-Cookie: a\\x0dX-Evil: b\" has the control "
	    "byte 0x0d at offset 18");
	refuse("X: y\r\r\n\n",
	    "line 1, offset 0: \"X: y\\x0d\" has the control byte 0x0d at "
	    "offset 4");
	refuse("Status: 200 O\x1bK\n\n",
	    "line 1, offset 0: \"Status: 200 O\\x1bK\" has the control byte "
	    "0x1b at offset 13");
	for (c = 1; c < 256; c++) {
		struct cgi_response r;

		if (c == '\n')
			continue;
		text[4] = (char)c;
		parse(&r, text);
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			assert_int_equal(r.reason, REASON_BAD_HEADER);
		else
			assert_int_equal(r.reason, REASON_NONE);
		cgi_response_fini(&r);
	}
}

static void
test_item_77_http_line(void **state)
{
	(void)state;
	accept("HTTP/1.1 404 Gone away\nX: y\n\n",
	    "Status: 404 Gone away\r\nX: y\r\n\r\n");
	accept("HTTP/1.0 200\r\n\r\n", "Status: 200 OK\r\n\r\n");
	accept("HTTP/2 403 \n\n", "Status: 403 Forbidden\r\n\r\n");
	accept_noted("HTTP/1.1 404 Gone away\nStatus: 200 OK\n\n",
	    "Status: 404 Gone away\r\n\r\n",
	    "a second status, dropped: \"Status: 200 OK\"\n");
	/* Only as the first line. */
	accept_noted("X: y\nHTTP/1.1 404 Gone\n\n",
	    "Status: 200 OK\r\nX: y\r\n\r\n",
	    "dropped the line \"HTTP/1.1 404 Gone\"\n");
	refuse("HTTP/1.1 abc\n\n",
	    "line 1, offset 0: \"HTTP/1.1 abc\" has no "
	    "status of three digits");
	refuse("HTTP/1.1\n\n",
	    "line 1, offset 0: \"HTTP/1.1\" has no status of three digits");
}

static void
test_large_header_is_noted(void **state)
{
	struct cgi_response r;
	char text[5000] = "X: ";

	(void)state;
	memset(text + 3, 'a', 4200);
	strcpy(text + 4203, "\n\n");
	assert_int_equal(cgi_parse_response(text, 4205, false, &r), 0);
	assert_int_equal(r.reason, REASON_NONE);
	assert_int_equal(r.head.length, 16 + 4205 + 2);
	assert_memory_equal(r.notes.data, "a header of 4223 bytes", 22);
	cgi_response_fini(&r);
}

static void
test_no_line_end(void **state)
{
	struct cgi_response r;

	(void)state;
	assert_int_equal(cgi_parse_response("X: y", 4, false, &r), 0);
	assert_text(&r.head, "Status: 200 OK\r\nX: y\r\n\r\n");
	cgi_response_fini(&r);
	assert_int_equal(cgi_parse_response(NULL, 0, false, &r), 0);
	assert_int_equal(r.reason, REASON_NO_HEADER);
	cgi_response_fini(&r);
	cgi_response_fini(&r);
}

static void
test_phrases(void **state)
{
	int status;

	(void)state;
	assert_string_equal(cgi_status_phrase(404), "Not Found");
	assert_string_equal(cgi_status_phrase(503), "Service Unavailable");
	for (status = -1; status < 1001; status++)
		assert_true(strlen(cgi_status_phrase(status)) > 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find_header_end),
	    cmocka_unit_test(test_item_51_line_ends),
	    cmocka_unit_test(test_items_52_53_order_and_case),
	    cmocka_unit_test(test_item_54_empty_field),
	    cmocka_unit_test(test_item_55_space_and_continuation),
	    cmocka_unit_test(test_item_56_duplicates),
	    cmocka_unit_test(test_item_57_status),
	    cmocka_unit_test(test_item_58_content_type),
	    cmocka_unit_test(test_item_59_no_header),
	    cmocka_unit_test(test_items_59_60_has_field),
	    cmocka_unit_test(test_items_61_62_absolute_location),
	    cmocka_unit_test(test_item_63_local_location),
	    cmocka_unit_test(test_item_64_local_location_with_status),
	    cmocka_unit_test(test_item_65_relative_location),
	    cmocka_unit_test(test_item_66_several_kept),
	    cmocka_unit_test(test_items_67_72_removed),
	    cmocka_unit_test(test_item_68_content_length),
	    cmocka_unit_test(test_item_70_no_body),
	    cmocka_unit_test(test_item_71_interim),
	    cmocka_unit_test(test_item_73_dropped_lines),
	    cmocka_unit_test(test_item_74_controls),
	    cmocka_unit_test(test_item_77_http_line),
	    cmocka_unit_test(test_large_header_is_noted),
	    cmocka_unit_test(test_no_line_end),
	    cmocka_unit_test(test_phrases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
