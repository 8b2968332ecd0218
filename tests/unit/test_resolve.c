/*
 * launcher/resolve: the walk, on a tree of its own below /tmp.
 *
 * Runs as root and as anyone else; what needs two users is skipped otherwise.
 */
#include "launcher/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char top[] = "/tmp/scgid-resolve.XXXXXX";
static char root[64]; /* TOP/root */
static struct config *config;
static struct buffer trace;

static void
make_file(const char *name, mode_t mode)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_EXCL, 0600);

	assert_true(fd != -1);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
make_directory(const char *name)
{
	assert_int_equal(mkdir(name, 0700), 0);
	assert_int_equal(chmod(name, 0755), 0);
}

/* `to`: relative to the link, or below the root if it begins with '/'. */
static void
make_link(const char *to, const char *name)
{
	char target[128];

	snprintf(target, sizeof(target), "%s%s", *to == '/' ? root : "", to);
	assert_int_equal(symlink(target, name), 0);
}

static int
make_tree(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	assert_int_equal(chdir(top), 0);
	snprintf(root, sizeof(root), "%s/root", top);
	make_directory("outside");
	make_file("outside/secret", 0755);
	make_directory("rooted");
	make_file("rooted/secret", 0755);
	make_directory("root");
	assert_int_equal(chdir("root"), 0);
	make_file("a.cgi", 0755);
	make_file("b.py", 0644);
	make_file("no.ext.ension", 0755);
	make_file("open.cgi", 0757);
	make_file(" \"\n\xff", 0755);
	make_directory("dir");
	make_file("dir/a.cgi", 0755);
	make_file("dir/index.py", 0755);
	make_directory("dir/bare");
	make_directory("dir/index.dir");
	make_directory("writable");
	make_file("writable/a.cgi", 0755);
	assert_int_equal(chmod("writable", 01777), 0);
	make_directory("shut");
	make_file("shut/a.cgi", 0755);
	assert_int_equal(chmod("shut", 0), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	make_link("a.cgi", "near");
	make_link("/a.cgi", "absolute");
	make_link("../outside/secret", "out");
	make_link("../rooted/secret", "beside");
	make_link("../outside", "out-dir");
	make_link("dir", "to-dir");
	make_link("to-dir", "to-to-dir");
	make_link("../a.cgi", "dir/up");
	make_link("loop", "loop");
	make_link("nothing", "dangling");
	make_link("open.cgi", "to-open");
	make_link("writable", "to-writable");
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
remove_tree(void **state)
{
	(void)state;
	config_free(config);
	buffer_fini(&trace);
	if (chmod("shut", 0700) == -1 || chdir("/") == -1)
		return -1;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The map "[p PREFIX]" with these lines; it lives until the next one. */
static const struct config_map *
parse_map(const char *prefix, const char *lines)
{
	struct buffer text = {0}, errors = {0};

	config_free(config);
	assert_int_equal(
	    buffer_printf(&text, "[p]\nlisten = /tmp/p.sock\n%s[p %s]\n%s\n",
		geteuid() == 0 ? "user = nobody\n" : "", prefix, lines),
	    0);
	config = config_parse("t", text.data, text.length, &errors);
	if (config == NULL)
		fail_msg("%.*s", (int)errors.length, errors.data);
	buffer_fini(&text);
	return &config->pools[0].maps[0];
}

/* The same with "root = ROOT" before the lines. */
static const struct config_map *
root_map(const char *prefix, const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "root = %s\n%s", root, lines);
	return parse_map(prefix, text);
}

static size_t
count_descriptors(void)
{
	DIR *directory = opendir("/dev/fd");
	size_t n = 0;

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		n++;
	closedir(directory);
	return n;
}

static size_t descriptors; /* before the walk that `r` is of */

static void
resolve_with(const struct config_map *map, const char *path, const char *params,
    size_t length, struct resolved *r)
{
	descriptors = count_descriptors();
	trace.length = 0;
	resolve_script(map, path, params, length, &trace, r);
	assert_true(trace.length > 0);
}

static void
end(struct resolved *r)
{
	resolved_fini(r);
	assert_int_equal(r->directory, -1);
	assert_int_equal(count_descriptors(), descriptors);
}

/* `script` is below the root; its directory must be the one that is open. */
static void
assert_found(struct resolved *r, const char *path, const char *script,
    const char *name, const char *path_info)
{
	char wanted[256], *slash;
	struct stat here, there;

	if (r->reason != REASON_NONE)
		fail_msg("%s: %s: %.*s", path, reason_text(r->reason)->name,
		    (int)r->detail.length, r->detail.data);
	snprintf(wanted, sizeof(wanted), "%s%s", root, script);
	assert_string_equal(r->script.data, wanted);
	assert_string_equal(r->name.data, name);
	if (path_info == NULL)
		assert_null(r->path_info);
	else if (r->path_info == NULL)
		fail_msg("%s has no PATH_INFO", path);
	else
		assert_string_equal(r->path_info, path_info);
	slash = strrchr(wanted, '/');
	*slash = '\0';
	assert_int_equal(stat(wanted, &here), 0);
	assert_int_equal(fstat(r->directory, &there), 0);
	assert_true(here.st_ino == there.st_ino);
	assert_int_equal(fcntl(r->directory, F_GETFD), FD_CLOEXEC);
	end(r);
}

static void
found(const struct config_map *map, const char *path, const char *script,
    const char *name, const char *path_info)
{
	struct resolved r;

	resolve_with(map, path, "", 0, &r);
	assert_found(&r, path, script, name, path_info);
}

static void
assert_refused(struct resolved *r, const char *path, enum reason reason)
{
	if (r->reason != reason)
		fail_msg("%s: %s, not %s", path, reason_text(r->reason)->name,
		    reason_text(reason)->name);
	assert_true(r->detail.length > 0);
	for (size_t i = 0; i < r->detail.length; i++)
		assert_in_range(r->detail.data[i], ' ', '~');
	end(r);
}

static void
refused(const struct config_map *map, const char *path, enum reason reason)
{
	struct resolved r;

	resolve_with(map, path, "", 0, &r);
	assert_refused(&r, path, reason);
}

static void
test_item_36_first_file(void **state)
{
	const struct config_map *m = root_map("/cgi", "");

	(void)state;
	found(m, "/cgi/a.cgi", "/a.cgi", "/cgi/a.cgi", NULL);
	found(m, "/cgi/a.cgi/", "/a.cgi", "/cgi/a.cgi", "/");
	found(m, "/cgi/a.cgi/b/c", "/a.cgi", "/cgi/a.cgi", "/b/c");
	found(m, "/cgi/a.cgi//b/../c", "/a.cgi", "/cgi/a.cgi", "//b/../c");
	found(m, "/cgi/dir/a.cgi/a.cgi", "/dir/a.cgi", "/cgi/dir/a.cgi",
	    "/a.cgi");
	/* Whether it may be executed is for others to say. */
	found(m, "/cgi/b.py", "/b.py", "/cgi/b.py", NULL);
	found(m, "/cgi/ \"\n\xff", "/ \"\n\xff", "/cgi/ \"\n\xff", NULL);
	refused(m, "/cgi/none", REASON_SCRIPT_NOT_FOUND);
	refused(m, "/cgi/none/a.cgi", REASON_SCRIPT_NOT_FOUND);
	refused(m, "/cgi/A.CGI", REASON_SCRIPT_NOT_FOUND);
	refused(m, "/cgi/dir", REASON_NOT_A_FILE);
	refused(m, "/cgi", REASON_NOT_A_FILE);
	refused(m, "/cgi/", REASON_NOT_A_FILE);
	refused(m, "/cgi/fifo", REASON_NOT_A_FILE);
	m = root_map("/", "");
	found(m, "/a.cgi/x", "/a.cgi", "/a.cgi", "/x");
	refused(m, "/", REASON_NOT_A_FILE);
}

static void
test_item_21_dots_and_slashes(void **state)
{
	const struct config_map *m = root_map("/cgi", "symlinks = any");
	char name[300];

	(void)state;
	found(m, "/cgi//a.cgi", "/a.cgi", "/cgi//a.cgi", NULL);
	found(m, "/cgi///dir//a.cgi//x", "/dir/a.cgi", "/cgi///dir//a.cgi",
	    "//x");
	refused(m, "/cgi/.", REASON_OUTSIDE_ROOT);
	refused(m, "/cgi/./a.cgi", REASON_OUTSIDE_ROOT);
	refused(m, "/cgi/..", REASON_OUTSIDE_ROOT);
	refused(m, "/cgi/../outside/secret", REASON_OUTSIDE_ROOT);
	refused(m, "/cgi/dir/../a.cgi", REASON_OUTSIDE_ROOT);
	refused(m, "/cgi/dir//..//a.cgi", REASON_OUTSIDE_ROOT);
	refused(m, "/cgi/...", REASON_SCRIPT_NOT_FOUND);
	refused(m, "/cgi/.a.cgi", REASON_SCRIPT_NOT_FOUND);
	memset(name, 'x', sizeof(name) - 1);
	memcpy(name, "/cgi/", 5);
	name[sizeof(name) - 1] = '\0';
	refused(m, name, REASON_SCRIPT_NOT_FOUND);
}

static void
test_index(void **state)
{
	const struct config_map *m = root_map("/cgi", "index = a.cgi");
	struct resolved r;

	(void)state;
	found(m, "/cgi", "/a.cgi", "/cgi/a.cgi", NULL);
	found(m, "/cgi/", "/a.cgi", "/cgi/a.cgi", NULL);
	found(m, "/cgi/dir", "/dir/a.cgi", "/cgi/dir/a.cgi", NULL);
	found(m, "/cgi/dir//", "/dir/a.cgi", "/cgi/dir//a.cgi", NULL);
	refused(m, "/cgi/dir/bare", REASON_NOT_A_FILE);
	/* One that is missing does not hide the next. */
	m = root_map("/", "index = none.cgi index.py a.cgi");
	found(m, "/dir/", "/dir/index.py", "/dir/index.py", NULL);
	found(m, "/", "/a.cgi", "/a.cgi", NULL);
	/* One that is there and may not be had ends the search. */
	m = root_map("/", "index = open.cgi a.cgi");
	refused(m, "/", REASON_UNSAFE_PERMISSIONS);
	m = root_map("/", "index = index.dir a.cgi");
	resolve_with(m, "/dir", "", 0, &r);
	assert_memory_equal(r.detail.data + r.detail.length -
		sizeof("index.dir: is a directory") + 1,
	    "index.dir: is a directory",
	    sizeof("index.dir: is a directory") - 1);
	assert_refused(&r, "/dir", REASON_NOT_A_FILE);
	m = root_map("/", "index = out a.cgi");
	refused(m, "/", REASON_OUTSIDE_ROOT);
}

static void
test_allow_names(void **state)
{
	const struct config_map *m =
	    root_map("/", "allow_names = *.cgi ne?r\nindex = index.py");

	(void)state;
	found(m, "/a.cgi", "/a.cgi", "/a.cgi", NULL);
	/* Directories are not files, and the name is the one asked for. */
	found(m, "/dir/a.cgi", "/dir/a.cgi", "/dir/a.cgi", NULL);
	found(m, "/near", "/near", "/near", NULL);
	refused(m, "/b.py", REASON_NAME_NOT_ALLOWED);
	refused(m, "/b.py/x.cgi", REASON_NAME_NOT_ALLOWED);
	refused(m, "/dir", REASON_NAME_NOT_ALLOWED);
	refused(m, "/none.py", REASON_SCRIPT_NOT_FOUND);
}

static void
check_handler(const struct config_map *m, const char *path, const char *wanted)
{
	struct resolved r;

	resolve_with(m, path, "", 0, &r);
	assert_int_equal(r.reason, REASON_NONE);
	if (wanted == NULL)
		assert_null(r.interpreter);
	else
		assert_string_equal(r.interpreter, wanted);
	end(&r);
}

static void
test_handlers(void **state)
{
	const struct config_map *m = root_map("/",
	    "handler.py = /bin/sh\nhandler.ension = /etc/passwd\n"
	    "index = index.py");

	(void)state;
	check_handler(m, "/b.py", "/bin/sh");
	check_handler(m, "/b.py/x.cgi", "/bin/sh");
	check_handler(m, "/dir/", "/bin/sh");
	check_handler(m, "/no.ext.ension", "/etc/passwd");
	check_handler(m, "/a.cgi", NULL);
	check_handler(m, "/a.cgi/x.py", NULL);
	check_handler(m, "/near", NULL);
}

static void
test_symlinks_inside(void **state)
{
	const struct config_map *m = root_map("/", "");

	(void)state;
	/* Item 39: a link to a file keeps its own name. */
	found(m, "/near", "/near", "/near", NULL);
	found(m, "/near/x", "/near", "/near", "/x");
	found(m, "/dir/up", "/dir/up", "/dir/up", NULL);
	refused(m, "/out", REASON_OUTSIDE_ROOT);
	refused(m, "/beside", REASON_OUTSIDE_ROOT);
	refused(m, "/out-dir/secret", REASON_OUTSIDE_ROOT);
	refused(m, "/loop", REASON_OUTSIDE_ROOT);
	refused(m, "/dangling", REASON_SCRIPT_NOT_FOUND);
	refused(m, "/absolute", REASON_OUTSIDE_ROOT);
}

/* The script is named by where the link led; SCRIPT_NAME is what was asked. */
static void
test_link_to_a_directory(void **state)
{
	static const char *const policies[] = {
	    "symlinks = inside\nindex = a.cgi",
	    "symlinks = owner\nindex = a.cgi"};
	const struct config_map *m;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		m = root_map("/c", policies[i]);
		found(m, "/c/to-dir/a.cgi/x", "/dir/a.cgi", "/c/to-dir/a.cgi",
		    "/x");
		found(m, "/c/to-to-dir/a.cgi", "/dir/a.cgi",
		    "/c/to-to-dir/a.cgi", NULL);
		found(m, "/c/to-dir/", "/dir/a.cgi", "/c/to-dir/a.cgi", NULL);
		found(m, "/c/to-dir/up", "/dir/up", "/c/to-dir/up", NULL);
	}
	/* Where links may lead anywhere nothing is gained by it. */
	m = root_map("/", "symlinks = any");
	found(m, "/to-dir/a.cgi", "/to-dir/a.cgi", "/to-dir/a.cgi", NULL);
}

static void
test_symlinks_none(void **state)
{
	const struct config_map *m = root_map("/", "symlinks = none");

	(void)state;
	found(m, "/dir/a.cgi", "/dir/a.cgi", "/dir/a.cgi", NULL);
	refused(m, "/near", REASON_OUTSIDE_ROOT);
	refused(m, "/to-dir/a.cgi", REASON_OUTSIDE_ROOT);
	refused(m, "/dangling", REASON_OUTSIDE_ROOT);
}

static void
test_symlinks_any(void **state)
{
	const struct config_map *m = root_map("/", "symlinks = any");

	(void)state;
	found(m, "/near", "/near", "/near", NULL);
	found(m, "/absolute", "/absolute", "/absolute", NULL);
	found(m, "/out", "/out", "/out", NULL);
	found(m, "/out-dir/secret", "/out-dir/secret", "/out-dir/secret", NULL);
	refused(m, "/loop", REASON_OUTSIDE_ROOT);
	refused(m, "/dangling", REASON_SCRIPT_NOT_FOUND);
}

static void
test_symlinks_owner(void **state)
{
	const struct config_map *m = root_map("/", "symlinks = owner");

	(void)state;
	found(m, "/near", "/near", "/near", NULL);
	found(m, "/out", "/out", "/out", NULL);
	if (geteuid() != 0)
		skip();
	/* Somebody's link to our file, and to our directory. */
	make_link("a.cgi", "theirs");
	make_link("dir", "theirs-dir");
	assert_int_equal(lchown("theirs", 65534, 65534), 0);
	assert_int_equal(lchown("theirs-dir", 65534, 65534), 0);
	refused(m, "/theirs", REASON_OUTSIDE_ROOT);
	refused(m, "/theirs-dir/a.cgi", REASON_OUTSIDE_ROOT);
	m = root_map("/", "symlinks = any");
	found(m, "/theirs", "/theirs", "/theirs", NULL);
}

static void
test_writable_by_anyone(void **state)
{
	const struct config_map *m = root_map("/", "symlinks = any");
	char text[128];

	(void)state;
	refused(m, "/open.cgi", REASON_UNSAFE_PERMISSIONS);
	refused(m, "/open.cgi/x", REASON_UNSAFE_PERMISSIONS);
	refused(m, "/writable/a.cgi", REASON_UNSAFE_PERMISSIONS);
	/* The link's own mode is always 0777; what it leads to counts. */
	refused(m, "/to-open", REASON_UNSAFE_PERMISSIONS);
	refused(m, "/to-writable/a.cgi", REASON_UNSAFE_PERMISSIONS);
	snprintf(text, sizeof(text), "root = %s/writable", root);
	refused(parse_map("/", text), "/a.cgi", REASON_UNSAFE_PERMISSIONS);
	/* Told where it is seen, before anything is said of what is below. */
	refused(parse_map("/", text), "/none", REASON_UNSAFE_PERMISSIONS);
}

static void
test_not_searchable(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	refused(root_map("/", ""), "/shut/a.cgi", REASON_PERMISSION_DENIED);
}

/* From "/": names with one slash, and links that are below it all. */
static void
test_root_of_everything(void **state)
{
	const struct config_map *m = parse_map("/", "root = /");
	struct resolved r;
	char link[16] = "";

	(void)state;
	resolve_with(m, "/etc/passwd/x", "", 0, &r);
	assert_int_equal(r.reason, REASON_NONE);
	assert_string_equal(r.script.data, "/etc/passwd");
	assert_string_equal(r.name.data, "/etc/passwd");
	assert_string_equal(r.path_info, "/x");
	assert_string_equal(r.document_root, "/");
	end(&r);
	refused(m, "/", REASON_NOT_A_FILE);
	refused(m, "/etc", REASON_NOT_A_FILE);
	if (readlink("/bin", link, sizeof(link) - 1) != 7)
		skip();
	assert_string_equal(link, "usr/bin");
	resolve_with(m, "/bin/sh", "", 0, &r);
	assert_int_equal(r.reason, REASON_NONE);
	assert_string_equal(r.script.data, "/usr/bin/sh");
	assert_string_equal(r.name.data, "/bin/sh");
	end(&r);
}

static void
test_root_that_has_gone(void **state)
{
	const struct config_map *m;
	char text[128];

	(void)state;
	make_directory("brief");
	snprintf(text, sizeof(text), "root = %s/brief", root);
	m = parse_map("/", text);
	assert_int_equal(rmdir("brief"), 0);
	refused(m, "/a.cgi", REASON_SCRIPT_NOT_FOUND);
	make_file("brief", 0755);
	refused(m, "/a.cgi", REASON_SCRIPT_NOT_FOUND);
}

static const struct config_map *
script_map(const char *prefix, const char *script)
{
	char text[128];

	snprintf(text, sizeof(text), "script = %s%s", root, script);
	return parse_map(prefix, text);
}

static void
test_fixed_script(void **state)
{
	const struct config_map *m = script_map("/app", "/a.cgi");
	struct resolved r;

	(void)state;
	found(m, "/app", "/a.cgi", "/app", NULL);
	found(m, "/app/", "/a.cgi", "/app", "/");
	found(m, "/app/x/../y", "/a.cgi", "/app", "/x/../y");
	m = script_map("/", "/dir/a.cgi");
	found(m, "/", "/dir/a.cgi", "", "/");
	resolve_with(m, "/x", "", 0, &r);
	assert_string_equal(r.document_root + strlen(root), "/dir");
	end(&r);
	/* The administrator wrote it: a link may lead anywhere. */
	found(script_map("/app", "/out"), "/app/x", "/out", "/app", "/x");
	refused(
	    script_map("/app", "/open.cgi"), "/app", REASON_UNSAFE_PERMISSIONS);
	make_file("brief.cgi", 0755);
	m = script_map("/app", "/brief.cgi");
	assert_int_equal(remove("brief.cgi"), 0);
	refused(m, "/app", REASON_SCRIPT_NOT_FOUND);
}

/* Read, not executed; the interpreter is Python's, whatever the extension. */
static void
test_application(void **state)
{
	const struct config_map *m;
	struct resolved r;
	char text[192];

	(void)state;
	snprintf(text, sizeof(text), "wsgi = %s/b.py:a.b\nhandler.py = /bin/sh",
	    root);
	m = parse_map("/app", text);
	found(m, "/app", "/b.py", "/app", NULL);
	found(m, "/app/x/../y", "/b.py", "/app", "/x/../y");
	snprintf(text, sizeof(text),
	    "wsgi = %s/no.ext.ension\nhandler.py = /bin/sh\n"
	    "handler.ension = /bin/ls",
	    root);
	m = parse_map("/", text);
	resolve_with(m, "/x", "", 0, &r);
	assert_int_equal(r.reason, REASON_NONE);
	assert_string_equal(r.interpreter, "/bin/sh");
	assert_string_equal(r.name.data, "");
	assert_string_equal(r.path_info, "/x");
	end(&r);
	snprintf(text, sizeof(text), "wsgi = %s/open.cgi:app", root);
	refused(parse_map("/app", text), "/app", REASON_UNSAFE_PERMISSIONS);
	if (geteuid() == 0)
		return;
	make_file("closed.py", 0300);
	snprintf(text, sizeof(text), "wsgi = %s/closed.py", root);
	refused(parse_map("/app", text), "/app", REASON_PERMISSION_DENIED);
}

/* What a map makes of SCRIPT_FILENAME and the parameters behind it. */
static void
check_trusted(const struct config_map *m, const char *filename,
    const char *rest, size_t rest_length, struct resolved *r)
{
	struct buffer params = {0};

	assert_int_equal(
	    buffer_printf(&params, "SCRIPT_FILENAME%c%s%c", 0, filename, 0), 0);
	assert_int_equal(buffer_append(&params, rest, rest_length), 0);
	/* r->path_info is borrowed from these. */
	resolve_with(m, "/front/end", params.data, params.length, r);
	if (r->path_info != NULL)
		assert_string_equal(r->path_info, "/x/y");
	r->path_info = NULL;
	buffer_fini(&params);
}

static void
test_trusted_script_filename(void **state)
{
	static const char rest[] = "SCRIPT_NAME\0/n\0PATH_INFO\0/x/y";
	static const char empty[] = "SCRIPT_NAME\0\0PATH_INFO\0";
	static const char mounted[] = "SCRIPT_NAME\0\0PATH_INFO\0/x/y";
	const struct config_map *m =
	    root_map("/", "trust_script_filename = yes\nindex = a.cgi");
	static const struct {
		const char *below;
		enum reason reason;
	} wrong[] = {{"/../outside/secret", REASON_OUTSIDE_ROOT},
	    {"/out", REASON_OUTSIDE_ROOT}, {"ed/secret", REASON_OUTSIDE_ROOT},
	    {"/none", REASON_SCRIPT_NOT_FOUND},
	    {"/a.cgi/x", REASON_SCRIPT_NOT_FOUND}, {"/dir", REASON_NOT_A_FILE},
	    {"/", REASON_NOT_A_FILE}, {"", REASON_OUTSIDE_ROOT}};
	struct resolved r;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/dir/a.cgi", root);
	check_trusted(m, path, rest, sizeof(rest), &r);
	assert_found(&r, path, "/dir/a.cgi", "/n", NULL);
	/* Without them: what led to it. */
	check_trusted(m, path, "", 0, &r);
	assert_found(&r, path, "/dir/a.cgi", "/front/end", NULL);
	check_trusted(m, path, empty, sizeof(empty), &r);
	assert_found(&r, path, "/dir/a.cgi", "/front/end", NULL);
	check_trusted(m, path, mounted, sizeof(mounted), &r);
	assert_found(&r, path, "/dir/a.cgi", "", NULL);
	/* A name that is not known is what is below the root. */
	check_trusted(m, path, mounted + sizeof("SCRIPT_NAME") + 1,
	    sizeof(mounted) - sizeof("SCRIPT_NAME") - 1, &r);
	assert_found(&r, path, "/dir/a.cgi", "/dir/a.cgi", NULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, wrong[i].below);
		check_trusted(m, path, rest, sizeof(rest), &r);
		assert_refused(&r, path, wrong[i].reason);
	}
	check_trusted(m, "/etc/passwd", rest, sizeof(rest), &r);
	assert_refused(&r, "/etc/passwd", REASON_OUTSIDE_ROOT);
	/* Not trusted, or not a path: the request's path counts. */
	snprintf(path, sizeof(path), "%s/a.cgi", root);
	check_trusted(m, "a.cgi", rest, sizeof(rest), &r);
	assert_refused(&r, "/front/end", REASON_SCRIPT_NOT_FOUND);
	check_trusted(root_map("/", ""), path, rest, sizeof(rest), &r);
	assert_refused(&r, "/front/end", REASON_SCRIPT_NOT_FOUND);
}

