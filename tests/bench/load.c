/*
 * load: requests over HTTP or SCGI, and how long they take.
 *
 * Closed loop: each client asks again as soon as it is answered, so a slow
 * server is asked less.  Open loop (-r): requests begin at even distances,
 * whatever comes back, as from people who know nothing of its troubles; what
 * one waits because others were late is part of its time.
 *
 * A request is good if its response is whole, has the status 200 and is as
 * long as the first good one's.  Times and rates are of those.
 */
#include <sys/resource.h>
#include <sys/timerfd.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "client.h"
#include "request.h"
#include "samples.h"

#define LOAD_MAX_CLIENTS 20000
#define LOAD_MAX_STATUS	 600

static const struct timeval SWEEP = {0, 50000};

struct load {
	struct client_plan plan;
	struct client *clients; /* owned; client_max of them */
	int client_max;
	struct client **idle; /* owned; a stack */
	int idle_count;
	int busy;
	double rate;	 /* requests each second; 0: a closed loop */
	int64_t quota;	 /* requests at most; 0: no matter */
	int64_t timeout; /* microseconds */
	/* By clock_now; what is due before `counted` is not told of. */
	int64_t start, counted, deadline, last;
	int pace_timer; /* owned; in an open loop only */
	struct event pace;
	struct event *sweep;

	int64_t begun;
	int64_t skipped; /* no client was free: the generator's own limit */
	uint64_t asked;	 /* as are all of these: of what is counted */
	uint64_t unsent;
	uint64_t good_in_time;
	uint64_t expected;
	bool has_expected;
	uint64_t odd_length;
	uint64_t statuses[LOAD_MAX_STATUS];
	uint64_t outcomes[OUTCOME_COUNT];
	struct samples times;
	struct samples lags; /* from when a request was due until it began */
};

static void
usage(FILE *out)
{
	fputs(
	    "usage: load [-c CLIENTS] [-d SECONDS | -n COUNT] [-r RATE]\n"
	    "            [-t SECONDS] TARGET URI\n"
	    "  TARGET  http://ADDRESS:PORT, or for SCGI unix:/PATH or "
	    "ADDRESS:PORT\n"
	    "  -c  clients; with -r, so many at most.  8 unless given\n"
	    "  -d  seconds, 5 unless given\n"
	    "  -n  requests\n"
	    "  -r  requests begin at this rate a second, whatever comes back\n"
	    "  -t  seconds that a request may take, 10 unless given\n"
	    "  -w  seconds at the beginning that are not counted\n"
	    "Prints one object of JSON.\n",
	    out);
}

static bool
is_over(const struct load *load, int64_t now)
{
	return now >= load->deadline ||
	    (load->quota > 0 && load->begun + load->skipped >= load->quota);
}

static void
begin(struct load *load, int64_t due)
{
	if (due >= load->counted)
		load->asked++;
	if (load->idle_count == 0) {
		load->skipped++;
		if (due >= load->counted)
			load->unsent++;
		return;
	}
	load->busy++;
	load->begun++;
	client_start(load->idle[--load->idle_count], due);
}

static void
stop_if_over(struct load *load)
{
	if (load->busy == 0 && is_over(load, clock_now()))
		event_base_loopbreak(load->plan.base);
}

static bool
is_good(struct load *load, const struct answer *answer)
{
	int status = answer->status;

	load->statuses[status > 0 && status < LOAD_MAX_STATUS ? status : 0]++;
	if (status != 200)
		return false;
	if (!load->has_expected)
		load->expected = answer->length;
	load->has_expected = true;
	if (answer->length == load->expected)
		return true;
	load->odd_length++;
	return false;
}

static void
account(struct load *load, const struct client *client, enum outcome outcome,
    int64_t now)
{
	load->outcomes[outcome]++;
	samples_add(&load->lags, client->begun - client->due);
	if (outcome == OUTCOME_ANSWER && is_good(load, &client->answer))
		samples_add(&load->times, now - client->due);
}

