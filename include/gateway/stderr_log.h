/*
 * gateway/stderr_log: what a worker writes to stderr, line by line to the log.
 * Bounded: each request may log so many lines and so many a second; the rest
 * is counted.
 */
#ifndef GATEWAY_STDERR_LOG_H
#define GATEWAY_STDERR_LOG_H

#include "gateway/core.h"

/*
 * stderr_log_start: take over the read end of a worker's stderr.  It is not
 * read before stderr_log_watch or the end: until then the pipe holds it.
 */
int stderr_log_start(struct request *r, int fd);

/* stderr_log_watch: read it as it comes, now that its script is known. */
void stderr_log_watch(struct request *r);

/* stderr_log_drain: take what is there now, without waiting. */
void stderr_log_drain(struct request *r);

/* stderr_log_stop: drain, close and free. */
void stderr_log_stop(struct request *r);

/* stderr_log_last: the last lines, escaped; never NULL. */
const char *stderr_log_last(const struct request *r);

#endif
