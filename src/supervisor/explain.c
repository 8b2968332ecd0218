/*
 * explain.c: walks through a request as a launcher would, and says so.
 */
#include "supervisor/explain.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "cgi/route.h"
#include "gateway/servers.h"
#include "launcher/fork_plan.h"
#include "launcher/launcher.h"
#include "launcher/start.h"
#include "scgi/request.h"
#include "supervisor/role.h"
#include "supervisor/single.h"

/* A request as nginx would send it with the stock scgi_params. */
struct question {
	char *host;	      /* owned; "" if the URL names none */
	char *name;	      /* owned; of the host, without its port */
	struct buffer uri;    /* "/path?query" */
	struct buffer path;   /* decoded */
	struct buffer params; /* SCGI parameters */
};

static int
write_params(struct question *q)
{
	const char *query = strchr(q->uri.data, '?');
	const char *pairs[][2] = {{"CONTENT_LENGTH", "0"}, {"SCGI", "1"},
	    {"REQUEST_METHOD", "GET"}, {"REQUEST_URI", q->uri.data},
	    {"QUERY_STRING", query != NULL ? query + 1 : ""},
	    {"DOCUMENT_URI", q->path.data}, {"SERVER_PROTOCOL", "HTTP/1.1"},
	    {"REQUEST_SCHEME", "http"}, {"REMOTE_ADDR", "127.0.0.1"},
	    {"REMOTE_PORT", "0"}, {"SERVER_PORT", "80"},
	    {"SERVER_NAME", q->name[0] != '\0' ? q->name : "localhost"},
	    {"HTTP_HOST", q->host[0] != '\0' ? q->host : "localhost"}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (scgi_write_param(&q->params, pairs[i][0], pairs[i][1]) ==
		    -1)
			return -1;
	return 0;
}

/* 0, or -1 with the rule that the URL breaks in `*rule`. */
static int
parse_question(struct question *q, const char *url, const char **rule)
{
	const char *start = strstr(url, "://");
	size_t length;

	memset(q, 0, sizeof(*q));
	start = start != NULL && start < url + strcspn(url, "/?") + 1
	    ? start + 3
	    : url;
	length = strcspn(start, "/?#");
	q->host = strndup(start, length);
	q->name = strndup(start,
	    *start == '[' ? strcspn(start, "]/?#") + 1
			  : strcspn(start, ":/?#"));
	start += length;
	*rule = "out of memory";
	/* No client sends a fragment, or a path that is empty. */
	if (q->host == NULL || q->name == NULL ||
	    buffer_printf(&q->uri, "%s%.*s", *start == '/' ? "" : "/",
		(int)strcspn(start, "#"), start) == -1 ||
	    buffer_append(&q->uri, "", 1) == -1)
		return -1;
	*rule =
	    cgi_decode_path(q->uri.data, strcspn(q->uri.data, "?"), &q->path);
	return *rule != NULL || write_params(q) == -1 ? -1 : 0;
}

static void
question_fini(struct question *q)
{
	free(q->host);
	free(q->name);
	buffer_fini(&q->uri);
	buffer_fini(&q->path);
	buffer_fini(&q->params);
}

static void
print_escaped(const char *text)
{
	char safe[4096];

	fputs(log_escape(safe, sizeof(safe), text, strlen(text)), stdout);
}

static void
print_user(void)
{
	struct passwd *user = getpwuid(geteuid());
	struct group *group = getgrgid(getegid());

	printf("user: %s (%ld), group: %s (%ld)\n",
	    user != NULL ? user->pw_name : "?", (long)geteuid(),
	    group != NULL ? group->gr_name : "?", (long)getegid());
}

static void
print_command(const struct launcher_command *c)
{
	const struct resolved *r = &c->resolved;

	fputs("script: ", stdout);
	print_escaped(r->script.data);
	fputs("\nSCRIPT_NAME: \"", stdout);
	print_escaped(r->name.data);
	fputs("\", PATH_INFO: ", stdout);
	print_escaped(r->path_info != NULL ? r->path_info : "unset");
	fputs("\narguments:", stdout);
	for (char **arg = c->argv; *arg != NULL; arg++) {
		fputs(" \"", stdout);
		print_escaped(*arg);
		putchar('"');
	}
	puts("\nenvironment:");
	for (char **variable = c->environment.envp; *variable != NULL;
	     variable++) {
		fputs("  ", stdout);
		print_escaped(*variable);
		putchar('\n');
	}
}

static void
print_reason(enum reason reason, const char *detail)
{
	const struct reason_text *text = reason_text(reason);

	printf("would fail: %s (%d)\n", text->name, text->status);
	if (detail != NULL)
		printf("  %s\n", detail);
	printf("  %s\n", text->advice);
}

/* How the worker would come to be, in the words of the log. */
static void
print_start(const struct config_map *map, const struct launcher_command *c)
{
	const char *kind = servers_start_name(map->start), *doubt;
	struct fork_plan plan;
	char safe[4096], *what;

	if (map->start == START_EXEC || map->pool->fork_servers == 0) {
		printf("start: exec%s\n",
		    map->start == START_EXEC ? "" : ", as fork_servers is 0");
		return;
	}
	if (fork_plan_init(&plan, map, c) == 0 &&
	    (what = fork_plan_describe(&plan)) != NULL) {
		doubt = fork_plan_doubt(&plan);
		printf(
		    "start: %s%s\n", doubt != NULL ? "exec, not " : "", kind);
		if (doubt == NULL)
			fputs("  fork server ", stdout);
		else
			fputs("  no fork server for ", stdout);
		fputs(log_escape_bare(safe, sizeof(safe), what, strlen(what)),
		    stdout);
		if (doubt != NULL)
			printf(": %s\n", doubt);
		else
			puts("; exec until that is ready, and with --run");
		free(what);
	}
	fork_plan_fini(&plan);
}

/* In a child that has become the pool's user.  Its exit status. */
static int
explain_as_user(const struct config_map *map, const struct question *q)
{
	struct launcher_command c;
	struct start_failure failure;
	struct buffer trace = {0};
	enum reason reason;

	print_user();
	reason = launcher_prepare(
	    map, q->path.data, q->params.data, q->params.length, &trace, &c);
	printf("walk:\n%.*s", (int)trace.length,
	    trace.data != NULL ? trace.data : "");
	if (reason != REASON_NONE) {
		print_reason(reason, c.resolved.detail.data);
	} else {
		print_command(&c);
		print_start(map, &c);
		reason = start_check(
		    c.path, c.resolved.script.data, &map->pool->user, &failure);
		if (reason != REASON_NONE)
			print_reason(reason, failure.detail.data);
		else
			puts("would start");
		buffer_fini(&failure.detail);
	}
	buffer_fini(&trace);
	launcher_command_fini(&c);
	return reason == REASON_NONE ? 0 : 1;
}

static int
wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int
explain_map(const struct config_map *map, const struct question *q)
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		int status;

		role_become_launcher(map->pool);
		status = explain_as_user(map, q);
		fflush(stdout);
		_exit(status);
	}
	return pid == -1 ? 1 : wait_for(pid);
}

