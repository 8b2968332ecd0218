/*
 * supervisor/pulse: what the supervisor hears of its gateways.  A gateway says
 * once that it and its launchers live, and answers when it is asked; one that
 * does not is killed, and started again like any that died.
 */
#ifndef SUPERVISOR_PULSE_H
#define SUPERVISOR_PULSE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/gateway.h"

struct generation;
struct generation_list;
struct team;

/* One a team.  Zeroed: of a gateway that was never started. */
struct pulse {
	struct gateway_pulse last; /* zeroed until there is one */
	bool is_live;		   /* the gateway has said so */
	bool is_asked;		   /* and has not answered yet */
	bool has_failed;	   /* a role of its died before it lived */
};

/* The watch over all teams. */
struct heart {
	int64_t interval; /* microseconds between questions; 0: none asked */
	int64_t next;	  /* when the next are asked */
	bool is_watched;  /* the service manager waits for WATCHDOG=1 */
};

/* pulse_end: the gateway of `t` is gone; pulse_receive: it has said something.
 */
void pulse_end(struct team *t);
void pulse_receive(struct team *t);

enum pulse_start {
	PULSE_STARTING, /* some teams have neither lived nor died */
	PULSE_STARTED,	/* none is left of these, and some live */
	PULSE_DEAD	/* every team has died without having lived */
};

/* pulse_judge_start: how the start of `g` goes. */
enum pulse_start pulse_judge_start(struct generation *g);

/*
 * pulse_wait: wait until `when` (0: for ever) or a signal outside of
 * `while_waiting`, and hear what the gateways say.
 */
void pulse_wait(
    struct generation_list *all, int64_t when, const sigset_t *while_waiting);

/* heart_begin: ask from now on, if there is a service manager to tell. */
void heart_begin(struct heart *h);

/*
 * heart_beat: when it is time, ask every gateway, kill those that have not
 * answered since the last time, and tell the service manager how it is: that
 * we live only if all have answered.  Returns when it is to be called again;
 * 0: never.
 */
int64_t heart_beat(struct heart *h, struct generation_list *all);

#endif
