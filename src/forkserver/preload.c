/*
 * preload.c: the library that makes a fork server of a program that nobody
 * changed.  It waits just before the program's work begins, and forks a worker
 * for every request from there.
 *
 * It is loaded with LD_PRELOAD and takes the place of five functions of the C
 * library: __libc_start_main, to wait where main would begin; fork, to wait
 * where a runner calls it; _exit, for the way in which a runner ends;
 * __register_atfork, to know the handlers that a fork must call; __cxa_atexit,
 * to leave out a costly one, and to know of those of libraries.
 *
 * For Linux with the GNU C library.
 */
#include "forkserver/preload.h"

#include <sys/mman.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forkserver/call.h"

#define EXPORT __attribute__((visibility("default")))

typedef int main_function(int, char **, char **);
typedef pid_t fork_function(void);
typedef int start_function(main_function *, int, char **, void (*)(void),
    void (*)(void), void (*)(void), void *);
typedef int
register_function(void (*)(void), void (*)(void), void (*)(void), void *);

typedef int at_exit_function(void (*)(void *), void *, void *);

extern char **environ;

struct preload preload = {.socket = -1};

static main_function *program_main;

/* Found early: a program may fork in a signal handler, or with threads. */
static fork_function *original_fork;

void
preload_refuse(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vdprintf(STDERR_FILENO, format, ap);
	va_end(ap);
	_exit(FORK_EXIT_UNUSABLE);
}

/* find_original: the function that we stand before, to the pointer at `next`.
 */
static void
find_original(const char *name, void *next)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		preload_refuse("the C library has no %s", name);
	memcpy(next, &found, sizeof(found));
}

/*
 * A handler that is registered now is called by our forks, and by those of
 * the C library, which the program will use later.
 */
EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void),
    void (*child)(void), void *object);

EXPORT int
__register_atfork(void (*prepare)(void), void (*parent)(void),
    void (*child)(void), void *object)
{
	register_function *next;

	find_original("__register_atfork", &next);
	/* One too many is refused when it is ready: see preload_check. */
	if (preload.handler_count < PRELOAD_HANDLERS_MAX)
		preload.handlers[preload.handler_count] =
		    (struct preload_handler){prepare, parent, child};
	preload.handler_count++;
	return next(prepare, parent, child, object);
}

/* In which file a function is; "" if that is not known. */
static const char *
file_of(void (*function)(void *))
{
	Dl_info info;
	void *address;

	memcpy(&address, &function, sizeof(address));
	return dladdr(address, &info) != 0 && info.dli_fname != NULL
	    ? info.dli_fname
	    : "";
}

EXPORT int __cxa_atexit(void (*handler)(void *), void *arg, void *object);

/*
 * OpenSSL gives back its memory piece by piece, which goes with a worker
 * anyway: a millisecond for all that import hashlib, random or ssl.
 */
EXPORT int
__cxa_atexit(void (*handler)(void *), void *arg, void *object)
{
	at_exit_function *next;

	preload.had_early_handler |= program_main == NULL;
	if (preload.socket != -1 && preload.mode == FORK_AT_FORK &&
	    strstr(file_of(handler), "/libcrypto.so") != NULL)
		return 0;
	find_original("__cxa_atexit", &next);
	return next(handler, arg, object);
}

/* Takes `name` out of environ, and out of what /proc/self/environ shows. */
static void
take_variable(const char *name, char *value, size_t size)
{
	size_t length = strlen(name), n = 0;

	value[0] = '\0';
	for (char **e = environ; *e != NULL; e++) {
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=') {
			snprintf(value, size, "%s", *e + length + 1);
			memset(*e, 0, strlen(*e));
		} else {
			environ[n++] = *e;
		}
	}
	environ[n] = NULL;
}

