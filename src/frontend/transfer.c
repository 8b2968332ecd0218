/*
 * frontend/transfer: sends and receives at the same time, so that a server
 * that answers before it has read everything never waits for us, nor we for
 * it.  Nothing is kept but one piece of each direction.
 */
#include "frontend/transfer.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define TRANSFER_PIECE_SIZE (64 * 1024)
#define TRANSFER_MAX_HEAD   (1024 * 1024)

/* What a step says when the transfer goes on: no code of the interface. */
#define TRANSFER_MORE -1

static int transfer_end(struct transfer *t, enum transfer_code code,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static int
transfer_end(
    struct transfer *t, enum transfer_code code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(t->error, sizeof(t->error), format, arguments);
	va_end(arguments);
	return (int)code;
}

static int
transfer_refill(struct transfer *t)
{
	size_t want = t->unread < TRANSFER_PIECE_SIZE ? (size_t)t->unread
						      : TRANSFER_PIECE_SIZE;
	ssize_t n;

	if (buffer_reserve(&t->out, want) == -1)
		return transfer_end(t, TRANSFER_FAILED, "out of memory");
	n = read(t->body, t->out.data, want);
	if (n <= 0)
		return transfer_end(t, TRANSFER_READ,
		    "cannot read the body: %s",
		    n == 0 ? "the file shrank" : strerror(errno));
	t->out.length = (size_t)n;
	t->unread -= (uint64_t)n;
	return TRANSFER_MORE;
}

static int
transfer_send(struct transfer *t)
{
	int code = TRANSFER_MORE;
	ssize_t n;

	if (t->out.length == 0)
		code = transfer_refill(t);
	if (code != TRANSFER_MORE)
		return code;
	n = write(t->socket, t->out.data, t->out.length);
	if (n >= 0) {
		buffer_consume(&t->out, (size_t)n);
	} else if (errno != EAGAIN && errno != EINTR) {
		/* The server reads no more; its answer may be there. */
		t->out.length = 0;
		t->unread = 0;
	}
	return TRANSFER_MORE;
}

static int
transfer_put(struct transfer *t, const char *data, size_t length)
{
	if (fd_write_all(t->output, data, length) == -1)
		return transfer_end(
		    t, TRANSFER_WRITE, "cannot write: %s", strerror(errno));
	return TRANSFER_MORE;
}

/* The bytes that the body will have; UINT64_MAX if it lasts until the end. */
static uint64_t
transfer_announced(const struct transfer *t)
{
	if (t->is_head || t->head.status == 204 || t->head.status == 304)
		return 0;
	if (t->head.content_length == -1)
		return UINT64_MAX;
	return (uint64_t)t->head.content_length;
}

static int
transfer_take_body(struct transfer *t, const char *data, size_t length)
{
	uint64_t left = 0, announced = transfer_announced(t);

	if (announced > t->received)
		left = announced - t->received;
	t->received += length;
	return transfer_put(t, data, length < left ? length : (size_t)left);
}

static void
transfer_show_head(const struct transfer *t)
{
	size_t line, length;
	char escaped[4096];

	for (line = 0; line < t->head.size; line += length + 1) {
		const char *text = t->in.data + line;

		length = (size_t)((const char *)memchr(
				      text, '\n', t->head.size - line) -
		    text);
		log_escape(escaped, sizeof(escaped), text,
		    length > 0 && text[length - 1] == '\r' ? length - 1
							   : length);
		fprintf(stderr, "< %s\n", escaped);
	}
}

static int
transfer_take_head(struct transfer *t)
{
	struct buffer *in = &t->in;
	int code = TRANSFER_MORE;

	if (!scgi_client_parse_head(in->data, in->length, &t->head)) {
		if (in->length > TRANSFER_MAX_HEAD)
			return transfer_end(t, TRANSFER_MALFORMED,
			    "the response header has no end");
		return TRANSFER_MORE;
	}
	t->has_head = true;
	if (t->verbose)
		transfer_show_head(t);
	if (t->head.status == 0)
		return transfer_end(
		    t, TRANSFER_MALFORMED, "the response has no valid status");
	if (t->fail && t->head.status >= 400)
		return transfer_end(t, TRANSFER_STATUS, "status %d %s",
		    t->head.status, t->head.phrase);
	if (t->show_head)
		code = transfer_put(t, in->data, t->head.size);
	if (code == TRANSFER_MORE)
		code = transfer_take_body(
		    t, in->data + t->head.size, in->length - t->head.size);
	buffer_fini(in);
	return code;
}

/* Judge the response at its end. */
static int
transfer_check_end(struct transfer *t)
{
	uint64_t announced = transfer_announced(t);

	if (!t->has_head)
		return transfer_end(
		    t, TRANSFER_BROKEN, "the response ends inside its header");
	if (announced != UINT64_MAX && t->received < announced)
		return transfer_end(t, TRANSFER_BROKEN,
		    "the response broke off: %ju bytes of %ju",
		    (uintmax_t)t->received, (uintmax_t)announced);
	if (t->verbose && t->received > announced)
		fprintf(stderr, "* %ju bytes too many were ignored\n",
		    (uintmax_t)(t->received - announced));
	return TRANSFER_DONE;
}

static int
transfer_receive(struct transfer *t)
{
	char piece[TRANSFER_PIECE_SIZE];
	ssize_t n = read(t->socket, piece, sizeof(piece));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return TRANSFER_MORE;
	if (n <= 0 && t->in.length == 0 && !t->has_head)
		return transfer_end(t, TRANSFER_EMPTY, "empty reply%s%s",
		    n == 0 ? "" : ": ", n == 0 ? "" : strerror(errno));
	if (n == -1)
		return transfer_end(t, TRANSFER_BROKEN,
		    "the response broke off: %s", strerror(errno));
	if (n == 0)
		return transfer_check_end(t);
	if (t->has_head)
		return transfer_take_body(t, piece, (size_t)n);
	if (buffer_append(&t->in, piece, (size_t)n) == -1)
		return transfer_end(t, TRANSFER_FAILED, "out of memory");
	return transfer_take_head(t);
}

static int
transfer_check_connected(struct transfer *t)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(t->socket, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error != 0)
		return transfer_end(
		    t, TRANSFER_CONNECT, "cannot connect: %s", strerror(error));
	return TRANSFER_MORE;
}

