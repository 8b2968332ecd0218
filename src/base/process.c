/*
 * process.c: titles, orphans, signals.
 */
#include "base/process.h"

#include <sys/resource.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system.h"

#if defined(HAVE_SUBREAPER)
#include <sys/prctl.h>
#endif
#if defined(HAVE_PROCCTL)
#include <sys/procctl.h>
#endif

extern char **environ;

#ifdef HAVE_SETPROCTITLE

char **
process_init_title(int argc, char **argv)
{
	(void)argc;
	return argv;
}

void
process_set_title(const char *title)
{
	setproctitle("-scgid: %s", title);
}

#else

static struct {
	char *start; /* the memory of argv and environ; NULL: unusable */
	size_t size;
	char **arguments;   /* owned, for ever: they have moved */
	char **environment; /* likewise */
} area;

/*
 * Copies a vector and its strings, in one block: unsetenv takes strings out of
 * the vector, and they would be lost one by one.
 */
static char **
move_strings(char **from, size_t count)
{
	size_t size = (count + 1) * sizeof(char *);
	char **to, *next;

	for (size_t i = 0; i < count; i++)
		size += strlen(from[i]) + 1;
	if ((to = malloc(size)) == NULL)
		return NULL;
	next = (char *)(to + count + 1);
	for (size_t i = 0; i < count; i++) {
		to[i] = next;
		next = stpcpy(next, from[i]) + 1;
	}
	to[count] = NULL;
	return to;
}

char **
process_init_title(int argc, char **argv)
{
	char *end = argv[0], **new_argv, **new_environ;
	size_t env_count = 0;

	for (int i = 0; i < argc; i++) {
		if (argv[i] == end)
			end = argv[i] + strlen(argv[i]) + 1;
	}
	for (; environ[env_count] != NULL; env_count++) {
		if (environ[env_count] == end)
			end += strlen(end) + 1;
	}
	new_argv = move_strings(argv, (size_t)argc);
	new_environ = move_strings(environ, env_count);
	if (new_argv == NULL || new_environ == NULL)
		return argv;
	area.arguments = new_argv;
	environ = area.environment = new_environ;
	area.start = argv[0];
	area.size = (size_t)(end - argv[0]);
	return new_argv;
}

void
process_set_title(const char *title)
{
	if (area.start == NULL)
		return;
	memset(area.start, 0, area.size);
	snprintf(area.start, area.size, "scgid: %s", title);
}

#endif

void
process_adopt_orphans(void)
{
#if defined(HAVE_SUBREAPER)
	prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL);
#elif defined(HAVE_PROCCTL)
	procctl(P_PID, getpid(), PROC_REAP_ACQUIRE, NULL);
#endif
}

void
process_kill_child(pid_t pid)
{
	pid_t group = getpgid(pid);

	assert(pid > 1);
	if (group > 1 && group != getpgrp())
		kill(-group, SIGKILL);
	kill(pid, SIGKILL);
}

bool
process_is_format_error(int error)
{
#if defined(ELIBBAD)
	if (error == ELIBBAD)
		return true;
#endif
	return error == ENOEXEC || error == EINVAL || error == EISDIR ||
	    error == ELOOP;
}

void
process_forbid_new_privileges(void)
{
#if defined(PR_SET_NO_NEW_PRIVS)
	prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
#elif defined(PROC_NO_NEW_PRIVS_CTL)
	int enable = PROC_NO_NEW_PRIVS_ENABLE;

	procctl(P_PID, getpid(), PROC_NO_NEW_PRIVS_CTL, &enable);
#endif
}

void
process_forbid_inspection(void)
{
#if defined(PR_SET_DUMPABLE)
	prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
#elif defined(PROC_TRACE_CTL)
	int off = PROC_TRACE_CTL_DISABLE;

	procctl(P_PID, getpid(), PROC_TRACE_CTL, &off);
#endif
}

void
process_die_with_parent(void)
{
#if defined(PR_SET_PDEATHSIG)
	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
#elif defined(PROC_PDEATHSIG_CTL)
	int s = SIGKILL;

	procctl(P_PID, getpid(), PROC_PDEATHSIG_CTL, &s);
#endif
}

/* More than we will ever use; some systems say "unlimited". */
#define DESCRIPTORS_MAX 1048576

static struct rlimit original_limit;

void
process_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	original_limit = limit;
	limit.rlim_cur =
	    limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
	if (limit.rlim_cur > original_limit.rlim_cur)
		setrlimit(RLIMIT_NOFILE, &limit);
}

void
process_restore_descriptor_limit(void)
{
	if (original_limit.rlim_cur != 0)
		setrlimit(RLIMIT_NOFILE, &original_limit);
}

void
process_ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE,
	    SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

void
process_reset_signals(void)
{
	struct sigaction action;
	sigset_t none;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &action, NULL); /* KILL and STOP refuse */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
