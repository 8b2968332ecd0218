/*
 * supervisor/privileges: giving them up for good.
 */
#ifndef SUPERVISOR_PRIVILEGES_H
#define SUPERVISOR_PRIVILEGES_H

#include <sys/types.h>

/*
 * privileges_drop: become user `uid` of group `gid`, with the supplementary
 * groups of `name`: setgroups, then setresgid, then setresuid, each checked,
 * and that root cannot be had back.  0, or -1 with errno set and this process
 * fit for nothing but to exit.
 */
int privileges_drop(const char *name, uid_t uid, gid_t gid);

#endif
