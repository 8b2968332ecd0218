/*
 * fork_plan.c: which program, with which arguments, and how it is started as a
 * fork server.
 */
#include "launcher/fork_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/elf.h"
#include "base/support.h"

void
fork_plan_fini(struct fork_plan *plan)
{
	free(plan->argv);
}

static size_t
count_strings(char *const *strings)
{
	size_t n = 0;

	while (strings[n] != NULL)
		n++;
	return n;
}

static char *
borrow(const char *string)
{
	return (char *)(uintptr_t)string;
}

static const char *
variable(const struct launcher_command *c, const char *name)
{
	size_t length = strlen(name);

	for (char **e = c->environment.envp; *e != NULL; e++)
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=')
			return *e + length + 1;
	return "";
}

/* If not, exec will tell why. */
static bool
can_start(const struct config_map *map, const struct launcher_command *c)
{
	struct start_failure failure;
	enum reason reason = start_check(
	    c->path, c->resolved.script.data, &map->pool->user, &failure);

	buffer_fini(&failure.detail);
	return reason == REASON_NONE;
}

/* The stamp is the script's, which may have a handler before it. */
static const struct program *
find_program(const struct launcher_command *c)
{
	static const struct watch_stamp unknown;

	return program_recall(c->path,
	    c->path == c->resolved.script.data ? &c->resolved.stamp : &unknown,
	    variable(c, "PATH"));
}

int
fork_plan_init(struct fork_plan *plan, const struct config_map *map,
    const struct launcher_command *c)
{
	size_t count = count_strings(c->argv), n = 0;
	const struct program *p = find_program(c);

	plan->map = map;
	plan->command = c;
	plan->argv = NULL;
	plan->program = p;
	plan->path = p != NULL ? p->path : c->path;
	if (p == NULL && !can_start(map, c))
		return -1;
	if ((plan->argv = calloc(count + 3, sizeof(char *))) == NULL)
		return -1;
	if (p == NULL || p->name == NULL) {
		memcpy(plan->argv, c->argv, count * sizeof(char *));
		plan->tail = 1;
		return 0;
	}
	plan->argv[n++] = borrow(p->name);
	if (p->option != NULL)
		plan->argv[n++] = borrow(p->option);
	plan->tail = n;
	plan->argv[n++] = borrow(c->path);
	memcpy(plan->argv + n, c->argv + 1, (count - 1) * sizeof(char *));
	return 0;
}

static int
add_string(struct buffer *b, const char *string)
{
	return buffer_append(b, string, strlen(string) + 1);
}

/*
 * One fork server serves every script of a program that begins with its main;
 * one that has compiled a script is of use for that one only.
 */
int
fork_plan_make_key(const struct fork_plan *plan, struct buffer *key)
{
	const struct config_map *map = plan->map;
	const int64_t numbers[] = {map->start, map->spare, map->max_requests,
	    map->idle, (int64_t)count_strings(plan->argv),
	    (int64_t)map->preload.count};
	int result;

	key->length = 0;
	result = buffer_append(key, numbers, sizeof(numbers));
	result |= add_string(key, plan->path);
	if (map->start != START_FORK_SERVER) {
		for (char **a = plan->argv; *a != NULL; a++)
			result |= add_string(key, *a);
		for (size_t i = 0; i < map->preload.count; i++)
			result |= add_string(key, map->preload.items[i]);
	}
	for (size_t i = 0; i < map->environment.count; i++) {
		result |= add_string(key, map->environment.items[i].name);
		result |= add_string(key, map->environment.items[i].value);
	}
	return result;
}

/* The script or the application, without what runs the latter under exec. */
static char **
own_arguments(const struct fork_plan *plan)
{
	return plan->argv + plan->tail + (plan->map->wsgi != NULL ? 1 : 0);
}

char *
fork_plan_describe(const struct fork_plan *plan)
{
	struct buffer text = {0};

	buffer_printf(&text, "%.1000s", plan->path);
	for (char **a = own_arguments(plan);
	     plan->map->start != START_FORK_SERVER && *a != NULL; a++)
		buffer_printf(&text, " %.1000s", *a);
	return text.data;
}

