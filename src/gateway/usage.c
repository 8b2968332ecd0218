/*
 * usage.c: a small array that is searched from its start: hashes differ at
 * once, and 64 of them are a few cache lines.
 */
#include "gateway/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "gateway/request.h"

/* Whether `a` should give way before `b`. */
static bool
is_less_used(const struct usage *a, const struct usage *b)
{
	if (a->requests != b->requests)
		return a->requests < b->requests;
	return a->used_at < b->used_at;
}

static struct usage *
make_entry(struct usage_table *t, const char *script, uint64_t hash)
{
	struct usage *u = &t->entries[0];
	size_t length = strlen(script);

	if (t->count < USAGE_SCRIPTS) {
		u = &t->entries[t->count++];
	} else {
		for (size_t i = 1; i < USAGE_SCRIPTS; i++)
			if (is_less_used(&t->entries[i], u))
				u = &t->entries[i];
		t->replaced++;
	}
	memset(u, 0, sizeof(*u));
	u->hash = hash;
	if (length >= sizeof(u->script))
		length = sizeof(u->script) - 1;
	memcpy(u->script, script, length);
	return u;
}

static struct usage *
find_entry(struct usage_table *t, const char *script)
{
	/* Of what is shown: two that look the same would be two series. */
	uint64_t hash =
	    hash_bytes(HASH_BEGIN, script, strnlen(script, USAGE_NAME - 1));

	for (size_t i = 0; i < t->count; i++)
		if (t->entries[i].hash == hash)
			return &t->entries[i];
	return make_entry(t, script, hash);
}

void
usage_note_end(struct usage_table *t, const struct request *r, int64_t now)
{
	struct usage *u;

	if (t == NULL || r->script == NULL)
		return;
	u = find_entry(t, r->script);
	u->used_at = ++t->requests;
	u->requests++;
	if (r->reason != REASON_NONE) {
		u->failures++;
		u->reasons[r->reason]++;
	}
	u->total_time += now - r->accepted_at;
	u->user_time += r->user_time;
	u->system_time += r->system_time;
	if (r->peak_memory > u->peak_memory)
		u->peak_memory = r->peak_memory;
}

static int
compare(uint64_t a, uint64_t b, const struct usage *x, const struct usage *y)
{
	if (a != b)
		return a > b ? -1 : 1;
	if (x->requests != y->requests)
		return x->requests > y->requests ? -1 : 1;
	return strcmp(x->script, y->script);
}

static int
by_requests(const void *a, const void *b)
{
	const struct usage *x = *(const struct usage *const *)a;
	const struct usage *y = *(const struct usage *const *)b;

	return compare(0, 0, x, y);
}

static int
by_cpu(const void *a, const void *b)
{
	const struct usage *x = *(const struct usage *const *)a;
	const struct usage *y = *(const struct usage *const *)b;

	return compare((uint64_t)(x->user_time + x->system_time),
	    (uint64_t)(y->user_time + y->system_time), x, y);
}

static int
by_memory(const void *a, const void *b)
{
	const struct usage *x = *(const struct usage *const *)a;
	const struct usage *y = *(const struct usage *const *)b;

	return compare(
	    (uint64_t)x->peak_memory, (uint64_t)y->peak_memory, x, y);
}

static int
by_failures(const void *a, const void *b)
{
	const struct usage *x = *(const struct usage *const *)a;
	const struct usage *y = *(const struct usage *const *)b;

	return compare(x->failures, y->failures, x, y);
}

size_t
usage_sort(const struct usage_table *t, enum usage_order order,
    const struct usage *sorted[USAGE_SCRIPTS])
{
	static int (*const orders[])(const void *, const void *) = {
	    by_requests, by_cpu, by_memory, by_failures};

	if (t == NULL)
		return 0;
	for (size_t i = 0; i < t->count; i++)
		sorted[i] = &t->entries[i];
	qsort(sorted, t->count, sizeof(*sorted), orders[order]);
	return t->count;
}
