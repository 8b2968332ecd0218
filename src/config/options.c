/*
 * options: the table of every key there is.  Reading, scgid -T, the list of
 * keys and the test of the manual are all made from it, so a key exists when
 * it has a row here, and only then.
 */
#include "config/options.h"

#include <stdlib.h>
#include <string.h>

#define TIME_MAX      (INT64_C(8760) * 3600 * 1000)
#define KIB	      INT64_C(1024)
#define MIB	      (KIB * 1024)

#define SCGID(member) offsetof(struct config, member)
#define POOL(member)  offsetof(struct config_pool, member)
#define MAP(member)   offsetof(struct config_map, member)

/* A time that a map may set for itself. */
#define POOL_AND_MAP_TIME(name, member, standard, low, help)                \
	{SECTION_POOL, name, OPTION_TIME, POOL(timeouts.member), standard,  \
	    low, TIME_MAX, NULL, help},                                     \
	{                                                                   \
		SECTION_MAP, name, OPTION_TIME, MAP(timeouts.member), NULL, \
		    low, TIME_MAX, NULL, help "; without it, the pool's"    \
	}

/* clang-format off */
const struct option option_table[] = {
	{ SECTION_SCGID, "user", OPTION_USER, SCGID(user), "nobody",
		1, 0, NULL, "the user of the gateways; never root" },
	{ SECTION_SCGID, "log", OPTION_TARGET, SCGID(log), "stderr",
		0, 0, "stderr|syslog", "where the error log goes" },
	{ SECTION_SCGID, "include", OPTION_INCLUDE, 0, NULL,
		0, 0, NULL, "files to read too, a glob; may repeat" },

	{ SECTION_POOL, "listen", OPTION_LISTEN, 0, NULL,
		0, 0, NULL, "a Unix socket, an address and port, or "
		"systemd, to listen on; may repeat" },
	{ SECTION_POOL, "allow", OPTION_ALLOW, 0, NULL,
		0, 0, NULL, "users that may connect to Unix sockets, addresses "
		"and networks that may to ports; may repeat" },
	{ SECTION_POOL, "listen_owner", OPTION_OWNER, POOL(listen_owner), NULL,
		0, 0, NULL, "the owner of the pool's Unix sockets" },
	{ SECTION_POOL, "listen_group", OPTION_SHARE, POOL(listen_group), NULL,
		0, 0, NULL, "the group of the pool's Unix sockets" },
	{ SECTION_POOL, "listen_mode", OPTION_MODE, POOL(listen_mode), "0660",
		0, 0777, NULL, "the mode of the pool's Unix sockets" },
	{ SECTION_POOL, "backlog", OPTION_NUMBER, POOL(backlog), "4096",
		1, 65535, NULL, "connections that wait in the kernel" },
	{ SECTION_POOL, "user", OPTION_USER, POOL(user), NULL,
		0, 0, NULL, "the user of the scripts; required when scgid is "
		"started as root" },
	{ SECTION_POOL, "group", OPTION_GROUP, POOL(group), NULL,
		0, 0, NULL, "the group of the scripts; without it, the "
		"user's" },
	{ SECTION_POOL, "groups", OPTION_GROUPS, POOL(groups), NULL,
		0, 0, NULL, "supplementary groups of the scripts; without it, "
		"the user's" },
	{ SECTION_POOL, "chroot", OPTION_DIRECTORY, POOL(chroot), NULL,
		0, 0, NULL, "the root directory of launchers and scripts; the "
		"maps' paths are below it" },
	{ SECTION_POOL, "nice", OPTION_NUMBER, POOL(nice), "0",
		0, 19, NULL, "how far the scripts' priority is lowered" },
	{ SECTION_POOL, "limit_cpu", OPTION_TIME, POOL(limits.cpu), "0",
		0, TIME_MAX, NULL, "the CPU time of a process of a script, in "
		"whole seconds; 0: any" },
	{ SECTION_POOL, "limit_memory", OPTION_SIZE, POOL(limits.memory), "0",
		0, INT64_MAX, NULL, "the address space of a process of a "
		"script; 0: any" },
	{ SECTION_POOL, "limit_files", OPTION_NUMBER, POOL(limits.files), "0",
		0, 1048576, NULL, "the open files of a process of a script, at "
		"least 16; 0: as many as scgid was given" },
	{ SECTION_POOL, "limit_processes", OPTION_NUMBER,
		POOL(limits.processes), "0",
		0, 4194304, NULL, "the processes of the pool's user that a "
		"script may add to; 0: any" },
	{ SECTION_POOL, "limit_file_size", OPTION_SIZE,
		POOL(limits.file_size), "0",
		0, INT64_MAX, NULL, "the largest file that a script may write; "
		"0: any" },
	{ SECTION_POOL, "limit_core", OPTION_SIZE, POOL(limits.core), "0",
		0, INT64_MAX, NULL, "the largest core file of a script; 0: "
		"none is written" },
	{ SECTION_POOL, "gateways", OPTION_NUMBER, POOL(gateways), "1",
		1, 64, NULL, "processes that talk to the front end" },
	{ SECTION_POOL, "launchers", OPTION_NUMBER, POOL(launchers), "0",
		0, 64, NULL, "processes that start scripts; 0: one a core, "
		"at most 4" },
	{ SECTION_POOL, "workers", OPTION_NUMBER, POOL(workers), "0",
		0, 65536, NULL, "scripts that run at the same time; 0: 16 a "
		"core" },
	{ SECTION_POOL, "fork_servers", OPTION_NUMBER, POOL(fork_servers), "16",
		0, 256, NULL, "fork servers that are kept, for each gateway" },
	{ SECTION_POOL, "queue", OPTION_NUMBER, POOL(queue), "1024",
		1, 65536, NULL, "requests that may wait for a worker, for each gateway" },
	POOL_AND_MAP_TIME("queue_timeout", queue, "30s", 0,
		"how long a request waits for a worker; 0: not at all"),
	{ SECTION_POOL, "header_timeout", OPTION_TIME, POOL(header_timeout),
		"10s", 1, TIME_MAX, NULL,
		"how long a request's header may take" },
	POOL_AND_MAP_TIME("body_timeout", body, "30s", 1,
		"how long a request's body may pause"),
	POOL_AND_MAP_TIME("idle_timeout", idle, "55s", 1,
		"how long a script may print nothing"),
	POOL_AND_MAP_TIME("script_timeout", script, "300s", 1,
		"how long a script may run"),
	POOL_AND_MAP_TIME("background_grace", background_grace, "1s", 0,
		"how long a background child may keep the output open"),
	POOL_AND_MAP_TIME("kill_grace", kill_grace, "3s", 0,
		"how long after TERM a script is sent KILL"),
	{ SECTION_POOL, "half_close", OPTION_CHOICE, POOL(half_close), "abort",
		0, 0, "abort|wait", "what a front end means that closes its "
		"side of a TCP connection" },
	{ SECTION_POOL, "max_header", OPTION_SIZE, POOL(max_header), "128K",
		4 * KIB, 256 * KIB, NULL, "the largest request header" },
	{ SECTION_POOL, "max_body", OPTION_SIZE, POOL(max_body), "0",
		0, INT64_MAX, NULL, "the largest request body; 0: any" },
	{ SECTION_POOL, "body_memory", OPTION_SIZE, POOL(body_memory), "256K",
		0, 64 * MIB, NULL, "a larger body goes to a temporary file" },
	{ SECTION_POOL, "max_response_header", OPTION_SIZE,
		POOL(max_response_header), "64K",
		KIB, MIB, NULL, "the largest header a script may print" },
	{ SECTION_POOL, "spool_dir", OPTION_DIRECTORY, POOL(spool_dir),
		"/var/tmp", 0, 0, NULL, "where large bodies are kept" },
	{ SECTION_POOL, "access_log", OPTION_TARGET, POOL(access_log), "on",
		0, 0, "on|off", "a line a request: on, to the error log, or "
		"to a file" },
	{ SECTION_POOL, "access_log_format", OPTION_CHOICE,
		POOL(access_log_format), "text",
		0, 0, "text|json", "the form of the access log" },
	{ SECTION_POOL, "slow_log", OPTION_TIME, POOL(slow_log), "0",
		0, TIME_MAX, NULL, "log where the time of a request went that "
		"took longer; 0: off" },
	{ SECTION_POOL, "status", OPTION_URL_PATH, POOL(status), NULL,
		0, 0, NULL, "the URL path of the pool's status page; without "
		"it there is none" },
	{ SECTION_POOL, "umask", OPTION_MODE, POOL(umask), "022",
		0, 0777, NULL, "the file mode mask of the scripts" },
	{ SECTION_POOL, "no_new_privileges", OPTION_BOOL,
		POOL(no_new_privileges), "yes",
		0, 0, NULL, "whether set-user-id programs have no effect" },
	{ SECTION_POOL, "debug", OPTION_BOOL, POOL(debug), "no",
		0, 0, NULL, "whether error pages show paths and the script's "
		"stderr" },
	{ SECTION_POOL, "env.", OPTION_VARIABLE, POOL(environment), NULL,
		0, 0, NULL, "an environment variable of the scripts" },

	{ SECTION_MAP, "root", OPTION_DIRECTORY, MAP(root), NULL,
		0, 0, NULL, "the directory of the scripts; this, script or wsgi" },
	{ SECTION_MAP, "script", OPTION_FILE, MAP(script), NULL,
		0, 0, NULL, "the one script of this map" },
	{ SECTION_MAP, "wsgi", OPTION_WSGI, MAP(wsgi), NULL,
		0, 0, NULL, "the one Python application of this map, "
		"FILE:CALLABLE" },
	{ SECTION_MAP, "args", OPTION_WORDS, MAP(args), NULL,
		0, 0, NULL, "arguments of the script" },
	{ SECTION_MAP, "host", OPTION_HOST, MAP(host), NULL,
		0, 0, NULL, "only for requests to this host, a name or glob" },
	{ SECTION_MAP, "index", OPTION_NAMES, MAP(index), NULL,
		0, 0, NULL, "scripts to look for in a directory" },
	{ SECTION_MAP, "allow_names", OPTION_NAMES, MAP(allow_names), NULL,
		0, 0, NULL, "globs that a script's name must match one of" },
	{ SECTION_MAP, "handler.", OPTION_HANDLER, MAP(handlers), NULL,
		0, 0, NULL, "the interpreter of scripts with this extension" },
	{ SECTION_MAP, "symlinks", OPTION_CHOICE, MAP(symlinks), "inside",
		0, 0, "inside|owner|any|none", "symbolic links to follow" },
	{ SECTION_MAP, "authorization", OPTION_CHOICE, MAP(authorization),
		"hide", 0, 0, "hide|pass", "what to do with the "
		"Authorization field of a request" },
	{ SECTION_MAP, "accel", OPTION_BOOL, MAP(accel), "no",
		0, 0, NULL, "whether X-Accel-* and X-Sendfile are passed" },
	{ SECTION_MAP, "trust_script_filename", OPTION_BOOL,
		MAP(trust_script_filename), "no",
		0, 0, NULL, "whether the request's SCRIPT_FILENAME selects "
		"the script, below root" },
	{ SECTION_MAP, "start", OPTION_CHOICE, MAP(start), "exec",
		0, 0, "exec|fork-server|python|perl", "how a worker comes to "
		"be: a new program, or the fork of one that waits" },
	{ SECTION_MAP, "preload", OPTION_WORDS, MAP(preload), "auto",
		0, 0, NULL, "with start = python, modules to import ahead; "
		"auto: what the script was seen to import; -NAME: not this "
		"one; no: none" },
	{ SECTION_MAP, "spare", OPTION_NUMBER, MAP(spare), "0",
		0, 128, NULL, "workers of each fork server that wait for a "
		"request" },
	{ SECTION_MAP, "prestart", OPTION_BOOL, MAP(prestart), "no",
		0, 0, NULL, "whether the fork server is started with the pool, "
		"not with the first request" },
	{ SECTION_MAP, "max_requests", OPTION_NUMBER, MAP(max_requests),
		"10000", 0, 1000000000, NULL, "requests after which a fork "
		"server is replaced; 0: never" },
	{ SECTION_MAP, "idle", OPTION_TIME, MAP(idle), "5m",
		0, TIME_MAX, NULL, "how long a fork server is kept that is not "
		"used; 0: for ever" },
	{ SECTION_MAP, "env.", OPTION_VARIABLE, MAP(environment), NULL,
		0, 0, NULL, "an environment variable of the scripts; goes "
		"before the pool's" },
};
/* clang-format on */

