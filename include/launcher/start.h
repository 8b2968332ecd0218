/*
 * launcher/start: start one program.
 */
#ifndef LAUNCHER_START_H
#define LAUNCHER_START_H

#include <sys/types.h>

#include "base/buffer.h"
#include "cgi/reason.h"
#include "config/config.h"
#include "launcher/limits.h"

struct start_failure {
	enum reason reason;
	int error;	      /* errno */
	struct buffer detail; /* owned; what was wrong with which path */
};

/* What to start; all of it borrowed. */
struct start_command {
	const char *path;
	char *const *argv;
	char *const *envp;
	int directory;
	const int *stdio; /* three descriptors */
	const struct limits *limits;
	/* Descriptors that a fork server has besides; none for a worker. */
	const int *extra;
	size_t extra_count;
	int extra_first; /* the number of the first of them there */
};

/* The most extra descriptors. */
#define START_EXTRA_MAX 4

/*
 * start_worker: vfork and exec `path` in `directory`, as the leader of its own
 * session, with `stdio` and the extra ones as its only descriptors, no signal
 * blocked and none ignored, with `limits`, if not NULL, on top of the caller's
 * own.  Umask and user are the caller's.
 *
 * The caller must have blocked every signal and have no handler that would
 * harm it when run in a child that shares its memory.
 *
 * Returns the pid, once exec has succeeded; or -1 with errno set, and
 * `*at_exec` telling whether it was the exec that failed.
 */
pid_t start_worker(const struct start_command *command, int *at_exec);

/*
 * start_diagnose: put a name to the `error` of a failed exec of `path` by us,
 * who are `user`.  The caller frees failure->detail.
 */
void start_diagnose(const char *path, const char *script, int error,
    const struct config_user *user, struct start_failure *failure);

/*
 * start_check: what can be foreseen without starting `path`.  REASON_NONE, or
 * as start_diagnose.  The caller frees failure->detail in every case.
 */
enum reason start_check(const char *path, const char *script,
    const struct config_user *user, struct start_failure *failure);

/*
 * start_has_crlf_shebang: whether the first line of `script` starts with "#!"
 * and ends with CR LF.
 */
int start_has_crlf_shebang(const char *script);

#endif
