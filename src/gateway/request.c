/*
 * request.c: a request's beginning, its states, and its end.
 *
 * A request ends when three independent things have happened: the front end
 * took every byte or went away, the worker was reaped, and its stdout was
 * closed.  They arrive in any order, so each handler records its fact and asks
 * request_finish_if_done.
 */
#include "gateway/request.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "cgi/route.h"
#include "gateway/access_log.h"
#include "gateway/core.h"
#include "gateway/deadline.h"
#include "gateway/failure.h"
#include "gateway/front.h"
#include "gateway/link.h"
#include "gateway/pulse.h"
#include "gateway/receive.h"
#include "gateway/redirect.h"
#include "gateway/relay.h"
#include "gateway/reply.h"
#include "gateway/schedule.h"
#include "gateway/slow_log.h"
#include "gateway/status.h"
#include "gateway/stderr_log.h"

/* A signal that could not be sent is sent again; microseconds. */
#define SEND_AGAIN 50000

static const char *const state_names[] = {"reading-header", "reading-body",
    "queued", "running", "responding", "lingering", "ending", "closed"};

static bool
step_is_legal(enum request_state from, enum request_state to)
{
	if (to == REQUEST_QUEUED)
		return from <= REQUEST_READING_BODY || from == REQUEST_RUNNING;
	return to > from;
}

void
request_set_state(struct request *r, enum request_state state)
{
	assert(step_is_legal(r->state, state));
	log_debug("request=%s %s -> %s", r->id, state_names[r->state],
	    state_names[state]);
	r->state = state;
}

const char *
request_state_name(const struct request *r)
{
	return state_names[r->state];
}

const char *
request_param(const struct request *r, enum scgi_param number)
{
	return r->redirected.length > 0 ? r->redirected_params.value[number]
					: request_original(r, number);
}

const char *
request_original(const struct request *r, enum scgi_param number)
{
	return r->header.found.value[number];
}

const struct config_timeouts *
request_timeouts(const struct request *r)
{
	return r->map != NULL ? &r->map->timeouts : &r->gateway->pool->timeouts;
}

uint64_t
request_path_hash(const struct request *r, size_t length)
{
	uint64_t map = HASH_BEGIN ^ (uint64_t)(uintptr_t)r->map;

	return hash_bytes(map, r->path.data, length);
}

const char *
request_safe_script(const struct request *r)
{
	static char safe[1024];

	if (r->script == NULL)
		return "";
	return log_escape(safe, sizeof(safe), r->script, strlen(r->script));
}

static void
set_own_id(struct request *r)
{
	struct gateway *g = r->gateway;
	uint64_t x = g->id_seed + ++g->id_count * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	for (int i = 16; i-- > 0; x >>= 4)
		r->id[i] = "0123456789abcdef"[x & 15];
}

/* The front end's id, if it is one, so that its log and ours can be joined. */
static void
take_id(struct request *r)
{
	const char *id = request_param(r, SCGI_PARAM_HTTP_X_REQUEST_ID);
	size_t n = 0;

	if (id == NULL || *id == '\0')
		return;
	for (; id[n] != '\0'; n++)
		if (n + 1 >= sizeof(r->id) ||
		    (!isalnum((unsigned char)id[n]) &&
			strchr("-_.:+/=", id[n]) == NULL))
			return;
	memcpy(r->id, id, n + 1);
}

int
request_begin(struct gateway *g, int fd, bool is_unix)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -1;
	r->gateway = g;
	r->front_fd = fd;
	r->front_is_unix = is_unix;
	r->body_fd = -1;
	r->run.stdout_fd = -1;
	r->run.is_gone = true;
	r->accepted_at = clock_now();
	set_own_id(r);
	event_assign(&r->timer, g->base, -1, 0, request_on_timer, r);
	/* Nothing to watch yet, but from here on it can be deleted. */
	event_assign(&r->front_event, g->base, fd, 0, NULL, NULL);
	TAILQ_INSERT_TAIL(&g->requests, r, entry);
	g->open_count++;
	front_begin(r);
	counters_note_load(g);
	receive_start(r);
	return 0;
}

