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
#include "base/cpu_group.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "supervisor/daemon.h"
#include "supervisor/generation.h"
#include "supervisor/pulse.h"
#include "supervisor/service.h"

/* In microseconds. */
#define SECOND	   INT64_C(1000000)
#define START_TIME (30 * SECOND)
#define DRAIN_TIME (30 * SECOND)
#define STOP_TIME  (5 * SECOND)

/* Whoever ran `helper & exec scgid`. */
#define ELDERS_MAX 16

enum supervisor_state {
	SUPERVISOR_STARTING, /* not every role has said that it lives */
	SUPERVISOR_SERVING,
	SUPERVISOR_DRAINING, /* gateways accept no more and end when idle */
	SUPERVISOR_STOPPING, /* everything ends now */
	SUPERVISOR_KILLING
};

struct supervisor {
	const char *path;		    /* of the configuration, borrowed */
	struct generation_list generations; /* the current one first */
	enum supervisor_state state;
	bool has_orphans;	  /* a launcher died; look for what it left */
	pid_t elders[ELDERS_MAX]; /* children from before we began */
	size_t elder_count;
	int64_t deadline; /* when the next state is forced; 0: none */
	struct daemon daemon;
	struct heart heart;
	bool has_failed; /* to start */
	bool background;
};

static volatile sig_atomic_t got_child, got_term, got_stop, got_reopen,
    got_reload;

static void
on_signal(int s)
{
	if (s == SIGCHLD)
		got_child = 1;
	else if (s == SIGTERM)
		got_term = 1;
	else if (s == SIGUSR1)
		got_reopen = 1;
	else if (s == SIGHUP)
		got_reload = 1;
	else
		got_stop = 1;
}

static void
catch_signals(sigset_t *while_waiting)
{
	static const int caught[] = {
	    SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP};
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
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGXFSZ, &action, NULL);
}

static struct generation *
current(struct supervisor *s)
{
	return TAILQ_FIRST(&s->generations);
}

static bool
find_role(struct supervisor *s, pid_t pid, struct team **team, int *launcher)
{
	struct generation *g;

	TAILQ_FOREACH (g, &s->generations, entry)
		if (generation_find(g, pid, team, launcher))
			return true;
	return false;
}

/* Whether it runs as the user of a pool, for all that is known. */
static bool
is_of_a_pool(struct supervisor *s, pid_t pid)
{
	struct generation *g;
	uid_t uid;

	if (!process_find_user(pid, &uid))
		return true;
	TAILQ_FOREACH (g, &s->generations, entry)
		for (size_t i = 0; i < g->pool_count; i++)
			if (g->pools[i].pool->user.uid == uid)
				return true;
	return false;
}

/*
 * What a dead launcher left has become our child.  So has what others left,
 * in a container for example, and no script may have us end that.
 */
static void
kill_orphan(pid_t pid, void *arg)
{
	struct supervisor *s = arg;
	struct team *team;
	int launcher;

	for (size_t i = 0; i < s->elder_count; i++)
		if (s->elders[i] == pid)
			return;
	if (find_role(s, pid, &team, &launcher) || !is_of_a_pool(s, pid))
		return;
	s->has_orphans = true;
	process_kill_child(pid);
}

static void
log_death(struct supervisor *s, const struct team *t, int launcher, int status)
{
	const char *what = launcher == -1 ? "gateway" : "launcher";
	const char *pool = t->pool->pool->name;
	bool is_serving = s->state <= SUPERVISOR_SERVING &&
	    t->pool->config == current(s)->config;

	if (WIFSIGNALED(status))
		log_warnx("%s %s was killed by signal %d", what, pool,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warnx("%s %s exited with status %d", what, pool,
		    WEXITSTATUS(status));
	else if (is_serving && t->gateway.pid != -1)
		log_warnx("%s %s ended", what, pool);
}

static void enter_state(struct supervisor *s, enum supervisor_state state);

/* Whoever started us is waiting for the answer. */
static void
fail_start(struct supervisor *s)
{
	if (s->state != SUPERVISOR_STARTING)
		return;
	log_errorx("cannot start");
	s->has_failed = true;
	enter_state(s, SUPERVISOR_STOPPING);
}

static void
reap(struct supervisor *s)
{
	struct team *team;
	int status, launcher;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!find_role(s, pid, &team, &launcher))
			continue; /* was an orphan */
		log_death(s, team, launcher, status);
		if (!team->pulse.is_live)
			team->pulse.has_failed = true;
		if (launcher != -1) {
			role_throttle(&team->launchers[launcher]);
			team->launchers[launcher].has_ended_well = status == 0;
			s->has_orphans = true;
		} else {
			role_throttle(&team->gateway);
			pulse_end(team);
			fd_close(&team->control);
		}
	}
	if (s->has_orphans) {
		s->has_orphans = false;
		process_each_child(kill_orphan, s);
	}
}

