/*
 * process: what a process says of itself, and its orphans.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * process_init_title: call first in main.  The title takes over the memory of
 * argv and environ; both are moved.  Returns the argv to use from now on.
 */
char **process_init_title(int argc, char **argv);

/* process_set_title: show "scgid: TITLE" in ps. */
void process_set_title(const char *title);

/* process_adopt_orphans: become the parent of orphaned descendants. */
void process_adopt_orphans(void);

/*
 * process_each_child: call `visit` for every child of ours, the adopted ones
 * too.  Does nothing where the system does not list children.
 */
void process_each_child(void (*visit)(pid_t pid, void *arg), void *arg);

/*
 * process_describe_tree: write a line of `size` bytes at most about `pid` and
 * its descendants, "PID NAME STATE WHERE" each, children in parentheses; ""
 * where the system does not say.  It holds printable characters only.
 */
void process_describe_tree(pid_t pid, char *out, size_t size);

/*
 * process_kill_child: SIGKILL a child that we have not reaped, so that its pid
 * cannot have been recycled, and the process group it is in, if not ours.
 */
void process_kill_child(pid_t pid);

/*
 * process_is_format_error: whether exec failed with `error` since the file, or
 * the loader or interpreter that it names, is no program for this machine.
 */
bool process_is_format_error(int error);

/*
 * process_forbid_new_privileges: from now on exec grants nothing (set-user-id
 * bits are ignored), for us and our children.
 */
void process_forbid_new_privileges(void);

/*
 * process_forbid_inspection: no other process of our user may trace us, read
 * our memory or see our descriptors.  Ends with exec.
 */
void process_forbid_inspection(void);

/*
 * process_hold_statistics: open now what process_each_child and
 * process_count_oom_kills read, for who will change its root directory.
 */
void process_hold_statistics(void);

/*
 * process_drop_bounding: let no program that is started from here on have a
 * capability, where we may say so (as root).
 */
void process_drop_bounding(void);

/* process_drop_capabilities: keep none.  0, or -1 if one is left. */
int process_drop_capabilities(void);

/*
 * process_raise_descriptor_limit: take as many descriptors as the hard limit
 * allows.  process_restore_descriptor_limit: the limit from before, for those
 * who inherit it.
 */
void process_raise_descriptor_limit(void);
void process_restore_descriptor_limit(void);

/* process_die_with_parent: be killed when the parent ends, where possible. */
void process_die_with_parent(void);

/*
 * process_is_exiting: whether every thread of `pid` has begun to exit: it may
 * have closed its descriptors long before it can be reaped.  False where the
 * system does not say.
 */
bool process_is_exiting(pid_t pid);

/* process_find_user: its real user; false if the system does not say. */
bool process_find_user(pid_t pid, uid_t *uid);

/* process_resident_memory: KiB of it; 0 where the system does not say. */
int64_t process_resident_memory(pid_t pid);

/*
 * process_count_oom_kills: how often the kernel has killed for want of memory
 * since it started; 0 where it does not say.
 */
unsigned long process_count_oom_kills(void);

/*
 * process_ignore_signals: ignore what a terminal, a pkill or a limit might
 * send: whoever calls this is told by other means what to do.
 */
void process_ignore_signals(void);

/* process_reset_signals: every disposition default, nothing blocked. */
void process_reset_signals(void);

#endif
