/*
 * fd: descriptors.  Everything made here is close-on-exec from the start.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <stdbool.h>
#include <stddef.h>

/* fd_close: close `*fd` if it is open and set it to -1.  Keeps errno. */
void fd_close(int *fd);

/* fd_open_standard: open /dev/null on those of 0-2 that are closed. */
int fd_open_standard(void);

/* fd_set_null: make `fd` be /dev/null.  0, or -1. */
int fd_set_null(int fd);

/*
 * fd_close_others: close every descriptor above 2 that is not one of the
 * `count` in `keep`, which is sorted in place.
 */
void fd_close_others(int *keep, size_t count);

/*
 * fd_close_all: as fd_close, `count` of them.  Neighbours cost one call
 * together.
 */
void fd_close_all(int *fds, size_t count);

/* fd_pipe: ends[0] reads, ends[1] writes; both block.  0, or -1 and errno. */
int fd_pipe(int ends[2]);

/* What a pipe holds after fd_enlarge_pipe. */
#define FD_PIPE_LARGE (256 * 1024)

/* fd_enlarge_pipe: let a pipe hold more, if the system lets us. */
void fd_enlarge_pipe(int pipe);

/*
 * fd_splice: move up to `length` bytes from a pipe to a socket that does not
 * block, without copying them.  Never waits.  Returns how many, 0 at the end
 * of the pipe, or -1 and errno: EAGAIN if the socket takes nothing now or the
 * pipe is empty, EINVAL if it cannot be done with these, or on this system.
 */
ssize_t fd_splice(int pipe, int socket, size_t length);

/*
 * fd_message_pair: two connected sockets that keep message boundaries
 * (SOCK_SEQPACKET), with room for messages of at least 384 KiB.
 * 0, or -1 and errno.
 */
int fd_message_pair(int ends[2]);

/* fd_set_nonblocking: for a descriptor that has no other status flag. */
int fd_set_nonblocking(int fd);

/* fd_accept: accept4 with SOCK_NONBLOCK and SOCK_CLOEXEC. */
int fd_accept(int listener);

/*
 * fd_memory_file: an empty unnamed file that lives in memory and that any
 * user may open again through /proc.  -1 and errno (ENOSYS where the system
 * has none; use fd_temporary_file then).
 */
int fd_memory_file(void);

/*
 * fd_shared_memory: `size` bytes of zeroes for processes that inherit the
 * descriptor and map it; none of them can change its size.  -1 and errno
 * (ENOSYS where the system has none).
 */
int fd_shared_memory(size_t size);

/* fd_bell: an eventfd(2).  -1 and errno (ENOSYS where there is none). */
int fd_bell(void);

/*
 * fd_temporary_file: an empty file in `directory` without a name, that any
 * user may open again for reading through /proc.  -1 and errno.
 */
int fd_temporary_file(const char *directory);

/* The most descriptors one message carries. */
#define FD_PASS_MAX 4

/*
 * fd_send_message: send `parts` as one message with the `fd_count` descriptors
 * of `fds`, which stay the caller's.  Returns 0, or -1 with errno set; EAGAIN
 * if it would block and `wait` is false.
 */
int fd_send_message(int socket, const struct iovec *parts, int part_count,
    const int *fds, size_t fd_count, bool wait);

/*
 * fd_receive_message: receive one message of at most `size` bytes and at most
 * FD_PASS_MAX descriptors, which become the caller's.  Never blocks.
 *
 * Returns its length, 0 at the end of the connection, -1 with errno set:
 * EAGAIN if there is none, EMSGSIZE if it did not fit, in which case its
 * descriptors have been closed.  If this process can have no more descriptors
 * the message arrives without any.
 */
ssize_t fd_receive_message(int socket, void *data, size_t size,
    int fds[FD_PASS_MAX], size_t *fd_count);

/* fd_write_all: write all of it to a blocking descriptor.  0, or -1. */
int fd_write_all(int fd, const void *data, size_t length);

/* fd_count_unsent: bytes that the kernel holds for the peer, or -1. */
int fd_count_unsent(int socket);

/*
 * fd_unix_has_reset: whether the peer of a Unix socket gets an error when we
 * close it with unread input, and not the end of the stream as on some systems.
 */
bool fd_unix_has_reset(void);

/*
 * fd_peer_user: who connected a Unix socket to us.  0, or -1.
 */
int fd_peer_user(int socket, uid_t *user);

/* fd_listen_limit: the most a listen(2) backlog can be; 0: not known. */
int fd_listen_limit(void);

#endif
