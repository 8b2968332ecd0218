/*
 * gateway/peer: who may connect (the pool's allow).
 */
#ifndef GATEWAY_PEER_H
#define GATEWAY_PEER_H

#include <stdbool.h>

#include "gateway/core.h"

/* peer_is_checked: whether connections to listener `fd` are to be judged. */
bool peer_is_checked(const struct config_pool *pool, int fd, bool is_unix);

/*
 * peer_is_allowed: judge a connection.  One that is refused is counted, and
 * logged now and then; closing it is the caller's.
 */
bool peer_is_allowed(struct gateway *g, int fd, bool is_unix);

#endif
