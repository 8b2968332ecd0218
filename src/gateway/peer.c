/*
 * peer.c: judges a peer by what the kernel says of it, before a byte of it is
 * read.  Whoever is refused learns nothing and must not be able to fill a log.
 */
#include "gateway/peer.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* At most one line in so many microseconds. */
#define LOG_INTERVAL (INT64_C(10) * 1000000)

/* A peer, and how to call it. */
struct peer {
	int family; /* AF_UNIX: a user; AF_UNSPEC: the kernel does not say */
	uid_t uid;
	const unsigned char *address; /* into `storage` */
	struct sockaddr_storage storage;
	char name[INET6_ADDRSTRLEN + 16];
};

static bool
has_entry(const struct config_pool *pool, bool users)
{
	for (size_t i = 0; i < pool->peer_count; i++)
		if ((pool->peers[i].family == AF_UNIX) == users)
			return true;
	return false;
}

static void
take_address(struct peer *p)
{
	const struct sockaddr_in *sin = (const void *)&p->storage;
	const struct sockaddr_in6 *sin6 = (const void *)&p->storage;
	int family = p->storage.ss_family;

	if (family == AF_INET)
		p->address = (const void *)&sin->sin_addr;
	else if (family == AF_INET6)
		p->address = (const void *)&sin6->sin6_addr;
	else
		return;
	p->family = family;
	/* The other end of an IPv4 connection to a socket of both kinds. */
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
		p->family = AF_INET;
		p->address += 12;
	}
	inet_ntop(p->family, p->address, p->name, sizeof(p->name));
}

static void
identify(struct peer *p, int fd, bool is_unix)
{
	socklen_t length = sizeof(p->storage);

	memset(p, 0, sizeof(*p));
	p->family = AF_UNSPEC;
	snprintf(p->name, sizeof(p->name), "somebody");
	if (is_unix) {
		if (fd_peer_user(fd, &p->uid) == -1)
			return;
		p->family = AF_UNIX;
		snprintf(p->name, sizeof(p->name), "user %ld", (long)p->uid);
	} else if (getpeername(fd, (void *)&p->storage, &length) == 0) {
		take_address(p);
	}
}

static bool
is_loopback(const struct peer *p)
{
	return p->family == AF_INET ? p->address[0] == 127
				    : p->family == AF_INET6 &&
		IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)p->address);
}

static bool
matches(const struct config_peer *entry, const struct peer *p)
{
	unsigned bytes = entry->bits / 8, rest = entry->bits % 8;

	if (entry->family != p->family)
		return false;
	if (entry->family == AF_UNIX)
		return entry->uid == p->uid;
	return memcmp(entry->address, p->address, bytes) == 0 &&
	    (rest == 0 ||
		(entry->address[bytes] ^ p->address[bytes]) >> (8 - rest) == 0);
}

/* A port without a list is for this machine, whoever bound it. */
static bool
judge(const struct config_pool *pool, const struct peer *p, bool is_unix)
{
	for (size_t i = 0; i < pool->peer_count; i++)
		if (matches(&pool->peers[i], p))
			return true;
	if (has_entry(pool, is_unix))
		return false;
	return is_unix || is_loopback(p);
}

static void
count_refused(struct gateway *g, const struct peer *p)
{
	int64_t now = clock_now();

	g->refused++;
	if (g->refused_logged_at != 0 &&
	    now - g->refused_logged_at < LOG_INTERVAL)
		return;
	g->refused_logged_at = now;
	log_warnx("connection refused to %s, who is not in allow; %" PRIu64
		  " refused so far",
	    p->name, g->refused);
}

bool
peer_is_checked(const struct config_pool *pool, int fd, bool is_unix)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct peer own;

	if (is_unix || has_entry(pool, false))
		return has_entry(pool, is_unix);
	memset(&own, 0, sizeof(own));
	if (getsockname(fd, (void *)&address, &length) == -1)
		return true;
	own.storage = address;
	take_address(&own);
	return !is_loopback(&own);
}

bool
peer_is_allowed(struct gateway *g, int fd, bool is_unix)
{
	struct peer p;

	identify(&p, fd, is_unix);
	if (judge(g->pool, &p, is_unix))
		return true;
	count_refused(g, &p);
	return false;
}
