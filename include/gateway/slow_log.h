/*
 * gateway/slow_log: where the time of a slow request went.
 */
#ifndef GATEWAY_SLOW_LOG_H
#define GATEWAY_SLOW_LOG_H

#include "gateway/core.h"

/*
 * slow_log_due: when to look at the worker of `r`, in clock_now's time; 0:
 * never, or it was done.  slow_log_inspect: ask its launcher for the processes.
 */
int64_t slow_log_due(const struct request *r);
void slow_log_inspect(struct request *r);

/* slow_log_take: they are here, as the launcher sees them. */
void slow_log_take(struct request *r, const char *tree);

/* slow_log_write: log `r`, which is over at `now`, if it was slow. */
void slow_log_write(const struct request *r, int64_t now);

#endif
