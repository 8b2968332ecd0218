/*
 * gateway/judge: what the end of a worker, or of its output, means.
 */
#ifndef GATEWAY_JUDGE_H
#define GATEWAY_JUDGE_H

#include "gateway/core.h"

/*
 * judge_response: something ended: stdout, the worker, or the doubt whether it
 * still runs.  Decides what that means for the response.  May free `r`.
 */
void judge_response(struct request *r);

#endif
