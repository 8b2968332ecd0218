/*
 * The configuration: every key once right and once wrong, each trap of inih,
 * the lines of errors, inclusion, the dump, and the choice of a map.
 *
 * Runs as root and as anyone else; what needs root is skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "config/config.h"
#include "config/options.h"

/* Names that exist wherever this runs: our own, or those of nobody. */
static char user_name[64];
static char group_name[64];
static char user_line[80]; /* "user = nobody\n", or nothing */

static struct buffer errors;

static int
set_up(void **state)
{
	uid_t uid = geteuid();
	struct passwd *user = uid == 0 ? getpwnam("nobody") : getpwuid(uid);
	struct group *group;

	(void)state;
	if (user == NULL)
		return -1;
	snprintf(user_name, sizeof(user_name), "%s", user->pw_name);
	if (uid == 0)
		snprintf(
		    user_line, sizeof(user_line), "user = %s\n", user_name);
	group = getgrgid(uid == 0 ? user->pw_gid : getegid());
	if (group == NULL)
		return -1;
	snprintf(group_name, sizeof(group_name), "%s", group->gr_name);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buffer_fini(&errors);
	return 0;
}

/* parse: `text` as the file "t"; its errors are in `errors` as a string. */
static struct config *
parse_bytes(const char *text, size_t length)
{
	struct config *config;

	buffer_fini(&errors);
	config = config_parse("t", text, length, &errors);
	assert_int_equal(config == NULL, errors.length > 0);
	assert_int_equal(buffer_append(&errors, "", 1), 0);
	return config;
}

static struct config *
parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

/* whole: a pool of two or three lines, then `pool`; a map, then `map`. */
static const char *
whole(const char *pool, const char *map)
{
	static char text[8192];

	snprintf(text, sizeof(text),
	    "[p]\nlisten = /tmp/p.sock\n%s%s\n[p /m]\nroot = /\n%s\n",
	    user_line, pool, map);
	return text;
}

static struct config *
parse_good(const char *text)
{
	struct config *config = parse(text);

	if (config == NULL)
		fail_msg("refused: %s\n%s", errors.data, text);
	return config;
}

/* assert_errors: `text` is refused with exactly these lines. */
static void
assert_errors(const char *text, const char *expected)
{
	struct config *config = parse(text);

	assert_null(config);
	assert_string_equal(errors.data, expected);
}

/* assert_one_error: exactly one error, in `line`, and what it says. */
static void
assert_one_error(const char *text, unsigned line, const char *part)
{
	struct config *config = parse(text);
	char start[32];

	if (config != NULL)
		fail_msg("accepted:\n%s", text);
	snprintf(start, sizeof(start), "t:%u: ", line);
	if (strncmp(errors.data, start, strlen(start)) != 0 ||
	    strstr(errors.data, part) == NULL ||
	    strchr(errors.data, '\n')[1] != '\0')
		fail_msg("expected one error \"%s...%s\", not:\n%s\nof:\n%s",
		    start, part, errors.data, text);
}

static char *
dump(const struct config *config)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	assert_int_equal(config_print(config, out), 0);
	fclose(out);
	return text;
}

/* What only root may say, with an error that depends on who we are. */
#define ROOT_ONLY NULL

/*
 * Every key: a right value, how the dump writes it (NULL: the same), and a
 * wrong one with what the error says.  "@U" and "@G" are our user and group.
 */
