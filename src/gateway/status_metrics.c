/*
 * status_metrics.c: the status page for Prometheus and its kin (OpenMetrics
 * 1.0).
 *
 * Counters have no TYPE line: OpenMetrics would name the family without
 * "_total", the older text format, which many tools still read, with it.
 * Without one both take it, and nothing is lost but a word in a listing.
 */
#include <inttypes.h>
#include <string.h>

#include "gateway/status_page.h"

static void
put_family(
    struct status_page *p, const char *name, const char *type, const char *help)
{
	if (type != NULL)
		status_print(p, "# TYPE scgid_%s %s\n", name, type);
	status_print(p, "# HELP scgid_%s %s\n", name, help);
}

static void
begin_name(struct status_page *p, const char *name)
{
	status_print(p, "scgid_%s{pool=\"", name);
	status_put(p, STATUS_METRIC, p->gateway->pool->name);
	status_print(p, "\"");
}

static void
put_label(struct status_page *p, const char *label, const char *value)
{
	status_print(p, ",%s=\"", label);
	status_put(p, STATUS_METRIC, value);
	status_print(p, "\"");
}

/* The start of a sample; `label` may be NULL. */
static void
put_name(struct status_page *p, const char *name, const char *label,
    const char *value)
{
	begin_name(p, name);
	if (label != NULL)
		put_label(p, label, value);
	status_print(p, "} ");
}

static void
put_number(struct status_page *p, uint64_t value)
{
	status_print(p, "%" PRIu64 "\n", value);
}

static void
put_seconds(struct status_page *p, uint64_t us)
{
	status_print(
	    p, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

/* One number, the same for a gauge and for a total. */
static void
put_one(struct status_page *p, const char *name, const char *type,
    const char *help, uint64_t value)
{
	put_family(p, name, type, help);
	put_name(p, name, NULL, NULL);
	put_number(p, value);
}

static void
put_time(struct status_page *p, const char *name, const char *help, uint64_t us)
{
	put_family(p, name, NULL, help);
	put_name(p, name, NULL, NULL);
	put_seconds(p, us);
}

static void
put_totals(struct status_page *p)
{
	const uint64_t *v = p->values;

	put_one(p, "gateways", "gauge",
	    "Gateways of the pool that these numbers are the sum of.",
	    p->gateway->sharing);
	put_one(p, "start_time_seconds", "gauge",
	    "Since when the totals are counted, in unix time.",
	    v[COUNTER_STARTED]);
	put_one(p, "open_requests", "gauge",
	    "Requests that are not over, and connections that may become one.",
	    v[COUNTER_OPEN]);
	put_one(p, "waiting_requests", "gauge",
	    "Requests that wait for a worker.", v[COUNTER_WAITING]);
	put_one(p, "workers", "gauge", "Workers that run.", v[COUNTER_WORKERS]);
	put_one(p, "workers_max", "gauge",
	    "Workers that may run at the same time.", v[COUNTER_SLOTS]);
	put_one(p, "slow_requests_total", NULL,
	    "Requests that took longer than slow_log.", v[COUNTER_SLOW]);
	put_one(p, "received_bytes_total", NULL, "Bytes of request bodies.",
	    v[COUNTER_BYTES_IN]);
	put_one(p, "sent_bytes_total", NULL, "Bytes of response bodies.",
	    v[COUNTER_BYTES_OUT]);
	put_time(p, "queue_seconds_total",
	    "Time that requests waited for a worker.", v[COUNTER_QUEUE_TIME]);
	put_time(p, "user_cpu_seconds_total",
	    "Processor time of workers in user mode.", v[COUNTER_USER_TIME]);
	put_time(p, "system_cpu_seconds_total",
	    "Processor time of workers in the kernel.", v[COUNTER_SYSTEM_TIME]);
}

static void
put_by_kind(struct status_page *p)
{
	char digit[] = "1xx";

	put_family(p, "responses_total", NULL,
	    "Requests that ended, by the class of the status sent.");
	for (unsigned i = 1; i <= 5; i++) {
		digit[0] = (char)('0' + i);
		put_name(p, "responses_total", "class", digit);
		put_number(p, p->values[COUNTER_CLASS + i]);
	}
	put_family(
	    p, "failures_total", NULL, "Requests that failed, by reason.");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		put_name(p, "failures_total", "reason", reason_text(i)->name);
		put_number(p, p->values[COUNTER_REASON + i]);
	}
}

static void
put_latency(struct status_page *p)
{
	uint64_t so_far = 0;
	char bound[32] = "+Inf";

	put_family(p, "request_duration_seconds", "histogram",
	    "Time from accept to the end of a request.");
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		so_far += p->values[COUNTER_LATENCY + i];
		if (i < LATENCY_BOUNDS)
			snprintf(bound, sizeof(bound), "%g",
			    (double)latency_bounds[i] / 1e6);
		put_name(p, "request_duration_seconds_bucket", "le",
		    i < LATENCY_BOUNDS ? bound : "+Inf");
		put_number(p, so_far);
	}
	put_name(p, "request_duration_seconds_sum", NULL, NULL);
	put_seconds(p, p->values[COUNTER_TOTAL_TIME]);
	put_name(p, "request_duration_seconds_count", NULL, NULL);
	put_number(p, so_far);
}

