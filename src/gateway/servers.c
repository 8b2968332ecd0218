/*
 * servers.c: a list, those that serve first.  A launcher is not trusted: what
 * it sends is escaped, and how much of it is kept is bounded.
 */
#include "gateway/servers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/core.h"
#include "launcher/protocol.h"

#define SERVING_MAX 1024

const char *
servers_start_name(enum config_start kind)
{
	static const char *const names[] = {
	    "exec", "fork-server", "python", "perl"};

	return names[kind];
}

static void
server_free(struct gateway *g, struct server *s)
{
	TAILQ_REMOVE(&g->servers, s, entry);
	free(s->why);
	free(s->what);
	free(s);
}

static char *
printable(const char *text, size_t length)
{
	size_t size = 4 * length + 1;
	char *safe = malloc(size);

	return safe != NULL ? log_escape(safe, size, text, length) : NULL;
}

static struct server *
find(struct gateway *g, const struct link *link, uint32_t number)
{
	struct server *s;

	TAILQ_FOREACH (s, &g->servers, entry)
		if (s->link == link && s->number == number)
			return s;
	return NULL;
}

/* What is over moves to the end; the oldest of that is forgotten. */
static void
end_server(struct gateway *g, struct server *s, const char *why, size_t length)
{
	struct server *oldest = NULL, *other;
	unsigned count = 0;

	s->link = NULL;
	s->ended_at = clock_now();
	s->why = printable(why, length);
	TAILQ_REMOVE(&g->servers, s, entry);
	TAILQ_INSERT_TAIL(&g->servers, s, entry);
	TAILQ_FOREACH (other, &g->servers, entry)
		if (other->ended_at != 0 && count++ == 0)
			oldest = other;
	if (count > SERVERS_ENDED)
		server_free(g, oldest);
}

static struct server *
add(struct gateway *g, const struct link *link,
    const struct protocol_message *m)
{
	struct server *s = NULL, *other;
	unsigned count = 0;

	TAILQ_FOREACH (other, &g->servers, entry)
		count++;
	if (count >= SERVING_MAX || (s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->link = link;
	s->number = m->number;
	s->pid = m->pid > 1 ? (pid_t)m->pid : -1;
	s->kind = m->start;
	s->started_at = m->started_at;
	s->what = printable(m->text, strlen(m->text));
	TAILQ_INSERT_HEAD(&g->servers, s, entry);
	return s;
}

static const char *
text_of(const char *text)
{
	return text != NULL ? text : "?";
}

void
servers_told(struct link *link, const struct protocol_message *m)
{
	struct gateway *g = link->gateway;
	struct server *s = find(g, link, m->number);

	if (m->code == PROTOCOL_SERVER_REFUSED || s == NULL)
		s = add(g, link, m);
	if (s == NULL)
		return;
	s->requests = m->requests;
	s->memory = m->peak_memory;
	if (m->code == PROTOCOL_SERVER_READY) {
		log_info("fork server %s is ready, pid=%ld", text_of(s->what),
		    (long)s->pid);
	} else if (m->code == PROTOCOL_SERVER_ENDED) {
		end_server(g, s, m->data, m->data_length);
		log_info("fork server %s has ended, pid=%ld requests=%llu: %s",
		    text_of(s->what), (long)s->pid,
		    (unsigned long long)s->requests, text_of(s->why));
	} else if (m->code == PROTOCOL_SERVER_REFUSED) {
		end_server(g, s, m->data, m->data_length);
		log_warnx("no fork server for %s, which is served with exec: "
			  "%s",
		    text_of(s->what), text_of(s->why));
	}
}

void
servers_link_lost(const struct link *link)
{
	static const char why[] = "its launcher was lost";
	struct server *s;

	do {
		TAILQ_FOREACH (s, &link->gateway->servers, entry)
			if (s->link == link)
				break;
		if (s != NULL)
			end_server(link->gateway, s, why, sizeof(why) - 1);
	} while (s != NULL);
}

void
servers_free(struct gateway *g)
{
	struct server *s;

	while ((s = TAILQ_FIRST(&g->servers)) != NULL)
		server_free(g, s);
}
