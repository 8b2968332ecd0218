/*
 * gateway.c: the event loop, its listeners and the supervisor's orders.
 *
 * Connections are accepted eagerly, as a full backlog is an error page at the
 * front end; a request waits in our queue instead.  Only when descriptors run
 * short does a listener leave the event set.
 */
#include "gateway/gateway.h"

#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/core.h"
#include "gateway/failure.h"
#include "gateway/link.h"
#include "gateway/peer.h"
#include "gateway/pulse.h"
#include "gateway/schedule.h"

/* Descriptors that are no request's: logs, libevent's, and some to spare. */
#define DESCRIPTORS_FIXED 48

/* A worker has two pipes, four descriptors while it is being started. */
#define DESCRIPTORS_WORKER 4

/* A waiting request has its connection and its body. */
#define DESCRIPTORS_REQUEST 2

/* Connections accepted in one turn of the loop. */
#define ACCEPT_MOST	32

#define LISTEN_AGAIN_MS 100

/* Connections need memory, too. */
#define CONNECTIONS_MAX 65536

static bool
is_unix_socket(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &length) == 0 &&
	    address.ss_family == AF_UNIX;
}

bool
gateway_is_news(struct gateway *g, const char *what, const char *whom)
{
	uint64_t hash = hash_bytes(HASH_BEGIN, what, strlen(what));
	unsigned char bit;

	hash = hash_bytes(hash, whom, strlen(whom)) % (sizeof(g->news) * 8);
	bit = (unsigned char)(1u << (hash % 8));
	if ((g->news[hash / 8] & bit) != 0)
		return false;
	g->news[hash / 8] |= bit;
	return true;
}

void
gateway_update_listening(struct gateway *g)
{
	bool wanted = !g->is_draining && g->open_count < g->open_max &&
	    !event_pending(&g->listen_again, EV_TIMEOUT, NULL);

	if (wanted == g->is_listening)
		return;
	g->is_listening = wanted;
	for (size_t i = 0; i < g->listener_count; i++) {
		if (wanted)
			event_add(&g->listeners[i].event, NULL);
		else
			event_del(&g->listeners[i].event);
	}
}

void
gateway_request_gone(struct gateway *g)
{
	gateway_update_listening(g);
	if (g->is_draining && g->open_count == 0)
		event_base_loopbreak(g->base);
}

static void
on_listen_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	gateway_update_listening(arg);
}

static bool
accept_one(struct gateway *g, struct listener *l)
{
	const struct timeval pause = {0, LISTEN_AGAIN_MS * 1000};
	int front = fd_accept(l->fd);

	if (front == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			log_warn("cannot accept, pausing");
			event_add(&g->listen_again, &pause);
		}
		return false;
	}
	if (l->is_checked && !peer_is_allowed(g, front, l->is_unix)) {
		close(front);
	} else if (request_begin(g, front, l->is_unix) == -1) {
		log_warn("cannot serve a connection");
		close(front);
	}
	return true;
}

/*
 * One a wake-up, so that no accept is made for nothing.  With all slots in use
 * there are most likely more: what one turn of the loop does must not decide
 * how soon the backlog is full.  Then some, so that others get their turn.
 */
static void
listener_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	struct gateway *g = l->gateway;
	int left = ACCEPT_MOST;

	(void)fd;
	(void)what;
	while (accept_one(g, l) && g->slots_used == g->slots && --left > 0 &&
	    g->open_count < g->open_max)
		continue;
	gateway_update_listening(g);
}

static int
add_listener(struct gateway *g, int fd)
{
	struct listener *l = &g->listeners[g->listener_count++];

	l->gateway = g;
	l->fd = fd;
	l->is_unix = is_unix_socket(fd);
	l->is_checked = peer_is_checked(g->pool, fd, l->is_unix);
	return event_assign(&l->event, g->base, fd, EV_READ | EV_PERSIST,
	    listener_on_readable, l);
}

/* Those who have connected already are served; others may go on connecting. */
static void
accept_waiting(struct gateway *g, struct listener *l)
{
	for (int left = CONNECTIONS_MAX; left > 0; left--)
		if (g->open_count == g->open_max || !accept_one(g, l))
			return;
}

