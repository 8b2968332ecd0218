/*
 * privileges.c: the order matters, and so does each check.
 */
#include "supervisor/privileges.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

int
privileges_drop(const char *name, uid_t uid, gid_t gid)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (initgroups(name, gid) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1 ||
	    getresuid(&real, &effective, &saved) == -1 ||
	    getresgid(&real_group, &effective_group, &saved_group) == -1)
		return -1;
	if (real != uid || effective != uid || saved != uid ||
	    real_group != gid || effective_group != gid || saved_group != gid ||
	    (uid != 0 && (setuid(0) != -1 || seteuid(0) != -1))) {
		errno = EPERM;
		return -1;
	}
	return 0;
}
