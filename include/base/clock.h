/*
 * clock: times.  Durations are in microseconds unless a name says otherwise.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* clock_now: microseconds of a clock that never jumps. */
int64_t clock_now(void);

/* clock_sooner: the sooner of two times, of which 0 is never. */
int64_t clock_sooner(int64_t a, int64_t b);

/* The size that clock_format_utc needs. */
#define CLOCK_FORMAT_SIZE 32

/*
 * clock_format_utc: the wall clock now, "2026-01-31T23:59:59.123Z".  Not for
 * several threads at a time.
 */
void clock_format_utc(char out[CLOCK_FORMAT_SIZE]);

#endif
