/*
 * supervisor.c: keeps the roles running.  Signals are blocked but in ppoll;
 * their handlers only set flags.
 */
#include "supervisor/supervisor.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "gateway/gateway.h"
#include "supervisor/daemon.h"
#include "supervisor/pulse.h"
#include "supervisor/role.h"
#include "supervisor/service.h"

/* In microseconds. */
#define SECOND	    INT64_C(1000000)
#define DELAY_FIRST (SECOND / 10)
#define DELAY_MAX   (60 * SECOND)
#define LIVED_WELL  (5 * SECOND) /* a role that lives so long starts afresh */
#define START_TIME  (30 * SECOND)
#define DRAIN_TIME  (30 * SECOND)
#define STOP_TIME   (5 * SECOND)

enum supervisor_state {
	SUPERVISOR_STARTING, /* not every role has said that it lives */
	SUPERVISOR_SERVING,
	SUPERVISOR_DRAINING, /* gateways accept no more and end when idle */
	SUPERVISOR_STOPPING, /* everything ends now */
	SUPERVISOR_KILLING
};

struct supervisor {
	const struct config *config; /* borrowed */
	struct pool_state *pools;    /* owned */
	size_t pool_count;
	enum supervisor_state state;
	int64_t deadline; /* when the next state is forced; 0: none */
	struct daemon daemon;
	struct heart heart;
	bool has_failed; /* to start */
};

static volatile sig_atomic_t got_child, got_term, got_stop, got_reopen;

static void
on_signal(int s)
{
	if (s == SIGCHLD)
		got_child = 1;
	else if (s == SIGTERM)
		got_term = 1;
	else if (s == SIGUSR1)
		got_reopen = 1;
	else
		got_stop = 1;
}

