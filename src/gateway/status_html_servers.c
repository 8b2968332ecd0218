/*
 * status_html_servers.c: the fork servers on the status page for people.
 */
#include <inttypes.h>

#include "gateway/status_page.h"

static void
put_summary(struct status_page *p)
{
	const uint64_t *v = p->values + COUNTER_RUNS;
	char count[STATUS_HUMAN_SIZE];

	status_print(p, "<p class=\"dim\">Workers so far: ");
	for (unsigned i = START_FORK_SERVER; i <= START_PERL; i++)
		if (v[i] > 0)
			status_print(p, "%s forked (%s), ",
			    status_count(count, v[i]), servers_start_name(i));
	status_print(p, "%s started with exec.</p>\n",
	    status_count(count, v[START_EXEC]));
	if (p->gateway->pool->fork_servers == 0)
		status_print(p,
		    "<p class=\"dim\">There are none, as fork_servers is "
		    "0.</p>\n");
}

static void
put_serving(struct status_page *p, const struct server *s)
{
	char a[STATUS_HUMAN_SIZE], b[STATUS_HUMAN_SIZE];

	status_print(p, "<tr><td class=\"s\">");
	status_put(p, STATUS_HTML, s->what);
	status_print(p,
	    "</td><td data-l=\"start\">%s</td>"
	    "<td class=\"n\" data-l=\"pid\">%ld</td>",
	    servers_start_name(s->kind), (long)s->pid);
	status_print(p, "<td class=\"n\" data-l=\"age\">%s</td>",
	    status_duration(a, p->now - s->started_at));
	status_print(p,
	    "<td class=\"n\" data-l=\"requests\">%s</td>"
	    "<td class=\"n\" data-l=\"memory\">%s</td></tr>\n",
	    status_count(a, s->requests),
	    status_size(b, (uint64_t)s->memory * 1024));
}

static void
put_all_serving(struct status_page *p)
{
	const struct server *s = status_next_server(p, NULL);

	if (s == NULL) {
		status_print(p, "<p class=\"dim\">None serves now.</p>\n");
		return;
	}
	status_print(p,
	    "<table class=\"t\"><thead><tr><th>program<th>start"
	    "<th class=\"n\">pid<th class=\"n\">age<th class=\"n\">requests"
	    "<th class=\"n\">memory</tr></thead><tbody>\n");
	for (; s != NULL; s = status_next_server(p, s))
		put_serving(p, s);
	status_print(p,
	    "</tbody></table>\n<p class=\"dim\">Memory is what the process "
	    "itself has; workers share it until they change it.</p>\n");
}

static void
put_ended(struct status_page *p, const struct server *s)
{
	char age[STATUS_HUMAN_SIZE], count[STATUS_HUMAN_SIZE];

	status_print(p, "<tr><td class=\"s\">");
	status_put(p, STATUS_HTML, s->what);
	status_print(p, "<br><small%s>", s->is_refused ? " class=\"bad\"" : "");
	status_put(p, STATUS_HTML, s->why);
	status_print(p, "</small></td><td data-l=\"start\">%s</td>",
	    servers_start_name(s->kind));
	status_print(p, "<td data-l=\"what\">%s</td>",
	    s->is_refused ? "refused" : "ended");
	status_print(p, "<td class=\"n\" data-l=\"when\">%s ago</td>",
	    status_duration(age, p->now - s->ended_at));
	status_print(p, "<td class=\"n\" data-l=\"requests\">%s</td></tr>\n",
	    s->is_refused ? "-" : status_count(count, s->requests));
}

void
status_write_html_servers(struct status_page *p)
{
	const struct server *s;

	if (!p->has_servers)
		return;
	status_print(p, "<section><h2>Fork servers</h2>\n");
	put_summary(p);
	put_all_serving(p);
	if ((s = status_next_ended(p, NULL)) != NULL)
		status_print(p,
		    "<h2>Ended and refused lately</h2>\n"
		    "<table class=\"t\"><thead><tr><th>program, why<th>start"
		    "<th>what<th class=\"n\">when<th class=\"n\">requests</tr>"
		    "</thead><tbody>\n");
	for (; s != NULL; s = status_next_ended(p, s)) {
		put_ended(p, s);
		if (status_next_ended(p, s) == NULL)
			status_print(p,
			    "</tbody></table>\n<p class=\"dim\">What is "
			    "refused is served with exec.</p>\n");
	}
	status_print(p, "</section>\n");
}
