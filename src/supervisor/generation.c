/*
 * generation.c: sockets move from one generation to the next without ever
 * being closed.  Until generation_take_over the new one only borrows them, so
 * a reload that fails half-way leaves nothing changed.
 */
#include "supervisor/generation.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu_group.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/gateway.h"
#include "supervisor/service.h"

/* How long a launcher may take to end after its gateway; microseconds. */
#define LAUNCHER_TIME 2000000

/* How often, and how long apart, when the kernel has no memory for an order. */
#define ORDER_TRIES   20
#define ORDER_WAIT_MS 5

static struct listening *
find_listening(const struct generation *g, const struct config_listener *wanted)
{
	for (size_t p = 0; g != NULL && p < g->pool_count; p++) {
		for (size_t i = 0; i < g->pools[p].listening_count; i++) {
			struct listening *l = &g->pools[p].listening[i];

			if (listening_is_for(l, wanted))
				return l;
		}
	}
	return NULL;
}

static int
open_listeners(struct pool_state *p, const struct generation *previous)
{
	const struct config_pool *pool = p->pool;
	int result = 0;

	for (size_t i = 0; i < pool->listener_count; i++) {
		const struct config_listener *wanted = &pool->listeners[i];
		struct listening *found;
		struct listening *l = &p->listening[p->listening_count];
		int n;

		if (wanted->passed != NULL) {
			n = service_open(p->config, wanted, l);
			if (n == -1)
				result = -1;
			else
				p->listening_count += (size_t)n;
			continue;
		}
		p->listening_count++;
		found = find_listening(previous, wanted);
		if (found != NULL)
			listening_borrow(l, found, wanted);
		else if (listening_open(l, pool, wanted) == -1)
			result = -1;
	}
	return result;
}

/* What `pool` was counted in before a reload, if that still fits; or -1. */
static int
find_counters(const struct generation *g, const struct config_pool *pool)
{
	for (size_t i = 0; g != NULL && i < g->pool_count; i++)
		if (strcmp(g->pools[i].pool->name, pool->name) == 0 &&
		    g->pools[i].pool->gateways == pool->gateways)
			return g->pools[i].counters;
	return -1;
}

struct generation *
generation_new(struct config *config, const struct generation *previous)
{
	struct generation *g = calloc(1, sizeof(*g));
	int result = 0;

	if (g == NULL ||
	    (g->pools = calloc(config->pool_count, sizeof(*g->pools))) ==
		NULL) {
		log_error("cannot start");
		free(g);
		return NULL;
	}
	for (; g->pool_count < config->pool_count; g->pool_count++) {
		struct pool_state *p = &g->pools[g->pool_count];
		const struct config_pool *pool = &config->pools[g->pool_count];

		if (pool_state_open(
			p, config, pool, find_counters(previous, pool)) == -1 ||
		    open_listeners(p, previous) == -1)
			result = -1;
	}
	if (result == -1) {
		generation_free(g);
		return NULL;
	}
	g->config = config;
	return g;
}

void
generation_take_over(struct generation *g, struct generation *previous)
{
	for (size_t p = 0; p < g->pool_count; p++) {
		for (size_t i = 0; i < g->pools[p].listening_count; i++) {
			struct listening *l = &g->pools[p].listening[i];

			if (l->lender != NULL)
				listening_take(l, g->pools[p].pool);
		}
	}
	generation_drain(previous);
	generation_close_listeners(previous);
}

void
generation_close_listeners(struct generation *g)
{
	for (size_t p = 0; p < g->pool_count; p++)
		for (size_t i = 0; i < g->pools[p].listening_count; i++)
			listening_close(&g->pools[p].listening[i]);
}

void
generation_free(struct generation *g)
{
	for (size_t p = 0; p < g->pool_count; p++) {
		/* Stays while another generation has processes in it. */
		cpu_group_remove(g->pools[p].pool->name);
		pool_state_close(&g->pools[p]);
	}
	free(g->pools);
	config_free(g->config);
	free(g);
}

static bool
has_launchers(const struct team *t)
{
	for (unsigned i = 0; i < t->launcher_count; i++)
		if (t->launchers[i].pid != -1)
			return true;
	return false;
}

