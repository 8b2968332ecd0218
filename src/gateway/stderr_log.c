/*
 * stderr_log.c: a worker's complaints.  Escaped, cut into lines, counted.
 */
#include "gateway/stderr_log.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* Lines a request may log at once, and how many more each second. */
#define BURST_LINES    100
#define LINES_A_SECOND 20

/* What is read of a pipe at the end of a request: no more than it holds. */
#define DRAIN_MAX (1024 * 1024)

static bool
may_log(struct request_stderr *s)
{
	int64_t now = clock_now();
	int64_t earned = (now - s->refilled_at) * LINES_A_SECOND / 1000000;

	if (earned > 0) {
		s->refilled_at = now;
		s->allowance = earned > BURST_LINES - s->allowance
		    ? BURST_LINES
		    : s->allowance + (unsigned)earned;
	}
	if (s->allowance == 0) {
		s->dropped++;
		return false;
	}
	s->allowance--;
	return true;
}

/* Append to the last lines, dropping the oldest that do not fit. */
static void
remember(struct request_stderr *s, const char *line)
{
	static const char between[] = " | ";
	size_t have = strlen(s->last), more = strlen(line);
	size_t need = more + sizeof(between);

	if (need > sizeof(s->last)) {
		line += need - sizeof(s->last);
		more = strlen(line);
		have = 0;
	}
	while (have > 0 && have + more + sizeof(between) > sizeof(s->last)) {
		char *next = strstr(s->last, between);

		if (next == NULL) {
			have = 0;
			break;
		}
		next += strlen(between);
		have = strlen(next);
		memmove(s->last, next, have + 1);
	}
	s->last[have] = '\0';
	if (have > 0)
		strcat(s->last, between);
	strcat(s->last, line);
}

static void
end_line(struct request *r)
{
	struct request_stderr *s = r->run.stderr_log;
	char safe[4 * sizeof(s->line) + 1], start[sizeof(s->last) - 4];

	if (s->line_length > 0 && s->line[s->line_length - 1] == '\r')
		s->line_length--;
	log_escape(safe, sizeof(safe), s->line, s->line_length);
	log_escape(start, sizeof(start), s->line, s->line_length);
	s->line_length = 0;
	if (safe[0] == '\0')
		return;
	remember(s, start);
	if (may_log(s)) {
		log_info("request=%s script=\"%s\" stderr: %s", r->id,
		    request_safe_script(r), safe);
	}
}

static void
take(struct request *r, const char *data, size_t length)
{
	struct request_stderr *s = r->run.stderr_log;

	while (length > 0) {
		const char *newline = memchr(data, '\n', length);
		size_t n = newline != NULL ? (size_t)(newline - data) : length;
		size_t room = sizeof(s->line) - s->line_length;

		if (n > room) {
			n = room;
			newline = NULL;
		}
		memcpy(s->line + s->line_length, data, n);
		s->line_length += n;
		data += n;
		length -= n;
		if (newline != NULL) {
			data++;
			length--;
		}
		if (newline != NULL || s->line_length == sizeof(s->line))
			end_line(r);
	}
}

/* How much was read; 0 at the end, -1 if there is nothing now. */
static ssize_t
read_some(struct request *r)
{
	char data[4096];
	ssize_t n = read(r->run.stderr_log->fd, data, sizeof(data));

	if (n == -1 && errno != EINTR && errno != EAGAIN)
		return 0;
	if (n > 0)
		take(r, data, (size_t)n);
	return n;
}

static void
close_stderr(struct request_stderr *s)
{
	if (s->fd == -1)
		return;
	event_del(&s->event);
	fd_close(&s->fd);
}

static void
stderr_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;

	(void)fd;
	(void)what;
	if (read_some(r) == 0)
		close_stderr(r->run.stderr_log);
}

int
stderr_log_start(struct request *r, int fd)
{
	struct request_stderr *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		fd_close(&fd);
		return -1;
	}
	s->fd = fd;
	s->allowance = BURST_LINES;
	s->refilled_at = clock_now();
	r->run.stderr_log = s;
	return event_assign(&s->event, r->gateway->base, fd,
	    EV_READ | EV_PERSIST, stderr_on_readable, r);
}

void
stderr_log_watch(struct request *r)
{
	struct request_stderr *s = r->run.stderr_log;

	if (s != NULL && s->fd != -1 &&
	    !event_pending(&s->event, EV_READ, NULL))
		event_add(&s->event, NULL);
}

void
stderr_log_drain(struct request *r)
{
	struct request_stderr *s = r->run.stderr_log;
	ssize_t total = 0, n;
	int there = 0;

	if (s == NULL)
		return;
	/* It may block, so read only what is there. */
	while (s->fd != -1 && total < DRAIN_MAX &&
	    ioctl(s->fd, FIONREAD, &there) == 0 && there > 0) {
		if ((n = read_some(r)) <= 0)
			break;
		total += n;
	}
	if (s->line_length > 0)
		end_line(r);
}

void
stderr_log_stop(struct request *r)
{
	struct request_stderr *s = r->run.stderr_log;

	if (s == NULL)
		return;
	stderr_log_drain(r);
	if (s->dropped > 0)
		log_warnx("request=%s stderr: %u more lines were not logged",
		    r->id, s->dropped);
	close_stderr(s);
	free(s);
	r->run.stderr_log = NULL;
}

const char *
stderr_log_last(const struct request *r)
{
	return r->run.stderr_log != NULL ? r->run.stderr_log->last : "";
}