/* The value of --preload=: what is configured, and what was learned. */
static int
print_preload(
    struct buffer *out, const struct config_map *map, const char *learned)
{
	const struct config_list *list = &map->preload;
	const char *separator = "--preload=";
	bool is_auto = false;
	int result = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], "auto") == 0) {
			is_auto = true;
		} else if (strcmp(list->items[i], "no") != 0) {
			result |= buffer_printf(
			    out, "%s%s", separator, list->items[i]);
			separator = ",";
		}
	}
	if (is_auto && learned != NULL)
		result |= buffer_printf(out, "%s%s", separator, learned);
	return result;
}

/* The runner, before the script and its arguments. */
static int
add_runner(const struct fork_plan *plan, const char *learned, char **argv,
    size_t *n, struct buffer texts[2])
{
	const char *directory = support_directory();

	if (plan->map->start == START_PERL) {
		if (buffer_printf(&texts[0],
			"-M5;BEGIN{require q{%s/fork_server.pl}}",
			directory) == -1)
			return -1;
		argv[(*n)++] = texts[0].data;
		return 0;
	}
	if (buffer_printf(&texts[0], "%s/fork_server.py", directory) == -1 ||
	    print_preload(&texts[1], plan->map, learned) == -1)
		return -1;
	argv[(*n)++] = texts[0].data;
	if (texts[1].length > 0)
		argv[(*n)++] = texts[1].data;
	if (plan->map->wsgi != NULL)
		argv[(*n)++] = borrow("--wsgi");
	return 0;
}

/* Memory for what a worker's arguments will be in ps. */
static const char room[] =
    "                                                   "
    "                                                   "
    "                                                   "
    "                                                   ";

/*
 * Without it, in a chroot say, the loader would say so and start the program,
 * which would do its work for nobody.
 */
static int
find_library(char *out, size_t size)
{
	return snprintf(out, size, "%s/preload.so", support_directory()) <
		    (int)size &&
		access(out, R_OK) == 0
	    ? 0
	    : -1;
}

struct fork_process *
fork_plan_start(const struct fork_plan *plan, const char *learned)
{
	const struct config_map *map = plan->map;
	const struct launcher_command *c = plan->command;
	struct buffer texts[2] = {{0}, {0}};
	char library[PROGRAM_PATH_MAX];
	struct cgi_environment environment = {0};
	struct fork_options options = {.mode = map->start == START_FORK_SERVER
		? FORK_AT_MAIN
		: FORK_AT_FORK,
	    .spare = map->spare};
	struct start_command command = {
	    .path = plan->path, .directory = c->resolved.directory};
	struct fork_process *p = NULL;
	char **argv = calloc(count_strings(plan->argv) + 5, sizeof(*argv));
	char **tail = own_arguments(plan);
	size_t n = plan->tail;

	if (argv == NULL)
		return NULL;
	memcpy(argv, plan->argv, plan->tail * sizeof(*argv));
	if (map->start == START_FORK_SERVER)
		argv[n++] = borrow(room);
	else if (add_runner(plan, learned, argv, &n, texts) == -1)
		goto out;
	else
		memcpy(argv + n, tail, count_strings(tail) * sizeof(*argv));
	if (find_library(library, sizeof(library)) == -1 ||
	    launcher_environment(&environment, map, &c->resolved, "", 0) == -1)
		goto out;
	options.library = library;
	command.argv = argv;
	command.envp = environment.envp;
	p = fork_process_start(&command, &options);
out:
	cgi_environment_fini(&environment);
	for (int i = 0; i < 2; i++)
		buffer_fini(&texts[i]);
	free(argv);
	return p;
}

const char *
fork_plan_doubt(const struct fork_plan *plan)
{
	char path[PROGRAM_PATH_MAX];
	const char *name = strrchr(plan->path, '/') + 1;
	enum config_start kind = plan->map->start;

	if (plan->program == NULL)
		return "its #! line names another script, or is too long";
	if (access(plan->path, X_OK) == -1)
		return "it may not be executed";
	if (find_library(path, sizeof(path)) == -1)
		return "scgid's preload.so cannot be read here";
	if (variable(plan->command, "LD_PRELOAD")[0] != '\0')
		return "its environment has an LD_PRELOAD";
	if (kind == START_PYTHON && strncmp(name, "python", 6) != 0)
		return "start=python, but it is not run by python";
	if (kind == START_PERL && strncmp(name, "perl", 4) != 0)
		return "start=perl, but it is not run by perl";
	if (kind != START_FORK_SERVER && plan->argv[plan->tail] == NULL)
		return "it is no script";
	return elf_refuses_preload(plan->path);
}
