/*
 * preload.c: the library that makes a fork server of a program that nobody
 * changed.  It waits just before the program's work begins, and forks a worker
 * for every request from there.
 *
 * It is loaded with LD_PRELOAD and takes the place of three functions of the C
 * library: __libc_start_main, to wait where main would begin; fork, to wait
 * where a runner calls it; __register_atfork, to know the handlers that a fork
 * must call.  A worker is made with clone(CLONE_PARENT), so that it is a child
 * of the launcher, which then reaps and signals it like any other.
 *
 * Invariant: what a worker can see is what a new process would see.  It has
 * none of our descriptors, variables, handlers or mappings that it could
 * mistake for its own, and shares no file offset with another worker.
 *
 * For Linux with the GNU C library.  Nothing here may use scgid's libraries:
 * it lives in other people's programs.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/fork_protocol.h"

#define EXPORT	     __attribute__((visibility("default")))

#define HANDLERS_MAX 64
#define FILES_MAX    64

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void),
    void (*)(void), void (*)(void), void *);
typedef int
register_function(void (*)(void), void (*)(void), void (*)(void), void *);

extern char **environ;

/* The functions of a pthread_atfork(3). */
struct handler {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
};

/* A file that was open when the fork server was ready. */
struct open_file {
	int fd;
	int flags; /* as open(2) takes them */
	int fd_flags;
	off_t offset;
};

static struct {
	enum fork_mode mode;
	int socket; /* -1: this process is no fork server, or not any more */
	unsigned spare;
	main_function *main;
	volatile struct fork_slot *slots;
	pid_t *thread_id; /* where the C library keeps it */
	void *robust_list;
	size_t robust_list_size;
	struct handler handlers[HANDLERS_MAX];
	size_t handler_count;
	struct open_file files[FILES_MAX];
	size_t file_count;
	char *title; /* the memory of argv */
	size_t title_size;
} self = {.socket = -1};

/* The request that is being started; a worker's arguments stay in here. */
static struct {
	union {
		struct fork_run run;
		char bytes[FORK_MESSAGE_MAX];
	} message;
	size_t length;
	int fds[FORK_FDS];
	char *strings[FORK_STRINGS_MAX + 2];
} request;

static void __attribute__((noreturn, format(printf, 1, 2)))
refuse(const char *format, ...)
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
		refuse("the C library has no %s", name);
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
	/* One too many is refused when it is ready: see prepare_to_serve. */
	if (self.handler_count < HANDLERS_MAX)
		self.handlers[self.handler_count] =
		    (struct handler){prepare, parent, child};
	self.handler_count++;
	return next(prepare, parent, child, object);
}

static void
call_prepare_handlers(void)
{
	for (size_t i = self.handler_count; i-- > 0;)
		if (self.handlers[i].prepare != NULL)
			self.handlers[i].prepare();
}

static void
call_parent_handlers(void)
{
	for (size_t i = 0; i < self.handler_count; i++)
		if (self.handlers[i].parent != NULL)
			self.handlers[i].parent();
}

static void
call_child_handlers(void)
{
	for (size_t i = 0; i < self.handler_count; i++)
		if (self.handlers[i].child != NULL)
			self.handlers[i].child();
}

/* Visits the numbered entries of a directory of /proc. */
static void
each_number(const char *path, void (*visit)(int number, void *arg), void *arg)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (directory == NULL)
		refuse("%s: %s", path, strerror(errno));
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.' &&
		    atoi(entry->d_name) != dirfd(directory))
			visit(atoi(entry->d_name), arg);
	closedir(directory);
}

static void
count_thread(int id, void *arg)
{
	(void)id;
	++*(unsigned *)arg;
}

/*
 * A worker must not share what was opened before the fork: a file it opens
 * again for itself, and anything else that has a state cannot be shared.
 */
static void
note_open_file(int fd, void *arg)
{
	struct open_file *f = &self.files[self.file_count];
	char path[64], name[256] = "";
	struct stat st;

	(void)arg;
	if (fd <= STDERR_FILENO ||
	    (fd >= self.socket && fd < self.socket + 3) || fstat(fd, &st) == -1)
		return;
	if (S_ISCHR(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) == -1)
		name[0] = '\0';
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		refuse("holds descriptor %d, %s, which requests would share",
		    fd, name);
	if (self.file_count == FILES_MAX)
		refuse("holds more than %d open files", FILES_MAX);
	f->fd = fd;
	f->flags = fcntl(fd, F_GETFL) &
	    (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_PATH);
	f->fd_flags = fcntl(fd, F_GETFD);
	f->offset = lseek(fd, 0, SEEK_CUR);
	self.file_count++;
}

