/*
 * privileges.c: the order matters, and so does each check.
 */
#include "supervisor/privileges.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"

/* The first is taken for our own on some systems, and is replaced later. */
static int
set_groups(const struct privileges *p)
{
	gid_t all[p->group_count + 1];

	if (p->groups == NULL)
		return initgroups(p->name, p->gid);
	all[0] = p->gid;
	memcpy(all + 1, p->groups, p->group_count * sizeof(all[0]));
	/* A size_t here, an int there. */
	return setgroups((unsigned short)(p->group_count + 1), all);
}

static int
change_user(const struct privileges *p)
{
	if (set_groups(p) == -1)
		return -1;
	if (p->root != NULL && (chroot(p->root) == -1 || chdir("/") == -1))
		return -1;
	return setresgid(p->gid, p->gid, p->gid) == -1 ||
		setresuid(p->uid, p->uid, p->uid) == -1
	    ? -1
	    : 0;
}

static bool
is_user(const struct privileges *p)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	return getresuid(&real, &effective, &saved) == 0 &&
	    getresgid(&real_group, &effective_group, &saved_group) == 0 &&
	    real == p->uid && effective == p->uid && saved == p->uid &&
	    real_group == p->gid && effective_group == p->gid &&
	    saved_group == p->gid;
}

static bool
can_regain(const struct privileges *p)
{
	return setuid(0) != -1 || seteuid(0) != -1 ||
	    (p->gid != 0 && (setgid(0) != -1 || setegid(0) != -1)) ||
	    setgroups(0, NULL) != -1;
}

int
privileges_drop(const struct privileges *p)
{
	bool is_root = geteuid() == 0;

	if (is_root && p->uid == 0)
		return change_user(p);
	if (is_root && !p->may_gain_any)
		process_drop_bounding();
	if ((is_root && change_user(p) == -1) ||
	    process_drop_capabilities() == -1)
		return -1;
	if (is_root && (!is_user(p) || can_regain(p))) {
		errno = EPERM;
		return -1;
	}
	return 0;
}
