/*
 * filter: forbid system calls; part of base/sandbox.
 */
#ifndef BASE_FILTER_H
#define BASE_FILTER_H

#include <stdbool.h>

/*
 * filter_calls: from here on this process can only do what a gateway needs, as
 * sandbox_gateway says; with `to_syslog` it may connect to one again.  No new
 * privileges must be forbidden before.  Returns whether it is in force.
 */
bool filter_calls(bool to_syslog);

#endif
