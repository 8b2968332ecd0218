/*
 * value: from the text of a value to a member of a struct config.
 *
 * Invariant: a member is changed only by a value that is right, or else holds
 * what config_free can free.  Nothing here knows files and lines.
 */
#include "config/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
option_fail(char why[OPTION_WHY_SIZE], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, OPTION_WHY_SIZE, format, ap);
	va_end(ap);
	return -1;
}

/* out_of_range: tell the range as the manual writes it. */
static int
out_of_range(const struct option *o, const char *text, char *why)
{
	char range[64] = "";
	FILE *stream;

	if ((stream = fmemopen(range, sizeof(range), "w")) != NULL) {
		option_print_range(o, stream);
		fclose(stream);
	}
	return option_fail(why, "'%s' is out of range, %s", text, range);
}

/*
 * read_digits: digits in `base` to `value`, which stays at INT64_MAX when
 * they are more.  Returns what follows them, or NULL if there are none.
 */
static const char *
read_digits(const char *text, int base, int64_t *value)
{
	const char *start = text;

	for (*value = 0; *text >= '0' && *text < '0' + base; text++) {
		int digit = *text - '0';

		if (*value > (INT64_MAX - digit) / base)
			*value = INT64_MAX;
		else
			*value = *value * base + digit;
	}
	return text == start ? NULL : text;
}

/* in_range: `number` times `unit`; false on overflow. */
static bool
in_range(const struct option *o, int64_t number, int64_t unit, int64_t *out)
{
	if (number > INT64_MAX / unit)
		return false;
	*out = number * unit;
	return *out >= o->low && *out <= o->high;
}

static int
set_number(const struct option *o, const char *text, void *member, char *why)
{
	int base = o->type == OPTION_MODE ? 8 : 10;
	const char *rest;
	int64_t value;

	rest = read_digits(text, base, &value);
	if (rest == NULL || *rest != '\0')
		return option_fail(why, "'%s' is not %s", text,
		    base == 8 ? "an octal number" : "a number");
	if (!in_range(o, value, 1, &value))
		return out_of_range(o, text, why);
	if (base == 8)
		*(mode_t *)member = (mode_t)value;
	else
		*(unsigned *)member = (unsigned)value;
	return 0;
}

static int
set_size(const struct option *o, const char *text, void *member, char *why)
{
	static const char units[] = "KMG";
	const char *rest, *unit;
	int64_t value, scale = 1;

	rest = read_digits(text, 10, &value);
	if (rest != NULL && *rest != '\0') {
		unit = strchr(units, toupper((unsigned char)*rest));
		if (unit == NULL || rest[1] != '\0')
			rest = NULL;
		else
			scale = INT64_C(1) << (10 * (unit - units + 1));
	}
	if (rest == NULL)
		return option_fail(
		    why, "'%s' is not a size: write 512, 128K, 8M or 2G", text);
	if (!in_range(o, value, scale, &value))
		return out_of_range(o, text, why);
	*(uint64_t *)member = (uint64_t)value;
	return 0;
}

