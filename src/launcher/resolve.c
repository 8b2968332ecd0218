/*
 * resolve.c: the walk.  Each step looks for one name below the descriptor of
 * the step before, so nothing that changes meanwhile can lead it elsewhere.
 * It reads no file and starts nothing.
 */
#include "launcher/resolve.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "scgi/request.h"

struct walk {
	const struct config_map *map;
	enum config_symlinks symlinks;
	int root;	      /* owned */
	int directory;	      /* owned; where the walk stands, maybe root */
	size_t root_length;   /* of r->script when it is the root */
	bool has_followed;    /* a link to a directory, and that matters */
	struct buffer *trace; /* borrowed; may be NULL */
	struct resolved *r;
};

static void
trace(struct walk *w, const char *format, const char *text)
{
	char safe[1024];

	if (w->trace != NULL)
		buffer_printf(w->trace, format,
		    log_escape(safe, sizeof(safe), text, strlen(text)));
}

/* Records why the walk ends; always returns -1. */
static int
refuse(struct walk *w, enum reason reason, int error, const char *what)
{
	char safe[1024];
	struct resolved *r = w->r;
	const char *path = r->script.data != NULL ? r->script.data : "";

	r->reason = reason;
	r->error = error;
	r->detail.length = 0;
	buffer_printf(&r->detail, "%s: %s",
	    log_escape(safe, sizeof(safe), path, strlen(path)), what);
	trace(w, "  refused: %s\n",
	    r->detail.data != NULL ? r->detail.data : what);
	return -1;
}

static int
refuse_errno(struct walk *w, int error)
{
	char what[256], number[CONFIG_NUMBER_SIZE];

	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		return refuse(w, REASON_SCRIPT_NOT_FOUND, error,
		    "no such file or directory");
	case EACCES:
	case EPERM:
		snprintf(what, sizeof(what),
		    "user %s may not search the directory it is in",
		    config_user_text(&w->map->pool->user, number));
		return refuse(w, REASON_PERMISSION_DENIED, error, what);
	case EXDEV:
		return refuse(w, REASON_OUTSIDE_ROOT, error,
		    "the symbolic link leads outside the root, or is absolute "
		    "(symlinks = inside)");
	case ELOOP:
		return refuse(
		    w, REASON_OUTSIDE_ROOT, error, "too many symbolic links");
	case EMFILE:
	case ENFILE:
		return refuse(w, REASON_NO_DESCRIPTORS, error, strerror(error));
	case ENOMEM:
		return refuse(w, REASON_OUT_OF_MEMORY, error, strerror(error));
	default:
		return refuse(w, REASON_FORK_FAILED, error, strerror(error));
	}
}

/* Follow the link that r->script now names.  A descriptor, or -1. */
static int
follow_link(struct walk *w, const char *name, const struct stat *link)
{
	struct stat target;
	int fd;

	switch (w->symlinks) {
	case SYMLINKS_NONE:
		return refuse(w, REASON_OUTSIDE_ROOT, 0,
		    "is a symbolic link (symlinks = none)");
	case SYMLINKS_INSIDE:
		fd = path_open_beneath(
		    w->root, w->r->script.data + w->root_length + 1);
		break;
	default:
		fd = path_open_followed(w->directory, name);
		break;
	}
	if (fd == -1)
		return refuse_errno(w, errno);
	if (w->symlinks == SYMLINKS_OWNER &&
	    (fstat(fd, &target) == -1 || target.st_uid != link->st_uid)) {
		fd_close(&fd);
		return refuse(w, REASON_OUTSIDE_ROOT, 0,
		    "the symbolic link and its target have different owners "
		    "(symlinks = owner)");
	}
	trace(w, "  %s is a symbolic link, followed\n", w->r->script.data);
	return fd;
}

