/*
 * fork_process.c: the launcher's half of launcher/fork_protocol.
 *
 * A fork server runs what a script's owner wrote before any request, so nothing
 * that it says is trusted more than a script: a pid counts if it is a child of
 * ours, and a message if all of it is there.
 */
#include "launcher/fork_process.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define SLOTS_SIZE    (FORK_SLOTS * sizeof(struct fork_slot))
#define COMPLAINT_MAX 1200 /* of its end; what is put before it has room */
#define READS_AT_ONCE 16

/* The kernel's MAX_ARG_STRLEN. */
#define EXEC_STRING_PAGES 32

/* To begin what it has; microseconds. */
#define END_TIME 3000000

/*
 * Our descriptors in a fork server stand high, where a program has none; and
 * below 64, as for more the kernel gives each worker a table of its own.
 */
#define DESCRIPTORS	  3
#define DESCRIPTORS_FIRST 58

/* The number of the first; twice as many are needed while they move there. */
static int
choose_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 ||
	    limit.rlim_cur >= DESCRIPTORS_FIRST + 2 * DESCRIPTORS)
		return DESCRIPTORS_FIRST;
	return (int)limit.rlim_cur - 2 * DESCRIPTORS;
}

/* What we add to its environment, and its library takes away. */
#define OURS 4

static bool
has_variable(char *const *envp, const char *name)
{
	size_t length = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
			return true;
	return false;
}

/* The variables of `envp` and ours.  An array of strings, or NULL. */
static char **
make_environment(char *const *envp, struct buffer ours[OURS])
{
	size_t count = 0;
	char **all;

	while (envp[count] != NULL)
		count++;
	if ((all = calloc(count + OURS + 1, sizeof(*all))) == NULL)
		return NULL;
	memcpy(all, envp, count * sizeof(*all));
	for (int i = 0; i < OURS; i++)
		all[count++] = ours[i].data;
	return all;
}

static pid_t
start(struct fork_process *p, const struct start_command *command,
    const struct fork_options *options, const int stdio[3], int slots)
{
	const int extra[DESCRIPTORS] = {p->far_end, slots, p->bell};
	struct start_command server = *command;
	struct buffer ours[OURS] = {{0}};
	char **envp = NULL;
	pid_t pid = -1;
	int at_exec;

	server.stdio = stdio;
	server.extra = extra;
	server.extra_count = DESCRIPTORS;
	server.limits = NULL;
	server.extra_first = choose_descriptors();
	/* Bound now, it is not bound again by every worker. */
	if (buffer_printf(&ours[0], "LD_PRELOAD=%s", options->library) == 0 &&
	    buffer_printf(&ours[1], "LD_BIND_NOW=1") == 0 &&
	    buffer_printf(&ours[2], "%s=%c %d %u %u", FORK_VARIABLE,
		(char)options->mode, server.extra_first, options->spare,
		FORK_VERSION) == 0 &&
	    buffer_printf(
		&ours[3], "%s=%d", RUNNER_VARIABLE, server.extra_first) == 0 &&
	    (envp = make_environment(command->envp, ours)) != NULL) {
		server.envp = envp;
		pid = start_worker(&server, &at_exec);
	}
	free(envp);
	for (int i = 0; i < OURS; i++)
		buffer_fini(&ours[i]);
	return pid;
}

static int
open_channels(struct fork_process *p, int *slots, int stdio[3])
{
	int ends[2], out[2], err[2];
	void *memory;

	if (fd_message_pair(ends) == -1)
		return -1;
	p->socket = ends[0];
	p->far_end = ends[1];
	if ((p->bell = fd_bell()) == -1 ||
	    (*slots = fd_shared_memory(SLOTS_SIZE)) == -1)
		return -1;
	memory = mmap(
	    NULL, SLOTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *slots, 0);
	if (memory == MAP_FAILED)
		return -1;
	p->slots = memory;
	/* A byte: its library sees whether anybody has read it. */
	if ((stdio[0] = fd_shared_memory(1)) == -1 || fd_pipe(out) == -1)
		return -1;
	p->output = out[0];
	stdio[1] = out[1];
	if (fd_pipe(err) == -1)
		return -1;
	p->errors = err[0];
	stdio[2] = err[1];
	if (fd_set_nonblocking(p->output) == -1 ||
	    fd_set_nonblocking(p->errors) == -1)
		return -1;
	return 0;
}

struct fork_process *
fork_process_start(
    const struct start_command *command, const struct fork_options *options)
{
	struct fork_process *p = calloc(1, sizeof(*p));
	int slots = -1, stdio[3] = {-1, -1, -1};

	if (p == NULL)
		return NULL;
	p->pid = p->socket = p->far_end = p->bell = p->output = p->errors = -1;
	p->spare = p->slots_used = options->spare;
	p->started_at = clock_now();
	clock_gettime(CLOCK_REALTIME, &p->born);
	if (has_variable(command->envp, "LD_PRELOAD"))
		errno = EEXIST;
	else if (open_channels(p, &slots, stdio) == 0)
		p->pid = start(p, command, options, stdio, slots);
	fd_close(&slots);
	fd_close_all(stdio, 3);
	if (p->pid != -1)
		return p;
	fork_process_free(p);
	return NULL;
}

