/*
 * stray.c: a list of pids that only we can reap, so none is ever recycled
 * while it stands here.
 */
#include "launcher/stray.h"

#include <signal.h>
#include <stdlib.h>

#include "base/process.h"

struct stray {
	LIST_ENTRY(stray) entry;
	pid_t pid;
	uint64_t newest; /* worker that may have started it */
};

struct scan {
	struct stray_list *strays;
	uint64_t newest;
	stray_is_worker *is_worker;
	void *arg;
};

static struct stray *
find(struct stray_list *strays, pid_t pid)
{
	struct stray *s;

	LIST_FOREACH (s, strays, entry)
		if (s->pid == pid)
			return s;
	return NULL;
}

static void
forget(struct stray *s)
{
	LIST_REMOVE(s, entry);
	free(s);
}

static void
on_child(pid_t pid, void *arg)
{
	struct scan *scan = arg;
	struct stray *s;

	if (scan->is_worker(pid, scan->arg) || find(scan->strays, pid) != NULL)
		return;
	if ((s = malloc(sizeof(*s))) == NULL)
		return; /* the next scan finds it again */
	s->pid = pid;
	s->newest = scan->newest;
	LIST_INSERT_HEAD(scan->strays, s, entry);
}

void
stray_scan(struct stray_list *strays, uint64_t newest,
    stray_is_worker *is_worker, void *arg)
{
	struct scan scan = {strays, newest, is_worker, arg};
	struct stray *s, *next;

	/* Who was just being forked may have looked like one. */
	for (s = LIST_FIRST(strays); s != NULL; s = next) {
		next = LIST_NEXT(s, entry);
		if (is_worker(s->pid, arg))
			forget(s);
	}
	process_each_child(on_child, &scan);
}

void
stray_kill(struct stray_list *strays, uint64_t oldest)
{
	struct stray *s;

	LIST_FOREACH (s, strays, entry)
		if (s->newest < oldest)
			process_kill_child(s->pid);
}

void
stray_forget(struct stray_list *strays, pid_t pid)
{
	struct stray *s = find(strays, pid);

	if (s != NULL)
		forget(s);
}

void
stray_forget_all(struct stray_list *strays)
{
	struct stray *s;

	while ((s = LIST_FIRST(strays)) != NULL)
		forget(s);
}
