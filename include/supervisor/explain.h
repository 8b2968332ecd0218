/*
 * supervisor/explain: what would happen to a request (scgid --explain).
 */
#ifndef SUPERVISOR_EXPLAIN_H
#define SUPERVISOR_EXPLAIN_H

#include <stdbool.h>

#include "config/config.h"

/*
 * explain_url: print to stdout, for each pool with a map that takes `url`
 * ("/path?query" or "http://host/path"), the map, the walk, the decision, the
 * user, arguments and environment, and the reason if it would fail, as the
 * pool's user sees it.  With `run` the request is made for real, as GET, and
 * its outcome printed; the log goes to stderr.
 *
 * Returns 0 if a script would start (with `run`: answered with a status under
 * 400) in each of these pools, or it is their status page; 1 if not.
 */
int explain_url(const struct config *config, const char *url, bool run);

#endif