static const struct key_case {
	enum option_section section;
	const char *key, *good, *printed, *bad, *why;
} key_cases[] = {
    {SECTION_SCGID, "user", "@U", NULL, "no-such-user",
	"there is no user 'no-such-user'"},
    {SECTION_SCGID, "log", "/var/log/scgid.log", NULL, "file.log",
	"not one of stderr|syslog and not an absolute path"},
    {SECTION_SCGID, "log", "syslog", NULL, "/var/log/", "a directory"},
    {SECTION_SCGID, "include", NULL, NULL, "x.conf", "only a conf"},
    {SECTION_POOL, "listen", "127.0.0.1:4000", NULL, "10.0.0.1:4000",
	"not a loopback address: whoever connects could run"},
    {SECTION_POOL, "listen", "127.9.9.9:1", NULL, "0.0.0.0:80",
	"not a loopback address"},
    {SECTION_POOL, "listen", "[::1]:65535", NULL, "[::]:80",
	"not a loopback address"},
    {SECTION_POOL, "listen", "/tmp/a:b", NULL, "localhost:4000",
	"'localhost' is not a numeric address"},
    {SECTION_POOL, "listen", "unix:/tmp/x", NULL, "unix:x",
	"'x' is not an absolute path"},
    {SECTION_POOL, "listen", "/x", NULL, "4000", "is no address"},
    {SECTION_POOL, "listen", "/y", NULL, "127.0.0.1:65536",
	"'65536' is not a port"},
    {SECTION_POOL, "listen", "/z", NULL, "127.0.0.1:", "is not a port"},
    {SECTION_POOL, "listen", "/z", NULL, "127.0.0.1:0", "not a port"},
    {SECTION_POOL, "listen", "/z", NULL, "::1:4000", "not a numeric"},
    {SECTION_POOL, "listen", "/z", NULL, "[127.0.0.1]:1", "not a num"},
    {SECTION_POOL, "listen", "/z", NULL, "/z/", "names a directory"},
    {SECTION_POOL, "listen_owner", "@U", NULL, "no-such-user",
	"there is no user"},
    {SECTION_POOL, "listen_group", "@G", NULL, "no-such-group",
	"there is no group 'no-such-group'"},
    {SECTION_POOL, "listen_mode", "600", "0600", "0668",
	"'0668' is not an octal number"},
    {SECTION_POOL, "listen_mode", "0777", NULL, "01000",
	"out of range, 0000-0777"},
    {SECTION_POOL, "backlog", "65535", NULL, "0", "range, 1-65535"},
    {SECTION_POOL, "user", "@U", NULL, "no-such-user", "no user"},
    {SECTION_POOL, "group", "@G", NULL, "no-such-group", "no group"},
    {SECTION_POOL, "allow", "@U", NULL, "no-such-user", "there is no user"},
    {SECTION_POOL, "allow", "192.0.2.0/24", NULL, "192.0.2.1/24",
	"bits of its address set after the first 24"},
    {SECTION_POOL, "allow", "2001:db8::/32", NULL, "2001:db8::/129",
	"a prefix has at most 128 bits"},
    {SECTION_POOL, "allow", "0.0.0.0/0", NULL, "0.0.0.0/33", "at most 32"},
    {SECTION_POOL, "allow", "::1", NULL, "::1/", "is not a network"},
    {SECTION_POOL, "allow", "127.0.0.1", NULL, "127.0.0", "not an address"},
    {SECTION_POOL, "groups", "@G", NULL, "no-such-group", ROOT_ONLY},
    {SECTION_POOL, "chroot", "/", NULL, "/no/such/place", ROOT_ONLY},
    {SECTION_POOL, "nice", "19", NULL, "20", "range, 0-19"},
    {SECTION_POOL, "limit_cpu", "10s", NULL, "10", "has no unit"},
    {SECTION_POOL, "limit_memory", "512M", NULL, "lots", "is not a size"},
    {SECTION_POOL, "limit_files", "16", NULL, "15",
	"15 is too few, a launcher needs 16"},
    {SECTION_POOL, "limit_processes", "64", NULL, "-1", "not a number"},
    {SECTION_POOL, "limit_file_size", "1G", NULL, "1T", "is not a size"},
    {SECTION_POOL, "limit_core", "0", NULL, "no", "is not a size"},
    {SECTION_POOL, "gateways", "64", NULL, "65", "range, 1-64"},
    {SECTION_POOL, "gateways", "1", NULL, "0", "range, 1-64"},
    {SECTION_POOL, "launchers", "2", NULL, "65", "range, 0-64"},
    {SECTION_POOL, "workers", "65536", NULL, "65537", "0-65536"},
    {SECTION_POOL, "workers", "7", NULL, "-1", "is not a number"},
    {SECTION_POOL, "fork_servers", "0", NULL, "257", "range, 0-256"},
    {SECTION_POOL, "queue", "10", NULL, "many", "is not a number"},
    {SECTION_POOL, "queue", "10", NULL, "99999999999999999999", "out of range"},
    {SECTION_POOL, "queue_timeout", "0", NULL, "30",
	"'30' has no unit: write 30ms, 30s, 30m or 30h"},
    {SECTION_POOL, "header_timeout", "250ms", NULL, "0",
	"'0' is out of range, 1ms-8760h"},
    {SECTION_POOL, "body_timeout", "90s", NULL, "1.5s", "not a time"},
    {SECTION_POOL, "idle_timeout", "60s", "1m", "s", "not a time"},
    {SECTION_POOL, "script_timeout", "8760h", NULL, "8761h", "range"},
    {SECTION_POOL, "script_timeout", "1h", NULL, "9999999999999999999h",
	"range"},
    {SECTION_POOL, "background_grace", "0s", "0", "1 s", "not a time"},
    {SECTION_POOL, "kill_grace", "5m", NULL, "5min", "not a time"},
    {SECTION_POOL, "half_close", "wait", NULL, "Wait",
	"'Wait' is not one of abort|wait"},
    {SECTION_POOL, "max_header", "4K", NULL, "4095", "4K-256K"},
    {SECTION_POOL, "max_header", "262144", "256K", "257K", "4K-256K"},
    {SECTION_POOL, "max_body", "2G", NULL, "2GB", "is not a size"},
    {SECTION_POOL, "max_body", "1000", NULL, "9000000000G", "range, 0-"},
    {SECTION_POOL, "body_memory", "64m", "64M", "65M", "range, 0-64M"},
    {SECTION_POOL, "max_response_header", "1024K", "1M", "512", "range, 1K-1M"},
    {SECTION_POOL, "spool_dir", "/", NULL, "tmp", "absolute path"},
    {SECTION_POOL, "access_log", "/tmp/access", NULL, "access",
	"not one of on|off"},
    {SECTION_POOL, "access_log", "off", NULL, "o", "not one of on|off"},
    {SECTION_POOL, "access_log_format", "json", NULL, "xml", "not one"},
    {SECTION_POOL, "slow_log", "2s", NULL, "2", "has no unit"},
    {SECTION_POOL, "slow_log", "0", NULL, "fast", "not a time"},
    {SECTION_POOL, "status", "/-/status", NULL, "status",
	"'status' does not begin with '/'"},
    {SECTION_POOL, "status", "/", NULL, "/a?json", "not a plain URL path"},
    {SECTION_POOL, "status", "/a.b", NULL, "/a/../b", "a dot segment"},
    {SECTION_POOL, "status", "/..a", NULL, "/a/..", "a dot segment"},
    {SECTION_POOL, "status", "/a.", NULL, "/.", "a dot segment"},
    {SECTION_POOL, "status", "/s", NULL, "/%73", "not a plain URL path"},
    {SECTION_POOL, "umask", "77", "0077", "8", "not an octal number"},
    {SECTION_POOL, "no_new_privileges", "no", NULL, "off",
	"'off' is not one of no|yes"},
    {SECTION_POOL, "debug", "yes", NULL, "1", "not one of no|yes"},
    {SECTION_POOL, "env.LANG", "C.UTF-8", NULL, NULL, NULL},
    {SECTION_POOL, "env.EMPTY", "", NULL, NULL, NULL},
    {SECTION_POOL, "env._9", "a=b:c # d", NULL, NULL, NULL},
    {SECTION_POOL, "env.", NULL, NULL, "x", "is not the name of a var"},
    {SECTION_POOL, "env.9A", NULL, NULL, "x", "is not the name"},
    {SECTION_POOL, "env.A-B", NULL, NULL, "x", "is not the name"},
    {SECTION_POOL, "env.SCRIPT_NAME", NULL, NULL, "/x",
	"env.SCRIPT_NAME: SCRIPT_NAME comes from the request"},
    {SECTION_MAP, "root", "/", NULL, "/nonexistent",
	"'/nonexistent': No such file or directory"},
    {SECTION_MAP, "root", "/usr///", "/usr", "/etc/passwd",
	"'/etc/passwd' is not a directory"},
    {SECTION_MAP, "script", "/etc/passwd", NULL, "/etc",
	"'/etc' is not a regular file"},
    {SECTION_MAP, "wsgi", "/etc/passwd:application", NULL, "/etc:app",
	"'/etc' is not a regular file"},
    {SECTION_MAP, "wsgi", "/etc/passwd:a.b_1", NULL, "/etc/passwd:1",
	"'1' is not the name of a callable"},
    {SECTION_MAP, "wsgi", "/etc/passwd", NULL,
	"/etc/passwd:", "'' is not the name of a callable"},
    {SECTION_MAP, "wsgi", "/etc/passwd:app", NULL, "app.py:app",
	"'app.py:app' is not an absolute path"},
    {SECTION_MAP, "wsgi", "/etc/passwd:app", NULL, "/a:b/app.py:app",
	"'/a:b/app.py': No such file"},
    {SECTION_MAP, "args", "a  \"b c\" \t d", "a \"b c\" d", "a \"b",
	"a double quote is not closed"},
    {SECTION_MAP, "args", "\";\" \"\" a\\b \"\\\"\\;\" x\" \"y",
	"\";\" \"\" a\\b \"\\\";\" \"x y\"", "\"a ;b\"", "not closed"},
    {SECTION_MAP, "args", "\"a \"\";b\"", "\"a \\;b\"", "\"", "close"},
    {SECTION_MAP, "host", "*.example.org", NULL, "example.org:80",
	"has a port"},
    {SECTION_MAP, "host", "[::1]", NULL, "a b", "not one name"},
    {SECTION_MAP, "host", "[2001:*", NULL, "[::1]:80", "has a port"},
    {SECTION_MAP, "host", "[::1]", NULL, "example.org.", "ends with a dot"},
    {SECTION_MAP, "index", "index.cgi index.py", NULL, "a/b",
	"'a/b' is not a file name"},
    {SECTION_MAP, "allow_names", "*.cgi [a-z]*", NULL, "/x", "a file"},
    {SECTION_MAP, "handler.py", "/etc/passwd", NULL, "/no/python",
	"'/no/python': No such file or directory"},
    {SECTION_MAP, "handler.sh", "/etc/group", NULL, "sh", "absolute"},
    {SECTION_MAP, "handler.", NULL, NULL, "/etc/group", "extension"},
    {SECTION_MAP, "handler..py", NULL, NULL, "/etc/group", "extension"},
    {SECTION_MAP, "symlinks", "none", NULL, "no",
	"'no' is not one of inside|owner|any|none"},
    {SECTION_MAP, "authorization", "pass", NULL, "passed", "one of"},
    {SECTION_MAP, "accel", "yes", NULL, "true", "not one of no|yes"},
    {SECTION_MAP, "trust_script_filename", "yes", NULL, "y", "one of"},
    {SECTION_MAP, "start", "fork-server", NULL, "fork", "not one of exec|"},
    {SECTION_MAP, "preload", "auto flask.json -a_1", NULL, "no json",
	"'no' stands alone"},
    {SECTION_MAP, "preload", "no", NULL, "a..b", "not the name of a module"},
    {SECTION_MAP, "preload", "auto", NULL, "-", "not the name of a module"},
    {SECTION_MAP, "spare", "128", NULL, "129", "range, 0-128"},
    {SECTION_MAP, "prestart", "yes", NULL, "true", "not one of no|yes"},
    {SECTION_MAP, "max_requests", "7", NULL, "all", "is not a number"},
    {SECTION_MAP, "idle", "1h", NULL, "60", "has no unit"},
    {SECTION_MAP, "queue_timeout", "1s", NULL, "1", "has no unit"},
    {SECTION_MAP, "body_timeout", "1s", NULL, "0", "range"},
    {SECTION_MAP, "idle_timeout", "1s", NULL, "0s", "range"},
    {SECTION_MAP, "script_timeout", "1s", NULL, "0ms", "range"},
    {SECTION_MAP, "background_grace", "0", NULL, "1d", "not a time"},
    {SECTION_MAP, "kill_grace", "0", NULL, "-1s", "not a time"},
    {SECTION_MAP, "env.A", "x", NULL, NULL, NULL},
    {SECTION_MAP, "env.REQUEST_METHOD", NULL, NULL, "x", "the request"},
};

