/*
 * request.c: a request's states, its deadlines, and its end.
 *
 * A request ends when three independent things have happened: the front end
 * took every byte or went away, the worker was reaped, and its stdout was
 * closed.  They arrive in any order, so each handler records its fact and asks
 * request_finish_if_done.
 */
#include "gateway/request.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "cgi/route.h"
#include "gateway/access_log.h"
#include "gateway/core.h"
#include "gateway/front.h"
#include "gateway/link.h"
#include "gateway/receive.h"
#include "gateway/redirect.h"
#include "gateway/relay.h"
#include "gateway/reply.h"
#include "gateway/schedule.h"
#include "gateway/stderr_log.h"

/* A worker that lives so long is asked who it is; most are gone by then. */
#define INTRODUCE_MS 20

/* stdout closed: how long its worker may take to exit before we ask. */
#define DOUBT_MS 20

/* A signal that could not be sent, or did not help, is sent again. */
#define SIGNAL_AGAIN 1000000

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
request_param(const struct request *r, const char *name)
{
	if (r->header.params == NULL)
		return NULL;
	return scgi_get_param(r->header.params, r->header.params_length, name);
}

const struct config_timeouts *
request_timeouts(const struct request *r)
{
	return r->map != NULL ? &r->map->timeouts : &r->gateway->pool->timeouts;
}

const char *
request_safe_script(const struct request *r)
{
	static char safe[1024];

	if (r->script == NULL)
		return "";
	return log_escape(safe, sizeof(safe), r->script, strlen(r->script));
}

static bool
is_answering(const struct request *r)
{
	return r->state == REQUEST_RUNNING ||
	    (r->state == REQUEST_RESPONDING && !r->response_whole);
}

static bool
worker_runs(const struct request *r)
{
	return r->run.has_slot && !r->run.is_gone;
}

static void
request_kill(struct request *r)
{
	int64_t grace = request_timeouts(r)->kill_grace * 1000;

	if (!worker_runs(r) || r->kill_at != 0)
		return;
	if (link_signal(r, SIGTERM) == -1)
		grace = 0;
	r->kill_at = clock_now() + grace;
	request_set_deadline(r);
}

/*
 * Deadlines are computed from facts, not kept: output only notes the time, and
 * a timer that fires too early is set again.
 */
static void
earliest(int64_t *deadline, int64_t from, int64_t ms)
{
	if (ms > 0 && from + ms * 1000 < *deadline)
		*deadline = from + ms * 1000;
}

static int64_t
grace_end(const struct request *r)
{
	int64_t from = r->gone_at > r->resumed_at ? r->gone_at : r->resumed_at;

	return from + request_timeouts(r)->background_grace * 1000;
}

static bool
waits_for_background(const struct request *r)
{
	return r->run.has_slot && r->run.is_gone && r->run.stdout_fd != -1 &&
	    r->stalled_at == 0;
}

static bool
doubts_worker(const struct request *r)
{
	return is_answering(r) && worker_runs(r) && r->run.stdout_eof &&
	    !r->run.is_alive && !r->run.is_doubted;
}

static bool
lacks_introduction(const struct request *r)
{
	return worker_runs(r) && !r->run.is_introduced && r->run.questions == 0;
}

/* Asks the launcher whether the worker runs. */
static bool
ask(struct request *r)
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
	if (is_answering(r) && worker_runs(r) && !r->run.stdout_eof)
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
	if (waits_for_background(r) && grace_end(r) < deadline)
		deadline = grace_end(r);
	if (doubts_worker(r))
		earliest(&deadline, r->last_output_at, DOUBT_MS);
	if (lacks_introduction(r))
		earliest(&deadline, r->started_at, INTRODUCE_MS);
	if (worker_runs(r) && r->kill_at == 0)
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

/* The front end or the script has been idle for too long. */
static void
end_idle(struct request *r)
{
	if (r->stalled_at != 0)
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
	}
	if (doubts_worker(r) && is_past(r->last_output_at, DOUBT_MS, now))
		r->run.is_doubted = ask(r);
	if (lacks_introduction(r) && is_past(r->started_at, INTRODUCE_MS, now))
		ask(r);
	if (waits_for_background(r) && now >= grace_end(r)) {
		relay_stop(r);
		relay_judge(r);
	} else if (worker_runs(r) && r->kill_at == 0 &&
	    is_past(r->started_at, t->script, now)) {
		if (is_answering(r))
			request_fail(r, REASON_SCRIPT_TIMEOUT, NULL);
		else
			request_kill(r);
	} else if (is_past(idle_since(r), t->idle, now)) {
		end_idle(r);
	} else {
		request_set_deadline(r);
	}
}

static void
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
	case REQUEST_LINGERING:
		front_break(r);
		request_finish_if_done(r);
		break;
	default:
		on_running_timer(r);
		break;
	}
}

static void
set_own_id(struct request *r)
{
	struct gateway *g = r->gateway;
	uint64_t x = g->id_seed + ++g->id_count * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	snprintf(r->id, sizeof(r->id), "%016" PRIx64, x ^ (x >> 31));
}