/* Copy the answer to stdout.  Its status, or 0 if there is none. */
static int
print_answer(int fd)
{
	char data[4096];
	int status = 0;
	bool is_first = true;
	ssize_t n;

	puts("answer:");
	while ((n = read(fd, data, sizeof(data) - 1)) > 0) {
		data[n] = '\0';
		if (is_first)
			sscanf(data, "Status: %d", &status);
		is_first = false;
		fwrite(data, 1, (size_t)n, stdout);
	}
	if (n == -1)
		puts("\n(broke off)");
	return n == -1 ? 0 : status;
}

static int
run_map(const struct config *config, const struct config_pool *pool,
    const struct question *q)
{
	struct buffer request = {0};
	int ends[2], status = 0;
	pid_t pid;

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return 1;
	if ((pid = fork()) == 0) {
		fd_close(&ends[0]);
		_exit(single_serve(config, pool, ends[1]) == 0 ? 0 : 1);
	}
	fd_close(&ends[1]);
	if (pid != -1 && scgi_write_header(&request, &q->params) == 0 &&
	    fd_write_all(ends[0], request.data, request.length) == 0)
		status = print_answer(ends[0]);
	buffer_fini(&request);
	fd_close(&ends[0]);
	if (pid != -1)
		wait_for(pid);
	return status >= 200 && status < 400 ? 0 : 1;
}

int
explain_url(const struct config *config, const char *url, bool run)
{
	struct question q;
	const char *rule;
	bool is_found = false;
	int result = 0, one;

	if (parse_question(&q, url, &rule) == -1) {
		printf("would fail: bad-request (400)\n  %s\n", rule);
		question_fini(&q);
		return 1;
	}
	fputs("path: ", stdout);
	print_escaped(q.path.data);
	putchar('\n');
	for (size_t i = 0; i < config->pool_count; i++) {
		const struct config_pool *pool = &config->pools[i];
		const struct config_map *map = config_find_map(
		    pool, q.path.data, q.host[0] != '\0' ? q.host : NULL);
		bool is_status = pool->status != NULL &&
		    strcmp(pool->status, q.path.data) == 0;

		is_found |= is_status || map != NULL;
		if (is_status)
			printf("status page of pool %s\n", pool->name);
		if (is_status || map == NULL)
			continue;
		printf("map: [%s %s] of %s:%u\n", pool->name, map->prefix,
		    map->file, map->line);
		one = explain_map(map, &q);
		if (run && one == 0)
			one = run_map(config, pool, &q);
		if (one != 0)
			result = 1;
	}
	if (!is_found) {
		print_reason(REASON_NO_MAP, NULL);
		result = 1;
	}
	question_fini(&q);
	return result;
}
