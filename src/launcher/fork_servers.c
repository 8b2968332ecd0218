/*
 * fork_servers.c: a fork server stands for a key: what it runs, for whom.  Its
 * processes come and go; `serving` gets the requests, `starting` takes its
 * place.
 *
 * Invariant: a request is sent only to a process whose files are as they were
 * when it read them.
 */
#include "launcher/fork_servers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/process.h"
#include "launcher/fork_plan.h"
#include "launcher/fork_server.h"
#include "launcher/worker.h"

/* A script that could not be started is tried again without being changed. */
#define RETRY_SCRIPT (10 * SECOND)

/* Before it makes room for another: so many would only start and stop. */
#define USED_LATELY (5 * SECOND)

/* Keys to be remembered without a process. */
#define REMEMBERED_MAX 256

void
fork_server_free(struct launcher *l, struct fork_server *s)
{
	TAILQ_REMOVE(&l->fork_servers, s, entry);
	buffer_fini(&s->key);
	buffer_fini(&s->learned);
	watch_fini(&s->refused);
	free(s->complaint);
	free(s->program);
	free(s->what);
	free(s);
}

static struct fork_server *
server_new(
    struct launcher *l, const struct fork_plan *plan, const struct buffer *key)
{
	struct fork_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	TAILQ_INSERT_HEAD(&l->fork_servers, s, entry);
	s->map = plan->map;
	s->kind = plan->map->start;
	s->program = strdup(plan->path);
	s->what = fork_plan_describe(plan);
	if (buffer_append(&s->key, key->data, key->length) == 0 &&
	    s->program != NULL && s->what != NULL)
		return s;
	fork_server_free(l, s);
	return NULL;
}

void
fork_server_tell(struct launcher *l, const struct fork_server *s,
    const struct fork_process *p, enum protocol_server state, const char *why)
{
	struct protocol_message m = {.type = PROTOCOL_SERVER,
	    .code = (int32_t)state,
	    .start = s->kind,
	    .text = s->what,
	    .data = why,
	    .data_length = why != NULL ? strlen(why) : 0};

	if (p != NULL) {
		m.number = p->number;
		m.pid = (int32_t)p->pid;
		m.requests = p->requests;
		m.started_at = p->started_at;
		m.peak_memory = process_resident_memory(p->pid);
	}
	worker_tell(l, &m);
}

/* Its process gets no more requests, and ends when it has begun them all. */
void
fork_server_retire(struct launcher *l, struct fork_process *p, const char *why)
{
	struct fork_server *s = p->owner;

	if (p->state == FORK_SERVING)
		fork_server_tell(l, s, p, PROTOCOL_SERVER_ENDED, why);
	if (s->serving == p)
		s->serving = NULL;
	if (s->starting == p)
		s->starting = NULL;
	p->owner = NULL;
	fork_process_retire(p);
}

static void
stop(struct launcher *l, struct fork_process *p, const char *why)
{
	if (p->pid > 1)
		process_kill_child(p->pid);
	fork_server_retire(l, p, why);
}

void
fork_server_retire_all(
    struct launcher *l, struct fork_server *s, const char *why)
{
	if (s->serving != NULL)
		fork_server_retire(l, s->serving, why);
	if (s->starting != NULL)
		stop(l, s->starting, why);
	s->overdue = NULL;
}

bool
fork_server_complains(struct fork_server *s, const char *text)
{
	char *copy;

	if (s->complaint != NULL && strcmp(s->complaint, text) == 0)
		return false;
	if ((copy = strdup(text)) != NULL) {
		free(s->complaint);
		s->complaint = copy;
	}
	return text[0] != '\0';
}

/* There can be none; logged once for the same reason. */
static void
refuse(struct launcher *l, struct fork_server *s, const char *why)
{
	s->is_refused = true;
	s->retry_at =
	    s->kind == START_FORK_SERVER ? 0 : clock_now() + RETRY_SCRIPT;
	if (fork_server_complains(s, why))
		fork_server_tell(l, s, NULL, PROTOCOL_SERVER_REFUSED, why);
}

void
fork_server_kill(struct launcher *l, struct fork_process *p, const char *why)
{
	struct fork_server *s = p->owner;

	if (s != NULL) {
		s->retry_at = clock_now() + RETRY_SCRIPT;
		fork_server_retire(l, p, why);
	}
	p->end_by = 0;
	if (p->pid > 1)
		kill(p->pid, SIGKILL);
}