/* needed_by: what else a map must have, for `key` to be right. */
static const char *
needed_by(const char *key)
{
	if (strcmp(key, "root") == 0 || strcmp(key, "script") == 0 ||
	    strcmp(key, "wsgi") == 0)
		return "";
	if (strcmp(key, "preload") == 0 || strcmp(key, "spare") == 0)
		return "root = /\nstart = python\n";
	if (strcmp(key, "prestart") == 0)
		return "script = /etc/passwd\nstart = perl\n";
	return "root = /\n";
}

/* put_case: a whole configuration with the line; the number of that line. */
static unsigned
put_case(char *text, size_t size, const struct key_case *c, const char *value)
{
	const char *key = c->key;
	char line[256];
	const char *at;
	unsigned number = 1;

	if (strcmp(value, "@U") == 0)
		value = user_name;
	else if (strcmp(value, "@G") == 0)
		value = group_name;
	snprintf(line, sizeof(line), "%s = %s\n", key, value);
	snprintf(text, size,
	    "[scgid]\n%s[p]\nlisten = /tmp/p.sock\n%s%s[p /m]\n%s%s",
	    c->section == SECTION_SCGID ? line : "",
	    c->section == SECTION_POOL && strcmp(key, "user") == 0 ? ""
								   : user_line,
	    c->section == SECTION_POOL ? line : "",
	    c->section == SECTION_MAP ? needed_by(key) : "root = /\n",
	    c->section == SECTION_MAP ? line : "");
	at = strstr(text, line);
	/* The [scgid] user is not the pool's user of the same name. */
	if (c->section == SECTION_POOL)
		at = strstr(strstr(text, "[p]"), line);
	for (const char *s = text; s < at; s++)
		number += *s == '\n';
	return number;
}

static void
test_every_key(void **state)
{
	char text[1024], line[256];
	struct config *config;
	char *printed;
	unsigned number;

	(void)state;
	for (size_t i = 0; i < sizeof(key_cases) / sizeof(key_cases[0]); i++) {
		const struct key_case *c = &key_cases[i];
		const char *shown = c->printed != NULL ? c->printed : c->good;

		/* Also what is right is refused to those who cannot do it. */
		if (c->bad != NULL && c->why == ROOT_ONLY && geteuid() != 0) {
			number = put_case(text, sizeof(text), c, c->good);
			assert_one_error(text, number, "not started as root");
			continue;
		}
		if (c->good != NULL) {
			put_case(text, sizeof(text), c, c->good);
			config = parse_good(text);
			printed = dump(config);
			if (strcmp(shown, "@U") == 0)
				shown = user_name;
			else if (strcmp(shown, "@G") == 0)
				shown = group_name;
			snprintf(
			    line, sizeof(line), "\n%s = %s\n", c->key, shown);
			if (strstr(printed, line) == NULL)
				fail_msg("no %sin %s", line, printed);
			free(printed);
			config_free(config);
		}
		if (c->bad != NULL) {
			number = put_case(text, sizeof(text), c, c->bad);
			assert_one_error(
			    text, number, c->why != ROOT_ONLY ? c->why : "no");
		}
	}
}

static void
test_fork_server_keys_need_one(void **state)
{
	unsigned line = user_line[0] != '\0' ? 7 : 6;

	(void)state;
	assert_one_error(whole("", "spare = 1\n"), line, "has start = exec");
	assert_one_error(
	    whole("", "prestart = yes\n"), line, "has start = exec");
	assert_one_error(whole("", "start = perl\nprestart = yes\n"), line + 1,
	    "this map has a root");
	assert_one_error(whole("", "start = perl\npreload = a\n"), line + 1,
	    "goes with start = python");
}

/* What start is meant to be is not known if it is wrong. */
static void
test_fork_server_keys_with_a_wrong_start(void **state)
{
	unsigned line = user_line[0] != '\0' ? 7 : 6;

	(void)state;
	assert_one_error(whole("",
			     "start = forkserver\nspare = 1\n"
			     "preload = json\n"),
	    line, "'forkserver' is not one of");
	assert_one_error(whole("", "prestart = yes\nstart = forkserver\n"),
	    line + 1, "'forkserver' is not one of");
}

static void
test_wsgi_goes_with(void **state)
{
	unsigned line = user_line[0] != '\0' ? 7 : 6;

	(void)state;
	assert_one_error(
	    whole("", "wsgi = /etc/passwd\n"), line, "has both root and wsgi");
	assert_one_error(
	    whole("", "[p /a]\nwsgi = /etc/passwd:a\nscript = /etc/passwd\n"),
	    line + 2, "has both script and wsgi");
	assert_one_error(whole("", "[p /a]\nwsgi = /etc/passwd:a\nindex = x\n"),
	    line + 2, "this map has a Python application");
	assert_one_error(
	    whole("", "[p /a]\nwsgi = /etc/passwd:a\nstart = perl\n"), line + 2,
	    "does not go with wsgi");
}

