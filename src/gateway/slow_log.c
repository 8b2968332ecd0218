/*
 * slow_log.c: one line a slow request, when it is over; its processes are as
 * they were when it became slow.
 */
#include "gateway/slow_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/deadline.h"
#include "gateway/link.h"

/* What is logged of a tree, escaped: the line has other fields too. */
#define TREE_MAX 1200

int64_t
slow_log_due(const struct request *r)
{
	int64_t limit = r->gateway->pool->slow_log;

	if (limit == 0 || r->is_inspected || !request_has_worker(r))
		return 0;
	return r->accepted_at + limit * 1000;
}

void
slow_log_inspect(struct request *r)
{
	r->is_inspected = true;
	link_inspect(r);
}

void
slow_log_take(struct request *r, const char *tree)
{
	if (r->is_inspected && r->tree == NULL)
		r->tree = strdup(tree);
}

static int64_t
at_least_0(int64_t n)
{
	return n > 0 ? n : 0;
}

/* The parts of a request's time; they sum up to its total. */
struct parts {
	int64_t receive; /* the request, from the front end */
	int64_t queue;	 /* for a slot */
	int64_t start;	 /* finding and starting the script */
	int64_t first;	 /* the script, to the end of its header */
	int64_t body;	 /* the script, from there */
	int64_t front;	 /* the front end took nothing */
	int64_t after;	 /* the worker ran on */
};

static void
find_parts(const struct request *r, int64_t now, struct parts *p)
{
	int64_t closed = r->closed_at != 0 ? r->closed_at : now;
	int64_t received = r->received_at != 0 ? r->received_at : closed;
	int64_t first = r->first_byte_at != 0 ? r->first_byte_at : closed;

	p->receive = at_least_0(received - r->accepted_at);
	p->queue = r->queue_time;
	p->first = at_least_0(first - received - p->queue);
	/* A script may have answered before its launcher takes the time. */
	p->start = r->start_time < p->first ? r->start_time : p->first;
	p->first -= p->start;
	p->front = r->stalled_time;
	p->body = at_least_0(closed - first - p->front);
	p->after = at_least_0(now - closed);
}

static void
append_time(struct buffer *line, const char *name, int64_t value)
{
	buffer_printf(line, " %s=%" PRId64 ".%03d", name, value / 1000,
	    (int)(value % 1000));
}

static void
append_text(struct buffer *line, const char *name, const char *text)
{
	char safe[TREE_MAX];

	if (text != NULL && *text != '\0')
		buffer_printf(line, " %s=\"%s\"", name,
		    log_escape(safe, sizeof(safe), text, strlen(text)));
}

void
slow_log_write(const struct request *r, int64_t now)
{
	int64_t limit = r->gateway->pool->slow_log;
	struct buffer line = {0};
	struct parts p;

	if (limit == 0 || r->is_status || now - r->accepted_at <= limit * 1000)
		return;
	counter_add(r->gateway, COUNTER_SLOW, 1);
	find_parts(r, now, &p);
	append_time(&line, "total_ms", now - r->accepted_at);
	append_time(&line, "receive_ms", p.receive);
	append_time(&line, "queue_ms", p.queue);
	append_time(&line, "start_ms", p.start);
	append_time(&line, "first_ms", p.first);
	append_time(&line, "body_ms", p.body);
	append_time(&line, "front_ms", p.front);
	append_time(&line, "after_ms", p.after);
	append_text(
	    &line, "method", request_param(r, SCGI_PARAM_REQUEST_METHOD));
	append_text(&line, "uri", request_param(r, SCGI_PARAM_REQUEST_URI));
	append_text(&line, "script", r->script);
	append_text(&line, "tree", r->tree);
	if (buffer_append(&line, "", 1) == 0)
		log_warnx("request=%s slow%s", r->id, line.data);
	buffer_fini(&line);
}
