/*
 * process_list.c: what the system tells of processes: /proc on Linux, the
 * reaper's list and sysctl(3) on FreeBSD, elsewhere nothing.
 */
#include "base/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system.h"

#if defined(HAVE_PROCCTL)
#include <sys/param.h>
#include <sys/proc.h>
#include <sys/procctl.h>
#include <sys/sysctl.h>
#include <sys/user.h>

/* For those that come between two questions. */
#define ROOM 16

void
process_hold_statistics(void)
{
}

void
process_each_child(void (*visit)(pid_t pid, void *arg), void *arg)
{
	const unsigned wanted = REAPER_PIDINFO_VALID | REAPER_PIDINFO_CHILD;
	struct procctl_reaper_status status;
	struct procctl_reaper_pids all;

	memset(&all, 0, sizeof(all));
	if (procctl(P_PID, getpid(), PROC_REAP_STATUS, &status) == -1 ||
	    (status.rs_flags & REAPER_STATUS_OWNED) == 0)
		return;
	all.rp_count = status.rs_descendants + ROOM;
	if ((all.rp_pids = calloc(all.rp_count, sizeof(*all.rp_pids))) == NULL)
		return;
	if (procctl(P_PID, getpid(), PROC_REAP_GETPIDS, &all) == 0)
		for (unsigned i = 0; i < all.rp_count; i++)
			if ((all.rp_pids[i].pi_flags & wanted) == wanted)
				visit(all.rp_pids[i].pi_pid, arg);
	free(all.rp_pids);
}

static bool
find_info(pid_t pid, struct kinfo_proc *info)
{
	int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
	size_t size = sizeof(*info);

	return sysctl(name, 4, info, &size, NULL, 0) == 0 &&
	    size == sizeof(*info);
}

bool
process_is_exiting(pid_t pid)
{
	struct kinfo_proc info;

	return find_info(pid, &info) &&
	    ((info.ki_flag & P_WEXIT) != 0 || info.ki_stat == SZOMB);
}

bool
process_find_user(pid_t pid, uid_t *uid)
{
	struct kinfo_proc info;

	if (!find_info(pid, &info))
		return false;
	*uid = info.ki_ruid;
	return true;
}

int64_t
process_resident_memory(pid_t pid)
{
	(void)pid;
	return 0;
}

unsigned long
process_count_oom_kills(void)
{
	return 0;
}

#else

/* Opened before a chroot; -1: not held. */
static int held_children = -1, held_vmstat = -1;

static FILE *
open_held(int held, const char *path)
{
	int fd;
	FILE *file;

	if (held == -1)
		return fopen(path, "re");
	if (lseek(held, 0, SEEK_SET) == -1 ||
	    (fd = fcntl(held, F_DUPFD_CLOEXEC, 0)) == -1)
		return NULL;
	if ((file = fdopen(fd, "r")) == NULL)
		close(fd);
	return file;
}

static FILE *
open_children(void)
{
	char path[64];

	snprintf(
	    path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
	return open_held(held_children, path);
}

static FILE *
open_vmstat(void)
{
	return open_held(held_vmstat, "/proc/vmstat");
}

/* A descriptor of `file`, which is closed; -1 if it is NULL. */
static int
keep_descriptor(FILE *file)
{
	int fd;

	if (file == NULL)
		return -1;
	fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	fclose(file);
	return fd;
}

void
process_hold_statistics(void)
{
	held_children = keep_descriptor(open_children());
	held_vmstat = keep_descriptor(open_vmstat());
}

void
process_each_child(void (*visit)(pid_t pid, void *arg), void *arg)
{
	FILE *children = open_children();
	char text[4096];
	long pid;

	if (children == NULL)
		return;
	setvbuf(children, text, _IOFBF, sizeof(text));
	while (fscanf(children, "%ld", &pid) == 1)
		visit((pid_t)pid, arg);
	fclose(children);
}

/* PF_EXITING of the kernel, in field 9 of /proc/PID/stat (proc(5)). */
#define EXITING 0x4

static bool
thread_is_exiting(const char *path)
{
	char text[1024], *after_name;
	unsigned long flags = EXITING;
	FILE *file = fopen(path, "re");
	size_t n;

	if (file == NULL)
		return true;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	/* The name, in parentheses, may hold anything. */
	after_name = strrchr(text, ')');
	if (after_name != NULL)
		sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return (flags & EXITING) != 0;
}

bool
process_is_exiting(pid_t pid)
{
	char path[64], thread[384];
	bool is_exiting = true;
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	if ((threads = opendir(path)) == NULL)
		return false;
	while (is_exiting && (entry = readdir(threads)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(
		    thread, sizeof(thread), "%s/%s/stat", path, entry->d_name);
		is_exiting = thread_is_exiting(thread);
	}
	closedir(threads);
	return is_exiting;
}

bool
process_find_user(pid_t pid, uid_t *uid)
{
	char path[64], line[256];
	bool is_found = false;
	unsigned long user;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	if ((file = fopen(path, "re")) == NULL)
		return false;
	while (!is_found && fgets(line, sizeof(line), file) != NULL)
		is_found = sscanf(line, "Uid: %lu", &user) == 1;
	fclose(file);
	if (is_found)
		*uid = (uid_t)user;
	return is_found;
}

int64_t
process_resident_memory(pid_t pid)
{
	long pages = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
	if ((file = fopen(path, "re")) == NULL)
		return 0;
	if (fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

unsigned long
process_count_oom_kills(void)
{
	FILE *statistics = open_vmstat();
	unsigned long count = 0;
	char line[128];

	if (statistics == NULL)
		return 0;
	while (fgets(line, sizeof(line), statistics) != NULL)
		if (sscanf(line, "oom_kill %lu", &count) == 1)
			break;
	fclose(statistics);
	return count;
}

#endif