static void
test_without_a_trace(void **state)
{
	const struct config_map *m = root_map("/", "");
	struct resolved r;

	(void)state;
	descriptors = count_descriptors();
	resolve_script(m, "/to-dir/a.cgi", "", 0, NULL, &r);
	assert_found(&r, "/", "/dir/a.cgi", "/to-dir/a.cgi", NULL);
	resolve_with(m, "/to-dir/a.cgi", "", 0, &r);
	assert_int_equal(buffer_append(&trace, "", 1), 0);
	assert_non_null(strstr(trace.data, "to-dir is a symbolic link"));
	assert_non_null(strstr(trace.data, "a.cgi is a regular file"));
	end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_item_36_first_file),
	    cmocka_unit_test(test_item_21_dots_and_slashes),
	    cmocka_unit_test(test_index),
	    cmocka_unit_test(test_allow_names),
	    cmocka_unit_test(test_handlers),
	    cmocka_unit_test(test_symlinks_inside),
	    cmocka_unit_test(test_link_to_a_directory),
	    cmocka_unit_test(test_symlinks_none),
	    cmocka_unit_test(test_symlinks_any),
	    cmocka_unit_test(test_symlinks_owner),
	    cmocka_unit_test(test_writable_by_anyone),
	    cmocka_unit_test(test_not_searchable),
	    cmocka_unit_test(test_root_of_everything),
	    cmocka_unit_test(test_root_that_has_gone),
	    cmocka_unit_test(test_fixed_script),
	    cmocka_unit_test(test_application),
	    cmocka_unit_test(test_trusted_script_filename),
	    cmocka_unit_test(test_without_a_trace),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