/* Free the generations that have drained. */
static void
sweep(struct supervisor *s)
{
	struct generation *g = TAILQ_NEXT(current(s), entry), *next;

	for (; g != NULL; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (generation_has_roles(g))
			continue;
		TAILQ_REMOVE(&s->generations, g, entry);
		generation_free(g);
	}
}

static bool
has_roles(struct supervisor *s)
{
	struct generation *g;

	TAILQ_FOREACH (g, &s->generations, entry)
		if (generation_has_roles(g))
			return true;
	return false;
}

static void
log_lines(const struct buffer *lines)
{
	for (size_t at = 0, length; at < lines->length; at += length + 1) {
		const char *line = lines->data + at;
		const char *newline = memchr(line, '\n', lines->length - at);

		length = newline != NULL ? (size_t)(newline - line)
					 : lines->length - at;
		log_warnx("%.*s", (int)length, line);
	}
}

static void
log_warnings(const struct config *config)
{
	struct buffer warnings = {0};

	config_warn(config, &warnings);
	log_lines(&warnings);
	buffer_fini(&warnings);
}

/* What cannot be seen in the configuration alone.  0, or -1, logged. */
static int
check(const struct supervisor *s, const struct config *config)
{
	if (s->background && strcmp(config->log, "stderr") == 0) {
		log_errorx("log = stderr, the default, does not go with -d: "
			   "log to syslog or to a file");
		return -1;
	}
	return service_check(config);
}

/* The new configuration whole, or no change at all. */
static void
reload(struct supervisor *s)
{
	struct generation *old = current(s), *g = NULL;
	struct buffer errors = {0};
	struct config *config;

	service_reloading();
	config = config_load(s->path, &errors);
	log_lines(&errors);
	buffer_fini(&errors);
	if (config != NULL &&
	    (check(s, config) == -1 ||
		(g = generation_new(config, old)) == NULL))
		config_free(config);
	if (g != NULL && log_open(config->log) == -1) {
		log_error("log %s", config->log);
		generation_free(g);
		g = NULL;
	}
	if (g == NULL) {
		log_warnx("%s: not reloaded, nothing has changed", s->path);
		service_notify("READY=1\nSTATUS=not reloaded, see the log");
		return;
	}
	log_warnings(config);
	generation_revive(g);
	TAILQ_INSERT_HEAD(&s->generations, g, entry);
	generation_take_over(g, old);
	log_info("reloaded");
	service_notify("READY=1\nSTATUS=reloaded");
}

static void
enter_state(struct supervisor *s, enum supervisor_state state)
{
	struct generation *g;

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
		s->deadline = clock_now() + DRAIN_TIME;
	} else if (state == SUPERVISOR_STOPPING) {
		log_info("stopping");
		service_notify("STOPPING=1\nSTATUS=stopping");
		s->deadline = clock_now() + STOP_TIME;
	} else {
		s->deadline = 0;
	}
	TAILQ_FOREACH (g, &s->generations, entry) {
		if (state == SUPERVISOR_DRAINING) {
			generation_drain(g);
			generation_close_listeners(g);
		} else if (state == SUPERVISOR_STOPPING)
			generation_stop(g);
		else if (state == SUPERVISOR_KILLING)
			generation_kill(g);
	}
}

