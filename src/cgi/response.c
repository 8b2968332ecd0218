/*
 * cgi/response: a script's header block, judged and written anew.
 *
 * Nothing of the block is sent as it came.  What leaves is "Status: NNN
 * phrase" and one line for each field that was understood, so that a front
 * end never sees a byte whose meaning we did not decide (nginx reads past its
 * buffer on a split "HTTP/1.1" line, and loses the text of a phraseless one).
 */
#include "cgi/response.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cgi/field.h"

/* A script may print a megabyte of nonsense; the log needs its beginning. */
#define NOTES_MAX 16

/* A quoted line: bytes of it that are shown, and the room that takes. */
#define EXCERPT_BYTES 48
#define EXCERPT_SIZE  80

/* A front end with 4 KB pages takes no more by default. */
#define FRONT_END_HEADER 4096

struct parser {
	struct cgi_response *response; /* borrowed */
	struct buffer fields;	       /* owned; "Name: value" CRLF */
	const char *block;
	const char *line;
	size_t line_length;
	unsigned line_number; /* counts from 1 */
	unsigned field_count; /* that were sent by the script, not empty */
	unsigned location_count;
	unsigned field_like; /* lines that are meant to be one; 0: no header */
	unsigned note_count;
	bool pass_accel;
	bool failed;	    /* out of memory */
	const char *phrase; /* borrowed from the block; NULL: none given */
	size_t phrase_length;
};

size_t
cgi_find_header_end(const char *data, size_t length, size_t *scanned)
{
	const char *newline;
	size_t i;

	while (*scanned < length) {
		newline = memchr(data + *scanned, '\n', length - *scanned);
		if (newline == NULL)
			break;
		/* The line before this line end is empty or only a CR. */
		i = (size_t)(newline - data);
		*scanned = i;
		if (i > 0 && data[i - 1] == '\r')
			i--;
		if (i == 0 || data[i - 1] == '\n')
			return *scanned + 1;
		++*scanned;
	}
	*scanned = length;
	return 0;
}

/* The line as it may stand in a log, cut; `out` has EXCERPT_SIZE bytes. */
static const char *
excerpt(char *out, const char *line, size_t length)
{
	size_t shown = length > EXCERPT_BYTES ? EXCERPT_BYTES : length, n;

	log_escape(out, EXCERPT_SIZE - 3, line, shown);
	n = strlen(out);
	if (length > shown || n + 8 > EXCERPT_SIZE)
		memcpy(out + n, "...", 4);
	return out;
}

__attribute__((format(printf, 2, 3))) static void
note(struct parser *p, const char *format, ...)
{
	struct buffer *notes = &p->response->notes;
	char text[256];
	va_list ap;

	if (++p->note_count > NOTES_MAX)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (buffer_append_string(notes, text) == -1 ||
	    buffer_append(notes, "\n", 1) == -1)
		p->failed = true;
}

static void
note_line(struct parser *p, const char *what)
{
	char text[EXCERPT_SIZE];

	note(p, "%s \"%s\"", what, excerpt(text, p->line, p->line_length));
}

/* The first thing that is wrong is told; `what` completes a sentence. */
__attribute__((format(printf, 2, 3))) static void
reject(struct parser *p, const char *format, ...)
{
	struct cgi_response *r = p->response;
	char text[EXCERPT_SIZE], what[128];
	va_list ap;

	if (r->reason != REASON_NONE)
		return;
	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	r->reason = REASON_BAD_HEADER;
	snprintf(r->detail, sizeof(r->detail), "line %u, offset %zu: \"%s\" %s",
	    p->line_number, (size_t)(p->line - p->block),
	    excerpt(text, p->line, p->line_length), what);
}

/* "404", "404 Gone away"; false if it is neither. */
static bool
parse_status(struct parser *p, const struct cgi_field *field)
{
	const char *v = field->value;
	size_t i, length = field->value_length;
	int status = 0;

	for (i = 0; i < length && v[i] >= '0' && v[i] <= '9' && i < 3; i++)
		status = status * 10 + (v[i] - '0');
	if (i != 3 || (length > 3 && v[3] != ' ' && v[3] != '\t'))
		return false;
	while (i < length && (v[i] == ' ' || v[i] == '\t'))
		i++;
	p->response->status = status;
	p->phrase_length = length - i;
	p->phrase = p->phrase_length > 0 ? v + i : NULL;
	return true;
}

