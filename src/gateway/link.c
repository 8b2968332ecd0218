/*
 * link.c: messages to and from launchers.  A launcher is not trusted: what it
 * says is checked by the protocol, and applies only to requests it was given.
 */
#include "gateway/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "gateway/deadline.h"
#include "gateway/failure.h"
#include "gateway/front.h"
#include "gateway/judge.h"
#include "gateway/pulse.h"
#include "gateway/relay.h"
#include "gateway/schedule.h"
#include "gateway/slow_log.h"
#include "gateway/stderr_log.h"
#include "launcher/protocol.h"

/* How long a launcher's word holds; microseconds. */
#define REFUSAL_TIME 1000000

static struct request *
find_request(struct link *link, uint32_t id)
{
	struct request *r;

	LIST_FOREACH (
	    r, &link->gateway->running[id % GATEWAY_RUN_BUCKETS], run_entry)
		if (r->run.id == id && r->run.link == link)
			return r;
	return NULL;
}

static void
introduce(struct request *r, const struct protocol_message *m)
{
	if (r->run.is_introduced)
		return;
	r->run.is_introduced = true;
	r->run.start = m->start;
	r->pid = (pid_t)m->pid;
	free(r->script);
	r->script = strdup(m->text);
	request_introduced(r);
}

/* A launcher may say anything: only a time that can be is taken. */
static void
note_start(struct request *r, const struct protocol_message *m)
{
	if (r->run.start_known)
		return;
	r->run.start_known = true;
	if (m->started_at > r->started_at && m->started_at <= clock_now())
		r->start_time += m->started_at - r->started_at;
}

static void
worker_started(struct request *r, const struct protocol_message *m)
{
	note_start(r, m);
	relay_watch(r);
	introduce(r, m);
	stderr_log_watch(r);
	if (r->state <= REQUEST_RESPONDING && !r->front_is_writing)
		front_watch(r);
	if (r->run.questions > 0 && --r->run.questions == 0)
		r->run.is_alive = r->run.is_doubted;
	judge_response(r);
}

static void
worker_failed(struct request *r, const struct protocol_message *m)
{
	char detail[1024];

	snprintf(detail, sizeof(detail), "%s", m->text);
	for (char *p = detail; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?'; /* a launcher escapes; but trust it not */
	r->run.is_gone = true;
	relay_stop(r);
	if (request_is_answering(r))
		request_fail(r, m->reason, detail);
	else
		request_finish_if_done(r);
}

/*
 * It holds from when it was true, however long the worker ran.  A launcher that
 * lies has scripts of its own user started with exec for a second.
 */
static void
note_refusal(struct request *r, size_t size)
{
	uint64_t hash;

	/* After a redirect the path is another. */
	if (size == 0 || r->redirect_pending)
		return;
	/* That of an index stands for this path only, and not for below. */
	if (size > r->path.length)
		size = r->path.length + 1;
	hash = request_path_hash(r, size - 1);
	r->gateway->refusals[hash % GATEWAY_REFUSALS] =
	    (struct refusal){hash, r->started_at + REFUSAL_TIME};
}

static bool
is_noted(const struct gateway *g, uint64_t hash)
{
	const struct refusal *known = &g->refusals[hash % GATEWAY_REFUSALS];

	return known->hash == hash && clock_now() < known->until;
}

/* The script's name is the path, or what is before one of its '/'. */
static bool
is_refused(const struct request *r)
{
	uint64_t hash = request_path_hash(r, 0);

	for (size_t i = 0; i < r->path.length; i++) {
		char c = r->path.data[i];

		if ((c == '/' || c == '\0') && is_noted(r->gateway, hash))
			return true;
		hash = hash_byte(hash, c);
	}
	return is_noted(r->gateway, hash);
}

static void
worker_exited(struct request *r, const struct protocol_message *m)
{
	relay_end(r);
	r->run.is_gone = true;
	r->run.status_known = true;
	r->run.status = m->code;
	r->run.cpu_time = m->user_time + m->system_time;
	r->run.hint = m->reason;
	r->run.group_left = m->group_left;
	counter_add(r->gateway, COUNTER_RUNS + m->start, 1);
	r->gone_at = clock_now();
	r->user_time += m->user_time;
	r->system_time += m->system_time;
	if (m->peak_memory > r->peak_memory)
		r->peak_memory = m->peak_memory;
	note_start(r, m);
	note_refusal(r, m->number);
	introduce(r, m);
	if (r->run.group_left)
		stderr_log_watch(r);
	judge_response(r);
}

static struct request *
find_user(struct link *link)
{
	struct request *r;

	TAILQ_FOREACH (r, &link->gateway->requests, entry)
		if (r->run.link == link)
			return r;
	return NULL;
}

/* A request may end others with it, so start again after each. */
static void
link_lost(struct link *link)
{
	struct request *r;

	log_warnx("lost a launcher with %u workers", link->workers);
	link_stop(link);
	servers_link_lost(link);
	while ((r = find_user(link)) != NULL) {
		r->run.link = NULL;
		if (r->run.is_gone)
			continue;
		r->run.is_gone = true;
		relay_stop(r);
		if (request_is_answering(r))
			request_fail(r, REASON_LAUNCHER_LOST, NULL);
		else
			request_finish_if_done(r);
	}
}

static void
link_on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char buffer[PROTOCOL_MESSAGE_MAX];
	struct link *link = arg;
	struct protocol_message m;
	struct request *r;
	int stdio[3], n;

	(void)fd;
	(void)what;
	n = protocol_receive(link->fd, buffer, sizeof(buffer), &m, stdio);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n != 1 || m.type == PROTOCOL_RUN || m.type == PROTOCOL_SIGNAL ||
	    m.type == PROTOCOL_INSPECT) {
		if (n == 1 || (n == -1 && errno == EPROTO))
			log_warnx("a launcher broke the protocol");
		for (int i = 0; i < 3; i++)
			fd_close(&stdio[i]);
		link_lost(link);
	} else if (m.type == PROTOCOL_HELLO) {
		pulse_hello(link);
	} else if (m.type == PROTOCOL_SERVER) {
		servers_told(link, &m);
	} else if ((r = find_request(link, m.request)) != NULL) {
		if (m.type == PROTOCOL_STARTED)
			worker_started(r, &m);
		else if (m.type == PROTOCOL_FAILED)
			worker_failed(r, &m);
		else if (m.type == PROTOCOL_TREE)
			slow_log_take(r, m.text);
		else
			worker_exited(r, &m);
	}
	schedule_dispatch(link->gateway);
}

