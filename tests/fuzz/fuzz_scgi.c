/*
 * Fuzz target: what a front end sends, through the request parser.
 *
 * The verdict is the same wherever the bytes are split; what is taken can be
 * written again, byte for byte, and an environment can be built of it.
 */
#include "scgi/request.h"

#include <stdlib.h>
#include <string.h>

#include "cgi/environment.h"
#include "require.h"

#define MAX 4096

/* As it is written again it is what it was. */
static void
check_round_trip(const char *data, const struct scgi_header *h)
{
	const char *cursor = h->params, *end = cursor + h->params_length;
	const char *name, *value;
	struct buffer params = {0}, wire = {0};
	struct scgi_found found;
	size_t first = 0;

	while (scgi_next_param(&cursor, end, &name, &value)) {
		REQUIRE(*name != '\0');
		REQUIRE(
		    scgi_get_param(h->params, h->params_length, name) != NULL);
		if (strcmp(name, h->duplicate) == 0)
			first++;
		REQUIRE(scgi_write_param(&params, name, value) == 0);
	}
	REQUIRE(cursor == end);
	scgi_find_params(h->params, h->params_length, &found);
	REQUIRE(memcmp(&found, &h->found, sizeof(found)) == 0);
	/* A long name is cut in `duplicate`, and then it is not found. */
	REQUIRE(h->duplicate[0] == '\0' || first >= 2 ||
	    strlen(h->duplicate) == sizeof(h->duplicate) - 1);
	REQUIRE(scgi_write_header(&wire, &params) == 0);
	REQUIRE(wire.length == h->size);
	REQUIRE(memcmp(wire.data, data, h->size) == 0);
	buffer_fini(&params);
	buffer_fini(&wire);
}

static void
check_environment(const struct scgi_header *h)
{
	const struct cgi_environment_input input = {.params = h->params,
	    .params_length = h->params_length,
	    .script_name = "/s",
	    .path_info = "/p",
	    .document_root = "/r",
	    .script_filename = "/r/s"};
	struct cgi_environment e;

	REQUIRE(cgi_environment_build(&e, &input) == 0);
	for (size_t i = 0; e.envp[i] != NULL; i++) {
		size_t length = strcspn(e.envp[i], "=");

		REQUIRE(length > 0 && e.envp[i][length] == '=');
		REQUIRE(strncmp(e.envp[i], "SCGI=", 5) != 0);
		for (size_t k = 0; k < i; k++)
			REQUIRE(strncmp(e.envp[i], e.envp[k], length + 1) != 0);
	}
	cgi_environment_fini(&e);
}

/* The whole, from memory of its own size. */
static enum scgi_result
parse_exact(const char *data, size_t length, struct scgi_header *h)
{
	char *exact = malloc(length > 0 ? length : 1);
	enum scgi_result result;

	REQUIRE(exact != NULL);
	if (length > 0)
		memcpy(exact, data, length);
	result = scgi_parse_header(exact, length, MAX, h);
	if (h->params != NULL)
		h->params = data + (h->params - exact);
	for (size_t i = 0; i < SCGI_PARAM_COUNT; i++)
		if (h->found.value[i] != NULL)
			h->found.value[i] = data + (h->found.value[i] - exact);
	free(exact);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes;
	struct scgi_header whole, part;
	enum scgi_result result, now;
	size_t length;

	result = parse_exact(data, size, &whole);
	REQUIRE((result == SCGI_BAD) == (whole.rule != NULL));
	REQUIRE(result != SCGI_NO_MEMORY);
	REQUIRE(result != SCGI_MORE || whole.size == 0 || whole.size > size);
	for (length = 0; length < size; length++) {
		now = scgi_parse_header(data, length, MAX, &part);
		if (now != SCGI_MORE)
			break;
		REQUIRE(part.size == 0 || part.size > length);
	}
	if (length < size) {
		/* Decided: by nothing that comes later. */
		now = parse_exact(data, length, &part);
		REQUIRE(now == result && part.rule == whole.rule);
		REQUIRE(part.params == whole.params);
		REQUIRE(part.size == whole.size);
		REQUIRE(part.content_length == whole.content_length);
	}
	if (result != SCGI_DONE)
		return 0;
	REQUIRE(whole.size <= size && whole.size == length);
	REQUIRE(whole.params_length <= MAX && whole.content_length >= 0);
	REQUIRE(scgi_check_params(whole.params, whole.params_length));
	check_round_trip(data, &whole);
	check_environment(&whole);
	return 0;
}
