/*
 * warning: what is allowed and yet no good idea.
 */
#include "config/config.h"

#include <unistd.h>

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

void
config_warn(const struct config *config, struct buffer *warnings)
{
	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < config->pool_count; i++)
		if (config->user.name != NULL &&
		    config->pools[i].user.name != NULL)
			warn_users(config, i, warnings);
}
