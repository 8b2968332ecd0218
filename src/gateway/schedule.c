/*
 * schedule.c: who runs next.  Invariant: slots_used counts the requests whose
 * run has_slot, and nobody waits while a slot and a launcher are free.
 */
#include "gateway/schedule.h"

#include <sys/stat.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/deadline.h"
#include "gateway/front.h"
#include "gateway/link.h"
#include "gateway/relay.h"
#include "gateway/stderr_log.h"

struct pipes {
	int out[2];
	int err[2];
};

static void
close_pipes(struct pipes *p)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&p->out[i]);
		fd_close(&p->err[i]);
	}
}

/*
 * A script that opens /dev/stdout or /dev/stderr opens the pipe again, which
 * belongs to us: as another user it needs the permission to write.  As our own
 * user it may read, and take what we were told is there: we must not wait.
 */
static int
open_pipes(struct pipes *p, bool other_user)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}};
	if (fd_pipe(p->out) == -1 || fd_pipe(p->err) == -1)
		goto fail;
	if (other_user &&
	    (fchmod(p->out[1], 0622) == -1 || fchmod(p->err[1], 0622) == -1))
		goto fail;
	if (!other_user &&
	    (fd_set_nonblocking(p->out[0]) == -1 ||
		fd_set_nonblocking(p->err[0]) == -1))
		goto fail;
	return 0;
fail:
	close_pipes(p);
	return -1;
}

static void
mark_running(struct request *r, struct link *link)
{
	struct gateway *g = r->gateway;

	schedule_remove(r);
	r->run.link = link;
	r->run.has_slot = true;
	r->run.is_gone = false;
	link->workers++;
	g->slots_used++;
	LIST_INSERT_HEAD(
	    &g->running[r->run.id % GATEWAY_RUN_BUCKETS], r, run_entry);
	r->started_at = r->last_output_at = clock_now();
	request_set_state(r, REQUEST_RUNNING);
}

/*
 * Start the first request in the queue.  Returns false if it has to wait on;
 * one that cannot be started is failed, which makes room as well.
 */
static bool
start_request(struct request *r, struct link *link)
{
	struct gateway *g = r->gateway;
	struct pipes p;
	bool has_stdout, has_stderr;
	int stdio[3];

	if (open_pipes(&p, g->other_user) == -1) {
		request_fail(r, REASON_NO_DESCRIPTORS, strerror(errno));
		return true;
	}
	stdio[0] = r->body_fd != -1 ? r->body_fd : g->null_fd;
	stdio[1] = p.out[1];
	stdio[2] = p.err[1];
	r->run.id = g->next_run++;
	if (link_run(link, r, stdio) == -1) {
		close_pipes(&p);
		if (errno == EAGAIN) {
			front_watch(r);
			return true; /* another launcher may have room */
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return false;
		request_fail(r,
		    errno == EMSGSIZE ? REASON_ENVIRONMENT_TOO_LARGE
				      : REASON_FORK_FAILED,
		    strerror(errno));
		return true;
	}
	mark_running(r, link);
	fd_close(&r->body_fd);
	fd_close(&p.out[1]);
	fd_close(&p.err[1]);
	has_stdout = relay_start(r, p.out[0]) == 0;
	has_stderr = stderr_log_start(r, p.err[0]) == 0;
	if (!has_stdout || !has_stderr) {
		request_fail(r, REASON_NO_DESCRIPTORS, strerror(errno));
		return true;
	}
	request_set_deadline(r);
	return true;
}

void
schedule_dispatch(struct gateway *g)
{
	struct request *r;
	struct link *link;

	if (g->is_dispatching)
		return;
	g->is_dispatching = true;
	while ((r = TAILQ_FIRST(&g->waiting)) != NULL &&
	    g->slots_used < g->slots) {
		if ((link = link_choose(g, r)) == NULL ||
		    !start_request(r, link))
			break;
	}
	g->is_dispatching = false;
	counters_note_load(g);
}

/*
 * Whether the only one that waits will start at once.  Its front end is then
 * watched from the moment its worker has turned out to live longer than most.
 */
static bool
can_start(struct gateway *g, struct request *r)
{
	return g->waiting_count == 1 && g->slots_used < g->slots &&
	    !g->is_dispatching && link_choose(g, r) != NULL;
}

void
schedule_add(struct request *r, bool at_head)
{
	struct gateway *g = r->gateway;
	int64_t wait = request_timeouts(r)->queue;

	if (!at_head && g->waiting_count >= g->pool->queue) {
		request_fail(r, REASON_QUEUE_FULL, NULL);
		return;
	}
	request_set_state(r, REQUEST_QUEUED);
	r->queued_at = clock_now();
	if (r->received_at == 0)
		r->received_at = r->queued_at;
	if (at_head)
		TAILQ_INSERT_HEAD(&g->waiting, r, queue_entry);
	else
		TAILQ_INSERT_TAIL(&g->waiting, r, queue_entry);
	g->waiting_count++;
	request_set_timer(r, wait > 0 ? wait : 1);
	if (!can_start(g, r))
		front_watch(r);
	schedule_dispatch(g);
}

void
schedule_remove(struct request *r)
{
	if (r->state != REQUEST_QUEUED)
		return;
	TAILQ_REMOVE(&r->gateway->waiting, r, queue_entry);
	r->gateway->waiting_count--;
	r->queue_time += clock_now() - r->queued_at;
}

void
schedule_release(struct request *r)
{
	struct gateway *g = r->gateway;

	if (!r->run.has_slot)
		return;
	r->run.has_slot = false;
	LIST_REMOVE(r, run_entry);
	if (r->run.link != NULL)
		r->run.link->workers--;
	g->slots_used--;
}