/* What a fork server said on stderr stands behind `what`. */
void
fork_server_refuse(struct launcher *l, struct fork_process *p, const char *what)
{
	struct fork_server *s = p->owner;
	char why[1280];
	const char *said = fork_process_complaint(p);

	snprintf(why, sizeof(why), "%s%s%s", what, said[0] != '\0' ? ": " : "",
	    said);
	watch_fini(&s->refused);
	s->refused = p->watched;
	memset(&p->watched, 0, sizeof(p->watched));
	refuse(l, s, why);
	stop(l, p, what);
}

/* Whether what was refused may work by now. */
static bool
may_try(struct fork_server *s)
{
	int64_t now = clock_now();

	if (s->is_refused && watch_find_changed(&s->refused) == NULL &&
	    (s->retry_at == 0 || now < s->retry_at))
		return false;
	if (!s->is_refused && now < s->retry_at)
		return false;
	s->is_refused = false;
	return true;
}

static unsigned
count_processes(struct launcher *l, struct fork_server **last)
{
	struct fork_server *s;
	unsigned n = 0;

	*last = NULL;
	TAILQ_FOREACH (s, &l->fork_servers, entry)
		if (s->serving != NULL || s->starting != NULL) {
			*last = s;
			n++;
		}
	return n;
}

/* Whether there may be a process more; the least used one may have to go. */
static bool
make_room(struct launcher *l)
{
	struct fork_server *last;

	if (count_processes(l, &last) < l->pool->fork_servers)
		return true;
	if (last == NULL || clock_now() - last->used_at < USED_LATELY)
		return false;
	fork_server_retire_all(
	    l, last, "it made room for another, as fork_servers says");
	return true;
}

static void
forget_some(struct launcher *l)
{
	struct fork_server *s, *next;
	unsigned n = 0;

	for (s = TAILQ_FIRST(&l->fork_servers); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->serving == NULL && s->starting == NULL &&
		    ++n > REMEMBERED_MAX)
			fork_server_free(l, s);
	}
}

static struct fork_server *
find_or_add(struct launcher *l, const struct fork_plan *plan)
{
	static struct buffer key; /* kept: its memory is used again */
	struct fork_server *s;

	if (fork_plan_make_key(plan, &key) != 0)
		return NULL;
	TAILQ_FOREACH (s, &l->fork_servers, entry)
		if (s->key.length == key.length &&
		    memcmp(s->key.data, key.data, key.length) == 0)
			break;
	if (s == NULL) {
		if ((s = server_new(l, plan, &key)) != NULL)
			forget_some(l);
	} else if (s != TAILQ_FIRST(&l->fork_servers)) {
		TAILQ_REMOVE(&l->fork_servers, s, entry);
		TAILQ_INSERT_HEAD(&l->fork_servers, s, entry);
	}
	return s;
}

/* Its files, as far as they are known before it has told of others. */
static int
watch_first(struct fork_server *s, const struct fork_plan *plan,
    struct watch_list *list, const struct timespec *since)
{
	const char *script = plan->command->resolved.script.data;
	const char *handler = plan->argv[plan->tail];

	if (watch_add(list, s->program, since) == -1)
		return -1;
	if (s->kind == START_FORK_SERVER)
		return 0;
	/* A handler may be a script, too: then that is what was compiled. */
	if (plan->map->wsgi == NULL && handler != NULL &&
	    strcmp(handler, script) != 0 &&
	    watch_add(list, handler, since) == -1)
		return -1;
	return watch_add(list, script, since);
}

static void
start(struct launcher *l, struct fork_server *s, const struct fork_plan *plan)
{
	const struct timespec never = {INT64_C(1) << 40, 0};
	struct fork_process *p;
	const char *why;
	char text[256];

	/* One that takes the place of another needs no more room. */
	if (!may_try(s) || (s->serving == NULL && !make_room(l)))
		return;
	watch_fini(&s->refused);
	if ((why = fork_plan_doubt(plan)) != NULL) {
		watch_first(s, plan, &s->refused, &never);
		refuse(l, s, why);
		return;
	}
	if ((p = fork_plan_start(plan,
		 s->learned.length > 0 ? s->learned.data : NULL)) == NULL) {
		snprintf(text, sizeof(text), "it cannot be started: %s",
		    strerror(errno));
		refuse(l, s, text);
		s->retry_at = clock_now() + RETRY_SCRIPT;
		return;
	}
	/* A worker that did not come to its end told nothing. */
	if (s->learning == LEARNING_ASKED)
		s->learning = LEARNING_NOT;
	p->owner = s;
	snprintf(p->program, sizeof(p->program), "%s", s->program);
	p->number = ++l->fork_number;
	s->starting = p;
	TAILQ_INSERT_TAIL(&l->fork_processes, p, entry);
	if (watch_first(s, plan, &p->watched, &p->born) == -1)
		fork_server_refuse(l, p, "out of memory");
}

