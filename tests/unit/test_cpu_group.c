/* Shares of the processors: in a directory that imitates control groups of
 * version 2, and in real ones where there are some for us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu_group.h"

static char mount[PATH_MAX / 4], group[PATH_MAX / 2];

/* where: the path of our group of version 2; skips where there is none. */
static const char *
where(void)
{
	static char line[PATH_MAX / 4];
	FILE *file = fopen("/proc/self/cgroup", "r");
	bool is_found = false;

	while (file != NULL && !is_found && fgets(line, sizeof(line), file))
		is_found = strncmp(line, "0::", 3) == 0;
	if (file != NULL)
		fclose(file);
	if (!is_found)
		skip();
	line[strcspn(line, "\n")] = '\0';
	return line + 3;
}

static const char *
path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", group, name);
	return path;
}

static void
put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static const char *
get(const char *path)
{
	static char text[256];
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	return text;
}

static void
make_directories(char *path)
{
	for (char *p = path + strlen(mount) + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	mkdir(path, 0755);
}

/* imitate: our group, with these processes besides us. */
static void
imitate(const char *others)
{
	char text[64];

	snprintf(mount, sizeof(mount), "/tmp/scgid-unit.XXXXXX");
	assert_non_null(mkdtemp(mount));
	snprintf(group, sizeof(group), "%s%s", mount, where());
	make_directories(group);
	snprintf(text, sizeof(text), "%ld\n%s", (long)getpid(), others);
	put(path_of("cgroup.procs"), text);
	put(path_of("cgroup.subtree_control"), "");
}

static void
add_group(const char *name)
{
	char file[64];

	mkdir(path_of(name), 0755);
	snprintf(file, sizeof(file), "%s/cgroup.procs", name);
	put(path_of(file), "");
}

static int
remove_imitation(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", mount);
	return mount[0] == '\0' ? 0 : system(command);
}

static void
test_version_2(void **state)
{
	(void)state;
	imitate("");
	add_group("supervisor");
	assert_true(cpu_group_begin(mount, "imaginary"));
	assert_string_equal(get(path_of("supervisor/cgroup.procs")), "0");
	assert_string_equal(
	    get(path_of("cgroup.subtree_control")), "+imaginary");
	/* What the kernel would have made with the directory. */
	add_group("pool.a");
	put(path_of("pool.a/cpu.weight.nice"), "");
	assert_int_equal(cpu_group_enter("a", 7), 0);
	assert_string_equal(get(path_of("pool.a/cgroup.procs")), "0");
	assert_string_equal(get(path_of("pool.a/cpu.weight.nice")), "7");
	/* Nothing is removed that is in use. */
	cpu_group_remove("a");
	assert_int_equal(access(path_of("pool.a"), F_OK), 0);
	assert_int_equal(cpu_group_enter("b", 0), -1);
	cpu_group_end();
	assert_string_equal(
	    get(path_of("cgroup.subtree_control")), "-imaginary");
	assert_int_equal(get(path_of("cgroup.procs"))[0], '0');
	assert_int_equal(cpu_group_enter("a", 0), 0);
}

/* Others would be in the way of version 2, and beside the pools in 1. */
static void
test_company(void **state)
{
	(void)state;
	imitate("1\n");
	assert_false(cpu_group_begin(mount, "imaginary"));
	assert_string_equal(get(path_of("cgroup.subtree_control")), "");
	assert_int_equal(access(path_of("supervisor"), F_OK), -1);
	assert_int_equal(cpu_group_enter("a", 0), 0);
	assert_int_equal(access(path_of("pool.a"), F_OK), -1);
}

static void
test_refusal(void **state)
{
	(void)state;
	imitate("");
	add_group("supervisor");
	assert_int_equal(unlink(path_of("cgroup.subtree_control")), 0);
	assert_false(cpu_group_begin(mount, "imaginary"));
	assert_int_equal(get(path_of("cgroup.procs"))[0], '0');
	assert_false(cpu_group_begin("/nonexistent", "imaginary"));
}

/* in_group: whether our line of this hierarchy ends with `end`. */
static bool
in_group(const char *end)
{
	FILE *file = fopen("/proc/self/cgroup", "r");
	char line[PATH_MAX];
	bool is_found = false;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		size_t length = strcspn(line, "\n"), n = strlen(end);

		is_found |=
		    length > n && strncmp(line + length - n, end, n) == 0;
	}
	if (file != NULL)
		fclose(file);
	return is_found;
}

/* The child: 0, or which step went wrong. */
static int
live_in_groups(const char *hierarchy, const char *controller)
{
	int status = -1;
	pid_t pid;

	put(path_of("cgroup.procs"), "0");
	if (!cpu_group_begin(hierarchy, controller))
		return 1;
	if (!in_group("/supervisor"))
		return 2;
	if ((pid = fork()) == 0)
		_exit(cpu_group_enter("a", 0) == 0 && in_group("/pool.a") ? 0
									  : 1);
	waitpid(pid, &status, 0);
	if (status != 0)
		return 3;
	if (access(path_of("pool.a"), F_OK) == -1)
		return 4;
	cpu_group_remove("a");
	if (access(path_of("pool.a"), F_OK) == 0)
		return 5;
	cpu_group_end();
	return access(path_of("supervisor"), F_OK) == 0 ? 6 : 0;
}

/* `top` is a group that may be written to. */
static void
try_for_real(const char *top, const char *hierarchy, const char *controller)
{
	int status = -1;
	pid_t pid;

	snprintf(
	    group, sizeof(group), "%s/scgid-unit.%ld", top, (long)getpid());
	if (mkdir(group, 0755) == -1)
		skip();
	if ((pid = fork()) == 0)
		_exit(live_in_groups(hierarchy, controller));
	waitpid(pid, &status, 0);
	rmdir(group);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_real_version_1(void **state)
{
	(void)state;
	if (access("/sys/fs/cgroup/cpu/cpu.shares", W_OK) == -1 &&
	    access("/sys/fs/cgroup/cpu/tasks", W_OK) == -1)
		skip();
	try_for_real("/sys/fs/cgroup/cpu", CPU_GROUP_MOUNT, "cpu");
}

/* With whatever controller is on at the root. */
static void
test_real_version_2(void **state)
{
	static const char *const mounts[] = {
	    "/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char controller[64] = "", path[128];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		snprintf(
		    path, sizeof(path), "%s/cgroup.subtree_control", mounts[i]);
		if (access(path, W_OK) == 0 &&
		    sscanf(get(path), "%63s", controller) == 1) {
			try_for_real(mounts[i], mounts[i], controller);
			return;
		}
	}
	skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_version_2, remove_imitation),
	    cmocka_unit_test_teardown(test_company, remove_imitation),
	    cmocka_unit_test_teardown(test_refusal, remove_imitation),
	    cmocka_unit_test(test_real_version_1),
	    cmocka_unit_test(test_real_version_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