static void
take_status(struct parser *p, const struct cgi_field *field)
{
	if (p->response->status != 0)
		note_line(p, "a second status, dropped:");
	else if (!parse_status(p, field) || p->response->status < 100)
		reject(p, "has no status of three digits");
	else if (p->response->status < 200)
		reject(p, "is not a final status");
}

static void
take_content_length(struct parser *p, const struct cgi_field *field)
{
	struct cgi_response *r = p->response;
	int64_t n = 0;
	size_t i;
	char c;

	for (i = 0; i < field->value_length; i++) {
		c = field->value[i];
		if (c < '0' || c > '9' || n > (INT64_MAX - 9) / 10) {
			reject(p, "is not a length");
			return;
		}
		n = n * 10 + (c - '0');
	}
	if (r->content_length != -1 && r->content_length != n) {
		reject(p, "contradicts an earlier Content-Length");
		return;
	}
	r->content_length = n;
}

/* RFC 3986, 3.1: begins with a scheme. */
static bool
is_absolute_uri(const char *s)
{
	size_t i;

	for (i = 0; s[i] != '\0' && s[i] != ':'; i++) {
		if ((s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= 'a' && s[i] <= 'z'))
			continue;
		if (i == 0 || strchr("0123456789+-.", s[i]) == NULL)
			return false;
	}
	return i > 0 && s[i] == ':';
}

static void
send_field(struct parser *p, const struct cgi_field *field)
{
	struct buffer *b = &p->fields;

	if (buffer_append(b, field->name, field->name_length) == -1 ||
	    buffer_append(b, ": ", 2) == -1 ||
	    buffer_append(b, field->value, field->value_length) == -1 ||
	    buffer_append(b, "\r\n", 2) == -1)
		p->failed = true;
}

static void
take_location(struct parser *p, const struct cgi_field *field)
{
	struct cgi_response *r = p->response;

	p->location_count++;
	if (r->location != NULL) {
		note_line(p, "a second Location, dropped:");
		return;
	}
	r->location = malloc(field->value_length + 1);
	if (r->location == NULL) {
		p->failed = true;
		return;
	}
	memcpy(r->location, field->value, field->value_length);
	r->location[field->value_length] = '\0';
	if (r->location[0] != '/' && !is_absolute_uri(r->location))
		note_line(p, "a relative redirect, sent as it is:");
	send_field(p, field);
}

static void
take_field(struct parser *p, const struct cgi_field *field)
{
	/* RFC 3875, 6.3: a field without a value is as if not sent. */
	if (field->value_length == 0)
		return;
	p->field_count++;
	if (cgi_field_is(field, "Status")) {
		take_status(p, field);
	} else if (cgi_field_is(field, "Location")) {
		take_location(p, field);
	} else if (cgi_field_is(field, "Content-Length")) {
		take_content_length(p, field);
	} else if (cgi_field_is_for_us(field) ||
	    (!p->pass_accel && cgi_field_is_accel(field))) {
		note_line(p, "removed the field");
	} else if (!cgi_field_is(field, "Content-Type")) {
		send_field(p, field);
	} else if (p->response->has_content_type) {
		note_line(p, "a second Content-Type, dropped:");
	} else {
		p->response->has_content_type = true;
		send_field(p, field);
	}
}

static void
take_line(struct parser *p)
{
	struct cgi_field field;
	enum cgi_line kind;

	kind = cgi_field_parse(p->line, p->line_length, &field);
	if (kind == CGI_LINE_STATUS && p->line_number > 1)
		kind = CGI_LINE_OTHER;
	if (kind != CGI_LINE_OTHER && kind != CGI_LINE_CONTINUATION)
		p->field_like++;
	switch (kind) {
	case CGI_LINE_FIELD:
		take_field(p, &field);
		break;
	case CGI_LINE_STATUS:
		p->field_count++;
		take_status(p, &field);
		break;
	case CGI_LINE_OTHER:
		note_line(p, "dropped the line");
		break;
	case CGI_LINE_CONTINUATION:
		reject(p, "begins with a space or a tab");
		break;
	case CGI_LINE_SPACE_BEFORE_COLON:
		reject(p, "has a space before the colon");
		break;
	case CGI_LINE_CONTROL:
		reject(p, "has the control byte 0x%02x at offset %zu",
		    (unsigned)(unsigned char)*field.control,
		    (size_t)(field.control - p->block));
		break;
	}
}

