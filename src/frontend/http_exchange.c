/*
 * frontend/http_exchange: one HTTP request at the SCGI server.
 *
 * An exchange ends in exchange_finish (the response is whole), exchange_fail
 * or exchange_break (it is not), or exchange_on_closed (the client left); each
 * of them frees it.  At most one piece of a body is on its way to the client:
 * the SCGI side is not read again before that piece is written.  Must not
 * interpret a response beyond what HTTP needs.
 */
#include "frontend/http_exchange.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/log.h"
#include "frontend/http.h"
#include "frontend/scgi_client.h"

#define EXCHANGE_PIECE_SIZE (64 * 1024)

static const struct timeval exchange_idle_timeout = {HTTP_IDLE_SECONDS, 0};

struct exchange {
	struct evhttp_request *request; /* evhttp's, until the client leaves */
	struct bufferevent *scgi;	/* owned */
	struct evbuffer *piece;		/* owned */
	int64_t left; /* bytes of an announced body; -1: until the end */
	bool head_sent;
};

static struct bufferevent *
request_client(struct evhttp_request *request)
{
	return evhttp_connection_get_bufferevent(
	    evhttp_request_get_connection(request));
}

static void
exchange_free(struct exchange *x)
{
	if (x == NULL)
		return;
	if (x->scgi != NULL)
		bufferevent_free(x->scgi);
	if (x->piece != NULL)
		evbuffer_free(x->piece);
	free(x);
}

/*
 * Give the request back to evhttp, which reads the next one of the connection
 * when the response is written.
 */
static struct evhttp_request *
exchange_release(struct exchange *x)
{
	struct evhttp_request *request = x->request;
	struct bufferevent *client = request_client(request);

	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(request), NULL, NULL);
	bufferevent_setwatermark(client, EV_READ, 0, 0);
	bufferevent_set_timeouts(
	    client, &exchange_idle_timeout, &exchange_idle_timeout);
	exchange_free(x);
	return request;
}

static void
exchange_finish(struct exchange *x)
{
	evhttp_send_reply_end(exchange_release(x));
}

static void
exchange_fail(struct exchange *x, const char *cause)
{
	log_warnx("http: no response from the SCGI server: %s", cause);
	evhttp_send_error(exchange_release(x), 502, "Bad Gateway");
}

/*
 * Reset the client's connection, since a plain end looks whole to a client of
 * HTTP/1.0.  evhttp would shut the socket down first and so end it plainly;
 * putting another descriptor in its place closes it with the reset.
 */
static void
exchange_break(struct exchange *x, const char *cause)
{
	struct evhttp_request *request = exchange_release(x);
	struct bufferevent *client = request_client(request);
	struct linger linger = {1, 0};
	int socket_fd = bufferevent_getfd(client);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_warnx("http: the response broke off: %s", cause);
	setsockopt(socket_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	bufferevent_disable(client, EV_READ | EV_WRITE);
	if (null_fd != -1)
		dup2(null_fd, socket_fd);
	fd_close(&null_fd);
	evhttp_connection_free(evhttp_request_get_connection(request));
}

/* evhttp disowns the request of a client that leaves, or else frees it. */
static void
exchange_on_closed(struct evhttp_connection *connection, void *arg)
{
	struct exchange *x = arg;

	(void)connection;
	if (evhttp_request_get_connection(x->request) == NULL)
		evhttp_request_free(x->request);
	exchange_free(x);
}

static void
exchange_on_written(struct evhttp_connection *connection, void *arg)
{
	struct exchange *x = arg;

	(void)connection;
	bufferevent_enable(x->scgi, EV_READ);
}

/* Send on what is there of the body.  May end the exchange. */
static void
exchange_relay(struct exchange *x)
{
	struct evbuffer *input = bufferevent_get_input(x->scgi);
	size_t length = evbuffer_get_length(input);

	if (x->left != -1 && length > (uint64_t)x->left)
		length = (size_t)x->left;
	if (length > 0) {
		if (evbuffer_remove_buffer(input, x->piece, length) == -1) {
			exchange_break(x, "out of memory");
			return;
		}
		bufferevent_disable(x->scgi, EV_READ);
		evhttp_send_reply_chunk_with_cb(
		    x->request, x->piece, exchange_on_written, x);
	}
	if (x->left != -1) {
		x->left -= (int64_t)length;
		if (x->left == 0)
			exchange_finish(x);
	}
}

static bool
is_relayed(const struct scgi_field *field)
{
	static const char *const kept_back[] = {"Status", "Content-Length",
	    "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
	    "Transfer-Encoding", "Upgrade"};
	size_t i;

	for (i = 0; i < sizeof(kept_back) / sizeof(*kept_back); i++)
		if (scgi_client_field_is(field, kept_back[i]))
			return false;
	return field->name_length < 8 ||
	    strncasecmp(field->name, "X-Accel-", 8) != 0;
}

static int
copy_fields(struct evkeyvalq *out, const char *data, size_t size)
{
	struct scgi_field field;
	struct buffer text = {0};
	size_t cursor = 0;
	int result = 0;

	while (result == 0 &&
	    scgi_client_next_field(data, size, &cursor, &field)) {
		if (!is_relayed(&field))
			continue;
		text.length = 0;
		if (buffer_append(&text, field.name, field.name_length) == -1 ||
		    buffer_append(&text, "", 1) == -1 ||
		    buffer_append(&text, field.value, field.value_length) ==
			-1 ||
		    buffer_append(&text, "", 1) == -1)
			result = -1;
		else /* refuses a value that would break the header up */
			(void)evhttp_add_header(
			    out, text.data, text.data + field.name_length + 1);
	}
	buffer_fini(&text);
	return result;
}

static bool
response_has_body(const struct exchange *x, int status)
{
	return status != 204 && status != 304 &&
	    evhttp_request_get_command(x->request) != EVHTTP_REQ_HEAD;
}

/* Returns -1, and the exchange has ended, if it cannot be sent. */
static int
exchange_send_head(struct exchange *x, const char *data, struct scgi_head *head)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(x->request);
	char length[24];

	if (head->status < 200 || head->status > 599) {
		exchange_fail(x, "no valid status");
		return -1;
	}
	snprintf(
	    length, sizeof(length), "%lld", (long long)head->content_length);
	if (copy_fields(out, data, head->size) == -1 ||
	    (head->content_length != -1 && head->status != 204 &&
		evhttp_add_header(out, "Content-Length", length) == -1)) {
		exchange_fail(x, "out of memory");
		return -1;
	}
	x->left = response_has_body(x, head->status) ? head->content_length : 0;
	x->head_sent = true;
	evhttp_send_reply_start(x->request, head->status,
	    head->phrase[0] != '\0' ? head->phrase : NULL);
	return 0;
}

