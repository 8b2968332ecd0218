/*
 * gateway/status: the pool's status page, answered by the gateway itself.
 */
#ifndef GATEWAY_STATUS_H
#define GATEWAY_STATUS_H

#include "gateway/core.h"

/*
 * status_answer: answer a whole request for the status page, without a worker
 * or a slot: HTML, or as its query says.  `r` may be freed on return.
 */
void status_answer(struct request *r);

#endif
