/*
 * gateway: the event loop of a pool.  Reads requests, relays responses.
 * Starts no program, and opens no file but in its spool directory.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct gateway_options {
	const struct config_pool *pool; /* borrowed */
	const int *listeners;		/* owned by the gateway from here on */
	size_t listener_count;
	const int *launchers; /* message sockets; owned likewise */
	size_t launcher_count;
	int control;	 /* to the supervisor, owned; -1: none */
	int access_log;	 /* owned; -1: the log */
	int counters;	 /* shared memory, owned; not above 2: none */
	unsigned number; /* of the pool's gateways, from 0 */
	int connection;	 /* serve this one and return, owned; -1: listen */
	bool other_user; /* scripts run as another user than this process */
};

/* What the supervisor may tell a gateway: one byte, and its descriptor. */
enum gateway_order {
	GATEWAY_ORDER_LAUNCHER = 'L',	/* + socket of a new launcher */
	GATEWAY_ORDER_ACCESS_LOG = 'A', /* + the reopened access log */
	GATEWAY_ORDER_LOG = 'E',	/* + the reopened log */
	GATEWAY_ORDER_DRAIN = 'D',	/* accept no more, end when idle */
	GATEWAY_ORDER_PING = 'P'	/* answer with a pulse */
};

/*
 * What a gateway tells the supervisor: once unasked, when it and all of its
 * launchers live, and as the answer to each GATEWAY_ORDER_PING.
 */
struct gateway_pulse {
	uint32_t open;
	uint32_t waiting; /* of the open ones, for a worker */
	uint32_t workers;
	uint32_t slots;	  /* the most workers there can be */
	uint32_t is_live; /* 1: all launchers have said that they live */
};

/*
 * gateway_run: serve until drained, or until the supervisor is gone.  Returns
 * 0, or -1 with errno if it could not begin.
 */
int gateway_run(const struct gateway_options *options);

#endif
