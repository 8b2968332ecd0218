/*
 * supervisor/daemon: going to the background, and the pid file.
 */
#ifndef SUPERVISOR_DAEMON_H
#define SUPERVISOR_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon {
	const char *pid_file; /* borrowed; NULL: none */
	int ready;	      /* owned; tells the first process; -1: none */
	dev_t device;	      /* of the pid file, to know it again */
	ino_t inode;
};

/*
 * daemon_begin: with `background`, fork: the first process waits until
 * daemon_ready is called or the second dies, and exits with 0 or 1; the second
 * returns, in a session of its own.  0, or -1, logged.
 */
int daemon_begin(struct daemon *d, const char *pid_file, bool background);

/* daemon_ready: write the pid file, let go of the terminal.  0, or -1. */
int daemon_ready(struct daemon *d);

/* daemon_end: remove the pid file if it is still ours. */
void daemon_end(struct daemon *d);

#endif
