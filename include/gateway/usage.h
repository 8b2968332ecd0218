/*
 * gateway/usage: what each script of a pool has cost, in a table that does not
 * grow: when it is full, the script with the fewest requests gives its place
 * to a new one, which begins at nothing.  Of this gateway alone.
 */
#ifndef GATEWAY_USAGE_H
#define GATEWAY_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgi/reason.h"

#define USAGE_SCRIPTS 64
#define USAGE_NAME    256

struct request;

struct usage {
	uint64_t hash;
	char script[USAGE_NAME]; /* cut, if it is longer */
	uint64_t requests;
	uint64_t failures;
	uint64_t used_at;    /* number of its last request, of them all */
	int64_t total_time;  /* microseconds, as below */
	int64_t user_time;   /* of its workers */
	int64_t system_time; /* of its workers */
	int64_t peak_memory; /* KiB, the largest of a worker */
	uint32_t reasons[REASON_COUNT];
};

struct usage_table {
	struct usage entries[USAGE_SCRIPTS];
	size_t count;
	uint64_t requests;
	uint64_t replaced;
};

enum usage_order {
	USAGE_BY_REQUESTS,
	USAGE_BY_CPU,
	USAGE_BY_MEMORY,
	USAGE_BY_FAILURES
};

/* usage_note_end: `r` is over at `now`; allocates nothing. */
void
usage_note_end(struct usage_table *t, const struct request *r, int64_t now);

/*
 * usage_sort: pointers to the entries, the largest first.  Returns how many.
 */
size_t usage_sort(const struct usage_table *t, enum usage_order order,
    const struct usage *sorted[USAGE_SCRIPTS]);

#endif
