/*
 * gateway/failure: what the log says of a request that failed.
 */
#ifndef GATEWAY_FAILURE_H
#define GATEWAY_FAILURE_H

#include "gateway/core.h"

/*
 * request_log_failure: say once why the request failed.  `detail` is escaped
 * already; it may be NULL.  A worker that has just been started is first asked
 * for its script.
 */
void request_log_failure(struct request *r, const char *detail);

/*
 * failure_on_timer: for g->full_timer.  Of requests that found the queue full
 * the first has a line of its own and those of the next second are summed up,
 * if the access log names each.  failure_sum_up: do so now.
 */
void failure_on_timer(evutil_socket_t fd, short what, void *gateway);
void failure_sum_up(struct gateway *g);

/* request_introduced: the script is known: log what had to wait for it. */
void request_introduced(struct request *r);

#endif
