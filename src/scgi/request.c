/*
 * scgi/request.c: the wire format.  Works on the bytes that are there, keeps
 * no state, allocates only to find duplicates in an unusually long block.
 */
#include "scgi/request.h"

#include <stdlib.h>
#include <string.h>

/* Digits of the largest length that is worth reading. */
#define LENGTH_DIGITS_MAX 9

static enum scgi_result
bad(struct scgi_header *h, const char *rule)
{
	h->rule = rule;
	return SCGI_BAD;
}

/* The netstring's length; `*digits` is where the ':' stands. */
static enum scgi_result
parse_length(const char *data, size_t length, struct scgi_header *h,
    size_t *value, size_t *digits)
{
	size_t i, n = 0;

	for (i = 0; i < length && data[i] != ':'; i++) {
		if (data[i] < '0' || data[i] > '9')
			return bad(h, "netstring length is not a number");
		if (i == 1 && data[0] == '0')
			return bad(h, "netstring length has a leading zero");
		if (i == LENGTH_DIGITS_MAX)
			return bad(h, "netstring length is too long");
		n = n * 10 + (size_t)(data[i] - '0');
	}
	if (i == length)
		return SCGI_MORE;
	if (i == 0)
		return bad(h, "netstring length is missing");
	*value = n;
	*digits = i;
	return SCGI_DONE;
}

static int
parse_content_length(const char *text, int64_t *value)
{
	int64_t n = 0;

	if (*text == '\0')
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		if (n > (INT64_MAX - 9) / 10)
			return -1;
		n = n * 10 + (*text - '0');
	}
	*value = n;
	return 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * Sort the names: comparing each with each would let a peer buy 10^8
 * comparisons with one block of short ones.
 */
static enum scgi_result
find_duplicates(struct scgi_header *h, size_t count)
{
	const char *few[128], **names = few;
	const char *cursor = h->params, *end = h->params + h->params_length;
	const char *value;
	enum scgi_result result = SCGI_DONE;

	if (count > sizeof(few) / sizeof(few[0]) &&
	    (names = calloc(count, sizeof(*names))) == NULL)
		return SCGI_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		scgi_next_param(&cursor, end, &names[i], &value);
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 1; i < count && result == SCGI_DONE; i++) {
		if (strcmp(names[i - 1], names[i]) != 0)
			continue;
		if (strncmp(names[i], "HTTP_", 5) == 0)
			result = bad(h, "a header field occurs twice");
		else
			strncpy(
			    h->duplicate, names[i], sizeof(h->duplicate) - 1);
	}
	if (names != few)
		free(names);
	return result;
}

static enum scgi_result
parse_params(struct scgi_header *h)
{
	const char *cursor = h->params, *end = h->params + h->params_length;
	const char *name, *value;
	size_t count = 0;

	if (h->params_length == 0)
		return bad(h, "header is empty");
	if (end[-1] != '\0')
		return bad(h, "header does not end with a NUL");
	if (strcmp(h->params, "CONTENT_LENGTH") != 0)
		return bad(h, "first parameter is not CONTENT_LENGTH");
	while (scgi_next_param(&cursor, end, &name, &value)) {
		if (*name == '\0')
			return bad(h, "a parameter has an empty name");
		if (count++ == 0 &&
		    parse_content_length(value, &h->content_length) == -1)
			return bad(h, "CONTENT_LENGTH is not a length");
	}
	if (cursor != end)
		return bad(h, "a parameter has no value");
	value = scgi_get_param(h->params, h->params_length, "SCGI");
	if (value == NULL || strcmp(value, "1") != 0)
		return bad(h, "parameter SCGI is not 1");
	return find_duplicates(h, count);
}

enum scgi_result
scgi_parse_header(
    const char *data, size_t length, size_t max, struct scgi_header *h)
{
	size_t value, digits;
	enum scgi_result result;

	memset(h, 0, sizeof(*h));
	result = parse_length(data, length, h, &value, &digits);
	if (result != SCGI_DONE)
		return result;
	if (value > max)
		return SCGI_TOO_LARGE;
	h->size = digits + 1 + value + 1;
	if (length < h->size)
		return SCGI_MORE;
	if (data[h->size - 1] != ',')
		return bad(h, "netstring does not end with a comma");
	h->params = data + digits + 1;
	h->params_length = value;
	return parse_params(h);
}

bool
scgi_next_param(
    const char **cursor, const char *end, const char **name, const char **value)
{
	const char *name_end, *value_end;

	if (*cursor >= end)
		return false;
	name_end = memchr(*cursor, '\0', (size_t)(end - *cursor));
	if (name_end == NULL || name_end + 1 >= end)
		return false;
	value_end = memchr(name_end + 1, '\0', (size_t)(end - name_end - 1));
	if (value_end == NULL)
		return false;
	*name = *cursor;
	*value = name_end + 1;
	*cursor = value_end + 1;
	return true;
}

const char *
scgi_get_param(const char *params, size_t params_length, const char *wanted)
{
	const char *cursor = params, *name, *value;

	while (scgi_next_param(&cursor, params + params_length, &name, &value))
		if (strcmp(name, wanted) == 0)
			return value;
	return NULL;
}

bool
scgi_check_params(const char *params, size_t params_length)
{
	const char *cursor = params, *end = params + params_length;
	const char *name, *value;

	while (scgi_next_param(&cursor, end, &name, &value))
		if (*name == '\0')
			return false;
	return cursor == end;
}

int
scgi_write_param(struct buffer *b, const char *name, const char *value)
{
	if (buffer_append(b, name, strlen(name) + 1) == -1)
		return -1;
	return buffer_append(b, value, strlen(value) + 1);
}

int
scgi_write_header(struct buffer *b, const struct buffer *params)
{
	if (buffer_printf(b, "%zu:", params->length) == -1 ||
	    buffer_append(b, params->data, params->length) == -1)
		return -1;
	return buffer_append(b, ",", 1);
}