static void
revive_launchers(struct team *t, bool is_ending, int64_t now, int64_t *next)
{
	for (unsigned i = 0; i < t->launcher_count && t->control != -1; i++) {
		struct role *role = &t->launchers[i];

		if (role->pid != -1 || (is_ending && role->has_ended_well))
			continue;
		if (role->start_at <= now && team_start_launcher(t, i) == -1)
			role_throttle(role);
		if (role->pid == -1)
			*next = clock_sooner(*next, role->start_at);
	}
}

int64_t
generation_revive(struct generation *g)
{
	int64_t now = clock_now(), next = 0;

	FOR_EACH_TEAM(g, p, t)
	{
		if (t->gateway.pid != -1) {
			revive_launchers(t, g->is_ending, now, &next);
		} else if (g->is_ending || has_launchers(t)) {
			continue;
		} else if (t->gateway.start_at > now) {
			next = clock_sooner(next, t->gateway.start_at);
		} else if (team_start(t) == -1) {
			role_throttle(&t->gateway);
			next = clock_sooner(next, t->gateway.start_at);
		}
	}
	return next;
}

static void
kill_launchers(struct team *t)
{
	for (unsigned i = 0; i < t->launcher_count; i++)
		if (t->launchers[i].pid > 1)
			kill(t->launchers[i].pid, SIGKILL);
}

/* One that is stopped, or hangs in a dead file system, sees no end. */
int64_t
generation_end_launchers(struct generation *g)
{
	int64_t now = clock_now(), next = 0;

	FOR_EACH_TEAM(g, p, t)
	{
		int64_t due = t->gateway.ended_at + LAUNCHER_TIME;

		if (t->gateway.pid != -1 || !has_launchers(t))
			continue;
		if (due <= now)
			kill_launchers(t);
		next =
		    clock_sooner(next, due > now ? due : now + LAUNCHER_TIME);
	}
	return next;
}

bool
generation_has_roles(const struct generation *g)
{
	FOR_EACH_TEAM(g, p, t)
	if (t->gateway.pid != -1 || has_launchers(t))
		return true;
	return false;
}

static void
order_gateway(const struct team *t, char order, int fd)
{
	struct iovec part = {&order, 1};
	int left = ORDER_TRIES;

	/* Not for ever, as one may be hostile and read nothing. */
	while (t->control != -1 && left-- > 0 &&
	    fd_send_message(
		t->control, &part, 1, &fd, fd != -1 ? 1 : 0, false) == -1 &&
	    (errno == ENOBUFS || errno == ENOMEM))
		poll(NULL, 0, ORDER_WAIT_MS);
}

void
generation_drain(struct generation *g)
{
	g->is_ending = true;
	FOR_EACH_TEAM(g, p, t)
	order_gateway(t, GATEWAY_ORDER_DRAIN, -1);
}

void
generation_stop(struct generation *g)
{
	g->is_ending = true;
	/* A gateway whose control closes ends, its launchers too. */
	FOR_EACH_TEAM(g, p, t)
	fd_close(&t->control);
}

void
generation_kill(struct generation *g)
{
	FOR_EACH_TEAM(g, p, t)
	{
		if (t->gateway.pid > 1)
			kill(t->gateway.pid, SIGKILL);
		kill_launchers(t);
	}
}

void
generation_reopen_logs(struct generation *g)
{
	for (struct pool_state *p = g->pools; p < g->pools + g->pool_count;
	     p++) {
		int fd = pool_open_access_log(p->pool);

		if (fd == -1 && p->access_log != -1) {
			log_warn("cannot reopen %s", p->pool->access_log);
		} else if (fd != -1) {
			fd_close(&p->access_log);
			p->access_log = fd;
		}
		for (unsigned i = 0; i < p->team_count; i++) {
			if (fd != -1)
				order_gateway(
				    &p->teams[i], GATEWAY_ORDER_ACCESS_LOG, fd);
			if (log_fd() > STDERR_FILENO)
				order_gateway(
				    &p->teams[i], GATEWAY_ORDER_LOG, log_fd());
		}
	}
}

bool
generation_find(
    struct generation *g, pid_t pid, struct team **team, int *launcher)
{
	FOR_EACH_TEAM(g, p, t)
	{
		*team = t;
		*launcher = -1;
		if (t->gateway.pid == pid)
			return true;
		for (unsigned i = 0; i < t->launcher_count; i++) {
			*launcher = (int)i;
			if (t->launchers[i].pid == pid)
				return true;
		}
	}
	return false;
}
