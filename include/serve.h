/*
 * serve: scripts over HTTP without a web server (scgid --serve).
 */
#ifndef SERVE_H
#define SERVE_H

#include "config/config.h"

/*
 * serve_run: run the one pool of `config`, which listens on `target`, and an
 * HTTP front end for it on `listen` (NULL: the default), until TERM or INT or
 * until one of the two ends.  `config` stays the caller's.  Returns the exit
 * status.
 */
int serve_run(struct config *config, const char *target, const char *listen);

#endif