static void
test_every_key_has_a_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];
		size_t good = 0, bad = 0;

		for (size_t j = 0; j < sizeof(key_cases) / sizeof(key_cases[0]);
		     j++) {
			const struct key_case *c = &key_cases[j];

			if (option_find(c->section, c->key) != o)
				continue;
			good += c->good != NULL;
			bad += c->bad != NULL;
		}
		if ((good == 0 && o->type != OPTION_INCLUDE) || bad == 0)
			fail_msg("no case for %s", o->name);
	}
}

static void
test_empty_values(void **state)
{
	char pool[64];

	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];

		if (o->section != SECTION_POOL || o->type == OPTION_VARIABLE ||
		    strcmp(o->name, "user") == 0)
			continue;
		snprintf(pool, sizeof(pool), "[p]\n%s =  ; nothing\n", o->name);
		assert_null(parse(pool));
		assert_non_null(strstr(errors.data, "t:2: "));
		assert_non_null(strstr(errors.data, ": has no value\n"));
	}
}

static void
test_defaults(void **state)
{
	struct config *config = parse_good(whole("", ""));
	const struct config_pool *p = &config->pools[0];
	const struct config_map *m = &p->maps[0];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	assert_string_equal(config->log, "stderr");
	if (geteuid() == 0)
		assert_string_equal(config->user.name, "nobody");
	else
		assert_int_equal(config->user.uid, geteuid());
	assert_int_equal(config->pool_count, 1);
	assert_string_equal(p->name, "p");
	assert_string_equal(p->file, "t");
	assert_int_equal(p->line, 1);
	assert_int_equal(p->listener_count, 1);
	assert_int_equal(p->listen_mode, 0660);
	assert_null(p->listen_owner.name);
	assert_null(p->listen_group.name);
	assert_null(p->group.name);
	assert_int_equal(p->group.gid, p->user.gid);
	assert_int_equal(p->backlog, 4096);
	assert_int_equal(p->gateways, 1);
	assert_int_equal(p->launchers, cores < 4 ? cores : 4);
	assert_int_equal(p->workers, cores * 16);
	assert_int_equal(p->queue, 1024);
	assert_int_equal(p->header_timeout, 10000);
	assert_int_equal(p->timeouts.queue, 30000);
	assert_int_equal(p->timeouts.body, 30000);
	assert_int_equal(p->timeouts.idle, 55000);
	assert_int_equal(p->timeouts.script, 300000);
	assert_int_equal(p->timeouts.background_grace, 1000);
	assert_int_equal(p->timeouts.kill_grace, 3000);
	assert_int_equal(p->half_close, HALF_CLOSE_ABORT);
	assert_int_equal(p->max_header, 128 * 1024);
	assert_int_equal(p->max_body, 0);
	assert_int_equal(p->body_memory, 256 * 1024);
	assert_int_equal(p->max_response_header, 64 * 1024);
	assert_string_equal(p->spool_dir, "/var/tmp");
	assert_string_equal(p->access_log, "on");
	assert_int_equal(p->access_log_format, LOG_FORMAT_TEXT);
	assert_int_equal(p->umask, 022);
	assert_true(p->no_new_privileges);
	assert_false(p->debug);
	assert_int_equal(p->environment.count, 0);
	assert_int_equal(p->map_count, 1);
	assert_ptr_equal(m->pool, p);
	assert_string_equal(m->prefix, "/m");
	assert_string_equal(m->root, "/");
	assert_null(m->script);
	assert_null(m->host);
	assert_int_equal(m->symlinks, SYMLINKS_INSIDE);
	assert_int_equal(m->authorization, AUTHORIZATION_HIDE);
	assert_false(m->accel);
	assert_false(m->trust_script_filename);
	assert_memory_equal(&m->timeouts, &p->timeouts, sizeof(m->timeouts));
	config_free(config);
}

static void
test_values(void **state)
{
	struct config *config = parse_good(
	    whole("listen = unix:/tmp/q\nlisten = [::1]:80\nmax_body = 2G\n"
		  "half_close = wait\naccess_log_format = json\numask = 7\n"
		  "env.A = 1\nenv.B = 2\nidle_timeout = 2m\n",
		"args = a \"b c\"\nsymlinks = any\nenv.B = 3\nenv.C = 4\n"
		"kill_grace = 0\nhandler.py = /etc/passwd\n"));
	const struct config_pool *p = &config->pools[0];
	const struct config_map *m = &p->maps[0];
	const struct sockaddr_un *sun =
	    (const struct sockaddr_un *)&p->listeners[1].address;
	const struct sockaddr_in6 *sin6 =
	    (const struct sockaddr_in6 *)&p->listeners[2].address;

	(void)state;
	assert_int_equal(p->listener_count, 3);
	assert_int_equal(sun->sun_family, AF_UNIX);
	assert_string_equal(sun->sun_path, "/tmp/q");
	assert_int_equal(sin6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(sin6->sin6_port), 80);
	assert_int_equal(p->listeners[2].address_length, sizeof(*sin6));
	assert_true(p->max_body == UINT64_C(2) << 30);
	assert_int_equal(p->half_close, HALF_CLOSE_WAIT);
	assert_int_equal(p->access_log_format, LOG_FORMAT_JSON);
	assert_int_equal(p->umask, 7);
	assert_int_equal(m->args.count, 2);
	assert_string_equal(m->args.items[1], "b c");
	assert_int_equal(m->symlinks, SYMLINKS_ANY);
	assert_int_equal(m->timeouts.idle, 120000);
	assert_int_equal(m->timeouts.kill_grace, 0);
	assert_int_equal(p->timeouts.kill_grace, 3000);
	assert_int_equal(m->handlers.count, 1);
	assert_string_equal(m->handlers.items[0].name, "py");
	assert_string_equal(m->handlers.items[0].value, "/etc/passwd");
	/* The pool's, with the map's before them, then the map's own. */
	assert_int_equal(m->environment.count, 3);
	assert_string_equal(m->environment.items[0].name, "A");
	assert_string_equal(m->environment.items[1].value, "3");
	assert_string_equal(m->environment.items[2].name, "C");
	assert_string_equal(p->environment.items[1].value, "2");
	config_free(config);
}

/* long_line: `start`, whose last line is filled up to `length` bytes. */
static const char *
long_line(const char *start, size_t length)
{
	static char text[4096];
	size_t used = (size_t)snprintf(text, sizeof(text), "%s", start);
	const char *line = strrchr(text, '\n');
	size_t before = line != NULL ? (size_t)(line + 1 - text) : 0;

	while (used - before < length)
		text[used++] = 'x';
	text[used++] = '\n';
	text[used] = '\0';
	return text;
}

