/*
 * section: the keys of one section, from its first line to the next section.
 *
 * Invariant: when a section has ended without an error, each of its members
 * has its value or its default; only the times of a map may still be -1.
 */
#include "config/options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* section_base: the struct that the keys of this section go to. */
static void *
section_base(struct parse *p)
{
	switch (p->section) {
	case SECTION_SCGID:
		return p->config;
	case SECTION_POOL:
		return &p->config->pools[p->config->pool_count - 1];
	case SECTION_MAP:
		return &p->maps[p->map_count - 1].map;
	case SECTION_NONE:
		break;
	}
	return NULL;
}

/* given_line: where the section gives a key, even a wrong one; 0: nowhere. */
static unsigned
given_line(struct parse *p, const char *key)
{
	return p->seen[option_find(p->section, key) - option_table];
}

/* check_pool_name: it stands in logs and titles, and names no file. */
static int
check_pool_name(struct parse *p, const char *name, size_t length)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789_-.";

	for (size_t i = 0; i < length; i++)
		if (strchr(allowed, name[i]) == NULL || name[0] == '.' ||
		    name[0] == '-')
			length = 0;
	if (length > 0)
		return 0;
	parse_error(p, p->file, p->line,
	    "a section is [scgid], a pool [NAME] or a map [NAME /prefix]; a "
	    "NAME has letters, digits, '_', '-' and '.'");
	return -1;
}

/* check_prefix: it is compared with decoded paths without dot segments. */
static int
check_prefix(struct parse *p, const char *prefix)
{
	const char *wrong = NULL;
	size_t length;

	if (prefix[0] != '/')
		wrong = "does not begin with '/'";
	else if (strpbrk(prefix, " \t?#%\\") != NULL)
		wrong = "has a blank or one of ? # % \\";
	for (const char *s = prefix; wrong == NULL && *s != '\0'; s += length) {
		length = strcspn(++s, "/");
		if (length == 0 && *s == '/')
			wrong = "has an empty segment";
		else if ((length == 1 && s[0] == '.') ||
		    (length == 2 && s[0] == '.' && s[1] == '.'))
			wrong = "has a dot segment";
	}
	if (wrong == NULL)
		return 0;
	parse_error(p, p->file, p->line, "the prefix '%s' %s", prefix, wrong);
	return -1;
}

static void
begin_scgid(struct parse *p)
{
	struct config *config = p->config;

	if (p->scgid_line == 0) {
		p->scgid_line = p->line;
		return;
	}
	parse_error(p, p->file, p->line,
	    "[scgid] stands twice: first in line %u of the main file",
	    p->scgid_line);
	/* The second is read for its errors, in the place of the first. */
	free(config->user.name);
	free(config->log);
	memset(&config->user, 0, sizeof(config->user));
	config->log = NULL;
}