/* In a worker.  What cannot be opened again is shared: it is only read. */
static void
reopen_files(void)
{
	char path[64];
	int fd;

	for (size_t i = 0; i < self.file_count; i++) {
		const struct open_file *f = &self.files[i];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
		if ((f->flags & O_PATH) != 0 ||
		    (fd = open(path, f->flags | O_NOCTTY | O_CLOEXEC)) == -1)
			continue;
		lseek(fd, f->offset, SEEK_SET);
		dup3(fd, f->fd, f->fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0);
		close(fd);
	}
}

static void
blank_variable(char *entry)
{
	memset(entry, 0, strlen(entry));
}

/* Takes `name` out of environ, and out of what /proc/self/environ shows. */
static char *
take_variable(const char *name, char *value, size_t size)
{
	size_t length = strlen(name), n = 0;

	value[0] = '\0';
	for (char **e = environ; *e != NULL; e++) {
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=') {
			snprintf(value, size, "%s", *e + length + 1);
			blank_variable(*e);
		} else {
			environ[n++] = *e;
		}
	}
	environ[n] = NULL;
	return value;
}

static void
learn_what_we_are(void)
{
	char text[64], preload[4096];
	char mode;
	int fd;
	unsigned spare;

	take_variable(FORK_VARIABLE, text, sizeof(text));
	if (sscanf(text, "%c %d %u", &mode, &fd, &spare) != 3)
		return;
	take_variable("LD_PRELOAD", preload, sizeof(preload));
	self.mode = (enum fork_mode)mode;
	self.socket = fd;
	self.spare = spare;
	for (int i = 0; i < 3; i++)
		fcntl(fd + i, F_SETFD, FD_CLOEXEC);
}

/*
 * The C library keeps the number of the thread, and its fork() has the kernel
 * change it; where it is, the kernel tells, as it clears it at the end.
 */
static void
find_thread_id(void)
{
	if (prctl(PR_GET_TID_ADDRESS, &self.thread_id) == -1 ||
	    self.thread_id == NULL || *self.thread_id != getpid())
		refuse("the kernel does not tell where the thread id is");
	syscall(
	    SYS_get_robust_list, 0, &self.robust_list, &self.robust_list_size);
}

static void
prepare_to_serve(void)
{
	const char hello = FORK_HELLO;
	unsigned threads = 0;
	int null;

	each_number("/proc/self/task", count_thread, &threads);
	if (threads != 1)
		refuse("has %u threads before its work begins", threads);
	if (self.handler_count > HANDLERS_MAX)
		refuse("has more than %d fork handlers", HANDLERS_MAX);
	each_number("/proc/self/fd", note_open_file, NULL);
	find_thread_id();
	self.slots = mmap(NULL, FORK_SLOTS * sizeof(struct fork_slot),
	    PROT_READ | PROT_WRITE, MAP_SHARED, self.socket + 1, 0);
	if (self.slots == MAP_FAILED)
		refuse("mmap: %s", strerror(errno));
	/* Workers that get their request later write into it. */
	if (self.spare == 0)
		madvise((void *)(uintptr_t)self.slots,
		    FORK_SLOTS * sizeof(struct fork_slot), MADV_DONTFORK);
	if (send(self.socket, &hello, 1, MSG_NOSIGNAL) != 1)
		_exit(0);
	/* Who waits for the end of our output is not kept waiting. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
}

static size_t
count_idle(void)
{
	size_t n = 0;

	for (size_t i = 0; i < FORK_SLOTS; i++)
		n += self.slots[i].pid != 0 && self.slots[i].request == 0;
	return n;
}

static volatile struct fork_slot *
find_free_slot(void)
{
	for (size_t i = 0; i < FORK_SLOTS; i++)
		if (self.slots[i].pid == 0)
			return &self.slots[i];
	return NULL;
}

/* As fork(), but the child is our parent's. */
static pid_t
fork_sibling(volatile struct fork_slot *slot)
{
	long flags = CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |
	    CLONE_CHILD_CLEARTID | SIGCHLD;
	pid_t pid;

	call_prepare_handlers();
#if defined(__s390__)
	pid = (pid_t)syscall(
	    SYS_clone, 0L, flags, &slot->pid, self.thread_id, 0L);
#elif defined(__x86_64__)
	pid = (pid_t)syscall(
	    SYS_clone, flags, 0L, &slot->pid, self.thread_id, 0L);
#else
	pid = (pid_t)syscall(
	    SYS_clone, flags, 0L, &slot->pid, 0L, self.thread_id);
#endif
	if (pid == 0) {
		syscall(SYS_set_robust_list, self.robust_list,
		    self.robust_list_size);
		call_child_handlers();
	} else {
		call_parent_handlers();
	}
	return pid;
}

/* Waits for the next request.  False if there is nobody who could send one. */
static bool
receive_request(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FORK_FDS * sizeof(int))];
	} control;
	struct iovec part = {
	    request.message.bytes, sizeof(request.message.bytes) - 1};
	struct msghdr m = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(self.socket, &m, 0);
	while (n == -1 && errno == EINTR);
	if (n <= 0)
		return false;
	request.length = (size_t)n;
	request.message.bytes[n] = '\0';
	c = CMSG_FIRSTHDR(&m);
	if ((size_t)n < sizeof(struct fork_run) || c == NULL ||
	    c->cmsg_len != CMSG_LEN(sizeof(request.fds)))
		return false; /* we have no more descriptors */
	memcpy(request.fds, CMSG_DATA(c), sizeof(request.fds));
	return true;
}

