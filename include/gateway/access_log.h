/*
 * gateway/access_log: one line a request.
 */
#ifndef GATEWAY_ACCESS_LOG_H
#define GATEWAY_ACCESS_LOG_H

#include "gateway/core.h"

/* access_log_write: log a request that is over. */
void access_log_write(const struct request *r);

#endif
