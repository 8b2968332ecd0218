/*
 * variables.c: what a runner's worker finds of its request's variables.
 */
#include "forkserver/preload.h"

#include <sys/mman.h>
#include <sys/uio.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forkserver/call.h"

/* Hexadecimal digits. */
#define SEED_LENGTH 8

extern char **environ;

/* Those at the start that is_read_at_start; the program may change its own. */
static char **start_variables;
static size_t start_count;

/*
 * What interpreters look at but once, when they start, and a request may set:
 * PYTHONPATH and the like it may not.
 */
static bool
is_read_at_start(const char *variable)
{
	return strncmp(variable, "LANG", 4) == 0 ||
	    strncmp(variable, "LC_", 3) == 0;
}

void
preload_note_variables(void)
{
	size_t count = 0;

	for (char **e = environ; *e != NULL; e++)
		count += is_read_at_start(*e);
	if ((start_variables = calloc(count + 1, sizeof(char *))) == NULL)
		preload_refuse("out of memory");
	for (char **e = environ; *e != NULL; e++)
		if (is_read_at_start(*e) &&
		    (start_variables[start_count++] = strdup(*e)) == NULL)
			preload_refuse("out of memory");
}

static bool
had_at_start(const char *variable)
{
	for (size_t i = 0; i < start_count; i++)
		if (strcmp(start_variables[i], variable) == 0)
			return true;
	return false;
}

/* Whether the interpreter would have started otherwise for this request. */
static bool
needs_restart(char **variables)
{
	size_t count = 0;

	for (char **e = variables; *e != NULL; e++)
		if (is_read_at_start(*e)) {
			if (!had_at_start(*e))
				return true;
			count++;
		}
	return count != start_count;
}

/* Puts it where '=' is, between a name and its value; and '=' where it is. */
static void
separate_by(char separator, char **variables)
{
	for (char **e = variables; *e != NULL; e++) {
		char *at = *e;

		while (*at != '=' && *at != '\0')
			at++;
		*at = separator;
	}
}

static char *
put_seed(char *to)
{
	uint32_t seed;

	if (call(SYS_getrandom, POINTER(&seed), sizeof(seed), 0, 0, 0) !=
	    sizeof(seed))
		_exit(127);
	for (int i = 0; i < SEED_LENGTH; i++) {
		*to++ = "0123456789abcdef"[seed & 15];
		seed >>= 4;
	}
	*to++ = '\0';
	return to;
}

static void
leave_in_memory(enum fork_option option, char **variables, const char *end)
{
	struct fork_block *b = preload.block;
	char *to = b->text;
	bool is_name = true;

	*to++ = (char)option;
	to = put_seed(to);
	if (variables[0] != NULL)
		for (const char *c = variables[0]; c < end; c++) {
			*to++ = is_name && *c == '=' ? '\0' : *c;
			is_name = *c == '\0' || (is_name && *c != '=');
		}
	b->length = (size_t)(to - b->text);
}

static void
leave_in_file(enum fork_option option, char **variables, const char *end)
{
	char first[2] = {(char)option};
	struct iovec parts[2] = {{first, sizeof(first)}, {variables[0], 0}};
	long fd =
	    call(SYS_memfd_create, POINTER("request"), MFD_CLOEXEC, 0, 0, 0);

	if (variables[0] != NULL)
		parts[1].iov_len = (size_t)(end - variables[0]);
	separate_by('\0', variables);
	if (fd < 0 ||
	    call(SYS_pwritev, fd, POINTER(parts), 2, 0, 0) !=
		(long)(parts[0].iov_len + parts[1].iov_len) ||
	    call(SYS_dup3, fd, preload.socket, O_CLOEXEC, 0, 0) < 0)
		_exit(127);
	separate_by('=', variables);
	call(SYS_close, fd, 0, 0, 0, 0);
}

int
preload_leave_variables(bool learns, char **variables, const char *end)
{
	enum fork_option option = needs_restart(variables) ? FORK_RESTART
	    : learns					   ? FORK_LEARN
							   : FORK_NOTHING;

	if (preload.block != NULL) {
		leave_in_memory(option, variables, end);
		return 0;
	}
	if (learns)
		call(SYS_dup3, preload.socket, preload.socket + 1, O_CLOEXEC, 0,
		    0);
	leave_in_file(option, variables, end);
	return learns ? 2 : 1;
}
