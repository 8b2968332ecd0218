/* Who may connect, what is below a chroot, and what is warned of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

static struct buffer errors;

/* whole: a pool with these lines, and a map with those. */
static struct config *
parse(const char *pool, const char *map)
{
	const char *user = geteuid() == 0 ? "user = nobody\n" : "";
	char text[4096];
	struct config *config;

	snprintf(
	    text, sizeof(text), "[p]\n%s%s\n[p /m]\n%s\n", user, pool, map);
	buffer_fini(&errors);
	config = config_parse("t", text, strlen(text), &errors);
	assert_int_equal(buffer_append(&errors, "", 1), 0);
	return config;
}

static void
assert_refused(const char *pool, const char *map, const char *why)
{
	struct config *config = parse(pool, map);

	if (config != NULL)
		fail_msg("accepted: %s", pool);
	if (strstr(errors.data, why) == NULL)
		fail_msg("not \"%s\" but: %s", why, errors.data);
}

static void
assert_accepted(const char *pool, const char *map)
{
	struct config *config = parse(pool, map);

	if (config == NULL)
		fail_msg("refused: %s", errors.data);
	config_free(config);
}

/* An open port is remote execution: it takes a list of peers. */
static void
test_open_ports(void **state)
{
	static const char *const open[] = {
	    "0.0.0.0:4000", "[::]:4000", "192.0.2.1:4000", "[2001:db8::1]:1"};
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		snprintf(line, sizeof(line), "listen = %s", open[i]);
		assert_refused(line, "root = /", "allow = 192.0.2.7");
		snprintf(
		    line, sizeof(line), "listen = %s\nallow = root", open[i]);
		assert_refused(line, "root = /", "not a loopback address");
		snprintf(line, sizeof(line),
		    "allow = 10.0.0.0/8\nlisten = %s\nallow = ::1 root",
		    open[i]);
		assert_accepted(line, "root = /");
	}
	assert_accepted(
	    "listen = 127.0.0.1:4000\nlisten = [::1]:1", "root = /");
}

/* The error names the line of the listener, not of the section. */
static void
test_line_of_a_port(void **state)
{
	(void)state;
	assert_refused("listen = /tmp/a\nlisten = 0.0.0.0:1\nlisten = /tmp/b",
	    "root = /", geteuid() == 0 ? "t:4: listen: " : "t:3: listen: ");
}

/* Users mean nothing on a port: whoever thinks so is told. */
static void
test_users_and_ports(void **state)
{
	(void)state;
	assert_refused("listen = 127.0.0.1:4000\nallow = root", "root = /",
	    "allow names users only");
	assert_accepted("listen = 127.0.0.1:4000\nlisten = /tmp/x\n"
			"allow = root 127.0.0.1",
	    "root = /");
	assert_accepted("listen = /tmp/x\nallow = 192.0.2.1", "root = /");
}

static void
test_parsed_peers(void **state)
{
	struct config *config = parse("listen = /tmp/x\nallow = 10.1.0.0/16 "
				      "root\nallow = 2001:db8::/31",
	    "root = /");
	const struct config_peer *peers;

	(void)state;
	assert_non_null(config);
	peers = config->pools[0].peers;
	assert_int_equal(config->pools[0].peer_count, 3);
	assert_int_equal(peers[0].family, AF_INET);
	assert_int_equal(peers[0].bits, 16);
	assert_memory_equal(peers[0].address, "\x0a\x01\0\0", 4);
	assert_int_equal(peers[1].family, AF_UNIX);
	assert_int_equal(peers[1].uid, 0);
	assert_int_equal(peers[2].family, AF_INET6);
	assert_int_equal(peers[2].bits, 31);
	assert_memory_equal(peers[2].address, "\x20\x01\x0d\xb8", 4);
	config_free(config);
}

static void
make_file(const char *root, const char *name)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, name);
	assert_non_null(file = fopen(path, "w"));
	fclose(file);
}

/* A map's paths are the launcher's: below the pool's chroot. */
static void
test_paths_in_a_chroot(void **state)
{
	char root[] = "/tmp/scgid-unit.XXXXXX", pool[128], path[256];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/cgi", root);
	assert_int_equal(mkdir(path, 0755), 0);
	make_file(root, "/cgi/x");
	snprintf(path, sizeof(path), "%s/away", root);
	assert_int_equal(symlink("/cgi", path), 0); /* there, not here */
	snprintf(pool, sizeof(pool), "listen = /tmp/x\nchroot = %s", root);
	assert_accepted(pool, "root = /cgi");
	assert_accepted(pool, "root = /away\nhandler.x = /cgi/x");
	assert_accepted(pool, "script = /cgi/x");
	assert_refused(pool, "root = /tmp",
	    "t:6: root: '/tmp' in the chroot /tmp/scgid-unit.");
	assert_refused(pool, "script = /cgi", "is not a regular file");
	assert_refused(pool, "root = /cgi\nhandler.x = /bin/sh",
	    "t:7: handler.x: '/bin/sh' in the chroot");
	assert_refused("listen = /tmp/x", "root = /away", "'/away': No such");
	snprintf(path, sizeof(path), "rm -r %s", root);
	assert_int_equal(system(path), 0);
}

static void
test_warnings(void **state)
{
	static const char text[] =
	    "[scgid]\nuser = nobody\n"
	    "[a]\nlisten = /tmp/a\nuser = daemon\n[a /]\nroot = /\n"
	    "[b]\nlisten = /tmp/b\nuser = nobody\n[b /]\nroot = /\n"
	    "[c]\nlisten = /tmp/c\nuser = daemon\n[c /]\nroot = /\n"
	    "[d]\nlisten = /tmp/d\nuser = root\n[d /]\nroot = /\n"
	    "[a /p]\nwsgi = /bin/sh\nhandler.py = /bin/cat\n"
	    "[a /q]\nwsgi = /bin/sh\nhandler.sh = /bin/cat\n"
	    "[a /r]\nroot = /\nhandler.py = /bin/cat\n";
	struct buffer warnings = {0};
	struct config *config;

	(void)state;
	if (geteuid() != 0)
		skip();
	config = config_parse("t", text, strlen(text), &errors);
	assert_non_null(config);
	config_warn(config, &warnings);
	assert_int_equal(buffer_append(&warnings, "", 1), 0);
	assert_non_null(strstr(warnings.data, "t:8: pool 'b' runs its"));
	assert_non_null(strstr(warnings.data, "t:13: pools 'a' and 'c' have"));
	assert_non_null(strstr(warnings.data, "t:18: pool 'd' runs its"));
	assert_non_null(strstr(warnings.data,
	    "t:23: map [a /p]: its wsgi application is run by handler.py, and "
	    "/bin/cat is hardly a Python\n"));
	assert_null(strstr(warnings.data, "t:3: "));
	assert_null(strstr(warnings.data, "t:26: "));
	assert_null(strstr(warnings.data, "t:29: "));
	buffer_fini(&warnings);
	config_free(config);
}

static int
tear_down(void **state)
{
	(void)state;
	buffer_fini(&errors);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_open_ports),
	    cmocka_unit_test(test_line_of_a_port),
	    cmocka_unit_test(test_users_and_ports),
	    cmocka_unit_test(test_parsed_peers),
	    cmocka_unit_test(test_paths_in_a_chroot),
	    cmocka_unit_test(test_warnings),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
