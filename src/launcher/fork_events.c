/*
 * fork_events.c: what fork servers say, how they end, and what is due.
 */
#include "launcher/fork_servers.h"

#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "launcher/fork_server.h"
#include "launcher/worker.h"

/* Until it says that it serves: a program, and what imports a lot. */
#define START_TIME	  (5 * SECOND)
#define START_TIME_SCRIPT (60 * SECOND)

/* One that dies young is not started again at once. */
#define YOUNG SECOND

/* How soon a worker that has its request must have shown its pid. */
#define LOST_TIME     (SECOND / 20)

#define TELL_INTERVAL SECOND

/* To begin a request. */
#define BEGIN_TIME (3 * SECOND)

/* Of workers without a request, in a second. */
#define DEATHS_MAX 100

/* Files that a process is made of. */
#define WATCHED_MAX 8192

/* Of one process, before others have their turn. */
#define MESSAGES_AT_ONCE 16

size_t
fork_servers_count(const struct launcher *l)
{
	const struct fork_process *p;
	size_t n = 0;

	TAILQ_FOREACH (p, &l->fork_processes, entry)
		n++;
	return n;
}

size_t
fork_servers_poll(struct launcher *l, struct pollfd *fds, size_t size)
{
	struct fork_process *p;
	size_t n = 0;

	TAILQ_FOREACH (p, &l->fork_processes, entry) {
		const int all[FORK_SERVERS_POLL] = {
		    p->socket, p->output, p->errors};

		for (int i = 0; i < FORK_SERVERS_POLL; i++)
			if (all[i] != -1 && n < size)
				fds[n++] = (struct pollfd){
				    .fd = all[i], .events = POLLIN};
	}
	return n;
}

static void
on_hello(struct launcher *l, struct fork_process *p)
{
	struct fork_server *s = p->owner;
	struct fork_process *old = s->serving;
	const char *said;

	if (fork_process_read(p)) {
		fork_server_refuse(l, p, "it prints before there is a request");
		return;
	}
	p->state = FORK_SERVING;
	p->told_at = clock_now();
	fd_close(&p->output);
	fd_close(&p->errors);
	s->starting = NULL;
	if (old != NULL)
		fork_server_retire(l, old,
		    s->overdue != NULL ? s->overdue : "it was replaced");
	s->serving = p;
	s->overdue = NULL;
	said = fork_process_complaint(p);
	fork_server_tell(l, s, p, PROTOCOL_SERVER_READY,
	    fork_server_complains(s, said) ? said : NULL);
}

static void
on_files(struct launcher *l, struct fork_process *p, const char *names,
    size_t length)
{
	const char *end = names + length;

	for (; names < end; names += strlen(names) + 1) {
		if (names[0] != '/' || watch_has(&p->watched, names))
			continue;
		if (p->watched.count == WATCHED_MAX ||
		    watch_add(&p->watched, names, &p->born) == -1) {
			fork_server_refuse(l, p,
			    "it is made of more files than can be watched");
			return;
		}
	}
}

static bool
has_learned(const struct fork_server *s, const char *name, size_t size)
{
	const char *at = s->learned.length > 0 ? s->learned.data : NULL;

	while (at != NULL) {
		if (strncmp(at, name, size) == 0 &&
		    (at[size] == ',' || at[size] == '\0'))
			return true;
		if ((at = strchr(at, ',')) != NULL)
			at++;
	}
	return false;
}

/*
 * The names become an argument, and a script may have sent them.  Some come
 * again and again: those that must not be imported ahead.
 */
static void
on_learned(struct fork_server *s, const char *names, size_t length)
{
	const char *end = names + length;
	size_t before = s->learned.length;

	s->learning = LEARNING_DONE;
	for (; names < end; names += strlen(names) + 1) {
		size_t size = strspn(names,
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		    "0123456789_.");

		if (size == 0 || names[size] != '\0' || names[0] == '.' ||
		    s->learned.length + size > 64 * 1024 ||
		    has_learned(s, names, size))
			continue;
		buffer_printf(&s->learned, "%s%s",
		    s->learned.length > 0 ? "," : "", names);
	}
	if (s->learned.length > before)
		s->overdue = "the next imports ahead what the script imports";
}

static void
receive(struct launcher *l, struct fork_process *p)
{
	struct fork_server *s;
	struct fork_received r;
	int n;

	for (int i = 0; i < MESSAGES_AT_ONCE && p->owner != NULL; i++) {
		if ((n = fork_process_receive(p, &r)) == 0)
			break;
		s = p->owner;
		if (n == -1 || r.type == FORK_RUN) {
			fd_close_all(r.fds, FORK_FDS);
			fork_server_kill(l, p, "it breaks the protocol");
			break;
		}
		if (r.type == FORK_HELLO && p->state == FORK_STARTING)
			on_hello(l, p);
		else if (r.type == FORK_FILES && p->state == FORK_STARTING)
			on_files(l, p, r.data, r.length);
		else if (r.type == FORK_LEARNED &&
		    s->learning == LEARNING_ASKED)
			on_learned(s, r.data, r.length);
	}
}

