/*
 * gateway/pulse: what a gateway tells the supervisor of itself.
 */
#ifndef GATEWAY_PULSE_H
#define GATEWAY_PULSE_H

#include "gateway/core.h"

/* pulse_hello: a launcher lives; when all do, the supervisor is told, once. */
void pulse_hello(struct link *link);

/* pulse_send: answer a ping.  Never blocks. */
void pulse_send(struct gateway *g);

#endif