/* Open what is no regular file; if it is a link, then what that leads to. */
static int
open_other(struct walk *w, const char *name, struct stat *st, int *fd)
{
	int link;

	/* By now it may be something else than what was looked at. */
	*fd = path_open(w->directory, name);
	if (*fd == -1 || fstat(*fd, st) == -1)
		goto fail;
	if (S_ISLNK(st->st_mode)) {
		link = *fd;
		*fd = follow_link(w, name, st);
		fd_close(&link);
		if (*fd == -1)
			return -1;
		if (fstat(*fd, st) == -1)
			goto fail;
		if (S_ISDIR(st->st_mode) && w->symlinks != SYMLINKS_ANY)
			w->has_followed = true;
	}
	return 0;
fail:
	refuse_errno(w, errno);
	fd_close(fd);
	return -1;
}

/*
 * Find `name` in the current directory; r->script is extended by it.  `*fd` is
 * never of a link, and -1 if it is a regular file: nobody has to open that.
 */
static int
find_name(
    struct walk *w, const char *name, size_t length, struct stat *st, int *fd)
{
	struct buffer *script = &w->r->script;

	*fd = -1;
	script->length--; /* the NUL */
	if (buffer_append(script, "/", 1) == -1 ||
	    buffer_append(script, name, length) == -1 ||
	    buffer_append(script, "", 1) == -1)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	name = script->data + script->length - 1 - length;
	if (fstatat(w->directory, name, st, AT_SYMLINK_NOFOLLOW) == -1)
		return refuse_errno(w, errno);
	if (!S_ISREG(st->st_mode) && open_other(w, name, st, fd) == -1)
		return -1;
	if ((st->st_mode & S_IWOTH) != 0) {
		fd_close(fd);
		return refuse(
		    w, REASON_UNSAFE_PERMISSIONS, 0, "is writable by anyone");
	}
	return 0;
}

static bool
name_is_allowed(const struct config_map *map, const char *name)
{
	for (size_t i = 0; i < map->allow_names.count; i++)
		if (fnmatch(map->allow_names.items[i], name, FNM_PERIOD) == 0)
			return true;
	return map->allow_names.count == 0;
}

/* An application is Python's, whatever its file is called. */
static const char *
find_interpreter(const struct config_map *map, const char *name)
{
	const char *dot = map->wsgi != NULL ? ".py" : strrchr(name, '.');

	for (size_t i = 0; dot != NULL && i < map->handlers.count; i++)
		if (strcmp(map->handlers.items[i].name, dot + 1) == 0)
			return map->handlers.items[i].value;
	return NULL;
}

/*
 * A link to a directory that was allowed may lead elsewhere by the time the
 * script is executed: name the directory where the walk stands instead.
 */
static int
name_true_directory(struct walk *w)
{
	struct buffer *script = &w->r->script;
	char path[4096];
	char *name;
	int n;

	if (!w->has_followed || path_of(w->directory, path, sizeof(path)) == -1)
		return 0;
	if ((name = strdup(strrchr(script->data, '/'))) == NULL)
		return -1;
	script->length = 0;
	n = buffer_append_string(script, path);
	if (n == 0)
		n = buffer_append(script, name, strlen(name) + 1);
	free(name);
	return n;
}

/* r->script names a file that is there: is it one that may run? */
static int
accept_file(struct walk *w, const struct stat *st)
{
	struct resolved *r = w->r;
	const char *name;

	if (name_true_directory(w) == -1)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	name = strrchr(r->script.data, '/') + 1;
	if (!S_ISREG(st->st_mode))
		return refuse(w, REASON_NOT_A_FILE, 0,
		    S_ISDIR(st->st_mode)
			? "is a directory"
			: "is neither a regular file nor a directory");
	if (!name_is_allowed(w->map, name))
		return refuse(w, REASON_NAME_NOT_ALLOWED, 0,
		    "its name matches none of allow_names");
	r->interpreter = find_interpreter(w->map, name);
	trace(w, "  %s is a regular file: the script\n", r->script.data);
	r->stamp = watch_stamp(st);
	r->directory = w->directory;
	w->directory = -1;
	return 0;
}