static void
on_done(struct client *client, enum outcome outcome)
{
	struct load *load = client->plan->arg;
	int64_t now = clock_now();

	if (client->due >= load->counted)
		account(load, client, outcome, now);
	/* Goodput is what arrives, whenever it was asked for. */
	if (now >= load->counted && now <= load->deadline &&
	    outcome == OUTCOME_ANSWER && client->answer.status == 200)
		load->good_in_time++;
	load->last = now;
	load->busy--;
	load->idle[load->idle_count++] = client;
	if (load->rate == 0 && !is_over(load, now))
		begin(load, now);
	stop_if_over(load);
}

/*
 * An ordinary timeout of libevent comes up to a millisecond late, and one that
 * is precise costs a system call each time that anything at all happens.
 */
static void
wait_until(struct load *load, int64_t due)
{
	struct itimerspec at = {.it_value = {.tv_sec = due / 1000000,
				    .tv_nsec = due % 1000000 * 1000}};

	if (timerfd_settime(load->pace_timer, TFD_TIMER_ABSTIME, &at, NULL) ==
	    -1)
		abort();
}

/* Begin what is due, and come again when the next request is. */
static void
on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct load *load = arg;
	int64_t now = clock_now(), due = 0;

	(void)fd;
	(void)what;
	while (!is_over(load, now)) {
		due = load->start +
		    (int64_t)((double)(load->begun + load->skipped) * 1e6 /
			load->rate);
		if (due > now)
			break;
		begin(load, due);
		now = clock_now();
	}
	if (is_over(load, now)) {
		event_del(&load->pace);
		stop_if_over(load);
		return;
	}
	wait_until(load, due < load->deadline ? due : load->deadline);
}

static void
start_pace(struct load *load)
{
	load->pace_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	if (load->pace_timer == -1)
		abort();
	event_assign(&load->pace, load->plan.base, load->pace_timer,
	    EV_READ | EV_PERSIST, on_pace, load);
	event_add(&load->pace, NULL);
	on_pace(-1, 0, load);
}

static void
stop_pace(struct load *load)
{
	event_del(&load->pace);
	fd_close(&load->pace_timer);
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct load *load = arg;
	int64_t now = clock_now();
	int i;

	(void)fd;
	(void)what;
	for (i = 0; i < load->client_max; i++)
		if (load->clients[i].busy &&
		    now - load->clients[i].due > load->timeout)
			client_give_up(&load->clients[i]);
	stop_if_over(load);
}

static void
run(struct load *load)
{
	int i;

	for (i = load->client_max - 1; i >= 0; i--) {
		client_init(&load->clients[i], &load->plan);
		load->idle[load->idle_count++] = &load->clients[i];
	}
	event_add(load->sweep, &SWEEP);
	load->start = load->last = clock_now();
	load->counted += load->start;
	load->deadline += load->start;
	if (load->rate > 0)
		start_pace(load);
	else
		while (load->idle_count > 0 && !is_over(load, load->start))
			begin(load, clock_now());
	event_base_dispatch(load->plan.base);
	if (load->rate > 0)
		stop_pace(load);
	for (i = 0; i < load->client_max; i++)
		client_fini(&load->clients[i]);
}