static int
begin_pool(struct parse *p, const char *name, size_t length)
{
	struct config *config = p->config;
	struct config_pool *pool, *bigger;
	const struct config_pool *first;

	bigger = array_add(config->pools, &config->pool_count, sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	config->pools = bigger;
	pool = &bigger[config->pool_count - 1];
	pool->file = strdup(p->file);
	pool->name = strndup(name, length);
	pool->line = p->line;
	if (pool->file == NULL || pool->name == NULL)
		return -1;
	/* Of two with one name the search finds the first. */
	if ((first = config_find_pool(config, pool->name)) != pool)
		parse_error(p, p->file, p->line,
		    "pool '%s' stands twice: first at %s:%u", pool->name,
		    first->file, first->line);
	return 0;
}

static int
begin_map(struct parse *p, const char *name, size_t length, const char *prefix)
{
	struct parse_map *added, *bigger;
	struct config_map *map;
	size_t end = strlen(prefix);

	bigger = array_add(p->maps, &p->map_count, sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	p->maps = bigger;
	added = &bigger[p->map_count - 1];
	map = &added->map;
	while (end > 1 && prefix[end - 1] == '/')
		end--;
	added->pool_name = strndup(name, length);
	map->prefix = strndup(prefix, end);
	map->file = strdup(p->file);
	map->line = p->line;
	map->timeouts = (struct config_timeouts){-1, -1, -1, -1, -1, -1};
	if (added->pool_name == NULL || map->prefix == NULL ||
	    map->file == NULL)
		return -1;
	return 0;
}

/* begin_named: the section whose name is in section_name; its kind. */
static enum option_section
begin_named(struct parse *p)
{
	const char *text = p->section_name + strspn(p->section_name, " \t");
	size_t length = strcspn(text, " \t");
	const char *prefix = text + length + strspn(text + length, " \t");
	bool is_scgid = length == 5 && memcmp(text, "scgid", 5) == 0;
	enum option_section section;
	int result;

	if (check_pool_name(p, text, length) == -1)
		return SECTION_NONE;
	if (*prefix == '\0' && is_scgid) {
		section = SECTION_SCGID;
		begin_scgid(p);
		result = 0;
	} else if (*prefix == '\0') {
		section = SECTION_POOL;
		result = begin_pool(p, text, length);
	} else if (is_scgid) {
		parse_error(p, p->file, p->line,
		    "'scgid' is the global section, not a pool, and has no "
		    "maps");
		return SECTION_NONE;
	} else {
		if (check_prefix(p, prefix) == -1)
			return SECTION_NONE;
		section = SECTION_MAP;
		result = begin_map(p, text, length, prefix);
	}
	if (result == 0)
		return section;
	parse_error(p, p->file, p->line, "out of memory");
	return SECTION_NONE;
}

void
section_begin(struct parse *p, const char *text, size_t length)
{
	section_end(p);
	p->before_sections = false;
	p->section_line = p->line;
	memset(p->seen, 0, sizeof(p->seen));
	memset(p->wrong, 0, sizeof(p->wrong));
	if (text == NULL)
		return;
	memcpy(p->section_name, text, length);
	p->section_name[length] = '\0';
	p->section = begin_named(p);
}

/* last_listener: the one that was read last. */
static struct config_listener *
last_listener(struct parse *p)
{
	struct config_pool *pool = section_base(p);

	return &pool->listeners[pool->listener_count - 1];
}

/* is_listened: whether a pool has the address that was read last. */
static bool
is_listened(struct parse *p, const struct config_pool **by)
{
	const struct config *config = p->config;
	const struct config_pool *last = &config->pools[config->pool_count - 1];
	const struct config_listener *added = last_listener(p);

	for (*by = config->pools; *by <= last; (*by)++)
		for (size_t i = 0; i < (*by)->listener_count; i++) {
			const struct config_listener *l = &(*by)->listeners[i];

			if (l != added &&
			    memcmp(&l->address, &added->address,
				sizeof(l->address)) == 0 &&
			    (l->passed == NULL ||
				strcmp(l->passed, added->passed) == 0))
				return true;
		}
	return false;
}

void
section_set(struct parse *p, const char *key, const char *value)
{
	const struct config_pool *other;
	const struct option *o;
	char why[OPTION_WHY_SIZE];
	unsigned *seen;
	int result;

	if (p->before_sections)
		parse_error(p, p->file, p->line,
		    "'%s' stands before the first [section]", key);
	if (p->section == SECTION_NONE)
		return;
	if ((o = option_find(p->section, key)) == NULL) {
		option_explain_unknown(p->section, key, why);
		parse_error(p, p->file, p->line, "%s", why);
		return;
	}
	seen = &p->seen[o - option_table];
	if (*seen != 0 && o->type != OPTION_LISTEN && o->type != OPTION_ALLOW &&
	    o->type != OPTION_INCLUDE && o->type != OPTION_VARIABLE &&
	    o->type != OPTION_HANDLER) {
		parse_error(p, p->file, p->line,
		    "%s is given twice: first in line %u", key, *seen);
		return;
	}
	*seen = p->line;
	result = option_set(o, key, value, section_base(p), why);
	if (result == 0 && o->type == OPTION_INCLUDE)
		result = include_add(p, value, why);
	else if (result == 0 && p->section == SECTION_MAP &&
	    (o->type == OPTION_DIRECTORY || o->type == OPTION_FILE ||
		o->type == OPTION_HANDLER || o->type == OPTION_WSGI) &&
	    paths_remember(p, o, key, value) == -1)
		result = option_fail(why, "out of memory");
	if (result == 0 && o->type == OPTION_LISTEN)
		last_listener(p)->line = p->line;
	p->wrong[o - option_table] = result == -1;
	if (result == -1)
		parse_error(p, p->file, p->line, "%s: %s", key, why);
	else if (o->type == OPTION_LISTEN && is_listened(p, &other))
		parse_error(p, p->file, p->line,
		    "listen: pool '%s' listens on %s already", other->name,
		    value);
}

/* set_defaults: for each key that the section does not give. */
static void
set_defaults(struct parse *p)
{
	char why[OPTION_WHY_SIZE];

	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];

		if (o->section != p->section || o->standard == NULL ||
		    p->seen[i] != 0)
			continue;
		/* Only root can become the default user. */
		if (o->type == OPTION_USER && geteuid() != 0)
			continue;
		if (option_set(o, o->name, o->standard, section_base(p), why) ==
		    -1)
			parse_error(p, p->file, p->section_line,
			    "%s, which is %s if not given: %s", o->name,
			    o->standard, why);
	}
}

