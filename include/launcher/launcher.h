/*
 * launcher: starts a pool's programs, as the pool's user.  Owns the pids;
 * touches the file system, never the network.
 */
#ifndef LAUNCHER_LAUNCHER_H
#define LAUNCHER_LAUNCHER_H

#include "config/config.h"
#include "launcher/resolve.h"

/*
 * launcher_run: serve `gateway`, a message socket, until it closes; then kill
 * every worker and return 0, or -1 if the gateway broke the protocol.  Logs
 * nothing.  The process must already be the pool's user.
 */
int launcher_run(const struct config_pool *pool, int gateway);

struct launcher_command {
	struct resolved resolved;
	struct cgi_environment environment;
	const char *path; /* what is executed: the script or its handler */
	char **argv;	  /* owned array of borrowed strings */
	/* Of an application, owned: Python, if PATH led to it, and our own. */
	struct buffer interpreter;
	struct buffer runner;
};

/*
 * launcher_prepare: resolve the script of a request and build its argument
 * vector and environment, as for a RUN message.  The caller ends `c` with
 * launcher_command_fini in every case.  Returns REASON_NONE if it can be
 * started; otherwise c->resolved.detail says what is wrong.
 */
enum reason launcher_prepare(const struct config_map *map, const char *path,
    const char *params, size_t params_length, struct buffer *trace,
    struct launcher_command *c);
void launcher_command_fini(struct launcher_command *c);

/*
 * launcher_environment: the environment of a request with these parameters for
 * a script that was found.  0, or -1 (ENOMEM); cgi_environment_fini in every
 * case.
 */
int launcher_environment(struct cgi_environment *environment,
    const struct config_map *map, const struct resolved *r, const char *params,
    size_t params_length);

#endif
