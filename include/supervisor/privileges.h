/*
 * supervisor/privileges: giving them up for good.
 */
#ifndef SUPERVISOR_PRIVILEGES_H
#define SUPERVISOR_PRIVILEGES_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

struct privileges {
	const char *name; /* of the user */
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary; NULL: those of the user */
	size_t group_count;
	const char *root;  /* directory to change the root to; NULL: none */
	bool may_gain_any; /* by exec of a set-user-id program */
};

/*
 * privileges_drop: become that user: setgroups, chroot, setresgid, setresuid,
 * each checked, then no capability, and then that root cannot be had back.  A
 * process that is not root can only drop capabilities, and does.  0, or -1
 * with errno set and this process fit for nothing but to exit.
 */
int privileges_drop(const struct privileges *p);

#endif
