/*
 * launcher/watch: whatever a deploy may do to a file is seen.
 */
#include "launcher/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/scgid-watch.XXXXXX";

static const char *
path_of(const char *name)
{
	static char paths[4][4096];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Longer than the kernel's clock for files may lag behind. */
static void
pass_time(void)
{
	nanosleep(&(struct timespec){0, 30000000}, NULL);
}

static struct timespec
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t;
}

/* A watch of "file", as it has been for a while. */
static struct watch_list
watch(const char *name)
{
	struct watch_list list = {0};
	struct timespec t;

	pass_time();
	t = now();
	assert_int_equal(watch_add(&list, path_of(name), &t), 0);
	return list;
}

static void
expect(struct watch_list *list, bool is_changed)
{
	const char *changed = watch_find_changed(list);

	if (is_changed)
		assert_string_equal(changed, list->items[0].path);
	else
		assert_null(changed);
	watch_fini(list);
}

static void
test_unchanged(void **state)
{
	struct watch_list list;
	char text[3];
	int fd;

	(void)state;
	put("file", "one");
	list = watch("file");
	assert_true(watch_has(&list, path_of("file")));
	assert_false(watch_has(&list, path_of("other")));
	fd = open(path_of("file"), O_RDONLY);
	assert_int_equal(read(fd, text, 3), 3);
	close(fd);
	expect(&list, false);
}

static void
test_written(void **state)
{
	struct watch_list list;
	struct timespec times[2];
	struct stat st;

	(void)state;
	put("file", "one");
	stat(path_of("file"), &st);
	list = watch("file");
	/* The same size, the same modification time. */
	put("file", "two");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path_of("file"), times, 0), 0);
	expect(&list, true);
}

static void
test_replaced(void **state)
{
	struct watch_list list;

	(void)state;
	put("file", "one");
	put("other", "one");
	list = watch("file");
	assert_int_equal(rename(path_of("other"), path_of("file")), 0);
	expect(&list, true);
}

static void
test_removed_and_made(void **state)
{
	struct watch_list list;

	(void)state;
	put("file", "one");
	list = watch("file");
	unlink(path_of("file"));
	assert_non_null(watch_find_changed(&list));
	expect(&list, true);
	list = watch("file");
	assert_null(watch_find_changed(&list));
	put("file", "one");
	expect(&list, true);
}

static void
test_mode(void **state)
{
	struct watch_list list;

	(void)state;
	put("file", "one");
	list = watch("file");
	assert_int_equal(chmod(path_of("file"), 0600), 0);
	expect(&list, true);
}

static void
test_directory_above(void **state)
{
	struct watch_list list;

	(void)state;
	mkdir(path_of("one"), 0755);
	mkdir(path_of("two"), 0755);
	put("one/file", "same");
	put("two/file", "same");
	assert_int_equal(symlink("one", path_of("current")), 0);
	assert_int_equal(symlink("two", path_of("next")), 0);
	list = watch("current/file");
	assert_int_equal(rename(path_of("next"), path_of("current")), 0);
	expect(&list, true);
}

/* Written after the reading may have begun: nobody knows what was read. */
static void
test_in_doubt(void **state)
{
	struct watch_list list = {0};
	struct timespec before = now();

	(void)state;
	put("file", "one");
	assert_int_equal(watch_add(&list, path_of("file"), &before), 0);
	expect(&list, true);
}

static void
test_many(void **state)
{
	struct watch_list list = {0};
	struct timespec t;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "many%d", i);
		put(name, "");
	}
	pass_time();
	t = now();
	for (int i = 0; i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "many%d", i);
		assert_int_equal(watch_add(&list, path_of(name), &t), 0);
	}
	assert_null(watch_find_changed(&list));
	put("many57", "new");
	assert_string_equal(watch_find_changed(&list), path_of("many57"));
	watch_fini(&list);
	assert_null(watch_find_changed(&list));
}

/* They are looked at once in a second. */
static void
test_system(void **state)
{
	struct watch_list list;

	(void)state;
	put("file", "one");
	list = watch("file");
	assert_false(list.items[0].is_system);
	list.items[0].is_system = true;
	assert_null(watch_find_changed(&list));
	put("file", "two");
	assert_null(watch_find_changed(&list));
	list.system_at -= 1000000;
	expect(&list, true);
}

static void
test_places(void **state)
{
	static const struct {
		const char *path;
		bool is_system;
	} cases[] = {
	    {"/lib/x86_64-linux-gnu/libc.so.6", true},
	    {"/usr/lib64/libc.so.6", true},
	    {"/usr/lib/python3/dist-packages/flask/app.py", true},
	    {"/usr/share/perl/5.36/strict.pm", true},
	    {"/usr/lib/cgi-bin/module.py", false},
	    {"/usr/local/lib/python3.11/module.py", false},
	    {"/srv/usr/lib/module.py", false},
	};
	const struct timespec t = now();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct watch_list list = {0};

		assert_int_equal(watch_add(&list, cases[i].path, &t), 0);
		assert_int_equal(list.items[0].is_system, cases[i].is_system);
		watch_fini(&list);
	}
}

static int
begin(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL;
}

static int
end(void **state)
{
	char command[4200];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", directory);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unchanged),
	    cmocka_unit_test(test_written),
	    cmocka_unit_test(test_replaced),
	    cmocka_unit_test(test_removed_and_made),
	    cmocka_unit_test(test_mode),
	    cmocka_unit_test(test_directory_above),
	    cmocka_unit_test(test_in_doubt),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_system),
	    cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
