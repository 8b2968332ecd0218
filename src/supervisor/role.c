/*
 * role.c: forks gateways and launchers.  A child keeps the descriptors of its
 * role and no other, so that an end of one is seen by the other.
 */
#include "supervisor/role.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu_group.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "gateway/counters.h"
#include "gateway/gateway.h"
#include "launcher/launcher.h"
#include "launcher/limits.h"
#include "supervisor/privileges.h"
#include "supervisor/service.h"

#define LAUNCHERS_MAX 64

/* A role that dies early starts again ever later.  In microseconds. */
#define DELAY_FIRST 100000
#define DELAY_MAX   30000000
#define LIVED_WELL  500000

/* Exit status of a launcher whose gateway broke the protocol. */
#define LAUNCHER_BETRAYED 76 /* EX_PROTOCOL of sysexits(3) */

/* Started as anyone but root, we stay who we are. */
static void __attribute__((noreturn))
fail_to_become(const struct config_user *user, const char *root)
{
	if (geteuid() != 0 || user->name == NULL)
		fatal("cannot give up the capabilities that we have");
	fatal("cannot become user %s%s%s", user->name,
	    root != NULL ? " in " : "", root != NULL ? root : "");
}

void
role_become_gateway(const struct config *config)
{
	const struct privileges p = {.name = config->user.name,
	    .uid = config->user.uid,
	    .gid = config->user.gid};

	if (privileges_drop(&p) == -1)
		fail_to_become(&config->user, NULL);
	process_forbid_inspection();
}

void
role_become_launcher(const struct config_pool *pool)
{
	const struct privileges p = {.name = pool->user.name,
	    .uid = pool->user.uid,
	    .gid = pool->group.gid,
	    .groups = pool->groups.ids,
	    .group_count = pool->groups.names.count,
	    .root = pool->chroot,
	    .may_gain_any = !pool->no_new_privileges};

	if (limits_carry(pool) == -1)
		fatal("cannot set the limits of pool %s", pool->name);
	if (pool->chroot != NULL)
		process_hold_statistics();
	if (privileges_drop(&p) == -1)
		fail_to_become(&pool->user, pool->chroot);
	process_forbid_inspection();
}

bool
role_other_user(const struct config *config, const struct config_pool *pool)
{
	return geteuid() == 0 && config->user.uid != pool->user.uid;
}

static void
name_role(const char *role, const struct config_pool *pool)
{
	char name[128];

	snprintf(name, sizeof(name), "%s %s", role, pool->name);
	log_set_role(name);
	process_set_title(name);
}

/*
 * The child of a fork: signals as new, among those of its pool, and only
 * `count` descriptors.
 */
static void
enter_role(
    const char *role, const struct config_pool *pool, int *keep, size_t count)
{
	int log = log_fd();

	process_reset_signals();
	if (cpu_group_enter(pool->name, pool->nice) == -1)
		log_warn("pool %s has no share of the processors of its own",
		    pool->name);
	/* Whoever started us may wait for the end of these. */
	fd_set_null(STDIN_FILENO);
	fd_set_null(STDOUT_FILENO);
	if (log != STDERR_FILENO)
		fd_set_null(STDERR_FILENO);
	if (log > STDERR_FILENO)
		keep[count++] = log;
	fd_close_others(keep, count);
	log_reconnect();
	name_role(role, pool);
}

static void
run_launcher(const struct config_pool *pool, int gateway)
{
	int keep[2] = {gateway};

	enter_role("launcher", pool, keep, 1);
	process_restore_descriptor_limit();
	role_become_launcher(pool);
	/* It logs nothing, and would hold on to a file that was rotated. */
	log_open("stderr");
	exit(launcher_run(pool, gateway) == 0 ? 0 : LAUNCHER_BETRAYED);
}

static void
run_gateway(struct team *t, int control, const int *launchers)
{
	struct pool_state *p = t->pool;
	int listeners[p->listening_count + 1];
	int keep[p->listening_count + t->launcher_count + 4];
	struct gateway_options options = {.pool = p->pool,
	    .listeners = listeners,
	    .listener_count = p->listening_count,
	    .launchers = launchers,
	    .launcher_count = t->launcher_count,
	    .control = control,
	    .access_log = p->access_log,
	    .counters = p->counters,
	    .number = (unsigned)(t - p->teams),
	    .connection = -1,
	    .other_user = role_other_user(p->config, p->pool)};
	size_t n = 0;

	for (size_t i = 0; i < p->listening_count; i++)
		keep[n++] = listeners[i] = p->listening[i].fd;
	for (unsigned i = 0; i < t->launcher_count; i++)
		keep[n++] = launchers[i];
	keep[n++] = control;
	if (p->access_log != -1)
		keep[n++] = p->access_log;
	if (p->counters != -1)
		keep[n++] = p->counters;
	enter_role("gateway", p->pool, keep, n);
	/* They are for the supervisor, which tells us. */
	process_ignore_signals();
	role_become_gateway(p->config);
	if (gateway_run(&options) == -1)
		fatal("the gateway failed");
	exit(0);
}

