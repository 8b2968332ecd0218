/*
 * fd.c: descriptors, and what systems disagree on about them.  Invariant:
 * nothing here is ever open without close-on-exec.
 */
#include "base/fd.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system.h"

#ifdef HAVE_EVENTFD
#include <sys/eventfd.h>
#endif
#if defined(__FreeBSD__)
#include <sys/sysctl.h>
#endif

/* Room for the largest environment and the bookkeeping of the kernel. */
#define MESSAGE_BUFFER (512 * 1024)

/* How long to wait when the kernel has no memory for a message. */
#define SHORT_OF_MEMORY_MS 5

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1) {
		close(*fd);
		*fd = -1;
	}
	errno = saved;
}

int
fd_open_standard(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR)) == -1)
			return -1;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

int
fd_set_null(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), n;

	if (null == -1)
		return -1;
	n = dup2(null, fd);
	close(null);
	return n == -1 ? -1 : 0;
}

/* Where the system cannot close a range (Linux before 5.9). */
#define SPAN_WITHOUT_RANGE 1024

static bool
has_closed(int first, int last)
{
#ifdef HAVE_CLOSE_RANGE
	return close_range((unsigned)first, (unsigned)last, 0) == 0;
#else
	(void)first;
	(void)last;
	return false;
#endif
}

static void
close_span(int first, int last)
{
	if (first > last || has_closed(first, last))
		return;
	/* What is open beyond that is ours, and close-on-exec. */
	if (last > SPAN_WITHOUT_RANGE)
		last = SPAN_WITHOUT_RANGE;
	for (int fd = first; fd <= last; fd++)
		close(fd);
}

static int
compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

void
fd_close_others(int *keep, size_t count)
{
	int next = STDERR_FILENO + 1;

	if (count > 0)
		qsort(keep, count, sizeof(*keep), compare_ints);
	for (size_t i = 0; i < count; i++) {
		if (keep[i] < next)
			continue;
		close_span(next, keep[i] - 1);
		next = keep[i] + 1;
	}
	close_span(next, 0x7fffffff);
}

void
fd_close_all(int *fds, size_t count)
{
	int error = errno;
	size_t first = 0;

	for (size_t i = 0; i < count; i++) {
		if (fds[i] != -1 && i + 1 < count && fds[i + 1] == fds[i] + 1)
			continue;
		if (fds[i] != -1 && !has_closed(fds[first], fds[i]))
			for (size_t k = first; k <= i; k++)
				close(fds[k]);
		first = i + 1;
	}
	memset(fds, -1, count * sizeof(*fds));
	errno = error;
}

int
fd_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC);
}

void
fd_enlarge_pipe(int pipe)
{
#ifdef F_SETPIPE_SZ
	fcntl(pipe, F_SETPIPE_SZ, FD_PIPE_LARGE);
#else
	(void)pipe;
#endif
}

ssize_t
fd_splice(int pipe, int socket, size_t length)
{
#ifdef HAVE_SPLICE
	ssize_t n;

	do {
		n = splice(pipe, NULL, socket, NULL, length, SPLICE_F_NONBLOCK);
	} while (n == -1 && errno == EINTR);
	return n;
#else
	(void)pipe;
	(void)socket;
	(void)length;
	errno = EINVAL;
	return -1;
#endif
}

