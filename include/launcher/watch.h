/*
 * launcher/watch: whether files have changed since they were read.
 */
#ifndef LAUNCHER_WATCH_H
#define LAUNCHER_WATCH_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct watch {
	char *path; /* owned */
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed; /* contents or inode; {0}: was not there */
};

struct watch_list {
	struct watch *items; /* owned */
	size_t count;
};

/*
 * watch_add: watch `path` from now on; what was read of it was read not before
 * `since`, of the wall clock.  0, or -1 (ENOMEM).
 */
int watch_add(
    struct watch_list *list, const char *path, const struct timespec *since);

/* watch_has: whether `path` is in the list. */
bool watch_has(const struct watch_list *list, const char *path);

/* watch_find_changed: the path of a file that has changed, or NULL. */
const char *watch_find_changed(const struct watch_list *list);

void watch_fini(struct watch_list *list);

#endif