/* Fork launcher `i`.  The gateway's end of its socket, or -1, logged. */
static int
fork_launcher(struct team *t, unsigned i)
{
	struct role *role = &t->launchers[i];
	int ends[2];

	role->started_at = clock_now(); /* also of an attempt that fails */
	if (fd_message_pair(ends) == -1) {
		log_error("cannot start launcher %s: socketpair",
		    t->pool->pool->name);
		return -1;
	}
	if ((role->pid = fork()) == 0)
		run_launcher(t->pool->pool, ends[1]);
	fd_close(&ends[1]);
	if (role->pid == -1) {
		log_error("cannot fork launcher %s", t->pool->pool->name);
		fd_close(&ends[0]);
	}
	return ends[0];
}

int
team_start(struct team *t)
{
	int control[2], sockets[LAUNCHERS_MAX];
	unsigned n = 0;
	int result = -1;

	t->gateway.started_at = clock_now(); /* likewise */
	if (fd_message_pair(control) == -1) {
		log_error(
		    "cannot start gateway %s: socketpair", t->pool->pool->name);
		return -1;
	}
	for (; n < t->launcher_count; n++)
		if ((sockets[n] = fork_launcher(t, n)) == -1)
			goto out;
	if ((t->gateway.pid = fork()) == 0)
		run_gateway(t, control[1], sockets);
	if (t->gateway.pid == -1) {
		log_error("cannot fork gateway %s", t->pool->pool->name);
		goto out;
	}
	t->control = control[0];
	control[0] = -1;
	result = 0;
out:
	/* Without a gateway, launchers see the end and exit. */
	fd_close(&control[0]);
	fd_close(&control[1]);
	while (n > 0)
		fd_close(&sockets[--n]);
	return result;
}

int
team_start_launcher(struct team *t, unsigned i)
{
	char order = GATEWAY_ORDER_LAUNCHER;
	struct iovec part = {&order, 1};
	int fd = fork_launcher(t, i);
	int n;

	if (fd == -1)
		return -1;
	n = fd_send_message(t->control, &part, 1, &fd, 1, false);
	fd_close(&fd);
	return n;
}

int
pool_open_access_log(const struct config_pool *pool)
{
	if (pool->access_log[0] != '/')
		return -1;
	return log_open_file(pool->access_log);
}

static int
init_teams(struct pool_state *p)
{
	const struct config_pool *pool = p->pool;
	unsigned each = (pool->launchers + pool->gateways - 1) / pool->gateways;

	p->teams = calloc(pool->gateways, sizeof(*p->teams));
	if (p->teams == NULL)
		return -1;
	for (; p->team_count < pool->gateways; p->team_count++) {
		struct team *t = &p->teams[p->team_count];

		t->pool = p;
		t->control = -1;
		t->gateway.pid = -1;
		t->launcher_count = each < LAUNCHERS_MAX ? each : LAUNCHERS_MAX;
		t->launchers = calloc(t->launcher_count, sizeof(struct role));
		if (t->launchers == NULL)
			return -1;
		for (unsigned i = 0; i < t->launcher_count; i++)
			t->launchers[i].pid = -1;
	}
	return 0;
}

int
pool_state_open(struct pool_state *p, const struct config *config,
    const struct config_pool *pool, int counters)
{
	memset(p, 0, sizeof(*p));
	p->config = config;
	p->pool = pool;
	p->access_log = pool_open_access_log(pool);
	p->counters = counters != -1
	    ? fcntl(counters, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
	    : fd_shared_memory(counters_size(pool->gateways));
	if (p->access_log == -1 && pool->access_log[0] == '/') {
		log_error("%s", pool->access_log);
		return -1;
	}
	p->listening = calloc(pool->listener_count + service_socket_count(),
	    sizeof(*p->listening));
	if (p->listening == NULL || init_teams(p) == -1) {
		log_error("pool %s", pool->name);
		return -1;
	}
	return 0;
}

void
pool_state_close(struct pool_state *p)
{
	for (size_t i = 0; i < p->listening_count; i++)
		listening_close(&p->listening[i]);
	for (unsigned i = 0; i < p->team_count; i++) {
		fd_close(&p->teams[i].control);
		free(p->teams[i].launchers);
	}
	free(p->teams);
	free(p->listening);
	fd_close(&p->access_log);
	fd_close(&p->counters);
}

void
role_throttle(struct role *role)
{
	int64_t now = clock_now();

	role->pid = -1;
	role->ended_at = now;
	if (now - role->started_at >= LIVED_WELL)
		role->delay = 0;
	role->start_at = now + role->delay;
	role->delay = role->delay == 0 ? DELAY_FIRST : role->delay * 2;
	if (role->delay > DELAY_MAX)
		role->delay = DELAY_MAX;
}