static void
catch_signals(sigset_t *while_waiting)
{
	static const int caught[] = {
	    SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGUSR1};
	struct sigaction action;
	sigset_t all;

	process_reset_signals();
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(while_waiting);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaction(caught[i], &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
}

/* What a dead launcher left has become our child. */
static void
kill_orphan(pid_t pid, void *arg)
{
	struct supervisor *s = arg;
	struct team *team;
	int launcher;

	if (!team_find(s->pools, s->pool_count, pid, &team, &launcher))
		process_kill_child(pid);
}

/* When a role that died may start again: at once if it had lived well. */
static void
throttle(struct role *role)
{
	int64_t now = clock_now();

	role->pid = -1;
	if (now - role->started_at >= LIVED_WELL)
		role->delay = 0;
	role->start_at = now + role->delay;
	role->delay = role->delay == 0 ? DELAY_FIRST : role->delay * 2;
	if (role->delay > DELAY_MAX)
		role->delay = DELAY_MAX;
}

static void
log_death(struct supervisor *s, const struct team *t, int launcher, int status)
{
	const char *what = launcher == -1 ? "gateway" : "launcher";
	const char *pool = t->pool->pool->name;

	if (WIFSIGNALED(status))
		log_warnx("%s %s was killed by signal %d", what, pool,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warnx("%s %s exited with status %d", what, pool,
		    WEXITSTATUS(status));
	else if (s->state <= SUPERVISOR_SERVING && t->gateway.pid != -1)
		log_warnx("%s %s ended", what, pool);
}

static void enter_state(struct supervisor *s, enum supervisor_state state);

/*
 * A role that cannot even begin is as final as a socket that cannot be bound,
 * until all have lived; whoever started us is waiting for the answer.
 */
static void
fail_start(struct supervisor *s)
{
	if (s->state != SUPERVISOR_STARTING)
		return;
	log_warnx("cannot start");
	s->has_failed = true;
	enter_state(s, SUPERVISOR_STOPPING);
}

static void
reap(struct supervisor *s)
{
	bool may_have_orphans = false;
	struct team *team;
	int status, launcher;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		may_have_orphans = true;
		if (!team_find(s->pools, s->pool_count, pid, &team, &launcher))
			continue; /* was an orphan */
		log_death(s, team, launcher, status);
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
			fail_start(s);
		if (launcher != -1) {
			throttle(&team->launchers[launcher]);
		} else {
			throttle(&team->gateway);
			pulse_end(team);
			fd_close(&team->control);
		}
	}
	if (may_have_orphans)
		process_each_child(kill_orphan, s);
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
sooner(int64_t *next, int64_t when)
{
	if (when != 0 && (*next == 0 || when < *next))
		*next = when;
}

static int64_t
revive_launchers(struct team *t, int64_t now)
{
	int64_t next = 0;

	for (unsigned i = 0; i < t->launcher_count; i++) {
		struct role *role = &t->launchers[i];

		if (role->pid != -1)
			continue;
		if (role->start_at <= now && team_start_launcher(t, i) == -1)
			throttle(role);
		if (role->pid == -1)
			sooner(&next, role->start_at);
	}
	return next;
}

/*
 * Start what is down and due.  A team whose gateway died is started whole, once
 * its launchers have noticed and are gone too.  Returns when the next is due.
 */
static int64_t
revive(struct supervisor *s)
{
	int64_t now = clock_now(), next = 0, due;

	for (size_t p = 0; p < s->pool_count; p++) {
		for (unsigned i = 0; i < s->pools[p].team_count; i++) {
			struct team *t = &s->pools[p].teams[i];

			if (t->gateway.pid != -1) {
				due = revive_launchers(t, now);
				if (due != 0)
					sooner(&next, due);
			} else if (has_launchers(t)) {
				continue;
			} else if (t->gateway.start_at > now) {
				sooner(&next, t->gateway.start_at);
			} else if (team_start(t) == -1) {
				throttle(&t->gateway);
				sooner(&next, t->gateway.start_at);
			}
		}
	}
	return next;
}

static bool
has_roles(const struct supervisor *s)
{
	for (size_t p = 0; p < s->pool_count; p++)
		for (unsigned i = 0; i < s->pools[p].team_count; i++)
			if (s->pools[p].teams[i].gateway.pid != -1 ||
			    has_launchers(&s->pools[p].teams[i]))
				return true;
	return false;
}

static void
order_gateway(const struct team *t, char order, int fd)
{
	struct iovec part = {&order, 1};

	if (t->control != -1)
		fd_send_message(
		    t->control, &part, 1, &fd, fd != -1 ? 1 : 0, false);
}

static void
order_all(struct supervisor *s, char order)
{
	for (size_t p = 0; p < s->pool_count; p++)
		for (unsigned i = 0; i < s->pools[p].team_count; i++)
			order_gateway(&s->pools[p].teams[i], order, -1);
}

static void
kill_all(struct supervisor *s)
{
	for (size_t p = 0; p < s->pool_count; p++) {
		for (unsigned i = 0; i < s->pools[p].team_count; i++) {
			struct team *t = &s->pools[p].teams[i];

			if (t->gateway.pid > 1)
				kill(t->gateway.pid, SIGKILL);
			for (unsigned j = 0; j < t->launcher_count; j++)
				if (t->launchers[j].pid > 1)
					kill(t->launchers[j].pid, SIGKILL);
		}
	}
}

static void
enter_state(struct supervisor *s, enum supervisor_state state)
{
	if (state <= s->state)
		return;
	s->state = state;
	if (state == SUPERVISOR_SERVING) {
		s->deadline = 0;
		log_info("ready");
		service_notify("READY=1");
		heart_begin(&s->heart);
	} else if (state == SUPERVISOR_DRAINING) {
		log_info("draining");
		service_notify("STOPPING=1\nSTATUS=draining");
		order_all(s, GATEWAY_ORDER_DRAIN);
		s->deadline = clock_now() + DRAIN_TIME;
	} else if (state == SUPERVISOR_STOPPING) {
		log_info("stopping");
		service_notify("STOPPING=1\nSTATUS=stopping");
		/* A gateway whose control closes ends, its launchers too. */
		for (size_t p = 0; p < s->pool_count; p++)
			for (unsigned i = 0; i < s->pools[p].team_count; i++)
				fd_close(&s->pools[p].teams[i].control);
		s->deadline = clock_now() + STOP_TIME;
	} else {
		kill_all(s);
		s->deadline = 0;
	}
}

static void
reopen_logs(struct supervisor *s)
{
	if (log_open(s->config->log) == -1)
		log_warn("cannot reopen %s", s->config->log);
	for (size_t p = 0; p < s->pool_count; p++) {
		struct pool_state *pool = &s->pools[p];
		int fd = pool_open_access_log(pool->pool);

		if (fd == -1 && pool->access_log != -1) {
			log_warn("cannot reopen %s", pool->pool->access_log);
		} else if (fd != -1) {
			fd_close(&pool->access_log);
			pool->access_log = fd;
		}
		for (unsigned i = 0; i < pool->team_count; i++) {
			if (fd != -1)
				order_gateway(&pool->teams[i],
				    GATEWAY_ORDER_ACCESS_LOG, fd);
			if (log_fd() > STDERR_FILENO)
				order_gateway(&pool->teams[i],
				    GATEWAY_ORDER_LOG, log_fd());
		}
	}
	log_info("logs reopened");
}

static void
handle_signals(struct supervisor *s)
{
	if (got_stop) {
		got_stop = 0;
		enter_state(s, SUPERVISOR_STOPPING);
	}
	if (got_term) {
		got_term = 0;
		enter_state(s,
		    s->state <= SUPERVISOR_SERVING ? SUPERVISOR_DRAINING
						   : SUPERVISOR_STOPPING);
	}
	if (got_reopen) {
		got_reopen = 0;
		reopen_logs(s);
	}
	if (got_child) {
		got_child = 0;
		reap(s);
	}
}

/* Every role may have said that it lives. */
static void
finish_start(struct supervisor *s)
{
	if (s->state != SUPERVISOR_STARTING ||
	    !pulse_all_live(s->pools, s->pool_count))
		return;
	if (daemon_ready(&s->daemon) == -1)
		fail_start(s);
	else
		enter_state(s, SUPERVISOR_SERVING);
}

static void
deadline_passed(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STARTING)
		fail_start(s);
	else
		enter_state(s,
		    s->state == SUPERVISOR_DRAINING ? SUPERVISOR_STOPPING
						    : SUPERVISOR_KILLING);
}

static void
supervise(struct supervisor *s, const sigset_t *while_waiting)
{
	s->deadline = clock_now() + START_TIME;
	for (;;) {
		int64_t next = s->deadline;

		if (s->state <= SUPERVISOR_SERVING)
			sooner(&next, revive(s));
		else if (!has_roles(s))
			return;
		sooner(&next, heart_beat(&s->heart, s->pools, s->pool_count));
		pulse_wait(s->pools, s->pool_count, next, while_waiting);
		handle_signals(s);
		finish_start(s);
		if (s->deadline != 0 && clock_now() >= s->deadline)
			deadline_passed(s);
	}
}

static int
open_pools(struct supervisor *s)
{
	int result = 0;

	s->pools = calloc(s->config->pool_count, sizeof(*s->pools));
	if (s->pools == NULL) {
		log_error("cannot start");
		return -1;
	}
	for (; s->pool_count < s->config->pool_count; s->pool_count++)
		if (pool_state_open(&s->pools[s->pool_count], s->config,
			&s->config->pools[s->pool_count]) == -1)
			result = -1;
	return result;
}

int
supervisor_run(
    const struct config *config, const char *pid_file, bool background)
{
	struct supervisor s = {.config = config};
	sigset_t while_waiting;
	int result = 1;

	service_begin();
	if (daemon_begin(&s.daemon, pid_file, background) == -1)
		return 1;
	log_set_role("supervisor");
	if (background && strcmp(config->log, "stderr") == 0) {
		log_warnx("log = stderr does not go with -d: "
			  "log to syslog or to a file");
		goto out;
	}
	if (log_open(config->log) == -1) {
		log_error("log %s", config->log);
		goto out;
	}
	process_raise_descriptor_limit();
	process_adopt_orphans();
	catch_signals(&while_waiting);
	if (service_check(config) == -1 || open_pools(&s) == -1)
		goto out;
	process_set_title("supervisor");
	supervise(&s, &while_waiting);
	log_info("stopped");
	result = s.has_failed ? 1 : 0;
out:
	for (size_t p = 0; p < s.pool_count; p++)
		pool_state_close(&s.pools[p]);
	free(s.pools);
	daemon_end(&s.daemon);
	service_end();
	return result;
}
