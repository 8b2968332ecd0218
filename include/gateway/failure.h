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

/* request_introduced: the script is known: log what had to wait for it. */
void request_introduced(struct request *r);

#endif
