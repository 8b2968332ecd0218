/*
 * client: one connection of the load generator, and the exchange on it: over
 * HTTP, which keeps the connection, or over SCGI, which does not.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "base/buffer.h"
#include "frontend/scgi_client.h"

enum outcome {
	OUTCOME_ANSWER,	 /* whole; its status is another matter */
	OUTCOME_REFUSED, /* no connection */
	OUTCOME_RESET,	 /* an error on the connection */
	OUTCOME_CUT,	 /* it ended too early, without an error */
	OUTCOME_GARBLED, /* what came is no response */
	OUTCOME_TIMEOUT,
	OUTCOME_COUNT
};

struct client;

/* What all clients have in common; borrowed, outlives them. */
struct client_plan {
	struct event_base *base;
	struct scgi_target target;
	struct buffer request;
	bool is_http;
	/* Once for each exchange, from the event loop; may start one. */
	void (*on_done)(struct client *client, enum outcome outcome);
	void *arg;
};

struct client {
	const struct client_plan *plan; /* borrowed */
	struct event event;
	int fd; /* owned; -1: none */
	bool busy;
	bool reused;	      /* the connection has served an exchange before */
	bool received;	      /* a byte, in this exchange */
	enum outcome failure; /* what the exchange ends with, in a moment */
	size_t sent;
	int64_t due;   /* by clock_now: when the exchange was to begin */
	int64_t begun; /* and when it did */
	struct answer answer;
};

void client_init(struct client *client, const struct client_plan *plan);

/*
 * client_start: begin an exchange, that was to begin at `due`; the client must
 * not be busy.
 */
void client_start(struct client *client, int64_t due);

/* client_give_up: end the exchange under way as OUTCOME_TIMEOUT. */
void client_give_up(struct client *client);

void client_fini(struct client *client);

#endif
