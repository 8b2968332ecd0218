/*
 * gateway/request: one connection of a front end, from accept to the access
 * log.  The modules of the gateway share this struct; each says which part of
 * a request's life it leads.
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cgi/reason.h"
#include "config/config.h"
#include "scgi/request.h"

struct gateway;
struct link;

enum request_state {
	REQUEST_READING_HEADER,
	REQUEST_READING_BODY,
	REQUEST_QUEUED,	    /* whole; waits for a slot */
	REQUEST_RUNNING,    /* sent to a launcher; nothing answered yet */
	REQUEST_RESPONDING, /* the response has begun */
	REQUEST_LINGERING,  /* answered early; discards what still comes */
	REQUEST_ENDING,	    /* front end done with; the worker may not be */
	REQUEST_CLOSED
};

/* What the worker complains of: the last lines, and how much may be logged. */
struct request_stderr {
	int fd;		    /* owned; -1 once closed */
	struct event event; /* watched once is_introduced */
	char line[512];	    /* the line being read */
	size_t line_length;
	char last[768];	    /* the last lines, escaped, " | " between them */
	unsigned allowance; /* lines that may still be logged */
	unsigned dropped;
	int64_t refilled_at;
};

/* One run of a worker; a local redirect makes another. */
struct request_run {
	uint32_t id;	   /* in messages */
	struct link *link; /* borrowed; NULL: none, or its launcher is lost */
	bool has_slot;
	bool is_exec; /* no fork server is asked for */
	bool is_gone; /* reaped, or never started */
	bool group_left;
	bool stdout_eof;
	unsigned questions; /* "does it run?" asked and not yet answered */
	bool is_introduced; /* script and pid are known */
	bool is_doubted;    /* asked since stdout ended */
	bool is_alive;	    /* and that was the answer */
	bool start_known;   /* counted in start_time */
	bool status_known;
	enum config_start start; /* once is_introduced */
	int status;		 /* wait status */
	int64_t cpu_time;	 /* microseconds, once status_known */
	enum reason hint;
	int stdout_fd; /* owned; -1 once closed */
	struct event stdout_event;
	bool is_unwatched;     /* stdout_event is not added yet */
	unsigned char *streak; /* borrowed: one of the gateway's */
	size_t received;       /* bytes of stdout, but for what was spliced */
	bool is_large;	       /* stdout was full once: it is spliced */
	bool is_final;	       /* nobody can write to stdout any more */
	size_t scanned;	       /* of `output`, for the end of its header */
	struct buffer output;  /* until the header is whole */
	struct request_stderr *stderr_log; /* owned; NULL: never ran */
};

struct request {
	TAILQ_ENTRY(request) entry; /* of all requests */
	TAILQ_ENTRY(request) queue_entry;
	LIST_ENTRY(request) run_entry;
	struct gateway *gateway; /* borrowed; outlives us */
	enum request_state state;
	enum reason reason; /* why it failed; NONE so far */

	/* the front end */
	int front_fd; /* owned; -1 once closed */
	bool front_is_unix;
	bool front_is_writing; /* front_event is for EV_WRITE */
	struct event front_event;
	struct event timer;
	bool is_receiving;    /* front_event is for EV_READ */
	bool is_whole;	      /* header and body are here */
	bool is_status;	      /* for the status page: no map, no worker */
	size_t held;	      /* bytes of the request left unread on purpose */
	int64_t linger_at;    /* when it has been silent for too long */
	int64_t linger_until; /* how long it may go on at all */
	size_t discarded;     /* bytes read only to be dropped */
	struct buffer in;     /* the header; then what it borrows from */
	int unsent;	      /* in the kernel, when last looked at */
	struct buffer out;    /* what the front end has not taken yet */

	/* the request */
	struct scgi_header header;	     /* borrows from in */
	struct scgi_found redirected_params; /* borrows from redirected */
	struct buffer redirected; /* parameters of a local redirect, or empty */
	struct buffer path;	  /* decoded, NUL */
	const struct config_map *map; /* borrowed; NULL: not routed */
	unsigned redirects;
	int body_fd; /* owned; -1: none */
	int64_t body_received;
	int64_t body_length;
	char id[65];

	struct request_run run;

	/* the response */
	int status;		 /* sent; 0: nothing sent */
	bool response_whole;	 /* nothing more will be sent */
	bool has_no_body;	 /* HEAD, 204, 304 */
	bool has_sent;		 /* the front end was given some of it */
	bool redirect_pending;	 /* run again once this worker is gone */
	int64_t response_length; /* announced; -1: not */
	int64_t body_sent;
	int64_t body_cut;
	struct buffer notes; /* what to log of it when the script is known */

	char *failure; /* owned; detail of a failure not yet logged, or NULL */

	/* for the access log; times of clock_now, 0: did not happen */
	int64_t accepted_at;
	int64_t queued_at;
	int64_t started_at;
	int64_t first_byte_at;
	int64_t last_output_at;
	int64_t gone_at;
	int64_t received_at;  /* header and body whole, the first time */
	int64_t closed_at;    /* the front end was done with */
	int64_t queue_time;   /* of all runs */
	int64_t start_time;   /* from RUN to exec, of all runs */
	int64_t stalled_time; /* in which the front end took nothing */
	bool is_inspected;    /* for the slow log */
	char *tree;	      /* owned; NULL: not known */
	int64_t kill_at;      /* when SIGKILL is due; 0: not being stopped */
	int64_t stalled_at;   /* since when the front end takes nothing */
	pid_t pid;
	char *script; /* owned; NULL: not known */
	int64_t user_time;
	int64_t system_time;
	int64_t peak_memory;
};

/*
 * request_begin: begin with an accepted connection, which becomes ours on
 * success.  It may be over by the time this returns 0.  -1: no memory.
 */
int request_begin(struct gateway *g, int fd, bool is_unix);

/* request_set_state: the only way a request changes its state. */
void request_set_state(struct request *r, enum request_state state);

/*
 * request_fail: end the request for `reason`: with an error page if nothing
 * was answered yet, otherwise by breaking the response off visibly.  Logs it,
 * with `detail` (escaped already; may be NULL), and stops the worker.
 * `r` may be freed on return.
 */
void request_fail(struct request *r, enum reason reason, const char *detail);

/*
 * request_finish_if_done: free the request if its front end has been dealt
 * with, its worker is reaped and its stdout is closed.  They happen in any
 * order, so each handler records its fact and asks here, last.
 */
void request_finish_if_done(struct request *r);

/*
 * request_drop: free the request now, whatever its worker does: the launchers
 * kill it when this process ends.  A response that has begun is broken off.
 */
void request_drop(struct request *r);

/* request_state_name: "queued", for people. */
const char *request_state_name(const struct request *r);

/*
 * request_param: a parameter of the request, or NULL; after a local redirect,
 * of what is asked now.  request_original: of what the front end sent.
 */
const char *request_param(const struct request *r, enum scgi_param number);
const char *request_original(const struct request *r, enum scgi_param number);

/* request_path_hash: of its map and the first `length` bytes of its path. */
uint64_t request_path_hash(const struct request *r, size_t length);

/* request_safe_script: its script for the log, escaped; "" if not known. */
const char *request_safe_script(const struct request *r);

/* request_timeouts: the map's, or the pool's while there is no map. */
const struct config_timeouts *request_timeouts(const struct request *r);

#endif
