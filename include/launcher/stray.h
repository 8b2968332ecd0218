/*
 * launcher/stray: processes that left their worker's group (setsid) and have
 * become our children because their parents are gone.  A stray ends when every
 * request that may have started it has ended.
 */
#ifndef LAUNCHER_STRAY_H
#define LAUNCHER_STRAY_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct stray;
LIST_HEAD(stray_list, stray);

/* Whether `pid`, a child of ours, is one that we know: no stray. */
typedef bool stray_is_worker(pid_t pid, void *arg);

/*
 * stray_scan: look for strays among our children; `newest` is the number of
 * the last worker started: whoever started a stray has a lower or equal one.
 */
void stray_scan(struct stray_list *strays, uint64_t newest,
    stray_is_worker *is_worker, void *arg);

/* stray_kill: SIGKILL those of workers numbered below `oldest`. */
void stray_kill(struct stray_list *strays, uint64_t oldest);

/* stray_forget: `pid` was reaped.  stray_forget_all: free the list. */
void stray_forget(struct stray_list *strays, pid_t pid);
void stray_forget_all(struct stray_list *strays);

#endif
