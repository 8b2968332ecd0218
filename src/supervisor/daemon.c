/*
 * daemon.c: the first process stays until the service is ready, so whoever
 * started it learns whether it started.
 */
#include "supervisor/daemon.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

int
daemon_begin(struct daemon *d, const char *pid_file, bool background)
{
	int ends[2];
	char byte;
	pid_t pid;

	memset(d, 0, sizeof(*d));
	d->pid_file = pid_file;
	d->ready = -1;
	if (!background)
		return 0;
	if (fd_pipe(ends) == -1 || (pid = fork()) == -1) {
		log_error("cannot go to the background");
		return -1;
	}
	if (pid > 0) {
		fd_close(&ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? 0 : 1);
	}
	fd_close(&ends[0]);
	d->ready = ends[1];
	return setsid() == -1 ? -1 : 0;
}

/* Written beside it and renamed, so that nobody reads half a number. */
static int
write_pid_file(struct daemon *d)
{
	char beside[4096], text[32];
	struct stat st;
	int fd, length;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.new", d->pid_file) >=
	    sizeof(beside)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	unlink(beside);
	fd = open(
	    beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return -1;
	length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (fd_write_all(fd, text, (size_t)length) == -1 ||
	    fstat(fd, &st) == -1 || rename(beside, d->pid_file) == -1) {
		fd_close(&fd);
		unlink(beside);
		return -1;
	}
	d->device = st.st_dev;
	d->inode = st.st_ino;
	close(fd);
	return 0;
}

int
daemon_ready(struct daemon *d)
{
	if (d->pid_file != NULL && write_pid_file(d) == -1) {
		log_error("cannot write %s", d->pid_file);
		return -1;
	}
	if (d->ready == -1)
		return 0;
	if (chdir("/") == -1 || fd_set_null(STDIN_FILENO) == -1 ||
	    fd_set_null(STDOUT_FILENO) == -1 ||
	    (log_fd() != STDERR_FILENO && fd_set_null(STDERR_FILENO) == -1)) {
		log_error("cannot go to the background");
		return -1;
	}
	if (fd_write_all(d->ready, "", 1) == -1)
		log_warn("the process that started us is gone");
	fd_close(&d->ready);
	return 0;
}

void
daemon_end(struct daemon *d)
{
	struct stat st;

	fd_close(&d->ready);
	if (d->inode != 0 && lstat(d->pid_file, &st) == 0 &&
	    st.st_dev == d->device && st.st_ino == d->inode)
		unlink(d->pid_file);
}
