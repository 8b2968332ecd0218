/*
 * samples: times in microseconds, and what to say of them.  A zeroed struct
 * is an empty one.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	uint32_t *times; /* owned */
	size_t count;
	size_t capacity;
};

/* samples_add: one more.  Aborts when there is no memory. */
void samples_add(struct samples *s, int64_t time);

/* samples_sort: before the first samples_percentile. */
void samples_sort(struct samples *s);

/* samples_percentile: in milliseconds; 0 if there are none. */
double samples_percentile(const struct samples *s, unsigned per_cent);

void samples_fini(struct samples *s);

#endif
