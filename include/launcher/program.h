/*
 * launcher/program: the program behind a command: what exec(2) makes of a
 * script and its #! line.
 */
#ifndef LAUNCHER_PROGRAM_H
#define LAUNCHER_PROGRAM_H

#include <stdbool.h>

#include "launcher/watch.h"

#define PROGRAM_LINE_MAX 256 /* more of a #! line no kernel reads */
#define PROGRAM_PATH_MAX 4096

/*
 * The vector that the program gets begins with `name` and, if there is one,
 * `option`; then comes the command's own vector, if the command is a script.
 */
struct program {
	char path[PROGRAM_PATH_MAX]; /* to be executed */
	char line[PROGRAM_LINE_MAX]; /* the two below are in here */
	const char *name;	     /* argv[0]; NULL: the command's own */
	const char *option;	     /* of the #! line; NULL: none */
	bool has_own_name; /* the process is called as `path`, not as the
			      command */
};

/*
 * program_find: the program that executing `path` would start, if it is a
 * binary program: `path` itself or the interpreter of its #! line.  An "env
 * NAME" there is looked up in `search`, a PATH.  0, or -1: there is none.
 */
int program_find(struct program *p, const char *path, const char *search);

/*
 * program_recall: as program_find, but what was found for a file with this
 * stamp counts for a second, as nearly all requests are for what was there a
 * moment ago.  Valid until the next call; NULL: there is none.
 */
const struct program *program_recall(
    const char *path, const struct watch_stamp *stamp, const char *search);

#endif
