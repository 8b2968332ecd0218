/*
 * watch.c: by path, as what a deploy changes may be any directory above.  A
 * file that is written or replaced has another change time, which nobody can
 * set.
 */
#include "launcher/watch.h"

#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>

/* The kernel's clock for files lags behind by up to a tick. */
#define TICK_NS 10000000

static void
look(struct watch *w)
{
	struct stat st;

	if (stat(w->path, &st) == -1)
		return;
	w->device = st.st_dev;
	w->inode = st.st_ino;
	w->size = st.st_size;
	w->changed = st.st_ctim;
}

static bool
is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
				      : a->tv_nsec < b->tv_nsec;
}

int
watch_add(
    struct watch_list *list, const char *path, const struct timespec *since)
{
	struct watch *bigger, *w;
	struct timespec safe = *since, now;

	bigger = realloc(list->items, (list->count + 1) * sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	list->items = bigger;
	w = memset(&bigger[list->count], 0, sizeof(*w));
	if ((w->path = strdup(path)) == NULL)
		return -1;
	list->count++;
	look(w);
	if ((safe.tv_nsec -= TICK_NS) < 0) {
		safe.tv_nsec += 1000000000;
		safe.tv_sec--;
	}
	/*
	 * Changed since then: it may have been read before or after.  A time
	 * that is still to come says only that the clock was set back.
	 */
	clock_gettime(CLOCK_REALTIME, &now);
	if (!is_before(&w->changed, &safe) && !is_before(&now, &w->changed))
		w->size = -1;
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
watch_find_changed(const struct watch_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct watch *w = &list->items[i];
		struct watch now = {.path = w->path};

		look(&now);
		if (now.device != w->device || now.inode != w->inode ||
		    now.size != w->size ||
		    now.changed.tv_sec != w->changed.tv_sec ||
		    now.changed.tv_nsec != w->changed.tv_nsec)
			return w->path;
	}
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