static void
test_inih_long_lines(void **state)
{
	struct config *config;
	char text[8192];

	(void)state;
	/* The longest line arrives whole. */
	config = parse_good(whole(long_line("debug = no\nenv.A = ", 197), ""));
	assert_int_equal(
	    strlen(config->pools[0].environment.items[0].value), 189);
	config_free(config);
	snprintf(text, sizeof(text), "[p]\n%s",
	    long_line("debug = no\nenv.A = ", 198));
	assert_null(parse(text));
	assert_non_null(strstr(
	    errors.data, "t:3: the line is 198 bytes long, more than 197\n"));
	/* Without blanks it would be too long to be written with them. */
	snprintf(text, sizeof(text), "[p]\n%s", long_line("env.A=", 197));
	assert_null(parse(text));
	assert_non_null(strstr(errors.data, "t:2: \"KEY = VALUE\" is"));
	snprintf(text, sizeof(text), "[p]\n%s", long_line("env.A=", 195));
	assert_null(parse(text));
	assert_null(strstr(errors.data, "t:2: "));
	/* A comment may be as long as it likes. */
	config = parse_good(whole(long_line("; ", 1500), ""));
	config_free(config);
	config = parse_good(whole(long_line(" \t# ", 1500), ""));
	config_free(config);
	/* Too long, NUL and no newline: the stack underflow of inih r62. */
	memset(text, 'a', sizeof(text));
	text[0] = '\0';
	assert_null(parse_bytes(text, sizeof(text)));
	assert_string_equal(
	    errors.data, "t:1: a NUL byte: this is not a text file\n");
	memset(text, 'a', sizeof(text));
	assert_null(parse_bytes(text, sizeof(text)));
	assert_string_equal(
	    errors.data, "t:1: the line is 8192 bytes long, more than 197\n");
}

static void
test_inih_long_names(void **state)
{
	struct config *config;
	char name[64], text[1024];

	(void)state;
	/* Two hosts that differ in the 50th byte must not be merged. */
	memset(name, 'v', 50);
	name[50] = '\0';
	snprintf(text, sizeof(text), "[%s]\ndebug = maybe\n", name);
	assert_errors(
	    text, "t:1: the section's name is 50 bytes long, more than 49\n");
	name[49] = '\0';
	snprintf(text, sizeof(text),
	    "[%s]\n%slisten = /a\n[%.40s /aaaaaaa]\nroot = /\n", name,
	    user_line, name);
	assert_null(parse(text));
	assert_null(strstr(errors.data, "bytes long, more than 49"));
	/* A key longer than inih remembers. */
	memset(name, 'K', 60);
	memcpy(name, "env.", 4);
	name[50] = '\0';
	snprintf(text, sizeof(text), "%s = 1\n", name);
	assert_one_error(whole(text, ""), geteuid() == 0 ? 4 : 3,
	    "a key of more than 49 bytes");
	name[49] = '\0';
	snprintf(text, sizeof(text), "%s = 1\n", name);
	config = parse_good(whole(text, ""));
	assert_string_equal(
	    config->pools[0].environment.items[0].name, name + 4);
	config_free(config);
}

static void
test_inih_lines(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
	    {"debug", "neither [SECTION] nor KEY = VALUE"},
	    {"debug ;= yes", "neither [SECTION] nor KEY = VALUE"},
	    {"debug : yes", "a ':' before any '='"},
	    {"env.A:B = yes", "a ':' before any '='"},
	    {"= yes", "no key before the '='"},
	    {"  debug = yes", "begins with white space"},
	    {"\tcontinued", "begins with white space"},
	    {"env.A = a\rb", "control character 0x0d at column 10"},
	    {"env.A = \033[1m", "control character 0x1b at column 9"},
	    {"env.A = \177", "control character 0x7f"},
	    {"env.A = a\fb", "control character 0x0c"},
	};
	unsigned line = geteuid() == 0 ? 4 : 3;
	struct config *config;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_one_error(whole(cases[i].line, ""), line, cases[i].why);
	/* What is fine: CRLF, comments, blank lines, no blanks, no newline. */
	config = parse_good(
	    whole("\r\n; c\r\n  # c\r\n \t \r\nenv.A=yes;x ; c\r\n", ""));
	assert_string_equal(
	    config->pools[0].environment.items[0].value, "yes;x");
	config_free(config);
	config = parse_good(whole("env.A = x # y = z", "env.B = last"));
	assert_string_equal(
	    config->pools[0].environment.items[0].value, "x # y = z");
	config_free(config);
	/* A byte order mark does not hide the first section. */
	assert_errors("\xef\xbb\xbf[p\n", "t:1: a section without its ']'\n");
}

static void
test_sections(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
	    {"[p", "a section without its ']'"},
	    {"[p ;]", "a section without its ']'"},
	    {"[]", "a section is [scgid]"},
	    {"[/x]", "a section is [scgid]"},
	    {"[a b]", "the prefix 'b' does not begin with '/'"},
	    {"[-a]", "a section is"},
	    {"[.a]", "a section is"},
	    {"[a /x y]", "the prefix '/x y' has a blank"},
	    {"[a /x%20y]", "has a blank or one of"},
	    {"[a /x?y]", "has a blank or one of"},
	    {"[a //x]", "has an empty segment"},
	    {"[a /x//]", "has an empty segment"},
	    {"[a /x/../y]", "has a dot segment"},
	    {"[a /.]", "has a dot segment"},
	    {"[scgid /x]", "'scgid' is the global section"},
	    {"  [q]", "begins with white space"},
	};
	char text[128];
	struct config *config;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* The keys of a refused section are not judged. */
		snprintf(text, sizeof(text), "; x\n%s\nroot = ?\nx = 1\n",
		    cases[i].line);
		assert_one_error(text, 2, cases[i].why);
	}
	assert_null(parse("[p] x\n"));
	assert_non_null(strstr(errors.data, "t:1: text after the ']'\n"));
	snprintf(text, sizeof(text),
	    "[ p ] ; c\n%slisten=/x\n[p \t /a/b/] # c\nroot=/\n", user_line);
	config = parse_good(text);
	assert_string_equal(config->pools[0].maps[0].prefix, "/a/b");
	config_free(config);
	/* A map may come before its pool. */
	snprintf(
	    text, sizeof(text), "[p /]\nroot=/\n[p]\n%slisten=/x\n", user_line);
	config = parse_good(text);
	assert_string_equal(config->pools[0].maps[0].prefix, "/");
	assert_int_equal(config->pools[0].maps[0].line, 1);
	config_free(config);
}

