/*
 * path: files opened by name for walking, not for reading.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <sys/stat.h>
#include <sys/types.h>

#include <stddef.h>

#include "base/buffer.h"

/*
 * path_open: open `name` below `directory` for walking, not for reading; a
 * symbolic link is opened itself.  -1 and errno.
 */
int path_open(int directory, const char *name);

/*
 * path_set_access: owner, group (-1: as they are) and mode of the file that
 * path_open opened.  0, or -1.
 */
int path_set_access(int fd, uid_t owner, gid_t group, mode_t mode);

/*
 * path_open_beneath: the same for a path of several components, following
 * symbolic links as long as they stay below `directory`; EXDEV if one leaves.
 */
int path_open_beneath(int directory, const char *path);

/*
 * path_of: where an open directory is now, without symbolic links.  0, or
 * -1 where the system does not say.
 */
int path_of(int fd, char *path, size_t size);

/* path_open_followed: the same, following links wherever they lead. */
int path_open_followed(int directory, const char *path);

/*
 * path_search: append to `found` where the program `name` is, with a NUL: in
 * the first of the directories `list` ("/usr/bin:/bin") that has it.  Those
 * that are not absolute are passed over.  0, or -1 with ENOENT or ENOMEM.
 */
int path_search(const char *list, const char *name, struct buffer *found);

/*
 * path_stat_inside: stat `path` as a process sees it whose root directory is
 * `root`; where the system cannot do that, an absolute symbolic link on the
 * way is followed from our own root.  0, or -1.
 */
int path_stat_inside(const char *root, const char *path, struct stat *st);

#endif
