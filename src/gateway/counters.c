/*
 * counters.c: relaxed atomics.  To a total two may add, a gateway and the one
 * that drains after a reload; what is so now, only the newer says.
 */
#include "gateway/counters.h"

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/core.h"

#define MS(n) (INT64_C(1000) * (n))

const int64_t latency_bounds[LATENCY_BOUNDS] = {MS(1), MS(2), MS(5), MS(10),
    MS(20), MS(50), MS(100), MS(200), MS(500), MS(1000), MS(2000), MS(5000),
    MS(10000), MS(30000), MS(60000), MS(300000)};

size_t
counters_size(unsigned gateways)
{
	return gateways * sizeof(struct counters);
}

static uint64_t
load(const struct counters *one, enum counter c)
{
	return atomic_load_explicit(&one->values[c], memory_order_relaxed);
}

int
counters_open(struct gateway *g, int fd)
{
	size_t size = counters_size(g->pool->gateways);
	void *memory = MAP_FAILED;

	if (fd > STDERR_FILENO)
		memory =
		    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory != MAP_FAILED) {
		g->all_counters = memory;
		g->counters = &g->all_counters[g->number];
		g->sharing = g->pool->gateways;
	} else {
		g->counters = calloc(1, sizeof(*g->counters));
		g->all_counters = g->counters;
		g->sharing = 1;
	}
	g->is_counting_alone = memory == MAP_FAILED;
	if (g->counters == NULL)
		return -1;
	if (load(g->counters, COUNTER_STARTED) == 0)
		counter_set(g, COUNTER_STARTED, (uint64_t)time(NULL));
	counter_set(g, COUNTER_SLOTS, g->slots);
	counters_note_load(g);
	return 0;
}

void
counters_close(struct gateway *g)
{
	if (g->counters == NULL)
		return;
	if (g->is_counting_alone)
		free(g->counters);
	else
		munmap(g->all_counters, counters_size(g->sharing));
	g->counters = g->all_counters = NULL;
}

void
counter_add(struct gateway *g, enum counter c, uint64_t n)
{
	atomic_fetch_add_explicit(
	    &g->counters->values[c], n, memory_order_relaxed);
}

void
counter_set(struct gateway *g, enum counter c, uint64_t value)
{
	atomic_store_explicit(
	    &g->counters->values[c], value, memory_order_relaxed);
}

uint64_t
counter_sum(const struct gateway *g, enum counter c)
{
	uint64_t sum = 0, value;

	for (unsigned i = 0; i < g->sharing; i++) {
		value = load(&g->all_counters[i], c);
		if (c != COUNTER_STARTED)
			sum += value;
		else if (sum == 0 || (value != 0 && value < sum))
			sum = value;
	}
	return sum;
}

uint64_t
counter_failures(const struct gateway *g)
{
	uint64_t sum = 0;

	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		sum += counter_sum(g, COUNTER_REASON + i);
	return sum;
}

void
counters_note_load(struct gateway *g)
{
	if (g->counters == NULL || g->is_draining)
		return;
	counter_set(g, COUNTER_OPEN, g->open_count);
	counter_set(g, COUNTER_WAITING, g->waiting_count);
	counter_set(g, COUNTER_WORKERS, g->slots_used);
}

void
counters_read(int fd, unsigned gateways, uint64_t *served, uint64_t *failed)
{
	struct counters one;

	for (unsigned i = 0; i < gateways; i++) {
		uint64_t good, all;

		if (pread(fd, &one, sizeof(one), (off_t)(i * sizeof(one))) !=
		    (ssize_t)sizeof(one))
			continue;
		good = load(&one, COUNTER_REASON + REASON_NONE);
		all = load(&one, COUNTER_REQUESTS);
		*served += good;
		/* It counts on while this is read. */
		*failed += all > good ? all - good : 0;
	}
}

static void
add_positive(struct gateway *g, enum counter c, int64_t n)
{
	if (n > 0)
		counter_add(g, c, (uint64_t)n);
}

void
counters_note_end(const struct request *r, int64_t now)
{
	struct gateway *g = r->gateway;
	int64_t total = now - r->accepted_at;
	unsigned bucket = 0;

	if (r->is_status) {
		counter_add(g, COUNTER_STATUS_PAGES, 1);
		return;
	}
	while (bucket < LATENCY_BOUNDS && total > latency_bounds[bucket])
		bucket++;
	counter_add(g, COUNTER_REQUESTS, 1);
	counter_add(g, COUNTER_LATENCY + bucket, 1);
	counter_add(g, COUNTER_REASON + r->reason, 1);
	counter_add(g, COUNTER_CLASS + (unsigned)(r->status / 100) % 10, 1);
	add_positive(g, COUNTER_BYTES_IN, r->body_received);
	add_positive(g, COUNTER_BYTES_OUT, r->body_sent);
	add_positive(g, COUNTER_TOTAL_TIME, total);
	add_positive(g, COUNTER_QUEUE_TIME, r->queue_time);
	add_positive(g, COUNTER_USER_TIME, r->user_time);
	add_positive(g, COUNTER_SYSTEM_TIME, r->system_time);
}
