/*
 * gateway/status_page: what the forms of the status page share: what there is
 * to tell, and how to write it down.
 *
 * Whatever came from outside goes through status_put.
 */
#ifndef GATEWAY_STATUS_PAGE_H
#define GATEWAY_STATUS_PAGE_H

#include "gateway/core.h"

/* Open requests that are listed, the oldest. */
#define STATUS_OPEN_MAX 100

enum status_escape {
	STATUS_TEXT,  /* printable ASCII, as in the log */
	STATUS_HTML,  /* the same, in an element or a quoted attribute */
	STATUS_JSON,  /* in a string */
	STATUS_METRIC /* in a label's value */
};

struct status_page {
	struct buffer body; /* owned */
	bool failed;	    /* no memory: nothing of it is to be used */

	/* What to tell; borrowed. */
	const struct gateway *gateway;
	const struct request *asking;
	int64_t now;			/* clock_now */
	int64_t uptime;			/* of the oldest gateway, in seconds */
	uint64_t values[COUNTER_COUNT]; /* of all gateways that share */
	uint64_t failures;
	bool has_servers; /* a map has a start that is not exec */
	enum usage_order order;
	const struct usage *scripts[USAGE_SCRIPTS];
	size_t script_count;
};

/* Append; the first adds at most 511 bytes, none from outside. */
void status_print(struct status_page *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void
status_put(struct status_page *p, enum status_escape how, const char *text);

/* For people, for example "1.5 s", "3 min 20 s"; "12.5 MiB"; "12.3 k". */
#define STATUS_HUMAN_SIZE 32
const char *status_duration(char out[STATUS_HUMAN_SIZE], int64_t microseconds);
const char *status_size(char out[STATUS_HUMAN_SIZE], uint64_t bytes);
const char *status_count(char out[STATUS_HUMAN_SIZE], uint64_t count);

/* status_bucket_name: "1 ms", "over 300 s". */
const char *status_bucket_name(char out[STATUS_HUMAN_SIZE], unsigned bucket);

/*
 * status_percentile: the bucket in which the given share of the requests is
 * over; LATENCY_BUCKETS if there was none.
 */
unsigned status_percentile(const struct status_page *p, unsigned percent);

/*
 * status_next_open: step through the open requests, the oldest first, from
 * NULL; the one that asks is left out.
 */
const struct request *
status_next_open(const struct status_page *p, const struct request *after);

/*
 * status_next_server: step through the fork servers that serve, from NULL.
 * status_next_ended: through those that ended or were refused, the latest
 * first.
 */
const struct server *
status_next_server(const struct status_page *p, const struct server *after);
const struct server *
status_next_ended(const struct status_page *p, const struct server *after);

/* status_start: how an open request's worker was started; "-": none known. */
const char *status_start(const struct request *r);

/* status_what: an open request's state: "queued", "ending", "stopping". */
const char *status_what(const struct request *r);

/* The forms. */
void status_write_html(struct status_page *p);
void status_write_html_servers(struct status_page *p);
void status_write_json(struct status_page *p);
void status_write_metrics(struct status_page *p);
void status_write_text(struct status_page *p);

#endif
