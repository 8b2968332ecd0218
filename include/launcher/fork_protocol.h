/*
 * launcher/fork_protocol: what a launcher and a fork server say to each other.
 * Both are of one build; the library in the fork server needs no more of us
 * than this and launcher/limits.
 *
 * The fork server is started with the environment variable FORK_VARIABLE,
 * "MODE SOCKET SPARE VERSION", MODE one of enum fork_mode.  SOCKET is a
 * descriptor, a SOCK_SEQPACKET socket; SOCKET + 1 is shared memory, an array of
 * FORK_SLOTS struct fork_slot, SOCKET + 2 an eventfd, the bell.  The runner,
 * the script that prepares a python or a perl, finds SOCKET alone in
 * RUNNER_VARIABLE, and sets that to "ready" before the fork() that is to serve;
 * to "ready, fills ADDRESS" if it reads memory, and environ is its own, which
 * it fills in a worker: then a pointer to a struct fork_block is put there.
 * Behind that may be the address of a count (a size_t), which is made one
 * higher.  Addresses are in hexadecimal.
 *
 * Its standard input is a file of one byte: one that has read this would miss a
 * request's, and refuses itself.
 *
 * Messages begin with one of enum fork_message.
 *
 *   FILES    either -> launcher       the files that it is made of, besides
 *                                     its program and its script, each followed
 *                                     by NUL
 *   HELLO    fork server -> launcher  it serves
 *   RUN      launcher -> fork server  struct fork_run, arguments and variables,
 *                                     each followed by NUL; descriptors: stdin,
 *                                     stdout, stderr, working directory.  It
 *                                     stays in the socket until it has its
 *                                     worker; a spare worker takes its own
 *   LEARNED  worker -> launcher       names of modules, each followed by NUL,
 *                                     that its script imported
 *
 * A worker of a runner finds one of enum fork_option, then the name and the
 * value of each variable, each followed by NUL: in the block (there the option
 * comes with eight random hexadecimal digits), or else in a file, which SOCKET
 * is then.
 *
 * Workers are children of the launcher, which reaps them.  It learns a pid
 * from the slot, as the request may end before any message could tell.
 */
#ifndef LAUNCHER_FORK_PROTOCOL_H
#define LAUNCHER_FORK_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "launcher/limits.h"

#define FORK_VARIABLE	"SCGID_FORK_LIBRARY"
#define RUNNER_VARIABLE "SCGID_FORK_SERVER"

/*
 * Counts up with each change between a launcher and the library, which may be
 * upgraded before we restart.
 */
#define FORK_VERSION 4U

enum fork_mode {
	FORK_AT_MAIN = 'm', /* serve where main would begin */
	FORK_AT_FORK = 'f'  /* serve where the runner calls fork() */
};

enum fork_message {
	FORK_FILES = 'F',
	FORK_HELLO = 'H',
	FORK_RUN = 'R',
	FORK_LEARNED = 'L'
};

/* The longest message: as long as those of a gateway. */
#define FORK_MESSAGE_MAX (400 * 1024)

/* What the runner is to do in a worker, before and after the script. */
enum fork_option {
	FORK_NOTHING = '-',
	FORK_LEARN = 'l',  /* send a LEARNED, to SOCKET + 1 */
	FORK_RESTART = 'r' /* exec: what is read at the start has changed */
};

/* For a runner that reads memory. */
struct fork_block {
	size_t length;		     /* of what follows, in bytes */
	char text[FORK_MESSAGE_MAX]; /* longer than the RUN it is of */
};

/*
 * A worker.  The kernel writes the pid before the worker runs, and the launcher
 * clears it, and nothing else, when it has reaped it: then the slot is free.  A
 * spare worker has no request yet; `request` is never 0 in a RUN.
 */
struct fork_slot {
	int32_t pid;
	uint32_t request;
};

#define FORK_SLOTS 512

/* The number of descriptors that come with a RUN. */
#define FORK_FDS 4

struct fork_run {
	char type;   /* FORK_RUN */
	bool learns; /* the worker is to send a LEARNED */
	uint32_t request;
	uint32_t argument_count;
	uint32_t variable_count;
	char name[16]; /* of the process, as the kernel keeps it */
	struct limits limits;
};

/* The most arguments, and the most arguments and variables, of a RUN. */
#define FORK_ARGUMENTS_MAX 1023
#define FORK_STRINGS_MAX   (16 * 1024)

/* Exit status of a fork server; before its HELLO stderr says more. */
#define FORK_EXIT_UNUSABLE 3
#define FORK_EXIT_NO_FORK  4

/*
 * A runner's worker that ends with _exit(RUNNER_EXIT + status) ends with
 * exit(status): buffers of stdio are written, handlers of atexit(3) called.
 */
#define RUNNER_EXIT 0x5C610000

#endif
