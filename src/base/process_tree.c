/*
 * process_tree.c: what /proc tells of a process and its descendants.  All of
 * it may be gone, or be another's, by the time it is read: for people only.
 */
#include "base/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fork bomb must not make a long story. */
#define PROCESSES_MAX 64
#define DEPTH_MAX     16

struct tree {
	char *out;
	size_t size;
	size_t length;
	unsigned left; /* processes that may still be told of */
};

static void describe(struct tree *t, pid_t pid, unsigned depth);

static void __attribute__((format(printf, 2, 3)))
add(struct tree *t, const char *format, ...)
{
	size_t room = t->size - t->length;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->out + t->length, room, format, ap);
	va_end(ap);
	if (n > 0)
		t->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* The start of a small file, with a NUL.  Its length, or -1. */
static ssize_t
read_start(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n;
}

/* "12 (name) S ...": a name may hold anything, parentheses too. */
static bool
add_process(struct tree *t, pid_t pid)
{
	char stat[512], wchan[64], *name, *end;

	if (read_start(pid, "stat", stat, sizeof(stat)) <= 0 ||
	    (name = strchr(stat, '(')) == NULL ||
	    (end = strrchr(stat, ')')) == NULL || end[1] != ' ')
		return false;
	*end = '\0';
	for (char *p = ++name; *p != '\0'; p++)
		if (!isgraph((unsigned char)*p) || strchr("(),", *p) != NULL)
			*p = '_';
	add(t, "%ld %s %c", (long)pid, name, end[2]);
	/* "0": it runs, or nobody may know. */
	if (read_start(pid, "wchan", wchan, sizeof(wchan)) > 0 &&
	    strcmp(wchan, "0") != 0)
		add(t, " %s", wchan);
	return true;
}

static void
describe_children(
    struct tree *t, const char *task, unsigned depth, unsigned *count)
{
	FILE *children = fopen(task, "re");
	long pid;

	if (children == NULL)
		return;
	while (t->left > 0 && fscanf(children, "%ld", &pid) == 1) {
		add(t, (*count)++ == 0 ? " (" : ", ");
		describe(t, (pid_t)pid, depth);
	}
	fclose(children);
}

static void
describe(struct tree *t, pid_t pid, unsigned depth)
{
	unsigned count = 0;
	struct dirent *entry;
	char path[512];
	DIR *tasks;

	t->left--;
	if (!add_process(t, pid)) {
		add(t, "%ld gone", (long)pid);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	if (depth == DEPTH_MAX || (tasks = opendir(path)) == NULL)
		return;
	while (t->left > 0 && (entry = readdir(tasks)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/task/%s/children",
		    (long)pid, entry->d_name);
		describe_children(t, path, depth + 1, &count);
	}
	closedir(tasks);
	if (count > 0)
		add(t, t->left == 0 ? " ...)" : ")");
}

void
process_describe_tree(pid_t pid, char *out, size_t size)
{
	struct tree t = {out, size, 0, PROCESSES_MAX};

	out[0] = '\0';
	if (access("/proc/self/stat", R_OK) == 0)
		describe(&t, pid, 0);
}
