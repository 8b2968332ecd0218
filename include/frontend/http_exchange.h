/*
 * frontend/http_exchange: one HTTP request at the SCGI server.
 */
#ifndef FRONTEND_HTTP_EXCHANGE_H
#define FRONTEND_HTTP_EXCHANGE_H

#include "base/buffer.h"

struct event_base;
struct evhttp_request;

/*
 * http_exchange_start: send `header` (an SCGI netstring) and the body of
 * `request` to `fd`, then relay the response.  Takes ownership of `fd`, on
 * failure too, and answers `request` in every case.
 */
void http_exchange_start(struct event_base *base,
    struct evhttp_request *request, int fd, const struct buffer *header);

#endif
