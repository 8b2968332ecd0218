/*
 * status_html.c: the status page for people.  One document: no script, and no
 * style, font or picture from elsewhere.  On a narrow screen each row of a
 * table becomes a block.
 */
#include <inttypes.h>
#include <string.h>

#include "gateway/status_page.h"

/* In seconds. */
#define REFRESH 5

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1c2126;--dim:#5d6872;--bg:#f4f6f8;"
    "--card:#fff;--line:#dde3e8;--bar:#2f74c0;--bad:#b3261e}"
    "@media(prefers-color-scheme:dark){:root{--fg:#e4e8ec;--dim:#9aa6b1;"
    "--bg:#15191d;--card:#1e242a;--line:#333c45;--bar:#5b9fe6;"
    "--bad:#ff8a80}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--bg);"
    "color:var(--fg);font:15px/1.45 system-ui,sans-serif}"
    "h1{font-size:1.45rem;margin:.2rem 0}"
    "h2{font-size:1.05rem;margin:0 0 .6rem}*+h2{margin-top:1.2rem}"
    "p{margin:.3rem 0}.dim,small{color:var(--dim);font-size:.85rem}"
    "a{color:var(--bar)}section{background:var(--card);border:1px solid "
    "var(--line);border-radius:8px;padding:.9rem 1rem;margin:1rem 0 0}"
    ".cards{display:grid;gap:.7rem;margin-top:1rem;"
    "grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr))}"
    ".cards div{background:var(--card);border:1px solid var(--line);"
    "border-radius:8px;padding:.6rem .9rem}"
    ".cards b{display:block;font-size:1.4rem;line-height:1.3;"
    "font-variant-numeric:tabular-nums}"
    ".two{display:grid;gap:0 1rem;grid-template-columns:"
    "repeat(auto-fit,minmax(min(100%,22rem),1fr));align-items:start}"
    "table{border-collapse:collapse;width:100%}"
    "th{text-align:left;font-size:.8rem;color:var(--dim);font-weight:600}"
    "th,td{padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:top}td:last-child,th:last-child{padding-right:0}tr:last-"
    "child td{border-bottom:0}"
    ".n{text-align:right;white-space:nowrap;padding-right:1.4rem;"
    "font-variant-numeric:tabular-nums}"
    "td.s{overflow-wrap:anywhere;width:45%}.bad{color:var(--bad)}"
    "svg{display:block;width:100%;max-width:27rem;height:auto}"
    "svg text{font:12px system-ui,sans-serif;fill:var(--fg)}"
    "svg .d{fill:var(--dim)}svg rect{fill:var(--bar)}"
    "svg line{stroke:var(--line)}"
    "@media(max-width:640px){body{padding:.7rem}"
    ".cards{grid-template-columns:1fr 1fr}"
    ".t thead{display:none}.t,.t tbody,.t td{display:block;width:100%}"
    ".t tr{display:grid;grid-template-columns:1fr 1fr;gap:0 1.5rem;"
    "padding:.55rem 0;border-bottom:1px solid var(--line)}"
    ".t tr:last-child{border-bottom:0}"
    ".t td{border:0;padding:.05rem 0;display:flex;gap:.5rem;"
    "overflow-wrap:anywhere;"
    "justify-content:space-between}"
    ".t td.s{display:block;width:100%;grid-column:1/3;font-weight:600}"
    ".t td.s small{font-weight:400}"
    ".t td[data-l]::before{content:attr(data-l);color:var(--dim);"
    "font-size:.85rem}}";

