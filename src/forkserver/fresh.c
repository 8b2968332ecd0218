/*
 * fresh.c: what a worker must have for itself alone, though the fork server had
 * it first.
 */
#include "forkserver/preload.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Visits the numbered entries of a directory of /proc. */
static void
each_number(const char *path, void (*visit)(int number, void *arg), void *arg)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (directory == NULL)
		preload_refuse("%s: %s", path, strerror(errno));
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.' &&
		    atoi(entry->d_name) != dirfd(directory))
			visit(atoi(entry->d_name), arg);
	closedir(directory);
}

static void
count_thread(int id, void *arg)
{
	(void)id;
	++*(unsigned *)arg;
}

/*
 * A worker must not share what was opened before the fork: a file it opens
 * again for itself, and anything else that has a state cannot be shared.
 */
static void
note_open_file(int fd, void *arg)
{
	struct preload_file *f = &preload.files[preload.file_count];
	char path[64], name[256] = "";
	struct stat st;

	(void)arg;
	if (fd <= STDERR_FILENO ||
	    (fd >= preload.socket && fd < preload.socket + 3) ||
	    fstat(fd, &st) == -1)
		return;
	if (S_ISCHR(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) == -1)
		name[0] = '\0';
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		preload_refuse(
		    "holds descriptor %d, %s, which requests would share", fd,
		    name);
	if (preload.file_count == PRELOAD_FILES_MAX)
		preload_refuse(
		    "holds more than %d open files", PRELOAD_FILES_MAX);
	f->fd = fd;
	f->flags = fcntl(fd, F_GETFL) &
	    (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_PATH);
	f->fd_flags = fcntl(fd, F_GETFD);
	f->offset = lseek(fd, 0, SEEK_CUR);
	preload.file_count++;
}

/* In a worker.  What cannot be opened again is shared: it is only read. */
void
preload_reopen(void)
{
	char path[64];
	int fd;

	for (size_t i = 0; i < preload.file_count; i++) {
		const struct preload_file *f = &preload.files[i];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
		if ((f->flags & O_PATH) != 0 ||
		    (fd = open(path, f->flags | O_NOCTTY | O_CLOEXEC)) == -1)
			continue;
		lseek(fd, f->offset, SEEK_SET);
		dup3(fd, f->fd, f->fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0);
		close(fd);
	}
}

/*
 * The C library keeps the number of the thread, and its fork() has the kernel
 * change it; where it is, the kernel tells, as it clears it at the end.
 */
static void
find_thread_id(void)
{
	if (prctl(PR_GET_TID_ADDRESS, &preload.thread_id) == -1 ||
	    preload.thread_id == NULL || *preload.thread_id != getpid())
		preload_refuse(
		    "the kernel does not tell where the thread id is");
	syscall(SYS_get_robust_list, 0, &preload.robust_list,
	    &preload.robust_list_size);
}

void
preload_check(void)
{
	unsigned threads = 0;

	each_number("/proc/self/task", count_thread, &threads);
	if (threads != 1)
		preload_refuse(
		    "has %u threads before its work begins", threads);
	if (preload.handler_count > PRELOAD_HANDLERS_MAX)
		preload_refuse(
		    "has more than %d fork handlers", PRELOAD_HANDLERS_MAX);
	each_number("/proc/self/fd", note_open_file, NULL);
	find_thread_id();
	preload_note_image();
}