static int
set_time(const struct option *o, const char *text, void *member, char *why)
{
	static const struct {
		const char *name;
		int64_t scale;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	const char *rest;
	int64_t value, scale = 0;

	rest = read_digits(text, 10, &value);
	if (rest != NULL && *rest == '\0' && value != 0)
		return option_fail(why,
		    "'%s' has no unit: write %sms, %ss, %sm or %sh", text, text,
		    text, text, text);
	if (rest != NULL && *rest == '\0')
		scale = 1;
	for (size_t i = 0; rest != NULL && i < 4; i++)
		if (strcmp(rest, units[i].name) == 0)
			scale = units[i].scale;
	if (scale == 0)
		return option_fail(why,
		    "'%s' is not a time: write 250ms, 30s, 5m or 1h", text);
	if (!in_range(o, value, scale, &value))
		return out_of_range(o, text, why);
	*(int64_t *)member = value;
	return 0;
}

/* find_choice: the place of `text` in "a|b|c", or -1. */
static int
find_choice(const char *choices, const char *text)
{
	size_t length = strlen(text), span;

	for (int i = 0;; i++, choices += span + 1) {
		span = strcspn(choices, "|");
		if (span == length && memcmp(choices, text, span) == 0)
			return i;
		if (choices[span] == '\0')
			return -1;
	}
}

static int
set_choice(const struct option *o, const char *text, void *member, char *why)
{
	const char *choices = o->type == OPTION_BOOL ? "no|yes" : o->choices;
	int place = find_choice(choices, text);
	unsigned value = (unsigned)place;

	if (place == -1)
		return option_fail(why, "'%s' is not one of %s", text, choices);
	/* An enum without negative values is as wide as an unsigned. */
	_Static_assert(sizeof(enum config_symlinks) == sizeof(unsigned), "");
	if (o->type == OPTION_BOOL)
		*(bool *)member = place == 1;
	else
		memcpy(member, &value, sizeof(value));
	return 0;
}

static int
set_text(const char *text, void *member, char *why)
{
	char *copy;

	if ((copy = strdup(text)) == NULL)
		return option_fail(why, "out of memory");
	*(char **)member = copy;
	return 0;
}

static int
set_target(const struct option *o, const char *text, void *member, char *why)
{
	if (find_choice(o->choices, text) == -1 && text[0] != '/')
		return option_fail(why,
		    "'%s' is not one of %s and not an absolute path", text,
		    o->choices);
	if (text[strlen(text) - 1] == '/')
		return option_fail(why, "'%s' names a directory", text);
	return set_text(text, member, why);
}

static int
check_absolute(const char *path, char *why)
{
	if (path[0] != '/')
		return option_fail(why, "'%s' is not an absolute path", path);
	return 0;
}

/* Whether a map's path exists depends on its pool: see paths_check. */
static int
set_path(const struct option *o, const char *text, void *member, char *why)
{
	bool directory = o->type == OPTION_DIRECTORY;
	size_t length = strlen(text);

	if (check_absolute(text, why) == -1 ||
	    (o->section != SECTION_MAP &&
		check_path("/", text, directory, why) == -1) ||
	    set_text(text, member, why) == -1)
		return -1;
	/* What is put after it begins with a slash. */
	while (length > 1 && text[length - 1] == '/')
		(*(char **)member)[--length] = '\0';
	return 0;
}

static int
set_application(const char *text, void *member, char *why)
{
	if (python_check_application(text, why) == -1)
		return -1;
	return set_text(text, member, why);
}

static int
set_host(const char *text, void *member, char *why)
{
	if (text[0] == '[' ? strstr(text, "]:") != NULL
			   : strchr(text, ':') != NULL)
		return option_fail(why,
		    "'%s' has a port; a host is compared without one", text);
	if (text[strlen(text) - 1] == '.')
		return option_fail(why,
		    "'%s' ends with a dot; a host is compared without one",
		    text);
	if (strpbrk(text, " \t/,") != NULL)
		return option_fail(why,
		    "'%s' is not one name or glob, as in *.example.org", text);
	return set_text(text, member, why);
}

/* set_url_path: as a request's path is compared: decoded, without a query. */
static int
set_url_path(const char *text, void *member, char *why)
{
	const char *last = strrchr(text, '/');

	if (text[0] != '/')
		return option_fail(why, "'%s' does not begin with '/'", text);
	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr("?#%\"\\", *p) != NULL)
			return option_fail(why,
			    "'%s' is not a plain URL path, as in /-/status",
			    text);
	if (strstr(text, "/./") != NULL || strstr(text, "/../") != NULL ||
	    strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
		return option_fail(why, "'%s' has a dot segment", text);
	return set_text(text, member, why);
}

/*
 * set_words: words that can also be printed again on a line that is not over
 * the limit.
 */
static int
set_words(const struct option *o, const char *text, void *member, char *why)
{
	struct config_list *list = member;

	if (words_parse(list, text, why) == -1)
		return -1;
	if (words_length(list) + strlen(o->name) + 3 > PARSE_LINE_MAX)
		return option_fail(why, "is too long when quoted simply");
	for (size_t i = 0; o->type == OPTION_NAMES && i < list->count; i++)
		if (list->items[i][0] == '\0' ||
		    strchr(list->items[i], '/') != NULL)
			return option_fail(why,
			    "'%s' is not a file name: names are compared "
			    "without their directory",
			    list->items[i]);
	return 0;
}

/* set_user: also whom we cannot become, who is no gateway. */
static int
set_user(const struct option *o, const char *text, void *member, char *why)
{
	struct config_user found = {0};
	bool own = o->type == OPTION_USER || o->type == OPTION_OWNER;

	if ((own ? account_find_user(&found, text, why)
		 : account_find_group(&found, text, why)) == -1)
		return -1;
	if (o->low > 0 && found.uid == 0)
		option_fail(
		    why, "'%s' is root: a gateway holds no privilege", text);
	else if (own && geteuid() != 0 && found.uid != geteuid())
		option_fail(why,
		    o->type == OPTION_USER
			? "scgid was not started as root and cannot become "
			  "'%s'"
			: "scgid was not started as root and cannot give a "
			  "socket to '%s'",
		    text);
	else if (o->type == OPTION_GROUP && geteuid() != 0 &&
	    found.gid != getegid())
		option_fail(why,
		    "scgid was not started as root and cannot change its "
		    "group to '%s'",
		    text);
	else {
		*(struct config_user *)member = found;
		return 0;
	}
	free(found.name);
	return -1;
}

static int
set_chroot(const struct option *o, const char *text, void *member, char *why)
{
	if (geteuid() != 0)
		return option_fail(why,
		    "scgid was not started as root and cannot change its root "
		    "directory");
	return set_path(o, text, member, why);
}

static int
add_peers(const char *text, struct config_pool *pool, char *why)
{
	struct config_list words = {0};
	struct config_peer peer, *bigger;
	int result = words_parse(&words, text, why);

	for (size_t i = 0; result == 0 && i < words.count; i++) {
		result = peer_parse(&peer, words.items[i], why);
		if (result == -1)
			break;
		bigger =
		    array_add(pool->peers, &pool->peer_count, sizeof(peer));
		if (bigger == NULL) {
			free(peer.text);
			result = option_fail(why, "out of memory");
			break;
		}
		pool->peers = bigger;
		bigger[pool->peer_count - 1] = peer;
	}
	list_fini(&words);
	return result;
}

static int
add_listener(const char *text, struct config_pool *pool, char *why)
{
	struct config_listener listener, *bigger;

	if (listener_parse(&listener, text, why) == -1)
		return -1;
	bigger =
	    array_add(pool->listeners, &pool->listener_count, sizeof(listener));
	if (bigger == NULL) {
		free(listener.text);
		return option_fail(why, "out of memory");
	}
	pool->listeners = bigger;
	bigger[pool->listener_count - 1] = listener;
	return 0;
}

static int
add_pair(
    struct config_pairs *pairs, const char *name, const char *value, char *why)
{
	struct cgi_pair pair, *bigger;

	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->items[i].name, name) == 0)
			return option_fail(why, "is given twice");
	pair.name = strdup(name);
	pair.value = strdup(value);
	bigger = NULL;
	if (pair.name != NULL && pair.value != NULL)
		bigger = array_add(pairs->items, &pairs->count, sizeof(pair));
	if (bigger == NULL) {
		free((void *)pair.name);
		free((void *)pair.value);
		return option_fail(why, "out of memory");
	}
	pairs->items = bigger;
	bigger[pairs->count - 1] = pair;
	return 0;
}