static void
close_range_of(int first, int last)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, last, 0) == 0)
		return;
#endif
	for (int fd = first; fd <= last; fd++)
		close(fd);
}

static void
close_request(void)
{
	int first = request.fds[0], last = request.fds[FORK_FDS - 1];

	if (last - first == FORK_FDS - 1) {
		close_range_of(first, last);
		return;
	}
	for (int i = 0; i < FORK_FDS; i++)
		close(request.fds[i]);
}

/* We cannot fork: the launcher gets it back, and we are of no more use. */
static void __attribute__((noreturn)) return_request(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FORK_FDS * sizeof(int))];
	} control;
	struct iovec part = {request.message.bytes, request.length};
	struct msghdr m = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memset(&control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(request.fds));
	memcpy(CMSG_DATA(c), request.fds, sizeof(request.fds));
	sendmsg(self.socket, &m, MSG_NOSIGNAL);
	_exit(FORK_EXIT_NO_FORK);
}

/* Leaves arguments and variables in request.strings; those after the former. */
static void
unpack_request(void)
{
	size_t argument_count = request.message.run.argument_count;
	size_t count = argument_count + request.message.run.variable_count;
	char *text = request.message.bytes + sizeof(struct fork_run);
	char *end = request.message.bytes + request.length;
	size_t at = 0;

	if (count > FORK_STRINGS_MAX)
		_exit(127);
	for (size_t i = 0; i < count && text < end; i++) {
		if (i == argument_count)
			request.strings[at++] = NULL;
		request.strings[at++] = text;
		text += strlen(text) + 1;
	}
	request.strings[at] = NULL;
	environ = request.strings + argument_count + 1;
	program_invocation_name = request.strings[0];
	text = strrchr(request.strings[0], '/');
	program_invocation_short_name =
	    text != NULL ? text + 1 : request.strings[0];
}

/* What ps shows: the arguments, as far as there is room. */
static void
show_arguments(void)
{
	const char *start = request.message.bytes + sizeof(struct fork_run);
	size_t length = (size_t)(environ[0] != NULL
		? environ[0] - start
		: request.message.bytes + request.length - start);

	if (self.title_size == 0)
		return;
	if (length > self.title_size - 1)
		length = self.title_size - 1;
	memcpy(self.title, start, length);
	memset(self.title + length, 0, self.title_size - length);
}

/* For a runner: what it is to do, and the variables, at our socket's number. */
static void
leave_block(void)
{
	const char *options = request.message.run.learns ? "learn" : "";
	char *start = environ[0] != NULL ? environ[0] : request.message.bytes;
	size_t length = environ[0] != NULL
	    ? (size_t)(request.message.bytes + request.length - start)
	    : 0;
	int fd = memfd_create("request", MFD_CLOEXEC);

	if (request.message.run.learns)
		dup3(self.socket, self.socket + 1, O_CLOEXEC);
	if (fd == -1 || pwrite(fd, options, strlen(options) + 1, 0) == -1 ||
	    pwrite(fd, start, length, (off_t)strlen(options) + 1) !=
		(ssize_t)length ||
	    dup3(fd, self.socket, O_CLOEXEC) == -1)
		_exit(127);
	close(fd);
}

