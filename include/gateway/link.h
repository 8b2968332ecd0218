/*
 * gateway/link: the gateway's side of the launcher protocol.
 */
#ifndef GATEWAY_LINK_H
#define GATEWAY_LINK_H

#include "gateway/core.h"

/* link_start: begin to use `fd`, a message socket, owned from here on. */
int link_start(struct gateway *g, struct link *link, int fd);
void link_stop(struct link *link);

/*
 * link_choose: where the worker of `r` should start, or NULL: none has room.
 * One launcher has all the fork servers, so that there is one of each, and is
 * asked once in a second for those that there cannot be; all share the rest by
 * their load.
 */
struct link *link_choose(struct gateway *g, struct request *r);

/*
 * link_run: ask for a worker.  `stdio` stays the caller's.  0, or -1 with
 * errno; on EAGAIN schedule_dispatch is called once there is room again.
 */
int link_run(struct link *link, struct request *r, const int stdio[3]);

/* link_signal: 0 asks whether the worker runs.  0, or -1 with errno. */
int link_signal(struct request *r, int signal_number);

/* link_inspect: ask for the processes of the worker, if it still runs. */
void link_inspect(struct request *r);

#endif
