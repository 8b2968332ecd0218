/*
 * start.c: vfork and exec.  Between the two the child shares our memory: it
 * makes system calls, stores an errno, and nothing else.
 */
#include "launcher/start.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"

/* A script that is being written (ETXTBSY) gets this long, in 5 ms steps. */
#define BUSY_TRIES 20

struct plan {
	const struct start_command *command;
	volatile int error;
	volatile int at_exec;
};

/*
 * Runs in the child.  The extra descriptors may stand where others of them are
 * to be, so each moves out of the way first.
 */
static int
keep_extra(const struct start_command *c)
{
	int keep[START_EXTRA_MAX], first = c->extra_first;
	int count = (int)c->extra_count;

	for (int i = 0; i < count; i++)
		if ((keep[i] = fcntl(c->extra[i], F_DUPFD, first + count)) ==
		    -1)
			return -1;
	for (int i = 0; i < count; i++) {
		if (dup2(keep[i], first + i) == -1)
			return -1;
		keep[i] = first + i;
	}
	fd_close_others(keep, (size_t)count);
	return 0;
}

/* Runs in the child. */
static void
become(struct plan *p)
{
	const struct start_command *c = p->command;
	sigset_t none;

	if (setsid() == -1 || fchdir(c->directory) == -1)
		goto fail;
	for (int i = 0; i < 3; i++)
		if (dup2(c->stdio[i], i) == -1)
			goto fail;
	if (keep_extra(c) == -1 ||
	    (c->limits != NULL && limits_apply(c->limits) == -1))
		goto fail;
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		goto fail;
	p->at_exec = 1;
	execve(c->path, c->argv, c->envp);
fail:
	p->error = errno;
	_exit(127);
}

static pid_t
start_once(struct plan *p)
{
	pid_t pid;

	p->error = 0;
	p->at_exec = 0;
	if ((pid = vfork()) == 0)
		become(p);
	if (pid == -1)
		return -1;
	if (p->error == 0)
		return pid;
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
	errno = p->error;
	return -1;
}

pid_t
start_worker(const struct start_command *command, int *at_exec)
{
	struct plan plan = {.command = command};
	pid_t pid;

	for (int try = 0;; try++) {
		struct timespec pause = {0, 5000000};

		pid = start_once(&plan);
		if (pid != -1 || errno != ETXTBSY || try == BUSY_TRIES)
			break;
		nanosleep(&pause, NULL);
	}
	*at_exec = plan.at_exec;
	return pid;
}

/* The start of a file, as a string; what cannot be read is empty. */
static void
read_start(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd == -1 ? 0 : read(fd, out, size - 1);

	out[n > 0 ? n : 0] = '\0';
	fd_close(&fd);
}

/* The interpreter in a "#!" line, cut out of `line` in place; NULL if none. */
static char *
shebang_interpreter(char *line)
{
	char *p = line + 2;

	if (strncmp(line, "#!", 2) != 0)
		return NULL;
	p += strspn(p, " \t");
	p[strcspn(p, " \t\r\n")] = '\0';
	return p;
}

int
start_has_crlf_shebang(const char *script)
{
	char line[256];
	size_t length;

	read_start(script, line, sizeof(line));
	length = strcspn(line, "\n");
	return strncmp(line, "#!", 2) == 0 && line[length] == '\n' &&
	    line[length - 1] == '\r';
}

static void
say(struct start_failure *f, enum reason reason, const char *path,
    const char *what)
{
	char safe[1024];

	f->reason = reason;
	buffer_printf(&f->detail, "%s: %s",
	    log_escape(safe, sizeof(safe), path, strlen(path)), what);
}

static bool
is_on_noexec_mount(const char *path)
{
#ifdef ST_NOEXEC
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0;
#else
	(void)path;
	return false;
#endif
}

/*
 * Behind an argument of an interpreter such as perl a CR is harmless; behind
 * the interpreter's own name, or the name that env looks for, it is not.
 */
static bool
cr_does_harm(const char *path, const char *interpreter)
{
	const char *name = strrchr(interpreter, '/');
	char line[256], *after;

	read_start(path, line, sizeof(line));
	after = strstr(line, interpreter);
	return *interpreter == '\0' ||
	    (name != NULL && strcmp(name, "/env") == 0) ||
	    (after != NULL && after[strlen(interpreter)] == '\r');
}

