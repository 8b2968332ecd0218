/*
 * supervisor/listener: the listening sockets, bound once and kept.
 */
#ifndef SUPERVISOR_LISTENER_H
#define SUPERVISOR_LISTENER_H

#include <sys/types.h>

#include <stdbool.h>

#include "config/config.h"

struct listening {
	const struct config_listener *listener; /* borrowed */
	int fd;					/* owned; -1: not open */
	dev_t device; /* of the socket file, to know it again */
	ino_t inode;
	uid_t uid; /* of the socket file as it was made */
	gid_t gid;
	struct listening *lender; /* borrowed; has fd until listening_take */
};

/*
 * listening_open: bind and listen.  A stale socket file is replaced; a live
 * one, or anything that is not a socket, is left alone and an error.  The
 * file has its owner and mode before anyone can connect.  0, or -1, logged.
 */
int listening_open(struct listening *l, const struct config_pool *pool,
    const struct config_listener *listener);

/*
 * listening_is_for: whether it listens on the address of `listener`, where a
 * new connection would reach it: its socket file is still there.
 */
bool listening_is_for(
    const struct listening *l, const struct config_listener *listener);

/*
 * listening_borrow: use the socket of `from`, which stays its owner, for
 * `listener`.  listening_take: become the owner instead of the lender, and
 * apply what `pool` says of owner, mode and backlog, or nothing says, as when
 * it was made; what fails is logged.
 */
void listening_borrow(struct listening *l, struct listening *from,
    const struct config_listener *listener);
void listening_take(struct listening *l, const struct config_pool *pool);

/* listening_close: close; the socket file is removed if it is still ours. */
void listening_close(struct listening *l);

#endif
