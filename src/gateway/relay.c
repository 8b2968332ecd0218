/*
 * relay.c: passes on what a worker prints with one fixed buffer: stdout is read
 * only while the front end takes what it gives.  The body of a large response
 * is not read but spliced, where that can be done.
 *
 * The pipe blocks, but is read once per readiness, and nobody else reads it.
 */
#include "gateway/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cgi/response.h"
#include "gateway/deadline.h"
#include "gateway/front.h"
#include "gateway/judge.h"
#include "gateway/redirect.h"

/*
 * Most workers have said all and ended before anyone could have read half of
 * it.  With paths where that is so each time, stdout is not watched: it is
 * looked at once, when the worker has ended or turns out to live longer, which
 * spares two wake-ups and four system calls of a request.  For that a run has
 * to be brief: to print no more than would have been kept, and to end when its
 * response does (microseconds).  A count of 255 begins anew: some are watched,
 * to see that it is still so.
 */
#define BRIEF_AFTER  2000
#define BRIEF_STREAK 8

/* Send what belongs to the body, count what does not. */
static int
send_body(struct request *r, const char *data, size_t length)
{
	size_t wanted = length;

	if (r->has_no_body)
		return 0;
	if (r->response_length >= 0 &&
	    (int64_t)wanted > r->response_length - r->body_sent) {
		wanted = (size_t)(r->response_length - r->body_sent);
		r->body_cut += (int64_t)(length - wanted);
	}
	if (wanted > 0 && front_send(r, data, wanted) == -1)
		return -1;
	r->body_sent += (int64_t)wanted;
	return 0;
}

static bool
body_is_whole(const struct request *r)
{
	return r->has_no_body || r->body_sent == r->response_length;
}

static void
finish_if_whole(struct request *r)
{
	if (!r->response_whole && body_is_whole(r))
		front_finish(r);
}

static void
on_body(struct request *r, const char *data, size_t length)
{
	if (send_body(r, data, length) == -1)
		front_fail(r);
	else
		finish_if_whole(r);
}

/* What the log should say of this header; the script may not be known yet. */
static void
take_notes(struct request *r, struct cgi_response *response)
{
	r->notes = response->notes;
	memset(&response->notes, 0, sizeof(response->notes));
	if (!response->has_content_type && !r->has_no_body &&
	    response->location == NULL &&
	    gateway_is_news(r->gateway, "no Content-Type", r->path.data))
		buffer_append_string(
		    &r->notes, "no Content-Type (said once a path)\n");
}

/* The header is judged good: the response begins, with what follows it. */
static void
begin_response(struct request *r, struct cgi_response *response,
    const char *body, size_t length)
{
	const char *method = request_original(r, SCGI_PARAM_REQUEST_METHOD);
	size_t with_head = length;

	r->has_no_body = !cgi_status_has_body(response->status) ||
	    (method != NULL && strcmp(method, "HEAD") == 0);
	r->response_length = response->content_length;
	r->status = response->status;
	r->first_byte_at = clock_now();
	request_set_state(r, REQUEST_RESPONDING);
	if (r->run.is_introduced)
		front_watch(r);
	take_notes(r, response);
	/* One write for the header, with the body that is already here. */
	if (r->has_no_body)
		with_head = 0;
	else if (r->response_length >= 0 &&
	    (int64_t)with_head > r->response_length)
		with_head = (size_t)r->response_length;
	r->body_sent = (int64_t)with_head;
	if (!r->has_no_body)
		r->body_cut = (int64_t)(length - with_head);
	if (buffer_append(&response->head, body, with_head) == -1 ||
	    front_send(r, response->head.data, response->head.length) == -1) {
		front_fail(r);
		return;
	}
	finish_if_whole(r);
}

static void
on_header(struct request *r, size_t size)
{
	struct buffer output = r->run.output;
	struct cgi_response response;

	memset(&r->run.output, 0, sizeof(r->run.output));
	if (cgi_parse_response(output.data, size, r->map->accel, &response) ==
	    -1) {
		request_fail(r, REASON_OUT_OF_MEMORY, NULL);
	} else if (response.reason != REASON_NONE) {
		request_fail(r, response.reason, response.detail);
	} else if (response.is_local_redirect &&
	    redirect_wanted(r, response.location)) {
		redirect_prepare(r, response.location);
	} else {
		begin_response(
		    r, &response, output.data + size, output.length - size);
	}
	cgi_response_fini(&response);
	buffer_fini(&output);
}

static void
on_output(struct request *r, const char *data, size_t length)
{
	struct buffer *output = &r->run.output;
	size_t max = r->gateway->pool->max_response_header, size;
	char detail[64];

	if (buffer_append(output, data, length) == -1) {
		request_fail(r, REASON_OUT_OF_MEMORY, NULL);
		return;
	}
	size =
	    cgi_find_header_end(output->data, output->length, &r->run.scanned);
	if (size > max || (size == 0 && output->length > max)) {
		snprintf(detail, sizeof(detail),
		    "%zu bytes, max_response_header is %zu",
		    size > max ? size : output->length, max);
		request_fail(r,
		    cgi_has_field(output->data, output->length)
			? REASON_HEADER_TOO_LARGE
			: REASON_NO_HEADER,
		    detail);
	} else if (size > 0) {
		on_header(r, size);
	}
}

