/*
 * front.c: the front end's side of a response.
 *
 * A front end takes the end of the connection for the end of the response.  So
 * a response that breaks off must end in an error, even if what breaks it off
 * is the end of this process.  A TCP connection is set to end in a reset, a
 * Unix socket holds an unread byte of the request (r->held), which its peer
 * sees as ECONNRESET; only a response that is whole takes that back.
 */
#include "gateway/front.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "gateway/deadline.h"
#include "gateway/judge.h"
#include "gateway/relay.h"

/*
 * What a front end may still send after an early answer, how long it may be
 * silent, and how long it may take in all (microseconds).
 */
#define LINGER_BYTES  (64 * 1024 * 1024)
#define LINGER_SILENT 5000000
#define LINGER_MOST   30000000

static void front_on_writable(evutil_socket_t, short, void *);
static void watch_for(struct request *, short);

/* Closed on both sides, or reset. */
static bool
is_broken(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/*
 * A front end that has only closed its sending side still reads (lighttpd).
 * A Unix socket tells the two apart; for TCP the configuration does.
 */
static void
front_on_closed(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;
	bool means_gone = !r->front_is_unix &&
	    r->gateway->pool->half_close == HALF_CLOSE_ABORT;

	if (is_broken(fd) || ((what & EV_CLOSED) != 0 && means_gone))
		request_fail(r, REASON_CLIENT_ABORTED, NULL);
	else if ((what & EV_CLOSED) != 0)
		watch_for(r, EV_READ | EV_ET | EV_PERSIST);
}

/*
 * A reset, and what a front end does that goes away without reading what was
 * sent, make an error of the socket, which libevent tells as readable, not as
 * closed.  Input is left for later, so only its edge is of interest.
 */
static void
watch_for(struct request *r, short events)
{
	event_del(&r->front_event);
	r->front_is_writing = false;
	event_assign(&r->front_event, r->gateway->base, r->front_fd, events,
	    front_on_closed, r);
	event_add(&r->front_event, NULL);
}

void
front_watch(struct request *r)
{
	if (r->front_fd != -1)
		watch_for(r, r->gateway->front_gone_events);
}

static void
front_wait_writable(struct request *r)
{
	if (r->front_is_writing)
		return;
	event_del(&r->front_event);
	r->front_is_writing = true;
	event_assign(&r->front_event, r->gateway->base, r->front_fd,
	    EV_WRITE | EV_PERSIST, front_on_writable, r);
	event_add(&r->front_event, NULL);
	r->unsent = fd_count_unsent(r->front_fd);
	relay_pause(r);
}

static ssize_t
send_some(struct request *r, const char *data, size_t length)
{
	ssize_t n;

	r->has_sent = true;
	do {
		n = send(
		    r->front_fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		n = 0;
	return n;
}

static int
send_out(struct request *r)
{
	ssize_t n = send_some(r, r->out.data, r->out.length);

	if (n == -1)
		return -1;
	buffer_consume(&r->out, (size_t)n);
	return 0;
}

/*
 * Most responses are short and over at once.  Sent in one piece, with its end,
 * such a one wakes the front end once; and if its worker crashes, there is an
 * error page instead of half a response.
 */
static bool
may_keep(const struct request *r, size_t length)
{
	return !r->has_sent && !r->response_whole && request_is_young(r) &&
	    r->out.length + length <= FRONT_KEPT_MOST;
}

bool
front_keeps(const struct request *r)
{
	return r->out.length > 0 && !r->has_sent;
}

int
front_flush(struct request *r)
{
	if (!front_keeps(r))
		return 0;
	if (send_out(r) == -1)
		return -1;
	if (r->out.length > 0)
		front_wait_writable(r);
	return 0;
}

void
front_forget(struct request *r)
{
	if (!front_keeps(r))
		return;
	buffer_fini(&r->out);
	r->status = 0;
	r->first_byte_at = 0;
	r->body_sent = 0;
}

int
front_send(struct request *r, const char *data, size_t length)
{
	ssize_t n = 0;

	if (r->front_fd == -1) {
		errno = EPIPE;
		return -1;
	}
	if (may_keep(r, length))
		return buffer_append(&r->out, data, length);
	if (front_flush(r) == -1)
		return -1;
	if (r->out.length == 0 && (n = send_some(r, data, length)) == -1)
		return -1;
	if ((size_t)n == length)
		return 0;
	if (buffer_append(&r->out, data + n, length - (size_t)n) == -1)
		return -1;
	front_wait_writable(r);
	return 0;
}

ssize_t
front_splice(struct request *r, int pipe, size_t length)
{
	ssize_t n = fd_splice(pipe, r->front_fd, length);

	/* The pipe is readable, so it is the front end that is waited for. */
	if (n == -1 && errno == EAGAIN)
		front_wait_writable(r);
	return n;
}

static void
front_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;

	(void)fd;
	(void)what;
	if (send_out(r) == -1) {
		request_fail(r, REASON_CLIENT_ABORTED, NULL);
		return;
	}
	relay_note_stall(r);
	r->stalled_at = clock_now();
	if (r->out.length > 0)
		return;
	buffer_fini(&r->out);
	front_watch(r);
	relay_resume(r);
	if (r->response_whole) {
		front_close(r);
		request_finish_if_done(r);
	} else {
		judge_response(r);
	}
}

/*
 * A socket is writable again only when much of its buffer is free, so a slow
 * reader is known by what its kernel side still holds.
 */
bool
front_has_progressed(struct request *r)
{
	int unsent = fd_count_unsent(r->front_fd);

	if (unsent == -1 || unsent == r->unsent)
		return false;
	r->unsent = unsent;
	relay_note_stall(r);
	r->stalled_at = clock_now();
	return true;
}

/* Read and drop up to a chunk.  Its size, 0 at the end, -1 and errno. */
static ssize_t
discard(struct request *r)
{
	ssize_t n;

	do {
		n = recv(r->front_fd, r->gateway->chunk,
		    sizeof(r->gateway->chunk), MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	return n;
}

static void
close_now(struct request *r)
{
	event_del(&r->front_event);
	fd_close(&r->front_fd);
	buffer_fini(&r->out);
	relay_note_stall(r);
	if (r->closed_at == 0)
		r->closed_at = clock_now();
	if (r->state != REQUEST_ENDING)
		request_set_state(r, REQUEST_ENDING);
}

static void
front_on_lingering(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;
	ssize_t n = discard(r);

	(void)fd;
	(void)what;
	if (n == -1 && errno == EAGAIN)
		return;
	if (n > 0 && (r->discarded += (size_t)n) < LINGER_BYTES &&
	    clock_now() < r->linger_until) {
		r->linger_at = clock_now() + LINGER_SILENT;
		return;
	}
	close_now(r);
	request_finish_if_done(r);
}

/*
 * The answer is out but the request is still coming.  Closing now would throw
 * the answer away with a reset; a front end would report that instead of it.
 */
static void
front_linger(struct request *r)
{
	event_del(&r->front_event);
	shutdown(r->front_fd, SHUT_WR);
	event_assign(&r->front_event, r->gateway->base, r->front_fd,
	    EV_READ | EV_PERSIST, front_on_lingering, r);
	event_add(&r->front_event, NULL);
	request_set_state(r, REQUEST_LINGERING);
	r->linger_at = clock_now() + LINGER_SILENT;
	r->linger_until = clock_now() + LINGER_MOST;
	request_set_deadline(r);
}

/* How this connection ends if it is closed, by whatever: in a reset or not. */
static void
set_reset(struct request *r, bool is_wanted)
{
	const struct linger linger = {.l_onoff = is_wanted, .l_linger = 0};

	if (!r->front_is_unix)
		setsockopt(r->front_fd, SOL_SOCKET, SO_LINGER, &linger,
		    sizeof(linger));
}

void
front_begin(struct request *r)
{
	set_reset(r, true);
}

void
front_close(struct request *r)
{
	ssize_t n;

	if (r->front_fd == -1 || r->state == REQUEST_LINGERING)
		return;
	if (r->out.length > 0)
		return; /* front_on_writable comes back here */
	set_reset(r, false);
	/* Input that is left at close is a reset, too. */
	while (r->is_whole && (r->discarded < r->held || r->discarded == 0) &&
	    (n = discard(r)) > 0)
		r->discarded += (size_t)n;
	if (!r->is_whole || r->discarded > r->held)
		front_linger(r);
	else
		close_now(r);
}

void
front_fail(struct request *r)
{
	request_fail(r,
	    errno == ENOMEM ? REASON_OUT_OF_MEMORY : REASON_CLIENT_ABORTED,
	    NULL);
}

void
front_finish(struct request *r)
{
	if (front_flush(r) == -1) {
		front_fail(r);
		return;
	}
	r->response_whole = true;
	front_close(r);
	request_finish_if_done(r);
}

void
front_break(struct request *r)
{
	if (r->front_fd == -1)
		return;
	close_now(r);
}
