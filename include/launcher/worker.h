/*
 * launcher/worker: the workers of a launcher, and what the gateway is told of
 * them.
 */
#ifndef LAUNCHER_WORKER_H
#define LAUNCHER_WORKER_H

#include <sys/resource.h>

#include "launcher/core.h"

/* worker_tell: send `m` to the gateway. */
void worker_tell(struct launcher *l, const struct protocol_message *m);

/* worker_tell_failed: there is no worker for `request`.  `detail` or NULL. */
void worker_tell_failed(struct launcher *l, uint32_t request,
    enum reason reason, int error, const struct buffer *detail);

/*
 * worker_new: a worker that is about to be started for `request`; `script` has
 * its NUL.  NULL if there is no memory.  Then one of
 *
 * worker_add: it was started; `pid` is 0 if a fork server has it.
 * worker_forget: it was not, or is of no more interest.
 */
struct worker *
worker_new(uint32_t request, const char *script, enum config_start start);
void worker_add(struct launcher *l, struct worker *w, pid_t pid);
void worker_forget(struct launcher *l, struct worker *w);

/*
 * worker_start: start `command` for a worker that is not yet added, or has no
 * pid yet; if that fails, tell so and forget it.
 */
void worker_start(
    struct launcher *l, struct worker *w, const struct start_command *command);

/* worker_identify: the pid of one that a fork server has has become known. */
void worker_identify(struct launcher *l, struct worker *w, pid_t pid);

/* worker_settle: forget the signals that wait for its pid. */
void worker_settle(struct launcher *l, struct worker *w);

/*
 * worker_signal: SIGNAL of the protocol; kept until worker_identify for one
 * whose pid is not known.
 */
void worker_signal(struct launcher *l, struct worker *w, int signal_number);

/* worker_exited: it was reaped. */
void worker_exited(struct launcher *l, struct worker *w, int status,
    const struct rusage *usage);

/*
 * worker_find_unknown: the one whose pid is not known yet, of a request; or
 * any of a fork server, if `request` is 0.
 */
struct worker *worker_find_unknown(
    struct launcher *l, const struct fork_process *process, uint32_t request);
struct worker *worker_find_by_pid(struct launcher *l, pid_t pid);
struct worker *worker_find_by_request(struct launcher *l, uint32_t request);

/* worker_owns_group: whether it is that of a worker we still look after. */
bool worker_owns_group(struct launcher *l, pid_t group);

/* worker_oldest: the number of the oldest; one more than the newest if none. */
uint64_t worker_oldest(struct launcher *l);

/* worker_kill_all: SIGKILL every group and forget them. */
void worker_kill_all(struct launcher *l);

#endif
