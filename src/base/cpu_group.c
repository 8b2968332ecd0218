/*
 * cpu_group.c: owns the descriptor of the group that was ours at the start.
 * Below it are a group for this process, since in version 2 a group that
 * shares out to others may have no process itself, and one for each name.
 */
#include "base/cpu_group.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* Groups of names have a prefix, so that none can be this one. */
#define OWN    "supervisor"
#define PREFIX "pool."

/* A group can be removed just after it was found to exist. */
#define TRIES 3

static struct {
	int directory;	 /* owned; -1: nothing is shared out */
	bool is_unified; /* version 2 */
	char controller[32];
} top = {.directory = -1};

static bool
is_listed(char *list, const char *word)
{
	char *one;

	while ((one = strsep(&list, ",")) != NULL)
		if (strcmp(one, word) == 0)
			return true;
	return false;
}

/* Lines are "NUMBER:CONTROLLERS:PATH"; the last, "0::PATH", is version 2. */
static int
open_top(const char *mount, const char *controller)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX], path[2 * PATH_MAX], *list, *name;
	int fd = -1;

	while (file != NULL && fd == -1 &&
	    fgets(line, sizeof(line), file) != NULL) {
		if ((list = strchr(line, ':')) == NULL ||
		    (name = strchr(++list, ':')) == NULL)
			break;
		*name++ = '\0';
		name[strcspn(name, "\n")] = '\0';
		top.is_unified = *list == '\0';
		if (!top.is_unified && !is_listed(list, controller))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", mount,
		    top.is_unified ? "" : controller, name);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	}
	if (file != NULL)
		fclose(file);
	return fd;
}

static bool
is_alone(void)
{
	char expected[32], text[64];
	int fd = openat(top.directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	fd_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	snprintf(expected, sizeof(expected), "%ld\n", (long)getpid());
	return strcmp(text, expected) == 0;
}

static int
write_file(const char *path, const char *text)
{
	int fd = openat(top.directory, path, O_WRONLY | O_CLOEXEC), result;

	if (fd == -1)
		return -1;
	result = fd_write_all(fd, text, strlen(text));
	fd_close(&fd);
	return result;
}

/* "0" is whoever writes it. */
static int
make_and_enter(const char *group)
{
	char path[NAME_MAX + 32];
	mode_t mask = umask(022); /* programs look at the group they are in */
	int result = mkdirat(top.directory, group, 0755);

	umask(mask);
	if (result == -1 && errno != EEXIST)
		return -1;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return write_file(path, "0");
}

/* Version 2 gives the groups below a controller when it is told to. */
static int
control(char sign)
{
	char text[sizeof(top.controller) + 1];

	snprintf(text, sizeof(text), "%c%s", sign, top.controller);
	return top.is_unified ? write_file("cgroup.subtree_control", text) : 0;
}

static void
move_back(void)
{
	write_file("cgroup.procs", "0");
	unlinkat(top.directory, OWN, AT_REMOVEDIR);
}

bool
cpu_group_begin(const char *mount, const char *controller)
{
	snprintf(top.controller, sizeof(top.controller), "%s", controller);
	if ((top.directory = open_top(mount, controller)) == -1)
		return false;
	if (is_alone()) {
		if (make_and_enter(OWN) == 0 && control('+') == 0)
			return true;
		move_back();
	}
	fd_close(&top.directory);
	return false;
}

/* A step of nice(1) is a fifth less. */
static void
set_share(const char *group, unsigned nice)
{
	char path[NAME_MAX + 32], text[32];
	unsigned shares = 1024;

	for (unsigned i = 0; i < nice; i++)
		shares = shares * 4 / 5;
	snprintf(path, sizeof(path), "%s/%s", group,
	    top.is_unified ? "cpu.weight.nice" : "cpu.shares");
	snprintf(text, sizeof(text), "%u", top.is_unified ? nice : shares);
	write_file(path, text);
}

int
cpu_group_enter(const char *name, unsigned nice)
{
	char group[NAME_MAX];
	int result = 0;

	if (top.directory == -1)
		return 0;
	snprintf(group, sizeof(group), PREFIX "%s", name);
	for (int try = 0; try < TRIES; try++) {
		result = make_and_enter(group);
		if (result == 0 || (errno != ENOENT && errno != ENODEV))
			break;
	}
	if (result == 0)
		set_share(group, nice);
	return result;
}

void
cpu_group_remove(const char *name)
{
	char group[NAME_MAX];

	if (top.directory == -1)
		return;
	snprintf(group, sizeof(group), PREFIX "%s", name);
	unlinkat(top.directory, group, AT_REMOVEDIR);
}

void
cpu_group_end(void)
{
	if (top.directory == -1)
		return;
	control('-');
	move_back();
	fd_close(&top.directory);
}
