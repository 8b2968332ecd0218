/*
 * receive.c: reads a request.  Nothing is started before it is whole.
 *
 * On a Unix socket the bytes that make a request whole are only peeked at: see
 * front.c for why one must stay unread.  On TCP they are read at once.
 */
#include "gateway/receive.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/deadline.h"

/* The first read: most requests of a browser fit. */
#define FIRST_READ 4096

static ssize_t
receive(struct request *r, void *data, size_t length, bool peek)
{
	ssize_t n;

	do {
		n = recv(r->front_fd, data, length,
		    MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
	} while (n == -1 && errno == EINTR);
	return n;
}

/* Take what was peeked at.  -1: it was not there, and `r` has failed. */
static int
consume(struct request *r, size_t fresh)
{
	char *data = r->in.data + r->in.length - fresh;

	if (fresh == 0 || receive(r, data, fresh, false) == (ssize_t)fresh)
		return 0;
	request_fail(r, REASON_CLIENT_ABORTED, "cannot read its request");
	return -1;
}

static void receive_on_readable(evutil_socket_t, short, void *);

/* The rest is not here yet: be told. */
static void
receive_more(struct request *r)
{
	if (r->is_receiving)
		return;
	r->is_receiving = true;
	event_assign(&r->front_event, r->gateway->base, r->front_fd,
	    EV_READ | EV_PERSIST, receive_on_readable, r);
	if (event_add(&r->front_event, NULL) == -1)
		request_fail(r, REASON_NO_DESCRIPTORS, strerror(errno));
}

static void
received_all(struct request *r)
{
	if (r->is_receiving)
		event_del(&r->front_event);
	r->is_whole = true;
	request_received(r);
}

static int
open_body(struct request *r)
{
	const struct config_pool *pool = r->gateway->pool;

	r->body_fd = -1;
	if ((uint64_t)r->body_length <= pool->body_memory)
		r->body_fd = fd_memory_file();
	if (r->body_fd == -1)
		r->body_fd = fd_temporary_file(pool->spool_dir);
	return r->body_fd == -1 ? -1 : 0;
}

/* pwrite leaves the offset at 0, where the script will begin to read. */
static int
store_body(struct request *r, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = pwrite(r->body_fd, data, length, r->body_received);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		r->body_received += n;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

static void
describe_spool(struct request *r, char detail[256])
{
	snprintf(detail, 256, "spool_dir %s: %s", r->gateway->pool->spool_dir,
	    strerror(errno));
}

static void
receive_body(struct request *r)
{
	char *chunk = r->gateway->chunk;
	size_t want = GATEWAY_CHUNK;
	int64_t left = r->body_length - r->body_received;
	bool peek = r->front_is_unix && left == 1;
	char detail[256];
	ssize_t n;

	if ((int64_t)want > left)
		want = (size_t)left;
	if (r->front_is_unix && !peek && (int64_t)want == left)
		want--;
	n = receive(r, chunk, want, peek);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		request_fail(
		    r, REASON_CLIENT_ABORTED, "the body was cut short");
		return;
	}
	if (store_body(r, chunk, (size_t)n) == -1) {
		describe_spool(r, detail);
		request_fail(r, REASON_SPOOL_FAILED, detail);
		return;
	}
	if (peek)
		r->held = 1;
	if (r->body_received == r->body_length)
		received_all(r);
	else
		request_set_timer(r, request_timeouts(r)->body);
}

/* Why the request should not be read on, or REASON_NONE. */
static enum reason
prepare_body(struct request *r, size_t have, char detail[256])
{
	const struct config_pool *pool = r->gateway->pool;
	enum reason reason;

	if ((reason = request_route(r, detail)) != REASON_NONE)
		return reason;
	if (pool->max_body > 0 && (uint64_t)r->body_length > pool->max_body) {
		snprintf(detail, 256,
		    "it announces %lld bytes, max_body is %llu",
		    (long long)r->body_length,
		    (unsigned long long)pool->max_body);
		return REASON_BODY_TOO_LARGE;
	}
	if (r->body_length > 0 &&
	    (open_body(r) == -1 ||
		store_body(r, r->in.data + r->header.size, have) == -1)) {
		describe_spool(r, detail);
		return errno == EMFILE || errno == ENFILE
		    ? REASON_NO_DESCRIPTORS
		    : REASON_SPOOL_FAILED;
	}
	return REASON_NONE;
}

/* The header is valid; `fresh` bytes of r->in are only peeked at. */
static void
header_received(struct request *r, size_t fresh)
{
	size_t have = r->in.length - r->header.size;
	enum reason reason;
	char detail[256] = "";
	bool whole;

	r->body_length = r->header.content_length;
	whole = (int64_t)have >= r->body_length;
	if (whole)
		have = (size_t)r->body_length;
	if (fresh > 0 && whole)
		r->held = fresh;
	else if (consume(r, fresh) == -1)
		return;
	if ((reason = prepare_body(r, have, detail)) != REASON_NONE) {
		r->is_whole = whole;
		request_fail(r, reason, detail);
	} else if (whole) {
		received_all(r);
	} else {
		request_set_state(r, REQUEST_READING_BODY);
		request_set_timer(r, request_timeouts(r)->body);
		receive_more(r);
	}
}

static void
judge_header(struct request *r, size_t fresh)
{
	size_t max = r->gateway->pool->max_header;
	enum scgi_result result =
	    scgi_parse_header(r->in.data, r->in.length, max, &r->header);
	char detail[64];

	if (result == SCGI_DONE) {
		header_received(r, fresh);
		return;
	}
	/* Not whole: nothing has to be held, so make room for more. */
	if (consume(r, fresh) == -1)
		return;
	switch (result) {
	case SCGI_BAD:
		request_fail(r, REASON_BAD_REQUEST, r->header.rule);
		break;
	case SCGI_TOO_LARGE:
		snprintf(detail, sizeof(detail), "max_header is %zu", max);
		request_fail(r, REASON_REQUEST_HEADER_TOO_LARGE, detail);
		break;
	case SCGI_NO_MEMORY:
		request_fail(r, REASON_OUT_OF_MEMORY, NULL);
		break;
	default:
		receive_more(r);
		break;
	}
}

static void
receive_header(struct request *r)
{
	char *chunk = r->gateway->chunk;
	size_t want = FIRST_READ;
	ssize_t n;

	if (r->header.size > r->in.length)
		want = r->header.size - r->in.length;
	if (want > GATEWAY_CHUNK)
		want = GATEWAY_CHUNK;
	/* By way of the chunk: a client that says nothing holds no memory. */
	n = receive(r, chunk, want, r->front_is_unix);
	if (n == -1 && errno == EAGAIN) {
		receive_more(r);
		return;
	}
	if (n <= 0) {
		request_fail(r, REASON_CLIENT_ABORTED, NULL);
		return;
	}
	if (buffer_append(&r->in, chunk, (size_t)n) == -1) {
		request_fail(r, REASON_OUT_OF_MEMORY, NULL);
		return;
	}
	judge_header(r, r->front_is_unix ? (size_t)n : 0);
}

static void
receive_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;

	(void)fd;
	(void)what;
	if (r->state == REQUEST_READING_HEADER)
		receive_header(r);
	else
		receive_body(r);
}

/*
 * A front end sends its request right after it connects: look before asking to
 * be told, which most often saves both the asking and the telling.
 */
void
receive_start(struct request *r)
{
	request_set_timer(r, r->gateway->pool->header_timeout);
	receive_header(r);
}
