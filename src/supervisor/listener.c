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
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

static const char *
unix_path(const struct config_listener *listener)
{
	const struct sockaddr_un *sun = (const void *)&listener->address;

	return listener->address.ss_family == AF_UNIX ? sun->sun_path : NULL;
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
		log_error("%s: somebody listens there, left alone", path);
		return -1;
	}
	log_info("%s: removing a stale socket", path);
	return unlink(path);
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
	if ((pool->listen_owner.name != NULL ||
		pool->listen_group.name != NULL) &&
	    lchown(path,
		pool->listen_owner.name != NULL ? pool->listen_owner.uid
						: (uid_t)-1,
		pool->listen_group.name != NULL ? pool->listen_group.gid
						: (gid_t)-1) == -1)
		return -1;
	return chmod(path, pool->listen_mode);
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
		log_error("cannot listen on %s", listener->text);
		listening_close(l);
		return -1;
	}
	log_backlog(pool, listener);
	return 0;
}

void
listening_close(struct listening *l)
{
	const char *path;
	struct stat st;

	if (l->listener == NULL)
		return;
	path = unix_path(l->listener);
	if (path != NULL && l->inode != 0 && lstat(path, &st) == 0 &&
	    st.st_dev == l->device && st.st_ino == l->inode)
		unlink(path);
	l->inode = 0;
	fd_close(&l->fd);
}
