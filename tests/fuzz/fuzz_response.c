/*
 * Fuzz target: what a script prints, through the response-header parser.
 *
 * Whatever goes in, what would go to the front end is a well-formed block, the
 * same one however the output was split, and one that we would send again.
 */
#include "cgi/response.h"

#include <string.h>

#include "require.h"

/* One "Name: value" a line, CRLF, no control byte, the empty line last. */
static void
check_head(const struct buffer *head)
{
	const char *line = head->data, *end = line + head->length;
	const char *next, *colon, *c;

	REQUIRE(head->length >= 17);
	REQUIRE(memcmp(line, "Status: ", 8) == 0);
	REQUIRE(line[8] >= '2' && line[8] <= '9' && line[11] == ' ');
	REQUIRE((unsigned char)line[12] > ' ');
	for (; end - line > 2; line = next + 2) {
		next = memchr(line, '\r', (size_t)(end - line));
		REQUIRE(next != NULL && end - next >= 4 && next[1] == '\n');
		colon = memchr(line, ':', (size_t)(next - line));
		REQUIRE(colon != NULL && colon > line && colon[1] == ' ');
		REQUIRE(next - colon > 2);
		for (c = line; c < colon; c++)
			REQUIRE(*c > ' ' && *c < 0x7f);
		for (; c < next; c++)
			REQUIRE((unsigned char)*c >= ' ' || *c == '\t');
	}
	REQUIRE(end - line == 2 && line[0] == '\r' && line[1] == '\n');
}

/* For the log: printable lines. */
static void
check_notes(const struct cgi_response *r)
{
	size_t i;

	for (i = 0; i < r->notes.length; i++)
		REQUIRE(r->notes.data[i] == '\n' ||
		    (r->notes.data[i] >= ' ' && r->notes.data[i] < 0x7f));
	REQUIRE(r->notes.length < 8192);
	for (i = 0; r->detail[i] != '\0'; i++)
		REQUIRE(r->detail[i] >= ' ' && r->detail[i] < 0x7f);
	REQUIRE(i < sizeof(r->detail));
	REQUIRE((r->reason == REASON_NONE) == (i == 0));
}

/* What we send is what we would send for it. */
static void
check_again(const struct cgi_response *first, bool pass_accel)
{
	struct cgi_response again;

	REQUIRE(cgi_parse_response(first->head.data, first->head.length,
		    pass_accel, &again) == 0);
	REQUIRE(again.reason == REASON_NONE);
	REQUIRE(again.status == first->status);
	REQUIRE(again.content_length == first->content_length);
	REQUIRE(again.has_content_type == first->has_content_type);
	REQUIRE(again.head.length == first->head.length);
	REQUIRE(
	    memcmp(again.head.data, first->head.data, first->head.length) == 0);
	cgi_response_fini(&again);
}

static void
check_block(const char *data, size_t length, bool pass_accel)
{
	struct cgi_response r;

	REQUIRE(cgi_parse_response(data, length, pass_accel, &r) == 0);
	REQUIRE(r.reason == REASON_NONE || r.reason == REASON_NO_HEADER ||
	    r.reason == REASON_BAD_HEADER);
	check_notes(&r);
	if (r.reason == REASON_NONE) {
		REQUIRE(r.status >= 200 && r.status <= 999);
		REQUIRE(r.content_length >= -1);
		REQUIRE(!r.is_local_redirect ||
		    (r.location != NULL && r.location[0] == '/' &&
			r.status == 302));
		check_head(&r.head);
		check_again(&r, pass_accel);
	} else {
		REQUIRE(r.head.length == 0 && !r.is_local_redirect);
	}
	cgi_response_fini(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes;
	size_t whole = 0, grown = 0, end, found = 0, length;

	if (size == 0)
		return 0;
	end = cgi_find_header_end(data, size, &whole);
	REQUIRE(end <= size);
	for (length = 0; length <= size && found == 0; length++)
		found = cgi_find_header_end(data, length, &grown);
	REQUIRE(found == end && (end == 0 || length == end + 1));
	(void)cgi_has_field(data, size);
	/* Without its end too: nothing may rely on one. */
	check_block(data, end != 0 ? end : size, false);
	check_block(data, end != 0 ? end : size, true);
	return 0;
}