static void
link_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;

	(void)fd;
	(void)what;
	schedule_dispatch(link->gateway);
}

int
link_start(struct gateway *g, struct link *link, int fd)
{
	link->gateway = g;
	link->fd = fd;
	link->workers = 0;
	link->is_live = false;
	if (event_assign(&link->readable, g->base, fd, EV_READ | EV_PERSIST,
		link_on_readable, link) == -1 ||
	    event_assign(&link->writable, g->base, fd, EV_WRITE,
		link_on_writable, link) == -1)
		return -1;
	return event_add(&link->readable, NULL);
}

void
link_stop(struct link *link)
{
	if (link->fd == -1)
		return;
	event_del(&link->readable);
	event_del(&link->writable);
	fd_close(&link->fd);
}

static struct link *
link_least_loaded(struct gateway *g)
{
	struct link *best = NULL;

	for (size_t i = 0; i < g->link_count; i++) {
		struct link *link = &g->links[i];

		if (link->fd == -1 ||
		    event_pending(&link->writable, EV_WRITE, NULL))
			continue;
		if (best == NULL || link->workers < best->workers)
			best = link;
	}
	return best;
}

struct link *
link_choose(struct gateway *g, struct request *r)
{
	struct link *first = &g->links[0];

	r->run.is_exec = r->map->start == START_EXEC ||
	    g->pool->fork_servers == 0 || is_refused(r);
	if (r->run.is_exec || first->fd == -1)
		return link_least_loaded(g);
	return event_pending(&first->writable, EV_WRITE, NULL) ? NULL : first;
}

int
link_run(struct link *link, struct request *r, const int stdio[3])
{
	struct protocol_message m = {.type = PROTOCOL_RUN,
	    .request = r->run.id,
	    .map = (uint32_t)(r->map - link->gateway->pool->maps),
	    .start = r->run.is_exec ? START_EXEC : r->map->start,
	    .text = r->path.data,
	    .data = r->header.params,
	    .data_length = r->header.params_length};
	int n;

	if (r->redirected.length > 0) {
		m.data = r->redirected.data;
		m.data_length = r->redirected.length;
	}
	n = protocol_send(link->fd, &m, stdio, false);

	if (n == -1 && errno == EAGAIN)
		event_add(&link->writable, NULL);
	return n;
}

int
link_signal(struct request *r, int signal_number)
{
	struct protocol_message m = {.type = PROTOCOL_SIGNAL,
	    .request = r->run.id,
	    .code = signal_number};

	if (r->run.link == NULL || r->run.link->fd == -1)
		return 0;
	return protocol_send(r->run.link->fd, &m, NULL, false);
}

void
link_inspect(struct request *r)
{
	struct protocol_message m = {
	    .type = PROTOCOL_INSPECT, .request = r->run.id};

	if (r->run.link != NULL && r->run.link->fd != -1)
		protocol_send(r->run.link->fd, &m, NULL, false);
}
