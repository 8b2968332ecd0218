/*
 * launcher/watch: whether files have changed since they were read.
 */
#ifndef LAUNCHER_WATCH_H
#define LAUNCHER_WATCH_H

#include <sys/stat.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What a file looks like from outside: another one, if it has changed. */
struct watch_stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed; /* contents or inode; {0}: was not there */
};

struct watch {
	char *path; /* owned */
	struct watch_stamp stamp;
	bool is_system;
};

struct watch_list {
	struct watch *items; /* owned */
	size_t count;
	int64_t system_at; /* when those of the system were looked at */
};

/*
 * watch_stamp: of what stat(2) told.  watch_stamp_is_safe: whether a change
 * after `since`, of the wall clock, will make another stamp of it: file systems
 * count time in ticks.
 */
struct watch_stamp watch_stamp(const struct stat *st);
bool
watch_stamp_equals(const struct watch_stamp *a, const struct watch_stamp *b);
bool watch_stamp_is_safe(
    const struct watch_stamp *stamp, const struct timespec *since);

/*
 * watch_add: watch `path` from now on; what was read of it was read not before
 * `since`, of the wall clock.  0, or -1 (ENOMEM).
 */
int watch_add(
    struct watch_list *list, const char *path, const struct timespec *since);

/* watch_has: whether `path` is in the list. */
bool watch_has(const struct watch_list *list, const char *path);

/*
 * watch_find_changed: the path of a file that has changed, or NULL.  Those of
 * the system's own libraries are looked at once in a second: they are many, and
 * nobody deploys there.
 */
const char *watch_find_changed(struct watch_list *list);

void watch_fini(struct watch_list *list);

#endif
