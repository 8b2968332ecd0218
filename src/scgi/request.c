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

/* Indexed by enum scgi_param. */
static const struct {
	size_t length;
	const char *name;
} wanted_params[SCGI_PARAM_COUNT] = {
#define NAME(text)                     \
	{                              \
		sizeof(text) - 1, text \
	}
    NAME("SCGI"),
    NAME("REQUEST_METHOD"),
    NAME("REQUEST_URI"),
    NAME("DOCUMENT_URI"),
    NAME("SCRIPT_NAME"),
    NAME("PATH_INFO"),
    NAME("QUERY_STRING"),
    NAME("REMOTE_ADDR"),
    NAME("HTTP_HOST"),
    NAME("HTTP_X_REQUEST_ID"),
#undef NAME
};

/* The enum scgi_param of a name whose value follows it, or SCGI_PARAM_COUNT. */
static size_t
number_of(const char *name, const char *value)
{
	size_t length = (size_t)(value - name) - 1, i;

	for (i = 0; i < SCGI_PARAM_COUNT; i++)
		if (wanted_params[i].length == length &&
		    memcmp(wanted_params[i].name, name, length) == 0)
			break;
	return i;
}

static void
note_duplicate(struct scgi_header *h, const char *name)
{
	if (strncmp(name, "HTTP_", 5) == 0)
		h->rule = "a header field occurs twice";
	else
		strncpy(h->duplicate, name, sizeof(h->duplicate) - 1);
}

/* Names that are not of enum scgi_param: how many, and the first of them. */
struct names {
	size_t count;
	const char *first[128];
	uint64_t marks[16]; /* a bit for what names are like */
	bool may_repeat;
};

/* A name that occurs twice has the same mark twice; few others have. */
static void
take_name(struct names *names, const char *name, size_t length)
{
	size_t mark = length * 5 + (unsigned char)name[length - 1] * 11U +
	    (unsigned char)name[length / 2] * 61U;
	uint64_t *marks = &names->marks[mark / 64 % 16];
	uint64_t bit = UINT64_C(1) << mark % 64;

	if (names->count < sizeof(names->first) / sizeof(name))
		names->first[names->count] = name;
	names->count++;
	if ((*marks & bit) != 0)
		names->may_repeat = true;
	*marks |= bit;
}

/* One more parameter of the block. */
static void
take_param(struct scgi_header *h, struct names *others, const char *name,
    const char *value)
{
	size_t number = number_of(name, value);

	if (number == SCGI_PARAM_COUNT) {
		take_name(others, name, (size_t)(value - name) - 1);
	} else if (h->found.value[number] == NULL) {
		h->found.value[number] = value;
	} else {
		note_duplicate(h, name);
	}
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
static int
find_duplicates(struct scgi_header *h, struct names *others)
{
	const char *cursor = h->params, *end = h->params + h->params_length;
	const char **names = others->first, *value;
	size_t count = others->count, n = 0;

	if (count > sizeof(others->first) / sizeof(others->first[0])) {
		if ((names = calloc(count, sizeof(*names))) == NULL)
			return -1;
		while (n < count &&
		    scgi_next_param(&cursor, end, &names[n], &value))
			if (number_of(names[n], value) == SCGI_PARAM_COUNT)
				n++;
	}
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 1; i < count; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			note_duplicate(h, names[i]);
	if (names != others->first)
		free(names);
	return 0;
}

static enum scgi_result
parse_params(struct scgi_header *h)
{
	const char *cursor = h->params, *end = h->params + h->params_length;
	const char *name, *value;
	struct names others;
	bool is_first = true;

	others.count = 0;
	others.may_repeat = false;
	memset(others.marks, 0, sizeof(others.marks));
	if (h->params_length == 0)
		return bad(h, "header is empty");
	if (end[-1] != '\0')
		return bad(h, "header does not end with a NUL");
	if (strcmp(h->params, "CONTENT_LENGTH") != 0)
		return bad(h, "first parameter is not CONTENT_LENGTH");
	while (scgi_next_param(&cursor, end, &name, &value)) {
		if (*name == '\0')
			return bad(h, "a parameter has an empty name");
		if (is_first &&
		    parse_content_length(value, &h->content_length) == -1)
			return bad(h, "CONTENT_LENGTH is not a length");
		is_first = false;
		take_param(h, &others, name, value);
	}
	if (cursor != end)
		return bad(h, "a parameter has no value");
	value = h->found.value[SCGI_PARAM_SCGI];
	if (value == NULL || strcmp(value, "1") != 0)
		return bad(h, "parameter SCGI is not 1");
	if (others.may_repeat && find_duplicates(h, &others) == -1)
		return SCGI_NO_MEMORY;
	return h->rule != NULL ? SCGI_BAD : SCGI_DONE;
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
	if ((result = parse_params(h)) != SCGI_DONE)
		/* For the log: whatever can be found. */
		scgi_find_params(h->params, h->params_length, &h->found);
	return result;
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

void
scgi_find_params(
    const char *params, size_t params_length, struct scgi_found *found)
{
	const char *cursor = params, *name, *value;
	size_t number;

	memset(found, 0, sizeof(*found));
	while (
	    scgi_next_param(&cursor, params + params_length, &name, &value)) {
		number = number_of(name, value);
		if (number < SCGI_PARAM_COUNT && found->value[number] == NULL)
			found->value[number] = value;
	}
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
