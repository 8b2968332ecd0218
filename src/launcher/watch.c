/*
 * watch.c: by path, as what a deploy changes may be any directory above.  A
 * file that is written or replaced has another change time, which nobody can
 * set.
 */
#include "launcher/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/support.h"

/* The kernel's clock for files lags behind by up to a tick. */
#define TICK_NS 10000000

/* How often the files of the system are looked at; microseconds. */
#define SYSTEM_INTERVAL 1000000

static bool
is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
				      : a->tv_nsec < b->tv_nsec;
}

struct watch_stamp
watch_stamp(const struct stat *st)
{
	return (struct watch_stamp){.device = st->st_dev,
	    .inode = st->st_ino,
	    .size = st->st_size,
	    .changed = st->st_ctim};
}

bool
watch_stamp_equals(const struct watch_stamp *a, const struct watch_stamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
	    a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	    a->changed.tv_nsec == b->changed.tv_nsec;
}

bool
watch_stamp_is_safe(
    const struct watch_stamp *stamp, const struct timespec *since)
{
	struct timespec safe = *since, now;

	if ((safe.tv_nsec -= TICK_NS) < 0) {
		safe.tv_nsec += 1000000000;
		safe.tv_sec--;
	}
	if (is_before(&stamp->changed, &safe))
		return true;
	/* A time still to come says only that the clock was set back. */
	clock_gettime(CLOCK_REALTIME, &now);
	return is_before(&now, &stamp->changed);
}

static struct watch_stamp
look(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? watch_stamp(&st)
				    : (struct watch_stamp){0};
}

/*
 * Whether a directory or a link on the way to `path` was put in place since
 * then, and may have led elsewhere before.  A new name in a directory changes
 * what was written to it, too; a new name of it does not.
 */
static bool
way_is_new(const char *path, const struct timespec *since)
{
	char *way = strdup(path);
	bool is_new = way == NULL;

	for (char *at = way; !is_new && (at = strchr(at + 1, '/')) != NULL;) {
		struct watch_stamp stamp;
		struct stat st;

		*at = '\0';
		if (lstat(way, &st) == 0) {
			stamp = watch_stamp(&st);
			is_new = !watch_stamp_is_safe(&stamp, since) &&
			    (!S_ISDIR(st.st_mode) ||
				is_before(&st.st_mtim, &st.st_ctim));
		}
		*at = '/';
	}
	free(way);
	return is_new;
}

static bool
begins_with(const char *path, const char *start)
{
	return strncmp(path, start, strlen(start)) == 0;
}

static bool
is_of_system(const char *path)
{
	return begins_with(path, "/lib") ||
	    begins_with(path, "/usr/share/perl") ||
	    begins_with(path, support_directory()) ||
	    (begins_with(path, "/usr/lib") &&
		!begins_with(path, "/usr/lib/cgi-bin/"));
}

int
watch_add(
    struct watch_list *list, const char *path, const struct timespec *since)
{
	struct watch *bigger, *w;

	bigger = realloc(list->items, (list->count + 1) * sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	list->items = bigger;
	w = memset(&bigger[list->count], 0, sizeof(*w));
	if ((w->path = strdup(path)) == NULL)
		return -1;
	list->count++;
	w->stamp = look(path);
	w->is_system = is_of_system(path);
	/* Changed since then: it may have been read before or after. */
	if (!watch_stamp_is_safe(&w->stamp, since) ||
	    (!w->is_system && way_is_new(path, since)))
		w->stamp.size = -1;
	return 0;
}

bool
watch_has(const struct watch_list *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].path, path) == 0)
			return true;
	return false;
}

const char *
watch_find_changed(struct watch_list *list)
{
	int64_t now = clock_now();
	bool with_system = now - list->system_at >= SYSTEM_INTERVAL;

	for (size_t i = 0; i < list->count; i++) {
		const struct watch *w = &list->items[i];
		struct watch_stamp stamp;

		if (w->is_system && !with_system)
			continue;
		stamp = look(w->path);
		if (!watch_stamp_equals(&stamp, &w->stamp))
			return w->path;
	}
	if (with_system)
		list->system_at = now;
	return NULL;
}

void
watch_fini(struct watch_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].path);
	free(list->items);
	memset(list, 0, sizeof(*list));
}