static int
transfer_loop(struct transfer *t)
{
	struct pollfd p = {.fd = t->socket, .events = POLLOUT};
	int code = TRANSFER_MORE;
	bool connected = false;

	while (code == TRANSFER_MORE) {
		if (poll(&p, 1, -1) == -1) {
			if (errno == EINTR)
				continue;
			return transfer_end(
			    t, TRANSFER_FAILED, "poll: %s", strerror(errno));
		}
		if (!connected)
			code = transfer_check_connected(t);
		connected = true;
		if (code == TRANSFER_MORE && (p.revents & POLLOUT) != 0)
			code = transfer_send(t);
		if (code == TRANSFER_MORE && (p.revents & ~POLLOUT) != 0)
			code = transfer_receive(t);
		p.events = POLLIN;
		if (t->out.length > 0 || t->unread > 0)
			p.events |= POLLOUT;
	}
	return code;
}

enum transfer_code
transfer_run(struct transfer *t, const struct scgi_target *target)
{
	int code;

	t->socket = scgi_client_connect(target);
	if (t->socket == -1)
		return (enum transfer_code)transfer_end(
		    t, TRANSFER_CONNECT, "cannot connect: %s", strerror(errno));
	code = transfer_loop(t);
	fd_close(&t->socket);
	return (enum transfer_code)code;
}

void
transfer_fini(struct transfer *t)
{
	buffer_fini(&t->out);
	buffer_fini(&t->in);
}
