/*
 * gateway/receive: from the first byte to a whole request.
 */
#ifndef GATEWAY_RECEIVE_H
#define GATEWAY_RECEIVE_H

#include "gateway/core.h"

/*
 * receive_start: read the request; request_received follows, maybe within
 * this call, and `r` may be freed by then.
 */
void receive_start(struct request *r);

/*
 * request_route: the header is here: find its path and its map.  Returns
 * REASON_NONE, or why it goes no further, with `detail`.  In request.c.
 */
enum reason request_route(struct request *r, char detail[256]);

/* request_received: header and body are whole.  In request.c. */
void request_received(struct request *r);

#endif
