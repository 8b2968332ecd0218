/*
 * print: from a struct config back to text.
 *
 * Invariant: the text, read again, gives the same configuration.  It holds
 * effective values, so nothing in it depends on a default, on the number of
 * cores or on another file.
 */
#include "config/options.h"

#include <inttypes.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t scale;
};

/* Largest first; the last one fits every number. */
static const struct unit size_units[] = {
    {"G", INT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};
static const struct unit time_units[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

static void
print_scaled(int64_t value, const struct unit *unit, FILE *out)
{
	if (value == 0) {
		putc('0', out);
		return;
	}
	while (value % unit->scale != 0)
		unit++;
	fprintf(out, "%" PRId64 "%s", value / unit->scale, unit->name);
}

static void
print_choice(const char *choices, unsigned place, FILE *out)
{
	for (; place > 0; place--)
		choices += strcspn(choices, "|") + 1;
	fprintf(out, "%.*s", (int)strcspn(choices, "|"), choices);
}

/* is_given: whether there is a line to print for the member at all. */
static bool
is_given(const struct option *o, const void *member)
{
	switch (o->type) {
	case OPTION_TARGET:
	case OPTION_DIRECTORY:
	case OPTION_FILE:
	case OPTION_HOST:
	case OPTION_URL_PATH:
	case OPTION_WSGI:
		return *(char *const *)member != NULL;
	case OPTION_USER:
	case OPTION_GROUP:
	case OPTION_OWNER:
	case OPTION_SHARE:
		return ((const struct config_user *)member)->name != NULL;
	case OPTION_WORDS:
	case OPTION_NAMES:
		return ((const struct config_list *)member)->count > 0;
	case OPTION_GROUPS:
		return ((const struct config_groups *)member)->names.count > 0;
	case OPTION_INCLUDE:
		return false;
	default:
		return true;
	}
}

static void
print_value(const struct option *o, const void *member, FILE *out)
{
	unsigned place;

	switch (o->type) {
	case OPTION_BOOL:
		fputs(*(const bool *)member ? "yes" : "no", out);
		break;
	case OPTION_NUMBER:
		fprintf(out, "%u", *(const unsigned *)member);
		break;
	case OPTION_MODE:
		fprintf(out, "%04o", (unsigned)*(const mode_t *)member);
		break;
	case OPTION_SIZE:
		print_scaled(
		    (int64_t) * (const uint64_t *)member, size_units, out);
		break;
	case OPTION_TIME:
		print_scaled(*(const int64_t *)member, time_units, out);
		break;
	case OPTION_CHOICE:
		memcpy(&place, member, sizeof(place));
		print_choice(o->choices, place, out);
		break;
	case OPTION_WORDS:
	case OPTION_NAMES:
		words_print(member, out);
		break;
	case OPTION_GROUPS:
		words_print(
		    &((const struct config_groups *)member)->names, out);
		break;
	case OPTION_USER:
	case OPTION_GROUP:
	case OPTION_OWNER:
	case OPTION_SHARE:
		fputs(((const struct config_user *)member)->name, out);
		break;
	default:
		fputs(*(char *const *)member, out);
	}
}

void
option_print(const struct option *o, const void *base, FILE *out)
{
	const void *member = (const char *)base + o->offset;
	const struct config_pairs *pairs = member;
	const struct config_pool *pool = base;

	switch (o->type) {
	case OPTION_LISTEN:
		for (size_t i = 0; i < pool->listener_count; i++)
			fprintf(
			    out, "%s = %s\n", o->name, pool->listeners[i].text);
		break;
	case OPTION_ALLOW:
		for (size_t i = 0; i < pool->peer_count; i++)
			fprintf(out, "%s = %s\n", o->name, pool->peers[i].text);
		break;
	case OPTION_VARIABLE:
	case OPTION_HANDLER:
		for (size_t i = 0; i < pairs->count; i++)
			fprintf(out, "%s%s = %s\n", o->name,
			    pairs->items[i].name, pairs->items[i].value);
		break;
	default:
		if (!is_given(o, member))
			break;
		fprintf(out, "%s = ", o->name);
		print_value(o, member, out);
		putc('\n', out);
	}
}

void
option_print_range(const struct option *o, FILE *out)
{
	const struct unit *units =
	    o->type == OPTION_TIME ? time_units : size_units;

	switch (o->type) {
	case OPTION_NUMBER:
		fprintf(out, "%" PRId64 "-%" PRId64, o->low, o->high);
		break;
	case OPTION_MODE:
		fprintf(out, "%04o-%04o", (unsigned)o->low, (unsigned)o->high);
		break;
	case OPTION_SIZE:
	case OPTION_TIME:
		print_scaled(o->low, units, out);
		putc('-', out);
		if (o->high < INT64_MAX)
			print_scaled(o->high, units, out);
		break;
	default:
		fputs(o->choices != NULL ? o->choices : "-", out);
	}
}

static void
print_section(enum option_section section, const void *base, FILE *out)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].section == section)
			option_print(&option_table[i], base, out);
}

int
config_print(const struct config *config, FILE *out)
{
	fputs("[scgid]\n", out);
	print_section(SECTION_SCGID, config, out);
	for (size_t i = 0; i < config->pool_count; i++) {
		const struct config_pool *pool = &config->pools[i];

		fprintf(out, "\n[%s]\n", pool->name);
		print_section(SECTION_POOL, pool, out);
		for (size_t j = 0; j < pool->map_count; j++) {
			fprintf(out, "\n[%s %s]\n", pool->name,
			    pool->maps[j].prefix);
			print_section(SECTION_MAP, &pool->maps[j], out);
		}
	}
	return fflush(out) == EOF || ferror(out) ? -1 : 0;
}