/* set_own_user: a user that is not given is whoever we are. */
static void
set_own_user(struct config_user *user)
{
	if (user->name == NULL)
		account_find_own(user);
}

static bool
has_peers(const struct config_pool *pool, bool users)
{
	for (size_t i = 0; i < pool->peer_count; i++)
		if ((pool->peers[i].family == AF_UNIX) == users)
			return true;
	return false;
}

/*
 * check_peers: whoever can connect has the pool's scripts run, so a port that
 * strangers reach needs to know whom to let in.
 */
static void
check_peers(struct parse *p, const struct config_pool *pool)
{
	bool addresses = has_peers(pool, false), users = has_peers(pool, true);

	for (size_t i = 0; i < pool->listener_count; i++) {
		const struct config_listener *l = &pool->listeners[i];

		if (l->address.ss_family == AF_UNIX || addresses ||
		    l->passed != NULL)
			continue; /* what is passed is judged when it is here */
		if (!listener_is_local(l))
			parse_error(p, p->file, l->line,
			    "listen: %s is not a loopback address: whoever "
			    "connects could run the scripts; add the front "
			    "end's address or network, as in "
			    "\"allow = 192.0.2.7\" or "
			    "\"allow = 10.0.0.0/8 2001:db8::/32\"",
			    l->text);
		else if (users)
			parse_error(p, p->file, l->line,
			    "listen: allow names users only, and who is "
			    "behind a port cannot be told: add "
			    "\"allow = 127.0.0.1 ::1\", or do without %s",
			    l->text);
	}
}

/* A launcher must be able to open what it needs for one start. */
#define FILES_MIN 16

static void
end_pool(struct parse *p, struct config_pool *pool)
{
	if (given_line(p, "listen") == 0)
		parse_error(p, p->file, p->section_line,
		    "pool '%s' has no listen: nothing could reach it",
		    pool->name);
	check_peers(p, pool);
	if (pool->limits.files > 0 && pool->limits.files < FILES_MIN)
		parse_error(p, p->file, given_line(p, "limit_files"),
		    "limit_files: %u is too few, a launcher needs %d",
		    pool->limits.files, FILES_MIN);
	if (given_line(p, "user") == 0 && geteuid() == 0)
		parse_error(p, p->file, p->section_line,
		    "pool '%s' has no user; scgid was started as root, and "
		    "scripts do not run as root unless that is written down",
		    pool->name);
	set_own_user(&pool->user);
	if (pool->group.name == NULL)
		pool->group.gid = pool->user.gid;
}

