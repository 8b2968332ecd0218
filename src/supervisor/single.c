/*
 * single.c: a gateway and a launcher for one connection, then the end.
 */
#include "supervisor/single.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "gateway/gateway.h"
#include "launcher/launcher.h"
#include "supervisor/role.h"

static pid_t
fork_launcher(const struct config_pool *pool, int gateway)
{
	int keep[2] = {gateway, log_fd()};
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	fd_close_others(keep, keep[1] == -1 ? 1 : 2);
	log_reconnect();
	log_set_role("launcher");
	role_become_launcher(pool);
	exit(launcher_run(pool, gateway) == 0 ? 0 : 1);
}

int
single_serve(
    const struct config *config, const struct config_pool *pool, int connection)
{
	struct config_pool alone = *pool;
	struct gateway_options options = {.pool = &alone,
	    .launcher_count = 1,
	    .control = -1,
	    .access_log = -1,
	    .counters = -1,
	    .connection = connection,
	    .other_user = role_other_user(config, pool)};
	int ends[2], result = -1;
	pid_t launcher;

	process_reset_signals();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (fd_message_pair(ends) == -1) {
		log_error("socketpair");
		return -1;
	}
	/* For one request a fork server is not worth its start. */
	alone.fork_servers = 0;
	launcher = fork_launcher(&alone, ends[1]);
	fd_close(&ends[1]);
	if (launcher == -1) {
		log_error("cannot fork a launcher");
		fd_close(&ends[0]);
		return -1;
	}
	role_become_gateway(config);
	options.launchers = &ends[0];
	if (gateway_run(&options) == -1)
		log_error("the gateway failed");
	else
		result = 0;
	while (waitpid(launcher, NULL, 0) == -1 && errno == EINTR)
		continue;
	return result;
}
