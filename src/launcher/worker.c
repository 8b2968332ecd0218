/*
 * worker.c: owns the workers' pids: a pid is signalled only while this process
 * has not reaped it, so never a recycled one.
 */
#include "launcher/worker.h"

#include <sys/wait.h>

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"

/* The first is of those whose pid is not known yet, and of no others. */
static struct worker_list *
bucket_of(struct launcher *l, pid_t pid)
{
	return &l->workers[pid == 0
		? 0
		: 1 + (unsigned)pid % (LAUNCHER_BUCKETS - 1)];
}

static struct worker *
find_by_pid(struct launcher *l, pid_t pid, bool is_reaped)
{
	struct worker *w;

	LIST_FOREACH (w, bucket_of(l, pid), entry)
		if (w->pid == pid && w->is_reaped == is_reaped)
			return w;
	return NULL;
}

struct worker *
worker_find_by_pid(struct launcher *l, pid_t pid)
{
	return find_by_pid(l, pid, false);
}

struct worker *
worker_find_unknown(
    struct launcher *l, const struct fork_process *process, uint32_t request)
{
	struct worker *w;

	LIST_FOREACH (w, bucket_of(l, 0), entry)
		if (w->process == process &&
		    (request == 0 || w->request == request))
			return w;
	return NULL;
}

struct worker *
worker_find_by_request(struct launcher *l, uint32_t request)
{
	struct worker *w;

	for (size_t i = 0; i < LAUNCHER_BUCKETS; i++)
		LIST_FOREACH (w, &l->workers[i], entry)
			if (w->request == request)
				return w;
	return NULL;
}

bool
worker_owns_group(struct launcher *l, pid_t group)
{
	struct worker *w;

	LIST_FOREACH (w, bucket_of(l, group), entry)
		if (w->pid == group)
			return true;
	return false;
}

uint64_t
worker_oldest(struct launcher *l)
{
	uint64_t oldest = l->newest + 1;
	struct worker *w;

	for (size_t i = 0; i < LAUNCHER_BUCKETS; i++)
		LIST_FOREACH (w, &l->workers[i], entry)
			if (w->number < oldest)
				oldest = w->number;
	return oldest;
}

void
worker_tell(struct launcher *l, const struct protocol_message *m)
{
	if (protocol_send(l->gateway, m, NULL, true) == -1)
		l->gateway_lost = true;
}

void
worker_tell_failed(struct launcher *l, uint32_t request, enum reason reason,
    int error, const struct buffer *detail)
{
	struct protocol_message m = {.type = PROTOCOL_FAILED,
	    .request = request,
	    .reason = reason,
	    .code = error,
	    .text = detail != NULL ? detail->data : NULL};

	worker_tell(l, &m);
}

static void
tell_started(struct launcher *l, const struct worker *w)
{
	struct protocol_message m = {.type = PROTOCOL_STARTED,
	    .request = w->request,
	    .pid = (int32_t)w->pid,
	    .started_at = w->started_at,
	    .start = w->start,
	    .text = w->script};

	worker_tell(l, &m);
}

struct worker *
worker_new(uint32_t request, const char *script, enum config_start start)
{
	size_t size = strlen(script) + 1;
	struct worker *w = calloc(1, sizeof(*w) + size);

	if (w == NULL)
		return NULL;
	w->request = request;
	w->start = start;
	memcpy(w->script, script, size);
	return w;
}

static void
insert(struct launcher *l, struct worker *w, pid_t pid)
{
	struct worker *old = find_by_pid(l, pid, true);

	/* The number is given out again: nobody is left of that group. */
	if (old != NULL)
		worker_forget(l, old);
	w->pid = pid;
	LIST_INSERT_HEAD(bucket_of(l, pid), w, entry);
}

void
worker_add(struct launcher *l, struct worker *w, pid_t pid)
{
	w->number = ++l->newest;
	w->started_at = clock_now();
	insert(l, w, pid);
	l->running++;
}

static bool
is_pending(const struct worker *w)
{
	return w->is_asked || w->signal != 0;
}

void
worker_forget(struct launcher *l, struct worker *w)
{
	if (w->number != 0) {
		LIST_REMOVE(w, entry);
		if (!w->is_reaped)
			l->running--;
	}
	if (is_pending(w))
		l->pending--;
	free(w);
}

