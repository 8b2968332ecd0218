/*
 * status_page.c: escaping, and numbers for people.
 */
#include "gateway/status_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

void
status_print(struct status_page *p, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (buffer_append_string(&p->body, text) == -1)
		p->failed = true;
}

/* How one byte is written; `out` has room for what a byte can become. */
static void
escape_byte(enum status_escape how, char c, char out[16])
{
	unsigned char u = (unsigned char)c;
	bool is_plain = u >= ' ' && u < 0x7f;

	if (how == STATUS_JSON && !is_plain)
		snprintf(out, 16, "\\u%04x", u);
	else if (how == STATUS_METRIC && c == '\n')
		strcpy(out, "\\n");
	else if (how == STATUS_METRIC && !is_plain)
		snprintf(out, 16, "\\\\x%02x", u);
	else if (!is_plain)
		snprintf(out, 16, "\\x%02x", u);
	else if (how != STATUS_HTML && (c == '"' || c == '\\'))
		snprintf(out, 16, "\\%c", c);
	else if (how == STATUS_HTML && strchr("<>&\"'\\", c) != NULL)
		snprintf(out, 16, c == '\\' ? "\\\\" : "&#%d;", u);
	else
		snprintf(out, 16, "%c", c);
}

void
status_put(struct status_page *p, enum status_escape how, const char *text)
{
	char piece[16];

	for (; text != NULL && *text != '\0'; text++) {
		escape_byte(how, *text, piece);
		if (buffer_append_string(&p->body, piece) == -1)
			p->failed = true;
	}
}

const char *
status_duration(char out[STATUS_HUMAN_SIZE], int64_t us)
{
	int64_t s = us / 1000000;

	if (us < 0)
		us = s = 0;
	if (us < 10000)
		snprintf(out, STATUS_HUMAN_SIZE, "%.1f ms", (double)us / 1e3);
	else if (us < 1000000)
		snprintf(out, STATUS_HUMAN_SIZE, "%" PRId64 " ms",
		    (us + 500) / 1000);
	else if (us < 60000000)
		snprintf(out, STATUS_HUMAN_SIZE, "%.1f s", (double)us / 1e6);
	else if (s < 3600)
		snprintf(out, STATUS_HUMAN_SIZE,
		    "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, STATUS_HUMAN_SIZE,
		    "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(out, STATUS_HUMAN_SIZE, "%" PRId64 " d %" PRId64 " h",
		    s / 86400, s / 3600 % 24);
	return out;
}

const char *
status_size(char out[STATUS_HUMAN_SIZE], uint64_t bytes)
{
	static const char *const units[] = {
	    "B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1024 && unit < 5; unit++)
		value /= 1024;
	snprintf(out, STATUS_HUMAN_SIZE,
	    unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
	    units[unit]);
	return out;
}

const char *
status_count(char out[STATUS_HUMAN_SIZE], uint64_t count)
{
	if (count < 100000)
		snprintf(out, STATUS_HUMAN_SIZE, "%" PRIu64, count);
	else if (count < 10000000)
		snprintf(out, STATUS_HUMAN_SIZE, "%.1f k", (double)count / 1e3);
	else
		snprintf(out, STATUS_HUMAN_SIZE, "%.1f M", (double)count / 1e6);
	return out;
}

const char *
status_bucket_name(char out[STATUS_HUMAN_SIZE], unsigned bucket)
{
	bool is_last = bucket >= LATENCY_BOUNDS;
	int64_t bound = latency_bounds[is_last ? LATENCY_BOUNDS - 1 : bucket];

	snprintf(out, STATUS_HUMAN_SIZE, "%s%" PRId64 " %s",
	    is_last ? "over " : "", bound / (bound < 1000000 ? 1000 : 1000000),
	    bound < 1000000 ? "ms" : "s");
	return out;
}

unsigned
status_percentile(const struct status_page *p, unsigned percent)
{
	uint64_t all = 0, so_far = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		all += p->values[COUNTER_LATENCY + i];
	for (unsigned i = 0; i < LATENCY_BUCKETS && all > 0; i++) {
		so_far += p->values[COUNTER_LATENCY + i];
		if ((double)so_far * 100 >= (double)all * percent)
			return i;
	}
	return LATENCY_BUCKETS;
}

const struct request *
status_next_open(const struct status_page *p, const struct request *after)
{
	const struct request *r = after == NULL
	    ? TAILQ_FIRST(&p->gateway->requests)
	    : TAILQ_NEXT(after, entry);

	return r == p->asking && r != NULL ? TAILQ_NEXT(r, entry) : r;
}

/* Those that serve come first in the list. */
const struct server *
status_next_server(const struct status_page *p, const struct server *after)
{
	const struct server *s = after == NULL
	    ? TAILQ_FIRST(&p->gateway->servers)
	    : TAILQ_NEXT(after, entry);

	return s != NULL && s->ended_at == 0 ? s : NULL;
}

const struct server *
status_next_ended(const struct status_page *p, const struct server *after)
{
	const struct server *s = after == NULL
	    ? TAILQ_LAST(&p->gateway->servers, server_list)
	    : TAILQ_PREV(after, server_list, entry);

	return s != NULL && s->ended_at != 0 ? s : NULL;
}

const char *
status_start(const struct request *r)
{
	return r->run.is_introduced ? servers_start_name(r->run.start) : "-";
}

const char *
status_what(const struct request *r)
{
	return r->kill_at != 0 ? "stopping" : request_state_name(r);
}
