/*
 * launcher.c: the launcher's loop.  Owns the workers' pids: a pid is signalled
 * only while this process has not reaped it, so never a recycled one.
 *
 * Signals are blocked but inside ppoll, and SIGCHLD's handler does nothing: it
 * only ends the wait.
 */
#include "launcher/launcher.h"

#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "launcher/protocol.h"
#include "launcher/start.h"
#include "launcher/stray.h"

#define BUCKETS 256

/* How often to look for strays while workers run; microseconds. */
#define SCAN_INTERVAL 1000000

struct worker {
	LIST_ENTRY(worker) entry;
	pid_t pid; /* and its process group */
	uint32_t request;
	uint64_t number;    /* in the order of their starts */
	int64_t started_at; /* clock_now */
	bool is_killed;	    /* by us */
	bool is_reaped;	    /* only others of its group are left */
	char script[];
};

LIST_HEAD(worker_list, worker);

struct launcher {
	const struct config_pool *pool; /* borrowed */
	int gateway;			/* borrowed */
	bool gateway_lost;
	bool is_betrayed;	 /* the gateway broke the protocol */
	unsigned running;	 /* workers not yet reaped */
	unsigned long oom_kills; /* of the kernel, when last counted */
	uint64_t newest;	 /* number of the last one started */
	struct worker_list workers[BUCKETS]; /* by pid */
	struct stray_list strays;
	bool is_scan_due; /* somebody exited since, or there are strays */
	int64_t scanned_at;
};

static struct worker_list *
bucket_of(struct launcher *l, pid_t pid)
{
	return &l->workers[(unsigned)pid % BUCKETS];
}

static struct worker *
find_by_pid(struct launcher *l, pid_t pid)
{
	struct worker *w;

	LIST_FOREACH (w, bucket_of(l, pid), entry)
		if (w->pid == pid && !w->is_reaped)
			return w;
	return NULL;
}

static struct worker *
find_reaped(struct launcher *l, pid_t pid)
{
	struct worker *w;

	LIST_FOREACH (w, bucket_of(l, pid), entry)
		if (w->pid == pid && w->is_reaped)
			return w;
	return NULL;
}

static struct worker *
find_by_request(struct launcher *l, uint32_t request)
{
	struct worker *w;

	for (size_t i = 0; i < BUCKETS; i++)
		LIST_FOREACH (w, &l->workers[i], entry)
			if (w->request == request)
				return w;
	return NULL;
}

static void
forget(struct worker *w)
{
	LIST_REMOVE(w, entry);
	free(w);
}

static void
tell(struct launcher *l, const struct protocol_message *m)
{
	if (protocol_send(l->gateway, m, NULL, true) == -1)
		l->gateway_lost = true;
}

static void
tell_failed(struct launcher *l, uint32_t request, enum reason reason, int error,
    const struct buffer *detail)
{
	struct protocol_message m = {.type = PROTOCOL_FAILED,
	    .request = request,
	    .reason = reason,
	    .code = error,
	    .text = detail->data};

	tell(l, &m);
}

static void
tell_started(struct launcher *l, const struct worker *w)
{
	struct protocol_message m = {.type = PROTOCOL_STARTED,
	    .request = w->request,
	    .pid = (int32_t)w->pid,
	    .started_at = w->started_at,
	    .text = w->script};

	tell(l, &m);
}

/*
 * Whether anyone of the group is left that we have not reaped.  We adopt
 * orphans, so a worker's children are ours once it is dead, and their group's
 * number cannot be given to others before we reap them.
 */
