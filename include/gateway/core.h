/*
 * gateway/core: what the modules of a gateway share beside the requests.
 */
#ifndef GATEWAY_CORE_H
#define GATEWAY_CORE_H

#include "gateway/counters.h"
#include "gateway/gateway.h"
#include "gateway/request.h"
#include "gateway/servers.h"
#include "gateway/usage.h"

/* One relay buffer a process: handlers never nest. */
#define GATEWAY_CHUNK	    65536
#define GATEWAY_RUN_BUCKETS 256
#define GATEWAY_REFUSALS    64
#define GATEWAY_STREAKS	    1024

TAILQ_HEAD(request_queue, request);
LIST_HEAD(request_list, request);

/* A connection to a launcher. */
struct link {
	struct gateway *gateway; /* borrowed */
	int fd;			 /* owned; -1: its launcher is lost */
	struct event readable;
	struct event writable; /* pending while its socket is full */
	unsigned workers;
	bool is_live; /* its launcher has said hello */
};

/* What a launcher said of a script: there can be no fork server for it. */
struct refusal {
	uint64_t hash; /* of its map and its name in the request path */
	int64_t until; /* clock_now; then its launcher is asked again */
};

struct listener {
	struct gateway *gateway; /* borrowed */
	int fd;			 /* owned */
	bool is_unix;
	bool is_checked; /* peers are, by allow */
	struct event event;
};

struct gateway {
	const struct config_pool *pool; /* borrowed */
	struct event_base *base;	/* owned */
	struct listener *listeners;	/* owned */
	size_t listener_count;
	struct event listen_again;
	struct link *links; /* owned */
	size_t link_count;
	int control; /* owned; -1: none */
	struct event control_event;
	int access_log;		/* owned; -1: the log */
	bool access_log_is_cut; /* its last line has no end */
	int null_fd;		/* owned; stdin of workers without a body */
	bool other_user;
	bool is_listening;
	bool is_draining;
	bool is_dispatching;	 /* a start that fails must not recurse */
	short front_gone_events; /* how this system tells of a closed peer */

	struct request_queue requests;
	unsigned open_count;
	unsigned open_max;
	struct request_queue waiting; /* first come, first served */
	unsigned waiting_count;
	struct request_list running[GATEWAY_RUN_BUCKETS]; /* by run.id */
	unsigned slots;
	unsigned slots_used;
	uint32_t next_run;
	uint64_t refused; /* connections, by allow */
	int64_t refused_logged_at;
	struct event full_timer; /* pending: queue-full is being summed up */
	unsigned full_untold;
	uint64_t id_seed;
	uint64_t id_count;
	bool has_lived;		       /* the first pulse is sent */
	unsigned number;	       /* of the pool's gateways, from 0 */
	struct counters *counters;     /* this gateway's, in all_counters */
	struct counters *all_counters; /* owned; `sharing` of them */
	unsigned sharing;
	bool is_counting_alone; /* all_counters is not shared */
	struct server_list servers;
	struct usage_table *usage; /* owned; NULL without a status page */
	unsigned char news[512];   /* bits of what gateway_is_news was asked */
	struct refusal refusals[GATEWAY_REFUSALS]; /* by their hash */
	/* Brief runs in a row, by request_path_hash; see relay.c. */
	unsigned char streaks[GATEWAY_STREAKS];
	char chunk[GATEWAY_CHUNK];
};

/* gateway_update_listening: listen if there is room, else do not. */
void gateway_update_listening(struct gateway *g);

/*
 * gateway_is_news: true the first time it is asked about `what` of `whom`.  A
 * hash: two things that collide are said once together.
 */
bool gateway_is_news(struct gateway *g, const char *what, const char *whom);

/* gateway_request_gone: a request was freed; ends a draining gateway. */
void gateway_request_gone(struct gateway *g);

#endif