/* Why the process that serves must not, or should not for long; or NULL. */
static void
check_serving(struct launcher *l, struct fork_server *s)
{
	struct fork_process *p = s->serving;
	const char *changed;
	char why[1024];

	if (p == NULL)
		return;
	if ((changed = watch_find_changed(&p->watched)) != NULL) {
		snprintf(why, sizeof(why), "%.900s has changed", changed);
		fork_server_retire_all(l, s, why);
		/* It may import something else now. */
		s->learning = LEARNING_NOT;
	} else if (s->map->max_requests > 0 &&
	    p->requests >= s->map->max_requests) {
		s->overdue = "it has had as many requests as max_requests says";
	}
}

static bool
wants_to_learn(const struct fork_server *s)
{
	if (s->kind != START_PYTHON || s->learning != LEARNING_NOT)
		return false;
	for (size_t i = 0; i < s->map->preload.count; i++)
		if (strcmp(s->map->preload.items[i], "auto") == 0)
			return true;
	return false;
}

/* A Python runner finds the variables in a file, which is limited, too. */
static bool
fits_into_file(const struct launcher *l, const struct fork_server *s,
    const struct cgi_environment *environment)
{
	uint64_t limit = l->pool->limits.file_size;

	return s->kind != START_PYTHON || limit == 0 ||
	    environment->text.length + 2 <= limit;
}

static bool
send_request(struct launcher *l, struct fork_server *s,
    const struct fork_plan *plan, struct worker *w, const int stdio[3])
{
	const struct program *program = plan->program;
	const struct start_command command = {
	    .path = program != NULL && program->has_own_name
		? program->path
		: plan->command->path,
	    .argv = plan->argv,
	    .directory = plan->command->resolved.directory,
	    .stdio = stdio,
	    .limits = &l->limits};
	bool learns = wants_to_learn(s);

	if (!fits_into_file(l, s, &plan->command->environment) ||
	    fork_process_send(s->serving, w->request, learns, &command,
		&plan->command->environment) == -1)
		return false;
	if (learns)
		s->learning = LEARNING_ASKED;
	w->start = s->kind;
	w->process = s->serving;
	worker_add(l, w, 0);
	return true;
}

/*
 * An interpreter reads the script after the fork.  Exec tells of one that is
 * open for writing; nothing else can, but who writes most likely just did.
 */
static bool
may_be_busy(const struct config_map *map, const struct launcher_command *c)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return map->start == START_FORK_SERVER &&
	    !watch_stamp_is_safe(&c->resolved.stamp, &now);
}

bool
fork_servers_run(struct launcher *l, const struct config_map *map,
    const struct launcher_command *c, struct worker *w, const int stdio[3])
{
	struct fork_plan plan;
	struct fork_server *s;
	bool is_sent = false;

	if (map->start == START_EXEC || l->pool->fork_servers == 0)
		return false;
	if (fork_plan_init(&plan, map, c) == 0 &&
	    (s = find_or_add(l, &plan)) != NULL) {
		s->used_at = clock_now();
		check_serving(l, s);
		if ((s->serving == NULL || s->overdue != NULL) &&
		    s->starting == NULL)
			start(l, s, &plan);
		is_sent = s->serving != NULL && !may_be_busy(map, c) &&
		    send_request(l, s, &plan, w, stdio);
		/* Where SCRIPT_FILENAME counts, a path may be any script's. */
		if (s->is_refused && s->serving == NULL &&
		    !map->trust_script_filename)
			w->refused = (uint32_t)c->resolved.name.length;
	}
	fork_plan_fini(&plan);
	return is_sent;
}

void
fork_servers_prestart(struct launcher *l)
{
	for (size_t i = 0; i < l->pool->map_count; i++) {
		const struct config_map *map = &l->pool->maps[i];
		struct launcher_command c;
		struct fork_server *s;
		struct fork_plan plan;

		if (!map->prestart)
			continue;
		if (launcher_prepare(map, map->prefix, "", 0, NULL, &c) ==
			REASON_NONE &&
		    fork_plan_init(&plan, map, &c) == 0) {
			if ((s = find_or_add(l, &plan)) != NULL) {
				s->used_at = clock_now();
				start(l, s, &plan);
			}
			fork_plan_fini(&plan);
		}
		launcher_command_fini(&c);
	}
}
