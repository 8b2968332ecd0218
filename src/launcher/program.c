/*
 * program.c: #! lines.
 */
#include "launcher/program.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define RECALLED    64
#define RECALL_TIME 1000000 /* microseconds */

struct recalled {
	char *path; /* owned, like all; NULL: free */
	char *search;
	struct watch_stamp stamp;
	int64_t found_at;
	bool is_found;
	struct program program;
};

/*
 * The start of `path` as a string.  Its length, or -1; also if its first line
 * is one of those that kernels do not agree about.
 */
static ssize_t
read_line(const char *path, char line[PROGRAM_LINE_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd == -1 ? -1 : read(fd, line, PROGRAM_LINE_MAX - 1);

	line[n > 0 ? n : 0] = '\0';
	fd_close(&fd);
	if (n == PROGRAM_LINE_MAX - 1 && line[0] == '#' &&
	    memchr(line, '\n', (size_t)n) == NULL)
		return -1;
	return n;
}

/* split_line: the words of a #! line as Linux takes them: two at most. */
static void
split_line(struct program *p)
{
	char *text = p->line + 2, *end;

	text[strcspn(text, "\n")] = '\0';
	end = text + strlen(text);
	while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	text += strspn(text, " \t");
	p->name = text;
	text += strcspn(text, " \t");
	if (*text == '\0')
		return;
	*text++ = '\0';
	p->option = text + strspn(text, " \t");
}

/* search_path: as execvp(3) would for env(1). */
static int
search_path(struct program *p, const char *name, const char *search)
{
	struct stat st;
	size_t length;

	for (;; search += length + 1) {
		length = strcspn(search, ":");
		if (length > 0 &&
		    snprintf(p->path, sizeof(p->path), "%.*s/%s", (int)length,
			search, name) < (int)sizeof(p->path) &&
		    stat(p->path, &st) == 0 && S_ISREG(st.st_mode) &&
		    access(p->path, X_OK) == 0)
			return 0;
		if (search[length] == '\0')
			return -1;
	}
}

static bool
is_binary(const char *start)
{
	return strncmp(start, "\177ELF", 4) == 0;
}

int
program_find(struct program *p, const char *path, const char *search)
{
	char start[PROGRAM_LINE_MAX];
	const char *base;
	int n;

	p->name = p->option = NULL;
	p->has_own_name = false;
	if (access(path, X_OK) == -1 || read_line(path, p->line) == -1)
		return -1;
	if (is_binary(p->line)) {
		n = snprintf(p->path, sizeof(p->path), "%s", path);
		return n < (int)sizeof(p->path) ? 0 : -1;
	}
	if (strncmp(p->line, "#!", 2) != 0)
		return -1;
	split_line(p);
	snprintf(p->path, sizeof(p->path), "%s", p->name);
	base = strrchr(p->name, '/');
	if (base != NULL && strcmp(base, "/env") == 0 && p->option != NULL &&
	    strpbrk(p->option, " \t=") == NULL && p->option[0] != '-') {
		p->name = p->option;
		p->option = NULL;
		if (strchr(p->name, '/') != NULL)
			snprintf(p->path, sizeof(p->path), "%s", p->name);
		else if (search_path(p, p->name, search) == -1)
			return -1;
		p->has_own_name = true;
	}
	if (p->path[0] != '/' || read_line(p->path, start) == -1 ||
	    !is_binary(start))
		return -1;
	return 0;
}

static bool
is_same(const struct recalled *r, const char *path,
    const struct watch_stamp *stamp, const char *search)
{
	return r->path != NULL && strcmp(r->path, path) == 0 &&
	    watch_stamp_equals(&r->stamp, stamp) &&
	    clock_now() - r->found_at < RECALL_TIME &&
	    strcmp(r->search, search) == 0;
}

static void
forget(struct recalled *r)
{
	free(r->path);
	free(r->search);
	r->path = r->search = NULL;
}

static void
find_again(struct recalled *r, const char *path,
    const struct watch_stamp *stamp, const char *search)
{
	struct timespec now;

	forget(r);
	clock_gettime(CLOCK_REALTIME, &now);
	r->is_found = program_find(&r->program, path, search) == 0;
	r->stamp = *stamp;
	r->found_at = clock_now();
	r->search = strdup(search);
	if (r->search != NULL && watch_stamp_is_safe(stamp, &now))
		r->path = strdup(path);
}

const struct program *
program_recall(
    const char *path, const struct watch_stamp *stamp, const char *search)
{
	static struct recalled all[RECALLED];
	struct recalled *r = &all[stamp->inode % RECALLED];

	if (!is_same(r, path, stamp, search))
		find_again(r, path, stamp, search);
	return r->is_found ? &r->program : NULL;
}