static void
put_head(struct status_page *p)
{
	const struct gateway *g = p->gateway;
	char up[STATUS_HUMAN_SIZE];

	status_print(p,
	    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	    "<meta name=\"viewport\" content=\"width=device-width\">"
	    "<meta http-equiv=\"refresh\" content=\"%d\">"
	    "<meta name=\"robots\" content=\"noindex\">\n<title>scgid ",
	    REFRESH);
	status_put(p, STATUS_HTML, g->pool->name);
	status_print(p, "</title>\n<style>");
	if (buffer_append_string(&p->body, style) == -1)
		p->failed = true;
	status_print(p, "</style></head>\n<body>\n<h1>scgid: pool ");
	status_put(p, STATUS_HTML, g->pool->name);
	status_print(p,
	    "</h1>\n<p class=\"dim\">gateway %u of %u, up %s; refreshed every "
	    "%d s; "
	    "also as <a href=\"?json\">JSON</a>, "
	    "<a href=\"?openmetrics\">OpenMetrics</a>, "
	    "<a href=\"?text\">text</a></p>\n",
	    g->number + 1, g->pool->gateways,
	    status_duration(up, p->uptime * 1000000), REFRESH);
	if (g->pool->gateways > 1 && g->sharing > 1)
		status_print(p,
		    "<p class=\"dim\">The pool has %u gateways: counters and "
		    "times are those of all, the lists of open requests%s "
		    "and of scripts are of this one.</p>\n",
		    g->pool->gateways,
		    p->has_servers ? ", of fork servers" : "");
	else if (g->pool->gateways > 1)
		status_print(p,
		    "<p class=\"dim\">The pool has %u gateways: everything "
		    "here is of this one.</p>\n",
		    g->pool->gateways);
}

static void
put_card(
    struct status_page *p, const char *title, const char *value, bool is_bad)
{
	status_print(p, "<div>%s<b%s>%s</b>", title,
	    is_bad ? " class=\"bad\"" : "", value);
}

static void
put_cards(struct status_page *p)
{
	const uint64_t *v = p->values;
	char a[STATUS_HUMAN_SIZE], b[STATUS_HUMAN_SIZE];
	uint64_t cpu = v[COUNTER_USER_TIME] + v[COUNTER_SYSTEM_TIME];
	double share = v[COUNTER_REQUESTS] > 0
	    ? (double)p->failures * 100 / (double)v[COUNTER_REQUESTS]
	    : 0;

	status_print(p, "<div class=\"cards\">\n");
	put_card(p, "requests", status_count(a, v[COUNTER_REQUESTS]), false);
	status_print(p, "<small>%s in, %s out</small></div>\n",
	    status_size(a, v[COUNTER_BYTES_IN]),
	    status_size(b, v[COUNTER_BYTES_OUT]));
	put_card(p, "failed", status_count(a, p->failures), p->failures > 0);
	status_print(p, "<small>%.1f %% of all</small></div>\n", share);
	put_card(p, "running", status_count(a, v[COUNTER_WORKERS]), false);
	status_print(p, "<small>of %" PRIu64 " workers</small></div>\n",
	    v[COUNTER_SLOTS]);
	put_card(p, "waiting", status_count(a, v[COUNTER_WAITING]), false);
	status_print(p, "<small>of %u; %s waited in all</small></div>\n",
	    p->gateway->pool->queue * p->gateway->sharing,
	    status_duration(b, (int64_t)v[COUNTER_QUEUE_TIME]));
	put_card(p, "open", status_count(a, v[COUNTER_OPEN]), false);
	status_print(p, "<small>this one included</small></div>\n");
	put_card(p, "CPU of workers", status_duration(a, (int64_t)cpu), false);
	status_print(p, "<small>%s in the kernel</small></div>\n</div>\n",
	    status_duration(b, (int64_t)v[COUNTER_SYSTEM_TIME]));
}

static void
put_time_cells(struct status_page *p, const struct request *r)
{
	const char *client = request_param(r, SCGI_PARAM_REMOTE_ADDR);
	char age[STATUS_HUMAN_SIZE], in[STATUS_HUMAN_SIZE];
	char out[STATUS_HUMAN_SIZE];

	status_print(p, "<td class=\"n\" data-l=\"open for\">%s</td>",
	    status_duration(age, p->now - r->accepted_at));
	status_print(p, "<td data-l=\"state\">%s</td><td data-l=\"client\">",
	    status_what(r));
	status_put(p, STATUS_HTML, client != NULL ? client : "-");
	if (p->has_servers)
		status_print(
		    p, "</td><td data-l=\"start\">%s", status_start(r));
	if (r->pid > 0)
		status_print(p, "</td><td class=\"n\" data-l=\"pid\">%ld</td>",
		    (long)r->pid);
	else
		status_print(p, "</td><td class=\"n\" data-l=\"pid\">-</td>");
	status_print(p,
	    "<td class=\"n\" data-l=\"in / out\">%s / %s</td></tr>\n",
	    status_size(in, (uint64_t)r->body_received),
	    status_size(out, (uint64_t)r->body_sent));
}

