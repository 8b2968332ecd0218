/*
 * gateway/servers: what the gateway knows of its launchers' fork servers: for
 * the log and the status page.
 */
#ifndef GATEWAY_SERVERS_H
#define GATEWAY_SERVERS_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct gateway;
struct link;
struct protocol_message;

/* How many that ended or could not be are remembered, the latest. */
#define SERVERS_ENDED 16

struct server {
	TAILQ_ENTRY(server) entry;
	const struct link *link; /* borrowed; NULL: it is no more */
	uint32_t number;	 /* of the launcher's */
	pid_t pid;		 /* 0: not known */
	enum config_start kind;
	uint64_t requests;
	int64_t memory;	    /* KiB */
	int64_t started_at; /* clock_now */
	int64_t ended_at;   /* 0: it serves */
	bool is_refused;    /* it never served */
	char *why;	    /* owned; it ended, or could not be; any bytes */
	char *what;	    /* owned; what it runs; any bytes */
};

TAILQ_HEAD(server_list, server);

/* servers_told: a launcher's SERVER message. */
void servers_told(struct link *link, const struct protocol_message *m);

/* servers_link_lost: the launcher is gone, and its fork servers with it. */
void servers_link_lost(const struct link *link);

void servers_free(struct gateway *g);

/* servers_start_name: "exec", "fork-server", "python", "perl". */
const char *servers_start_name(enum config_start kind);

#endif