static void
begin_drain(struct gateway *g)
{
	if (g->is_draining)
		return;
	for (size_t i = 0; i < g->listener_count; i++)
		accept_waiting(g, &g->listeners[i]);
	g->is_draining = true;
	gateway_update_listening(g);
	for (size_t i = 0; i < g->listener_count; i++)
		fd_close(&g->listeners[i].fd);
	if (g->open_count == 0)
		event_base_loopbreak(g->base);
}

static void
add_launcher(struct gateway *g, int fd)
{
	for (size_t i = 0; i < g->link_count; i++) {
		if (g->links[i].fd != -1)
			continue;
		if (link_start(g, &g->links[i], fd) == 0)
			schedule_dispatch(g);
		return;
	}
	close(fd);
}

static void
control_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	int fds[FD_PASS_MAX], passed = -1;
	size_t fd_count;
	char order;
	ssize_t n = fd_receive_message(fd, &order, 1, fds, &fd_count);

	(void)what;
	if (n == -1 && errno == EAGAIN)
		return;
	if (n != 1) {
		/* The supervisor is gone: so are we, and then the rest. */
		event_base_loopbreak(g->base);
		return;
	}
	for (size_t i = 1; i < fd_count; i++)
		close(fds[i]);
	if (fd_count > 0)
		passed = fds[0];
	if (order == GATEWAY_ORDER_DRAIN) {
		begin_drain(g);
	} else if (order == GATEWAY_ORDER_LAUNCHER && passed != -1) {
		add_launcher(g, passed);
		passed = -1;
	} else if (order == GATEWAY_ORDER_ACCESS_LOG && passed != -1) {
		fd_close(&g->access_log);
		g->access_log = passed;
		g->access_log_is_cut = false;
		passed = -1;
	} else if (order == GATEWAY_ORDER_LOG && passed != -1) {
		log_set_fd(passed);
		passed = -1;
	} else if (order == GATEWAY_ORDER_PING) {
		pulse_send(g);
	}
	fd_close(&passed);
}

/* Accept no connection that could not get what it will need. */
static void
reserve_descriptors(struct gateway *g)
{
	struct rlimit limit;
	unsigned gateways = g->pool->gateways;
	rlim_t room, fixed;

	g->slots = (g->pool->workers + gateways - 1) / gateways;
	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		limit.rlim_cur = 256;
	fixed = (rlim_t)(DESCRIPTORS_FIXED + g->pool->launchers +
	    g->pool->listener_count);
	room = limit.rlim_cur > fixed ? limit.rlim_cur - fixed
				      : 2 * DESCRIPTORS_WORKER;
	if ((rlim_t)g->slots * DESCRIPTORS_WORKER > room / 2) {
		g->slots = (unsigned)(room / 2 / DESCRIPTORS_WORKER);
		log_warnx("workers limited to %u by the descriptor limit %llu",
		    g->slots, (unsigned long long)limit.rlim_cur);
	}
	room -= (rlim_t)g->slots * DESCRIPTORS_WORKER;
	room /= DESCRIPTORS_REQUEST;
	g->open_max = room < CONNECTIONS_MAX ? (unsigned)room : CONNECTIONS_MAX;
}

static void
log_libevent(int severity, const char *message)
{
	if (severity >= EVENT_LOG_WARN)
		log_warnx("libevent: %s", message);
}

static struct event_base *
new_event_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	event_set_log_callback(log_libevent);
	if (config == NULL)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int
