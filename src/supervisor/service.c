/*
 * service.c: owns the passed sockets for as long as the process lives, so that
 * what a reload drops and takes again is not lost.
 *
 * Which sockets `listen = systemd` means is computed from the configuration
 * each time: all that no `listen = systemd:NAME` names.
 */
#include "supervisor/service.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/manager.h"

static struct {
	char **names; /* owned, with its strings */
	unsigned count;
	int64_t watchdog;
} passed;

void
service_begin(void)
{
	passed.count = manager_take_sockets(&passed.names);
	passed.watchdog = manager_take_watchdog();
}

void
service_end(void)
{
	for (unsigned i = 0; i < passed.count; i++) {
		close(MANAGER_FIRST_FD + (int)i);
		free(passed.names[i]);
	}
	free(passed.names);
	passed.names = NULL;
	passed.count = 0;
}

int64_t
service_watchdog(void)
{
	return passed.watchdog;
}

bool
service_listens(void)
{
	return manager_listens();
}

void
service_notify(const char *format, ...)
{
	char state[1024];
	va_list list;

	if (!manager_listens())
		return;
	va_start(list, format);
	vsnprintf(state, sizeof(state), format, list);
	va_end(list);
	manager_notify(state);
}

void
service_reloading(void)
{
	service_notify("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
	    (long long)clock_now());
}

size_t
service_socket_count(void)
{
	return passed.count;
}

static const char *
escaped(const char *name)
{
	static char text[1024];

	return log_escape(text, sizeof(text), name, strlen(name));
}

/* Whether some listener asks for sockets named `name`. */
static bool
is_named(const struct config *config, const char *name)
{
	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *pool = &config->pools[p];

		for (size_t i = 0; i < pool->listener_count; i++)
			if (pool->listeners[i].passed != NULL &&
			    strcmp(pool->listeners[i].passed, name) == 0)
				return true;
	}
	return false;
}

static bool
is_meant(const struct config *config, const char *wanted, const char *name)
{
	if (wanted[0] == '\0')
		return !is_named(config, name);
	return strcmp(wanted, name) == 0;
}

/* Whether some listener of `config` takes sockets named `name`. */
static bool
is_taken(const struct config *config, const char *name)
{
	return is_named(config, name) || is_named(config, "");
}

static bool
is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *sin = (const void *)address;
	const struct sockaddr_in6 *sin6 = (const void *)address;

	if (address->ss_family == AF_INET)
		return ntohl(sin->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
}

/* What is wrong with a passed descriptor, or NULL. */
static bool
allows(const struct config_pool *pool, bool users)
{
	for (size_t i = 0; i < pool->peer_count; i++)
		if ((pool->peers[i].family == AF_UNIX) == users)
			return true;
	return false;
}

static const char *
judge(int fd, const struct config_pool *pool)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int type, listens;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == -1)
		return "is not a socket";
	size = sizeof(listens);
	if (type != SOCK_STREAM ||
	    getsockname(fd, (struct sockaddr *)&address, &length) == -1 ||
	    (address.ss_family != AF_UNIX && address.ss_family != AF_INET &&
		address.ss_family != AF_INET6))
		return "is not a stream socket of Unix or TCP "
		       "(ListenStream=)";
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == -1 ||
	    !listens)
		return "does not listen (Accept=no is needed)";
	if (address.ss_family == AF_UNIX || allows(pool, false))
		return NULL;
	if (!is_loopback(&address))
		return "is not on a loopback address, and anyone could run "
		       "the scripts (allow the front end's address)";
	return allows(pool, true) ? "is a port, and allow names users only"
				  : NULL;
}

/* Says what there is, for who asked for something else. */
static void
log_missing(const struct config_pool *pool, const char *text)
{
	struct buffer all = {0};

	for (unsigned i = 0; i < passed.count; i++)
		buffer_printf(
		    &all, "%s%s", i > 0 ? ", " : "", escaped(passed.names[i]));
	if (!manager_is_supported())
		log_errorx("pool %s: listen = %s: scgid was built without "
			   "libsystemd",
		    pool->name, text);
	else if (all.length == 0)
		log_errorx("pool %s: listen = %s: no socket was passed; start "
			   "it through its socket unit",
		    pool->name, text);
	else
		log_errorx("pool %s: listen = %s: no such socket was passed; "
			   "passed: %s",
		    pool->name, text, all.data);
	buffer_fini(&all);
}

/* 0, or -1, logged. */
static int
check_listener(const struct config *config, const struct config_pool *pool,
    const struct config_listener *listener)
{
	unsigned found = 0;
	int result = 0;

	for (unsigned i = 0; i < passed.count; i++) {
		int fd = MANAGER_FIRST_FD + (int)i;
		const char *fault;

		if (!is_meant(config, listener->passed, passed.names[i]))
			continue;
		found++;
		if ((fault = judge(fd, pool)) == NULL)
			continue;
		log_errorx("pool %s: listen = %s: descriptor %d, named %s, %s",
		    pool->name, listener->text, fd, escaped(passed.names[i]),
		    fault);
		result = -1;
	}
	if (found == 0) {
		log_missing(pool, listener->text);
		result = -1;
	}
	return result;
}

int
service_check(const struct config *config)
{
	int result = 0;

	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *pool = &config->pools[p];

		for (size_t i = 0; i < pool->listener_count; i++)
			if (pool->listeners[i].passed != NULL &&
			    check_listener(config, pool, &pool->listeners[i]) ==
				-1)
				result = -1;
	}
	for (unsigned i = 0; i < passed.count; i++)
		if (!is_taken(config, passed.names[i]))
			log_warnx("descriptor %d, named %s, was passed, but no "
				  "pool has listen = systemd:%s",
			    MANAGER_FIRST_FD + (int)i, escaped(passed.names[i]),
			    escaped(passed.names[i]));
	return result;
}

int
service_open(const struct config *config,
    const struct config_listener *listener, struct listening *listening)
{
	int count = 0;

	for (unsigned i = 0; i < passed.count; i++) {
		struct listening *l = &listening[count];

		if (!is_meant(config, listener->passed, passed.names[i]))
			continue;
		memset(l, 0, sizeof(*l));
		l->listener = listener;
		l->fd = fcntl(MANAGER_FIRST_FD + (int)i, F_DUPFD_CLOEXEC, 0);
		if (l->fd == -1 || fd_set_nonblocking(l->fd) == -1) {
			log_error("cannot listen on %s", listener->text);
			fd_close(&l->fd);
			while (count > 0)
				fd_close(&listening[--count].fd);
			return -1;
		}
		count++;
	}
	return count;
}
