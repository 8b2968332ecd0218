/*
 * failure.c: the log line of a failure, and what else the log has to say of a
 * response, once the script's name is known.
 */
#include "gateway/failure.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/deadline.h"
#include "gateway/stderr_log.h"

/*
 * Text that holds quotes of ours around what was escaped already: escape those
 * quotes, so that a field ends where it should.
 */
static void
append_detail(struct buffer *line, const char *detail)
{
	if (detail == NULL || *detail == '\0')
		return;
	buffer_append_string(line, " detail=\"");
	for (const char *p = detail; *p != '\0'; p++) {
		if (*p == '"')
			buffer_append_string(line, "\\\"");
		else
			buffer_append(line, p, *p == '\\' && p[1] ? 2 : 1);
		if (*p == '\\' && p[1] != '\0')
			p++;
	}
	buffer_append_string(line, "\"");
}

static void
append_field(struct buffer *line, const char *name, const char *value)
{
	if (value != NULL && *value != '\0')
		buffer_printf(line, " %s=\"%s\"", name, value);
}

static void
write_failure(struct request *r, const char *detail)
{
	const struct reason_text *text = reason_text(r->reason);
	const char *uri = request_original(r, SCGI_PARAM_REQUEST_URI);
	const char *method = request_original(r, SCGI_PARAM_REQUEST_METHOD);
	struct buffer line = {0};
	char safe[1024];

	stderr_log_drain(r);
	buffer_printf(&line, "request=%s reason=%s status=%d", r->id,
	    text->name, text->status);
	append_field(&line, "method",
	    log_escape(safe, 64, method != NULL ? method : "",
		method != NULL ? strlen(method) : 0));
	append_field(&line, "uri",
	    log_escape(safe, sizeof(safe), uri != NULL ? uri : "",
		uri != NULL ? strlen(uri) : 0));
	append_field(&line, "script", request_safe_script(r));
	append_detail(&line, detail);
	append_field(&line, "stderr", stderr_log_last(r));
	if (buffer_append(&line, "", 1) == -1)
		log_warnx("request=%s reason=%s", r->id, text->name);
	else if (r->reason == REASON_CLIENT_ABORTED)
		log_info("%s", line.data);
	else
		log_warnx("%s", line.data);
	buffer_fini(&line);
}

void
failure_sum_up(struct gateway *g)
{
	if (g->full_untold > 0)
		log_warnx("reason=%s for %u more requests within a second, "
			  "each is in the access log",
		    reason_text(REASON_QUEUE_FULL)->name, g->full_untold);
	g->full_untold = 0;
}

void
failure_on_timer(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval second = {1, 0};
	struct gateway *g = arg;

	(void)fd;
	(void)what;
	if (g->full_untold > 0)
		event_add(&g->full_timer, &second);
	failure_sum_up(g);
}

/* In an overload, where a line for each would cost as much as the answer. */
static bool
is_one_of_many(const struct request *r)
{
	const struct timeval second = {1, 0};
	struct gateway *g = r->gateway;

	if (r->reason != REASON_QUEUE_FULL ||
	    strcmp(g->pool->access_log, "off") == 0)
		return false;
	if (event_pending(&g->full_timer, EV_TIMEOUT, NULL)) {
		g->full_untold++;
		return true;
	}
	event_add(&g->full_timer, &second);
	return false;
}

/*
 * Says once why the request failed.  A worker that has just been started is
 * first asked for its script.
 */
void
request_log_failure(struct request *r, const char *detail)
{
	if (is_one_of_many(r))
		return;
	if (request_has_worker(r) && !r->run.is_introduced &&
	    r->failure == NULL &&
	    (r->run.questions > 0 || request_ask_worker(r)))
		r->failure = strdup(detail != NULL ? detail : "");
	else
		write_failure(r, detail);
}

static void
log_notes(struct request *r)
{
	struct buffer *notes = &r->notes;

	for (size_t at = 0, length; at < notes->length; at += length + 1) {
		const char *line = notes->data + at;
		const char *newline = memchr(line, '\n', notes->length - at);

		length = newline != NULL ? (size_t)(newline - line)
					 : notes->length - at;
		log_warnx("request=%s script=\"%s\" response: %.*s", r->id,
		    request_safe_script(r), (int)length, line);
	}
	buffer_fini(notes);
}

void
request_introduced(struct request *r)
{
	if (r->failure != NULL)
		write_failure(r, r->failure);
	free(r->failure);
	r->failure = NULL;
	log_notes(r);
}
