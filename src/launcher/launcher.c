/*
 * launcher.c: the launcher's loop: messages, and the dead.
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
#include "launcher/core.h"
#include "launcher/fork_servers.h"
#include "launcher/worker.h"

/* How often to look for strays while workers run; microseconds. */
#define SCAN_INTERVAL 1000000

/* What a request has open here: its stdio, and the script's directory. */
#define RUN_FDS 4

/* Reaps all that can be; pids that are not workers are adopted orphans. */
static void
reap(struct launcher *l)
{
	struct rusage usage;
	struct worker *w;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		w = fork_servers_reaped(
		    l, pid, status, worker_find_by_pid(l, pid));
		if (w != NULL)
			worker_exited(l, w, status, &usage);
		else
			stray_forget(&l->strays, pid);
		l->is_scan_due = true;
	}
	if (l->running == 0)
		l->is_scan_due = l->is_scan_due && pid == 0;
}

/* Who is no stray: ours, or of a group that is still being looked after. */
static bool
is_known(pid_t pid, void *arg)
{
	struct launcher *l = arg;

	return worker_owns_group(l, getpgid(pid)) || fork_servers_own(l, pid);
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
	if ((l->running > 0 || !TAILQ_EMPTY(&l->fork_processes)) &&
	    now - l->scanned_at < SCAN_INTERVAL)
		return;
	l->scanned_at = now;
	stray_scan(&l->strays, l->newest, is_known, l);
	stray_kill(&l->strays, worker_oldest(l));
	l->is_scan_due = !LIST_EMPTY(&l->strays);
}

/* The command is whole: start it, or say why it could not be started. */
static void
run_command(struct launcher *l, const struct protocol_message *m,
    const struct launcher_command *c, const int stdio[3])
{
	const struct config_map *map = &l->pool->maps[m->map];
	const struct start_command start = {.path = c->path,
	    .argv = c->argv,
	    .envp = c->environment.envp,
	    .directory = c->resolved.directory,
	    .stdio = stdio,
	    .limits = &l->limits};
	struct worker *w =
	    worker_new(m->request, c->resolved.script.data, START_EXEC);

	if (w == NULL) {
		worker_tell_failed(
		    l, m->request, REASON_OUT_OF_MEMORY, ENOMEM, NULL);
		return;
	}
	w->has_handler = c->resolved.interpreter != NULL;
	if (m->start == START_EXEC || !fork_servers_run(l, map, c, w, stdio))
		worker_start(l, w, &start);
}

static void
on_run(struct launcher *l, const struct protocol_message *m, int fds[RUN_FDS])
{
	const struct config_map *map = &l->pool->maps[m->map];
	struct launcher_command c;

	if (fds[0] == -1) {
		worker_tell_failed(
		    l, m->request, REASON_NO_DESCRIPTORS, EMFILE, NULL);
		return;
	}
	if (launcher_prepare(map, m->text, m->data, m->data_length, NULL, &c) ==
	    REASON_NONE)
		run_command(l, m, &c, fds);
	else
		worker_tell_failed(l, m->request, c.resolved.reason,
		    c.resolved.error, &c.resolved.detail);
	fds[RUN_FDS - 1] = c.resolved.directory;
	c.resolved.directory = -1;
	launcher_command_fini(&c);
}

static void
on_signal(struct launcher *l, const struct protocol_message *m)
{
	struct worker *w;

	reap(l);
	/* If there is none, its EXITED is on the way. */
	if ((w = worker_find_by_request(l, m->request)) != NULL)
		worker_signal(l, w, m->code);
}

static void
on_inspect(struct launcher *l, const struct protocol_message *m)
{
	char tree[PROTOCOL_TREE_MAX];
	struct protocol_message answer = {
	    .type = PROTOCOL_TREE, .request = m->request, .text = tree};
	struct worker *w;

	reap(l);
	w = worker_find_by_request(l, m->request);
	if (w == NULL || w->is_reaped || w->pid == 0)
		return;
	process_describe_tree(w->pid, tree, sizeof(tree));
	answer.pid = (int32_t)w->pid;
	worker_tell(l, &answer);
}

