#include "samples.h"

#include <stdlib.h>

void
samples_add(struct samples *s, int64_t time)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity == 0 ? 4096 : s->capacity * 2;
		s->times = realloc(s->times, s->capacity * sizeof(*s->times));
		if (s->times == NULL)
			abort();
	}
	s->times[s->count++] = time > UINT32_MAX ? UINT32_MAX : (uint32_t)time;
}

static int
compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void
samples_sort(struct samples *s)
{
	if (s->count > 0)
		qsort(s->times, s->count, sizeof(*s->times), compare_times);
}

double
samples_percentile(const struct samples *s, unsigned per_cent)
{
	if (s->count == 0)
		return 0;
	return s->times[(s->count * per_cent + 99) / 100 - 1] / 1000.0;
}

void
samples_fini(struct samples *s)
{
	free(s->times);
	*s = (struct samples){0};
}
