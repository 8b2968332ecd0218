/*
 * cgi/route: which path a request is for, and which maps cover it.
 *
 * A path that leaves here starts with '/', holds no "." and no ".." segment
 * and no NUL but the last.  "//" stays as it is, and "%2F" has become a '/',
 * as in a front end's DOCUMENT_URI.  Nothing here touches the file system.
 */
#include "cgi/route.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "scgi/request.h"

const char cgi_rule_no_memory[] = "out of memory";

static const char *
value_or_empty(const char *value)
{
	return value != NULL ? value : "";
}

/*
 * A front end that gives a decoded path has resolved its dot segments; one
 * that is left would mean something else to it than to us.
 */
static bool
has_dot_segment(const char *path)
{
	const char *segment;
	size_t length;

	for (segment = path; *segment != '\0'; segment += length) {
		segment += strspn(segment, "/");
		length = strcspn(segment, "/");
		if ((length == 1 || length == 2) &&
		    strspn(segment, ".") >= length)
			return true;
	}
	return false;
}

static const char *
append_given_path(const char *first, const char *second, struct buffer *path)
{
	size_t start = path->length;

	if (buffer_append_string(path, first) == -1 ||
	    buffer_append(path, second, strlen(second) + 1) == -1) {
		path->length = start;
		return cgi_rule_no_memory;
	}
	if (path->data[start] == '/' && !has_dot_segment(path->data + start))
		return NULL;
	path->length = start;
	if (path->data[start] != '/')
		return "the path does not start with '/'";
	return "the path has a \".\" or \"..\" segment";
}

/* RFC 9112, 3.2.2: the target may be absolute: "http://host/path?query". */
static const char *
append_uri_path(const char *uri, struct buffer *path)
{
	const char *authority;
	size_t length = strcspn(uri, "?#");

	authority = uri[0] == '/' ? NULL : strstr(uri, "://");
	if (authority != NULL && authority < uri + length) {
		authority += 3;
		length -= (size_t)(authority - uri);
		uri = memchr(authority, '/', length);
		if (uri == NULL)
			return cgi_decode_path("/", 1, path);
		length -= (size_t)(uri - authority);
	}
	return cgi_decode_path(uri, length, path);
}

const char *
cgi_request_path(const struct scgi_found *params, struct buffer *path)
{
	const char *name, *info, *uri;

	name = value_or_empty(params->value[SCGI_PARAM_SCRIPT_NAME]);
	info = value_or_empty(params->value[SCGI_PARAM_PATH_INFO]);
	if (*name != '\0' || *info != '\0') {
		/* A front end's way to say "mounted at the top". */
		if (strcmp(name, "/") == 0 && *info == '/')
			name = "";
		return append_given_path(name, info, path);
	}
	uri = params->value[SCGI_PARAM_DOCUMENT_URI];
	if (uri != NULL && *uri != '\0')
		return append_given_path(uri, "", path);
	uri = params->value[SCGI_PARAM_REQUEST_URI];
	if (uri != NULL && *uri != '\0')
		return append_uri_path(uri, path);
	return "no path: SCRIPT_NAME, PATH_INFO, DOCUMENT_URI and REQUEST_URI "
	       "are empty";
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

/*
 * RFC 3986, 5.2.4, in place, on what is decoded already, so that "%2e%2e" and
 * "..%2F" are seen as what they are.  `path` starts with '/'.
 */
static size_t
remove_dot_segments(char *path, size_t length)
{
	size_t in = 0, out = 0, end;
	bool dot, dotdot;

	while (in < length) {
		/* path[in] is the '/' before a segment. */
		for (end = in + 1; end < length && path[end] != '/'; end++)
			;
		dot = end - in == 2 && path[in + 1] == '.';
		dotdot =
		    end - in == 3 && path[in + 1] == '.' && path[in + 2] == '.';
		if (dotdot) {
			while (out > 0 && path[--out] != '/')
				;
		} else if (!dot) {
			memmove(path + out, path + in, end - in);
			out += end - in;
		}
		if ((dot || dotdot) && end == length)
			path[out++] = '/';
		in = end;
	}
	return out;
}

const char *
cgi_decode_path(const char *uri, size_t length, struct buffer *path)
{
	size_t i, n = 0;
	int high, low;
	char *out;

	if (length == 0 || uri[0] != '/')
		return "the path does not start with '/'";
	if (length == SIZE_MAX || buffer_reserve(path, length + 1) == -1)
		return cgi_rule_no_memory;
	out = path->data + path->length;
	for (i = 0; i < length; i++) {
		if (uri[i] == '\0')
			return "the path has a NUL";
		if (uri[i] != '%') {
			out[n++] = uri[i];
			continue;
		}
		high = i + 2 < length ? hex_value(uri[i + 1]) : -1;
		low = i + 2 < length ? hex_value(uri[i + 2]) : -1;
		if (high == -1 || low == -1)
			return "the path has a \"%\" that is not followed by "
			       "two hexadecimal digits";
		if (high == 0 && low == 0)
			return "the path has a \"%00\"";
		out[n++] = (char)(unsigned char)(high * 16 + low);
		i += 2;
	}
	n = remove_dot_segments(out, n);
	out[n++] = '\0';
	path->length += n;
	return NULL;
}

const char *
cgi_path_below(const char *prefix, const char *path)
{
	size_t length = strlen(prefix);

	while (length > 0 && prefix[length - 1] == '/')
		length--;
	if (strncmp(prefix, path, length) != 0)
		return NULL;
	path += length;
	return *path == '\0' || *path == '/' ? path : NULL;
}

bool
cgi_prefix_matches(const char *prefix, const char *path)
{
	return cgi_path_below(prefix, path) != NULL;
}

/* The bytes of `host` without its port and without the root's final dot. */
static size_t
host_name_length(const char *host)
{
	const char *end;
	size_t length;

	if (host[0] == '[' && (end = strchr(host, ']')) != NULL)
		return (size_t)(end - host) + 1;
	length = strcspn(host, ":");
	if (length > 0 && host[length - 1] == '.')
		length--;
	return length;
}

bool
cgi_host_matches(const char *pattern, const char *host)
{
	const char *end = host + host_name_length(host);
	const char *star = NULL, *resume = NULL;

	/* Not fnmatch: a '[' here begins an IPv6 address. */
	while (host < end) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = host;
		} else if (*pattern != '\0' &&
		    (*pattern == '?' || strncasecmp(pattern, host, 1) == 0)) {
			pattern++;
			host++;
		} else if (star != NULL) {
			pattern = star;
			host = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
