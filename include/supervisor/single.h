/*
 * supervisor/single: one request, without a listener or a supervisor.
 */
#ifndef SUPERVISOR_SINGLE_H
#define SUPERVISOR_SINGLE_H

#include "config/config.h"

/*
 * single_serve: serve the one SCGI request of `connection`, a socket that
 * becomes ours, with a gateway in this process and a launcher beside it; for
 * scgid --inetd.  As root both become the users of the configuration.  0, or
 * -1, logged.
 */
int single_serve(const struct config *config, const struct config_pool *pool,
    int connection);

#endif