/* The walk ended in a directory. */
static int
try_index(struct walk *w)
{
	struct resolved *r = w->r;
	size_t here = r->script.length;

	for (size_t i = 0; i < w->map->index.count; i++) {
		const char *name = w->map->index.items[i];
		struct stat st;
		int fd;

		if (find_name(w, name, strlen(name), &st, &fd) == 0) {
			bool ends_in_slash = r->name.length > 1 &&
			    r->name.data[r->name.length - 2] == '/';

			fd_close(&fd);
			r->reason = REASON_NONE;
			r->error = 0;
			r->detail.length = 0;
			r->name.length--;
			if (buffer_printf(&r->name, "%s%s",
				ends_in_slash ? "" : "/", name) == -1 ||
			    buffer_append(&r->name, "", 1) == -1)
				return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM,
				    "out of memory");
			return accept_file(w, &st);
		}
		if (r->reason != REASON_SCRIPT_NOT_FOUND)
			return -1;
		r->script.length = here;
		r->script.data[here - 1] = '\0';
	}
	return refuse(w, REASON_NOT_A_FILE, 0,
	    w->map->index.count == 0
		? "is a directory, and the map has no index"
		: "is a directory without any of the index files");
}

static bool
is_dot_segment(const char *name, size_t length)
{
	return (length == 1 && name[0] == '.') ||
	    (length == 2 && name[0] == '.' && name[1] == '.');
}

/*
 * Walk `path`, name by name.  The first regular file is the script; where it
 * ends in `path` is stored in `*end`.
 */
static int
walk_path(struct walk *w, const char *path, const char **end)
{
	const char *p = path;
	struct stat st;

	for (;;) {
		size_t length;
		int fd;

		p += strspn(p, "/");
		*end = p;
		if (*p == '\0')
			return 1;
		length = strcspn(p, "/");
		if (is_dot_segment(p, length))
			return refuse(w, REASON_OUTSIDE_ROOT, 0,
			    "followed by a '.' or '..' segment");
		if (find_name(w, p, length, &st, &fd) == -1)
			return -1;
		p += length;
		if (!S_ISDIR(st.st_mode)) {
			fd_close(&fd);
			*end = p;
			return accept_file(w, &st);
		}
		trace(w, "  %s is a directory\n", w->r->script.data);
		if (w->directory != w->root)
			close(w->directory);
		w->directory = fd;
	}
}

static int
open_root(struct walk *w, const char *root)
{
	struct buffer *script = &w->r->script;
	struct stat st;

	w->root_length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	w->r->document_root = strdup(root);
	if (w->r->document_root == NULL ||
	    buffer_append(script, root, w->root_length) == -1 ||
	    buffer_append(script, "", 1) == -1)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	trace(w, "  root %s\n", root);
	w->root = path_open_followed(AT_FDCWD, root);
	if (w->root == -1)
		return refuse_errno(w, errno);
	if (fstat(w->root, &st) == -1)
		return refuse_errno(w, errno);
	if (!S_ISDIR(st.st_mode))
		return refuse_errno(w, ENOTDIR);
	if ((st.st_mode & S_IWOTH) != 0)
		return refuse(
		    w, REASON_UNSAFE_PERMISSIONS, 0, "is writable by anyone");
	w->directory = w->root;
	return 0;
}

/* What of `path` lies below the prefix of the map. */
static const char *
below_prefix(const struct config_map *map, const char *path)
{
	return path + (strcmp(map->prefix, "/") == 0 ? 0 : strlen(map->prefix));
}

/* A map with a root: the walk decides where the script's name ends. */
static int
resolve_below_root(struct walk *w, const char *path)
{
	const char *below = below_prefix(w->map, path), *end;
	struct resolved *r = w->r;
	int found;

	if (open_root(w, w->map->root) == -1)
		return -1;
	found = walk_path(w, below, &end);
	if (buffer_append(&r->name, path, (size_t)(end - path)) == -1 ||
	    buffer_append(&r->name, "", 1) == -1)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	if (found == 0 && *end != '\0')
		r->path_info = end;
	return found == 1 ? try_index(w) : found;
}

