/*
 * reply.c: the error page.
 */
#include "gateway/reply.h"

#include <string.h>

#include "base/clock.h"
#include "cgi/response.h"
#include "gateway/front.h"
#include "gateway/stderr_log.h"

/* When a front end or its client may try a 503 again, in seconds. */
#define RETRY_AFTER 5

static int
append_html(struct buffer *b, const char *text)
{
	for (; *text != '\0'; text++) {
		const char *piece = NULL;

		if (*text == '<')
			piece = "&lt;";
		else if (*text == '>')
			piece = "&gt;";
		else if (*text == '&')
			piece = "&amp;";
		if (piece != NULL ? buffer_append_string(b, piece) == -1
				  : buffer_append(b, text, 1) == -1)
			return -1;
	}
	return 0;
}

/* Text that was escaped for the log; a page can show its quotes as they are. */
static int
append_escaped(struct buffer *b, const char *text)
{
	char plain[2048];
	size_t n = 0;

	for (; *text != '\0' && n + 1 < sizeof(plain); text++) {
		if (text[0] == '\\' && (text[1] == '"' || text[1] == '\\'))
			text++;
		plain[n++] = *text;
	}
	plain[n] = '\0';
	return append_html(b, plain);
}

static int
append_debug(struct buffer *page, const char *title, const char *text)
{
	if (text == NULL || *text == '\0')
		return 0;
	if (buffer_printf(page, "<p>%s:</p>\n<pre>", title) == -1 ||
	    append_escaped(page, text) == -1)
		return -1;
	return buffer_append_string(page, "</pre>\n");
}

static int
write_page(struct request *r, const char *detail, struct buffer *page)
{
	const struct reason_text *text = reason_text(r->reason);
	const char *phrase = cgi_status_phrase(text->status);

	if (buffer_printf(page,
		"<!DOCTYPE html>\n<html lang=\"en\"><head>"
		"<meta charset=\"utf-8\"><meta name=\"viewport\" "
		"content=\"width=device-width\">\n<title>%d %s</title>\n"
		"<style>body{font:16px/1.5 sans-serif;max-width:40em;"
		"margin:3em auto;padding:0 1em}pre{white-space:pre-wrap}"
		"</style></head>\n<body>\n<h1>%d %s</h1>\n<p>%s</p>\n"
		"<p>reason: <code>%s</code><br>\nrequest: <code>",
		text->status, phrase, text->status, phrase, text->sentence,
		text->name) == -1 ||
	    append_html(page, r->id) == -1 ||
	    buffer_append_string(page, "</code></p>\n") == -1)
		return -1;
	if (r->gateway->pool->debug &&
	    (append_debug(page, "detail", detail) == -1 ||
		append_debug(page, "stderr", stderr_log_last(r)) == -1 ||
		append_debug(page, "advice", text->advice) == -1))
		return -1;
	return buffer_append_string(page, "</body></html>\n");
}

static int
write_head(const struct reason_text *text, size_t length, struct buffer *b)
{
	if (buffer_printf(b,
		"Status: %d %s\r\nContent-Type: text/html; charset=utf-8\r\n"
		"Content-Length: %zu\r\nCache-Control: no-store\r\n",
		text->status, cgi_status_phrase(text->status), length) == -1)
		return -1;
	if (text->status == 503 &&
	    buffer_printf(b, "Retry-After: %d\r\n", RETRY_AFTER) == -1)
		return -1;
	return buffer_append_string(b, "\r\n");
}

int
reply_error(struct request *r, const char *detail)
{
	const struct reason_text *text = reason_text(r->reason);
	const char *method = request_original(r, SCGI_PARAM_REQUEST_METHOD);
	struct buffer page = {0}, answer = {0};
	int n = -1;

	if (write_page(r, detail, &page) == -1 ||
	    write_head(text, page.length, &answer) == -1)
		goto out;
	if (method != NULL && strcmp(method, "HEAD") == 0)
		page.length = 0;
	if (buffer_append(&answer, page.data, page.length) == -1)
		goto out;
	r->status = text->status;
	r->first_byte_at = clock_now();
	r->body_sent = (int64_t)page.length;
	n = front_send(r, answer.data, answer.length);
out:
	buffer_fini(&page);
	buffer_fini(&answer);
	return n;
}
