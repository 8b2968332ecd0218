/*
 * frontend/scgi_client: what scgi-request and the HTTP front end share: where
 * to connect, the parameters that nginx's stock scgi_params would send, and
 * the header block of the response.
 */
#ifndef FRONTEND_SCGI_CLIENT_H
#define FRONTEND_SCGI_CLIENT_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct scgi_target {
	struct sockaddr_storage address;
	socklen_t length;
};

/*
 * scgi_client_parse_target: "unix:/path", "ADDRESS:PORT" or "[v6]:PORT", where
 * an address is numeric or "localhost" (127.0.0.1).  Returns NULL, or what is
 * wrong (a static string).
 */
const char *
scgi_client_parse_target(struct scgi_target *target, const char *text);

/*
 * scgi_client_connect: a non-blocking socket (the caller's) that is connected
 * or about to be: it becomes writable then.  -1 and errno.
 */
int scgi_client_connect(const struct scgi_target *target);

/* What the stock parameters are made of; NULL stands for "". */
struct scgi_stock {
	const char *method;
	const char *uri; /* begins with '/'; may have a query */
	const char *content_type;
	const char *document_root;
	const char *protocol; /* "HTTP/1.1" */
	const char *remote_address;
	const char *server_name;
	unsigned remote_port;
	unsigned server_port;
	uint64_t content_length;
};

/*
 * scgi_client_stock: a GET of `uri` by a client on this machine, which has no
 * web server to take the rest from.  `uri` is borrowed.
 */
struct scgi_stock scgi_client_stock(const char *uri);

/*
 * scgi_client_write_stock: append CONTENT_LENGTH and what nginx's stock
 * scgi_params holds for plain HTTP.  DOCUMENT_URI is left out if the path of
 * `uri` cannot be decoded, so that the server judges it.  0, or -1 (ENOMEM).
 */
int
scgi_client_write_stock(struct buffer *params, const struct scgi_stock *stock);

/*
 * scgi_client_write_field: append a request header field as HTTP_NAME.  One
 * whose name has other bytes than letters, digits and '-' is dropped, as nginx
 * does.  0, or -1 (ENOMEM).
 */
int scgi_client_write_field(
    struct buffer *params, const char *name, const char *value);

struct scgi_head {
	size_t size;		/* bytes of the block, empty line included */
	int status;		/* as nginx derives it; 0 if malformed */
	char phrase[64];	/* of the status line, or "" */
	int64_t content_length; /* -1: none, or not a number */
};

/*
 * scgi_client_parse_head: read the header block (RFC 3875, 6.2; also one that
 * begins with an HTTP status line) at the start of `data`.  Returns whether
 * its empty line is there; `head` is set only then.
 */
bool
scgi_client_parse_head(const char *data, size_t length, struct scgi_head *head);

struct scgi_field {
	const char *name; /* borrowed from the block, as is `value` */
	size_t name_length;
	const char *value; /* trimmed */
	size_t value_length;
};

/*
 * scgi_client_next_field: step through a block of `size` bytes, from `*cursor`
 * = 0.  Lines that are no field are passed over.  Returns false at the end.
 */
bool scgi_client_next_field(
    const char *data, size_t size, size_t *cursor, struct scgi_field *field);

/* scgi_client_field_is: whether its name is `name`, case ignored. */
bool scgi_client_field_is(const struct scgi_field *field, const char *name);

#endif
