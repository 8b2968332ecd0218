/*
 * status_text.c: the status page for a terminal, printable ASCII; lines may be
 * longer than it is wide.
 */
#include <inttypes.h>
#include <string.h>

#include "gateway/status_page.h"

#define BAR "########################################"

static void
put_totals(struct status_page *p)
{
	const struct gateway *g = p->gateway;
	const uint64_t *v = p->values;
	char a[STATUS_HUMAN_SIZE], b[STATUS_HUMAN_SIZE];

	status_print(p, "scgid pool ");
	status_put(p, STATUS_TEXT, g->pool->name);
	status_print(p, ", gateway %u of %u, up %s\n", g->number + 1,
	    g->pool->gateways, status_duration(a, p->uptime * 1000000));
	if (g->pool->gateways > 1)
		status_print(p,
		    g->sharing > 1
			? "open requests, fork servers and scripts are this "
			  "gateway's, the rest is of all\n"
			: "all numbers are this gateway's\n");
	status_print(p,
	    "requests %" PRIu64 "  failed %" PRIu64 "  slow %" PRIu64
	    "  open %" PRIu64 "  running %" PRIu64 "/%" PRIu64
	    "  waiting %" PRIu64 "\n",
	    v[COUNTER_REQUESTS], p->failures, v[COUNTER_SLOW], v[COUNTER_OPEN],
	    v[COUNTER_WORKERS], v[COUNTER_SLOTS], v[COUNTER_WAITING]);
	status_print(p, "received %s  sent %s",
	    status_size(a, v[COUNTER_BYTES_IN]),
	    status_size(b, v[COUNTER_BYTES_OUT]));
	status_print(p, "  queued %s  worker CPU %s\n",
	    status_duration(a, (int64_t)v[COUNTER_QUEUE_TIME]),
	    status_duration(
		b, (int64_t)(v[COUNTER_USER_TIME] + v[COUNTER_SYSTEM_TIME])));
}

static void
put_latency(struct status_page *p)
{
	const uint64_t *v = p->values + COUNTER_LATENCY;
	unsigned first = LATENCY_BUCKETS, last = 0;
	char name[STATUS_HUMAN_SIZE];
	uint64_t most = 1;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		if (v[i] > most)
			most = v[i];
		if (v[i] > 0 && first == LATENCY_BUCKETS)
			first = i;
		if (v[i] > 0)
			last = i;
	}
	if (first == LATENCY_BUCKETS)
		return;
	status_print(p, "\n%10s %10s\n", "UP TO", "REQUESTS");
	for (unsigned i = first; i <= last; i++)
		status_print(p, "%10s %10" PRIu64 " %.*s\n",
		    status_bucket_name(name, i), v[i],
		    (int)((double)v[i] * (sizeof(BAR) - 1) / (double)most + .5),
		    BAR);
}

static void
put_failures(struct status_page *p)
{
	if (p->failures > 0)
		status_print(p, "\n%10s REASON\n", "FAILED");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		if (p->values[COUNTER_REASON + i] > 0)
			status_print(p, "%10" PRIu64 " %s\n",
			    p->values[COUNTER_REASON + i],
			    reason_text(i)->name);
}

static void
put_open(struct status_page *p)
{
	const struct request *r = NULL;
	char age[STATUS_HUMAN_SIZE], in[STATUS_HUMAN_SIZE];
	char out[STATUS_HUMAN_SIZE];
	const char *client, *start = p->has_servers ? "START" : "";
	int width = p->has_servers ? 12 : 0;
	unsigned listed = 0;

	while ((r = status_next_open(p, r)) != NULL) {
		if (listed == 0)
			status_print(p,
			    "\n%10s %-14s %-*s%7s %9s %9s %-15s %s\n",
			    "OPEN FOR", "STATE", width, start, "PID", "IN",
			    "OUT", "CLIENT", "SCRIPT OR PATH");
		if (++listed > STATUS_OPEN_MAX)
			break;
		client = request_param(r, SCGI_PARAM_REMOTE_ADDR);
		start = p->has_servers ? status_start(r) : "";
		status_print(p, "%10s %-14s %-*s%7ld %9s %9s ",
		    status_duration(age, p->now - r->accepted_at),
		    status_what(r), width, start, (long)r->pid,
		    status_size(in, (uint64_t)r->body_received),
		    status_size(out, (uint64_t)r->body_sent));
		status_put(p, STATUS_TEXT, client != NULL ? client : "-");
		for (size_t n = client != NULL ? strlen(client) : 1; n < 15;
		     n++)
			status_print(p, " ");
		status_print(p, " ");
		status_put(p, STATUS_TEXT,
		    r->script != NULL ? r->script : r->path.data);
		status_print(p, "\n");
	}
	if (r != NULL)
		status_print(p, "           and more\n");
}

static void
put_scripts(struct status_page *p)
{
	char cpu[STATUS_HUMAN_SIZE], memory[STATUS_HUMAN_SIZE];

	if (p->script_count > 0)
		status_print(p, "\n%10s %10s %12s %10s %s\n", "REQUESTS",
		    "FAILED", "CPU", "MEMORY", "SCRIPT");
	for (size_t i = 0; i < p->script_count; i++) {
		const struct usage *u = p->scripts[i];

		status_print(p, "%10" PRIu64 " %10" PRIu64 " %12s %10s ",
		    u->requests, u->failures,
		    status_duration(cpu, u->user_time + u->system_time),
		    status_size(memory, (uint64_t)u->peak_memory * 1024));
		status_put(p, STATUS_TEXT, u->script);
		status_print(p, "\n");
	}
}

static void
put_serving(struct status_page *p)
{
	const struct server *s = status_next_server(p, NULL);
	char age[STATUS_HUMAN_SIZE], memory[STATUS_HUMAN_SIZE];

	if (s != NULL)
		status_print(p, "\n%10s %10s %7s %12s %10s FORK SERVER\n",
		    "REQUESTS", "AGE", "PID", "START", "MEMORY");
	for (; s != NULL; s = status_next_server(p, s)) {
		status_print(p, "%10" PRIu64 " %10s %7ld %12s %10s ",
		    s->requests, status_duration(age, p->now - s->started_at),
		    (long)s->pid, servers_start_name(s->kind),
		    status_size(memory, (uint64_t)s->memory * 1024));
		status_put(p, STATUS_TEXT, s->what);
		status_print(p, "\n");
	}
}

static void
put_ended(struct status_page *p)
{
	const struct server *s = status_next_ended(p, NULL);
	char age[STATUS_HUMAN_SIZE];

	if (s != NULL)
		status_print(p,
		    "\n%10s %10s %12s FORK SERVER THAT ENDED, OR "
		    "COULD NOT BE\n",
		    "REQUESTS", "AGO", "START");
	for (; s != NULL; s = status_next_ended(p, s)) {
		if (s->is_refused)
			status_print(p, "%10s", "refused");
		else
			status_print(p, "%10" PRIu64, s->requests);
		status_print(p, " %10s %12s ",
		    status_duration(age, p->now - s->ended_at),
		    servers_start_name(s->kind));
		status_put(p, STATUS_TEXT, s->what);
		status_print(p, ": ");
		status_put(p, STATUS_TEXT, s->why);
		status_print(p, "\n");
	}
}

void
status_write_text(struct status_page *p)
{
	put_totals(p);
	put_open(p);
	put_latency(p);
	put_failures(p);
	put_serving(p);
	put_ended(p);
	put_scripts(p);
}