static void
put_runs(struct status_page *p)
{
	put_family(p, "worker_runs_total", NULL,
	    "Workers that ended, by how they were started.");
	for (unsigned i = START_EXEC; i <= START_PERL; i++) {
		put_name(
		    p, "worker_runs_total", "start", servers_start_name(i));
		put_number(p, p->values[COUNTER_RUNS + i]);
	}
	put_one(p, "fork_servers_started_total", NULL,
	    "Fork servers that became ready.",
	    p->values[COUNTER_SERVERS_READY]);
	put_one(p, "fork_servers_refused_total", NULL,
	    "Fork servers that could not be.",
	    p->values[COUNTER_SERVERS_REFUSED]);
}

/* Those that serve the same program are told of together. */
static bool
is_same(const struct server *a, const struct server *b)
{
	return a->kind == b->kind && a->what != NULL && b->what != NULL &&
	    strcmp(a->what, b->what) == 0;
}

static bool
is_first_of_program(const struct status_page *p, const struct server *s)
{
	const struct server *other = NULL;

	do
		other = status_next_server(p, other);
	while (other != s && !is_same(other, s));
	return other == s;
}

enum server_sum {
	SUM_COUNT,
	SUM_REQUESTS,
	SUM_MEMORY
};

static uint64_t
sum(const struct status_page *p, const struct server *like,
    enum server_sum what)
{
	const struct server *s = NULL;
	uint64_t total = 0;

	while ((s = status_next_server(p, s)) != NULL)
		if (s == like || is_same(s, like))
			total += what == SUM_COUNT ? 1
			    : what == SUM_REQUESTS ? s->requests
						   : (uint64_t)s->memory * 1024;
	return total;
}

/* Of this gateway alone; one that is replaced begins anew. */
static void
put_servers(struct status_page *p)
{
	static const struct {
		const char *name, *help;
	} families[] = {
	    [SUM_COUNT] = {"fork_servers",
		"Fork servers that serve, in the gateway that answers."},
	    [SUM_REQUESTS] = {"fork_server_requests",
		"Requests that those that serve have had."},
	    [SUM_MEMORY] = {"fork_server_memory_bytes",
		"Resident memory of those that serve, at their last request."}};
	const struct server *s = NULL;

	for (enum server_sum i = SUM_COUNT; i <= SUM_MEMORY; i++) {
		if (status_next_server(p, NULL) != NULL)
			put_family(
			    p, families[i].name, "gauge", families[i].help);
		while ((s = status_next_server(p, s)) != NULL) {
			if (!is_first_of_program(p, s))
				continue;
			begin_name(p, families[i].name);
			put_label(p, "program", s->what);
			put_label(p, "start", servers_start_name(s->kind));
			status_print(p, "} ");
			put_number(p, sum(p, s, i));
		}
	}
}

/* Of this gateway alone; a script comes and goes with its place in the table.
 */
static void
put_scripts(struct status_page *p)
{
	const struct usage *u;

	put_family(p, "script_requests_total", NULL,
	    "Requests of a script that ended, in the gateway that answers.");
	for (size_t i = 0; i < p->script_count; i++) {
		u = p->scripts[i];
		put_name(p, "script_requests_total", "script", u->script);
		put_number(p, u->requests);
	}
	put_family(p, "script_failures_total", NULL,
	    "Requests of a script that failed, in the gateway that answers.");
	for (size_t i = 0; i < p->script_count; i++) {
		u = p->scripts[i];
		put_name(p, "script_failures_total", "script", u->script);
		put_number(p, u->failures);
	}
	put_family(p, "script_cpu_seconds_total", NULL,
	    "Processor time of a script, in the gateway that answers.");
	for (size_t i = 0; i < p->script_count; i++) {
		u = p->scripts[i];
		put_name(p, "script_cpu_seconds_total", "script", u->script);
		put_seconds(p, (uint64_t)(u->user_time + u->system_time));
	}
	put_family(p, "script_peak_memory_bytes", "gauge",
	    "The largest worker of a script, in the gateway that answers.");
	for (size_t i = 0; i < p->script_count; i++) {
		u = p->scripts[i];
		put_name(p, "script_peak_memory_bytes", "script", u->script);
		put_number(p, (uint64_t)u->peak_memory * 1024);
	}
}

void
status_write_metrics(struct status_page *p)
{
	put_totals(p);
	put_by_kind(p);
	put_latency(p);
	put_runs(p);
	put_servers(p);
	if (p->script_count > 0)
		put_scripts(p);
	status_print(p, "# EOF\n");
}
