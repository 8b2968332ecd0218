/*
 * access_log.c: one line a request, as key=value or as JSON, from one list of
 * fields.
 */
#include "gateway/access_log.h"

#include <sys/wait.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/servers.h"

struct line {
	bool is_json;
	size_t length;
	char text[LOG_LINE_MAX - 128]; /* room for the log's own prefix */
};

/* By hand: this runs for each request, and printf is slow. */
static void
put_some(struct line *l, const char *text, size_t n)
{
	size_t room = sizeof(l->text) - 1 - l->length;

	if (n > room)
		n = room;
	memcpy(l->text + l->length, text, n);
	l->length += n;
}

static void
put(struct line *l, const char *text)
{
	put_some(l, text, strlen(text));
}

static void
put_char(struct line *l, char c)
{
	if (l->length < sizeof(l->text) - 1)
		l->text[l->length++] = c;
}

static void
put_number(struct line *l, int64_t value, int digits)
{
	char text[24], *end = text + sizeof(text), *p = end;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	for (; rest > 0 || digits > 0; rest /= 10, digits--)
		*--p = (char)('0' + rest % 10);
	if (value < 0)
		*--p = '-';
	put_some(l, p, (size_t)(end - p));
}

static void
add_name(struct line *l, const char *name)
{
	if (l->length > 1)
		put_char(l, l->is_json ? ',' : ' ');
	if (l->is_json)
		put_char(l, '"');
	put(l, name);
	if (l->is_json)
		put_char(l, '"');
	put_char(l, l->is_json ? ':' : '=');
}

/* A word of ours: needs quotes only in JSON. */
static void
add_word(struct line *l, const char *name, const char *value)
{
	add_name(l, name);
	if (l->is_json)
		put_char(l, '"');
	put(l, value);
	if (l->is_json)
		put_char(l, '"');
}

static void
add_number(struct line *l, const char *name, int64_t value)
{
	add_name(l, name);
	put_number(l, value, 1);
}

/* Microseconds, written as milliseconds. */
static void
add_time(struct line *l, const char *name, int64_t value)
{
	if (value < 0)
		value = 0;
	add_name(l, name);
	put_number(l, value / 1000, 1);
	put_char(l, '.');
	put_number(l, value % 1000, 3);
}

/* log_escape's \xNN is not JSON: make it \u00NN. */
static void
escape_json(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 7 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			n += (size_t)snprintf(out + n, size - n, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
}

/* Text from outside. */
static void
add_text(struct line *l, const char *name, const char *value, size_t most)
{
	char safe[1200];

	if (value == NULL)
		value = "";
	if (most > sizeof(safe))
		most = sizeof(safe);
	if (l->is_json)
		escape_json(safe, most, value);
	else
		log_escape(safe, most, value, strlen(value));
	add_name(l, name);
	put_char(l, '"');
	put(l, safe);
	put_char(l, '"');
}

static void
add_exit(struct line *l, const struct request *r)
{
	if (!r->run.status_known)
		add_word(l, "exit", "none");
	else if (WIFSIGNALED(r->run.status))
		add_number(l, "signal", WTERMSIG(r->run.status));
	else
		add_number(l, "exit", WEXITSTATUS(r->run.status));
}

static int64_t
between(int64_t from, int64_t to)
{
	return from != 0 && to != 0 ? to - from : 0;
}

static void
add_fields(struct line *l, const struct request *r)
{
	int64_t now = clock_now();
	char time[CLOCK_FORMAT_SIZE];

	clock_format_utc(time);
	add_word(l, "time", time);
	add_word(l, "pool", r->gateway->pool->name);
	add_word(l, "id", r->id);
	add_text(l, "client", request_original(r, SCGI_PARAM_REMOTE_ADDR), 64);
	add_text(
	    l, "method", request_original(r, SCGI_PARAM_REQUEST_METHOD), 40);
	add_text(l, "uri", request_original(r, SCGI_PARAM_REQUEST_URI), 1200);
	add_text(l, "script", r->script, 600);
	add_number(l, "status", r->status);
	add_word(l, "reason", reason_text(r->reason)->name);
	add_number(l, "in", r->body_received);
	add_number(l, "out", r->body_sent);
	add_time(l, "queue_ms",
	    between(r->queued_at, r->started_at != 0 ? r->started_at : now));
	add_time(l, "first_ms", between(r->accepted_at, r->first_byte_at));
	add_time(l, "total_ms", between(r->accepted_at, now));
	add_exit(l, r);
	add_time(l, "user_ms", r->user_time);
	add_time(l, "sys_ms", r->system_time);
	add_number(l, "rss_kb", r->peak_memory);
	add_word(l, "start",
	    r->run.status_known ? servers_start_name(r->run.start) : "none");
}

/* What a full disk has cut must not run into the next line. */
static void
write_line(struct gateway *g, const struct line *l)
{
	size_t done = 0;
	ssize_t n;

	if (g->access_log_is_cut)
		g->access_log_is_cut = write(g->access_log, "\n", 1) != 1;
	while (done < l->length) {
		n = write(g->access_log, l->text + done, l->length - done);
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	if (done == l->length)
		return;
	if (done > 0)
		g->access_log_is_cut = true;
	if (gateway_is_news(g, "access_log", strerror(errno)))
		log_warn("cannot write %s (said once)", g->pool->access_log);
}

void
access_log_write(const struct request *r)
{
	const struct config_pool *pool = r->gateway->pool;
	struct line l;

	if (strcmp(pool->access_log, "off") == 0)
		return;
	l.length = 0;
	l.is_json = pool->access_log_format == LOG_FORMAT_JSON;
	if (l.is_json)
		put_char(&l, '{');
	add_fields(&l, r);
	if (l.is_json)
		put_char(&l, '}');
	if (r->gateway->access_log == -1) {
		l.text[l.length] = '\0';
		log_line(l.text);
		return;
	}
	l.text[l.length++] = '\n';
	write_line(r->gateway, &l);
}
