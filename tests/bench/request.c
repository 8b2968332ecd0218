#include "request.h"

#include <stdlib.h>

#include "frontend/scgi_client.h"
#include "scgi/request.h"

/* The sort of headers that a browser sends. */
static const struct {
	const char *name;
	const char *value;
} FIELDS[] = {
    {"Host", "localhost"},
    {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) load/1.0"},
    {"Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"},
    {"Accept-Language", "en-US,en;q=0.5"},
    {"Referer", "http://localhost/index.html"},
    {"Cookie", "session=0123456789abcdef0123456789abcdef"},
};

void
request_write_scgi(struct buffer *out, const char *uri)
{
	const struct scgi_stock stock = scgi_client_stock(uri);
	struct buffer params = {0};
	size_t i;

	if (scgi_client_write_stock(&params, &stock) == -1)
		abort();
	for (i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++)
		if (scgi_client_write_field(
			&params, FIELDS[i].name, FIELDS[i].value) == -1)
			abort();
	if (scgi_write_header(out, &params) == -1)
		abort();
	buffer_fini(&params);
}

void
request_write_http(struct buffer *out, const char *uri)
{
	size_t i;

	if (buffer_printf(out, "GET %s HTTP/1.1\r\n", uri) == -1)
		abort();
	for (i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++)
		if (buffer_printf(out, "%s: %s\r\n", FIELDS[i].name,
			FIELDS[i].value) == -1)
			abort();
	if (buffer_append_string(out, "\r\n") == -1)
		abort();
}
