/*
 * manager: the service manager that started us, if it is systemd and we were
 * built with libsystemd; otherwise there is none and all of this does nothing.
 */
#ifndef BASE_MANAGER_H
#define BASE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

/* The first descriptor that it passes; the others follow. */
#define MANAGER_FIRST_FD 3

/* manager_is_supported: whether we were built with libsystemd. */
bool manager_is_supported(void);

/* manager_listens: whether it wants to be told anything (NOTIFY_SOCKET). */
bool manager_listens(void);

/* manager_notify: tell it `state`, lines of NAME=VALUE. */
void manager_notify(const char *state);

/*
 * manager_take_sockets: how many descriptors it has passed to this process;
 * they become close-on-exec, and LISTEN_* leaves the environment.  `*names` is
 * a vector of as many names, with its strings the caller's; NULL for none.
 */
unsigned manager_take_sockets(char ***names);

/*
 * manager_take_watchdog: microseconds within which it wants to hear
 * WATCHDOG=1, 0 for never; WATCHDOG_* leaves the environment.
 */
int64_t manager_take_watchdog(void);

#endif
