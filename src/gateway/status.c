/*
 * status.c: gathers what there is to tell, has it written in the form that was
 * asked for, and sends it.
 */
#include "gateway/status.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gateway/front.h"
#include "gateway/status_page.h"

/* What a query asks for; the first is for one that asks for nothing. */
struct form {
	const char *name;
	const char *type;
	void (*write)(struct status_page *p);
};

static const struct form forms[] = {
    {"html", "text/html; charset=utf-8", status_write_html},
    {"json", "application/json", status_write_json},
    {"openmetrics",
	"application/openmetrics-text; version=1.0.0; charset=utf-8",
	status_write_metrics},
    {"text", "text/plain; charset=utf-8", status_write_text},
};

/* Whether `word` stands in a query "a&b=c". */
static bool
query_has(const char *query, const char *word)
{
	size_t length = strlen(word), span;

	for (; query != NULL; query += span + 1) {
		span = strcspn(query, "&");
		if (span == length && memcmp(query, word, length) == 0)
			return true;
		if (query[span] == '\0')
			break;
	}
	return false;
}

static const struct form *
find_form(const char *query)
{
	for (size_t i = 1; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (query_has(query, forms[i].name))
			return &forms[i];
	return &forms[0];
}

static enum usage_order
find_order(const char *query)
{
	if (query_has(query, "sort=cpu"))
		return USAGE_BY_CPU;
	if (query_has(query, "sort=memory"))
		return USAGE_BY_MEMORY;
	if (query_has(query, "sort=failures"))
		return USAGE_BY_FAILURES;
	return USAGE_BY_REQUESTS;
}

static void
gather(struct status_page *p, const struct request *r, const char *query)
{
	const struct gateway *g = r->gateway;

	p->gateway = g;
	p->asking = r;
	p->now = clock_now();
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		p->values[i] = counter_sum(g, i);
	p->uptime = (int64_t)time(NULL) - (int64_t)p->values[COUNTER_STARTED];
	if (p->uptime < 0)
		p->uptime = 0;
	p->failures = counter_failures(g);
	for (size_t i = 0; i < g->pool->map_count; i++)
		p->has_servers |= g->pool->maps[i].start != START_EXEC;
	p->order = find_order(query);
	p->script_count = usage_sort(g->usage, p->order, p->scripts);
}

static int
write_head(struct buffer *b, const struct form *form, size_t length)
{
	return buffer_printf(b,
	    "Status: 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	    "Content-Security-Policy: default-src 'none'; "
	    "style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
	    "Referrer-Policy: no-referrer\r\n\r\n",
	    form->type, length);
}

void
status_answer(struct request *r)
{
	const char *query = request_param(r, SCGI_PARAM_QUERY_STRING);
	const char *method = request_param(r, SCGI_PARAM_REQUEST_METHOD);
	const struct form *form = find_form(query);
	struct status_page p = {0};
	struct buffer answer = {0};
	bool has_body = method == NULL || strcmp(method, "HEAD") != 0;
	int sent;

	gather(&p, r, query);
	form->write(&p);
	if (p.failed || write_head(&answer, form, p.body.length) == -1 ||
	    (has_body &&
		buffer_append(&answer, p.body.data, p.body.length) == -1)) {
		buffer_fini(&p.body);
		buffer_fini(&answer);
		request_fail(r, REASON_NO_DESCRIPTORS, "out of memory");
		return;
	}
	r->status = 200;
	r->received_at = r->first_byte_at = p.now;
	r->body_sent = has_body ? (int64_t)p.body.length : 0;
	request_set_state(r, REQUEST_RESPONDING);
	r->response_whole = true;
	sent = front_send(r, answer.data, answer.length);
	buffer_fini(&p.body);
	buffer_fini(&answer);
	if (sent == -1) {
		request_fail(r, REASON_CLIENT_ABORTED, NULL);
		return;
	}
	front_close(r);
	request_finish_if_done(r);
}