/* Step through the lines, up to the empty one. */
static void
take_block(struct parser *p, const char *data, size_t length)
{
	const char *end, *newline;

	if (length == 0)
		return;
	end = data + length;
	p->block = data;
	for (p->line = data; p->line < end; p->line = newline + 1) {
		newline = memchr(p->line, '\n', (size_t)(end - p->line));
		if (newline == NULL)
			newline = end;
		p->line_length = (size_t)(newline - p->line);
		if (newline < end && p->line_length > 0 && newline[-1] == '\r')
			p->line_length--;
		if (p->line_length == 0)
			break;
		p->line_number++;
		take_line(p);
		if (newline == end)
			break;
	}
}

static void
reject_no_header(struct parser *p, const char *data, size_t length)
{
	struct cgi_response *r = p->response;
	char text[EXCERPT_SIZE];
	const char *newline;

	r->reason = REASON_NO_HEADER;
	if (p->line_number == 0) {
		snprintf(r->detail, sizeof(r->detail),
		    "the output begins with an empty line");
		return;
	}
	newline = memchr(data, '\n', length);
	if (newline != NULL)
		length = (size_t)(newline - data);
	snprintf(r->detail, sizeof(r->detail), "the output begins with \"%s\"",
	    excerpt(text, data, length));
}

/* Decide what was left open, once all fields are known. */
static void
conclude(struct parser *p)
{
	struct cgi_response *r = p->response;

	/*
	 * RFC 3875, 6.2.2: one field, a path; "//host/x" names a host, and
	 * "#x" a place in the page, which only the client can go to.
	 */
	r->is_local_redirect = r->location != NULL &&
	    p->field_count == p->location_count && r->location[0] == '/' &&
	    r->location[1] != '/' && strchr(r->location, '#') == NULL;
	if (r->status == 0)
		r->status = r->location != NULL ? 302 : 200;
	/* RFC 9110, 8.6: a 204 must not have one; of a 304 it tells. */
	if (r->status == 204 && r->content_length != -1) {
		note(p, "removed the Content-Length of a 204");
		r->content_length = -1;
	}
}

static void
write_head(struct parser *p)
{
	struct cgi_response *r = p->response;
	struct buffer *head = &r->head;
	const char *phrase = p->phrase;
	size_t length = p->phrase_length;
	char content_length[48] = "";

	if (phrase == NULL) {
		phrase = cgi_status_phrase(r->status);
		length = strlen(phrase);
	}
	if (r->content_length != -1)
		snprintf(content_length, sizeof(content_length),
		    "Content-Length: %" PRId64 "\r\n", r->content_length);
	if (buffer_reserve(head, p->fields.length + length + 80) == -1 ||
	    buffer_printf(head, "Status: %03d ", r->status) == -1 ||
	    buffer_append(head, phrase, length) == -1 ||
	    buffer_append(head, "\r\n", 2) == -1 ||
	    buffer_append(head, p->fields.data, p->fields.length) == -1 ||
	    buffer_append_string(head, content_length) == -1 ||
	    buffer_append(head, "\r\n", 2) == -1)
		p->failed = true;
	else if (head->length >= FRONT_END_HEADER)
		note(p,
		    "a header of %zu bytes: nginx refuses it unless "
		    "scgi_buffer_size is larger",
		    head->length);
}

int
cgi_parse_response(const char *data, size_t length, bool pass_accel,
    struct cgi_response *response)
{
	struct parser p = {.response = response, .pass_accel = pass_accel};

	memset(response, 0, sizeof(*response));
	response->content_length = -1;
	take_block(&p, data, length);
	if (p.field_like == 0)
		reject_no_header(&p, data, length);
	if (response->reason == REASON_NONE) {
		conclude(&p);
		write_head(&p);
	}
	if (p.note_count > NOTES_MAX &&
	    buffer_printf(&response->notes, "%u more like these\n",
		p.note_count - NOTES_MAX) == -1)
		p.failed = true;
	buffer_fini(&p.fields);
	if (!p.failed)
		return 0;
	errno = ENOMEM;
	return -1;
}

void
cgi_response_fini(struct cgi_response *response)
{
	free(response->location);
	response->location = NULL;
	buffer_fini(&response->head);
	buffer_fini(&response->notes);
}

bool
cgi_has_field(const char *data, size_t length)
{
	const char *newline;
	struct cgi_field field;

	newline = length > 0 ? memchr(data, '\n', length) : NULL;
	if (newline != NULL)
		length = (size_t)(newline - data);
	if (length > 0 && data[length - 1] == '\r')
		length--;
	switch (cgi_field_parse(data, length, &field)) {
	case CGI_LINE_OTHER:
	case CGI_LINE_CONTINUATION:
		return false;
	default:
		return true;
	}
}
