/*
 * cgi/field: what a single line of a header block is.  What a block of them
 * means is response.c's business.
 */
#include "cgi/field.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2 */
static bool
is_token_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* Bytes from 0x80 on are text in some encoding (RFC 9110, 5.5: obs-text). */
static const char *
find_control(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\t') ||
		    text[i] == 0x7f)
			return text + i;
	return NULL;
}

static enum cgi_line
set_value(struct cgi_field *field, const char *value, const char *end,
    enum cgi_line kind)
{
	while (value < end && is_space(*value))
		value++;
	while (value < end && is_space(end[-1]))
		end--;
	field->value = value;
	field->value_length = (size_t)(end - value);
	field->control = find_control(value, field->value_length);
	return field->control != NULL ? CGI_LINE_CONTROL : kind;
}

/* The bytes of "HTTP/1.1" at the start of a line, or 0. */
static size_t
http_version_length(const char *line, size_t length)
{
	size_t i;

	if (length < 6 || memcmp(line, "HTTP/", 5) != 0)
		return 0;
	for (i = 5; i < length; i++)
		if ((line[i] < '0' || line[i] > '9') && line[i] != '.')
			break;
	if (i == 5 || (i < length && !is_space(line[i])))
		return 0;
	return i;
}

enum cgi_line
cgi_field_parse(const char *line, size_t length, struct cgi_field *field)
{
	const char *end = line + length;
	size_t n;

	memset(field, 0, sizeof(*field));
	if (length > 0 && is_space(line[0]))
		return CGI_LINE_CONTINUATION;
	n = http_version_length(line, length);
	if (n > 0)
		return set_value(field, line + n, end, CGI_LINE_STATUS);
	for (n = 0; n < length && is_token_byte(line[n]); n++)
		;
	if (n == 0 || n == length)
		return CGI_LINE_OTHER;
	field->name = line;
	field->name_length = n;
	if (line[n] == ':')
		return set_value(field, line + n + 1, end, CGI_LINE_FIELD);
	while (n < length && is_space(line[n]))
		n++;
	if (n < length && line[n] == ':')
		return CGI_LINE_SPACE_BEFORE_COLON;
	return CGI_LINE_OTHER;
}

bool
cgi_field_is(const struct cgi_field *field, const char *name)
{
	return strlen(name) == field->name_length &&
	    strncasecmp(field->name, name, field->name_length) == 0;
}

static bool
has_prefix(const struct cgi_field *field, const char *prefix)
{
	size_t length = strlen(prefix);

	return field->name_length >= length &&
	    strncasecmp(field->name, prefix, length) == 0;
}

bool
cgi_field_is_for_us(const struct cgi_field *field)
{
	static const char *const names[] = {"Connection", "Keep-Alive",
	    "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
	    "Upgrade"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (cgi_field_is(field, names[i]))
			return true;
	return has_prefix(field, "X-CGI-");
}

bool
cgi_field_is_accel(const struct cgi_field *field)
{
	return has_prefix(field, "X-Accel-") ||
	    has_prefix(field, "X-Sendfile") || has_prefix(field, "X-LIGHTTPD-");
}
