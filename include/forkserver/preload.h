/*
 * forkserver/preload: what the parts of the library share.  It lives in other
 * people's programs: nothing here may use scgid's libraries, and no name of it
 * is seen outside.
 */
#ifndef FORKSERVER_PRELOAD_H
#define FORKSERVER_PRELOAD_H

#include <sys/prctl.h>
#include <sys/types.h>

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launcher/fork_protocol.h"

#define PRELOAD_HANDLERS_MAX 64
#define PRELOAD_FILES_MAX    64
#define PRELOAD_OBJECTS_MAX  1024
#define PRELOAD_TEXTS_MAX    1024

/* Of the auxiliary vector, in pointers. */
#define PRELOAD_AUXILIARY_MAX 128

/* The functions of a pthread_atfork(3). */
struct preload_handler {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
};

/* A file that was open when the fork server was ready. */
struct preload_file {
	int fd;
	int flags; /* as open(2) takes them */
	int fd_flags;
	off_t offset;
};

/* A file that is loaded, and what it wants called at the end. */
struct preload_object {
	const struct link_map *map;
	ElfW(Addr) base;
	const ElfW(Dyn) * dynamic;
	void (**functions)(void); /* DT_FINI_ARRAY; the last one comes first */
	size_t function_count;
	void (*last)(void); /* DT_FINI, or NULL */
};

/* A mapping of a file that nobody writes to. */
struct preload_text {
	uintptr_t start;
	size_t pages;
	size_t first; /* the number of its first page, among all */
};

struct preload {
	enum fork_mode mode;
	int socket; /* -1: this process is no fork server */
	unsigned spare;
	struct fork_block *block; /* where a runner reads variables, or NULL */
	volatile struct fork_slot *slots;
	pid_t *thread_id; /* where the C library keeps it */
	void *robust_list;
	size_t robust_list_size;
	struct preload_handler handlers[PRELOAD_HANDLERS_MAX];
	size_t handler_count;
	struct preload_file files[PRELOAD_FILES_MAX];
	size_t file_count;
	char **environment; /* as the kernel gave it, without our variables */
	size_t environment_count;
	char *title; /* the memory of argv */
	size_t title_size;
	bool had_early_handler;	     /* a library registered one for the end */
	void (*loader_finish)(void); /* what the loader does at the end */
	const void *auxiliary;	     /* what stands behind the variables */
	size_t auxiliary_size; /* in bytes; 0: more than we have room for */
};

extern struct preload preload;

/* preload_refuse: this program cannot be a fork server; the reason. */
void preload_refuse(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/*
 * preload_check: end if anything of this process cannot be had by every worker
 * for itself; note what has to be opened again.
 */
void preload_check(void);

/* preload_reopen: in a worker, open the files again. */
void preload_reopen(void);

/*
 * preload_note_image: once.  preload_describe: before a worker is forked: the
 * strings from `arguments` to `variables`, and from there to `end`, are what
 * others shall see of it.  preload_show: in the worker: so be it.
 */
void preload_note_image(struct prctl_mm_map *map);
void preload_describe(
    struct prctl_mm_map *map, char *arguments, char *variables, char *end);
void preload_show(const struct prctl_mm_map *map);

/*
 * preload_note_objects: before the first fork; with room for
 * PRELOAD_OBJECTS_MAX, which is kept.  preload_finish: at the end of a worker,
 * in place of the loader's: call what all that is loaded wants called.
 */
void preload_note_objects(struct preload_object *room);
void preload_finish(void);

/* preload_is_single_threaded: false, too, if that is not known. */
bool preload_is_single_threaded(void);

/*
 * preload_learn_pages: before the first fork, in the fork server; with room for
 * PRELOAD_TEXTS_MAX, which is kept.  preload_note_pages: at the end of a
 * worker: these are the pages it needed; `is_flushed` if stdio is flushed next.
 * preload_map_pages: before a fork: when enough is known, have workers find
 * them present.
 */
void preload_learn_pages(struct preload_text *room);
void preload_note_pages(bool is_flushed);
void preload_map_pages(void);

/* preload_fill_heap: before the first fork. */
void preload_fill_heap(void);

/*
 * preload_note_variables: at the start.  preload_leave_variables: in a worker
 * of a runner: put what the runner is to do and the variables, the last of
 * which ends before `end`, where the runner reads them.  Returns how many
 * descriptors, from our socket on, are to stay open.
 */
void preload_note_variables(void);
int preload_leave_variables(bool learns, char **variables, const char *end);

/*
 * preload_serve: say hello and serve.  Ends the process when the launcher has
 * gone away; returns in each worker, with its arguments; environ is set.
 */
char **preload_serve(int *argc);

#endif
