/*
 * listener.c: binds.  Never removes a file that it cannot prove to be a dead
 * socket, or its own.
 */
#include "supervisor/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

static const char *
unix_path(const struct config_listener *listener)
{
	const struct sockaddr_un *sun = (const void *)&listener->address;

	return listener->address.ss_family == AF_UNIX ? sun->sun_path : NULL;
}

/* Whether its socket file is still the one that it made. */
static bool
file_is_ours(const struct listening *l)
{
	const char *path = unix_path(l->listener);
	struct stat st;

	return path != NULL && l->inode != 0 && lstat(path, &st) == 0 &&
	    st.st_dev == l->device && st.st_ino == l->inode;
}

/* 0 if nothing is there any more, or -1, logged. */
static int
remove_stale(const struct config_listener *listener, const char *path)
{
	struct stat st;
	int fd, error;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : (log_error("%s", path), -1);
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		log_error("%s: is not a socket, left alone", path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		log_error("socket");
		return -1;
	}
	error = connect(fd, (const struct sockaddr *)&listener->address,
		    listener->address_length) == 0
	    ? EADDRINUSE
	    : errno;
	fd_close(&fd);
	if (error != ECONNREFUSED) {
		errno = error;
		log_error("%s: %s, left alone", path,
		    error == EADDRINUSE || error == EAGAIN ||
			    error == EPROTOTYPE
			? "somebody listens there"
			: "cannot find out whether somebody listens there");
		return -1;
	}
	log_info("%s: removing a stale socket", path);
	if (unlink(path) == -1) {
		log_error("%s: cannot remove the stale socket", path);
		return -1;
	}
	return 0;
}

static int
set_access(const struct listening *l, const struct config_pool *pool)
{
	uid_t uid =
	    pool->listen_owner.name != NULL ? pool->listen_owner.uid : l->uid;
	gid_t gid =
	    pool->listen_group.name != NULL ? pool->listen_group.gid : l->gid;
	int fd = path_open(AT_FDCWD, unix_path(l->listener)), n = -1;
	struct stat st;

	/* By descriptor: in a directory of others the name may change. */
	if (fd != -1 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		n = path_set_access(fd, uid != st.st_uid ? uid : (uid_t)-1,
		    gid != st.st_gid ? gid : (gid_t)-1, pool->listen_mode);
	fd_close(&fd);
	return n;
}

/* Mode 0 until it belongs to whom it should; then nobody has been let in. */
static int
bind_unix(struct listening *l, const struct config_pool *pool, const char *path)
{
	mode_t old = umask(0777);
	int n = bind(l->fd, (const struct sockaddr *)&l->listener->address,
	    l->listener->address_length);
	struct stat st;

	umask(old);
	if (n == -1 || lstat(path, &st) == -1)
		return -1;
	l->device = st.st_dev;
	l->inode = st.st_ino;
	l->uid = st.st_uid;
	l->gid = st.st_gid;
	return set_access(l, pool);
}

static int
bind_tcp(struct listening *l)
{
	const int yes = 1;
	int family = l->listener->address.ss_family;

	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ==
	    -1)
		return -1;
	if (family == AF_INET6 &&
	    setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) ==
		-1)
		return -1;
	return bind(l->fd, (const struct sockaddr *)&l->listener->address,
	    l->listener->address_length);
}

/* What the system makes of it, it does not tell: see listen(2). */
static void
log_backlog(const struct config_pool *pool, const struct config_listener *l)
{
	int limit = fd_listen_limit();

	if (limit > 0 && (unsigned)limit < pool->backlog)
		log_warnx("pool %s listens on %s, backlog %d: the system's "
			  "limit, of %u asked for (net.core.somaxconn, "
			  "kern.ipc.soacceptqueue)",
		    pool->name, l->text, limit, pool->backlog);
	else
		log_info("pool %s listens on %s, backlog %u", pool->name,
		    l->text, pool->backlog);
}

int
listening_open(struct listening *l, const struct config_pool *pool,
    const struct config_listener *listener)
{
	const char *path = unix_path(listener);

	memset(l, 0, sizeof(*l));
	l->listener = listener;
	l->fd = -1;
	if (path != NULL && remove_stale(listener, path) == -1)
		return -1;
	l->fd = socket(listener->address.ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd == -1 ||
	    (path != NULL ? bind_unix(l, pool, path) : bind_tcp(l)) == -1 ||
	    listen(l->fd, (int)pool->backlog) == -1) {
		log_error("cannot listen on %s%s", listener->text,
		    path != NULL && errno == ENOENT
			? ", whose directory has to exist"
			: "");
		listening_close(l);
		return -1;
	}
	log_backlog(pool, listener);
	return 0;
}

bool
listening_is_for(
    const struct listening *l, const struct config_listener *listener)
{
	return l->fd != -1 &&
	    l->listener->address_length == listener->address_length &&
	    memcmp(&l->listener->address, &listener->address,
		listener->address_length) == 0 &&
	    (unix_path(listener) == NULL || file_is_ours(l));
}

void
listening_borrow(struct listening *l, struct listening *from,
    const struct config_listener *listener)
{
	*l = *from;
	l->listener = listener;
	l->lender = from;
}

void
listening_take(struct listening *l, const struct config_pool *pool)
{
	l->lender->fd = -1;
	l->lender->inode = 0;
	l->lender = NULL;
	if ((unix_path(l->listener) != NULL && set_access(l, pool) == -1) ||
	    listen(l->fd, (int)pool->backlog) == -1)
		log_warn("cannot set owner, mode and backlog of %s",
		    l->listener->text);
}

void
listening_close(struct listening *l)
{
	if (l->listener == NULL || l->lender != NULL)
		return;
	if (file_is_ours(l))
		unlink(unix_path(l->listener));
	l->inode = 0;
	fd_close(&l->fd);
}