static int
add_variable(
    struct config_pairs *pairs, const char *name, const char *value, char *why)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz_0123456789";

	if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9') ||
	    name[strspn(name, allowed)] != '\0')
		return option_fail(why,
		    "'%s' is not the name of a variable, as in env.LANG", name);
	if (cgi_variable_is_computed(name))
		return option_fail(why,
		    "%s comes from the request and cannot be configured", name);
	return add_pair(pairs, name, value, why);
}

static int
add_handler(
    struct config_pairs *pairs, const char *name, const char *value, char *why)
{
	if (name[0] == '\0' || strpbrk(name, "./ \t") != NULL)
		return option_fail(
		    why, "'%s' is not an extension, as in handler.py", name);
	if (check_absolute(value, why) == -1)
		return -1;
	return add_pair(pairs, name, value, why);
}

int
option_set(const struct option *o, const char *key, const char *text,
    void *base, char why[OPTION_WHY_SIZE])
{
	void *member = (char *)base + o->offset;
	const char *name = key + strlen(o->name);

	if (text[0] == '\0' && o->type != OPTION_VARIABLE)
		return option_fail(why, "has no value");
	/* "key =;x" is a value to inih, "key = ;x" is none. */
	if (text[0] == ';')
		return option_fail(why, "a value cannot begin with ';'");

	switch (o->type) {
	case OPTION_NUMBER:
	case OPTION_MODE:
		return set_number(o, text, member, why);
	case OPTION_SIZE:
		return set_size(o, text, member, why);
	case OPTION_TIME:
		return set_time(o, text, member, why);
	case OPTION_BOOL:
	case OPTION_CHOICE:
		return set_choice(o, text, member, why);
	case OPTION_TARGET:
		return set_target(o, text, member, why);
	case OPTION_DIRECTORY:
	case OPTION_FILE:
		if (o->offset == offsetof(struct config_pool, chroot) &&
		    o->section == SECTION_POOL)
			return set_chroot(o, text, member, why);
		return set_path(o, text, member, why);
	case OPTION_HOST:
		return set_host(text, member, why);
	case OPTION_WORDS:
	case OPTION_NAMES:
		return set_words(o, text, member, why);
	case OPTION_USER:
	case OPTION_GROUP:
	case OPTION_OWNER:
	case OPTION_SHARE:
		return set_user(o, text, member, why);
	case OPTION_GROUPS:
		return account_find_groups(member, text, why);
	case OPTION_ALLOW:
		return add_peers(text, base, why);
	case OPTION_LISTEN:
		return add_listener(text, base, why);
	case OPTION_VARIABLE:
		return add_variable(member, name, text, why);
	case OPTION_URL_PATH:
		return set_url_path(text, member, why);
	case OPTION_WSGI:
		return set_application(text, member, why);
	case OPTION_HANDLER:
		return add_handler(member, name, text, why);
	case OPTION_INCLUDE:
		break;
	}
	return 0;
}
