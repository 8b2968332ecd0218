/*
 * clock.c: the two clocks.
 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Where they are in what clock_format_utc writes. */
#define MILLISECONDS 20

int64_t
clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
clock_sooner(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void
clock_format_utc(char out[CLOCK_FORMAT_SIZE])
{
	/* Made once a second: two lines of each request begin with it. */
	static char text[CLOCK_FORMAT_SIZE];
	static time_t second;
	struct timespec t;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &t);
	if (t.tv_sec != second || text[0] == '\0') {
		second = t.tv_sec;
		gmtime_r(&second, &tm);
		snprintf(text, sizeof(text),
		    "%04u-%02u-%02uT%02u:%02u:%02u.000Z",
		    (unsigned)(tm.tm_year + 1900) % 10000,
		    (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday,
		    (unsigned)tm.tm_hour, (unsigned)tm.tm_min,
		    (unsigned)tm.tm_sec);
	}
	memcpy(out, text, sizeof(text));
	out[MILLISECONDS] = (char)('0' + t.tv_nsec / 100000000);
	out[MILLISECONDS + 1] = (char)('0' + t.tv_nsec / 10000000 % 10);
	out[MILLISECONDS + 2] = (char)('0' + t.tv_nsec / 1000000 % 10);
}
