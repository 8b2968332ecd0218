/*
 * pulse.c: the supervisor's end of the control sockets.  A gateway may be
 * hostile: what it says is checked, unasked words end it, and its numbers are
 * shown and used for nothing.
 *
 * A launcher is not asked: one that waits for a slow file system does its work.
 */
#include "supervisor/pulse.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/counters.h"
#include "supervisor/generation.h"
#include "supervisor/service.h"

#define SECOND INT64_C(1000000)

/* For the status line alone; a watchdog may want more. */
#define STATUS_INTERVAL (10 * SECOND)

/*
 * A gateway that hangs is found at the second question after its last answer,
 * and another answers at the third.  All this has to fit in one watchdog
 * interval, or the service manager would kill everyone for it.
 */
#define QUESTIONS 4

#define SLOTS_MAX 65536

void
pulse_end(struct team *t)
{
	memset(&t->pulse.last, 0, sizeof(t->pulse.last));
	t->pulse.is_live = false;
	t->pulse.is_asked = false;
}

static void
kill_gateway(struct team *t)
{
	if (t->gateway.pid > 1)
		kill(t->gateway.pid, SIGKILL);
	fd_close(&t->control);
}

static bool
is_valid(const struct gateway_pulse *p)
{
	return p->is_live <= 1 && p->waiting <= p->open &&
	    p->workers <= p->slots && p->slots <= SLOTS_MAX;
}

void
pulse_receive(struct team *t)
{
	struct gateway_pulse pulse;
	int fds[FD_PASS_MAX];
	size_t fd_count;
	ssize_t n = fd_receive_message(
	    t->control, &pulse, sizeof(pulse), fds, &fd_count);
	bool is_hello;

	if (n == -1 && errno == EAGAIN)
		return;
	if ((n == 0 && fd_count == 0) || (n == -1 && errno == ECONNRESET)) {
		/* It ends, or it has closed what it must not. */
		kill_gateway(t);
		return;
	}
	is_hello = n == sizeof(pulse) && pulse.is_live && !t->pulse.is_live;
	if (n != sizeof(pulse) || fd_count > 0 || !is_valid(&pulse) ||
	    (!is_hello && !t->pulse.is_asked)) {
		while (n != -1 && fd_count > 0)
			fd_close(&fds[--fd_count]);
		log_warnx("gateway %s broke the protocol, killing it",
		    t->pool->pool->name);
		kill_gateway(t);
		return;
	}
	t->pulse.last = pulse;
	if (is_hello)
		t->pulse.is_live = true;
	else
		t->pulse.is_asked = false;
}

enum pulse_start
pulse_judge_start(struct generation *g)
{
	bool some_live = false, some_start = false;

	FOR_EACH_TEAM(g, p, t)
	{
		some_live |= t->pulse.is_live;
		some_start |= !t->pulse.is_live && !t->pulse.has_failed;
	}
	if (some_start)
		return PULSE_STARTING;
	return some_live ? PULSE_STARTED : PULSE_DEAD;
}

static nfds_t
count_teams(struct generation_list *all)
{
	struct generation *g;
	nfds_t n = 0;

	TAILQ_FOREACH (g, all, entry)
		for (size_t i = 0; i < g->pool_count; i++)
			n += g->pools[i].team_count;
	return n;
}

static void
receive_all(struct generation_list *all, const struct pollfd *polled)
{
	struct generation *g;

	TAILQ_FOREACH (g, all, entry)
		FOR_EACH_TEAM(g, p, t)
		{
			if (polled->revents != 0)
				pulse_receive(t);
			polled++;
		}
}

/* Without memory it only sleeps, for a moment. */
void
pulse_wait(
    struct generation_list *all, int64_t when, const sigset_t *while_waiting)
{
	int64_t left = when - clock_now();
	struct timespec wait = {0, 0};
	struct pollfd *polled = calloc(count_teams(all) + 1, sizeof(*polled));
	struct generation *g;
	nfds_t n = 0;

