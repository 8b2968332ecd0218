/*
 * gateway/relay: from the worker's stdout to the front end.
 */
#ifndef GATEWAY_RELAY_H
#define GATEWAY_RELAY_H

#include "gateway/core.h"

/* relay_start: take over the read end of a worker's stdout.  -1 and errno. */
int relay_start(struct request *r, int stdout_fd);

/*
 * relay_watch: its worker turns out to live longer than most.  relay_end: it
 * has ended, and is still to be called gone.  If stdout was not watched so far,
 * what it holds is taken now; more of it is told by the event set.
 */
void relay_watch(struct request *r);
void relay_end(struct request *r);

/* relay_note_writers: run.is_final, if nobody can write to stdout any more. */
void relay_note_writers(struct request *r);

/* relay_resume, relay_pause: read stdout, or leave it to fill. */
void relay_resume(struct request *r);
void relay_pause(struct request *r);

/* relay_note_stall: the front end took everything, or is done with. */
void relay_note_stall(struct request *r);

/* relay_stop: close stdout. */
void relay_stop(struct request *r);

#endif
