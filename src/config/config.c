/*
 * config: the end of a configuration, and the questions a running daemon asks
 * it.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "cgi/route.h"
#include "config/options.h"

void
pairs_fini(struct config_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free((void *)pairs->items[i].name);
		free((void *)pairs->items[i].value);
	}
	free(pairs->items);
	memset(pairs, 0, sizeof(*pairs));
}

void
config_map_fini(struct config_map *map)
{
	free(map->file);
	free(map->prefix);
	free(map->host);
	free(map->root);
	free(map->script);
	free(map->wsgi);
	list_fini(&map->args);
	list_fini(&map->index);
	list_fini(&map->allow_names);
	list_fini(&map->preload);
	pairs_fini(&map->handlers);
	pairs_fini(&map->environment);
}

static void
pool_fini(struct config_pool *pool)
{
	for (size_t i = 0; i < pool->listener_count; i++)
		free(pool->listeners[i].text);
	free(pool->listeners);
	for (size_t i = 0; i < pool->peer_count; i++)
		free(pool->peers[i].text);
	free(pool->peers);
	for (size_t i = 0; i < pool->map_count; i++)
		config_map_fini(&pool->maps[i]);
	free(pool->maps);
	free(pool->file);
	free(pool->name);
	free(pool->listen_owner.name);
	free(pool->listen_group.name);
	free(pool->user.name);
	free(pool->group.name);
	list_fini(&pool->groups.names);
	free(pool->groups.ids);
	free(pool->chroot);
	free(pool->spool_dir);
	free(pool->access_log);
	free(pool->status);
	pairs_fini(&pool->environment);
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->pool_count; i++)
		pool_fini(&config->pools[i]);
	free(config->pools);
	free(config->user.name);
	free(config->log);
	free(config);
}

struct config_pool *
config_find_pool(struct config *config, const char *name)
{
	for (size_t i = 0; i < config->pool_count; i++) {
		struct config_pool *pool = &config->pools[i];

		if (pool->name != NULL && strcmp(pool->name, name) == 0)
			return pool;
	}
	return NULL;
}

/* The maps are sorted so that the first that fits is the right one. */
const struct config_map *
config_find_map(
    const struct config_pool *pool, const char *path, const char *host)
{
	for (size_t i = 0; i < pool->map_count; i++) {
		const struct config_map *map = &pool->maps[i];

		if (!cgi_prefix_matches(map->prefix, path))
			continue;
		if (map->host == NULL ||
		    (host != NULL && cgi_host_matches(map->host, host)))
			return map;
	}
	return NULL;
}