int
fd_message_pair(int ends[2])
{
	const int size = MESSAGE_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		return -1;
	for (int i = 0; i < 2; i++) {
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(ends[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	return 0;
}

int
fd_set_nonblocking(int fd)
{
	/* Of the flags that can be set, what is made here has no other. */
	return fcntl(fd, F_SETFL, O_NONBLOCK);
}

int
fd_accept(int listener)
{
#ifdef HAVE_ACCEPT4
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
	int fd = accept(listener, NULL, NULL);

	if (fd != -1 &&
	    (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
		fd_set_nonblocking(fd) == -1))
		fd_close(&fd);
	return fd;
#endif
}

int
fd_memory_file(void)
{
#ifdef HAVE_MEMFD_CREATE
	return memfd_create("scgid-body", MFD_CLOEXEC);
#else
	errno = ENOSYS;
	return -1;
#endif
}

int
fd_bell(void)
{
#ifdef HAVE_EVENTFD
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
#else
	errno = ENOSYS;
	return -1;
#endif
}

int
fd_shared_memory(size_t size)
{
#if defined(HAVE_MEMFD_CREATE) && defined(F_ADD_SEALS)
	int fd = memfd_create("scgid-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return -1;
	if (fchmod(fd, 0600) == -1 || ftruncate(fd, (off_t)size) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		-1)
		fd_close(&fd);
	return fd;
#else
	(void)size;
	errno = ENOSYS;
	return -1;
#endif
}

static int
temporary_by_name(const char *directory)
{
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/scgid.XXXXXXXX",
		directory) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
		unlink(path);
	return fd;
}

int
fd_temporary_file(const char *directory)
{
	int fd = -1;

#ifdef HAVE_O_TMPFILE
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1 && errno != EOPNOTSUPP && errno != EISDIR &&
	    errno != EINVAL && errno != ENOENT)
		return -1;
#endif
	if (fd == -1)
		fd = temporary_by_name(directory);
	/* The script, another user, may open /dev/stdin. */
	if (fd != -1 && fchmod(fd, 0444) == -1)
		fd_close(&fd);
	return fd;
}

int
fd_send_message(int socket, const struct iovec *parts, int part_count,
    const int *fds, size_t fd_count, bool wait)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
	} control;
	struct msghdr message;
	struct iovec vector[4];
	ssize_t n;

	assert(part_count <= 4 && fd_count <= FD_PASS_MAX);
	memset(&message, 0, sizeof(message));
	memcpy(vector, parts, (size_t)part_count * sizeof(*parts));
	message.msg_iov = vector;
	/* A size_t here, an int there. */
	message.msg_iovlen = (unsigned short)part_count;
	if (fd_count > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		message.msg_control = control.space;
		message.msg_controllen =
		    (socklen_t)CMSG_SPACE(fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = (socklen_t)CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	for (;;) {
		n = sendmsg(
		    socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
		if (n != -1)
			return 0;
		if (errno == EAGAIN && wait) {
			struct pollfd p = {.fd = socket, .events = POLLOUT};

			poll(&p, 1, -1);
		} else if ((errno == ENOMEM || errno == ENOBUFS) && wait) {
			poll(NULL, 0, SHORT_OF_MEMORY_MS);
		} else if (errno != EINTR) {
			return -1;
		}
	}
}

static void
collect_descriptors(
    struct msghdr *message, int fds[FD_PASS_MAX], size_t *fd_count)
{
	struct cmsghdr *c;

	*fd_count = 0;
	for (c = CMSG_FIRSTHDR(message); c != NULL;
	     c = CMSG_NXTHDR(message, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*fd_count < FD_PASS_MAX)
				fds[(*fd_count)++] = fd;
			else
				close(fd);
		}
	}
}

ssize_t
fd_receive_message(
    int socket, void *data, size_t size, int fds[FD_PASS_MAX], size_t *fd_count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
	} control;
	struct iovec vector = {.iov_base = data, .iov_len = size};
	struct msghdr message;
	ssize_t n;

	memset(&message, 0, sizeof(message));
	message.msg_iov = &vector;
	message.msg_iovlen = 1;
	message.msg_control = control.space;
	message.msg_controllen = sizeof(control.space);
	do {
		n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	*fd_count = 0;
	if (n == -1) {
		if (errno == ENOMEM || errno == ENOBUFS)
			errno = EAGAIN; /* the message is still there */
		return -1;
	}
	collect_descriptors(&message, fds, fd_count);
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		while (*fd_count > 0)
			close(fds[--*fd_count]);
	}
	if ((message.msg_flags & MSG_TRUNC) != 0) {
		errno = EMSGSIZE;
		return -1;
	}
	return n;
}

int
fd_write_all(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length > 0) {
		ssize_t n = write(fd, p, length);

		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0) {
			p += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

int
fd_count_unsent(int socket)
{
	int count = 0;

#if defined(FIONWRITE)
	if (ioctl(socket, FIONWRITE, &count) == -1)
#else
	if (ioctl(socket, TIOCOUTQ, &count) == -1)
#endif
		return -1;
	return count;
}

bool
fd_unix_has_reset(void)
{
	char byte = 0;
	bool has_reset;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return true; /* who knows */
	has_reset = write(ends[0], &byte, 1) == 1;
	fd_close(&ends[1]);
	has_reset = has_reset && read(ends[0], &byte, 1) == -1;
	fd_close(&ends[0]);
	return has_reset;
}

int
fd_peer_user(int socket, uid_t *user)
{
#if defined(SO_PEERCRED) && defined(__linux__)
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == -1)
		return -1;
	*user = peer.uid;
	return 0;
#else
	gid_t group;

	return getpeereid(socket, user, &group);
#endif
}

int
fd_listen_limit(void)
{
#if defined(__linux__)
	FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
	int limit = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%d", &limit) != 1)
		limit = 0;
	fclose(file);
	return limit;
#elif defined(__FreeBSD__)
	int limit = 0;
	size_t size = sizeof(limit);

	if (sysctlbyname("kern.ipc.soacceptqueue", &limit, &size, NULL, 0) ==
	    -1)
		return 0;
	return limit;
#else
	return 0;
#endif
}
