/*
 * launcher/fork_servers: the fork servers of a launcher: which there are, when
 * one starts, what it serves, when it is replaced.
 *
 * Whatever fails here ends in "serve it with exec", and a line in the log.
 */
#ifndef LAUNCHER_FORK_SERVERS_H
#define LAUNCHER_FORK_SERVERS_H

#include <poll.h>

#include "launcher/core.h"

/*
 * fork_servers_run: give a request to the fork server for it.  True if that has
 * it, and `w` is added; false if it is to be served with exec, and w->refused
 * is set if there can be none.  One that is missing or has to be replaced is
 * started for those that follow.
 */
bool fork_servers_run(struct launcher *l, const struct config_map *map,
    const struct launcher_command *c, struct worker *w, const int stdio[3]);

/* fork_servers_prestart: start those of the maps that say so. */
void fork_servers_prestart(struct launcher *l);

/* How many descriptors fork_servers_poll tells at most, per process. */
#define FORK_SERVERS_POLL 3

/*
 * fork_servers_count: the processes.
 * fork_servers_poll: what to wait for; how many descriptors. fork_servers_tend:
 * act upon it, and on the time.  fork_servers_deadline: when to do that at the
 * latest, 0: whenever.
 */
size_t fork_servers_count(const struct launcher *l);
size_t fork_servers_poll(struct launcher *l, struct pollfd *fds, size_t size);
void fork_servers_tend(struct launcher *l, bool is_readable);
int64_t fork_servers_deadline(struct launcher *l);

/*
 * fork_servers_reaped: a child was reaped.  Returns the worker that it was, if
 * a fork server started it, or else `known`.
 */
struct worker *fork_servers_reaped(
    struct launcher *l, pid_t pid, int status, struct worker *known);

/* fork_servers_own: whether `pid` is a fork server or a worker of one. */
bool fork_servers_own(struct launcher *l, pid_t pid);

/* fork_servers_end: kill and forget them all. */
void fork_servers_end(struct launcher *l);

#endif
