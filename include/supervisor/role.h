/*
 * supervisor/role: the processes of a pool.  A team is a gateway and its
 * launchers: each launcher belongs to one gateway and ends with it.
 */
#ifndef SUPERVISOR_ROLE_H
#define SUPERVISOR_ROLE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/listener.h"
#include "supervisor/pulse.h"

struct role {
	pid_t pid;	     /* -1: not running */
	int64_t started_at;  /* clock_now */
	int64_t ended_at;    /* 0: it has not */
	int64_t start_at;    /* when to start it again */
	int64_t delay;	     /* microseconds; doubles while it dies early */
	bool has_ended_well; /* the last time; of a launcher: was told to */
};

struct team {
	struct pool_state *pool; /* borrowed */
	struct role gateway;
	int control; /* to the gateway, owned; -1 while it does not run */
	struct role *launchers; /* owned */
	unsigned launcher_count;
	struct pulse pulse;
};

struct pool_state {
	const struct config *config;	/* borrowed */
	const struct config_pool *pool; /* borrowed */
	struct listening *listening;	/* owned */
	size_t listening_count;
	int access_log;	    /* owned; -1: the log */
	int counters;	    /* owned; the gateways' shared memory, or -1 */
	struct team *teams; /* owned */
	unsigned team_count;
};

/*
 * pool_state_open: the access log, and room for listeners and teams, none of
 * which it opens or starts.  It goes on with `counters`, which are borrowed, of
 * as many gateways; -1: from 0.  0, or -1, logged; pool_state_close in any
 * case.
 */
int pool_state_open(struct pool_state *p, const struct config *config,
    const struct config_pool *pool, int counters);
void pool_state_close(struct pool_state *p);

/* pool_open_access_log: a descriptor, -1 if the pool logs to no file. */
int pool_open_access_log(const struct config_pool *pool);

/*
 * team_start: fork the gateway and its launchers.  team_start_launcher: fork
 * launcher `i` alone and hand it to the gateway.  0, or -1, logged.
 */
int team_start(struct team *t);
int team_start_launcher(struct team *t, unsigned i);

/* role_throttle: it died: set when it may start again. */
void role_throttle(struct role *role);

/*
 * role_become_*: take the user of a role; nothing changes unless root.
 * Exits on failure.
 */
void role_become_gateway(const struct config *config);
void role_become_launcher(const struct config_pool *pool);

/* role_other_user: whether scripts run as another user than gateways. */
bool
role_other_user(const struct config *config, const struct config_pool *pool);

#endif
