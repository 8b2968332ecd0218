/*
 * gateway/schedule: worker slots, and the queue for them.
 */
#ifndef GATEWAY_SCHEDULE_H
#define GATEWAY_SCHEDULE_H

#include "gateway/core.h"

/*
 * schedule_add: queue a whole request, behind all others or, for a local
 * redirect, in front of them.  It may start, or fail, within this call: do not
 * use `r` after it.
 */
void schedule_add(struct request *r, bool at_head);

/* schedule_remove: take a request out of the queue, if it is in it. */
void schedule_remove(struct request *r);

/* schedule_release: give back the slot of a run that is over. */
void schedule_release(struct request *r);

/* schedule_dispatch: start as many waiting requests as there are slots. */
void schedule_dispatch(struct gateway *g);

#endif
