/*
 * request: the bytes of the GET that the load generator sends, with the sort of
 * headers that a browser sends.  They abort when there is no memory.
 */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

#include "base/buffer.h"

void request_write_http(struct buffer *out, const char *uri);
void request_write_scgi(struct buffer *out, const char *uri);

#endif
