/*
 * status_json.c: the status page for programs that read JSON.
 */
#include <inttypes.h>

#include "gateway/status_page.h"

static void
put_value(struct status_page *p, const char *name, uint64_t value)
{
	status_print(p, "\"%s\":%" PRIu64 ",", name, value);
}

/* Microseconds, as seconds. */
static void
put_seconds(struct status_page *p, const char *name, uint64_t us)
{
	status_print(p, "\"%s\":%" PRIu64 ".%06" PRIu64 ",", name, us / 1000000,
	    us % 1000000);
}

static void
put_text(struct status_page *p, const char *name, const char *text)
{
	status_print(p, "\"%s\":\"", name);
	status_put(p, STATUS_JSON, text);
	status_print(p, "\",");
}

/* The last member of an object takes its comma back. */
static void
end(struct status_page *p, const char *closing)
{
	struct buffer *b = &p->body;

	if (b->length > 0 && b->data[b->length - 1] == ',')
		b->length--;
	status_print(p, "%s", closing);
}

static void
put_totals(struct status_page *p)
{
	const uint64_t *v = p->values;

	put_value(p, "started", v[COUNTER_STARTED]);
	put_value(p, "uptime_seconds", (uint64_t)p->uptime);
	put_value(p, "requests", v[COUNTER_REQUESTS]);
	put_value(p, "failed", p->failures);
	put_value(p, "slow", v[COUNTER_SLOW]);
	put_value(p, "status_pages", v[COUNTER_STATUS_PAGES]);
	put_value(p, "open", v[COUNTER_OPEN]);
	put_value(p, "waiting", v[COUNTER_WAITING]);
	put_value(p, "workers", v[COUNTER_WORKERS]);
	put_value(p, "workers_max", v[COUNTER_SLOTS]);
	put_value(p, "received_bytes", v[COUNTER_BYTES_IN]);
	put_value(p, "sent_bytes", v[COUNTER_BYTES_OUT]);
	put_seconds(p, "total_seconds", v[COUNTER_TOTAL_TIME]);
	put_seconds(p, "queue_seconds", v[COUNTER_QUEUE_TIME]);
	put_seconds(p, "user_seconds", v[COUNTER_USER_TIME]);
	put_seconds(p, "system_seconds", v[COUNTER_SYSTEM_TIME]);
	status_print(p, "\"worker_runs\":{");
	for (unsigned i = START_EXEC; i <= START_PERL; i++)
		put_value(p, servers_start_name(i), v[COUNTER_RUNS + i]);
	end(p, "},");
	put_value(p, "fork_servers_started", v[COUNTER_SERVERS_READY]);
	put_value(p, "fork_servers_refused", v[COUNTER_SERVERS_REFUSED]);
}

static void
put_latency(struct status_page *p)
{
	status_print(p, "\"latency\":[");
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		status_print(p, "{");
		if (i < LATENCY_BOUNDS)
			put_seconds(p, "le", (uint64_t)latency_bounds[i]);
		else
			status_print(p, "\"le\":null,");
		put_value(p, "requests", p->values[COUNTER_LATENCY + i]);
		end(p, "},");
	}
	end(p, "],");
}

static void
put_failures(struct status_page *p)
{
	status_print(p, "\"failures\":{");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		if (p->values[COUNTER_REASON + i] > 0)
			put_value(p, reason_text(i)->name,
			    p->values[COUNTER_REASON + i]);
	end(p, "},");
}

static void
put_open(struct status_page *p)
{
	const struct request *r = NULL;
	unsigned listed = 0;

	status_print(p, "\"open_requests\":[");
	while (listed++ < STATUS_OPEN_MAX &&
	    (r = status_next_open(p, r)) != NULL) {
		status_print(p, "{");
		put_text(p, "id", r->id);
		put_text(p, "state", status_what(r));
		put_seconds(
		    p, "age_seconds", (uint64_t)(p->now - r->accepted_at));
		put_text(p, "client", request_param(r, SCGI_PARAM_REMOTE_ADDR));
		put_text(
		    p, "method", request_param(r, SCGI_PARAM_REQUEST_METHOD));
		put_text(p, "path", r->path.data);
		put_text(p, "script", r->script);
		put_text(
		    p, "start", r->run.is_introduced ? status_start(r) : NULL);
		put_value(p, "pid", r->pid > 0 ? (uint64_t)r->pid : 0);
		put_value(p, "received_bytes", (uint64_t)r->body_received);
		put_value(p, "sent_bytes", (uint64_t)r->body_sent);
		end(p, "},");
	}
	end(p, "],");
}

static void
put_server(struct status_page *p, const struct server *s)
{
	int64_t end_or_now = s->ended_at != 0 ? s->ended_at : p->now;

	put_text(p, "program", s->what);
	put_text(p, "start", servers_start_name(s->kind));
	if (s->is_refused)
		return;
	put_value(p, "pid", (uint64_t)s->pid);
	put_seconds(p, "age_seconds", (uint64_t)(end_or_now - s->started_at));
	put_value(p, "requests", s->requests);
	put_value(p, "memory_kib", (uint64_t)s->memory);
}

static void
put_servers(struct status_page *p)
{
	const struct server *s = NULL;

	status_print(p, "\"fork_servers\":[");
	while ((s = status_next_server(p, s)) != NULL) {
		status_print(p, "{");
		put_server(p, s);
		end(p, "},");
	}
	end(p, "],\"fork_servers_ended\":[");
	while ((s = status_next_ended(p, s)) != NULL) {
		status_print(p, "{");
		put_server(p, s);
		put_text(p, "what", s->is_refused ? "refused" : "ended");
		put_seconds(
		    p, "ended_seconds_ago", (uint64_t)(p->now - s->ended_at));
		put_text(p, "why", s->why);
		end(p, "},");
	}
	end(p, "],");
}

static void
put_script(struct status_page *p, const struct usage *u)
{
	status_print(p, "{");
	put_text(p, "script", u->script);
	put_value(p, "requests", u->requests);
	put_value(p, "failed", u->failures);
	put_seconds(p, "total_seconds", (uint64_t)u->total_time);
	put_seconds(p, "user_seconds", (uint64_t)u->user_time);
	put_seconds(p, "system_seconds", (uint64_t)u->system_time);
	put_value(p, "peak_memory_kib", (uint64_t)u->peak_memory);
	status_print(p, "\"failures\":{");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		if (u->reasons[i] > 0)
			put_value(p, reason_text(i)->name, u->reasons[i]);
	end(p, "}},");
}

void
status_write_json(struct status_page *p)
{
	const struct gateway *g = p->gateway;

	status_print(p, "{");
	put_text(p, "pool", g->pool->name);
	put_value(p, "gateway", g->number + 1);
	put_value(p, "gateways", g->pool->gateways);
	put_value(p, "gateways_counted", g->sharing);
	put_totals(p);
	put_latency(p);
	put_failures(p);
	put_open(p);
	put_servers(p);
	status_print(p, "\"scripts\":[");
	for (size_t i = 0; i < p->script_count; i++)
		put_script(p, p->scripts[i]);
	end(p, "],");
	put_value(p, "scripts_replaced", g->usage ? g->usage->replaced : 0);
	end(p, "}\n");
}
