/*
 * manager.c: libsystemd, or nothing.  Owns no state: all is in the environment
 * that we were started with.
 */
#include "base/manager.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/system.h"

#ifdef HAVE_LIBSYSTEMD

#include <systemd/sd-daemon.h>

bool
manager_is_supported(void)
{
	return true;
}

bool
manager_listens(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

void
manager_notify(const char *state)
{
	sd_notify(0, state);
}

unsigned
manager_take_sockets(char ***names)
{
	int n;

	*names = NULL;
	n = sd_listen_fds_with_names(1, names);
	return n > 0 ? (unsigned)n : 0;
}

int64_t
manager_take_watchdog(void)
{
	uint64_t interval = 0;

	if (sd_watchdog_enabled(1, &interval) <= 0 || interval > INT64_MAX)
		return 0;
	return (int64_t)interval;
}

#else

bool
manager_is_supported(void)
{
	return false;
}

bool
manager_listens(void)
{
	return false;
}

void
manager_notify(const char *state)
{
	(void)state;
}

unsigned
manager_take_sockets(char ***names)
{
	*names = NULL;
	return 0;
}

int64_t
manager_take_watchdog(void)
{
	return 0;
}

#endif
