/*
 * supervisor: the first process.  Binds the sockets, starts the gateways and
 * launchers, and starts again what dies.  Reads no byte from a client or a
 * script.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>

#include "config/config.h"

/*
 * supervisor_run: serve until TERM (drain, then stop), INT or QUIT (stop now).
 * HUP reads `path` again, which should be absolute.  `config`, what it says
 * now, becomes the supervisor's.  `pid_file` may be NULL.  `background`
 * detaches once all is ready: the first process then exits with the result.
 * Returns the exit status.
 */
int supervisor_run(struct config *config, const char *path,
    const char *pid_file, bool background);

#endif
