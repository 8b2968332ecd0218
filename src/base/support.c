/*
 * support.c: a build tree, or the directory that was chosen when it was built.
 */
#include "base/support.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char build_tree[PATH_MAX];

void
support_init(void)
{
	static const char beside[] = "/forkserver";
	char self[PATH_MAX - sizeof(beside)];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return;
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) == NULL)
		return;
	*slash = '\0';
	snprintf(build_tree, sizeof(build_tree), "%s%s", self, beside);
	if (access(build_tree, X_OK) == -1)
		build_tree[0] = '\0';
}

const char *
support_directory(void)
{
	return build_tree[0] != '\0' ? build_tree : SCGID_SUPPORT;
}