/* What it took of a processor all the while, 1 being the whole of one. */
static double
own_share(const struct load *load)
{
	struct rusage usage;
	int64_t spent, elapsed = clock_now() - load->start;

	getrusage(RUSAGE_SELF, &usage);
	spent =
	    (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	    usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
	return elapsed > 0 ? (double)spent / (double)elapsed : 0;
}

/* Over how long the good ones are counted, and how many they are. */
static double
rate_of(const struct load *load, double *seconds)
{
	bool open = load->rate > 0 && load->quota == 0;

	*seconds =
	    (double)((open ? load->deadline : load->last) - load->counted) /
	    1e6;
	if (*seconds <= 0)
		return 0;
	return (double)(open ? load->good_in_time : load->times.count) /
	    *seconds;
}

static void
report(struct load *load)
{
	static const char *const NAMES[OUTCOME_COUNT] = {
	    "", "refused", "reset", "cut", "garbled", "timeout"};
	double seconds, rate = rate_of(load, &seconds);
	uint64_t good = load->times.count;
	const char *comma = "";
	int i;

	samples_sort(&load->times);
	samples_sort(&load->lags);
	printf("{\"asked\": %" PRIu64 ", \"good\": %" PRIu64
	       ", \"errors\": %" PRIu64
	       ", \"seconds\": %.3f, \"rate\": %.1f, \"bytes\": %" PRIu64
	       ", \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
	       "\"max_ms\": %.3f, \"lag_p99_ms\": %.3f, \"own_cpu\": %.3f, "
	       "\"statuses\": {",
	    load->asked, good, load->asked - good, seconds, rate,
	    load->expected, samples_percentile(&load->times, 50),
	    samples_percentile(&load->times, 90),
	    samples_percentile(&load->times, 99),
	    samples_percentile(&load->times, 100),
	    samples_percentile(&load->lags, 99), own_share(load));
	for (i = 0; i < LOAD_MAX_STATUS; i++) {
		if (load->statuses[i] == 0)
			continue;
		printf("%s\"%d\": %" PRIu64, comma, i, load->statuses[i]);
		comma = ", ";
	}
	printf("}, \"failures\": {\"unsent\": %" PRIu64 ", \"odd length\": "
	       "%" PRIu64,
	    load->unsent, load->odd_length);
	for (i = OUTCOME_REFUSED; i < OUTCOME_COUNT; i++)
		printf(", \"%s\": %" PRIu64, NAMES[i], load->outcomes[i]);
	puts("}}");
}

static const char *
set_target(struct client_plan *plan, const char *target, const char *uri)
{
	plan->is_http = strncmp(target, "http://", 7) == 0;
	if (uri[0] != '/')
		return "the URI begins with '/'";
	if (plan->is_http)
		request_write_http(&plan->request, uri);
	else
		request_write_scgi(&plan->request, uri);
	return scgi_client_parse_target(
	    &plan->target, target + (plan->is_http ? 7 : 0));
}

static int
parse_options(struct load *load, int argc, char **argv)
{
	double seconds = -1;
	const char *wrong;
	int c;

	while ((c = getopt(argc, argv, "c:d:hn:r:t:w:")) != -1) {
		if (c == 'c')
			load->client_max = atoi(optarg);
		else if (c == 'd')
			seconds = atof(optarg);
		else if (c == 'n')
			load->quota = atol(optarg);
		else if (c == 'r')
			load->rate = atof(optarg);
		else if (c == 't')
			load->timeout = (int64_t)(atof(optarg) * 1e6);
		else if (c == 'w')
			load->counted = (int64_t)(atof(optarg) * 1e6);
		else {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (argc - optind != 2 || load->client_max < 1 ||
	    load->client_max > LOAD_MAX_CLIENTS || load->quota < 0 ||
	    load->rate < 0) {
		usage(stderr);
		return -1;
	}
	if (seconds < 0)
		seconds = load->quota > 0 ? 1e6 : 5;
	load->deadline = (int64_t)(seconds * 1e6);
	wrong = set_target(&load->plan, argv[optind], argv[optind + 1]);
	if (wrong != NULL)
		fprintf(stderr, "load: %s: %s\n", argv[optind], wrong);
	return wrong == NULL ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct load load = {.client_max = 8, .timeout = 10000000};

	if (parse_options(&load, argc, argv) == -1)
		return 2;
	load.plan.base = event_base_new();
	load.plan.on_done = on_done;
	load.plan.arg = &load;
	load.clients = calloc((size_t)load.client_max, sizeof(*load.clients));
	load.idle = calloc((size_t)load.client_max, sizeof(struct client *));
	if (load.plan.base == NULL || load.clients == NULL || load.idle == NULL)
		abort();
	load.sweep = event_new(load.plan.base, -1, EV_PERSIST, on_sweep, &load);
	if (load.sweep == NULL)
		abort();
	run(&load);
	report(&load);
	event_free(load.sweep);
	event_base_free(load.plan.base);
	buffer_fini(&load.plan.request);
	samples_fini(&load.times);
	samples_fini(&load.lags);
	free(load.clients);
	free(load.idle);
	return load.outcomes[OUTCOME_ANSWER] > 0 ? 0 : 1;
}
