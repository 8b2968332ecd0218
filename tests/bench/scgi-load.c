/*
 * scgi-load: as many SCGI requests as a server answers, over N connections at
 * a time.
 *
 * A thread a connection, each blocking: it costs the fewest system calls, and
 * what the generator takes is missing from what is measured.  A request counts
 * as an error unless its response is whole, has the status 200 and is as long
 * as the thread's first one.  With -i each connection keeps a pace, and what a
 * request waits because the one before it was late counts as its own time.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "frontend/scgi_client.h"
#include "scgi/request.h"

#define LOAD_MAX_RESPONSE (64 * 1024)

struct load {
	struct scgi_target target;
	struct buffer request;
	int connections;
	int64_t deadline; /* by clock_now; INT64_MAX: none */
	uint64_t quota;	  /* requests of each connection */
	int64_t interval; /* microseconds from one to the next; 0: none */
};

struct connection {
	pthread_t thread;
	const struct load *load; /* borrowed */
	uint32_t *times;	 /* owned; microseconds of each success */
	size_t count;
	size_t capacity;
	uint64_t errors;
	size_t expected; /* bytes of a response; 0 before the first */
};

static void
usage(FILE *out)
{
	fputs("usage: scgi-load [-j] [-c CONNECTIONS] [-d SECONDS | -n COUNT]\n"
	      "           [-i MILLISECONDS] TARGET URI\n"
	      "  -c  connections at a time, 8 unless given\n"
	      "  -d  seconds, 5 unless given\n"
	      "  -n  requests, shared out among the connections\n"
	      "  -i  a connection begins a request each so many "
	      "milliseconds\n"
	      "  -j  JSON instead of text\n",
	    out);
}

static bool
exchange(struct connection *c, int fd)
{
	const struct buffer *request = &c->load->request;
	char response[LOAD_MAX_RESPONSE];
	struct scgi_head head;
	ssize_t n;

	if (fd_write_all(fd, request->data, request->length) == -1)
		return false;
	n = recv(fd, response, sizeof(response), MSG_WAITALL);
	if (n <= 0 || n == sizeof(response))
		return false;
	/* A short count ends in an end or in a reset: ask which. */
	if (recv(fd, response + n, 1, 0) != 0)
		return false;
	if (!scgi_client_parse_head(response, (size_t)n, &head) ||
	    head.status != 200)
		return false;
	if (c->expected == 0)
		c->expected = (size_t)n;
	return (size_t)n == c->expected;
}

static bool
request_once(struct connection *c)
{
	const struct scgi_target *target = &c->load->target;
	int fd =
	    socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = false;

	if (fd == -1)
		return false;
	if (connect(fd, (const struct sockaddr *)&target->address,
		target->length) == 0)
		ok = exchange(c, fd);
	close(fd);
	return ok;
}

static void
record(struct connection *c, int64_t time)
{
	if (c->count == c->capacity) {
		c->capacity = c->capacity == 0 ? 4096 : c->capacity * 2;
		c->times = realloc(c->times, c->capacity * sizeof(*c->times));
		if (c->times == NULL)
			abort();
	}
	c->times[c->count++] = (uint32_t)time;
}

static void
sleep_until(int64_t when)
{
	int64_t left = when - clock_now();
	struct timespec wait = {left / 1000000, left % 1000000 * 1000};

	if (left > 0)
		nanosleep(&wait, NULL);
}

static void *
run_connection(void *arg)
{
	struct connection *c = arg;
	int64_t interval = c->load->interval;
	int64_t start = clock_now(), due = start, end;
	uint64_t done;

	for (done = 0; done < c->load->quota && start < c->load->deadline;
	     done++) {
		bool ok = request_once(c);

		end = clock_now();
		if (ok)
			record(c, end - start);
		else
			c->errors++;
		start = end;
		if (interval == 0)
			continue;
		due += interval;
		sleep_until(due);
		/* Awake late: the machine; begun late: the server. */
		start = end > due ? due : clock_now();
	}
	return NULL;
}

