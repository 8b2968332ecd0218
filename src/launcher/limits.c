/*
 * limits.c: from the configuration to setrlimit(2).
 */
#include "launcher/limits.h"

#include <string.h>
#include <unistd.h>

/*
 * SIGXCPU comes at the limit, and each second after; SIGKILL this much later,
 * for a process that does not end of the first.
 */
#define CPU_GRACE 2

/* Make of `limit`, which is ours, one of `value`, as far as we may. */
static const struct rlimit *
lower(struct rlimit *limit, uint64_t value, bool may_raise)
{
	/* A number with a sign there, without one here. */
	rlim_t wanted = (rlim_t)value;

	if (!may_raise && limit->rlim_max < wanted)
		wanted = limit->rlim_max;
	limit->rlim_cur = limit->rlim_max = wanted;
	return limit;
}

static int
carry(const struct config_limits *l, bool may_raise)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) == -1 ||
	    setrlimit(RLIMIT_CORE, lower(&limit, l->core, may_raise)) == -1)
		return -1;
	if (l->files > 0 &&
	    (getrlimit(RLIMIT_NOFILE, &limit) == -1 ||
		setrlimit(RLIMIT_NOFILE, lower(&limit, l->files, may_raise)) ==
		    -1))
		return -1;
	if (l->file_size > 0 &&
	    (getrlimit(RLIMIT_FSIZE, &limit) == -1 ||
		setrlimit(RLIMIT_FSIZE,
		    lower(&limit, l->file_size, may_raise)) == -1))
		return -1;
	return 0;
}

/* Not every root may raise them. */
int
limits_carry(const struct config_pool *pool)
{
	if (geteuid() == 0 && carry(&pool->limits, true) == 0)
		return 0;
	return carry(&pool->limits, false);
}

static void
prepare_cpu(struct rlimit *limit, int64_t cpu)
{
	rlim_t seconds = (rlim_t)((cpu + 999) / 1000);

	lower(limit, (uint64_t)seconds + CPU_GRACE, false);
	if (limit->rlim_cur > seconds)
		limit->rlim_cur = seconds;
}

int
limits_prepare(struct limits *limits, const struct config_pool *pool)
{
	const struct config_limits *l = &pool->limits;

	memset(limits, 0, sizeof(*limits));
	if (getrlimit(RLIMIT_CPU, &limits->cpu) == -1 ||
	    getrlimit(RLIMIT_AS, &limits->memory) == -1 ||
	    getrlimit(RLIMIT_NPROC, &limits->processes) == -1)
		return -1;
	limits->has_cpu = l->cpu > 0;
	limits->has_memory = l->memory > 0;
	limits->has_processes = l->processes > 0;
	limits->has_priority = pool->nice > 0;
	prepare_cpu(&limits->cpu, l->cpu);
	lower(&limits->memory, l->memory, false);
	lower(&limits->processes, l->processes, false);
	limits->priority = getpriority(PRIO_PROCESS, 0) + (int)pool->nice;
	if (limits->priority > 19)
		limits->priority = 19;
	return 0;
}

int
limits_apply(const struct limits *l)
{
	if ((l->has_cpu && setrlimit(RLIMIT_CPU, &l->cpu) == -1) ||
	    (l->has_memory && setrlimit(RLIMIT_AS, &l->memory) == -1) ||
	    (l->has_processes &&
		setrlimit(RLIMIT_NPROC, &l->processes) == -1) ||
	    (l->has_priority &&
		setpriority(PRIO_PROCESS, 0, l->priority) == -1))
		return -1;
	return 0;
}