static bool
group_has_members(pid_t group)
{
	siginfo_t info;

	info.si_pid = 0;
	return waitid(P_PGID, (id_t)group, &info,
		   WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int64_t
microseconds(const struct timeval *t)
{
	return (int64_t)t->tv_sec * 1000000 + t->tv_usec;
}

/* What a failed worker's status does not say. */
static enum reason
know_better(struct launcher *l, const struct worker *w, int status)
{
	unsigned long before = l->oom_kills;

	if (start_has_crlf_shebang(w->script))
		return REASON_CRLF_SHEBANG;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || w->is_killed)
		return REASON_NONE;
	l->oom_kills = process_count_oom_kills();
	return l->oom_kills > before ? REASON_OUT_OF_MEMORY : REASON_NONE;
}

static void
worker_exited(
    struct launcher *l, struct worker *w, int status, struct rusage *usage)
{
	struct protocol_message m = {.type = PROTOCOL_EXITED,
	    .request = w->request,
	    .pid = (int32_t)w->pid,
	    .code = status,
	    .started_at = w->started_at,
	    .user_time = microseconds(&usage->ru_utime),
	    .system_time = microseconds(&usage->ru_stime),
	    .peak_memory = usage->ru_maxrss};

	w->is_reaped = true;
	l->running--;
	m.group_left = group_has_members(w->pid);
	if (status != 0)
		m.reason = know_better(l, w, status);
	m.text = w->script;
	tell(l, &m);
	if (!m.group_left)
		forget(w);
}

/* Reaps all that can be; pids that are not workers are adopted orphans. */
static void
reap(struct launcher *l)
{
	struct rusage usage;
	struct worker *w;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		if ((w = find_by_pid(l, pid)) != NULL)
			worker_exited(l, w, status, &usage);
		else
			stray_forget(&l->strays, pid);
		l->is_scan_due = true;
	}
	if (l->running == 0)
		l->is_scan_due = l->is_scan_due && pid == 0;
}

/* A worker, or one of a group that is still being looked after. */
static bool
is_worker(pid_t pid, void *arg)
{
	struct launcher *l = arg;
	pid_t group = getpgid(pid);
	struct worker *w;

	LIST_FOREACH (w, bucket_of(l, group), entry)
		if (w->pid == group)
			return true;
	return false;
}

static uint64_t
oldest_number(struct launcher *l)
{
	uint64_t oldest = l->newest + 1;
	struct worker *w;

	for (size_t i = 0; i < BUCKETS; i++)
		LIST_FOREACH (w, &l->workers[i], entry)
			if (w->number < oldest)
				oldest = w->number;
	return oldest;
}

/*
 * After workers have exited, look for what they left; at once if none runs, as
 * then whatever is left must go, else now and then.
 */
static void
end_strays(struct launcher *l)
{
	int64_t now;

	if (!l->is_scan_due)
		return;
	now = clock_now();
	if (l->running > 0 && now - l->scanned_at < SCAN_INTERVAL)
		return;
	l->scanned_at = now;
	stray_scan(&l->strays, l->newest, is_worker, l);
	stray_kill(&l->strays, oldest_number(l));
	l->is_scan_due = !LIST_EMPTY(&l->strays);
}

static void
add_worker(struct launcher *l, uint32_t request, pid_t pid, struct worker *w)
{
	struct worker *old = find_reaped(l, pid);

	/* The number is given out again: nobody is left of that group. */
	if (old != NULL)
		forget(old);
	w->pid = pid;
	w->request = request;
	w->number = ++l->newest;
	w->started_at = clock_now();
	w->is_killed = false;
	w->is_reaped = false;
	LIST_INSERT_HEAD(bucket_of(l, pid), w, entry);
	l->running++;
}

/* The command is whole: start it, or say why it could not be started. */
static void
run_command(struct launcher *l, uint32_t request,
    const struct launcher_command *c, const int stdio[3])
{
	size_t length = c->resolved.script.length;
	struct worker *w = malloc(sizeof(*w) + length);
	struct start_failure failure;
	char safe[1024];
	int at_exec = 0;
	pid_t pid = -1;

	if (w != NULL) {
		memcpy(w->script, c->resolved.script.data, length);
		pid = start_worker(c->path, c->argv, c->environment.envp,
		    c->resolved.directory, stdio, &at_exec);
	}
	if (pid != -1) {
		add_worker(l, request, pid, w);
		return;
	}
	if (at_exec) {
		start_diagnose(
		    c->path, c->resolved.script.data, errno, &failure);
	} else {
		memset(&failure, 0, sizeof(failure));
		failure.error = errno;
		failure.reason = errno == EACCES ? REASON_PERMISSION_DENIED
						 : REASON_FORK_FAILED;
		log_escape(
		    safe, sizeof(safe), c->resolved.script.data, length - 1);
		buffer_printf(&failure.detail, "%s: cannot start it: %s", safe,
		    strerror(failure.error));
	}
	tell_failed(l, request, failure.reason, failure.error, &failure.detail);
	buffer_fini(&failure.detail);
	free(w);
}

static void
on_run(struct launcher *l, const struct protocol_message *m, int stdio[3])
{
	const struct config_map *map = &l->pool->maps[m->map];
	struct launcher_command c;

	if (stdio[0] == -1) {
		tell_failed(l, m->request, REASON_NO_DESCRIPTORS, EMFILE,
		    &(struct buffer){0});
		return;
	}
	if (launcher_prepare(map, m->text, m->data, m->data_length, NULL, &c) ==
	    REASON_NONE)
		run_command(l, m->request, &c, stdio);
	else
		tell_failed(l, m->request, c.resolved.reason, c.resolved.error,
		    &c.resolved.detail);
	launcher_command_fini(&c);
}

