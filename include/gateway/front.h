/*
 * gateway/front: the connection to the front end, once a request is whole.
 */
#ifndef GATEWAY_FRONT_H
#define GATEWAY_FRONT_H

#include "gateway/core.h"

/* Bytes.  A response that begins with less is kept until its worker ends. */
#define FRONT_KEPT_MOST (16 * 1024)

/* front_begin: from now on the connection ends in an error, if it ends. */
void front_begin(struct request *r);

/* front_watch: notice when the front end goes away; reads nothing. */
void front_watch(struct request *r);

/*
 * front_send: send, or keep in r->out what is not taken at once.  Returns 0,
 * or -1 if the front end is gone or memory is out (errno).  Stops reading
 * stdout until everything is taken.
 *
 * The beginning of a short response is kept, too, while its worker is young.
 * front_keeps: so it is, and nothing was sent.  front_flush: send it now, with
 * the result of front_send; front_forget: never, it did not begin.
 */
int front_send(struct request *r, const char *data, size_t length);
bool front_keeps(const struct request *r);
int front_flush(struct request *r);
void front_forget(struct request *r);

/*
 * front_splice: like front_send, but of up to `length` bytes of a pipe, which
 * nobody looks at.  Returns how many, 0 at the end of the pipe, or -1 and
 * errno: EAGAIN if it has to be waited for, EINVAL if front_send has to do it.
 */
ssize_t front_splice(struct request *r, int pipe, size_t length);

/*
 * front_has_progressed: whether a front end that is waited for has taken
 * something since the last time; then it is not stalled any more.
 */
bool front_has_progressed(struct request *r);

/*
 * front_close: end a response that is whole, as the front end expects it:
 * what was held is read, and what is still coming is discarded for a while.
 */
void front_close(struct request *r);

/*
 * front_finish: the whole response was handed over: send what is kept of it,
 * and close.  front_fail: something could not be sent (errno).  May free `r`.
 */
void front_finish(struct request *r);
void front_fail(struct request *r);

/* front_break: close so that the front end sees an error, never an end. */
void front_break(struct request *r);

#endif
