/*
 * check: what can be judged only when all files are read, and what a section
 * takes from another: a map its pool, times and variables.
 *
 * Invariant: after it, if there was no error, the configuration is complete
 * and does not change any more.
 */
#include "config/options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool
same_requests(const struct config_map *a, const struct config_map *b)
{
	if (strcmp(a->prefix, b->prefix) != 0)
		return false;
	if (a->host == NULL || b->host == NULL)
		return a->host == b->host;
	return strcasecmp(a->host, b->host) == 0;
}

/* move_map: into the pool that it names. */
static void
move_map(struct parse *p, struct parse_map *from)
{
	struct config_map *map = &from->map, *bigger;
	struct config_pool *pool = config_find_pool(p->config, from->pool_name);

	if (pool == NULL) {
		parse_error(p, map->file, map->line,
		    "there is no pool [%s] for this map", from->pool_name);
		return;
	}
	for (size_t i = 0; i < pool->map_count; i++) {
		const struct config_map *other = &pool->maps[i];

		if (!same_requests(map, other))
			continue;
		parse_error(p, map->file, map->line,
		    "map [%s %s]%s%s stands twice: first at %s:%u", pool->name,
		    map->prefix, map->host != NULL ? " of host " : "",
		    map->host != NULL ? map->host : "", other->file,
		    other->line);
		break;
	}
	bigger = array_add(pool->maps, &pool->map_count, sizeof(*map));
	if (bigger == NULL) {
		parse_error(p, map->file, map->line, "out of memory");
		return;
	}
	pool->maps = bigger;
	map->pool = pool;
	bigger[pool->map_count - 1] = *map;
	memset(map, 0, sizeof(*map));
}

/* host_rank: names before globs before any. */
static int
host_rank(const struct config_map *map)
{
	if (map->host == NULL)
		return 2;
	/* A '[' begins an IPv6 address. */
	return strpbrk(map->host, "*?") != NULL;
}

/* A total order, since no two maps of a pool take the same requests. */
static int
compare_maps(const void *left, const void *right)
{
	const struct config_map *a = left, *b = right;
	size_t a_length = strlen(a->prefix), b_length = strlen(b->prefix);
	int order;

	if (a_length != b_length)
		return a_length > b_length ? -1 : 1;
	if ((order = strcmp(a->prefix, b->prefix)) != 0)
		return order;
	if ((order = host_rank(a) - host_rank(b)) != 0 || a->host == NULL)
		return order;
	a_length = strlen(a->host);
	b_length = strlen(b->host);
	if (a_length != b_length)
		return a_length > b_length ? -1 : 1;
	return strcasecmp(a->host, b->host);
}

static void
inherit_time(int64_t *time, int64_t pools)
{
	if (*time == -1)
		*time = pools;
}

static void
inherit_timeouts(
    struct config_timeouts *map, const struct config_timeouts *pool)
{
	inherit_time(&map->queue, pool->queue);
	inherit_time(&map->body, pool->body);
	inherit_time(&map->idle, pool->idle);
	inherit_time(&map->script, pool->script);
	inherit_time(&map->background_grace, pool->background_grace);
	inherit_time(&map->kill_grace, pool->kill_grace);
}

static const char *
find_value(const struct config_pairs *pairs, const char *name)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->items[i].name, name) == 0)
			return pairs->items[i].value;
	return NULL;
}

/* add_copy: `items` has room.  0, or -1 (ENOMEM). */
static int
add_copy(struct config_pairs *pairs, const char *name, const char *value)
{
	struct cgi_pair *pair = &pairs->items[pairs->count++];

	pair->name = strdup(name);
	pair->value = strdup(value);
	return pair->name != NULL && pair->value != NULL ? 0 : -1;
}

/*
 * inherit_environment: the pool's variables in their order, with the map's
 * values, then those that only the map has.  Merging again changes nothing.
 */
static int
inherit_environment(struct config_pairs *map, const struct config_pairs *pool)
{
	struct config_pairs merged = {0};
	const char *own;
	int result = 0;

	if (pool->count == 0)
		return 0;
	merged.items = calloc(pool->count + map->count, sizeof(*merged.items));
	if (merged.items == NULL)
		return -1;
	for (size_t i = 0; i < pool->count; i++) {
		own = find_value(map, pool->items[i].name);
		result |= add_copy(&merged, pool->items[i].name,
		    own != NULL ? own : pool->items[i].value);
	}
	for (size_t i = 0; i < map->count; i++)
		if (find_value(pool, map->items[i].name) == NULL)
			result |= add_copy(
			    &merged, map->items[i].name, map->items[i].value);
	pairs_fini(map);
	*map = merged;
	return result;
}

/* complete_pool: numbers that depend on the machine, and the maps. */
static void
complete_pool(struct parse *p, struct config_pool *pool)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		cores = 1;
	if (pool->launchers == 0)
		pool->launchers = cores < 4 ? (unsigned)cores : 4;
	if (pool->workers == 0)
		pool->workers = cores < 4096 ? (unsigned)cores * 16 : 65536;
	for (size_t i = 0; i < pool->map_count; i++) {
		struct config_map *map = &pool->maps[i];

		inherit_timeouts(&map->timeouts, &pool->timeouts);
		if (inherit_environment(
			&map->environment, &pool->environment) == -1)
			parse_error(p, map->file, map->line, "out of memory");
	}
	qsort(pool->maps, pool->map_count, sizeof(*pool->maps), compare_maps);
}

void
check_whole(struct parse *p, const char *file)
{
	struct config *config = p->config;

	if (p->scgid_line == 0) {
		p->file = file;
		p->line = 1;
		section_begin(p, "scgid", 5);
		section_end(p);
	}
	if (config->pool_count == 0 && p->error_count == 0)
		parse_error(
		    p, file, 0, "no pool is configured: add a section [NAME]");
	/* Where memory ran out even names may be missing. */
	for (size_t i = 0; i < p->map_count; i++)
		if (p->maps[i].pool_name == NULL ||
		    p->maps[i].map.prefix == NULL)
			return;
	paths_check(p);
	for (size_t i = 0; i < p->map_count; i++)
		move_map(p, &p->maps[i]);
	for (size_t i = 0; i < config->pool_count; i++) {
		struct config_pool *pool = &config->pools[i];

		if (pool->map_count == 0)
			parse_error(p, pool->file, pool->line,
			    "pool '%s' has no map: add a section "
			    "[%s /prefix]",
			    pool->name, pool->name);
	}
	for (size_t i = 0; p->error_count == 0 && i < config->pool_count; i++)
		complete_pool(p, &config->pools[i]);
}