static void
test_error_list(void **state)
{
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text),
	    "log = stderr\n" /* 1 */
	    "\n"
	    "[www]\n" /* 3 */
	    "%slisten = /tmp/x\n"
	    "workrs = 3\n" /* 5 */
	    "root = /\n"
	    "queue = 1\nqueue = 2\n"
	    "[www /a]\n" /* 9 */
	    "wrkers = 1\n"
	    "root = /\nscript = /etc/passwd\n"
	    "index = x\n"
	    "[nowhere /x]\n" /* 14 */
	    "script = /etc/passwd\n"
	    "index = x\nallow_names = x\ntrust_script_filename = yes\n"
	    "[www /a/]\n" /* 19 */
	    "[lonely]\n%slisten = 127.0.0.1:1\n"
	    "[scgid]\n[scgid]\nworkers = 1\nxyzzy = 1\n", /* 23 */
	    user_line[0] != '\0' ? user_line : "debug = no\n",
	    user_line[0] != '\0' ? user_line : "debug = no\n");
	/* The pools have a line "user" or "debug" before listen. */
	assert_errors(text,
	    "t:1: 'log' stands before the first [section]\n"
	    "t:6: unknown key 'workrs' in a pool; did you mean 'workers'?\n"
	    "t:7: unknown key 'root' in a pool; it belongs in a map, "
	    "[NAME /prefix]\n"
	    "t:9: queue is given twice: first in line 8\n"
	    "t:11: unknown key 'wrkers' in a map\n"
	    "t:13: map [www /a] has both root and script\n"
	    "t:17: index goes with root; this map has a script\n"
	    "t:18: allow_names goes with root; this map has a script\n"
	    "t:19: trust_script_filename goes with root; this map has a "
	    "script\n"
	    "t:20: map [www /a/] has none of root, script and wsgi\n"
	    "t:25: [scgid] stands twice: first in line 24 of the main file\n"
	    "t:26: unknown key 'workers' in [scgid]; it belongs in a pool, "
	    "[NAME]\n"
	    "t:27: unknown key 'xyzzy' in [scgid]\n"
	    "t:15: there is no pool [nowhere] for this map\n"
	    "t:20: map [www /a] stands twice: first at t:10\n"
	    "t:21: pool 'lonely' has no map: add a section "
	    "[lonely /prefix]\n");
}

static void
test_suggestions(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
	    {"Listen = /x", "did you mean 'listen'?"},
	    {"env = x", "unknown key 'env' in a pool\n"},
	    {"envLANG = x", "unknown key 'envLANG' in a pool\n"},
	    {"env_NAME = x", "did you mean 'env.NAME'?"},
	    {"idle-timeout = 3s", "did you mean 'idle_timeout'?"},
	    {"handler.py = /x", "it belongs in a map"},
	    {"log = syslog", "it belongs in [scgid]"},
	    {"q = 1", "unknown key 'q' in a pool\n"},
	    {"jail = /x", "unknown key 'jail' in a pool\n"},
	};
	unsigned line = geteuid() == 0 ? 4 : 3;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_one_error(whole(cases[i].line, ""), line, cases[i].why);
}

static void
test_required(void **state)
{
	char text[512];

	(void)state;
	assert_errors("", "t: no pool is configured: add a section [NAME]\n");
	snprintf(text, sizeof(text), "\n[p]\n%s[p /]\nroot = /\n", user_line);
	assert_errors(
	    text, "t:2: pool 'p' has no listen: nothing could reach it\n");
}

static void
test_duplicates(void **state)
{
	unsigned base = geteuid() == 0 ? 4 : 3;
	struct config *config;
	char text[512];

	(void)state;
	assert_one_error(whole("env.A = 1\nenv.B = 1\nenv.A = 2\n", ""),
	    base + 2, "env.A: is given twice");
	assert_one_error(whole("",
			     "handler.x = /etc/passwd\n"
			     "handler.x = /etc/passwd\n"),
	    base + 4, "handler.x: is given twice");
	assert_one_error(whole("listen = unix:/tmp/p.sock", ""), base,
	    "pool 'p' listens on unix:/tmp/p.sock already");
	snprintf(text, sizeof(text),
	    "[a]\nlisten=127.0.0.1:1\n%s[a /]\nroot=/\n"
	    "[b /]\nroot=/\n[b]\n%slisten=127.0.0.1:1\n",
	    user_line, user_line);
	assert_one_error(text, geteuid() == 0 ? 10 : 8,
	    "pool 'a' listens on 127.0.0.1:1 already");
	snprintf(text, sizeof(text),
	    "[a]\nlisten=/1\n%s[a /]\nroot=/\n[a]\nlisten=/2\n%s", user_line,
	    user_line);
	assert_null(parse(text));
	assert_non_null(
	    strstr(errors.data, ": pool 'a' stands twice: first at t:1\n"));
	/* The same prefix is fine for another host, whatever its case. */
	assert_one_error(
	    whole("", "host = a.org\n[p /m]\nroot=/\nhost = A.org\n"), base + 4,
	    "map [p /m] of host A.org stands twice: first at t:");
	config = parse_good(whole("",
	    "host = a.org\n[p /m]\nroot=/\nhost = b.org\n"
	    "[p /m]\nroot=/"));
	assert_int_equal(config->pools[0].map_count, 3);
	config_free(config);
}

static void
test_users_as_root(void **state)
{
	struct config *config;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_errors("[p]\nlisten = /x\n[p /]\nroot = /\n",
	    "t:1: pool 'p' has no user; scgid was started as root, and "
	    "scripts do not run as root unless that is written down\n");
	assert_one_error("[p]\nlisten = /x\nuser = nobody\n[p /]\nroot = /\n"
			 "[scgid]\nuser = root\n",
	    7, "'root' is root: a gateway holds no privilege");
	config = parse_good("[p]\nlisten = /x\nuser = root\ngroup = daemon\n"
			    "[p /]\nroot = /\n");
	assert_int_equal(config->pools[0].user.uid, 0);
	assert_int_equal(
	    config->pools[0].group.gid, getgrnam("daemon")->gr_gid);
	config_free(config);
}

static void
test_users_as_another(void **state)
{
	const char text[] = "[p]\nlisten = /x\n[p /]\nroot = /\n";
	bool was_root = geteuid() == 0;
	char number[CONFIG_NUMBER_SIZE];
	struct config *config;

	(void)state;
	/* Who has no name has a number. */
	if (was_root && getpwuid(54321) == NULL) {
		assert_int_equal(seteuid(54321), 0);
		config = parse_good(text);
		assert_string_equal(
		    config_user_text(&config->user, number), "54321");
		config_free(config);
		assert_int_equal(seteuid(0), 0);
	}
	if (was_root)
		assert_int_equal(seteuid(getpwnam("nobody")->pw_uid), 0);
	config = parse_good(text);
	assert_string_equal(config_user_text(&config->user, number),
	    getpwuid(geteuid())->pw_name);
	assert_int_equal(config->user.uid, geteuid());
	assert_string_equal(config_user_text(&config->pools[0].user, number),
	    getpwuid(geteuid())->pw_name);
	assert_int_equal(config->pools[0].user.uid, geteuid());
	assert_int_equal(config->pools[0].user.gid, getegid());
	assert_int_equal(config->pools[0].group.gid, getegid());
	config_free(config);
	assert_one_error("[p]\nlisten = /x\nuser = root\n[p /]\nroot = /\n", 3,
	    "was not started as root and cannot become 'root'");
	assert_one_error("[p]\nlisten = /x\nlisten_owner = root\n[p /]\n"
			 "root = /\n",
	    3, "cannot give a socket to 'root'");
	assert_one_error("[p]\nlisten = /x\ngroup = daemon\n[p /]\nroot = /\n",
	    3, "cannot change its group to 'daemon'");
	if (was_root)
		assert_int_equal(seteuid(0), 0);
}

