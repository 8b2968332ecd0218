#include "answer.h"

#include <string.h>
#include <strings.h>

#define ANSWER_MAX_HEAD (64 * 1024)

void
answer_begin(struct answer *a, bool is_http)
{
	struct buffer head = a->head;

	head.length = 0;
	*a = (struct answer){.is_http = is_http, .head = head};
}

static bool
value_is(const struct scgi_field *field, const char *value)
{
	return strlen(value) == field->value_length &&
	    strncasecmp(field->value, value, field->value_length) == 0;
}

/* How the body of an HTTP response ends (RFC 9112, 6.3). */
static void
frame_http(struct answer *a, const struct scgi_head *head)
{
	struct scgi_field field;
	size_t cursor = 0;
	bool is_chunked = false;

	a->keeps = strncmp(a->head.data, "HTTP/1.1", 8) == 0;
	while (
	    scgi_client_next_field(a->head.data, head->size, &cursor, &field)) {
		if (scgi_client_field_is(&field, "Transfer-Encoding"))
			is_chunked = value_is(&field, "chunked");
		else if (scgi_client_field_is(&field, "Connection") &&
		    value_is(&field, "close"))
			a->keeps = false;
	}
	if (head->status == 204 || head->status == 304)
		a->state = ANSWER_WHOLE;
	else if (is_chunked)
		a->state = ANSWER_CHUNK_SIZE;
	else if (head->content_length >= 0)
		a->state = ANSWER_COUNTED;
	else
		a->state = ANSWER_TO_END;
}

/* Returns how many of the bytes belong to the head. */
static size_t
take_head(struct answer *a, const char *data, size_t length)
{
	struct scgi_head head;
	size_t before = a->head.length, room = ANSWER_MAX_HEAD - before;

	length = length < room ? length : room;
	if (buffer_append(&a->head, data, length) == -1) {
		a->state = ANSWER_BAD;
		return length;
	}
	if (!scgi_client_parse_head(a->head.data, a->head.length, &head)) {
		if (length == room)
			a->state = ANSWER_BAD;
		return length;
	}
	a->status = head.status;
	a->left = head.content_length < 0 ? 0 : (uint64_t)head.content_length;
	if (a->is_http)
		frame_http(a, &head);
	else
		a->state = ANSWER_TO_END;
	if (a->state == ANSWER_COUNTED && a->left == 0)
		a->state = ANSWER_WHOLE;
	return head.size - before;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of what is between the data of two chunks (RFC 9112, 7.1). */
static void
take_between(struct answer *a, char c)
{
	if (a->state == ANSWER_CHUNK_SIZE && hex_digit(c) != -1) {
		a->left = a->left * 16 + (uint64_t)hex_digit(c);
		return;
	}
	if (a->state == ANSWER_TRAILER && c != '\n') {
		a->line_bytes += c != '\r';
		return;
	}
	if (c != '\n') {
		if (a->state == ANSWER_CHUNK_SIZE && c != '\r')
			a->state = ANSWER_CHUNK_EXTENSION;
		return;
	}
	if (a->state == ANSWER_CHUNK_END)
		a->state = ANSWER_CHUNK_SIZE;
	else if (a->state == ANSWER_TRAILER)
		a->state = a->line_bytes == 0 ? ANSWER_WHOLE : ANSWER_TRAILER;
	else
		a->state = a->left == 0 ? ANSWER_TRAILER : ANSWER_CHUNK_DATA;
	a->line_bytes = 0;
}

static size_t
take_counted(struct answer *a, size_t length)
{
	size_t taken = length < a->left ? length : (size_t)a->left;

	a->left -= taken;
	a->length += taken;
	if (a->left == 0)
		a->state = a->state == ANSWER_COUNTED ? ANSWER_WHOLE
						      : ANSWER_CHUNK_END;
	return taken;
}

enum answer_state
answer_take(struct answer *a, const char *data, size_t length)
{
	size_t used = 0;

	while (used < length && a->state != ANSWER_BAD) {
		switch (a->state) {
		case ANSWER_HEAD:
			used += take_head(a, data + used, length - used);
			break;
		case ANSWER_COUNTED:
		case ANSWER_CHUNK_DATA:
			used += take_counted(a, length - used);
			break;
		case ANSWER_TO_END:
			a->length += length - used;
			used = length;
			break;
		case ANSWER_WHOLE:
			a->state = ANSWER_BAD;
			break;
		default:
			take_between(a, data[used++]);
		}
	}
	return a->state;
}

bool
answer_end(struct answer *a)
{
	/* SCGI: the announced length, if there is one, is a promise. */
	if (a->state == ANSWER_TO_END && (a->left == 0 || a->length == a->left))
		a->state = ANSWER_WHOLE;
	return a->state == ANSWER_WHOLE;
}

void
answer_fini(struct answer *a)
{
	buffer_fini(&a->head);
}
