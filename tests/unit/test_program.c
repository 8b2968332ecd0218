/*
 * launcher/program: #! lines as the kernel takes them.
 */
#include "launcher/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/scgid-program.XXXXXX";

static const char *
put(const char *name, const char *text, mode_t mode)
{
	static char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* What `line` makes of a script; "" for what is not there, NULL: no program. */
static const char *
find(const char *line)
{
	static struct program p;
	static char text[3 * PROGRAM_PATH_MAX];
	const char *path = put("script", line, 0755);

	if (program_find(&p, path, "/nowhere::/bin:/usr/bin") == -1)
		return NULL;
	snprintf(text, sizeof(text), "%s|%s|%s|%s", p.path,
	    p.name != NULL ? p.name : "", p.option != NULL ? p.option : "",
	    p.has_own_name ? p.path : "script");
	return text;
}

static void
test_lines(void **state)
{
	static const struct {
		const char *line, *found;
	} cases[] = {
	    {"#!/bin/sh\necho", "/bin/sh|/bin/sh||script"},
	    {"#!/bin/sh", "/bin/sh|/bin/sh||script"},
	    {"#! \t /bin/sh  \t\n", "/bin/sh|/bin/sh||script"},
	    {"#!/bin/sh -e\n", "/bin/sh|/bin/sh|-e|script"},
	    {"#!/bin/sh\t  -e -u  \n", "/bin/sh|/bin/sh|-e -u|script"},
	    {"#!/bin/sh -e\r\n", "/bin/sh|/bin/sh|-e\r|script"},
	    {"#!/bin/sh\r\n", NULL},
	    {"#!\n", NULL},
	    {"#!   \n", NULL},
	    {"#!bin/sh\n", NULL},
	    {"#!sh\n", NULL},
	    {"#!/nowhere/sh\n", NULL},
	    {"# !/bin/sh\n", NULL},
	    {"", NULL},
	    {"echo hello\n", NULL},
	    {"#!/usr/bin/env sh\n", "/bin/sh|sh||/bin/sh"},
	    {"#!/usr/bin/env  sh \n", "/bin/sh|sh||/bin/sh"},
	    {"#!/usr/bin/env /bin/sh\n", "/bin/sh|/bin/sh||/bin/sh"},
	    {"#!/usr/bin/env no-such-program\n", NULL},
	    {"#!/usr/bin/env bin/sh\n", NULL},
	    /* Too much for us: env itself is the program. */
	    {"#!/usr/bin/env\n", "/usr/bin/env|/usr/bin/env||script"},
	    {"#!/usr/bin/env -S sh -e\n",
		"/usr/bin/env|/usr/bin/env|-S sh -e|script"},
	    {"#!/usr/bin/env A=b\n", "/usr/bin/env|/usr/bin/env|A=b|script"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *found = find(cases[i].line);

		if (cases[i].found == NULL)
			assert_null(found);
		else
			assert_string_equal(found, cases[i].found);
	}
}

/* A line that the kernel would cut, each kernel in its own way. */
static void
test_long_line(void **state)
{
	char line[600];

	(void)state;
	for (size_t length = 200; length < 500; length += 11) {
		memset(line, 'x', sizeof(line));
		memcpy(line, "#!/bin/sh ", 10);
		memcpy(line + length, "\n", 2);
		assert_int_equal(find(line) == NULL, length > 254);
	}
}

static void
test_programs(void **state)
{
	struct program p;
	char path[4096];

	(void)state;
	assert_int_equal(program_find(&p, "/bin/sh", ""), 0);
	assert_string_equal(p.path, "/bin/sh");
	assert_null(p.name);
	assert_null(p.option);
	assert_int_equal(program_find(&p, "/", ""), -1);
	assert_int_equal(program_find(&p, "/nowhere", ""), -1);
	/* A script's interpreter that is a script itself. */
	snprintf(
	    path, sizeof(path), "#!%s\n", put("outer", "#!/bin/sh\n", 0755));
	assert_int_equal(program_find(&p, put("inner", path, 0755), ""), -1);
}

static void
test_not_executable(void **state)
{
	struct program p;

	(void)state;
	assert_int_equal(
	    program_find(&p, put("plain", "#!/bin/sh\n", 0644), ""), -1);
	assert_int_equal(
	    program_find(&p, put("plain", "#!/bin/sh\n", 0755), ""), 0);
}

static struct watch_stamp
stamp_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return watch_stamp(&st);
}

static void
pass_time(long milliseconds)
{
	nanosleep(&(struct timespec){milliseconds / 1000,
		      milliseconds % 1000 * 1000000},
	    NULL);
}

/* What was found counts while the file looks the same, and not for long. */
static void
test_recall(void **state)
{
	const char *path = put("script", "#!/usr/bin/env sh\n", 0755);
	struct watch_stamp stamp = stamp_of(path);
	const struct program *found;

	(void)state;
	pass_time(30);
	found = program_recall(path, &stamp, "/bin");
	assert_string_equal(found->path, "/bin/sh");
	/* Nothing is read of a file that is known. */
	unlink(path);
	assert_ptr_equal(program_recall(path, &stamp, "/bin"), found);
	pass_time(1100);
	assert_null(program_recall(path, &stamp, "/bin"));
}

static void
test_recall_of_another(void **state)
{
	const char *path = put("script", "#!/usr/bin/env sh\n", 0755);
	struct watch_stamp stamp = stamp_of(path);

	(void)state;
	pass_time(30);
	assert_non_null(program_recall(path, &stamp, "/bin"));
	assert_null(program_recall(path, &stamp, "/nowhere"));
	assert_non_null(program_recall(path, &stamp, "/bin"));
	put("script", "#!/bin/sh -e\n", 0755);
	stamp = stamp_of(path);
	assert_string_equal(program_recall(path, &stamp, "/bin")->option, "-e");
	/* It has changed just now, and may again in the same tick. */
	put("script", "#!/bin/sh -u\n", 0755);
	assert_string_equal(program_recall(path, &stamp, "/bin")->option, "-u");
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
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_long_line),
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_not_executable),
	    cmocka_unit_test(test_recall),
	    cmocka_unit_test(test_recall_of_another),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