/* A directory of its own for tests of files; removed at the end. */
static char directory[64];

static void
put_file(const char *name, const char *text, size_t length)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, length, f), length);
	assert_int_equal(fclose(f), 0);
}

static struct config *
load(const char *name)
{
	char path[128], shown[128 + 1];
	struct config *config;
	size_t cut;
	char *at;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	buffer_fini(&errors);
	config = config_load(path, &errors);
	assert_int_equal(config == NULL, errors.length > 0);
	assert_int_equal(buffer_append(&errors, "", 1), 0);
	/* Compare without the directory. */
	snprintf(shown, sizeof(shown), "%s/", directory);
	cut = strlen(shown);
	while ((at = strstr(errors.data, shown)) != NULL)
		memmove(at, at + cut, strlen(at + cut) + 1);
	return config;
}

static int
make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/test_config.XXXXXX");
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int
remove_directory(void **state)
{
	static const char *const names[] = {
	    "main", "a.conf", "b.conf", "c", "big", "link", "fifo"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/d.conf", directory);
	rmdir(path);
	return rmdir(directory);
}

static void
put_text(const char *name, const char *text)
{
	put_file(name, text, strlen(text));
}

static void
test_include(void **state)
{
	struct config *config;
	char text[256];

	(void)state;
	put_text("main",
	    "[scgid]\ninclude = *.conf\ninclude = n*.none\n"
	    "include = c\nlog = syslog\n");
	snprintf(text, sizeof(text), "[b]\nlisten = /b\n%s", user_line);
	put_text("b.conf", text);
	snprintf(text, sizeof(text), "[a]\nlisten = /a\n%s[b /x]\nroot = /\n",
	    user_line);
	put_text("a.conf", text);
	put_text("c", "[a /]\nroot = /");
	config = load("main");
	if (config == NULL)
		fail_msg("%s", errors.data);
	assert_string_equal(config->log, "syslog");
	assert_int_equal(config->pool_count, 2);
	assert_string_equal(config->pools[0].name, "a");
	assert_string_equal(config->pools[1].name, "b");
	assert_non_null(strstr(config->pools[1].file, "/b.conf"));
	assert_non_null(strstr(config->pools[1].maps[0].file, "/a.conf"));
	config_free(config);
}

/* What the directory of the file is called is no pattern. */
static void
test_include_from_a_strange_directory(void **state)
{
	static const char *const files[] = {"/main", "/x.conf", ""};
	struct config *config;
	char strange[128], path[256], text[256];

	(void)state;
	snprintf(strange, sizeof(strange), "%s/[a]*\\?", directory);
	assert_int_equal(mkdir(strange, 0700), 0);
	put_text("[a]*\\?/main", "[scgid]\ninclude = *.conf\n");
	snprintf(text, sizeof(text), "[a]\nlisten = /a\n%s[a /]\nroot = /\n",
	    user_line);
	put_text("[a]*\\?/x.conf", text);
	config = load("[a]*\\?/main");
	if (config == NULL)
		fail_msg("%s", errors.data);
	snprintf(path, sizeof(path), "%s/x.conf", strange);
	assert_string_equal(config->pools[0].file, path);
	config_free(config);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", strange, files[i]);
		assert_int_equal(remove(path), 0);
	}
}

