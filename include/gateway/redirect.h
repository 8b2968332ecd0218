/*
 * gateway/redirect: a script's "Location: /path" alone, run again inside
 * (RFC 3875, section 6.2.2).
 */
#ifndef GATEWAY_REDIRECT_H
#define GATEWAY_REDIRECT_H

#include "gateway/core.h"

/*
 * redirect_wanted: whether a map of the pool takes `location`; yes if there is
 * no memory to tell, which is then for redirect_prepare to say.
 */
bool redirect_wanted(struct request *r, const char *location);

/*
 * redirect_prepare: remember to run again once this worker is gone.  Fails the
 * request (and may free it) if it has been redirected too often.
 */
void redirect_prepare(struct request *r, const char *location);

/* redirect_run: this worker is gone: queue the next.  Do not use `r` after. */
void redirect_run(struct request *r);

#endif
