/*
 * launcher/protocol: the messages between a gateway and its launchers, over a
 * SOCK_SEQPACKET pair.  Each side checks everything that the other sends.
 *
 *   RUN      gateway -> launcher  map, text = request path, data = SCGI
 *                                 parameters; start = exec: without asking
 *                                 whether there is a fork server; stdin,
 *                                 stdout, stderr, which are lost if the
 *                                 launcher can have no more
 *   STARTED  launcher -> gateway  pid, text = script.  The answer to a SIGNAL 0
 *                                 that finds the worker running
 *   FAILED   launcher -> gateway  reason, code = errno, text = detail; there
 *                                 is no worker
 *   SIGNAL   gateway -> launcher  code = 0, SIGTERM or SIGKILL, for the
 *                                 worker's process group
 *   EXITED   launcher -> gateway  pid, text = script; code = wait status,
 *                                 times, memory; reason = what the launcher
 *                                 knows better; group_left: others of the
 *                                 group still run; number = the size of the
 *                                 script's name if it was refused as a fork
 *                                 server, else 0.  The name is the beginning
 *                                 of the request path, with the '/' or NUL
 *                                 behind it; or that of an index, longer than
 *                                 the path
 *   INSPECT  gateway -> launcher  nothing more; it asks for a TREE
 *   TREE     launcher -> gateway  pid, text = the worker's processes, for the
 *                                 slow log.  The answer to an INSPECT that
 *                                 finds the worker running
 *   HELLO    launcher -> gateway  once, first: it has become the pool's user
 *                                 and waits for work
 *
 *   SERVER   launcher -> gateway  a fork server: code = enum
 *                                 protocol_server, number, pid, text = what it
 *                                 runs, data = why, or what it said on stderr
 *                                 until it was ready; requests, memory
 *
 * STARTED and EXITED also tell when and how the worker was started.
 *
 * A worker's last message is FAILED or EXITED; most workers are so short-lived
 * that it is their only one.  After EXITED with group_left the gateway sends
 * SIGNAL SIGKILL when the request has ended.
 */
#ifndef LAUNCHER_PROTOCOL_H
#define LAUNCHER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fd.h"
#include "cgi/reason.h"
#include "config/config.h"

enum protocol_type {
	PROTOCOL_RUN = 1,
	PROTOCOL_STARTED,
	PROTOCOL_FAILED,
	PROTOCOL_SIGNAL,
	PROTOCOL_EXITED,
	PROTOCOL_INSPECT,
	PROTOCOL_TREE,
	PROTOCOL_HELLO,
	PROTOCOL_SERVER
};

/* What a SERVER tells. */
enum protocol_server {
	PROTOCOL_SERVER_READY,	/* it serves */
	PROTOCOL_SERVER_COUNTS, /* it still does; requests and memory */
	PROTOCOL_SERVER_ENDED,	/* or has been replaced */
	PROTOCOL_SERVER_REFUSED /* there can be none; exec serves */
};

/* The text of a TREE, its NUL included. */
#define PROTOCOL_TREE_MAX 2048

/* A receive buffer of this size takes any message. */
#define PROTOCOL_MESSAGE_MAX (400 * 1024)

struct protocol_message {
	enum protocol_type type;
	uint32_t request; /* chosen by the gateway, unique while it lives */
	uint32_t map;	  /* index in the pool's maps */
	int32_t pid;	  /* for logs only */
	int32_t code;	  /* errno, signal or wait status */
	enum reason reason;
	bool group_left;
	int64_t started_at;  /* clock_now of the launcher; 0: not told */
	int64_t user_time;   /* microseconds */
	int64_t system_time; /* microseconds */
	int64_t peak_memory; /* KiB; of a fork server what it has */
	enum config_start start;
	uint32_t number;   /* of a fork server, unique while the launcher runs;
			      in an EXITED see there */
	uint32_t requests; /* of a fork server, so far */
	const char *text;  /* NUL-terminated; "" if the type has none */
	const char *data;  /* borrowed from the receive buffer */
	size_t data_length;
};

/*
 * protocol_decode: check a message that came with `fd_count` descriptors.  `m`
 * borrows from `data`.  Returns 0, or -1 (EPROTO) if it breaks a rule.
 */
int protocol_decode(const void *data, size_t length, size_t fd_count,
    struct protocol_message *m);

/*
 * protocol_send: `stdio` is NULL but for RUN; its three descriptors stay the
 * caller's.  0, or -1 with errno: EMSGSIZE if it is over PROTOCOL_MESSAGE_MAX,
 * EAGAIN only if `wait` is false.
 */
int protocol_send(
    int socket, const struct protocol_message *m, const int *stdio, bool wait);

/*
 * protocol_receive: take one message without blocking.  `stdio`, for RUN, gets
 * three descriptors that become the caller's; otherwise, or if they were lost,
 * all -1.
 *
 * Returns 1, 0 at the end of the connection, or -1 with errno: EAGAIN if there
 * is none, EPROTO if it breaks a rule (its descriptors are closed).
 */
int protocol_receive(int socket, void *buffer, size_t size,
    struct protocol_message *m, int stdio[3]);

#endif
