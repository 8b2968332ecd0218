/*
 * judge.c: is a response whole, or which failure is it?  What the worker's exit
 * status says and what it printed are one fact; both have to be here.
 */
#include "gateway/judge.h"

#include <sys/wait.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cgi/response.h"
#include "gateway/deadline.h"
#include "gateway/front.h"

/* The limit of the pool behind the signal that ended the worker, or "". */
static const char *
limit_behind(const struct request *r, char out[64])
{
	const struct config_limits *limits = &r->gateway->pool->limits;
	int s = WTERMSIG(r->run.status);

	out[0] = '\0';
	if (limits->cpu > 0 &&
	    (s == SIGXCPU ||
		(s == SIGKILL && r->run.cpu_time / 1000 > limits->cpu)))
		snprintf(out, 64, ", limit_cpu is %" PRId64 " s",
		    (limits->cpu + 999) / 1000);
	else if (limits->file_size > 0 && s == SIGXFSZ)
		snprintf(out, 64, ", limit_file_size is %" PRIu64 " bytes",
		    limits->file_size);
	return out;
}

static const char *
printable_status(const struct request *r, char *out, size_t size)
{
	char limit[64];

	if (!r->run.status_known)
		snprintf(out, size, "still running");
	else if (WIFSIGNALED(r->run.status))
		snprintf(out, size, "killed by signal %d (%s)%s",
		    WTERMSIG(r->run.status), strsignal(WTERMSIG(r->run.status)),
		    limit_behind(r, limit));
	else
		snprintf(
		    out, size, "exit status %d", WEXITSTATUS(r->run.status));
	return out;
}

static bool
was_killed(const struct request *r)
{
	return r->run.status_known && WIFSIGNALED(r->run.status);
}

/* stdout ended and there is no whole header: which failure is it? */
static void
fail_unanswered(struct request *r)
{
	const struct buffer *output = &r->run.output;
	char status[128], start[80], detail[384];
	enum reason reason;

	if (r->run.hint != REASON_NONE)
		reason = r->run.hint;
	else if (was_killed(r))
		reason = REASON_KILLED_BY_SIGNAL;
	else if (r->run.status_known && WEXITSTATUS(r->run.status) != 0)
		reason = REASON_EXIT_STATUS;
	else if (output->length == 0)
		reason = REASON_EMPTY_OUTPUT;
	else if (cgi_has_field(output->data, output->length))
		reason = REASON_BAD_HEADER;
	else
		reason = REASON_NO_HEADER;
	log_escape(start, sizeof(start), output->data, output->length);
	snprintf(detail, sizeof(detail),
	    output->length == 0 ? "%s, %zu bytes of output%s"
				: "%s, no empty line after the header fields "
				  "in %zu bytes of output, which begin \"%s\"",
	    printable_status(r, status, sizeof(status)), output->length, start);
	request_fail(r, reason, detail);
}

/* stdout ended after the response began: is the response whole? */
static void
judge_body(struct request *r)
{
	char status[128], detail[224];

	if (r->response_length >= 0) {
		snprintf(detail, sizeof(detail),
		    "%s after %" PRId64 " of %" PRId64 " bytes",
		    printable_status(r, status, sizeof(status)), r->body_sent,
		    r->response_length);
		request_fail(r,
		    was_killed(r) ? REASON_KILLED_BY_SIGNAL
				  : REASON_TRUNCATED_BODY,
		    detail);
	} else if (was_killed(r)) {
		snprintf(detail, sizeof(detail), "%s after %" PRId64 " bytes",
		    printable_status(r, status, sizeof(status)), r->body_sent);
		request_fail(r, REASON_KILLED_BY_SIGNAL, detail);
	} else {
		front_finish(r);
	}
}

/* The other half, of its output or of the worker, is to come. */
static void
wait_for_more(struct request *r)
{
	if (!request_is_young(r) && front_flush(r) == -1)
		front_fail(r);
	else
		request_set_deadline(r);
}

void
judge_response(struct request *r)
{
	if (r->redirect_pending && was_killed(r)) {
		r->redirect_pending = false;
		fail_unanswered(r);
		return;
	}
	/* It has said all; what it still does cannot be waited for. */
	if (r->redirect_pending && r->run.stdout_eof && r->run.is_alive)
		request_stop_worker(r);
	if (!request_is_answering(r) || r->redirect_pending)
		request_finish_if_done(r);
	else if (!r->run.stdout_eof || (!r->run.is_gone && !r->run.is_alive))
		wait_for_more(r);
	else if (r->state == REQUEST_RUNNING)
		fail_unanswered(r);
	else
		judge_body(r);
}