const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);

_Static_assert(sizeof(option_table) / sizeof(option_table[0]) <= OPTION_LIMIT,
    "struct parse has a line number for each option");

static const char *const section_names[] = {"", "scgid", "pool", "map"};
static const char *const type_names[] = {"yes|no", "number", "size", "time",
    "mode", "choice", "choice or file", "directory", "file", "host", "words",
    "names", "user", "group", "user", "group", "groups", "peers", "address",
    "glob", "text", "file", "path", "application"};

static bool
option_is_family(const struct option *o)
{
	return o->name[strlen(o->name) - 1] == '.';
}

/* option_label: how a person writes it; `label` has room for any key. */
static const char *
option_label(const struct option *o, char label[PARSE_NAME_MAX + 1])
{
	snprintf(label, PARSE_NAME_MAX + 1, "%s%s", o->name,
	    !option_is_family(o)	     ? ""
		: o->type == OPTION_VARIABLE ? "NAME"
					     : "EXT");
	return label;
}

const struct option *
option_find(enum option_section section, const char *key)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];

		if (o->section != section)
			continue;
		if (option_is_family(o)
			? strncmp(key, o->name, strlen(o->name)) == 0
			: strcmp(key, o->name) == 0)
			return o;
	}
	return NULL;
}

static size_t
smallest(size_t a, size_t b, size_t c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

/* edit_distance: letters to add, drop or change to make `b` of `a`. */
static size_t
edit_distance(const char *a, const char *b)
{
	size_t row[PARSE_NAME_MAX + 1], corner, above;
	size_t length = strlen(b);

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			above = row[j];
			row[j] = smallest(corner + (a[i - 1] != b[j - 1]),
			    above + 1, row[j - 1] + 1);
			corner = above;
		}
	}
	return row[length];
}