static int
compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double
percentile_ms(const struct connection *all, unsigned per_cent)
{
	if (all->count == 0)
		return 0;
	return all->times[(all->count - 1) * per_cent / 100] / 1000.0;
}

static void
report(struct connection *all, double seconds, bool json)
{
	double rate = (double)all->count / seconds;

	qsort(all->times, all->count, sizeof(*all->times), compare_times);
	printf(json ? "{\"requests\": %zu, \"errors\": %ju, \"seconds\": %.3f, "
		      "\"rate\": %.1f, \"p50_ms\": %.3f, \"p90_ms\": %.3f, "
		      "\"p99_ms\": %.3f}\n"
		    : "requests %zu\nerrors %ju\nseconds %.3f\nrate %.1f/s\n"
		      "p50 %.3f ms\np90 %.3f ms\np99 %.3f ms\n",
	    all->count, (uintmax_t)all->errors, seconds, rate,
	    percentile_ms(all, 50), percentile_ms(all, 90),
	    percentile_ms(all, 99));
}

static void
prepare_request(struct load *load, const char *uri)
{
	struct scgi_stock stock = {
	    .method = "GET",
	    .uri = uri,
	    .document_root = "/var/www",
	    .protocol = "HTTP/1.1",
	    .remote_address = "127.0.0.1",
	    .server_name = "localhost",
	    .remote_port = 49152,
	    .server_port = 80,
	};
	struct buffer params = {0};

	if (scgi_client_write_stock(&params, &stock) == -1 ||
	    scgi_client_write_field(&params, "Host", "localhost") == -1 ||
	    scgi_write_header(&load->request, &params) == -1)
		abort();
	buffer_fini(&params);
}

static int
run(const struct load *load, bool json)
{
	struct connection *connections, all = {0};
	int64_t start = clock_now();
	int i, started;
	size_t k;

	connections = calloc((size_t)load->connections, sizeof(*connections));
	if (connections == NULL)
		abort();
	for (started = 0; started < load->connections; started++) {
		connections[started].load = load;
		if (pthread_create(&connections[started].thread, NULL,
			run_connection, &connections[started]) != 0)
			break;
	}
	for (i = 0; i < started; i++)
		pthread_join(connections[i].thread, NULL);
	start = clock_now() - start;
	for (i = 0; i < started; i++) {
		for (k = 0; k < connections[i].count; k++)
			record(&all, connections[i].times[k]);
		all.errors += connections[i].errors;
		free(connections[i].times);
	}
	report(&all, (double)start / 1e6, json);
	free(all.times);
	free(connections);
	return all.errors == 0 && all.count > 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct load load = {.connections = 8};
	double seconds = 5;
	long count = 0;
	bool json = false;
	const char *wrong;
	int c, result;

	while ((c = getopt(argc, argv, "c:d:hi:jn:")) != -1) {
		if (c == 'c')
			load.connections = atoi(optarg);
		else if (c == 'd')
			seconds = atof(optarg);
		else if (c == 'i')
			load.interval = (int64_t)(atof(optarg) * 1e3);
		else if (c == 'j')
			json = true;
		else if (c == 'n')
			count = atol(optarg);
		else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (argc - optind != 2 || load.connections < 1 || count < 0) {
		usage(stderr);
		return 2;
	}
	wrong = scgi_client_parse_target(&load.target, argv[optind]);
	if (wrong != NULL) {
		fprintf(stderr, "scgi-load: %s: %s\n", argv[optind], wrong);
		return 2;
	}
	prepare_request(&load, argv[optind + 1]);
	load.deadline =
	    count > 0 ? INT64_MAX : clock_now() + (int64_t)(seconds * 1e6);
	load.quota =
	    count > 0 ? (uint64_t)(count / load.connections) : UINT64_MAX;
	result = run(&load, json);
	buffer_fini(&load.request);
	return result;
}
