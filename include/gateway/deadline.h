/*
 * gateway/deadline: the deadlines of a request, and its worker's end.
 */
#ifndef GATEWAY_DEADLINE_H
#define GATEWAY_DEADLINE_H

#include "gateway/core.h"

/*
 * request_set_timer: fail, or go on, in `ms` milliseconds, as the state says;
 * 0: never.  request_set_deadline: the same at the next of a running request's
 * deadlines.
 */
void request_set_timer(struct request *r, int64_t ms);
void request_set_deadline(struct request *r);

/* request_on_timer: libevent's callback.  `arg` is the request. */
void request_on_timer(evutil_socket_t fd, short what, void *arg);

/* request_is_answering: whether the response is still to be made or sent. */
bool request_is_answering(const struct request *r);

/* request_has_worker: whether a worker was asked for and is not yet reaped. */
bool request_has_worker(const struct request *r);

/* request_is_young: it has one, which nobody has asked yet who it is. */
bool request_is_young(const struct request *r);

/* request_ask_worker: ask its launcher whether it runs, and who it is. */
bool request_ask_worker(struct request *r);

/* request_stop_worker: SIGTERM now, SIGKILL after kill_grace. */
void request_stop_worker(struct request *r);

#endif