static void
on_gateway(struct launcher *l)
{
	static char buffer[PROTOCOL_MESSAGE_MAX];
	struct protocol_message m;
	int fds[RUN_FDS] = {-1, -1, -1, -1}, n;

	errno = 0;
	n = protocol_receive(l->gateway, buffer, sizeof(buffer), &m, fds);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n == 1 && m.type == PROTOCOL_RUN && m.map < l->pool->map_count) {
		on_run(l, &m, fds);
	} else if (n == 1 && m.type == PROTOCOL_SIGNAL) {
		on_signal(l, &m);
	} else if (n == 1 && m.type == PROTOCOL_INSPECT) {
		on_inspect(l, &m);
	} else {
		l->is_betrayed = n == 1 || errno == EPROTO;
		l->gateway_lost = true;
	}
	fd_close_all(fds, RUN_FDS);
}

static void
kill_child(pid_t pid, void *arg)
{
	(void)arg;
	process_kill_child(pid);
}

static void
kill_all(struct launcher *l)
{
	worker_kill_all(l);
	fork_servers_end(l);
	process_each_child(kill_child, NULL);
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

/* Waits for a message, for a child's end, or until there is something to do. */
static int
wait_for_work(struct launcher *l, const sigset_t *mask, bool *has_message,
    bool *is_readable)
{
	size_t size = 1 + fork_servers_count(l) * FORK_SERVERS_POLL;
	struct pollfd fds[size];
	struct timespec wait;
	int64_t deadline, left;
	size_t count;
	int n;

	fds[0] = (struct pollfd){.fd = l->gateway, .events = POLLIN};
	count = 1 + fork_servers_poll(l, fds + 1, size - 1);
	deadline = fork_servers_deadline(l);
	if (l->is_scan_due)
		deadline =
		    clock_sooner(deadline, l->scanned_at + SCAN_INTERVAL);
	left = deadline != 0 ? deadline - clock_now() : 0;
	if (left < 0)
		left = 0;
	wait.tv_sec = left / 1000000;
	wait.tv_nsec = left % 1000000 * 1000;
	n = ppoll(fds, count, deadline != 0 ? &wait : NULL, mask);
	*has_message = n > 0 && fds[0].revents != 0;
	*is_readable = n > (*has_message ? 1 : 0);
	return n;
}

static void
serve(struct launcher *l, const sigset_t *while_waiting)
{
	bool is_busy = false;

	while (!l->gateway_lost) {
		bool has_children =
		    l->running > 0 || !TAILQ_EMPTY(&l->fork_processes);
		bool has_message, is_readable;
		int n =
		    wait_for_work(l, while_waiting, &has_message, &is_readable);

		if (has_message)
			on_gateway(l);
		/*
		 * While there is always something to read ppoll never gets to
		 * deliver the signal: then look for the dead each time, too.
		 */
		if (n == -1 || ((is_busy || is_readable) && has_children))
			reap(l);
		is_busy = n > 0;
		fork_servers_tend(l, is_readable);
		end_strays(l);
	}
}

int
launcher_run(const struct config_pool *pool, int gateway)
{
	struct launcher l = {.pool = pool, .gateway = gateway};
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
	TAILQ_INIT(&l.fork_servers);
	TAILQ_INIT(&l.fork_processes);
	if (limits_prepare(&l.limits, pool) == -1)
		return -1;
	l.oom_kills = process_count_oom_kills();
	worker_tell(&l, &(struct protocol_message){.type = PROTOCOL_HELLO});
	fork_servers_prestart(&l);
	serve(&l, &while_waiting);
	kill_all(&l);
	return l.is_betrayed ? -1 : 0;
}