void
worker_identify(struct launcher *l, struct worker *w, pid_t pid)
{
	bool is_asked = w->is_asked;
	int signal_number = w->signal;

	assert(w->pid == 0);
	worker_settle(l, w);
	w->process = NULL;
	LIST_REMOVE(w, entry);
	insert(l, w, pid);
	if (is_asked)
		worker_signal(l, w, 0);
	if (signal_number != 0)
		worker_signal(l, w, signal_number);
}

void
worker_settle(struct launcher *l, struct worker *w)
{
	if (is_pending(w))
		l->pending--;
	w->is_asked = false;
	w->signal = 0;
}

/* SIGKILL goes before SIGTERM. */
static void
keep_signal(struct launcher *l, struct worker *w, int signal_number)
{
	if (!is_pending(w))
		l->pending++;
	if (signal_number == 0)
		w->is_asked = true;
	else if (w->signal != SIGKILL)
		w->signal = signal_number;
}

/* What failed: the exec, with a reason of its own, or what is before it. */
static void
tell_start_failed(struct launcher *l, const struct worker *w, const char *path,
    int error, bool at_exec)
{
	struct start_failure failure;
	char safe[1024];

	if (at_exec) {
		start_diagnose(
		    path, w->script, error, &l->pool->user, &failure);
	} else {
		memset(&failure, 0, sizeof(failure));
		failure.error = error;
		failure.reason = error == EACCES ? REASON_PERMISSION_DENIED
						 : REASON_FORK_FAILED;
		log_escape(safe, sizeof(safe), w->script, strlen(w->script));
		buffer_printf(&failure.detail, "%s: cannot start it: %s", safe,
		    strerror(error));
	}
	worker_tell_failed(
	    l, w->request, failure.reason, failure.error, &failure.detail);
	buffer_fini(&failure.detail);
}

void
worker_start(
    struct launcher *l, struct worker *w, const struct start_command *command)
{
	int at_exec = 0;
	pid_t pid = start_worker(command, &at_exec);

	if (pid == -1) {
		tell_start_failed(l, w, command->path, errno, at_exec);
		worker_forget(l, w);
		return;
	}
	w->start = START_EXEC;
	if (w->number == 0)
		worker_add(l, w, pid);
	else
		worker_identify(l, w, pid);
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

void
worker_signal(struct launcher *l, struct worker *w, int signal_number)
{
	if (w->pid == 0) {
		keep_signal(l, w, signal_number);
		return;
	}
	if (signal_number == 0) {
		/* One that is dying is not running: EXITED will tell. */
		if (w->is_reaped || !process_is_exiting(w->pid))
			tell_started(l, w);
		return;
	}
	if (!w->is_reaped || group_has_members(w->pid))
		/* One that a fork server just made has no group yet. */
		if (kill(-w->pid, signal_number) == -1 && !w->is_reaped)
			kill(w->pid, signal_number);
	w->is_killed = true;
	if (w->is_reaped && signal_number == SIGKILL) {
		worker_forget(l, w);
		/* Who left the group meanwhile was taken for one of it. */
		l->is_scan_due = true;
	}
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

	if (!w->has_handler && start_has_crlf_shebang(w->script))
		return REASON_CRLF_SHEBANG;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || w->is_killed)
		return REASON_NONE;
	l->oom_kills = process_count_oom_kills();
	return l->oom_kills > before ? REASON_OUT_OF_MEMORY : REASON_NONE;
}

void
worker_exited(struct launcher *l, struct worker *w, int status,
    const struct rusage *usage)
{
	struct protocol_message m = {.type = PROTOCOL_EXITED,
	    .request = w->request,
	    .pid = (int32_t)w->pid,
	    .code = status,
	    .started_at = w->started_at,
	    .start = w->start,
	    .user_time = microseconds(&usage->ru_utime),
	    .system_time = microseconds(&usage->ru_stime),
	    .peak_memory = usage->ru_maxrss,
	    .number = w->refused};

	w->is_reaped = true;
	l->running--;
	m.group_left = group_has_members(w->pid);
	if (status != 0)
		m.reason = know_better(l, w, status);
	m.text = w->script;
	worker_tell(l, &m);
	if (!m.group_left)
		worker_forget(l, w);
}

void
worker_kill_all(struct launcher *l)
{
	struct worker *w;

	for (size_t i = 0; i < LAUNCHER_BUCKETS; i++)
		while ((w = LIST_FIRST(&l->workers[i])) != NULL) {
			if (w->pid > 1 &&
			    (!w->is_reaped || group_has_members(w->pid)) &&
			    kill(-w->pid, SIGKILL) == -1 && !w->is_reaped)
				kill(w->pid, SIGKILL);
			worker_forget(l, w);
		}
}