/* From here on this process is the request's. */
static void
become_worker(void)
{
	int first = self.socket;

	if (setsid() == -1 || fchdir(request.fds[FORK_FDS - 1]) == -1)
		_exit(127);
	for (int i = 0; i < 3; i++)
		if (dup2(request.fds[i], i) == -1)
			_exit(127);
	close_request();
	unpack_request();
	if (self.mode == FORK_AT_FORK) {
		leave_block();
		first += request.message.run.learns ? 2 : 1;
	}
	close_range_of(first, self.socket + 2);
	reopen_files();
	show_arguments();
	if (limits_apply(&request.message.run.limits) == -1)
		_exit(127);
	self.socket = -1;
}

/* A worker that is ahead of its request. */
static void
wait_as_spare(volatile struct fork_slot *slot)
{
	const uint64_t one = 1;

	if (!receive_request())
		_exit(0);
	slot->request = request.message.run.request;
	if (write(self.socket + 2, &one, sizeof(one)) == -1)
		_exit(127);
	munmap((void *)(uintptr_t)self.slots,
	    FORK_SLOTS * sizeof(struct fork_slot));
	become_worker();
}

static bool
has_queued_request(void)
{
	char byte;

	return recv(self.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Waits until a spare worker has got a request, or the launcher is gone. */
static void
wait_for_bell(void)
{
	struct pollfd p[2] = {{.fd = self.socket + 2, .events = POLLIN},
	    {.fd = self.socket, .events = 0}};
	uint64_t rings;

	if (poll(p, 2, -1) > 0 && p[1].revents != 0) {
		if (!has_queued_request())
			_exit(0);
		poll(p, 1, -1);
	}
	while (read(self.socket + 2, &rings, sizeof(rings)) == -1 &&
	    errno == EINTR)
		continue;
}

/* Keeps spare workers.  Returns in each worker, with its request. */
static void
serve_with_spares(void)
{
	for (;;) {
		volatile struct fork_slot *slot = find_free_slot();
		pid_t pid;

		if (count_idle() >= self.spare || slot == NULL) {
			wait_for_bell();
			continue;
		}
		if ((pid = fork_sibling(slot)) == 0) {
			wait_as_spare(slot);
			return;
		}
		if (pid == -1)
			_exit(FORK_EXIT_NO_FORK);
	}
}

/* Forks for each request.  Returns in each worker, with its request. */
static void
serve_on_demand(void)
{
	for (;;) {
		volatile struct fork_slot *slot;
		pid_t pid;

		if (!receive_request())
			_exit(0);
		/* The launcher sends no more than there are slots. */
		if ((slot = find_free_slot()) == NULL)
			return_request();
		slot->request = request.message.run.request;
		if ((pid = fork_sibling(slot)) == 0) {
			become_worker();
			return;
		}
		if (pid == -1) {
			slot->request = 0;
			return_request();
		}
		close_request();
	}
}

static void
serve(void)
{
	prepare_to_serve();
	if (self.spare > 0)
		serve_with_spares();
	else
		serve_on_demand();
}

EXPORT pid_t fork(void);

EXPORT pid_t
fork(void)
{
	pid_t (*next)(void);
	const char *state;

	find_original("fork", &next);
	if (self.socket == -1 || self.mode != FORK_AT_FORK)
		return next();
	state = getenv(RUNNER_VARIABLE);
	if (state == NULL || strcmp(state, "ready") != 0)
		return next();
	serve();
	return 0;
}

static int
main_of_server(int argc, char **argv, char **envp)
{
	(void)envp;
	if (self.mode == FORK_AT_MAIN) {
		serve();
		argc = (int)request.message.run.argument_count;
		argv = request.strings;
	}
	return self.main(argc, argv, environ);
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
	learn_what_we_are();
	if (self.socket == -1)
		return next(main, argc, argv, init, fini, rtld_fini, stack_end);
	self.main = main;
	self.title = argv[0];
	self.title_size =
	    (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
	return next(
	    main_of_server, argc, argv, init, fini, rtld_fini, stack_end);
}
