/*
 * pulse.c: the supervisor learns from it that the event loop turns, and what
 * the pool does.  Nothing here waits: a pulse that cannot be sent is one that
 * the supervisor does not get.
 */
#include "gateway/pulse.h"

#include <errno.h>

#include "base/fd.h"

void
pulse_send(struct gateway *g)
{
	struct gateway_pulse pulse = {.open = g->open_count,
	    .waiting = g->waiting_count,
	    .workers = g->slots_used,
	    .slots = g->slots,
	    .is_live = g->has_lived};
	struct iovec part = {&pulse, sizeof(pulse)};

	if (g->control != -1)
		fd_send_message(g->control, &part, 1, NULL, 0, false);
}

void
pulse_hello(struct link *link)
{
	struct gateway *g = link->gateway;

	link->is_live = true;
	if (g->has_lived)
		return;
	for (size_t i = 0; i < g->link_count; i++)
		if (g->links[i].fd == -1 || !g->links[i].is_live)
			return;
	g->has_lived = true;
	pulse_send(g);
}
