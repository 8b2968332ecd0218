/*
 * warning: what is allowed and yet no good idea.
 */
#include "config/config.h"

#include <sys/socket.h>

#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * Users keep tenants apart: processes of one user may signal each other, and
 * read each other's files.  Not as root there is one user for all anyway.
 */
static void
warn_users(const struct config *config, size_t place, struct buffer *warnings)
{
	const struct config_pool *pool = &config->pools[place];

	if (pool->user.uid == config->user.uid)
		buffer_printf(warnings,
		    "%s:%u: pool '%s' runs its scripts as %s, who is the "
		    "gateways' user too: a script can harm every gateway\n",
		    pool->file, pool->line, pool->name, pool->user.name);
	if (pool->user.uid == 0)
		buffer_printf(warnings,
		    "%s:%u: pool '%s' runs its scripts as root\n", pool->file,
		    pool->line, pool->name);
	for (size_t i = 0; i < place; i++) {
		const struct config_pool *other = &config->pools[i];

		if (other->user.uid != pool->user.uid)
			continue;
		buffer_printf(warnings,
		    "%s:%u: pools '%s' and '%s' have one user, %s: nothing "
		    "keeps their scripts apart\n",
		    pool->file, pool->line, other->name, pool->name,
		    pool->user.name);
		break;
	}
}

/* Where a Unix socket cannot be reset, a crash looks like success. */
static void
warn_endings(const struct config_pool *pool, struct buffer *warnings)
{
	for (size_t i = 0; i < pool->listener_count; i++) {
		const struct config_listener *l = &pool->listeners[i];

		if (l->address.ss_family != AF_UNIX)
			continue;
		buffer_printf(warnings,
		    "%s:%u: pool '%s' listens on %s: on this system a response "
		    "that breaks off looks whole to who is connected to a Unix "
		    "socket; a port of the loopback interface does better\n",
		    pool->file, l->line, pool->name, l->text);
	}
}

/*
 * A Python may have any name, or be in a script that prepares for it; what is
 * called perl is none.
 */
static void
warn_python(const struct config_map *map, struct buffer *warnings)
{
	for (size_t i = 0; map->wsgi != NULL && i < map->handlers.count; i++) {
		const struct cgi_pair *handler = &map->handlers.items[i];

		if (strcmp(handler->name, "py") != 0 ||
		    strstr(strrchr(handler->value, '/'), "py") != NULL)
			continue;
		buffer_printf(warnings,
		    "%s:%u: map [%s %s]: its wsgi application is run by "
		    "handler.py, and %s is hardly a Python\n",
		    map->file, map->line, map->pool->name, map->prefix,
		    handler->value);
	}
}

void
config_warn(const struct config *config, struct buffer *warnings)
{
	for (size_t i = 0; i < config->pool_count && !fd_unix_has_reset(); i++)
		warn_endings(&config->pools[i], warnings);
	for (size_t i = 0; i < config->pool_count; i++)
		for (size_t k = 0; k < config->pools[i].map_count; k++)
			warn_python(&config->pools[i].maps[k], warnings);
	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < config->pool_count; i++)
		if (config->user.name != NULL &&
		    config->pools[i].user.name != NULL)
			warn_users(config, i, warnings);
}