static void
test_include_errors(void **state)
{
	char path[128];

	(void)state;
	put_text("main",
	    "[scgid]\ninclude = *.conf\ninclude = missing\n"
	    "bad = 1\ninclude = missing/?*\n");
	put_text("a.conf", "x = 1\n[scgid]\n[a /]\n");
	put_text("b.conf", "\n[a]\nuser = no-such-user\n");
	snprintf(path, sizeof(path), "%s/d.conf", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_null(load("main"));
	assert_string_equal(errors.data,
	    "main:3: include: 'missing': No such file or directory\n"
	    "main:4: unknown key 'bad' in [scgid]\n"
	    "main:5: include: 'missing/?*': No such file or directory\n"
	    "a.conf:1: 'x' stands before the first [section]\n"
	    "a.conf:2: [scgid] stands twice: first in line 1 of the main "
	    "file\n"
	    "a.conf:3: map [a /] has none of root, script and wsgi\n"
	    "b.conf:3: user: there is no user 'no-such-user'\n"
	    "b.conf:2: pool 'a' has no listen: nothing could reach it\n"
	    "d.conf: not a regular file\n");
	rmdir(path);
}

static void
test_files(void **state)
{
	struct config *config;
	char path[128], *big;
	size_t size = ((size_t)1 << 20) + 1;

	(void)state;
	buffer_fini(&errors);
	assert_null(config_load("/nonexistent", &errors));
	assert_int_equal(buffer_append(&errors, "", 1), 0);
	assert_string_equal(
	    errors.data, "/nonexistent: No such file or directory\n");
	/* inih takes a directory for an empty file. */
	buffer_fini(&errors);
	assert_null(config_load("/", &errors));
	assert_int_equal(buffer_append(&errors, "", 1), 0);
	assert_string_equal(errors.data, "/: not a regular file\n");
	snprintf(path, sizeof(path), "%s/fifo", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(load("fifo"));
	assert_string_equal(errors.data, "fifo: not a regular file\n");
	assert_non_null(big = malloc(size));
	memset(big, '\n', size);
	put_file("big", big, size);
	assert_null(load("big"));
	assert_string_equal(errors.data, "big: larger than 1048576 bytes\n");
	memcpy(big, whole("", ""), strlen(whole("", "")));
	put_file("big", big, size - 1);
	config = load("big");
	assert_non_null(config);
	config_free(config);
	free(big);
	put_file("c", "[p]\nlisten = /x\n\0\n[q]\nx = 1\n", 29);
	assert_null(load("c"));
	assert_non_null(
	    strstr(errors.data, "c:3: a NUL byte: this is not a text file\n"));
	assert_null(strstr(errors.data, "'x'"));
}

static void
test_dump_of_dump(void **state)
{
	struct config *config = parse_good(
	    whole("listen = 127.0.0.1:99\nenv.Z = 1\nenv.E =\nenv.A = x ; c\n"
		  "script_timeout = 90m\nmax_body = 1025\n",
		"host = b.org\nenv.Q = 1\nenv.A = 2\nargs = \"\" \" \\;\" "
		"\"\\\\ \\\"\" \\\nidle_timeout = 1500ms\n"
		"[p /m]\nroot=/\nhost=*.org\n[p /]\nscript = "
		"/etc/passwd\ntrust_script_filename = no\n"
		"[p /m/n]\nroot = /\nhandler.a = /etc/passwd\n"
		"[p /w]\nwsgi = /etc/passwd:a.b\n"));
	char *first = dump(config), *second;

	(void)state;
	config_free(config);
	config = parse_good(first);
	second = dump(config);
	assert_string_equal(first, second);
	assert_string_equal(config->pools[0].maps[1].args.items[1], " ;");
	assert_string_equal(config->pools[0].maps[1].args.items[2], "\\ \"");
	assert_string_equal(config->pools[0].maps[1].args.items[3], "\\");
	assert_int_equal(config->pools[0].maps[1].args.count, 4);
	config_free(config);
	free(first);
	free(second);
}

/* Words that only fit because they are written oddly cannot be dumped. */
static void
test_dump_never_too_long(void **state)
{
	char map[256] = "args = ";

	(void)state;
	memset(map + 7, '\\', 180);
	strcpy(map + 187, "\" \"");
	assert_one_error(
	    whole("", map), geteuid() == 0 ? 7 : 6, "is too long when");
}

static void
test_find_map(void **state)
{
	struct config *config = parse_good(whole("",
	    "[p /]\nroot=/\n"
	    "[p /cgi]\nroot=/\n[p /cgi/deep]\nroot=/\n"
	    "[p /cgi]\nroot=/\nhost=*.org\n"
	    "[p /cgi]\nroot=/\nhost=*.a.org\n"
	    "[p /cgi]\nroot=/\nhost=b.a.org\n"
	    "[p /only]\nroot=/\nhost=only.org\n"
	    "[p /cgi]\nroot=/\nhost=[::*]\n"
	    "[p /cgi]\nroot=/\nhost=[::1]\n"));
	const struct config_pool *p = &config->pools[0];
	static const struct {
		const char *path, *host, *prefix, *map_host;
	} cases[] = {
	    {"/cgi", NULL, "/cgi", NULL},
	    {"/cgi/", NULL, "/cgi", NULL},
	    {"/cgi/x", "x.com", "/cgi", NULL},
	    {"/cgi-x", NULL, "/", NULL},
	    {"/cgi/deep", NULL, "/cgi/deep", NULL},
	    {"/cgi/deeper", NULL, "/cgi", NULL},
	    {"/cgi/deep/x", "b.a.org", "/cgi/deep", NULL},
	    {"/cgi/x", "b.a.org", "/cgi", "b.a.org"},
	    {"/cgi/x", "B.A.ORG:8080", "/cgi", "b.a.org"},
	    {"/cgi/x", "c.a.org", "/cgi", "*.a.org"},
	    {"/cgi/x", "z.org", "/cgi", "*.org"},
	    {"/cgi/x", "[::2]:80", "/cgi", "[::*]"},
	    {"/cgi/x", "[::1]:80", "/cgi", "[::1]"},
	    {"/only/x", "only.org", "/only", "only.org"},
	    {"/only/x", "else.org", "/", NULL},
	    {"/only/x", NULL, "/", NULL},
	    {"/", NULL, "/", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_map *m =
		    config_find_map(p, cases[i].path, cases[i].host);

		assert_non_null(m);
		assert_string_equal(m->prefix, cases[i].prefix);
		if (cases[i].map_host == NULL)
			assert_null(m->host);
		else
			assert_string_equal(m->host, cases[i].map_host);
	}
	config_free(config);
	config = parse_good(whole("", ""));
	assert_null(config_find_map(&config->pools[0], "/x", NULL));
	config_free(config);
}

static void
test_list_keys(void **state)
{
	char *text = NULL, *line, *rest;
	size_t length = 0, lines = 0, tabs;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	assert_non_null(out);
	assert_int_equal(config_list_keys(out), 0);
	fclose(out);
	assert_non_null(strstr(text,
	    "pool\tmax_header\tsize\t128K\t4K-256K\tthe largest request "
	    "header\n"));
	assert_non_null(strstr(text,
	    "pool\tqueue_timeout\ttime\t30s\t0-8760h\thow long a request "));
	assert_non_null(strstr(text, "map\tqueue_timeout\ttime\t-\t0-8760h"));
	assert_non_null(strstr(text, "map\thandler.EXT\tfile\t-\t-\t"));
	assert_non_null(strstr(text, "pool\tenv.NAME\ttext\t-\t-\t"));
	assert_non_null(strstr(
	    text, "map\tsymlinks\tchoice\tinside\tinside|owner|any|none\t"));
	for (line = text; *line != '\0'; line = rest + 1) {
		rest = strchr(line, '\n');
		assert_non_null(rest);
		tabs = 0;
		for (const char *s = line; s < rest; s++) {
			tabs += *s == '\t';
			/* No column is empty. */
			assert_false(*s == '\t' && s[1] == '\t');
		}
		assert_int_equal(tabs, 5);
		lines++;
	}
	assert_int_equal(lines, option_count);
	free(text);
}

/* The sample that is installed must be one that works, but for its user. */
static void
test_sample(void **state)
{
	static const char user[] = "\nuser = cgi\n";
	char path[1024], sample[8192], text[8192];
	const char *slash = strrchr(__FILE__, '/');
	struct config *config;
	char *line;
	FILE *file;
	size_t length;

	(void)state;
	if (geteuid() != 0 || getpwnam("www-data") == NULL)
		skip();
	assert_non_null(slash);
	snprintf(path, sizeof(path), "%.*s/../../conf/scgid.conf",
	    (int)(slash - __FILE__), __FILE__);
	file = fopen(path, "r");
	assert_non_null(file);
	length = fread(sample, 1, sizeof(sample) - 1, file);
	assert_true(feof(file));
	fclose(file);
	sample[length] = '\0';
	line = strstr(sample, user);
	assert_non_null(line);
	snprintf(text, sizeof(text), "%.*s\n%s%s", (int)(line - sample), sample,
	    user_line, line + strlen(user));
	config = parse_good(text);
	assert_int_equal(config->pool_count, 1);
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key),
	    cmocka_unit_test(test_fork_server_keys_need_one),
	    cmocka_unit_test(test_fork_server_keys_with_a_wrong_start),
	    cmocka_unit_test(test_wsgi_goes_with),
	    cmocka_unit_test(test_every_key_has_a_case),
	    cmocka_unit_test(test_empty_values),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_inih_long_lines),
	    cmocka_unit_test(test_inih_long_names),
	    cmocka_unit_test(test_inih_lines),
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_error_list),
	    cmocka_unit_test(test_suggestions),
	    cmocka_unit_test(test_required),
	    cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_users_as_root),
	    cmocka_unit_test(test_users_as_another),
	    cmocka_unit_test_setup_teardown(
		test_include, make_directory, remove_directory),
	    cmocka_unit_test_setup_teardown(
		test_include_from_a_strange_directory, make_directory,
		remove_directory),
	    cmocka_unit_test_setup_teardown(
		test_include_errors, make_directory, remove_directory),
	    cmocka_unit_test_setup_teardown(
		test_files, make_directory, remove_directory),
	    cmocka_unit_test(test_dump_of_dump),
	    cmocka_unit_test(test_dump_never_too_long),
	    cmocka_unit_test(test_find_map),
	    cmocka_unit_test(test_list_keys),
	    cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
