/*
 * serve.c: from a request to a worker.
 *
 * A worker is made with clone(CLONE_PARENT), so that it is a child of the
 * launcher, which then reaps and signals it like any other.
 *
 * Invariant: what a worker can see is what a new process would see.  It has
 * none of our descriptors, variables, handlers or mappings that it could
 * mistake for its own, and shares no file offset with another worker.
 */
#include "forkserver/preload.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forkserver/call.h"

#define SLOTS_SIZE (FORK_SLOTS * sizeof(struct fork_slot))

extern char **environ;

/* Arguments and variables are found before and behind this place. */
#define VARIABLES_AT (FORK_ARGUMENTS_MAX + 1)

/* Those of a request that is not large stand in the page of its message. */
#define FEW    220
#define FEW_AT 16

/*
 * The request that is being started.  All of it that can be done before the
 * fork is done there: a page that only the fork server writes to is not copied
 * for the worker.  And it is written anew in as few pages as can be, as each of
 * them is one that the last worker has, too.  In memory of its own, as for
 * /proc the kernel reads strings only where no file is.
 */
static struct {
	struct prctl_mm_map map;
	size_t length;
	int fds[FORK_FDS];
	char **arguments; /* in few or in many */
	char **variables; /* the same */
	char *few[FEW];
	union {
		struct fork_run run;
		char bytes[FORK_MESSAGE_MAX];
	} message;
	char *many[VARIABLES_AT + FORK_STRINGS_MAX + 2 + PRELOAD_AUXILIARY_MAX];
	struct preload_object objects[PRELOAD_OBJECTS_MAX];
	struct preload_text texts[PRELOAD_TEXTS_MAX];
} * request;

static void
call_prepare_handlers(void)
{
	for (size_t i = preload.handler_count; i-- > 0;)
		if (preload.handlers[i].prepare != NULL)
			preload.handlers[i].prepare();
}

static void
call_parent_handlers(void)
{
	for (size_t i = 0; i < preload.handler_count; i++)
		if (preload.handlers[i].parent != NULL)
			preload.handlers[i].parent();
}

static void
call_child_handlers(void)
{
	for (size_t i = 0; i < preload.handler_count; i++)
		if (preload.handlers[i].child != NULL)
			preload.handlers[i].child();
}

static size_t
count_idle(void)
{
	size_t n = 0;

	for (size_t i = 0; i < FORK_SLOTS; i++)
		n += preload.slots[i].pid != 0 && preload.slots[i].request == 0;
	return n;
}

static volatile struct fork_slot *
find_free_slot(void)
{
	for (size_t i = 0; i < FORK_SLOTS; i++)
		if (__atomic_load_n(&preload.slots[i].pid, __ATOMIC_ACQUIRE) ==
		    0)
			return &preload.slots[i];
	return NULL;
}

/* As fork(), but the child is our parent's. */
static pid_t
fork_sibling(volatile struct fork_slot *slot)
{
	long flags = CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |
	    CLONE_CHILD_CLEARTID | SIGCHLD;
	pid_t pid;

	preload_map_pages();
	call_prepare_handlers();
	/* Machines differ in which of the last two it is; TLS is not set. */
#if defined(__s390__)
	pid = (pid_t)call(SYS_clone, 0, flags, POINTER(&slot->pid),
	    POINTER(preload.thread_id), POINTER(preload.thread_id));
#else
	pid = (pid_t)call(SYS_clone, flags, 0, POINTER(&slot->pid),
	    POINTER(preload.thread_id), POINTER(preload.thread_id));
#endif
	if (pid == 0) {
		call(SYS_set_robust_list, POINTER(preload.robust_list),
		    (long)preload.robust_list_size, 0, 0, 0);
		call_child_handlers();
	} else {
		call_parent_handlers();
	}
	return pid >= 0 ? pid : -1;
}

/*
 * Waits for the next request.  With MSG_PEEK it stays where it is, too.  False
 * if there is nobody who could send one.
 */
static bool
receive_request(int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FORK_FDS * sizeof(int))];
	} control;
	struct iovec part = {request->message.bytes, FORK_MESSAGE_MAX - 1};
	struct msghdr m = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n;

	/* A reset tells of the launcher's end, not of what is still here. */
	while ((n = recvmsg(preload.socket, &m, flags)) == -1 &&
	    (errno == EINTR || errno == ECONNRESET))
		errno = 0;
	if (n <= 0)
		return false;
	request->length = (size_t)n;
	request->message.bytes[n] = '\0';
	c = CMSG_FIRSTHDR(&m);
	if ((size_t)n < sizeof(struct fork_run) || c == NULL ||
	    c->cmsg_len != CMSG_LEN(sizeof(request->fds)))
		return false; /* we have no more descriptors */
	memcpy(request->fds, CMSG_DATA(c), sizeof(request->fds));
	return true;
}

/* What was peeked at; without its descriptors. */
static void
take_request(void)
{
	char byte;

	while (recv(preload.socket, &byte, 1, 0) == -1 &&
	    (errno == EINTR || errno == ECONNRESET))
		errno = 0;
}

