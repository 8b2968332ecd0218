/*
 * path.c: opening files by name, and what systems disagree on about it.
 */
#include "base/path.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/system.h"

#ifdef HAVE_OPENAT2
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif
#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

int
path_open(int directory, const char *name)
{
	return openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int
path_set_access(int fd, uid_t owner, gid_t group, mode_t mode)
{
	char path[64];

	if ((owner != (uid_t)-1 || group != (gid_t)-1) &&
	    fchownat(fd, "", owner, group, AT_EMPTY_PATH) == -1)
		return -1;
#if defined(__linux__)
	/* fchmod refuses a descriptor that is only for walking. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
#else
	(void)path;
	return fchmodat(fd, "", mode, AT_EMPTY_PATH);
#endif
}

int
path_open_followed(int directory, const char *path)
{
	return openat(directory, path, O_PATH | O_CLOEXEC);
}

/* For directories, where there is no /proc: in a chroot, or elsewhere. */
static int
get_path_by_going(int fd, char *path, size_t size)
{
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), n = -1;

	if (here != -1 && fchdir(fd) == 0) {
		if (getcwd(path, size) != NULL && path[0] == '/')
			n = 0;
		if (fchdir(here) == -1)
			n = -1;
	}
	fd_close(&here);
	if (n == -1)
		errno = ENOSYS;
	return n;
}

int
path_of(int fd, char *path, size_t size)
{
#if defined(__linux__)
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, size);
	if (length > 0 && (size_t)length < size && path[0] == '/') {
		path[length] = '\0';
		return 0;
	}
#endif
	return get_path_by_going(fd, path, size);
}

#if !defined(O_RESOLVE_BENEATH)

/*
 * Follow, then ask where that led.  The answer is of the open descriptors, so
 * a link that changes meanwhile cannot deceive it.
 */
static int
open_and_compare(int directory, const char *path)
{
	char root[4096], target[4096];
	size_t length;
	int fd = path_open_followed(directory, path);

	if (fd == -1)
		return -1;
	if (path_of(directory, root, sizeof(root)) == 0 &&
	    path_of(fd, target, sizeof(target)) == 0) {
		length = strcmp(root, "/") == 0 ? 0 : strlen(root);
		if (strncmp(root, target, length) == 0 && target[length] == '/')
			return fd;
	}
	fd_close(&fd);
	errno = EXDEV;
	return -1;
}

#endif

int
path_open_beneath(int directory, const char *path)
{
#if defined(HAVE_OPENAT2)
	struct open_how how;
	int fd;

	memset(&how, 0, sizeof(how));
	how.flags = O_PATH | O_CLOEXEC;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	do {
		fd = (int)syscall(
		    SYS_openat2, directory, path, &how, sizeof(how));
	} while (fd == -1 && errno == EAGAIN);
	if (fd != -1 || (errno != ENOSYS && errno != EPERM))
		return fd;
#endif
#if defined(O_RESOLVE_BENEATH)
	int found =
	    openat(directory, path, O_PATH | O_RESOLVE_BENEATH | O_CLOEXEC);

	if (found == -1 && errno == ENOTCAPABLE)
		errno = EXDEV;
	return found;
#else
	/* Linux before 5.6; elsewhere it refuses every link to a file. */
	return open_and_compare(directory, path);
#endif
}

int
path_stat_inside(const char *root, const char *path, struct stat *st)
{
	int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, n = -1;

	if (directory == -1)
		return -1;
	path += strspn(path, "/");
	if (*path == '\0')
		path = ".";
#if defined(HAVE_OPENAT2)
	struct open_how how;

	memset(&how, 0, sizeof(how));
	how.flags = O_PATH | O_CLOEXEC;
	how.resolve = RESOLVE_IN_ROOT;
	do {
		fd = (int)syscall(
		    SYS_openat2, directory, path, &how, sizeof(how));
	} while (fd == -1 && errno == EAGAIN);
	if (fd == -1 && (errno == ENOSYS || errno == EPERM))
#endif
		fd = path_open_followed(directory, path);
	if (fd != -1)
		n = fstat(fd, st);
	fd_close(&fd);
	fd_close(&directory);
	return n;
}

int
path_search(const char *list, const char *name, struct buffer *found)
{
	size_t start = found->length, length;
	struct stat st;

	for (; *list != '\0'; list += length + (list[length] == ':')) {
		length = strcspn(list, ":");
		if (*list != '/')
			continue;
		if (buffer_append(found, list, length) == -1 ||
		    buffer_append(found, "/", 1) == -1 ||
		    buffer_append(found, name, strlen(name) + 1) == -1)
			return -1;
		if (access(found->data + start, X_OK) == 0 &&
		    stat(found->data + start, &st) == 0 && S_ISREG(st.st_mode))
			return 0;
		found->length = start;
	}
	errno = ENOENT;
	return -1;
}
