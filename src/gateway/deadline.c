/*
 * deadline.c: when a running request has to be looked at again, and what then.
 *
 * Deadlines are computed from facts, not kept: output only notes the time, and
 * a timer that fires too early is set again.
 */
#include "gateway/deadline.h"

#include <signal.h>

#include "base/clock.h"
#include "gateway/front.h"
#include "gateway/judge.h"
#include "gateway/link.h"
#include "gateway/relay.h"
#include "gateway/slow_log.h"

/* A worker that lives so long is asked who it is; most are gone by then. */
#define INTRODUCE_MS 20

/* stdout closed: how long its worker may take to exit before we ask. */
#define DOUBT_MS 20

/* A signal that did not help is sent again; microseconds. */
#define SIGNAL_AGAIN 1000000

bool
request_is_answering(const struct request *r)
{
	return r->state == REQUEST_RUNNING ||
	    (r->state == REQUEST_RESPONDING && !r->response_whole);
}

bool
request_has_worker(const struct request *r)
{
	return r->run.has_slot && !r->run.is_gone;
}

void
request_stop_worker(struct request *r)
{
	int64_t grace = request_timeouts(r)->kill_grace * 1000;

	if (!request_has_worker(r) || r->kill_at != 0)
		return;
	if (link_signal(r, SIGTERM) == -1)
		grace = 0;
	r->kill_at = clock_now() + grace;
	request_set_deadline(r);
}

static void
earliest(int64_t *deadline, int64_t from, int64_t ms)
{
	if (ms > 0 && from + ms * 1000 < *deadline)
		*deadline = from + ms * 1000;
}

static int64_t
grace_end(const struct request *r)
{
	int64_t from =
	    r->gone_at > r->last_output_at ? r->gone_at : r->last_output_at;

	return from + request_timeouts(r)->background_grace * 1000;
}

static bool
waits_for_background(const struct request *r)
{
	return r->run.has_slot && r->run.is_gone && r->run.stdout_fd != -1 &&
	    r->stalled_at == 0 && !r->run.is_final;
}

/* Or a background child, which may go on printing as long as a script. */
static bool
script_may_print(const struct request *r)
{
	return r->run.has_slot && r->kill_at == 0 && !r->run.is_final;
}

static bool
doubts_worker(const struct request *r)
{
	return request_is_answering(r) && request_has_worker(r) &&
	    r->run.stdout_eof && !r->run.is_alive && !r->run.is_doubted;
}

bool
request_is_young(const struct request *r)
{
	return request_has_worker(r) && !r->run.is_introduced &&
	    r->run.questions == 0;
}

bool
request_ask_worker(struct request *r)
{
	if (link_signal(r, 0) == -1)
		return false;
	r->run.questions++;
	return true;
}

static int64_t
idle_since(const struct request *r)
{
	if (r->stalled_at != 0)
		return r->stalled_at;
	if (request_is_answering(r) && request_has_worker(r) &&
	    !r->run.stdout_eof)
		return r->last_output_at;
	return 0;
}

static int64_t
next_deadline(const struct request *r)
{
	const struct config_timeouts *t = request_timeouts(r);
	int64_t deadline = INT64_MAX;

	if (r->kill_at != 0)
		deadline = r->kill_at;
	if (r->state == REQUEST_LINGERING && r->linger_at < deadline)
		deadline = r->linger_at;
	if (waits_for_background(r) && grace_end(r) < deadline)
		deadline = grace_end(r);
	if (doubts_worker(r))
		earliest(&deadline, r->last_output_at, DOUBT_MS);
	if (request_is_young(r))
		earliest(&deadline, r->started_at, INTRODUCE_MS);
	if (slow_log_due(r) != 0 && slow_log_due(r) < deadline)
		deadline = slow_log_due(r);
	if (script_may_print(r))
		earliest(&deadline, r->started_at, t->script);
	if (idle_since(r) != 0)
		earliest(&deadline, idle_since(r), t->idle);
	return deadline;
}

void
request_set_timer(struct request *r, int64_t ms)
{
	struct timeval wait = {
	    (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

	if (ms > 0)
		event_add(&r->timer, &wait);
	else
		event_del(&r->timer);
}

void
request_set_deadline(struct request *r)
{
	int64_t deadline = next_deadline(r), now = clock_now();

	if (deadline == INT64_MAX)
		event_del(&r->timer);
	else
		request_set_timer(
		    r, deadline > now ? (deadline - now + 999) / 1000 : 1);
}

static bool
is_past(int64_t from, int64_t ms, int64_t now)
{
	return from != 0 && ms > 0 && from + ms * 1000 <= now;
}

/* The script, or a background child that goes on writing, takes too long. */
static void
end_script(struct request *r)
{
	if (request_is_answering(r)) {
		request_fail(r, REASON_SCRIPT_TIMEOUT, NULL);
	} else if (request_has_worker(r)) {
		request_stop_worker(r);
	} else {
		relay_stop(r);
		judge_response(r);
	}
}

/* The front end or the script has been idle for too long. */
static void
end_idle(struct request *r)
{
	if (r->stalled_at != 0 && front_has_progressed(r))
		request_set_deadline(r);
	else if (r->stalled_at != 0)
		request_fail(r, REASON_CLIENT_ABORTED,
		    "it took nothing for idle_timeout");
	else if (r->state == REQUEST_RUNNING)
		request_fail(r, REASON_FIRST_BYTE_TIMEOUT, NULL);
	else
		request_fail(r, REASON_IDLE_TIMEOUT, NULL);
}

static void
on_running_timer(struct request *r)
{
	const struct config_timeouts *t = request_timeouts(r);
	int64_t now = clock_now();

	if (r->kill_at != 0 && now >= r->kill_at) {
		link_signal(r, SIGKILL);
		r->kill_at = now + SIGNAL_AGAIN;
		if (r->run.is_gone) {
			request_finish_if_done(r);
			return;
		}
	}
	if (r->run.is_gone)
		relay_note_writers(r);
	if (doubts_worker(r) && is_past(r->last_output_at, DOUBT_MS, now))
		r->run.is_doubted = request_ask_worker(r);
	if (request_is_young(r) && is_past(r->started_at, INTRODUCE_MS, now)) {
		relay_watch(r);
		if (request_ask_worker(r)) {
			judge_response(r);
			return;
		}
	}
	if (slow_log_due(r) != 0 && slow_log_due(r) <= now)
		slow_log_inspect(r);
	if (r->state == REQUEST_LINGERING && now >= r->linger_at) {
		front_break(r);
		request_finish_if_done(r);
	} else if (waits_for_background(r) && now >= grace_end(r)) {
		relay_stop(r);
		judge_response(r);
	} else if (script_may_print(r) &&
	    is_past(r->started_at, t->script, now)) {
		end_script(r);
	} else if (is_past(idle_since(r), t->idle, now)) {
		end_idle(r);
	} else {
		request_set_deadline(r);
	}
}

void
request_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;

	(void)fd;
	(void)what;
	switch (r->state) {
	case REQUEST_READING_HEADER:
		request_fail(r, REASON_HEADER_TIMEOUT, NULL);
		break;
	case REQUEST_READING_BODY:
		request_fail(r, REASON_BODY_TIMEOUT, NULL);
		break;
	case REQUEST_QUEUED:
		request_fail(r, REASON_QUEUE_TIMEOUT, NULL);
		break;
	default:
		on_running_timer(r);
		break;
	}
}
