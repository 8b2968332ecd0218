/*
 * frontend/status_client: the status page in a terminal.
 */
#ifndef FRONTEND_STATUS_CLIENT_H
#define FRONTEND_STATUS_CLIENT_H

#include <stdbool.h>

/* Where the page is, unless the target says. */
#define STATUS_DEFAULT_PATH "/status"

/*
 * status_client_show: print the page of `target` once, or, with `watch`, every
 * second until SIGINT.  A target is as for scgi-request, or the path of a Unix
 * socket, and may end in "#/PATH".  Complains on stderr.
 *
 * Returns 0, 1 if there is no page to show, or 2 if `target` is none.
 */
int status_client_show(const char *target, bool watch);

#endif
