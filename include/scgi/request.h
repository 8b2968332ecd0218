/*
 * scgi/request: the SCGI wire format (specification of 2008), both directions.
 * Pure: bytes in, verdict out.
 */
#ifndef SCGI_REQUEST_H
#define SCGI_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum scgi_result {
	SCGI_MORE, /* valid so far, not whole */
	SCGI_DONE,
	SCGI_BAD,	/* `rule` says which rule it breaks */
	SCGI_TOO_LARGE, /* announces more than `max` bytes */
	SCGI_NO_MEMORY
};

/* Parameters that we ask for, found in one pass. */
enum scgi_param {
	SCGI_PARAM_SCGI,
	SCGI_PARAM_REQUEST_METHOD,
	SCGI_PARAM_REQUEST_URI,
	SCGI_PARAM_DOCUMENT_URI,
	SCGI_PARAM_SCRIPT_NAME,
	SCGI_PARAM_PATH_INFO,
	SCGI_PARAM_QUERY_STRING,
	SCGI_PARAM_REMOTE_ADDR,
	SCGI_PARAM_HTTP_HOST,
	SCGI_PARAM_HTTP_X_REQUEST_ID,
	SCGI_PARAM_COUNT
};

/* The value of the first of each; NULL: there is none.  Borrowed. */
struct scgi_found {
	const char *value[SCGI_PARAM_COUNT];
};

struct scgi_header {
	const char *params; /* borrowed: "NAME\0value\0" repeated */
	size_t params_length;
	struct scgi_found found; /* in params */
	int64_t content_length;	 /* of the body */
	size_t size;		 /* bytes of the netstring, comma included; with
				    SCGI_MORE the bytes it will have, 0 if unknown */
	const char *rule;	 /* static; set with SCGI_BAD */
	char duplicate[64];	 /* name of a repeated parameter, or "" */
};

/*
 * scgi_parse_header: judge the first `length` bytes of a connection.  `max` is
 * the largest netstring accepted, in bytes between ':' and ','.
 *
 * Splitting the input anywhere gives the same verdict.  A repeated parameter
 * is named in `duplicate` (the first one counts); a repeated HTTP_* is BAD.
 */
enum scgi_result scgi_parse_header(
    const char *data, size_t length, size_t max, struct scgi_header *header);

/*
 * scgi_next_param: step through a valid parameter block.  Start with
 * `*cursor` = params.  Returns false at the end.
 */
bool scgi_next_param(const char **cursor, const char *end, const char **name,
    const char **value);

/* scgi_find_params: find those of enum scgi_param in a valid block. */
void scgi_find_params(
    const char *params, size_t params_length, struct scgi_found *found);

/* scgi_get_param: the value of the first `name`, or NULL. */
const char *
scgi_get_param(const char *params, size_t params_length, const char *name);

/* scgi_check_params: whether a block is "NAME\0value\0" throughout. */
bool scgi_check_params(const char *params, size_t params_length);

/*
 * scgi_write_param: append "name\0value\0".  scgi_write_header: append the
 * netstring of a block whose first name is CONTENT_LENGTH.  0, or -1 (ENOMEM).
 */
int scgi_write_param(struct buffer *b, const char *name, const char *value);
int scgi_write_header(struct buffer *b, const struct buffer *params);

#endif
