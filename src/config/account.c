/*
 * account: users and groups, from names to numbers.
 */
#include "config/options.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Several errno values mean no more than "there is none": see getpwnam(3). */
static int
fail_lookup(const char *what, const char *name, int error, char *why)
{
	if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF ||
	    error == EPERM)
		return option_fail(why, "there is no %s '%s'", what, name);
	return option_fail(why, "%s '%s': %s", what, name, strerror(error));
}

int
account_find_user(
    struct config_user *user, const char *name, char why[OPTION_WHY_SIZE])
{
	struct passwd *entry;

	errno = 0;
	if ((entry = getpwnam(name)) == NULL)
		return fail_lookup("user", name, errno, why);
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	if ((user->name = strdup(name)) == NULL)
		return option_fail(why, "out of memory");
	return 0;
}

/* Without a name, if it has none: that is no reason not to start. */
void
account_find_own(struct config_user *user)
{
	const struct passwd *entry = getpwuid(geteuid());

	user->uid = geteuid();
	user->gid = getegid();
	if (entry != NULL)
		user->name = strdup(entry->pw_name);
}

const char *
config_user_text(
    const struct config_user *user, char number[CONFIG_NUMBER_SIZE])
{
	if (user->name != NULL)
		return user->name;
	snprintf(number, CONFIG_NUMBER_SIZE, "%ld", (long)user->uid);
	return number;
}

int
account_find_groups(
    struct config_groups *groups, const char *text, char why[OPTION_WHY_SIZE])
{
	struct config_user found = {0};

	if (geteuid() != 0)
		return option_fail(why,
		    "scgid was not started as root and cannot change its "
		    "groups");
	if (words_parse(&groups->names, text, why) == -1)
		return -1;
	groups->ids = calloc(groups->names.count + 1, sizeof(gid_t));
	if (groups->ids == NULL)
		return option_fail(why, "out of memory");
	for (size_t i = 0; i < groups->names.count; i++) {
		if (account_find_group(&found, groups->names.items[i], why) ==
		    -1)
			return -1;
		groups->ids[i] = found.gid;
		free(found.name);
	}
	return 0;
}

int
account_find_group(
    struct config_user *group, const char *name, char why[OPTION_WHY_SIZE])
{
	struct group *entry;

	errno = 0;
	if ((entry = getgrnam(name)) == NULL)
		return fail_lookup("group", name, errno, why);
	group->gid = entry->gr_gid;
	if ((group->name = strdup(name)) == NULL)
		return option_fail(why, "out of memory");
	return 0;
}