/* check_preload: "auto" or "no" or names; "-NAME" goes with what is learned. */
static void
check_preload(struct parse *p, const struct config_map *map)
{
	const struct config_list *list = &map->preload;
	unsigned line = given_line(p, "preload");

	if (line != 0 && map->start != START_PYTHON &&
	    (list->count != 1 || strcmp(list->items[0], "auto") != 0))
		parse_error(
		    p, p->file, line, "preload goes with start = python");
	for (size_t i = 0; i < list->count; i++) {
		const char *name = list->items[i];

		if (strcmp(name, "no") == 0 && list->count > 1)
			parse_error(
			    p, p->file, line, "preload: 'no' stands alone");
		name += *name == '-';
		if (!python_is_name(name))
			parse_error(p, p->file, line,
			    "preload: '%s' is not the name of a module",
			    list->items[i]);
	}
}

/* check_start: what is said of fork servers, where there are none. */
static void
check_start(struct parse *p, const struct config_map *map)
{
	bool is_exec = map->start == START_EXEC;

	/* What was meant is not known. */
	if (p->wrong[option_find(SECTION_MAP, "start") - option_table])
		return;
	check_preload(p, map);
	if (map->start == START_PERL && map->wsgi != NULL)
		parse_error(p, p->file, given_line(p, "start"),
		    "start = perl does not go with wsgi, which is Python");
	if (is_exec && map->spare > 0)
		parse_error(p, p->file, given_line(p, "spare"),
		    "spare goes with a fork server; this map has start = exec");
	if (is_exec && map->prestart)
		parse_error(p, p->file, given_line(p, "prestart"),
		    "prestart goes with a fork server; this map has start = "
		    "exec");
	else if (map->prestart && map->root != NULL)
		parse_error(p, p->file, given_line(p, "prestart"),
		    "prestart goes with one script; this map has a root");
}

/* last_of: the line of the one that was given later. */
static unsigned
last_of(struct parse *p, const char *one, const char *other)
{
	unsigned a = given_line(p, one), b = given_line(p, other);

	return a > b ? a : b;
}

static void
end_map(struct parse *p, const struct config_map *map)
{
	static const char *const kinds[] = {"root", "script", "wsgi"};
	static const char *const of_root[] = {
	    "index", "allow_names", "trust_script_filename"};
	const char *kind = NULL;
	unsigned line;

	check_start(p, map);
	for (size_t i = 0; i < 3; i++) {
		if (given_line(p, kinds[i]) == 0)
			continue;
		if (kind != NULL)
			parse_error(p, p->file, last_of(p, kind, kinds[i]),
			    "map [%s] has both %s and %s", p->section_name,
			    kind, kinds[i]);
		kind = kinds[i];
	}
	if (kind == NULL)
		parse_error(p, p->file, p->section_line,
		    "map [%s] has none of root, script and wsgi",
		    p->section_name);
	if (kind == NULL || given_line(p, "root") != 0)
		return;
	/* "trust_script_filename = no" is true of a script, too. */
	for (size_t i = 0; i < (map->trust_script_filename ? 3 : 2); i++)
		if ((line = given_line(p, of_root[i])) != 0)
			parse_error(p, p->file, line,
			    "%s goes with root; this map has a %s", of_root[i],
			    strcmp(kind, "wsgi") == 0 ? "Python application"
						      : "script");
}

void
section_end(struct parse *p)
{
	if (p->section != SECTION_NONE)
		set_defaults(p);
	if (p->section == SECTION_POOL)
		end_pool(p, section_base(p));
	else if (p->section == SECTION_MAP)
		end_map(p, section_base(p));
	else if (p->section == SECTION_SCGID)
		set_own_user(&p->config->user);
	p->section = SECTION_NONE;
}
