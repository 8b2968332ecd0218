/*
 * launcher/fork_server: one fork server, whatever process it is at a time.
 * Internal to fork_servers.c and fork_events.c.
 */
#ifndef LAUNCHER_FORK_SERVER_H
#define LAUNCHER_FORK_SERVER_H

#include "launcher/core.h"
#include "launcher/fork_process.h"
#include "launcher/watch.h"

#define SECOND INT64_C(1000000)

enum learning {
	LEARNING_NOT,
	LEARNING_ASKED,
	LEARNING_DONE
};

struct fork_server {
	TAILQ_ENTRY(fork_server) entry;
	struct buffer key;
	const struct config_map *map; /* borrowed; of its first request */
	enum config_start kind;
	char *program; /* owned */
	char *what;    /* owned; for people */
	struct fork_process *serving;
	struct fork_process *starting;
	struct watch_list refused; /* with one of these changed, try again */
	bool is_refused;
	int64_t retry_at;    /* 0: when they change; else then too */
	char *complaint;     /* owned; what was logged last of that kind */
	const char *overdue; /* why `serving` is to be replaced, or NULL */
	enum learning learning;
	struct buffer learned; /* "a,b,c" and a NUL */
	int64_t used_at;
};

/* fork_server_tell: tell the gateway of `p`, NULL if there is none. */
void fork_server_tell(struct launcher *l, const struct fork_server *s,
    const struct fork_process *p, enum protocol_server state, const char *why);

/*
 * fork_server_retire: the process gets no more requests, and ends when it has
 * begun those it has.  fork_server_retire_all: both that there can be.
 */
void
fork_server_retire(struct launcher *l, struct fork_process *p, const char *why);
void fork_server_retire_all(
    struct launcher *l, struct fork_server *s, const char *why);

/* fork_server_complains: whether `text` is to be logged: it is new, not "". */
bool fork_server_complains(struct fork_server *s, const char *text);

/*
 * fork_server_refuse: what was to become a fork server did not; `what`
 * happened, and the log gets its stderr too.
 */
void fork_server_refuse(
    struct launcher *l, struct fork_process *p, const char *what);

/*
 * fork_server_kill: it does not do its work; what it has not begun is taken
 * back when it is reaped.
 */
void
fork_server_kill(struct launcher *l, struct fork_process *p, const char *why);

void fork_server_free(struct launcher *l, struct fork_server *s);

#endif