start(struct gateway *g, const struct gateway_options *o)
{
	if ((g->base = new_event_base()) == NULL)
		return -1;
	event_assign(&g->listen_again, g->base, -1, 0, on_listen_again, g);
	event_assign(&g->full_timer, g->base, -1, 0, failure_on_timer, g);
	if (g->control != -1)
		event_assign(&g->control_event, g->base, g->control,
		    EV_READ | EV_PERSIST, control_on_readable, g);
	g->listeners = calloc(o->listener_count + 1, sizeof(struct listener));
	g->links = calloc(o->launcher_count + 1, sizeof(struct link));
	g->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (g->listeners == NULL || g->links == NULL || g->null_fd == -1)
		return -1;
	if (counters_open(g, o->counters) == -1)
		return -1;
	if (g->pool->status != NULL &&
	    (g->usage = calloc(1, sizeof(*g->usage))) == NULL)
		return -1;
	if (getrandom(&g->id_seed, sizeof(g->id_seed), GRND_NONBLOCK) == -1)
		g->id_seed = (uint64_t)getpid();
	g->front_gone_events = EV_READ | EV_ET | EV_PERSIST;
	if ((event_base_get_features(g->base) & EV_FEATURE_EARLY_CLOSE) != 0)
		g->front_gone_events |= EV_CLOSED;
	for (size_t i = 0; i < o->listener_count; i++)
		if (add_listener(g, o->listeners[i]) == -1)
			return -1;
	for (size_t i = 0; i < o->launcher_count; i++, g->link_count++)
		if (link_start(g, &g->links[i], o->launchers[i]) == -1)
			return -1;
	return g->control != -1 ? event_add(&g->control_event, NULL) : 0;
}

static void
finish(struct gateway *g)
{
	g->is_draining = true;
	if (g->base != NULL) {
		event_del(&g->listen_again);
		event_del(&g->full_timer);
		failure_sum_up(g);
		gateway_update_listening(g);
	}
	for (size_t i = 0; i < g->link_count; i++)
		link_stop(&g->links[i]);
	for (size_t i = 0; i < g->listener_count; i++)
		fd_close(&g->listeners[i].fd);
	/* It stays open to our end: its end tells the supervisor of ours. */
	if (g->control != -1 && g->base != NULL)
		event_del(&g->control_event);
	fd_close(&g->access_log);
	fd_close(&g->null_fd);
	counters_close(g);
	free(g->usage);
	servers_free(g);
	if (g->base != NULL)
		event_base_free(g->base);
	free(g->listeners);
	free(g->links);
	free(g);
}

/* What is still open when we are told to stop at once. */
static void
drop_requests(struct gateway *g)
{
	struct request *r;

	g->is_dispatching = true; /* nothing is started any more */
	while ((r = TAILQ_FIRST(&g->requests)) != NULL) {
		if (r->state <= REQUEST_RESPONDING)
			request_fail(r, REASON_SHUTDOWN, NULL);
		if (TAILQ_FIRST(&g->requests) == r)
			request_drop(r);
	}
}

static void
enter_sandbox(const struct config_pool *pool)
{
	int parts = sandbox_gateway(pool->spool_dir);

	log_debug("sandbox: files %s, system calls %s",
	    (parts & SANDBOX_FILES) != 0 ? "restricted" : "as they are",
	    (parts & SANDBOX_CALLS) != 0 ? "restricted" : "as they are");
}

int
gateway_run(const struct gateway_options *options)
{
	struct gateway *g = calloc(1, sizeof(*g));
	int result = -1;

	if (g == NULL)
		return -1;
	g->pool = options->pool;
	g->control = options->control;
	g->access_log = options->access_log;
	g->other_user = options->other_user;
	g->number = options->number;
	g->null_fd = -1;
	g->next_run = 1;
	TAILQ_INIT(&g->requests);
	TAILQ_INIT(&g->waiting);
	TAILQ_INIT(&g->servers);
	reserve_descriptors(g);
	result = start(g, options);
	if (options->counters > STDERR_FILENO)
		close(options->counters); /* mapped, or not to be had */
	if (result == -1)
		goto out;
	result = -1;
	enter_sandbox(g->pool);
	if (options->connection != -1) {
		/* No flag of a splice keeps it from waiting for a socket. */
		if (fd_set_nonblocking(options->connection) == -1)
			goto out;
		g->is_draining = true;
		if (request_begin(g, options->connection,
			is_unix_socket(options->connection)) == -1)
			goto out;
	}
	gateway_update_listening(g);
	result = 0;
	/* The one connection may be over already. */
	if (!g->is_draining || g->open_count > 0)
		result = event_base_dispatch(g->base) == -1 ? -1 : 0;
out:
	drop_requests(g);
	finish(g);
	return result;
}
