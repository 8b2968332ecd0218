/*
 * python: what the configuration says in Python's words: modules, and WSGI
 * applications as FILE:CALLABLE.
 */
#include "config/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Letters beyond ASCII are Python's to judge. */
bool
python_is_name(const char *name)
{
	bool first = true;

	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;

		if (c == '.' ? first
			     : !isalpha(c) && c != '_' && c < 0x80 &&
			    (first || !isdigit(c)))
			return false;
		first = c == '.';
	}
	return !first;
}

size_t
config_wsgi_file_length(const char *wsgi)
{
	const char *colon = strrchr(wsgi, ':');

	if (colon == NULL || strchr(colon, '/') != NULL)
		return strlen(wsgi);
	return (size_t)(colon - wsgi);
}

int
python_check_application(const char *text, char why[OPTION_WHY_SIZE])
{
	size_t length = config_wsgi_file_length(text);

	if (text[0] != '/')
		return option_fail(why,
		    "'%s' is not an absolute path, as in "
		    "/srv/app/app.py:application",
		    text);
	if (text[length] == ':' && !python_is_name(text + length + 1))
		return option_fail(why,
		    "'%s' is not the name of a callable, as in "
		    "/srv/app/app.py:application",
		    text + length + 1);
	return 0;
}