static void
learn_what_we_are(void)
{
	char text[64], mode;
	unsigned spare, version = 0;
	int fd;

	take_variable(FORK_VARIABLE, text, sizeof(text));
	if (sscanf(text, "%c %d %u %u", &mode, &fd, &spare, &version) < 3)
		return;
	if (version != FORK_VERSION)
		preload_refuse("the library is not of the scgid that runs: it "
			       "was upgraded and is to be restarted");
	take_variable("LD_PRELOAD", text, sizeof(text));
	take_variable("LD_BIND_NOW", text, sizeof(text));
	if (mode == FORK_AT_MAIN)
		take_variable(RUNNER_VARIABLE, text, sizeof(text));
	/* Started by a constructor: the fork server leads its session. */
	if (getsid(0) != getpid()) {
		take_variable(RUNNER_VARIABLE, text, sizeof(text));
		for (int i = 0; i < 3; i++)
			close(fd + i);
		return;
	}
	preload.environment = environ;
	while (environ[preload.environment_count] != NULL)
		preload.environment_count++;
	preload.mode = (enum fork_mode)mode;
	if (preload.mode == FORK_AT_FORK)
		preload_note_variables();
	preload.socket = fd;
	preload.spare = spare;
	for (int i = 0; i < 3; i++)
		fcntl(fd + i, F_SETFD, FD_CLOEXEC);
}

/*
 * A runner that reads memory, and fills environ itself, says where it wants to
 * be told of the place; and, if it knows, of what there is to be one holder
 * more.
 */
static void
agree_on_block(const char *addresses)
{
	char *next;
	uintptr_t told = (uintptr_t)strtoull(addresses, &next, 16);
	uintptr_t holders = (uintptr_t)strtoull(next, NULL, 16);

	preload.block = mmap(NULL, sizeof(*preload.block),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (preload.block == MAP_FAILED)
		preload_refuse("mmap: %s", strerror(errno));
	*(struct fork_block **)told = preload.block;
	if (holders != 0)
		++*(size_t *)holders;
}

EXPORT pid_t fork(void);

EXPORT pid_t
fork(void)
{
	static const char fills[] = "ready, fills";
	const char *state;
	int argc;

	if (original_fork == NULL)
		find_original("fork", &original_fork);
	if (preload.socket == -1 || preload.mode != FORK_AT_FORK)
		return original_fork();
	state = getenv(RUNNER_VARIABLE);
	if (state == NULL || strncmp(state, "ready", 5) != 0)
		return original_fork();
	if (strncmp(state, fills, strlen(fills)) == 0)
		agree_on_block(state + strlen(fills));
	preload_serve(&argc);
	return 0;
}

EXPORT void _exit(int status) __attribute__((noreturn));

/*
 * A runner leaves out the end of its interpreter, which would take apart what
 * goes with the process anyway; not that of the C library.
 */
EXPORT void
_exit(int status)
{
	if ((status & ~0xFF) == RUNNER_EXIT && preload.mode == FORK_AT_FORK)
		exit(status & 0xFF);
	preload_note_pages(false);
	for (;;)
		call(SYS_exit_group, status, 0, 0, 0, 0);
}

static int
main_of_server(int argc, char **argv, char **envp)
{
	(void)envp;
	if (preload.mode == FORK_AT_MAIN)
		argv = preload_serve(&argc);
	return program_main(argc, argv, environ);
}

static void
note_auxiliary(char **variables)
{
	const ElfW(auxv_t) * vector, *end;
	size_t size;

	while (*variables != NULL)
		variables++;
	vector = end = (const ElfW(auxv_t) *)(variables + 1);
	while (end->a_type != AT_NULL)
		end++;
	size = (size_t)(end + 1 - vector) * sizeof(*vector);
	preload.auxiliary = vector;
	if (size <= PRELOAD_AUXILIARY_MAX * sizeof(char *))
		preload.auxiliary_size = size;
}

EXPORT int __libc_start_main(main_function *main, int argc, char **argv,
    void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
    void *stack_end);

EXPORT int
__libc_start_main(main_function *main, int argc, char **argv,
    void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
    void *stack_end)
{
	start_function *next;

	find_original("__libc_start_main", &next);
	find_original("fork", &original_fork);
	note_auxiliary(argv + argc + 1);
	learn_what_we_are();
	if (preload.socket == -1)
		return next(main, argc, argv, init, fini, rtld_fini, stack_end);
	program_main = main;
	preload.loader_finish = rtld_fini;
	preload.title = argv[0];
	preload.title_size =
	    (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
	return next(
	    main_of_server, argc, argv, init, fini, preload_finish, stack_end);
}
