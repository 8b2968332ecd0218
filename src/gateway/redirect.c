/*
 * redirect.c: the same request, asked again: GET, another path, no body.
 */
#include "gateway/redirect.h"

#include <string.h>

#include "base/log.h"
#include "cgi/route.h"
#include "gateway/schedule.h"

#define REDIRECTS_MAX 5

/* The rule that `location` breaks, or NULL with the map that takes it or NULL.
 */
static const char *
find_map(struct request *r, const char *location, struct buffer *path,
    const struct config_map **map)
{
	const char *rule =
	    cgi_decode_path(location, strcspn(location, "?#"), path);

	*map = rule != NULL ? NULL
			    : config_find_map(r->gateway->pool, path->data,
				  request_param(r, SCGI_PARAM_HTTP_HOST));
	return rule;
}

bool
redirect_wanted(struct request *r, const char *location)
{
	struct buffer path = {0};
	const struct config_map *map;
	const char *rule = find_map(r, location, &path, &map);

	buffer_fini(&path);
	return map != NULL || rule == cgi_rule_no_memory;
}

/* Parameters that describe the old path or the old body. */
static bool
is_replaced(const char *name)
{
	static const char *const names[] = {"CONTENT_LENGTH", "CONTENT_TYPE",
	    "REQUEST_METHOD", "QUERY_STRING", "REQUEST_URI", "DOCUMENT_URI",
	    "SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME",
	    "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int
write_params(
    struct request *r, const char *location, const char *path, struct buffer *b)
{
	const char *cursor = r->header.params, *name, *value;
	const char *end = cursor + r->header.params_length;
	const char *query = strchr(location, '?');

	if (scgi_write_param(b, "CONTENT_LENGTH", "0") == -1 ||
	    scgi_write_param(b, "REQUEST_METHOD", "GET") == -1 ||
	    scgi_write_param(
		b, "QUERY_STRING", query != NULL ? query + 1 : "") == -1 ||
	    scgi_write_param(b, "REQUEST_URI", location) == -1 ||
	    scgi_write_param(b, "DOCUMENT_URI", path) == -1)
		return -1;
	while (scgi_next_param(&cursor, end, &name, &value))
		if (!is_replaced(name) &&
		    scgi_write_param(b, name, value) == -1)
			return -1;
	return 0;
}

void
redirect_prepare(struct request *r, const char *location)
{
	struct buffer path = {0}, params = {0};
	const struct config_map *map;
	char detail[256];

	log_escape(detail, sizeof(detail), location, strlen(location));
	if (++r->redirects > REDIRECTS_MAX) {
		request_fail(r, REASON_REDIRECT_LOOP, detail);
		return;
	}
	find_map(r, location, &path, &map);
	if (map == NULL ||
	    write_params(r, location, path.data, &params) == -1) {
		buffer_fini(&path);
		buffer_fini(&params);
		request_fail(r, REASON_OUT_OF_MEMORY, NULL);
		return;
	}
	buffer_fini(&r->path);
	buffer_fini(&r->redirected);
	r->path = path;
	r->redirected = params;
	scgi_find_params(params.data, params.length, &r->redirected_params);
	r->map = map;
	r->redirect_pending = true;
	request_finish_if_done(r);
}

void
redirect_run(struct request *r)
{
	r->redirect_pending = false;
	buffer_fini(&r->run.output);
	memset(&r->run, 0, sizeof(r->run));
	r->run.stdout_fd = -1;
	r->run.is_gone = true;
	schedule_add(r, true);
}