void
option_explain_unknown(
    enum option_section section, const char *key, char why[OPTION_WHY_SIZE])
{
	static const char *const places[] = {
	    "", "in [scgid]", "in a pool", "in a map"};
	static const char *const homes[] = {
	    "", "in [scgid]", "in a pool, [NAME]", "in a map, [NAME /prefix]"};
	char label[PARSE_NAME_MAX + 1], best[PARSE_NAME_MAX + 1] = "";
	size_t least = strlen(key) < 6 ? 2 : 3, distance;
	const struct option *elsewhere = NULL;

	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];

		if (o->section != section) {
			if (elsewhere == NULL)
				elsewhere = option_find(o->section, key);
			continue;
		}
		distance = edit_distance(key, option_label(o, label));
		if (distance < least) {
			least = distance;
			memcpy(best, label, sizeof(best));
		}
	}
	if (elsewhere != NULL)
		option_fail(why, "unknown key '%s' %s; it belongs %s", key,
		    places[section], homes[elsewhere->section]);
	else if (best[0] != '\0')
		option_fail(why, "unknown key '%s' %s; did you mean '%s'?", key,
		    places[section], best);
	else
		option_fail(why, "unknown key '%s' %s", key, places[section]);
}

int
config_list_keys(FILE *out)
{
	char label[PARSE_NAME_MAX + 1];

	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];

		fprintf(out, "%s\t%s\t%s\t%s\t", section_names[o->section],
		    option_label(o, label), type_names[o->type],
		    o->standard != NULL ? o->standard : "-");
		option_print_range(o, out);
		fprintf(out, "\t%s\n", o->help);
	}
	return ferror(out) ? -1 : 0;
}
