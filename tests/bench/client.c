#include "client.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* A client that was refused waits before it counts: else it would spin. */
static const struct timeval PAUSE = {0, 10000};

static void on_ready(evutil_socket_t fd, short what, void *arg);

static void
watch(struct client *c, short what)
{
	event_del(&c->event);
	event_assign(&c->event, c->plan->base, c->fd,
	    (short)(what | (what & EV_READ ? EV_PERSIST : 0)), on_ready, c);
	if (event_add(&c->event, what == EV_TIMEOUT ? &PAUSE : NULL) == -1)
		abort();
}

void
client_init(struct client *c, const struct client_plan *plan)
{
	memset(c, 0, sizeof(*c));
	c->plan = plan;
	c->fd = -1;
	event_assign(&c->event, plan->base, -1, 0, on_ready, c);
}

static void
disconnect(struct client *c)
{
	event_del(&c->event);
	fd_close(&c->fd);
}

static void
finish(struct client *c, enum outcome outcome)
{
	if (outcome != OUTCOME_ANSWER || !c->answer.keeps)
		disconnect(c);
	c->busy = false;
	c->reused = true;
	c->plan->on_done(c, outcome);
}

static void
finish_soon(struct client *c, enum outcome outcome)
{
	disconnect(c);
	c->failure = outcome;
	watch(c, EV_TIMEOUT);
}

static void open_connection(struct client *c);

/*
 * A server may close a connection that it kept, just when it is used again;
 * any client asks once more then, on a new one.
 */
static bool
try_again(struct client *c)
{
	if (!c->reused || c->received)
		return false;
	disconnect(c);
	open_connection(c);
	return true;
}

static void
send_request(struct client *c)
{
	const struct buffer *request = &c->plan->request;
	ssize_t n = send(c->fd, request->data + c->sent,
	    request->length - c->sent, MSG_NOSIGNAL);

	if (n == -1 && errno != EAGAIN) {
		if (errno == ECONNREFUSED)
			finish_soon(c, OUTCOME_REFUSED);
		else if (!try_again(c))
			finish_soon(c, OUTCOME_RESET);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent < request->length)
		watch(c, EV_WRITE);
	else if (!c->reused || !event_pending(&c->event, EV_READ, NULL))
		watch(c, EV_READ);
}

static void
open_connection(struct client *c)
{
	c->reused = false;
	c->sent = 0;
	c->fd = scgi_client_connect(&c->plan->target);
	if (c->fd == -1)
		finish_soon(c, OUTCOME_REFUSED);
	else if (c->plan->target.address.ss_family == AF_UNIX)
		send_request(c);
	else
		watch(c, EV_WRITE);
}

static void
receive(struct client *c)
{
	static char piece[256 * 1024];
	ssize_t n = recv(c->fd, piece, sizeof(piece), 0);
	enum answer_state state;

	if (n == -1 && errno == EAGAIN)
		return;
	if (!c->busy) {
		/* The server closes a connection that it has kept. */
		disconnect(c);
		return;
	}
	if (n <= 0) {
		if (n == 0 && answer_end(&c->answer))
			finish(c, OUTCOME_ANSWER);
		else if (!try_again(c))
			finish(c, n == 0 ? OUTCOME_CUT : OUTCOME_RESET);
		return;
	}
	c->received = true;
	state = answer_take(&c->answer, piece, (size_t)n);
	if (state == ANSWER_WHOLE)
		finish(c, OUTCOME_ANSWER);
	else if (state == ANSWER_BAD)
		finish(c, OUTCOME_GARBLED);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	if (what & EV_TIMEOUT)
		finish(c, c->failure);
	else if (what & EV_WRITE)
		send_request(c);
	else
		receive(c);
}

void
client_start(struct client *c, int64_t due)
{
	c->busy = true;
	c->received = false;
	c->sent = 0;
	c->due = due;
	c->begun = clock_now();
	answer_begin(&c->answer, c->plan->is_http);
	if (c->fd == -1)
		open_connection(c);
	else
		send_request(c);
}

void
client_give_up(struct client *c)
{
	disconnect(c);
	c->answer.keeps = false;
	finish(c, OUTCOME_TIMEOUT);
}

void
client_fini(struct client *c)
{
	disconnect(c);
	answer_fini(&c->answer);
}
