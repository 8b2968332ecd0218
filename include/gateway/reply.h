/*
 * gateway/reply: the error page.
 */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include "gateway/core.h"

/*
 * reply_error: send the page of r->reason, whole.  Names no path, user or
 * stderr unless the pool says debug.  -1 if the front end is gone.
 */
int reply_error(struct request *r, const char *detail);

#endif
