/*
 * launcher/fork_process: one process that is a fork server, or is becoming
 * one: its start, its socket, its workers' slots.
 */
#ifndef LAUNCHER_FORK_PROCESS_H
#define LAUNCHER_FORK_PROCESS_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"
#include "cgi/environment.h"
#include "launcher/fork_protocol.h"
#include "launcher/program.h"
#include "launcher/start.h"
#include "launcher/watch.h"

enum fork_state {
	FORK_STARTING,
	FORK_SERVING,
	FORK_RETIRED /* gets no more requests */
};

struct fork_process {
	TAILQ_ENTRY(fork_process) entry; /* for whoever owns it */
	void *owner;			 /* likewise */
	uint32_t number;		 /* likewise */
	char program[PROGRAM_PATH_MAX];	 /* likewise */
	enum fork_state state;
	pid_t pid;   /* -1 once reaped */
	int socket;  /* owned, like all below; -1 once retired */
	int far_end; /* the fork server's: what it leaves is taken from here */
	int bell;
	int output;		 /* what it prints itself; -1 once it serves */
	int errors;		 /* likewise, on stderr */
	struct fork_slot *slots; /* shared with it */
	struct timespec born;	 /* by the wall clock */
	int64_t started_at;	 /* clock_now */
	unsigned requests;	 /* that were sent to it */
	unsigned requests_told;	 /* to the gateway, at told_at */
	unsigned running;	 /* of them, those whose end is not known */
	unsigned spare;		 /* workers that wait */
	unsigned slots_used;	 /* no slot above these has ever been used */
	struct buffer complaint; /* from its stderr, the end of it */
	struct watch_list watched; /* what it is made of */
	int64_t told_at;	   /* when the gateway got its counts */
	int64_t lost_at; /* it died: who has no pid then has no worker */
	int64_t lost_by; /* but for what a spare worker may have, until then */
	int64_t end_by;	 /* it is retired, and then killed; 0: it is not */
	unsigned spare_deaths; /* of workers that had no request, since */
	int64_t deaths_since;
};

struct fork_options {
	enum fork_mode mode;
	const char *library; /* the path of preload.so */
	unsigned spare;
};

/*
 * fork_process_start: start `command` as a fork server; its stdio is not used.
 * NULL with errno set if it cannot be started.
 */
struct fork_process *fork_process_start(
    const struct start_command *command, const struct fork_options *options);

/* fork_process_free: kills it if it still runs; it must then be reaped. */
void fork_process_free(struct fork_process *p);

/*
 * fork_process_send: give it a request; `command` as for exec, but its path
 * only names the process, and its envp is not used.  0, or -1 with errno: it
 * got nothing, the request is to be served otherwise.
 */
int fork_process_send(struct fork_process *p, uint32_t id, bool learns,
    const struct start_command *command,
    const struct cgi_environment *environment);

/*
 * fork_process_retire: no more requests; it ends when it has begun them all.
 * The caller kills it at `end_by`.
 */
void fork_process_retire(struct fork_process *p);

/*
 * fork_process_find: the pid of the worker of a request, a child of ours; 0 if
 * it has none yet.
 */
pid_t fork_process_find(const struct fork_process *p, uint32_t id);

/* fork_process_has: whether `pid` is a worker of it, a spare one too. */
bool fork_process_has(const struct fork_process *p, pid_t pid);

/* fork_process_has_spare: whether a worker of it lives that has no request. */
bool fork_process_has_spare(const struct fork_process *p);

/* fork_process_done: one of those that run does not any more. */
void fork_process_done(struct fork_process *p);

/*
 * fork_process_reaped: `pid` is reaped, with this wait status.  True if it was
 * a worker of this, and then *id its request, 0 if it had none.
 */
bool fork_process_reaped(
    struct fork_process *p, pid_t pid, int status, uint32_t *id);

/* What a message of a fork server, or of a worker of one, may be. */
struct fork_received {
	enum fork_message type;
	const char *data; /* of FILES and LEARNED; borrowed from a buffer */
	size_t length;
	uint32_t id;		      /* of RUN, like what follows */
	struct start_command command; /* no path, no limits; borrowed */
	int fds[FORK_FDS];	      /* owned by the caller; -1 but for RUN */
};

/*
 * fork_process_receive: take a message that it sent.  fork_process_take_back:
 * take a request that it has not begun.  1, 0 if there is none; the former -1
 * if the message breaks a rule, or there will be none.
 */
int fork_process_receive(struct fork_process *p, struct fork_received *r);
int fork_process_take_back(struct fork_process *p, struct fork_received *r);

/*
 * fork_process_read: read what it printed itself.  True if that was on stdout,
 * where only a request's output may go.
 */
bool fork_process_read(struct fork_process *p);

/* fork_process_complaint: what it has said on stderr; "" if nothing. */
const char *fork_process_complaint(struct fork_process *p);

#endif