static void
close_range_of(int first, int last)
{
#ifdef SYS_close_range
	if (call(SYS_close_range, first, last, 0, 0, 0) == 0)
		return;
#endif
	for (int fd = first; fd <= last; fd++)
		close(fd);
}

static void
close_request(void)
{
	int first = request->fds[0], last = request->fds[FORK_FDS - 1];

	if (last - first == FORK_FDS - 1) {
		close_range_of(first, last);
		return;
	}
	for (int i = 0; i < FORK_FDS; i++)
		close(request->fds[i]);
}

/* Names change seldom, and are not written if they have not. */
static void
set_names(const char *name, const char *process)
{
	static char *copy, known[sizeof(request->message.run.name)];
	char *slash;

	if (strncmp(known, process, sizeof(known)) != 0) {
		memcpy(known, process, sizeof(known));
		prctl(PR_SET_NAME, known);
	}
	if (strcmp(program_invocation_name, name) == 0)
		return;
	free(copy);
	if ((copy = strdup(name)) == NULL)
		_exit(FORK_EXIT_NO_FORK);
	slash = strrchr(copy, '/');
	program_invocation_name = copy;
	program_invocation_short_name = slash != NULL ? slash + 1 : copy;
}

/* Where the variables go, which arguments come before. */
static char **
place_for(size_t arguments, size_t variables)
{
	size_t behind = variables + 2 + preload.auxiliary_size / sizeof(char *);

	return arguments < FEW_AT && FEW_AT + behind <= FEW
	    ? request->few + FEW_AT
	    : request->many + VARIABLES_AT;
}

/*
 * Finds arguments and variables and puts them as the kernel does: behind the
 * variables stands the auxiliary vector, where some look for it.  False if the
 * request is not whole.
 */
static bool
unpack_request(void)
{
	size_t argument_count = request->message.run.argument_count;
	size_t variable_count = request->message.run.variable_count;
	char *text = request->message.bytes + sizeof(struct fork_run);
	char *end = request->message.bytes + request->length;
	char **at;

	if (argument_count == 0 || argument_count > FORK_ARGUMENTS_MAX ||
	    variable_count > FORK_STRINGS_MAX || end[-1] != '\0')
		return false;
	request->variables = place_for(argument_count, variable_count);
	at = request->arguments = request->variables - argument_count - 1;
	for (size_t i = 0; i < argument_count + variable_count; i++) {
		if (i == argument_count)
			*at++ = NULL;
		if (text == end)
			return false;
		*at++ = text;
		text += strlen(text) + 1;
	}
	if (variable_count == 0)
		*at++ = NULL;
	*at++ = NULL;
	memcpy(at, preload.auxiliary, preload.auxiliary_size);
	if (preload.block == NULL && environ != request->variables)
		environ = request->variables;
	set_names(request->arguments[0], request->message.run.name);
	preload_describe(&request->map, request->arguments[0],
	    variable_count > 0 ? request->variables[0] : end, end);
	return true;
}

/* From here on this process is the request's. */
static void
become_worker(void)
{
	int first = preload.socket;

	if (call(SYS_setsid, 0, 0, 0, 0, 0) < 0 ||
	    call(SYS_fchdir, request->fds[FORK_FDS - 1], 0, 0, 0, 0) < 0)
		_exit(127);
	for (int i = 0; i < 3; i++)
		if (call(SYS_dup3, request->fds[i], i, 0, 0, 0) < 0)
			_exit(127);
	close_request();
	if (preload.mode == FORK_AT_FORK)
		first += preload_leave_variables(request->message.run.learns,
		    request->variables,
		    request->message.bytes + request->length);
	close_range_of(first, preload.socket + 2);
	preload_reopen();
	preload_show(&request->map);
	if (limits_apply(&request->message.run.limits) == -1)
		_exit(127);
	/* Only a runner's fork() asks again; a page less is written to. */
	if (preload.mode == FORK_AT_FORK)
		preload.socket = -1;
	/* Where nothing can have set it, to look is a page more. */
	if (preload.mode == FORK_AT_FORK || preload.spare > 0 ||
	    preload.file_count > 0 || preload.handler_count > 0)
		errno = 0;
}

static bool
peek(int flags)
{
	char byte;
	ssize_t n;

	while ((n = recv(preload.socket, &byte, 1, MSG_PEEK | flags)) == -1 &&
	    (errno == EINTR || errno == ECONNRESET))
		errno = 0;
	return n > 0;
}

/* Tells whose worker this is, and the fork server that it is one less. */
static void
claim(volatile struct fork_slot *slot)
{
	const uint64_t one = 1;

	slot->request = request->message.run.request;
	if (write(preload.socket + 2, &one, sizeof(one)) == -1)
		_exit(127);
}

/*
 * A worker that is ahead of its request.  It waits without taking: a process
 * that is killed while it waits may still take, and only then end.  What it has
 * taken it claims before all else: the launcher could not tell otherwise that
 * it is gone with us.
 */
