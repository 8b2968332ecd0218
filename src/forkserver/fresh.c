/*
 * fresh.c: what a worker must have for itself alone, though the fork server had
 * it first.
 */
#include "forkserver/preload.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Besides those of a request, while a worker begins. */
#define FREE_FILES 2

extern char **environ;

/* The directory has one link for each, besides its own two. */
static unsigned
count_threads(void)
{
	struct stat st;

	if (stat("/proc/self/task", &st) == -1)
		preload_refuse("/proc/self/task: %s", strerror(errno));
	return (unsigned)st.st_nlink - 2;
}

/* A lock is the fork server's for ever, and every worker would wait for it. */
static bool
is_locked(int fd)
{
	char path[64], text[512];
	int info;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info == -1 ? -1 : read(info, text, sizeof(text) - 1);
	close(info);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "\nlock:") != NULL;
}

static int
reopen(const struct preload_file *f)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	return open(path, f->flags | O_NOCTTY | O_CLOEXEC);
}

/*
 * A worker must not share what was opened before the fork: a file it opens
 * again for itself, and anything else that has a state cannot be shared.
 */
static void
note_open_file(int fd)
{
	struct preload_file *f = &preload.files[preload.file_count];
	char path[64], name[256] = "";
	struct stat st;
	int flags, again;

	if (fd <= STDERR_FILENO ||
	    (fd >= preload.socket && fd < preload.socket + 3) ||
	    fstat(fd, &st) == -1)
		return;
	if (S_ISCHR(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) == -1)
		name[0] = '\0';
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		/* Its number would be another complaint each time. */
		if (name[0] != '/' && strstr(name, ":[") != NULL &&
		    strncmp(name, "anon_inode", 10) != 0)
			*strchr(name, ':') = '\0';
		preload_refuse(
		    "holds descriptor %d, %s, which requests would share", fd,
		    name);
	}
	if (is_locked(fd))
		preload_refuse("holds a lock on %s", name);
	flags = fcntl(fd, F_GETFL);
	/* With exec each request would have one of its own. */
	if (st.st_nlink == 0 && (flags & O_ACCMODE) != O_RDONLY)
		preload_refuse("holds descriptor %d, a file without a name, "
			       "which requests would share",
		    fd);
	if (preload.file_count == PRELOAD_FILES_MAX)
		preload_refuse(
		    "holds more than %d open files", PRELOAD_FILES_MAX);
	f->fd = fd;
	f->flags =
	    flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_PATH);
	if (S_ISDIR(st.st_mode)) /* it is in O_TMPFILE, too */
		f->flags |= O_DIRECTORY;
	f->fd_flags = fcntl(fd, F_GETFD);
	f->offset = lseek(fd, 0, SEEK_CUR);
	preload.file_count++;
	if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH) != 0)
		return;
	if ((again = reopen(f)) == -1)
		preload_refuse("holds descriptor %d, a file for writing that a "
			       "worker cannot open for itself",
		    fd);
	close(again);
}

/* Returns how many descriptors are open. */
static rlim_t
note_open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	rlim_t count = 0;

	if (directory == NULL)
		preload_refuse("/proc/self/fd: %s", strerror(errno));
	while ((entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(directory))
			continue;
		note_open_file(fd);
		count++;
	}
	closedir(directory);
	return count;
}

/* In a worker.  What cannot be opened again is shared: it is only read. */
void
preload_reopen(void)
{
	int fd;

	for (size_t i = 0; i < preload.file_count; i++) {
		const struct preload_file *f = &preload.files[i];

		if ((f->flags & O_PATH) != 0 || (fd = reopen(f)) == -1)
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

/* Memory that stays the same memory after a fork; a named file is that too. */
static void
refuse_shared_memory(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		const char *access = strchr(line, ' ');
		const char *name = strchr(line, '/');

		if (access != NULL && strncmp(access, " rw", 3) == 0 &&
		    access[4] == 's' &&
		    (name == NULL || strstr(name, " (deleted)\n") != NULL))
			preload_refuse("has memory that requests would share");
	}
	if (maps != NULL)
		fclose(maps);
}

/* What a fork does not pass on, so that no worker would have it. */
static void
refuse_what_forks_lose(void)
{
	static const __itimer_which_t kinds[] = {
	    ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
	siginfo_t child;
	struct itimerval timer;
	char byte;
	int timers;

	if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0)
		preload_refuse("has children before its work begins");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (getitimer(kinds[i], &timer) == 0 &&
		    (timer.it_value.tv_sec | timer.it_value.tv_usec) != 0)
			preload_refuse("has a timer before its work begins");
	timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
	if (timers != -1 && read(timers, &byte, 1) == 1)
		preload_refuse("has a timer before its work begins");
	close(timers);
}

/* The request's is still to come, and who has read this would not see it. */
static void
refuse_what_has_read(void)
{
	if (lseek(STDIN_FILENO, 0, SEEK_CUR) > 0)
		preload_refuse("reads its input before its work begins");
}

/* A runner's own changes are made in the workers, too. */
static void
refuse_changed_environment(void)
{
	size_t count = 0;

	while (environ != NULL && environ[count] != NULL)
		count++;
	if (environ != preload.environment ||
	    count != preload.environment_count)
		preload_refuse(
		    "changes its environment before its work begins");
}

/* A handler whose library has been unloaded would not be called either. */
static void
drop_unloaded_handlers(void)
{
	Dl_info info;
	void *address;

	for (size_t i = 0; i < preload.handler_count; i++) {
		struct preload_handler *h = &preload.handlers[i];

		memcpy(&address,
		    h->prepare != NULL	    ? &h->prepare
			: h->parent != NULL ? &h->parent
					    : &h->child,
		    sizeof(address));
		if (dladdr(address, &info) == 0)
			memset(h, 0, sizeof(*h));
	}
}

void
preload_check(void)
{
	struct rlimit limit = {0, 0};
	unsigned threads = count_threads();
	rlim_t open_files;

	if (threads != 1)
		preload_refuse(
		    "has %u threads before its work begins", threads);
	if (preload.handler_count > PRELOAD_HANDLERS_MAX)
		preload_refuse(
		    "has more than %d fork handlers", PRELOAD_HANDLERS_MAX);
	drop_unloaded_handlers();
	refuse_shared_memory();
	refuse_what_forks_lose();
	refuse_what_has_read();
	if (preload.mode == FORK_AT_MAIN)
		refuse_changed_environment();
	open_files = note_open_files();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur < open_files + FORK_FDS + FREE_FILES)
		preload_refuse("may not open enough files (limit_files)");
	find_thread_id();
}