/* A map with one file: its prefix is the script's name. */
static int
resolve_fixed_script(struct walk *w, const char *path, const char *file)
{
	const char *below = below_prefix(w->map, path);
	const char *slash = strrchr(file, '/'), *end;
	struct resolved *r = w->r;
	char *root;
	int found;

	root = strndup(file, (size_t)(slash - file));
	if (root == NULL)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	w->symlinks = SYMLINKS_ANY;
	found = open_root(w, *root != '\0' ? root : "/");
	free(root);
	if (found == -1 || (found = walk_path(w, slash, &end)) == -1)
		return -1;
	if (found == 1)
		return refuse(w, REASON_NOT_A_FILE, 0, "is a directory");
	if (buffer_append(&r->name, path, (size_t)(below - path)) == -1 ||
	    buffer_append(&r->name, "", 1) == -1)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	if (*below != '\0')
		r->path_info = below;
	return 0;
}

/* An application: read, not executed. */
static int
resolve_application(struct walk *w, const char *path)
{
	const char *wsgi = w->map->wsgi;
	char *file = strndup(wsgi, config_wsgi_file_length(wsgi));
	char what[256], number[CONFIG_NUMBER_SIZE];
	int found;

	if (file == NULL)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	found = resolve_fixed_script(w, path, file);
	if (found == 0 && access(w->r->script.data, R_OK) == -1) {
		int error = errno;

		snprintf(what, sizeof(what), "user %s may not read it",
		    config_user_text(&w->map->pool->user, number));
		found = refuse(w, REASON_PERMISSION_DENIED, error, what);
	}
	free(file);
	return found;
}

static bool
is_empty(const char *value)
{
	return value == NULL || *value == '\0';
}

/*
 * `script_filename`, the front end's word, below the root of the map.  If it
 * has not split the request's `path`, all of that led there.
 */
static int
resolve_trusted(struct walk *w, const char *script_filename,
    const char *script_name, const char *path_info, const char *path)
{
	const char *root = w->map->root, *end;
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	struct resolved *r = w->r;
	int found;

	if (open_root(w, root) == -1)
		return -1;
	if (strncmp(script_filename, root, length) != 0 ||
	    script_filename[length] != '/')
		return refuse(w, REASON_OUTSIDE_ROOT, 0,
		    "SCRIPT_FILENAME is not below this root");
	found = walk_path(w, script_filename + length, &end);
	if (found == -1)
		return -1;
	if (found == 1)
		return refuse(w, REASON_NOT_A_FILE, 0, "is a directory");
	if (*end != '\0')
		return refuse(w, REASON_SCRIPT_NOT_FOUND, ENOTDIR,
		    "SCRIPT_FILENAME goes on after this file");
	if (is_empty(script_name) && is_empty(path_info))
		script_name = path;
	else if (script_name == NULL)
		script_name = script_filename + length;
	if (buffer_append(&r->name, script_name, strlen(script_name) + 1) == -1)
		return refuse(w, REASON_OUT_OF_MEMORY, ENOMEM, "out of memory");
	if (!is_empty(path_info))
		r->path_info = path_info;
	return 0;
}

void
resolve_script(const struct config_map *map, const char *path,
    const char *params, size_t params_length, struct buffer *trace_buffer,
    struct resolved *r)
{
	struct walk w = {.map = map,
	    .symlinks = map->symlinks,
	    .root = -1,
	    .directory = -1,
	    .trace = trace_buffer,
	    .r = r};
	const char *trusted = NULL;

	memset(r, 0, sizeof(*r));
	r->directory = -1;
	if (map->trust_script_filename && map->root != NULL)
		trusted =
		    scgi_get_param(params, params_length, "SCRIPT_FILENAME");
	if (map->wsgi != NULL)
		resolve_application(&w, path);
	else if (map->script != NULL)
		resolve_fixed_script(&w, path, map->script);
	else if (trusted != NULL && *trusted == '/')
		resolve_trusted(&w, trusted,
		    scgi_get_param(params, params_length, "SCRIPT_NAME"),
		    scgi_get_param(params, params_length, "PATH_INFO"), path);
	else
		resolve_below_root(&w, path);
	if (w.root != w.directory && w.root != r->directory)
		fd_close(&w.root);
	fd_close(&w.directory);
}

void
resolved_fini(struct resolved *r)
{
	buffer_fini(&r->detail);
	buffer_fini(&r->script);
	buffer_fini(&r->name);
	free(r->document_root);
	fd_close(&r->directory);
}
