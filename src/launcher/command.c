/*
 * command.c: what a request runs: script, arguments, environment.
 */
#include "launcher/launcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The script, its handler before it, the map's arguments behind it. */
static char **
build_argv(const struct config_map *map, const struct resolved *r)
{
	char **argv = calloc(map->args.count + 3, sizeof(*argv));
	size_t n = 0;

	if (argv == NULL)
		return NULL;
	if (r->interpreter != NULL)
		argv[n++] = (char *)(uintptr_t)r->interpreter;
	argv[n++] = r->script.data;
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
		&c->environment, map, r, params, params_length) == -1 ||
	    (c->argv = build_argv(map, r)) == NULL) {
		r->reason = REASON_OUT_OF_MEMORY;
		r->error = ENOMEM;
		return r->reason;
	}
	c->path = c->argv[0];
	return REASON_NONE;
}

void
launcher_command_fini(struct launcher_command *c)
{
	free(c->argv);
	cgi_environment_fini(&c->environment);
	resolved_fini(&c->resolved);
}
