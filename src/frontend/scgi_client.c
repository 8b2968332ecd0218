/*
 * frontend/scgi_client: the client's side of SCGI.  Owns no descriptor and no
 * state: each function stands alone.
 */
#include "frontend/scgi_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fd.h"
#include "scgi/request.h"

static const char *
parse_unix(struct scgi_target *target, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&target->address;
	size_t length = strlen(path);

	if (path[0] != '/')
		return "the path of a Unix socket begins with '/'";
	if (length >= sizeof(un->sun_path))
		return "the path is too long for a Unix socket";
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, length + 1);
	target->length = sizeof(*un);
	return NULL;
}

static bool
parse_port(const char *text, in_port_t *port)
{
	unsigned long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (*end != '\0' || errno != 0 || value > 65535)
		return false;
	*port = htons((in_port_t)value);
	return true;
}

const char *
scgi_client_parse_target(struct scgi_target *target, const char *text)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&target->address;
	struct sockaddr_in *in = (struct sockaddr_in *)&target->address;
	const char *colon = strrchr(text, ':');
	char host[64];
	bool is_v6 = text[0] == '[';
	size_t length;

	memset(target, 0, sizeof(*target));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(target, text + 5);
	if (colon == NULL || colon == text || (is_v6 && colon[-1] != ']'))
		return "neither unix:/PATH nor ADDRESS:PORT nor [V6]:PORT";
	length = (size_t)(colon - text) - (is_v6 ? 2 : 0);
	if (length >= sizeof(host))
		return "the address is not numeric";
	memcpy(host, text + (is_v6 ? 1 : 0), length);
	host[length] = '\0';
	if (!parse_port(colon + 1, is_v6 ? &in6->sin6_port : &in->sin_port))
		return "the port is not a number from 0 to 65535";
	if (is_v6) {
		in6->sin6_family = AF_INET6;
		target->length = sizeof(*in6);
		if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
			return "the address is not numeric";
		return NULL;
	}
	in->sin_family = AF_INET;
	target->length = sizeof(*in);
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		return "the address is neither numeric nor \"localhost\"";
	return NULL;
}

int
scgi_client_connect(const struct scgi_target *target)
{
	int fd = socket(target->address.ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd != -1 &&
	    connect(fd, (const struct sockaddr *)&target->address,
		target->length) == -1 &&
	    errno != EINPROGRESS && errno != EINTR)
		fd_close(&fd);
	return fd;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decode %XX of `uri` into `out`, of the same size.  0 if it cannot be. */
static size_t
decode_escapes(char *out, const char *uri, size_t length)
{
	size_t used = 0, i;

	for (i = 0; i < length; i++, used++) {
		out[used] = uri[i];
		if (uri[i] != '%')
			continue;
		if (length - i < 3 || hex_value(uri[i + 1]) == -1 ||
		    hex_value(uri[i + 2]) == -1)
			return 0;
		out[used] =
		    (char)(hex_value(uri[i + 1]) << 4 | hex_value(uri[i + 2]));
		if (out[used] == '\0')
			return 0;
		i += 2;
	}
	return used;
}

/*
 * Take ".", ".." and empty segments out of `path`, which begins with '/', in
 * place, as nginx does to $document_uri.  False if it leads above the root.
 */
static bool
normalise_path(char *path, size_t length)
{
	size_t used = 0, start = 0, end;

	while (start < length) {
		start++; /* the '/' */
		for (end = start; end < length && path[end] != '/'; end++)
			;
		if (end == start || (end == start + 1 && path[start] == '.')) {
			if (end == length)
				path[used++] = '/';
		} else if (end == start + 2 && path[start] == '.' &&
		    path[start + 1] == '.') {
			if (used == 0)
				return false;
			while (path[--used] != '/')
				;
			if (end == length)
				path[used++] = '/';
		} else {
			path[used++] = '/';
			memmove(path + used, path + start, end - start);
			used += end - start;
		}
		start = end;
	}
	path[used] = '\0';
	return true;
}

static int
write_document_uri(struct buffer *params, const char *uri, size_t length)
{
	char *path = malloc(length + 1);
	size_t used;
	int result = 0;

	if (path == NULL)
		return -1;
	used = decode_escapes(path, uri, length);
	if (used > 0 && path[0] == '/' && normalise_path(path, used))
		result = scgi_write_param(params, "DOCUMENT_URI", path);
	free(path);
	return result;
}

static int
write_string(struct buffer *params, const char *name, const char *value)
{
	return scgi_write_param(params, name, value == NULL ? "" : value);
}

static int
write_number(struct buffer *params, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return scgi_write_param(params, name, text);
}

struct scgi_stock
scgi_client_stock(const char *uri)
{
	return (struct scgi_stock){.method = "GET",
	    .uri = uri,
	    .document_root = "/var/www",
	    .protocol = "HTTP/1.1",
	    .remote_address = "127.0.0.1",
	    .server_name = "localhost",
	    .remote_port = 49152,
	    .server_port = 80};
}

int
scgi_client_write_stock(struct buffer *params, const struct scgi_stock *stock)
{
	const char *query = strchr(stock->uri, '?');
	size_t path_length = strcspn(stock->uri, "?#");

	if (write_number(params, "CONTENT_LENGTH", stock->content_length) ==
		-1 ||
	    write_string(params, "REQUEST_METHOD", stock->method) == -1 ||
	    write_string(params, "REQUEST_URI", stock->uri) == -1 ||
	    write_string(
		params, "QUERY_STRING", query == NULL ? "" : query + 1) == -1 ||
	    write_string(params, "CONTENT_TYPE", stock->content_type) == -1 ||
	    write_document_uri(params, stock->uri, path_length) == -1 ||
	    write_string(params, "DOCUMENT_ROOT", stock->document_root) == -1 ||
	    write_string(params, "SCGI", "1") == -1 ||
	    write_string(params, "SERVER_PROTOCOL", stock->protocol) == -1 ||
	    write_string(params, "REQUEST_SCHEME", "http") == -1 ||
	    write_string(params, "REMOTE_ADDR", stock->remote_address) == -1 ||
	    write_number(params, "REMOTE_PORT", stock->remote_port) == -1 ||
	    write_number(params, "SERVER_PORT", stock->server_port) == -1 ||
	    write_string(params, "SERVER_NAME", stock->server_name) == -1)
		return -1;
	return 0;
}

static bool
is_letter_or_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9');
}

