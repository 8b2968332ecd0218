/*
 * base/elf: what is no program for us, and files that lie about themselves.
 */
#include "base/elf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system.h"

static char path[] = "/tmp/scgid-elf.XXXXXX";

#ifdef HAVE_PRELOAD

static void
test_programs(void **state)
{
	(void)state;
	/* This one, and what every system has. */
	assert_null(elf_refuses_preload("/proc/self/exe"));
	assert_null(elf_refuses_preload("/bin/sh"));
	assert_string_equal(
	    elf_refuses_preload("/nowhere"), "its program cannot be read");
	assert_string_equal(
	    elf_refuses_preload("/"), "its program cannot be read");
	assert_string_equal(
	    elf_refuses_preload("/dev/null"), "its program cannot be read");
}

static void
write_file(const char *bytes, size_t length)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, length, f), length);
	fclose(f);
}

/* The start of a real program, cut anywhere or with any byte changed. */
static void
test_damage(void **state)
{
	static char whole[256 * 1024], damaged[sizeof(whole)];
	FILE *f = fopen("/bin/sh", "r");
	size_t length = fread(whole, 1, sizeof(whole), f);
	unsigned dice = 20080101;

	(void)state;
	fclose(f);
	for (size_t cut = 0; cut < 1200 && cut < length; cut += 3) {
		write_file(whole, cut);
		assert_non_null(elf_refuses_preload(path));
	}
	for (int i = 0; i < 3000; i++) {
		memcpy(damaged, whole, length);
		for (int n = 0; n < 3; n++) {
			dice = dice * 1103515245 + 12345;
			damaged[(dice >> 8) % 1000] = (char)(dice >> 20);
		}
		write_file(damaged, 4096);
		(void)elf_refuses_preload(path);
	}
}

static void
test_privileges(void **state)
{
	(void)state;
	write_file("#!/bin/sh\n", 10);
	assert_string_equal(
	    elf_refuses_preload(path), "it is not a program of this machine");
	assert_int_equal(chmod(path, 04755), 0);
	assert_string_equal(elf_refuses_preload(path),
	    "it runs with other privileges than its caller's (set-user-id)");
}

#else

static void
test_no_system(void **state)
{
	(void)state;
	assert_non_null(elf_refuses_preload("/bin/sh"));
}

#endif

static int
begin(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd == -1;
}

static int
end(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_PRELOAD
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_privileges),
#else
	    cmocka_unit_test(test_no_system),
#endif
	};

	return cmocka_run_group_tests(tests, begin, end);
}
