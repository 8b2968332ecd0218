/*
 * supervisor/generation: everything that one configuration has made.  A reload
 * makes a new one beside it, which takes over the sockets that stay; the old
 * one drains: its requests end under the configuration they began with.
 */
#ifndef SUPERVISOR_GENERATION_H
#define SUPERVISOR_GENERATION_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/role.h"

struct generation {
	TAILQ_ENTRY(generation) entry;
	struct config *config;	  /* owned */
	struct pool_state *pools; /* owned */
	size_t pool_count;
	bool is_ending; /* its gateways have been told to end */
};

TAILQ_HEAD(generation_list, generation);

#define FOR_EACH_TEAM(g, p, t)                                                \
	for (struct pool_state *p = (g)->pools;                               \
	     p < (g)->pools + (g)->pool_count; p++)                           \
		for (struct team *t = p->teams; t < p->teams + p->team_count; \
		     t++)

/*
 * generation_new: open what `config` asks for: logs, and listeners, but for
 * those that `previous` (may be NULL) has open already.  Starts nothing and
 * changes nothing that is there.  `config` becomes its own on success.
 *
 * Returns NULL, with all that is wrong logged.
 */
struct generation *
generation_new(struct config *config, const struct generation *previous);

/*
 * generation_take_over: make the sockets it shares with `previous` its own,
 * and tell the gateways of `previous` to end when they are idle.
 */
void generation_take_over(struct generation *g, struct generation *previous);

/* generation_free: close and free; the socket files that are its own go. */
void generation_free(struct generation *g);

/*
 * generation_revive: start what is down and due.  A team whose gateway died is
 * started whole, once its launchers have noticed and are gone too; while the
 * generation ends only launchers, which a gateway that drains still needs.
 * Returns when the next is due (clock_now), 0: none.
 */
int64_t generation_revive(struct generation *g);

/*
 * generation_end_launchers: kill launchers that have not ended although their
 * gateway has, after a while.  Returns when the next is due, 0: none.
 */
int64_t generation_end_launchers(struct generation *g);

/* generation_close_listeners: nobody can connect any more. */
void generation_close_listeners(struct generation *g);

/* generation_has_roles: whether any process of it runs. */
bool generation_has_roles(const struct generation *g);

/* generation_drain: tell every gateway to end when it is idle. */
void generation_drain(struct generation *g);

/* generation_stop: end every gateway now, and so its launchers. */
void generation_stop(struct generation *g);

/* generation_kill: SIGKILL every role. */
void generation_kill(struct generation *g);

/* generation_reopen_logs: for log rotation; gateways are given the new ones. */
void generation_reopen_logs(struct generation *g);

/* generation_find: the role that `pid` is; false if it is none of this. */
bool generation_find(
    struct generation *g, pid_t pid, struct team **team, int *launcher);

#endif