static bool
is_token_char(char c)
{
	return is_letter_or_digit(c) ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

int
scgi_client_write_field(
    struct buffer *params, const char *name, const char *value)
{
	char variable[256] = "HTTP_";
	size_t used = 5;

	if (*name == '\0')
		return 0;
	for (; *name != '\0'; name++) {
		if (used == sizeof(variable) - 1 ||
		    (*name != '-' && !is_letter_or_digit(*name)))
			return 0;
		if (*name >= 'a' && *name <= 'z')
			variable[used++] = (char)(*name - 'a' + 'A');
		else
			variable[used++] = *name == '-' ? '_' : *name;
	}
	variable[used] = '\0';
	return scgi_write_param(params, variable, value);
}

/* The bytes of the block, its empty line included; 0 if that is not there. */
static size_t
find_head_end(const char *data, size_t length)
{
	const char *end = data + length, *line = data, *newline;

	while ((newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		if (newline == line || (newline == line + 1 && line[0] == '\r'))
			return (size_t)(newline + 1 - data);
		line = newline + 1;
	}
	return 0;
}

/* Read "404 Not Found"; the status stays 0 unless it begins with a number. */
static void
parse_status(struct scgi_head *head, const char *text, size_t length)
{
	size_t i;

	head->status = 0;
	head->phrase[0] = '\0';
	for (i = 0; i < 3; i++)
		if (i >= length || text[i] < '0' || text[i] > '9')
			return;
	if (length > 3 && text[3] != ' ')
		return;
	head->status =
	    (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
	if (length > 4)
		snprintf(head->phrase, sizeof(head->phrase), "%.*s",
		    (int)(length - 4 < 63 ? length - 4 : 63), text + 4);
}

static int64_t
parse_length(const char *text, size_t length)
{
	int64_t value = 0;
	size_t i;

	if (length == 0 || length > 18)
		return -1;
	for (i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

bool
scgi_client_parse_head(const char *data, size_t length, struct scgi_head *head)
{
	struct scgi_field field;
	size_t cursor = 0, size = find_head_end(data, length), line;
	bool has_status = false, has_length = false;

	if (size == 0)
		return false;
	memset(head, 0, sizeof(*head));
	head->size = size;
	head->status = 200;
	head->content_length = -1;
	if (size > 9 && strncmp(data, "HTTP/1.", 7) == 0) {
		line = strcspn(data, "\r\n");
		parse_status(head, data + 9, line > 9 ? line - 9 : 0);
		has_status = true;
	}
	while (scgi_client_next_field(data, size, &cursor, &field)) {
		if (!has_status && scgi_client_field_is(&field, "Status")) {
			parse_status(head, field.value, field.value_length);
			has_status = true;
		} else if (!has_status && head->status == 200 &&
		    scgi_client_field_is(&field, "Location")) {
			head->status = 302;
		} else if (!has_length &&
		    scgi_client_field_is(&field, "Content-Length")) {
			head->content_length =
			    parse_length(field.value, field.value_length);
			has_length = true;
		}
	}
	return true;
}

bool
scgi_client_next_field(
    const char *data, size_t size, size_t *cursor, struct scgi_field *field)
{
	const char *line, *end, *newline, *p;

	while (*cursor < size) {
		line = p = data + *cursor;
		newline = memchr(line, '\n', size - *cursor);
		end = newline == NULL ? data + size : newline;
		*cursor = (size_t)(end - data) + 1;
		while (p < end && is_token_char(*p))
			p++;
		if (p == line || p == end || *p != ':')
			continue;
		field->name = line;
		field->name_length = (size_t)(p - line);
		for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
			;
		while (end > p &&
		    (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
			end--;
		field->value = p;
		field->value_length = (size_t)(end - p);
		return true;
	}
	return false;
}

bool
scgi_client_field_is(const struct scgi_field *field, const char *name)
{
	return strlen(name) == field->name_length &&
	    strncasecmp(field->name, name, field->name_length) == 0;
}