static void
wait_as_spare(volatile struct fork_slot *slot)
{
	bool is_whole;

	do {
		if (!peek(0))
			_exit(0);
		errno = 0;
		is_whole = receive_request(MSG_DONTWAIT);
	} while (!is_whole && errno == EAGAIN);
	if (request->length == 0)
		_exit(0);
	claim(slot);
	if (!is_whole || !unpack_request()) {
		/* No room, which others have no more of: the end of us all. */
		shutdown(preload.socket, SHUT_RDWR);
		_exit(127);
	}
	munmap((void *)(uintptr_t)preload.slots, SLOTS_SIZE);
	become_worker();
}

/* Waits until a spare worker has got a request, or the launcher is gone. */
static void
wait_for_bell(void)
{
	struct pollfd p[2] = {{.fd = preload.socket + 2, .events = POLLIN},
	    {.fd = preload.socket, .events = 0}};
	uint64_t rings;

	if (poll(p, 2, -1) > 0 && p[1].revents != 0) {
		if (!peek(MSG_DONTWAIT))
			_exit(0);
		poll(p, 1, -1);
	}
	while (read(preload.socket + 2, &rings, sizeof(rings)) == -1 &&
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

		if (count_idle() >= preload.spare || slot == NULL) {
			wait_for_bell();
			continue;
		}
		slot->request = 0;
		if ((pid = fork_sibling(slot)) == 0) {
			wait_as_spare(slot);
			return;
		}
		if (pid == -1)
			_exit(FORK_EXIT_NO_FORK);
	}
}

/*
 * Forks for each request.  Returns in each worker, with its request.
 *
 * A request leaves the socket when it has its worker: whatever ends us before,
 * the launcher, which has our end of it too, finds it there and serves it.
 */
static void
serve_on_demand(void)
{
	for (;;) {
		volatile struct fork_slot *slot;
		pid_t pid;

		if (!receive_request(MSG_PEEK))
			_exit(0);
		/* The launcher sends no more than there are slots. */
		if (!unpack_request() || (slot = find_free_slot()) == NULL)
			_exit(FORK_EXIT_NO_FORK);
		slot->request = request->message.run.request;
		if ((pid = fork_sibling(slot)) == 0) {
			become_worker();
			return;
		}
		if (pid == -1)
			_exit(FORK_EXIT_NO_FORK);
		take_request();
		close_request();
		/* The next may be shorter, and would see the rest of this. */
		memset(request->message.bytes, 0, request->length);
	}
}

static int
add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	size_t *length = arg, needed = strlen(info->dlpi_name) + 1;

	(void)size;
	if (info->dlpi_name[0] != '/')
		return 0;
	if (*length + needed > sizeof(request->message.bytes))
		preload_refuse("it has too many libraries");
	memcpy(request->message.bytes + *length, info->dlpi_name, needed);
	*length += needed;
	return 0;
}

/* The libraries that are loaded: a new version of one is to be used at once. */
static void
tell_objects(void)
{
	size_t length = 1;

	request->message.bytes[0] = FORK_FILES;
	dl_iterate_phdr(add_object, &length);
	send(preload.socket, request->message.bytes, length, MSG_NOSIGNAL);
	memset(request->message.bytes, 0, length);
}

/* What ps shows until there is a request; a runner's arguments tell enough. */
static void
show_server(void)
{
	static const char what[] = "fork server: ";
	size_t length = strlen(what), size = preload.title_size;

	if (preload.mode != FORK_AT_MAIN ||
	    length + strlen(preload.title) >= size)
		return;
	memmove(preload.title + length, preload.title, size - length);
	memcpy(preload.title, what, length);
	length += strlen(preload.title + length);
	memset(preload.title + length, 0, size - length);
}

static void
prepare(void)
{
	const char hello = FORK_HELLO;
	int null;

	preload.slots = mmap(NULL, SLOTS_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED, preload.socket + 1, 0);
	if (preload.slots == MAP_FAILED)
		preload_refuse("mmap: %s", strerror(errno));
	/* Workers that get their request later write into it. */
	if (preload.spare == 0)
		madvise((void *)(uintptr_t)preload.slots, SLOTS_SIZE,
		    MADV_DONTFORK);
	tell_objects();
	show_server();
	if (send(preload.socket, &hello, 1, MSG_NOSIGNAL) != 1)
		_exit(0);
	/*
	 * Who waits for the end of our output is not kept waiting; and a
	 * constructor may have closed these, which are to be no request's.
	 */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

char **
preload_serve(int *argc)
{
	request = mmap(NULL, sizeof(*request), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (request == MAP_FAILED)
		preload_refuse("mmap: %s", strerror(errno));
	preload_check();
	preload_note_image(&request->map);
	preload_note_objects(request->objects);
	prepare();
	/* Python has a heap of its own. */
	if (preload.block != NULL)
		preload_fill_heap();
	preload_learn_pages(request->texts);
	errno = 0;
	if (preload.spare > 0)
		serve_with_spares();
	else
		serve_on_demand();
	*argc = (int)request->message.run.argument_count;
	return request->arguments;
}