/* The errno that exec would give, as far as can be seen; 0: none. */
static int
foresee(const char *path)
{
	char line[256], *interpreter;

	if (access(path, F_OK) == -1)
		return errno;
	if (access(path, X_OK) == -1 || is_on_noexec_mount(path))
		return EACCES;
	if (access(path, R_OK) == -1)
		return 0;
	read_start(path, line, sizeof(line));
	if (strncmp(line, "\177ELF", 4) == 0)
		return 0;
	interpreter = shebang_interpreter(line);
	if (interpreter != NULL && start_has_crlf_shebang(path) &&
	    cr_does_harm(path, interpreter))
		return ENOENT;
	if (interpreter == NULL || *interpreter == '\0')
		return ENOEXEC;
	return access(interpreter, X_OK) == -1 ? errno : 0;
}

static void
diagnose_access(const char *path, bool is_script,
    const struct config_user *user, struct start_failure *f)
{
	char line[256], number[CONFIG_NUMBER_SIZE], *interpreter;
	struct stat st;

	if (is_script && stat(path, &st) == 0 && (st.st_mode & 0111) == 0) {
		say(f, REASON_SCRIPT_NOT_EXECUTABLE, path,
		    "has no execute permission (chmod +x)");
	} else if (is_on_noexec_mount(path)) {
		say(f, REASON_NOEXEC_MOUNT, path,
		    "is on a file system mounted noexec");
	} else if (access(path, X_OK) == -1) {
		snprintf(line, sizeof(line), "user %s may not execute it",
		    config_user_text(user, number));
		say(f, REASON_PERMISSION_DENIED, path, line);
	} else {
		read_start(path, line, sizeof(line));
		interpreter = shebang_interpreter(line);
		say(f, REASON_PERMISSION_DENIED,
		    interpreter != NULL ? interpreter : path,
		    "the interpreter may not be executed");
	}
}

static void
diagnose_missing(const char *path, bool is_script, struct start_failure *f)
{
	char line[256], *interpreter;

	if (access(path, F_OK) == -1) {
		say(f,
		    is_script ? REASON_SCRIPT_NOT_FOUND
			      : REASON_INTERPRETER_NOT_FOUND,
		    path, strerror(errno));
	} else if (start_has_crlf_shebang(path)) {
		say(f, REASON_CRLF_SHEBANG, path,
		    "the #! line ends with CR LF (DOS line ends)");
	} else {
		read_start(path, line, sizeof(line));
		interpreter = shebang_interpreter(line);
		if (interpreter != NULL)
			say(f, REASON_INTERPRETER_NOT_FOUND, interpreter,
			    "the interpreter of the #! line does not exist");
		else
			say(f, REASON_INTERPRETER_NOT_FOUND, path,
			    "the dynamic loader it names does not exist");
	}
}

static void
diagnose_format(const char *path, struct start_failure *f)
{
	char line[256];
	struct stat st;

	read_start(path, line, sizeof(line));
	if (stat(path, &st) == 0 && st.st_size == 0)
		say(f, REASON_BAD_EXECUTABLE, path, "is empty");
	else if (strncmp(line, "\xef\xbb\xbf#!", 5) == 0)
		say(f, REASON_BAD_EXECUTABLE, path,
		    "has a byte order mark before its #!");
	else if (strncmp(line, "\177ELF", 4) == 0)
		say(f, REASON_BAD_EXECUTABLE, path,
		    "is a program for another machine, or damaged");
	else if (strncmp(line, "#!", 2) == 0)
		say(f, REASON_BAD_EXECUTABLE, path,
		    "its #! line names no program that can run");
	else
		say(f, REASON_BAD_EXECUTABLE, path,
		    "is not a program and has no #! line");
}

void
start_diagnose(const char *path, const char *script, int error,
    const struct config_user *user, struct start_failure *f)
{
	/* Else it is what the configuration has to run it. */
	bool is_script = strcmp(path, script) == 0;

	memset(f, 0, sizeof(*f));
	f->error = error;
	if (process_is_format_error(error)) {
		diagnose_format(path, f);
		return;
	}
	switch (error) {
	case EACCES:
	case EPERM:
		diagnose_access(path, is_script, user, f);
		break;
	case ENOENT:
	case ENOTDIR:
		diagnose_missing(path, is_script, f);
		break;
	case ETXTBSY:
		say(f, REASON_SCRIPT_BUSY, script,
		    "is open for writing by another process");
		break;
	case E2BIG:
		say(f, REASON_ENVIRONMENT_TOO_LARGE, script,
		    "the request's parameters exceed what exec accepts");
		break;
	case EMFILE:
	case ENFILE:
		say(f, REASON_NO_DESCRIPTORS, script, strerror(error));
		break;
	default:
		say(f, REASON_FORK_FAILED, script, strerror(error));
		break;
	}
}

enum reason
start_check(const char *path, const char *script,
    const struct config_user *user, struct start_failure *f)
{
	int error = foresee(path);

	memset(f, 0, sizeof(*f));
	if (error != 0)
		start_diagnose(path, script, error, user, f);
	return f->reason;
}