static void
reopen_logs(struct supervisor *s)
{
	struct generation *g;

	if (log_open(current(s)->config->log) == -1)
		log_warn("cannot reopen %s", current(s)->config->log);
	TAILQ_FOREACH (g, &s->generations, entry)
		generation_reopen_logs(g);
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
	/* While we start it waits: what was read first has to begin first. */
	if (got_reload && s->state == SUPERVISOR_SERVING) {
		got_reload = 0;
		reload(s);
	}
	if (got_reopen) {
		got_reopen = 0;
		reopen_logs(s);
	}
	if (got_child) {
		got_child = 0;
		reap(s);
		sweep(s);
	}
}

/*
 * A pool that cannot start is tried again and again, ever later; the others
 * serve.  If no pool can, that is final.
 */
static void
finish_start(struct supervisor *s)
{
	enum pulse_start how;

	if (s->state != SUPERVISOR_STARTING)
		return;
	how = pulse_judge_start(current(s));
	if (how == PULSE_STARTING)
		return;
	if (how == PULSE_DEAD || daemon_ready(&s->daemon) == -1) {
		fail_start(s);
		return;
	}
	enter_state(s, SUPERVISOR_SERVING);
	handle_signals(s); /* a reload may have waited */
}

static void
deadline_passed(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STARTING) {
		FOR_EACH_TEAM(current(s), p, t)
		if (!t->pulse.is_live && !t->pulse.has_failed)
			log_errorx("pool %s hangs: its gateway or a launcher "
				   "neither lives nor dies",
			    p->pool->name);
		fail_start(s);
	} else {
		enter_state(s,
		    s->state == SUPERVISOR_DRAINING ? SUPERVISOR_STOPPING
						    : SUPERVISOR_KILLING);
	}
}

static void
supervise(struct supervisor *s, const sigset_t *while_waiting)
{
	s->deadline = clock_now() + START_TIME;
	for (;;) {
		int64_t next = s->deadline;
		struct generation *g;

		if (s->state > SUPERVISOR_SERVING && !has_roles(s))
			return;
		TAILQ_FOREACH (g, &s->generations, entry) {
			next = clock_sooner(next, generation_revive(g));
			next = clock_sooner(next, generation_end_launchers(g));
		}
		next =
		    clock_sooner(next, heart_beat(&s->heart, &s->generations));
		pulse_wait(&s->generations, next, while_waiting);
		handle_signals(s);
		finish_start(s);
		if (s->deadline != 0 && clock_now() >= s->deadline)
			deadline_passed(s);
	}
}

static void
note_elder(pid_t pid, void *arg)
{
	struct supervisor *s = arg;

	if (s->elder_count < ELDERS_MAX)
		s->elders[s->elder_count++] = pid;
}

static int
start(struct supervisor *s, struct config *config)
{
	struct generation *g;

	if (log_open(config->log) == -1) {
		log_error("log %s", config->log);
		return -1;
	}
	log_warnings(config);
	if (check(s, config) == -1 ||
	    (g = generation_new(config, NULL)) == NULL)
		return -1;
	TAILQ_INSERT_HEAD(&s->generations, g, entry);
	process_set_title("supervisor");
	return 0;
}

int
supervisor_run(struct config *config, const char *path, const char *pid_file,
    bool background)
{
	struct supervisor s = {.path = path, .background = background};
	struct generation *g;
	sigset_t while_waiting;
	int result = 1;

	TAILQ_INIT(&s.generations);
	service_begin();
	log_set_role("supervisor");
	if (daemon_begin(&s.daemon, pid_file, background) == -1) {
		config_free(config);
		return 1;
	}
	log_set_role("supervisor"); /* in the background we have a new pid */
	process_raise_descriptor_limit();
	process_forbid_inspection();
	process_adopt_orphans();
	process_each_child(note_elder, &s);
	catch_signals(&while_waiting);
	if (cpu_group_begin(CPU_GROUP_MOUNT, CPU_GROUP_CONTROLLER))
		log_info("each pool has its share of the processors");
	if (start(&s, config) == 0) {
		supervise(&s, &while_waiting);
		log_info("stopped");
		result = s.has_failed ? 1 : 0;
	}
	if (TAILQ_EMPTY(&s.generations))
		config_free(config);
	while ((g = TAILQ_FIRST(&s.generations)) != NULL) {
		TAILQ_REMOVE(&s.generations, g, entry);
		generation_free(g);
	}
	cpu_group_end();
	daemon_end(&s.daemon);
	service_end();
	return result;
}
