/*
 * cpu_group: the processors shared out by name, with the control groups of
 * Linux (cgroups(7)), of either version.  When all want to run, a name gets
 * what one process would get beside others, however many processes it has.
 *
 * It takes a group in which we are alone and may make others, which is what
 * service managers start a service in, if they are told to.  Without one
 * nothing is done, and all compete with all.
 */
#ifndef BASE_CPU_GROUP_H
#define BASE_CPU_GROUP_H

#include <stdbool.h>

#define CPU_GROUP_MOUNT	     "/sys/fs/cgroup"
#define CPU_GROUP_CONTROLLER "cpu"

/*
 * cpu_group_begin: make ready the group that we are in, below `mount`, for
 * groups with a `controller`.  Returns whether that was possible; if not,
 * nothing has changed, and the functions below do nothing.
 */
bool cpu_group_begin(const char *mount, const char *controller);

/*
 * cpu_group_enter: move the calling process, and whatever it starts from here
 * on, to the group of `name`, which is made if need be, and whose share is that
 * of a process as nice(1) as `nice`.  0, or -1 with errno.
 */
int cpu_group_enter(const char *name, unsigned nice);

/* cpu_group_remove: remove the group of `name`, if nobody is in it. */
void cpu_group_remove(const char *name);

/* cpu_group_end: leave our group as we found it; those of names are gone. */
void cpu_group_end(void);

#endif
