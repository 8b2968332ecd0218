/*
 * launcher/limits: what a pool's workers may use.
 *
 * A launcher carries the limits that cannot hinder it, and its workers inherit
 * them for nothing.  The others each cost a worker one system call, if the
 * pool has them: a launcher must not run out of CPU time or memory, must be
 * able to start a worker while a script has used up the processes, and to end
 * one while scripts take all the time there is.
 */
#ifndef LAUNCHER_LIMITS_H
#define LAUNCHER_LIMITS_H

#include <sys/resource.h>

#include "config/config.h"

struct limits {
	bool has_cpu, has_memory, has_processes, has_priority;
	struct rlimit cpu, memory, processes;
	int priority; /* as setpriority(2) takes it */
};

/*
 * limits_carry: limit this process, which is to be the pool's launcher.  Call
 * while it is root, if it is, so that limits can be raised too; who may not
 * raise them gets no more than the hard limit.  0, or -1 with errno.
 */
int limits_carry(const struct config_pool *pool);

/* limits_prepare: what limits_apply will do.  0, or -1 with errno. */
int limits_prepare(struct limits *limits, const struct config_pool *pool);

/*
 * limits_apply: limit this process, which is to be a worker.  System calls
 * only: for a child that shares our memory.  0, or -1 with errno.
 */
int limits_apply(const struct limits *limits);

#endif
