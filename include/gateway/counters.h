/*
 * gateway/counters: what a gateway has done and is doing, as plain numbers.
 *
 * The gateways of a pool share a block of memory with a struct counters each.
 * A gateway writes only its own and reads all, to answer for the pool.  They
 * outlive a gateway, and a reload, so a total does not fall when one is started
 * again.  The supervisor makes the memory and never maps it; the two numbers
 * that it tells the service manager it reads like a file.  No number is trusted
 * for more than being shown.
 */
#ifndef GATEWAY_COUNTERS_H
#define GATEWAY_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "cgi/reason.h"
#include "config/config.h"

struct gateway;
struct request;

/* Upper bounds of the latency histogram, without the last, which has none. */
#define LATENCY_BOUNDS	16
#define LATENCY_BUCKETS (LATENCY_BOUNDS + 1)
extern const int64_t latency_bounds[LATENCY_BOUNDS]; /* microseconds */

enum counter {
	/* Totals of requests that ended; the status page's are apart. */
	COUNTER_REQUESTS,
	COUNTER_STATUS_PAGES,
	COUNTER_SLOW,
	COUNTER_BYTES_IN,
	COUNTER_BYTES_OUT,
	COUNTER_TOTAL_TIME, /* microseconds, like the times below */
	COUNTER_QUEUE_TIME,
	COUNTER_USER_TIME, /* of workers */
	COUNTER_SYSTEM_TIME,
	COUNTER_RUNS, /* + enum config_start: workers that ended */
	COUNTER_RUNS_END = COUNTER_RUNS + START_PERL,
	COUNTER_SERVERS_READY, /* fork servers, and their refusals */
	COUNTER_SERVERS_REFUSED,
	COUNTER_CLASS, /* + first digit of the status sent; 0: none */
	COUNTER_CLASS_END = COUNTER_CLASS + 9,
	COUNTER_REASON, /* + enum reason */
	COUNTER_REASON_END = COUNTER_REASON + REASON_COUNT - 1,
	COUNTER_LATENCY, /* + bucket; each request is in one */
	COUNTER_LATENCY_END = COUNTER_LATENCY + LATENCY_BUCKETS - 1,

	/* What is so now. */
	COUNTER_OPEN,	 /* requests, from accept to the access log */
	COUNTER_WAITING, /* for a worker */
	COUNTER_WORKERS, /* that run */
	COUNTER_SLOTS,	 /* how many may */
	COUNTER_STARTED, /* since when; wall clock, in seconds; 0: never */
	COUNTER_COUNT
};

struct counters {
	_Atomic uint64_t values[COUNTER_COUNT];
};

/* counters_size: bytes that so many gateways share. */
size_t counters_size(unsigned gateways);

/*
 * counters_open: count in the shared memory of `fd` (borrowed), or, where it
 * is no descriptor above 2, in memory of our own.  0, or -1 with errno.
 */
int counters_open(struct gateway *g, int fd);
void counters_close(struct gateway *g);

/*
 * counters_read: add what the gateways of a pool, so many, have served and what
 * failed, by the shared memory of `fd`; nothing if that is no descriptor.
 */
void
counters_read(int fd, unsigned gateways, uint64_t *served, uint64_t *failed);

/* Of this gateway, without a system call. */
void counter_add(struct gateway *g, enum counter c, uint64_t n);
void counter_set(struct gateway *g, enum counter c, uint64_t value);

/* counter_sum: of all gateways that share; COUNTER_STARTED: the oldest. */
uint64_t counter_sum(const struct gateway *g, enum counter c);

/* counter_failures: the sum of COUNTER_REASON + anything but REASON_NONE. */
uint64_t counter_failures(const struct gateway *g);

/* counters_note_load: open, waiting and workers have changed. */
void counters_note_load(struct gateway *g);

/* counters_note_end: `r` is over at `now`. */
void counters_note_end(const struct request *r, int64_t now);

#endif
