/*
 * cgi/response: the header block that a script prints (RFC 3875, section 6),
 * judged and rewritten.  Pure.
 */
#ifndef CGI_RESPONSE_H
#define CGI_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cgi/reason.h"

/*
 * cgi_find_header_end: the bytes of the header block of `data`, its empty line
 * included, or 0 if the empty line is not there yet.  `*scanned` starts at 0
 * and carries the work done from one call to the next, while `data` grows.
 */
size_t cgi_find_header_end(const char *data, size_t length, size_t *scanned);

struct cgi_response {
	enum reason reason; /* REASON_NONE, NO_HEADER or BAD_HEADER */
	char detail[160];   /* which line, offset and bytes; escaped */
	int status;
	int64_t content_length; /* -1 if the script announced none */
	bool has_content_type;
	bool is_local_redirect; /* "Location: /path" and no other field */
	char *location;		/* owned; NULL if there is none */
	struct buffer head;	/* owned; the block to send: "Status: 200 OK",
				   CRLF, fields, the empty line */
	struct buffer notes;	/* owned; what was dropped or doubtful, one
				   line each, escaped, for the log */
};

/*
 * cgi_parse_response: judge the `length` bytes of a whole header block, as
 * measured by cgi_find_header_end, and rewrite it into `response`, which the
 * caller ends with cgi_response_fini in every case.  `pass_accel` keeps
 * X-Accel-* and X-Sendfile.  Returns 0, or -1 (ENOMEM).
 *
 * `head` is empty unless `reason` is REASON_NONE.  A local redirect has the
 * head of a 302 too, for when no map takes it.  The content_length of a 304
 * (or of the answer to a HEAD) is not that of its body, which has none.
 */
int cgi_parse_response(const char *data, size_t length, bool pass_accel,
    struct cgi_response *response);
void cgi_response_fini(struct cgi_response *response);

/*
 * cgi_has_field: whether `data` begins with a line that could be a field of a
 * header block: it has the colon of one, or is "HTTP/1.1 ...".  Tells
 * REASON_NO_HEADER from a block that broke off.
 */
bool cgi_has_field(const char *data, size_t length);

/* cgi_status_phrase: "Not Found" for 404; never empty. */
const char *cgi_status_phrase(int status);

/* cgi_status_has_body: false for 204 and 304. */
bool cgi_status_has_body(int status);

#endif
