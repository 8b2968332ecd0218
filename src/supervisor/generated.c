/*
 * generated.c: writes configurations, which are then parsed like any other: a
 * path that the syntax cannot hold is refused there, or here if it would be
 * cut.
 */
#include "supervisor/generated.h"

#include <sys/stat.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * `path`, which is owned, or NULL with errno if it would be cut: blanks at the
 * end of a value are no part of it, nor is a comment.
 */
static char *
refuse_cut(char *path)
{
	if (path != NULL &&
	    (strstr(path, " ;") != NULL || strstr(path, "\t;") != NULL ||
		strchr(" \t", path[strlen(path) - 1]) != NULL)) {
		free(path);
		path = NULL;
		errno = EINVAL;
	}
	return path;
}

static int
append_quoted(struct buffer *text, const char *word)
{
	if (buffer_append_string(text, " \"") == -1)
		return -1;
	for (; *word != '\0'; word++)
		if ((strchr("\"\\;", *word) != NULL &&
			buffer_append(text, "\\", 1) == -1) ||
		    buffer_append(text, word, 1) == -1)
			return -1;
	return buffer_append(text, "\"", 1);
}

static int
append_user(struct buffer *text, const char *user)
{
	if (user == NULL || geteuid() != 0)
		return 0;
	return buffer_printf(text, "user = %s\n", user);
}

/* The connection is standard input: the address is never bound. */
static int
append_inetd_pool(struct buffer *text, const char *user, const char *log)
{
	if (buffer_printf(text,
		"[scgid]\nlog = %s\n[inetd]\nlisten = 127.0.0.1:1\n"
		"access_log = off\nlaunchers = 1\n",
		log) == -1)
		return -1;
	return append_user(text, user);
}

static int
append_inetd_script(struct buffer *text, const char *path, char **args)
{
	if (buffer_printf(text, "script = %s\n", path) == -1)
		return -1;
	if (*args != NULL && buffer_append_string(text, "args =") == -1)
		return -1;
	for (; *args != NULL; args++)
		if (append_quoted(text, *args) == -1)
			return -1;
	return buffer_append(text, "\n", 1);
}

/* The front end names scripts below it as it was written. */
static char *
find_directory(const char *target)
{
	return target[0] == '/' ? strdup(target) : realpath(target, NULL);
}

/* One that is a link keeps its name: a program may go by that. */
static char *
find_script(const char *target)
{
	const char *slash = strrchr(target, '/');
	const char *name = slash != NULL ? slash + 1 : target;
	char *directory = strndup(target, (size_t)(name - target));
	char *real = NULL;
	struct buffer path = {0};

	if (directory != NULL)
		real = realpath(slash != NULL ? directory : ".", NULL);
	if (real != NULL &&
	    (buffer_printf(&path, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
		 name) == -1 ||
		buffer_append(&path, "", 1) == -1))
		buffer_fini(&path);
	free(directory);
	free(real);
	return path.data;
}

int
generated_inetd(struct buffer *text, const char *target, char **args,
    const char *user, const char *log)
{
	struct stat st;
	char *path;
	int result = -1;

	if (stat(target, &st) == -1)
		return -1;
	path = refuse_cut(
	    S_ISDIR(st.st_mode) ? find_directory(target) : find_script(target));
	if (path == NULL || append_inetd_pool(text, user, log) == -1 ||
	    buffer_append_string(text, "[inetd /]\n") == -1)
		goto out;
	if (S_ISDIR(st.st_mode))
		result = buffer_printf(
		    text, "root = %s\ntrust_script_filename = yes\n", path);
	else
		result = append_inetd_script(text, path, args);
out:
	free(path);
	return result;
}

static const char *
owner_or_nobody(const struct stat *st)
{
	struct passwd *owner = st->st_uid != 0 ? getpwuid(st->st_uid) : NULL;

	return owner != NULL ? owner->pw_name : "nobody";
}

int
generated_serve(struct buffer *text, const char *directory,
    const char *socket_path, const char *user)
{
	char *path = refuse_cut(realpath(directory, NULL));
	struct stat st;
	int result = -1;

	if (path == NULL || stat(path, &st) == -1)
		goto out;
	if (user == NULL)
		user = owner_or_nobody(&st);
	if (buffer_printf(text,
		"[scgid]\nlog = stderr\n[serve]\nlisten = %s\n"
		"listen_mode = 0666\ndebug = yes\n",
		socket_path) == -1 ||
	    append_user(text, user) == -1)
		goto out;
	result = buffer_printf(text,
	    "[serve /]\nroot = %s\nindex = index.cgi index.sh index.py "
	    "index.pl\n",
	    path);
out:
	free(path);
	return result;
}
