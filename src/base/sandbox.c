/*
 * sandbox.c: Landlock says where files may be made, and filter.c which system
 * calls there are.  Neither can be undone.
 */
#include "base/sandbox.h"

#include <time.h>

#include "base/filter.h"
#include "base/log.h"
#include "base/process.h"
#include "base/system.h"

#ifdef HAVE_LANDLOCK
#include <sys/syscall.h>

#include <linux/landlock.h>

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* The rights of the first version; later ones are added as they are known. */
#define FILES_FIRST (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1)
#define FILES_READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES_IN_SPOOL                                                  \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)

static struct landlock_ruleset_attr
what_is_ruled(long version)
{
	struct landlock_ruleset_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.handled_access_fs = FILES_FIRST;
#ifdef SCGID_SANITIZED
	attr.handled_access_fs &= ~(uint64_t)FILES_READ;
#endif
#ifdef LANDLOCK_ACCESS_FS_REFER
	if (version >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
#endif
#ifdef LANDLOCK_ACCESS_FS_TRUNCATE
	if (version >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
#endif
#ifdef LANDLOCK_ACCESS_NET_BIND_TCP
	if (version >= 4)
		attr.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP |
		    LANDLOCK_ACCESS_NET_CONNECT_TCP;
#endif
#ifdef LANDLOCK_SCOPE_SIGNAL
	if (version >= 6)
		attr.scoped =
		    LANDLOCK_SCOPE_SIGNAL | LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET;
#endif
	return attr;
}

/* Without the directory there will be no temporary files, and that is said. */
static void
allow_spool(int rules, uint64_t ruled, const char *spool_dir)
{
	struct landlock_path_beneath_attr beneath;

	memset(&beneath, 0, sizeof(beneath));
	beneath.allowed_access = FILES_IN_SPOOL & ruled;
	beneath.parent_fd = open(spool_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (beneath.parent_fd == -1 ||
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		&beneath, 0) == -1)
		log_warn("spool_dir %s", spool_dir);
	if (beneath.parent_fd != -1)
		close(beneath.parent_fd);
}

static int
restrict_files(const char *spool_dir)
{
	struct landlock_ruleset_attr attr;
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	int rules, n;

	if (version < 1)
		return 0;
	attr = what_is_ruled(version);
	rules =
	    (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules == -1)
		return 0;
	allow_spool(rules, attr.handled_access_fs, spool_dir);
	n = (int)syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
	return n == 0 ? SANDBOX_FILES : 0;
}

#else

static int
restrict_files(const char *spool_dir)
{
	(void)spool_dir;
	return 0;
}

#endif

int
sandbox_gateway(const char *spool_dir)
{
	int parts = SANDBOX_NO_NEW_PRIVILEGES;

	process_forbid_new_privileges();
	tzset(); /* syslog(3) would read the time zone later */
	parts |= restrict_files(spool_dir);
	return parts | (filter_calls(log_fd() == -1) ? SANDBOX_CALLS : 0);
}
