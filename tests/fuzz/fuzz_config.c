/*
 * Any bytes as a configuration: refused with an error, or a configuration
 * whose dump is read again and dumps the same.  There is no include: only
 * files have it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "config/config.h"
#include "require.h"

static char *
dump(const struct config *config, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	REQUIRE(out != NULL && config_print(config, out) == 0);
	fclose(out);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer errors = {0};
	struct config *config, *again;
	char *first, *second;
	size_t first_length, second_length;

	config = config_parse("fuzz", (const char *)data, size, &errors);
	REQUIRE((config == NULL) == (errors.length > 0));
	if (config == NULL) {
		buffer_fini(&errors);
		return 0;
	}
	for (size_t i = 0; i < config->pool_count; i++)
		(void)config_find_map(&config->pools[i], "/a/b", "a.org");
	first = dump(config, &first_length);
	config_free(config);
	again = config_parse("dump", first, first_length, &errors);
	if (again == NULL) {
		fwrite(errors.data, 1, errors.length, stderr);
		abort();
	}
	second = dump(again, &second_length);
	config_free(again);
	REQUIRE(first_length == second_length &&
	    memcmp(first, second, first_length) == 0);
	free(first);
	free(second);
	return 0;
}