	if (polled == NULL)
		left = when = SECOND;
	if (when != 0 && left > 0) {
		wait.tv_sec = (time_t)(left / SECOND);
		wait.tv_nsec = (long)(left % SECOND * 1000);
	}
	/* A negative descriptor is passed over. */
	if (polled != NULL)
		TAILQ_FOREACH (g, all, entry)
			FOR_EACH_TEAM(g, p, t)
	polled[n++] = (struct pollfd){t->control, POLLIN, 0};
	if (ppoll(polled, n, when != 0 ? &wait : NULL, while_waiting) > 0)
		receive_all(all, polled);
	free(polled);
}

void
heart_begin(struct heart *h)
{
	int64_t watchdog = service_watchdog();

	memset(h, 0, sizeof(*h));
	if (!service_listens())
		return;
	h->is_watched = watchdog > 0;
	h->interval = STATUS_INTERVAL;
	if (h->is_watched && watchdog / QUESTIONS < STATUS_INTERVAL)
		h->interval = watchdog / QUESTIONS;
	if (h->interval < 1000)
		h->interval = 1000;
	h->next = clock_now();
}

/*
 * One that does not run is minded already, and must not take the others down
 * by a watchdog that bites us all.  Returns whether the others have answered.
 */
static bool
ask(struct team *t, bool may_kill)
{
	static const char order = GATEWAY_ORDER_PING;
	struct iovec part = {(void *)(uintptr_t)&order, 1};

	if (t->control == -1)
		return true;
	if (!t->pulse.is_asked) {
		t->pulse.is_asked = true;
		fd_send_message(t->control, &part, 1, NULL, 0, false);
		return true;
	}
	if (may_kill) {
		log_warnx("gateway %s[%ld] does not answer, killing it",
		    t->pool->pool->name, (long)t->gateway.pid);
		kill_gateway(t);
	}
	return false;
}

/*
 * "12 served, 1 failed, 3 open, 0 waiting; workers: www 3/32, alice 0/8", with
 * what an old generation still does, and how many there are of the current.
 */
static void
tell_status(struct generation_list *all)
{
	uint64_t served = 0, failed = 0, open = 0, waiting = 0;
	struct generation *g, *first = TAILQ_FIRST(all);
	char workers[512] = "";
	size_t length = 0;

	TAILQ_FOREACH (g, all, entry)
		FOR_EACH_TEAM(g, p, t)
		{
			open += t->pulse.last.open;
			waiting += t->pulse.last.waiting;
		}
	for (struct pool_state *p = first->pools;
	     p < first->pools + first->pool_count; p++)
		counters_read(p->counters, p->team_count, &served, &failed);
	for (size_t i = 0; i < first->pool_count && length < sizeof(workers);
	     i++) {
		struct pool_state *p = &first->pools[i];
		unsigned used = 0, slots = 0;

		for (unsigned j = 0; j < p->team_count; j++) {
			used += p->teams[j].pulse.last.workers;
			slots += p->teams[j].pulse.last.slots;
		}
		length += (size_t)snprintf(workers + length,
		    sizeof(workers) - length, "%s %s %u/%u", i > 0 ? "," : "",
		    p->pool->name, used, slots);
	}
	service_notify("STATUS=%llu served, %llu failed, %llu open, %llu "
		       "waiting; workers:%s",
	    (unsigned long long)served, (unsigned long long)failed,
	    (unsigned long long)open, (unsigned long long)waiting, workers);
}

int64_t
heart_beat(struct heart *h, struct generation_list *all)
{
	int64_t now = clock_now();
	bool all_answered = true, may_kill;
	struct generation *g;

	if (h->interval == 0 || now < h->next)
		return h->interval == 0 ? 0 : h->next;
	/* If it was us who did not run, nobody has had time to answer. */
	may_kill = h->is_watched && now - h->next < h->interval;
	tell_status(all);
	TAILQ_FOREACH (g, all, entry)
		FOR_EACH_TEAM(g, p, t)
	if (!ask(t, may_kill))
		all_answered = false;
	if (h->is_watched && all_answered)
		service_notify("WATCHDOG=1");
	h->next = now + h->interval;
	return h->next;
}