void
fork_process_retire(struct fork_process *p)
{
	if (p->state != FORK_RETIRED)
		p->end_by = clock_now() + END_TIME;
	p->state = FORK_RETIRED;
	fd_close(&p->socket);
	fd_close(&p->output);
	fd_close(&p->errors);
}

void
fork_process_free(struct fork_process *p)
{
	int error = errno;

	if (p->pid > 1)
		kill(p->pid, SIGKILL);
	fork_process_retire(p);
	fd_close(&p->far_end);
	fd_close(&p->bell);
	if (p->slots != NULL)
		munmap(p->slots, SLOTS_SIZE);
	buffer_fini(&p->complaint);
	watch_fini(&p->watched);
	free(p);
	errno = error;
}

static int
append_strings(struct buffer *out, char *const *strings, uint32_t *count)
{
	int result = 0;

	for (*count = 0; strings[*count] != NULL; ++*count)
		result |= buffer_append(
		    out, strings[*count], strlen(strings[*count]) + 1);
	return result;
}

static bool
has_longer(char *const *strings, size_t longest)
{
	while (*strings != NULL && strlen(*strings) < longest)
		strings++;
	return *strings != NULL;
}

/* What exec would refuse is left to it to tell; `size` is of all strings. */
static bool
exec_would_refuse(char *const *argv, char *const *envp, size_t size)
{
	size_t longest = EXEC_STRING_PAGES * (size_t)sysconf(_SC_PAGESIZE);

	return size > longest &&
	    (has_longer(argv, longest) || has_longer(envp, longest));
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

int
fork_process_send(struct fork_process *p, uint32_t id, bool learns,
    const struct start_command *command,
    const struct cgi_environment *environment)
{
	static struct buffer text; /* kept: its memory is used again */
	struct fork_run run = {.type = FORK_RUN,
	    .learns = learns,
	    .request = id,
	    .variable_count = (uint32_t)environment->count,
	    .limits = *command->limits};
	const int fds[FORK_FDS] = {command->stdio[0], command->stdio[1],
	    command->stdio[2], command->directory};
	const struct buffer *variables = &environment->text;
	struct iovec parts[3];
	size_t size;

	text.length = 0;
	strncpy(run.name, base_name(command->path), sizeof(run.name) - 1);
	if (append_strings(&text, command->argv, &run.argument_count) == -1)
		return -1;
	errno = EAGAIN;
	if (id == 0 || p->running >= FORK_SLOTS / 2)
		return -1;
	errno = E2BIG;
	size = sizeof(run) + text.length + variables->length;
	if (run.argument_count > FORK_ARGUMENTS_MAX ||
	    run.argument_count + environment->count > FORK_STRINGS_MAX ||
	    size >= FORK_MESSAGE_MAX ||
	    exec_would_refuse(command->argv, environment->envp, size))
		return -1;
	parts[0] = (struct iovec){&run, sizeof(run)};
	parts[1] = (struct iovec){text.data, text.length};
	parts[2] = (struct iovec){variables->data, variables->length};
	if (fd_send_message(p->socket, parts, 3, fds, FORK_FDS, false) == -1)
		return -1;
	p->requests++;
	p->running++;
	/* It takes the lowest that is free. */
	if (p->running + p->spare > p->slots_used)
		p->slots_used = p->running + p->spare;
	return 0;
}

static bool
is_child(pid_t pid)
{
	siginfo_t info;

	return pid > 1 &&
	    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

pid_t
fork_process_find(const struct fork_process *p, uint32_t id)
{
	for (size_t i = 0; i < p->slots_used; i++) {
		const volatile struct fork_slot *slot = &p->slots[i];
		pid_t pid = slot->pid;

		if (slot->request == id && pid > 1)
			return is_child(pid) ? pid : 0;
	}
	return 0;
}

static volatile struct fork_slot *
slot_of(const struct fork_process *p, pid_t pid)
{
	for (size_t i = 0; i < p->slots_used; i++)
		if (p->slots[i].pid == pid)
			return &p->slots[i];
	return NULL;
}

bool
fork_process_has(const struct fork_process *p, pid_t pid)
{
	return slot_of(p, pid) != NULL;
}

bool
fork_process_has_spare(const struct fork_process *p)
{
	for (size_t i = 0; i < p->slots_used; i++)
		if (p->slots[i].request == 0 && is_child(p->slots[i].pid))
			return true;
	return false;
}

void
fork_process_done(struct fork_process *p)
{
	if (p->running > 0)
		p->running--;
}

/* Wakes a fork server that may have to make a spare worker. */
static void
ring(const struct fork_process *p)
{
	const uint64_t one = 1;
	ssize_t n = write(p->bell, &one, sizeof(one));

	(void)n; /* -1: it has not heard the last yet */
}

bool
fork_process_reaped(struct fork_process *p, pid_t pid, int status, uint32_t *id)
{
	volatile struct fork_slot *slot = slot_of(p, pid);

	if (slot == NULL)
		return false;
	*id = slot->request;
	/* `request` stays: without it this would look like a spare worker. */
	__atomic_store_n(&slot->pid, 0, __ATOMIC_RELEASE);
	if (*id != 0)
		fork_process_done(p);
	/* A spare worker is gone, and may have had no time to ring itself. */
	if (*id == 0 || WIFSIGNALED(status))
		ring(p);
	return true;
}

/* Takes the strings of a RUN apart; false if they are not all there. */
static bool
unpack(struct fork_received *r, char *text, const char *end, size_t arguments,
    size_t variables)
{
	static char *strings[FORK_STRINGS_MAX + 2];
	size_t at = 0;

	if (arguments > FORK_STRINGS_MAX || arguments == 0 ||
	    variables > FORK_STRINGS_MAX - arguments || end[-1] != '\0')
		return false;
	for (size_t i = 0; i < arguments + variables; i++) {
		if (i == arguments)
			strings[at++] = NULL;
		if (text == end)
			return false;
		strings[at++] = text;
		text += strlen(text) + 1;
	}
	if (variables == 0)
		strings[at++] = NULL;
	strings[at] = NULL;
	r->command.argv = strings;
	r->command.envp = strings + arguments + 1;
	return text == end;
}

static bool
decode(char *bytes, size_t length, size_t fd_count, struct fork_received *r)
{
	struct fork_run run;

	r->type = (enum fork_message)bytes[0];
	r->data = bytes + 1;
	r->length = length - 1;
	if (r->type != FORK_RUN && fd_count != 0)
		return false;
	if (r->type == FORK_HELLO)
		return length == 1;
	if (r->type == FORK_FILES || r->type == FORK_LEARNED)
		return length == 1 || bytes[length - 1] == '\0';
	if (r->type != FORK_RUN || fd_count != FORK_FDS ||
	    length <= sizeof(run))
		return false;
	memcpy(&run, bytes, sizeof(run));
	r->id = run.request;
	r->command.stdio = r->fds;
	r->command.directory = r->fds[FORK_FDS - 1];
	return unpack(r, bytes + sizeof(run), bytes + length,
	    run.argument_count, run.variable_count);
}

static int
take(int socket, struct fork_received *r)
{
	static char buffer[FORK_MESSAGE_MAX];
	int fds[FD_PASS_MAX];
	size_t fd_count;
	ssize_t n;

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < FORK_FDS; i++)
		r->fds[i] = -1;
	if (socket == -1)
		return 0;
	/* A reset tells of the other end, not of what is still here. */
	do
		n = fd_receive_message(
		    socket, buffer, sizeof(buffer), fds, &fd_count);
	while (n == -1 && errno == ECONNRESET);
	if (n == -1)
		return errno == EMSGSIZE ? -1 : 0;
	if (n == 0)
		return -1;
	if (fd_count == FORK_FDS)
		memcpy(r->fds, fds, sizeof(r->fds));
	else
		fd_close_all(fds, fd_count);
	if (decode(buffer, (size_t)n, fd_count, r))
		return 1;
	fd_close_all(r->fds, FORK_FDS);
	return -1;
}

int
fork_process_receive(struct fork_process *p, struct fork_received *r)
{
	return take(p->socket, r);
}

int
fork_process_take_back(struct fork_process *p, struct fork_received *r)
{
	int result = take(p->far_end, r);

	/* We send none that is empty: it is the end, or spoilt. */
	return result == -1 ? 0 : result;
}

/* Keeps the end of it, which says most. */
static void
keep_complaint(struct buffer *complaint, const char *text, size_t length)
{
	buffer_append(complaint, text, length);
	if (complaint->length > COMPLAINT_MAX)
		buffer_consume(complaint, complaint->length - COMPLAINT_MAX);
}

bool
fork_process_read(struct fork_process *p)
{
	char text[COMPLAINT_MAX];
	bool has_printed = false;
	ssize_t n;

	/* Some, as it may never end. */
	for (int i = 0; i < READS_AT_ONCE && p->errors != -1; i++) {
		if ((n = read(p->errors, text, sizeof(text))) == -1)
			break;
		if (n == 0)
			fd_close(&p->errors);
		else
			keep_complaint(&p->complaint, text, (size_t)n);
	}
	if (p->output != -1 && (n = read(p->output, text, 1)) != -1) {
		has_printed = n > 0;
		fd_close(&p->output);
	}
	return has_printed;
}

const char *
fork_process_complaint(struct fork_process *p)
{
	struct buffer *said = &p->complaint;

	while (said->length > 0 &&
	    (said->data[said->length - 1] == '\n' ||
		said->data[said->length - 1] == '\0'))
		said->length--;
	return buffer_append(said, "", 1) == 0 ? said->data : "";
}