/* The pid that a slot has for `w`, if it can be one; 0: none. */
static pid_t
find_pid(struct launcher *l, const struct worker *w)
{
	pid_t pid = fork_process_find(w->process, w->request);
	struct fork_process *p;

	if (pid == 0 || worker_find_by_pid(l, pid) != NULL)
		return 0;
	TAILQ_FOREACH (p, &l->fork_processes, entry)
		if (p->pid == pid)
			return 0;
	return pid;
}

/* A request that a fork server had not taken when it died. */
static void
take_back(struct launcher *l, struct fork_process *p, struct fork_received *r)
{
	struct worker *w = worker_find_unknown(l, p, r->id);
	pid_t pid;

	if (w == NULL || r->id == 0)
		return;
	if ((pid = find_pid(l, w)) != 0) {
		worker_identify(l, w, pid); /* it had just forked it */
		return;
	}
	/* Nothing that would free it of ours is taken from there. */
	r->command.path = p->program;
	r->command.limits = &l->limits;
	fork_process_done(p);
	worker_start(l, w, &r->command);
}

/* What it had not begun when it died is begun here. */
static void
take_back_all(struct launcher *l, struct fork_process *p)
{
	struct fork_received r;

	while (fork_process_take_back(p, &r) == 1) {
		if (r.type == FORK_RUN)
			take_back(l, p, &r);
		fd_close_all(r.fds, FORK_FDS);
	}
	p->lost_at = clock_now() + LOST_TIME;
	p->lost_by = clock_now() + BEGIN_TIME;
}

static const char *
describe_end(int status, bool has_served, char *out, size_t size)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == FORK_EXIT_UNUSABLE &&
	    !has_served)
		return "it is not suited";
	if (WIFSIGNALED(status))
		snprintf(
		    out, size, "it was killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == FORK_EXIT_NO_FORK && has_served)
		snprintf(out, size, "the system refused it a new process");
	else
		snprintf(
		    out, size, "it exited with status %d", WEXITSTATUS(status));
	return out;
}

static void
process_ended(struct launcher *l, struct fork_process *p, int status)
{
	struct fork_server *s = p->owner;
	char text[128];
	const char *why =
	    describe_end(status, p->state != FORK_STARTING, text, sizeof(text));

	receive(l, p);
	fork_process_read(p);
	p->pid = -1;
	if (p->owner != NULL && p->state == FORK_STARTING) {
		fork_server_refuse(l, p, why);
	} else if (p->owner != NULL) {
		if (clock_now() - p->started_at < YOUNG)
			s->retry_at = clock_now() + YOUNG;
		fork_server_retire(l, p, why);
	}
	take_back_all(l, p);
}

/* One that cannot live would be forked again and again. */
static void
count_death(struct launcher *l, struct fork_process *p)
{
	int64_t now = clock_now();

	if (now - p->deaths_since > SECOND) {
		p->deaths_since = now;
		p->spare_deaths = 0;
	}
	if (++p->spare_deaths > DEATHS_MAX && p->owner != NULL)
		fork_server_refuse(
		    l, p, "its workers die before they have a request");
}

struct worker *
fork_servers_reaped(
    struct launcher *l, pid_t pid, int status, struct worker *known)
{
	struct fork_process *p;
	uint32_t id;

	TAILQ_FOREACH (p, &l->fork_processes, entry) {
		if (p->pid == pid) {
			process_ended(l, p, status);
			return NULL;
		}
		if (!fork_process_reaped(p, pid, status, &id))
			continue;
		if (id == 0 && known == NULL)
			count_death(l, p);
		if (known == NULL && id != 0 &&
		    (known = worker_find_unknown(l, p, id)) != NULL) {
			worker_settle(l, known);
			worker_identify(l, known, pid);
		}
		return known;
	}
	return known;
}

bool
fork_servers_own(struct launcher *l, pid_t pid)
{
	struct fork_process *p;

	TAILQ_FOREACH (p, &l->fork_processes, entry)
		if (p->pid == pid || fork_process_has(p, pid))
			return true;
	return false;
}

/*
 * Signals wait for the pids of these workers.  A fork server that has not begun
 * one for long is stopped, or has lost a worker that had just taken it.
 */
static void
identify_pending(struct launcher *l)
{
	struct worker *w, *next;
	int64_t now = clock_now();
	pid_t pid;

	for (w = LIST_FIRST(&l->workers[0]); w != NULL; w = next) {
		next = LIST_NEXT(w, entry);
		if (!w->is_asked && w->signal == 0)
			continue;
		pid = find_pid(l, w);
		if (pid != 0)
			worker_identify(l, w, pid);
		else if (now - w->started_at > BEGIN_TIME)
			fork_server_kill(
			    l, w->process, "it does not begin its requests");
	}
}