static void
put_open_row(struct status_page *p, const struct request *r)
{
	const char *method = request_param(r, SCGI_PARAM_REQUEST_METHOD);

	status_print(p, "<tr><td class=\"s\">");
	if (r->script != NULL) {
		status_put(p, STATUS_HTML, r->script);
		status_print(p, "<br><small>");
	}
	status_put(p, STATUS_HTML, method);
	status_print(p, " ");
	status_put(p, STATUS_HTML, r->path.data != NULL ? r->path.data : "-");
	status_print(p, r->script != NULL ? "</small></td>" : "</td>");
	put_time_cells(p, r);
}

static void
put_open(struct status_page *p)
{
	const struct request *r = NULL;
	unsigned listed = 0;

	status_print(p, "<section><h2>Open requests</h2>\n");
	while ((r = status_next_open(p, r)) != NULL &&
	    listed++ < STATUS_OPEN_MAX) {
		if (listed == 1)
			status_print(p,
			    "<table class=\"t\"><thead><tr><th>script, "
			    "request<th class=\"n\">open for<th>state<th>"
			    "client%s<th class=\"n\">pid<th class=\"n\">in / "
			    "out</tr></thead><tbody>\n",
			    p->has_servers ? "<th>start" : "");
		put_open_row(p, r);
	}
	if (listed > 0)
		status_print(p, "</tbody></table>\n");
	else
		status_print(p, "<p class=\"dim\">None but this one.</p>\n");
	if (r != NULL)
		status_print(p,
		    "<p class=\"dim\">The oldest %d are listed.</p>\n",
		    STATUS_OPEN_MAX);
	status_print(p, "</section>\n");
}

/* Rows of 20 units: name, bar, count; a column of its own for each. */
static void
put_bar(struct status_page *p, unsigned i, uint64_t most, uint64_t all)
{
	uint64_t n = p->values[COUNTER_LATENCY + i];
	double width = (double)n * 210 / (double)most;
	char name[STATUS_HUMAN_SIZE], count[STATUS_HUMAN_SIZE];

	status_print(p,
	    "<text class=\"d\" x=\"74\" y=\"%u\" "
	    "text-anchor=\"end\">%s</text>",
	    i * 20 + 15, status_bucket_name(name, i));
	if (n == 0)
		return;
	status_print(p,
	    "<rect x=\"82\" y=\"%u\" width=\"%.1f\" height=\"14\" rx=\"2\"/>"
	    "<text x=\"%.1f\" y=\"%u\">%s <tspan class=\"d\">%.*f "
	    "%%</tspan></text>\n",
	    i * 20 + 4, width < 1.5 ? 1.5 : width,
	    88 + (width < 1.5 ? 1.5 : width), i * 20 + 15,
	    status_count(count, n), n * 100 >= all * 10 || n == all ? 0 : 1,
	    (double)n * 100 / (double)all);
}

static void
put_percentiles(struct status_page *p)
{
	static const unsigned shares[] = {50, 95, 99};
	char name[STATUS_HUMAN_SIZE];

	status_print(p, "<p class=\"dim\">");
	for (size_t i = 0; i < 3; i++) {
		unsigned bucket = status_percentile(p, shares[i]);

		status_print(p, "%s%u %%: %s%s", i == 0 ? "" : "; ", shares[i],
		    bucket < LATENCY_BOUNDS ? "within " : "",
		    status_bucket_name(name, bucket));
	}
	status_print(p, "</p>\n");
}

static void
put_latency(struct status_page *p)
{
	const uint64_t *v = p->values + COUNTER_LATENCY;
	uint64_t most = 0, all = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		all += v[i];
		if (v[i] > most)
			most = v[i];
	}
	status_print(p, "<section><h2>How long requests took</h2>\n");
	if (most == 0) {
		status_print(
		    p, "<p class=\"dim\">None is over yet.</p></section>\n");
		return;
	}
	put_percentiles(p);
	status_print(p,
	    "<svg viewBox=\"0 0 380 %d\" role=\"img\" "
	    "aria-label=\"Histogram: requests by the time they took\">"
	    "<line x1=\"82\" y1=\"0\" x2=\"82\" y2=\"%d\"/>\n",
	    LATENCY_BUCKETS * 20 + 2, LATENCY_BUCKETS * 20 + 2);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		put_bar(p, i, most, all);
	status_print(p,
	    "</svg>\n<p class=\"dim\">Each bar: up to the time beside it, from "
	    "accept until the worker is gone.</p></section>\n");
}