enum reason
request_route(struct request *r, char detail[256])
{
	struct gateway *g = r->gateway;
	const char *rule;

	take_id(r);
	if (r->header.duplicate[0] != '\0' &&
	    gateway_is_news(g, "duplicate", r->header.duplicate)) {
		log_escape(detail, 256, r->header.duplicate,
		    strlen(r->header.duplicate));
		log_warnx("request=%s parameter %s is sent more than once, the "
			  "first counts (said once)",
		    r->id, detail);
		detail[0] = '\0';
	}
	rule = cgi_request_path(&r->header.found, &r->path);
	if (rule != NULL) {
		snprintf(detail, 256, "%s", rule);
		return rule == cgi_rule_no_memory ? REASON_OUT_OF_MEMORY
						  : REASON_BAD_REQUEST;
	}
	r->is_status = g->pool->status != NULL &&
	    strcmp(r->path.data, g->pool->status) == 0;
	if (r->is_status)
		return REASON_NONE;
	r->map = config_find_map(
	    g->pool, r->path.data, request_param(r, SCGI_PARAM_HTTP_HOST));
	if (r->map != NULL)
		return REASON_NONE;
	log_escape(detail, 256, r->path.data, strlen(r->path.data));
	return REASON_NO_MAP;
}

void
request_received(struct request *r)
{
	if (r->is_status)
		status_answer(r);
	else
		schedule_add(r, false);
}

/* A connection that never said anything is nobody's failure. */
static bool
is_silent(const struct request *r)
{
	return r->state == REQUEST_READING_HEADER &&
	    (r->reason == REASON_CLIENT_ABORTED ||
		(r->reason == REASON_HEADER_TIMEOUT && r->in.length == 0));
}

void
request_fail(struct request *r, enum reason reason, const char *detail)
{
	bool answer = (r->state <= REQUEST_RUNNING || front_keeps(r)) &&
	    reason != REASON_CLIENT_ABORTED;
	bool is_first = r->reason == REASON_NONE;

	if (is_first)
		r->reason = reason;
	if (is_silent(r))
		answer = false;
	else if (is_first)
		request_log_failure(r, detail);
	schedule_remove(r);
	r->redirect_pending = false;
	fd_close(&r->body_fd);
	front_forget(r);
	if (answer) {
		if (r->state != REQUEST_RESPONDING)
			request_set_state(r, REQUEST_RESPONDING);
		r->response_whole = true;
		if (reply_error(r, detail) == -1)
			front_break(r);
		else
			front_close(r);
	} else {
		if (reason == REASON_CLIENT_ABORTED && r->status == 0)
			r->status = reason_text(reason)->status;
		front_break(r);
	}
	relay_stop(r);
	request_stop_worker(r);
	request_finish_if_done(r);
}

/* What is kept of a request that is over. */
static void
account(const struct request *r)
{
	int64_t now = clock_now();

	access_log_write(r);
	slow_log_write(r, now);
	counters_note_end(r, now);
	usage_note_end(r->gateway->usage, r, now);
}

static void
request_free(struct request *r)
{
	struct gateway *g = r->gateway;

	if (r->body_cut > 0)
		buffer_printf(&r->notes,
		    "%" PRId64 " bytes beyond its Content-Length were cut",
		    r->body_cut);
	request_introduced(r);
	if (r->in.length > 0 &&
	    (r->header.params != NULL || r->reason != REASON_CLIENT_ABORTED))
		account(r);
	request_set_state(r, REQUEST_CLOSED);
	TAILQ_REMOVE(&g->requests, r, entry);
	g->open_count--;
	event_del(&r->timer);
	fd_close(&r->body_fd);
	buffer_fini(&r->in);
	buffer_fini(&r->out);
	buffer_fini(&r->path);
	buffer_fini(&r->redirected);
	buffer_fini(&r->run.output);
	free(r->script);
	free(r->tree);
	free(r);
	counters_note_load(g);
	gateway_request_gone(g);
}

/*
 * The worker is reaped and its stdout closed: the slot is free, once its
 * launcher has been told to end what is left of its group.
 */
static void
end_run(struct request *r)
{
	if (r->run.group_left && link_signal(r, SIGKILL) == -1) {
		r->kill_at = clock_now() + SEND_AGAIN;
		return;
	}
	r->run.group_left = false;
	r->kill_at = 0;
	stderr_log_stop(r);
	schedule_release(r);
}

void
request_drop(struct request *r)
{
	schedule_remove(r);
	front_break(r);
	relay_stop(r);
	stderr_log_stop(r);
	schedule_release(r);
	request_free(r);
}

void
request_finish_if_done(struct request *r)
{
	struct gateway *g = r->gateway;

	if (r->run.has_slot && r->run.is_gone && r->run.stdout_fd == -1)
		end_run(r);
	if (r->redirect_pending && !r->run.has_slot) {
		redirect_run(r);
		return;
	}
	if (r->state == REQUEST_ENDING && !r->run.has_slot)
		request_free(r);
	else
		request_set_deadline(r);
	schedule_dispatch(g);
}