static bool
may_splice(const struct request *r)
{
	return r->run.is_large && r->state == REQUEST_RESPONDING &&
	    !r->response_whole && !r->has_no_body && !front_keeps(r);
}

/* One turn at most what the pipe holds, so others get theirs. */
static void
relay_splice(struct request *r)
{
	int64_t want = FD_PIPE_LARGE, left = r->response_length - r->body_sent;
	ssize_t n;

	if (r->response_length >= 0 && want > left)
		want = left;
	n = front_splice(r, r->run.stdout_fd, (size_t)want);
	if (n == -1 && errno == EINVAL)
		r->run.is_large = false;
	if (n == -1 && (errno == EAGAIN || errno == EINVAL))
		return;
	r->last_output_at = clock_now();
	if (n == -1) {
		front_fail(r);
	} else if (n == 0) {
		relay_stop(r);
		judge_response(r);
	} else {
		r->body_sent += n;
		finish_if_whole(r);
	}
}

static void
take_output(struct request *r, const char *data, size_t length)
{
	r->last_output_at = clock_now();
	r->run.received += length;
	if (r->redirect_pending)
		return;
	if (r->state == REQUEST_RUNNING)
		on_output(r, data, length);
	else if (r->state == REQUEST_RESPONDING)
		on_body(r, data, length);
	else if (r->response_length >= 0 && !r->has_no_body)
		r->body_cut += (int64_t)length;
}

static void
relay_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;
	char *chunk = r->gateway->chunk;
	ssize_t n;

	(void)what;
	if (may_splice(r)) {
		relay_splice(r);
		return;
	}
	n = read(fd, chunk, GATEWAY_CHUNK);
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n == GATEWAY_CHUNK && !r->run.is_large) {
		r->run.is_large = true;
		fd_enlarge_pipe(fd);
	}
	if (n > 0) {
		take_output(r, chunk, (size_t)n);
		return;
	}
	r->last_output_at = clock_now();
	if (n == -1) {
		request_fail(r, REASON_TRUNCATED_BODY, strerror(errno));
	} else {
		relay_stop(r);
		judge_response(r);
	}
}

int
relay_start(struct request *r, int stdout_fd)
{
	uint64_t hash = request_path_hash(r, r->path.length);

	r->run.stdout_fd = stdout_fd;
	r->run.streak = &r->gateway->streaks[hash % GATEWAY_STREAKS];
	r->run.received = 0;
	r->response_length = -1;
	if (event_assign(&r->run.stdout_event, r->gateway->base, stdout_fd,
		EV_READ | EV_PERSIST, relay_on_readable, r) == -1)
		return -1;
	r->run.is_unwatched = *r->run.streak >= BRIEF_STREAK;
	return r->run.is_unwatched ? 0 : event_add(&r->run.stdout_event, NULL);
}

/*
 * Takes what stdout holds, once: who writes on could keep us here.  Closes it
 * if nobody can write any more and that was all.
 */
static void
look(struct request *r)
{
	struct pollfd p = {.fd = r->run.stdout_fd, .events = POLLIN};
	ssize_t n = 0;

	if (p.fd == -1 || poll(&p, 1, 0) != 1)
		return;
	if ((p.revents & POLLIN) != 0)
		n = read(p.fd, r->gateway->chunk, GATEWAY_CHUNK);
	if (n > 0)
		take_output(r, r->gateway->chunk, (size_t)n);
	if ((p.revents & POLLHUP) != 0 && n >= 0 && n < GATEWAY_CHUNK)
		relay_stop(r);
}

static void
watch(struct request *r)
{
	r->run.is_unwatched = false;
	look(r);
	if (r->run.stdout_fd != -1 && r->stalled_at == 0 &&
	    event_add(&r->run.stdout_event, NULL) == -1)
		request_fail(r, REASON_NO_DESCRIPTORS, strerror(errno));
}

void
relay_watch(struct request *r)
{
	if (!r->run.is_unwatched)
		return;
	watch(r);
	/* It would have been of use sooner. */
	if (r->run.received > 0)
		*r->run.streak = 0;
}

void
relay_end(struct request *r)
{
	if (r->run.is_unwatched)
		watch(r);
	if (r->run.received > FRONT_KEPT_MOST || r->run.is_large ||
	    (r->closed_at != 0 && clock_now() - r->closed_at > BRIEF_AFTER))
		*r->run.streak = 0;
	else if (request_is_young(r))
		++*r->run.streak;
}

void
relay_note_writers(struct request *r)
{
	struct pollfd p = {.fd = r->run.stdout_fd};

	if (p.fd != -1 && poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0)
		r->run.is_final = true;
}

void
relay_pause(struct request *r)
{
	if (r->run.stdout_fd != -1)
		event_del(&r->run.stdout_event);
	r->stalled_at = clock_now();
}

void
relay_note_stall(struct request *r)
{
	if (r->stalled_at != 0)
		r->stalled_time += clock_now() - r->stalled_at;
	r->stalled_at = 0;
}

void
relay_resume(struct request *r)
{
	if (r->run.stdout_fd != -1)
		event_add(&r->run.stdout_event, NULL);
	relay_note_stall(r);
	r->last_output_at = clock_now();
}

void
relay_stop(struct request *r)
{
	if (r->run.stdout_fd == -1)
		return;
	event_del(&r->run.stdout_event);
	fd_close(&r->run.stdout_fd);
	r->run.stdout_eof = true;
}
