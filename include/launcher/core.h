/*
 * launcher/core: the state of a launcher.  Internal to src/launcher.
 */
#ifndef LAUNCHER_CORE_H
#define LAUNCHER_CORE_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "launcher/launcher.h"
#include "launcher/limits.h"
#include "launcher/protocol.h"
#include "launcher/start.h"
#include "launcher/stray.h"

#define LAUNCHER_BUCKETS 257

struct worker {
	LIST_ENTRY(worker) entry;
	pid_t pid; /* and its process group; 0: a fork server knows it */
	uint32_t request;
	uint64_t number;	      /* in the order of their starts */
	int64_t started_at;	      /* clock_now */
	enum config_start start;      /* how it came to be */
	struct fork_process *process; /* borrowed; while pid is 0 */
	bool has_handler;	      /* its #! line means nothing */
	bool is_killed;		      /* by us */
	bool is_reaped;		      /* only others of its group are left */
	bool is_asked;	  /* SIGNAL 0 came before its pid was known */
	int signal;	  /* likewise; 0: none */
	uint32_t refused; /* for EXITED's number */
	char script[];
};

LIST_HEAD(worker_list, worker);

struct launcher {
	const struct config_pool *pool; /* borrowed */
	int gateway;			/* borrowed */
	struct limits limits;
	bool gateway_lost;
	bool is_betrayed;	 /* the gateway broke the protocol */
	unsigned running;	 /* workers not yet reaped */
	unsigned pending;	 /* that wait for their pid with a signal */
	unsigned long oom_kills; /* of the kernel, when last counted */
	uint64_t newest;	 /* number of the last one started */
	struct worker_list workers[LAUNCHER_BUCKETS]; /* by pid */
	struct stray_list strays;
	bool is_scan_due; /* somebody exited since, or there are strays */
	int64_t scanned_at;
	TAILQ_HEAD(, fork_server) fork_servers; /* used last comes first */
	TAILQ_HEAD(, fork_process) fork_processes;
	uint32_t fork_number; /* of the last one started */
};

#endif
