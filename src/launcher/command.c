/*
 * command.c: what a request runs: script, arguments, environment.
 */
#include "launcher/launcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/support.h"

/* What runs an application; Python finds the module that it needs beside it. */
#define RUNNER "run_wsgi.py"

static enum reason
refuse(struct resolved *r, enum reason reason, int error, const char *path,
    const char *what)
{
	char safe[1024];

	r->reason = reason;
	r->error = error;
	buffer_printf(&r->detail, "%s: %s",
	    log_escape(safe, sizeof(safe), path, strlen(path)), what);
	return reason;
}

static const char *
find_variable(char **envp, const char *name)
{
	size_t length = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
			return *envp + length + 1;
	return "";
}

/* The Python of the map, or else the one that its scripts would find. */
static enum reason
find_python(struct launcher_command *c)
{
	struct resolved *r = &c->resolved;
	const char *path = find_variable(c->environment.envp, "PATH");

	if (r->interpreter != NULL)
		return REASON_NONE;
	if (path_search(path, "python3", &c->interpreter) == -1)
		return errno == ENOMEM
		    ? refuse(r, REASON_OUT_OF_MEMORY, ENOMEM, path, "")
		    : refuse(r, REASON_INTERPRETER_NOT_FOUND, ENOENT, path,
			  "there is no python3 in this PATH (handler.py "
			  "names one)");
	r->interpreter = c->interpreter.data;
	return REASON_NONE;
}

/* In a chroot our own files are there only if somebody put them there. */
static enum reason
find_runner(struct launcher_command *c)
{
	struct resolved *r = &c->resolved;

	if (buffer_printf(&c->runner, "%s/%s", support_directory(), RUNNER) ==
		-1 ||
	    buffer_append(&c->runner, "", 1) == -1)
		return refuse(r, REASON_OUT_OF_MEMORY, ENOMEM, RUNNER, "");
	if (access(c->runner.data, R_OK) == -1)
		return refuse(r, REASON_INTERPRETER_NOT_FOUND, errno,
		    c->runner.data, strerror(errno));
	return REASON_NONE;
}

/*
 * The script, its handler before it, the map's arguments behind it; or Python
 * with what it runs an application by.
 */
static char **
build_argv(const struct config_map *map, struct launcher_command *c)
{
	const struct resolved *r = &c->resolved;
	char **argv = calloc(map->args.count + 4, sizeof(*argv));
	size_t n = 0;

	if (argv == NULL)
		return NULL;
	if (r->interpreter != NULL)
		argv[n++] = (char *)(uintptr_t)r->interpreter;
	if (map->wsgi != NULL)
		argv[n++] = c->runner.data;
	argv[n++] = map->wsgi != NULL ? map->wsgi : r->script.data;
	for (size_t i = 0; i < map->args.count; i++)
		argv[n++] = map->args.items[i];
	return argv;
}

int
launcher_environment(struct cgi_environment *environment,
    const struct config_map *map, const struct resolved *r, const char *params,
    size_t params_length)
{
	const struct cgi_environment_input input = {.params = params,
	    .params_length = params_length,
	    .script_name = r->name.data,
	    .path_info = r->path_info,
	    .document_root = r->document_root,
	    .script_filename = r->script.data,
	    .extra = map->environment.items,
	    .extra_count = map->environment.count,
	    .pass_authorization = map->authorization == AUTHORIZATION_PASS};

	return cgi_environment_build(environment, &input);
}

enum reason
launcher_prepare(const struct config_map *map, const char *path,
    const char *params, size_t params_length, struct buffer *trace,
    struct launcher_command *c)
{
	struct resolved *r = &c->resolved;

	memset(c, 0, sizeof(*c));
	resolve_script(map, path, params, params_length, trace, r);
	if (r->reason != REASON_NONE)
		return r->reason;
	if (launcher_environment(
		&c->environment, map, r, params, params_length) == -1)
		goto no_memory;
	if (map->wsgi != NULL &&
	    (find_python(c) != REASON_NONE || find_runner(c) != REASON_NONE))
		return r->reason;
	if ((c->argv = build_argv(map, c)) == NULL)
		goto no_memory;
	c->path = c->argv[0];
	return REASON_NONE;

no_memory:
	r->reason = REASON_OUT_OF_MEMORY;
	r->error = ENOMEM;
	return r->reason;
}

void
launcher_command_fini(struct launcher_command *c)
{
	buffer_fini(&c->interpreter);
	buffer_fini(&c->runner);
	free(c->argv);
	cgi_environment_fini(&c->environment);
	resolved_fini(&c->resolved);
}