static void
exchange_on_read(struct bufferevent *scgi, void *arg)
{
	struct exchange *x = arg;
	struct evbuffer *input = bufferevent_get_input(scgi);
	size_t length = evbuffer_get_length(input);
	struct scgi_head head;
	const char *data;

	if (!x->head_sent) {
		data = (const char *)evbuffer_pullup(input, -1);
		if (data == NULL) {
			exchange_fail(x, "out of memory");
			return;
		}
		if (!scgi_client_parse_head(data, length, &head)) {
			if (length > HTTP_MAX_HEAD)
				exchange_fail(x, "its header is too large");
			return;
		}
		if (exchange_send_head(x, data, &head) == -1)
			return;
		evbuffer_drain(input, head.size);
	}
	exchange_relay(x);
}

/*
 * A failed write is no end: the server may have answered without reading the
 * whole body.  Reading goes on and finds the answer or the end.
 */
static void
exchange_on_event(struct bufferevent *scgi, short what, void *arg)
{
	struct exchange *x = arg;
	const char *cause =
	    what & BEV_EVENT_ERROR ? strerror(errno) : "it ended early";

	(void)scgi;
	if ((what & BEV_EVENT_READING) == 0)
		return;
	if (!x->head_sent)
		exchange_fail(x, cause);
	else if ((what & BEV_EVENT_ERROR) || x->left > 0)
		exchange_break(x, cause);
	else
		exchange_finish(x);
}

/*
 * Watch for the client's end while the script works, as evhttp itself does
 * once a reply has begun.  No read callback: evhttp's would abort on a request
 * that is pipelined now; the watermark bounds what may wait.
 */
static void
exchange_watch_client(struct exchange *x)
{
	struct bufferevent *client = request_client(x->request);
	bufferevent_data_cb write_cb;
	bufferevent_event_cb event_cb;
	void *arg;

	bufferevent_getcb(client, NULL, &write_cb, &event_cb, &arg);
	bufferevent_setcb(client, NULL, write_cb, event_cb, arg);
	bufferevent_setwatermark(client, EV_READ, 0, EXCHANGE_PIECE_SIZE);
	bufferevent_set_timeouts(client, NULL, &exchange_idle_timeout);
	bufferevent_enable(client, EV_READ);
	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(x->request), exchange_on_closed, x);
}

static struct exchange *
exchange_new(struct event_base *base, struct evhttp_request *request, int fd)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		goto fail;
	x->request = request;
	x->left = -1;
	x->piece = evbuffer_new();
	if (x->piece == NULL)
		goto fail;
	x->scgi = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (x->scgi == NULL)
		goto fail;
	bufferevent_setcb(
	    x->scgi, exchange_on_read, NULL, exchange_on_event, x);
	bufferevent_set_max_single_read(x->scgi, EXCHANGE_PIECE_SIZE);
	return x;
fail:
	fd_close(&fd);
	exchange_free(x);
	return NULL;
}

void
http_exchange_start(struct event_base *base, struct evhttp_request *request,
    int fd, const struct buffer *header)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(request);
	struct exchange *x = exchange_new(base, request, fd);

	if (x == NULL) {
		evhttp_send_error(request, 503, "Service Unavailable");
		return;
	}
	exchange_watch_client(x);
	if (bufferevent_write(x->scgi, header->data, header->length) == -1 ||
	    bufferevent_write_buffer(x->scgi, body) == -1 ||
	    bufferevent_enable(x->scgi, EV_READ | EV_WRITE) == -1)
		exchange_fail(x, "out of memory");
}