/* The front end's id, if it is one, so that its log and ours can be joined. */
static void
take_id(struct request *r)
{
	const char *id = request_param(r, "HTTP_X_REQUEST_ID");
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
	rule = cgi_request_path(
	    r->header.params, r->header.params_length, &r->path);
	if (rule != NULL) {
		snprintf(detail, 256, "%s", rule);
		return REASON_BAD_REQUEST;
	}
	r->map = config_find_map(
	    g->pool, r->path.data, request_param(r, "HTTP_HOST"));
	if (r->map != NULL)
		return REASON_NONE;
	log_escape(detail, 256, r->path.data, strlen(r->path.data));
	return REASON_NO_MAP;
}

void
request_received(struct request *r)
{
	schedule_add(r, false);
}

/*
 * Text that holds quotes of ours around what was escaped already: escape those
 * quotes, so that a field ends where it should.
 */
static void
append_detail(struct buffer *line, const char *detail)
{
	if (detail == NULL || *detail == '\0')
		return;
	buffer_append_string(line, " detail=\"");
	for (const char *p = detail; *p != '\0'; p++) {
		if (*p == '"')
			buffer_append_string(line, "\\\"");
		else
			buffer_append(line, p, *p == '\\' && p[1] ? 2 : 1);
		if (*p == '\\' && p[1] != '\0')
			p++;
	}
	buffer_append_string(line, "\"");
}

static void
append_field(struct buffer *line, const char *name, const char *value)
{
	if (value != NULL && *value != '\0')
		buffer_printf(line, " %s=\"%s\"", name, value);
}

static void
write_failure(struct request *r, const char *detail)
{
	const struct reason_text *text = reason_text(r->reason);
	const char *uri = request_param(r, "REQUEST_URI");
	const char *method = request_param(r, "REQUEST_METHOD");
	struct buffer line = {0};
	char safe[1024];

	stderr_log_drain(r);
	buffer_printf(&line, "request=%s reason=%s status=%d", r->id,
	    text->name, text->status);
	append_field(&line, "method",
	    log_escape(safe, 64, method != NULL ? method : "",
		method != NULL ? strlen(method) : 0));
	append_field(&line, "uri",
	    log_escape(safe, sizeof(safe), uri != NULL ? uri : "",
		uri != NULL ? strlen(uri) : 0));
	append_field(&line, "script", request_safe_script(r));
	append_detail(&line, detail);
	append_field(&line, "stderr", stderr_log_last(r));
	if (buffer_append(&line, "", 1) == -1)
		log_warnx("request=%s reason=%s", r->id, text->name);
	else if (r->reason == REASON_CLIENT_ABORTED)
		log_info("%s", line.data);
	else
		log_warnx("%s", line.data);
	buffer_fini(&line);
}

/*
 * Says once why the request failed.  A worker that has just been started is
 * first asked for its script.
 */
static void
log_failure(struct request *r, const char *detail)
{
	if (worker_runs(r) && !r->run.is_introduced && r->failure == NULL &&
	    (r->run.questions > 0 || ask(r)))
		r->failure = strdup(detail != NULL ? detail : "");
	else
		write_failure(r, detail);
}

static void
log_notes(struct request *r)
{
	const char *p = r->notes.data, *end = p + r->notes.length;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		int n = (int)((newline != NULL ? newline : end) - p);

		log_warnx("request=%s script=\"%s\" response: %.*s", r->id,
		    request_safe_script(r), n, p);
		p += n + 1;
	}
	buffer_fini(&r->notes);
}

void
request_introduced(struct request *r)
{
	if (r->failure != NULL)
		write_failure(r, r->failure);
	free(r->failure);
	r->failure = NULL;
	log_notes(r);
}

/* A connection that never said anything is nobody's failure. */
static bool
is_silent(const struct request *r)
{
	return r->state == REQUEST_READING_HEADER &&
	    (r->in.length == 0 || r->reason == REASON_CLIENT_ABORTED);
}

void
request_fail(struct request *r, enum reason reason, const char *detail)
{
	bool answer =
	    r->state <= REQUEST_RUNNING && reason != REASON_CLIENT_ABORTED;

	if (r->reason == REASON_NONE)
		r->reason = reason;
	if (is_silent(r))
		answer = false;
	else
		log_failure(r, detail);
	schedule_remove(r);
	r->redirect_pending = false;
	fd_close(&r->body_fd);
	if (answer) {
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
	request_kill(r);
	request_finish_if_done(r);
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
		access_log_write(r);
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
	free(r);
	gateway_request_gone(g);
}

/* The worker is reaped and its stdout closed: the slot is free. */
static void
end_run(struct request *r)
{
	if (r->run.group_left)
		link_signal(r, SIGKILL);
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
	else if (r->state != REQUEST_LINGERING)
		request_set_deadline(r);
	schedule_dispatch(g);
}
