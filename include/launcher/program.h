/*
 * launcher/program: the program behind a command: what exec(2) makes of a
 * script and its #! line.
 */
#ifndef LAUNCHER_PROGRAM_H
#define LAUNCHER_PROGRAM_H

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
	const char *command; /* whose file's name the process has; borrowed */
};

/*
 * program_find: the program that executing `path` would start, if it is a
 * binary program: `path` itself or the interpreter of its #! line.  An "env
 * NAME" there is looked up in `search`, a PATH.  0, or -1: there is none.
 */
int program_find(struct program *p, const char *path, const char *search);

#endif