static void
on_signal(struct launcher *l, const struct protocol_message *m)
{
	struct worker *w;

	reap(l);
	if ((w = find_by_request(l, m->request)) == NULL)
		return; /* its EXITED is on the way */
	assert(w->pid > 1);
	if (m->code == 0) {
		/* One that is dying is not running: EXITED will tell. */
		if (w->is_reaped || !process_is_exiting(w->pid))
			tell_started(l, w);
		return;
	}
	if (!w->is_reaped || group_has_members(w->pid))
		kill(-w->pid, m->code);
	w->is_killed = true;
	if (w->is_reaped && m->code == SIGKILL)
		forget(w);
}

static void
on_inspect(struct launcher *l, const struct protocol_message *m)
{
	char tree[PROTOCOL_TREE_MAX];
	struct protocol_message answer = {
	    .type = PROTOCOL_TREE, .request = m->request, .text = tree};
	struct worker *w;

	reap(l);
	if ((w = find_by_request(l, m->request)) == NULL || w->is_reaped)
		return;
	process_describe_tree(w->pid, tree, sizeof(tree));
	answer.pid = (int32_t)w->pid;
	tell(l, &answer);
}

static void
on_gateway(struct launcher *l)
{
	static char buffer[PROTOCOL_MESSAGE_MAX];
	struct protocol_message m;
	int stdio[3], n;

	errno = 0;
	n = protocol_receive(l->gateway, buffer, sizeof(buffer), &m, stdio);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n == 1 && m.type == PROTOCOL_RUN && m.map < l->pool->map_count) {
		on_run(l, &m, stdio);
	} else if (n == 1 && m.type == PROTOCOL_SIGNAL) {
		on_signal(l, &m);
	} else if (n == 1 && m.type == PROTOCOL_INSPECT) {
		on_inspect(l, &m);
	} else {
		l->is_betrayed = n == 1 || errno == EPROTO;
		l->gateway_lost = true;
	}
	for (int i = 0; i < 3; i++)
		fd_close(&stdio[i]);
}

static void
kill_child(pid_t pid, void *arg)
{
	(void)arg;
	process_kill_child(pid);
}

static void
kill_workers(struct launcher *l)
{
	struct worker *w;

	for (size_t i = 0; i < BUCKETS; i++)
		LIST_FOREACH (w, &l->workers[i], entry)
			if (!w->is_reaped || group_has_members(w->pid))
				kill(-w->pid, SIGKILL);
	process_each_child(kill_child, NULL);
	for (size_t i = 0; i < BUCKETS; i++)
		while ((w = LIST_FIRST(&l->workers[i])) != NULL)
			forget(w);
	stray_forget_all(&l->strays);
}

/* What every worker inherits from us. */
static void
apply_pool_settings(const struct config_pool *pool)
{
	umask(pool->umask);
	if (pool->no_new_privileges)
		process_forbid_new_privileges();
}

static void
on_child_signal(int signal_number)
{
	(void)signal_number;
}

int
launcher_run(const struct config_pool *pool, int gateway)
{
	struct launcher l = {.pool = pool, .gateway = gateway};
	struct pollfd poll_gateway = {.fd = gateway, .events = POLLIN};
	const struct timespec interval = {SCAN_INTERVAL / 1000000, 0};
	struct sigaction action;
	sigset_t all, while_waiting;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_child_signal;
	sigfillset(&all);
	while_waiting = all;
	sigdelset(&while_waiting, SIGCHLD);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &action, NULL);
	process_adopt_orphans();
	apply_pool_settings(pool);
	l.oom_kills = process_count_oom_kills();
	while (!l.gateway_lost) {
		bool has_children = l.running > 0;
		int n;

		/*
		 * While messages keep coming ppoll never gets to deliver the
		 * signal, so look for the dead after each message too.
		 */
		n = ppoll(&poll_gateway, 1, l.is_scan_due ? &interval : NULL,
		    &while_waiting);
		if (n > 0)
			on_gateway(&l);
		if (n == -1 || has_children)
			reap(&l);
		end_strays(&l);
	}
	kill_workers(&l);
	return l.is_betrayed ? -1 : 0;
}