static void
put_failures(struct status_page *p)
{
	char count[STATUS_HUMAN_SIZE];

	status_print(p, "<section><h2>Failures by reason</h2>\n");
	if (p->failures == 0)
		status_print(p, "<p class=\"dim\">None.</p>");
	else
		status_print(p, "<table><tbody>\n");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		if (p->values[COUNTER_REASON + i] == 0)
			continue;
		status_print(p, "<tr><td title=\"");
		status_put(p, STATUS_HTML, reason_text(i)->sentence);
		status_print(p, "\">%s</td><td class=\"n\">%s</td></tr>\n",
		    reason_text(i)->name,
		    status_count(count, p->values[COUNTER_REASON + i]));
	}
	status_print(p,
	    p->failures > 0 ? "</tbody></table></section>\n" : "</section>\n");
}

static void
put_script_reasons(struct status_page *p, const struct usage *u)
{
	const char *before = "<br><small class=\"bad\">";

	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		if (u->reasons[i] == 0)
			continue;
		status_print(p, "%s%s %" PRIu32, before, reason_text(i)->name,
		    u->reasons[i]);
		before = ", ";
	}
	if (u->failures > 0)
		status_print(p, "</small>");
}

static void
put_script(struct status_page *p, const struct usage *u)
{
	int64_t cpu = u->user_time + u->system_time;
	int64_t runs = u->requests > 0 ? (int64_t)u->requests : 1;
	char a[STATUS_HUMAN_SIZE], b[STATUS_HUMAN_SIZE];

	status_print(p, "<tr><td class=\"s\">");
	status_put(p, STATUS_HTML, u->script);
	put_script_reasons(p, u);
	status_print(p,
	    "</td><td class=\"n\" data-l=\"requests\">%s</td>"
	    "<td class=\"n\" data-l=\"failed\">%s</td>",
	    status_count(a, u->requests), status_count(b, u->failures));
	status_print(p,
	    "<td class=\"n\" data-l=\"mean time\">%s</td>"
	    "<td class=\"n\" data-l=\"CPU\">%s</td>",
	    status_duration(a, u->total_time / runs), status_duration(b, cpu));
	status_print(p,
	    "<td class=\"n\" data-l=\"CPU each\">%s</td>"
	    "<td class=\"n\" data-l=\"peak memory\">%s</td></tr>\n",
	    status_duration(a, cpu / runs),
	    status_size(b, (uint64_t)u->peak_memory * 1024));
}

static void
put_scripts(struct status_page *p)
{
	static const char *const orders[] = {
	    "requests", "cpu", "memory", "failures"};

	status_print(p, "<section><h2>Scripts</h2>\n");
	if (p->script_count == 0) {
		status_print(p,
		    "<p class=\"dim\">None has run yet.</p>"
		    "</section>\n");
		return;
	}
	status_print(p, "<p class=\"dim\">by ");
	for (unsigned i = 0; i < 4; i++)
		status_print(p,
		    i == p->order ? "%s<b>%s</b>"
				  : "%s<a href=\"?sort=%s\">%s</a>",
		    i == 0 ? "" : ", ", orders[i], orders[i]);
	status_print(p,
	    "</p>\n<table class=\"t\"><thead><tr><th>script"
	    "<th class=\"n\">requests<th class=\"n\">failed"
	    "<th class=\"n\">mean time<th class=\"n\">CPU"
	    "<th class=\"n\">CPU each<th class=\"n\">peak memory</tr></thead>"
	    "<tbody>\n");
	for (size_t i = 0; i < p->script_count; i++)
		put_script(p, p->scripts[i]);
	status_print(p,
	    "</tbody></table>\n<p class=\"dim\">The table has room for %d: "
	    "then a new script takes the place of the one with the fewest "
	    "requests (%" PRIu64 " times so far).</p></section>\n",
	    USAGE_SCRIPTS, p->gateway->usage->replaced);
}

void
status_write_html(struct status_page *p)
{
	put_head(p);
	put_cards(p);
	put_open(p);
	status_print(p, "<div class=\"two\">\n");
	put_latency(p);
	put_failures(p);
	status_print(p, "</div>\n");
	status_write_html_servers(p);
	put_scripts(p);
	status_print(p, "</body></html>\n");
}