/*
 * Whether a spare worker of a dead fork server may have taken a request that it
 * does not yet show.  One that has none sees the end, and ends.
 */
static bool
may_find(struct launcher *l, struct fork_process *p, int64_t now)
{
	return now < p->lost_by && worker_find_unknown(l, p, 0) != NULL &&
	    fork_process_has_spare(p);
}

/* Those that a dead fork server had taken and that have no worker. */
static void
fail_lost(struct launcher *l, struct fork_process *p)
{
	struct worker *w, *next;
	struct buffer detail = {0};
	pid_t pid;

	buffer_printf(&detail, "its fork server died");
	for (w = LIST_FIRST(&l->workers[0]); w != NULL; w = next) {
		next = LIST_NEXT(w, entry);
		if (w->process != p)
			continue;
		if ((pid = find_pid(l, w)) != 0) {
			worker_identify(l, w, pid);
			continue;
		}
		fork_process_done(p);
		worker_tell_failed(
		    l, w->request, REASON_LAUNCHER_LOST, 0, &detail);
		worker_forget(l, w);
	}
	buffer_fini(&detail);
	p->lost_at = 0;
}

static void
tend_process(struct launcher *l, struct fork_process *p, int64_t now)
{
	struct fork_server *s = p->owner;
	int64_t limit;

	if (p->lost_at != 0 && now >= p->lost_at) {
		if (may_find(l, p, now))
			p->lost_at = now + LOST_TIME;
		else
			fail_lost(l, p);
	}
	if (p->end_by != 0 && now >= p->end_by)
		fork_server_kill(l, p, "");
	if (s == NULL)
		return;
	limit = s->kind == START_FORK_SERVER ? START_TIME : START_TIME_SCRIPT;
	if (p->state == FORK_STARTING && now - p->started_at > limit)
		fork_server_refuse(
		    l, p, "it does not come to its work in time");
	else if (p->state == FORK_SERVING && s->map->idle > 0 &&
	    now - s->used_at > s->map->idle * 1000)
		fork_server_retire_all(
		    l, s, "it was not used for as long as idle says");
	else if (p->state == FORK_SERVING && p->requests != p->requests_told &&
	    now - p->told_at > TELL_INTERVAL) {
		p->told_at = now;
		p->requests_told = p->requests;
		fork_server_tell(l, s, p, PROTOCOL_SERVER_COUNTS, NULL);
	}
}

void
fork_servers_tend(struct launcher *l, bool is_readable)
{
	struct fork_process *p, *next;
	int64_t now;

	if (TAILQ_EMPTY(&l->fork_processes))
		return;
	now = clock_now();
	if (l->pending > 0)
		identify_pending(l);
	for (p = TAILQ_FIRST(&l->fork_processes); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (is_readable) {
			receive(l, p);
			if (p->state == FORK_STARTING && fork_process_read(p))
				fork_server_refuse(l, p,
				    "it prints before there is a request");
		}
		tend_process(l, p, now);
		/* Whoever has no pid by then has been told of. */
		if (p->pid == -1 && p->lost_at == 0) {
			TAILQ_REMOVE(&l->fork_processes, p, entry);
			fork_process_free(p);
			/* A spare worker that is stopped cannot see the end. */
			l->is_scan_due = true;
		}
	}
}

int64_t
fork_servers_deadline(struct launcher *l)
{
	struct fork_process *p;
	int64_t soonest = l->pending > 0 ? clock_now() + SECOND / 200 : 0;

	TAILQ_FOREACH (p, &l->fork_processes, entry) {
		const struct fork_server *s = p->owner;

		soonest = clock_sooner(soonest, p->lost_at);
		if (p->pid != -1)
			soonest = clock_sooner(soonest, p->end_by);
		if (s == NULL)
			continue;
		if (p->state == FORK_STARTING)
			soonest = clock_sooner(soonest,
			    p->started_at +
				(s->kind == START_FORK_SERVER
					? START_TIME
					: START_TIME_SCRIPT));
		else if (s->map->idle > 0)
			soonest = clock_sooner(
			    soonest, s->used_at + s->map->idle * 1000 + 1000);
		if (p->requests != p->requests_told)
			soonest =
			    clock_sooner(soonest, p->told_at + TELL_INTERVAL);
	}
	return soonest;
}

void
fork_servers_end(struct launcher *l)
{
	struct fork_process *p;
	struct fork_server *s;

	while ((p = TAILQ_FIRST(&l->fork_processes)) != NULL) {
		TAILQ_REMOVE(&l->fork_processes, p, entry);
		fork_process_free(p);
	}
	while ((s = TAILQ_FIRST(&l->fork_servers)) != NULL)
		fork_server_free(l, s);
}
