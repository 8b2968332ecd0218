/*
 * launcher/fork_plan: from a request's command to the fork server that could
 * serve it.
 */
#ifndef LAUNCHER_FORK_PLAN_H
#define LAUNCHER_FORK_PLAN_H

#include "launcher/fork_process.h"
#include "launcher/launcher.h"
#include "launcher/program.h"

/* What a request would run: the vector that exec would give the program. */
struct fork_plan {
	const struct config_map *map;		/* borrowed */
	const struct launcher_command *command; /* borrowed */
	const struct program *program; /* borrowed; NULL: none is known */
	const char *path; /* borrowed; of the program, or the command's */
	char **argv;	  /* owned array of borrowed strings */
	size_t tail; /* index in it of what follows the interpreter's own */
};

/*
 * fork_plan_init: 0, or -1: the command could not be started, which exec will
 * tell of, or there is no memory.  The caller ends it with fork_plan_fini in
 * every case.
 */
int fork_plan_init(struct fork_plan *plan, const struct config_map *map,
    const struct launcher_command *command);
void fork_plan_fini(struct fork_plan *plan);

/*
 * fork_plan_make_key: replace `key` by bytes that are the same for all that one
 * fork server can serve.  0, or -1 (ENOMEM).
 */
int fork_plan_make_key(const struct fork_plan *plan, struct buffer *key);

/* fork_plan_describe: for people; the caller frees.  Or NULL. */
char *fork_plan_describe(const struct fork_plan *plan);

/* fork_plan_doubt: why it cannot become a fork server; NULL: it may. */
const char *fork_plan_doubt(const struct fork_plan *plan);

/*
 * fork_plan_start: start the fork server, a python with the modules in
 * `learned`, "a,b,c" or NULL, besides the configured ones.  Or NULL with errno.
 */
struct fork_process *
fork_plan_start(const struct fork_plan *plan, const char *learned);

#endif
