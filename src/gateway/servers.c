/*
 * servers.c: a list, those that serve first.  A launcher is not trusted: how
 * much is kept of what it sends is bounded, and whoever shows it escapes it.
 */
#include "gateway/servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/core.h"
#include "launcher/protocol.h"

#define SERVING_MAX 1024
#define WHAT_MAX    1024

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

/* Several lines, as of a complaint, are kept as one. */
static char *
copy_as_line(const char *text, size_t length)
{
	char *line = malloc(3 * length + 1);
	size_t n = 0;

	for (size_t i = 0; line != NULL && i < length; i++) {
		if (text[i] == '\n')
			n += (size_t)sprintf(line + n, " | ");
		else
			line[n++] = text[i] != '\0' ? text[i] : '?';
	}
	if (line != NULL)
		line[n] = '\0';
	return line;
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
end_server(struct gateway *g, struct server *s, const char *why)
{
	struct server *oldest = NULL, *other;
	unsigned count = 0;

	s->link = NULL;
	s->ended_at = clock_now();
	s->why = why != NULL ? strdup(why) : NULL;
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
	s->pid = m->pid > 1 ? (pid_t)m->pid : 0;
	s->kind = m->start;
	s->started_at = clock_now();
	if (m->started_at > 0 && m->started_at < s->started_at)
		s->started_at = m->started_at;
	s->is_refused = m->code == PROTOCOL_SERVER_REFUSED;
	s->what = copy_as_line(m->text, strnlen(m->text, WHAT_MAX));
	TAILQ_INSERT_HEAD(&g->servers, s, entry);
	return s;
}

/* `text`: why it is no more, or what it said before it was ready. */
static void
log_server(const struct server *s, enum protocol_server state, const char *text)
{
	char what[1200], why[4 * PROTOCOL_TREE_MAX];

	log_escape_bare(what, sizeof(what), s->what != NULL ? s->what : "",
	    s->what != NULL ? strlen(s->what) : 0);
	log_escape_bare(why, sizeof(why), text != NULL ? text : "",
	    text != NULL ? strlen(text) : 0);
	if (state == PROTOCOL_SERVER_READY && why[0] != '\0')
		log_info("fork server %s stderr: %s", what, why);
	if (state == PROTOCOL_SERVER_READY)
		log_info("fork server %s is ready, pid=%ld start=%s", what,
		    (long)s->pid, servers_start_name(s->kind));
	else if (state == PROTOCOL_SERVER_ENDED)
		log_info("fork server %s has ended, pid=%ld requests=%llu: %s",
		    what, (long)s->pid, (unsigned long long)s->requests, why);
	else if (state == PROTOCOL_SERVER_REFUSED)
		log_warnx("no fork server for %s, which is served with exec: "
			  "%s",
		    what, why);
}

void
servers_told(struct link *link, const struct protocol_message *m)
{
	struct gateway *g = link->gateway;
	struct server *s = find(g, link, m->number);
	char *text;

	if (m->code == PROTOCOL_SERVER_REFUSED || s == NULL)
		s = add(g, link, m);
	if (s == NULL)
		return;
	s->requests = m->requests;
	if (m->peak_memory > 0) /* none of what is dead */
		s->memory = m->peak_memory;
	if (m->code == PROTOCOL_SERVER_READY)
		counter_add(g, COUNTER_SERVERS_READY, 1);
	else if (m->code == PROTOCOL_SERVER_REFUSED)
		counter_add(g, COUNTER_SERVERS_REFUSED, 1);
	text = copy_as_line(m->data, m->data_length);
	if (m->code == PROTOCOL_SERVER_ENDED ||
	    m->code == PROTOCOL_SERVER_REFUSED)
		end_server(g, s, text);
	log_server(s, (enum protocol_server)m->code, text);
	free(text);
}

void
servers_link_lost(const struct link *link)
{
	struct server *s;

	do {
		TAILQ_FOREACH (s, &link->gateway->servers, entry)
			if (s->link == link)
				break;
		if (s != NULL)
			end_server(link->gateway, s, "its launcher was lost");
	} while (s != NULL);
}

void
servers_free(struct gateway *g)
{
	struct server *s;

	while ((s = TAILQ_FIRST(&g->servers)) != NULL)
		server_free(g, s);
}
