/*
 * cgi/route: from the parameters of a request to a path, from a path to a map.
 * Pure.
 */
#ifndef CGI_ROUTE_H
#define CGI_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "scgi/request.h"

/* The rule that stands for a failure of ours, not of the request. */
extern const char cgi_rule_no_memory[];

/*
 * cgi_request_path: append the decoded request path and a NUL to `path`.
 *
 * It is SCRIPT_NAME + PATH_INFO if either is given (not empty), else
 * DOCUMENT_URI, else the path of REQUEST_URI, decoded and without its dot
 * segments.  Returns NULL, or the rule that is broken (a static string) with
 * `path` as it was: no path at all, not starting with '/', "%00", a bad "%"
 * escape, a "." or ".." segment where it is given decoded, out of memory.
 */
const char *
cgi_request_path(const struct scgi_found *params, struct buffer *path);

/*
 * cgi_decode_path: append `length` bytes of `uri` to `path`, %-decoded, with
 * its dot segments removed (RFC 3986, 5.2.4; also those that were escaped),
 * and a NUL.  `uri` starts with '/' and has no query.  "%2F" becomes '/'; "//"
 * stays.  NULL, or the rule that is broken and `path` as it was.
 */
const char *
cgi_decode_path(const char *uri, size_t length, struct buffer *path);

/*
 * cgi_prefix_matches: whether `prefix` covers `path` on a segment boundary:
 * "/cgi" covers "/cgi" and "/cgi/x", not "/cgi-x"; "/" covers everything.
 */
bool cgi_prefix_matches(const char *prefix, const char *path);

/*
 * cgi_path_below: what follows `prefix` in a `path` that it covers: "" or a
 * string that starts with '/', within `path`.  NULL if it does not cover it.
 */
const char *cgi_path_below(const char *prefix, const char *path);

/*
 * cgi_host_matches: whether `pattern` (a name, or a glob such as
 * "*.example.org"; case is ignored) matches `host`, whose port and final dot
 * are ignored.
 */
bool cgi_host_matches(const char *pattern, const char *host);

#endif
