/*
 * spawn-loop: start a program over and over with posix_spawn, read what it
 * prints, wait for it.  No server can be faster at this: the limit that
 * tests/bench/run compares with.
 */
#include <sys/wait.h>

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

extern char **environ;

struct loop {
	pthread_t thread;
	char **argv;
	int64_t deadline; /* by clock_now */
	uint64_t count;
	uint64_t errors;
};

static int
run_once(char **argv)
{
	posix_spawn_file_actions_t actions;
	char piece[4096];
	int ends[2], status, result;
	ssize_t n, total = 0;
	pid_t pid;

	if (fd_pipe(ends) == -1)
		return -1;
	if (posix_spawn_file_actions_init(&actions) != 0)
		abort();
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	result = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	while (result == 0 && (n = read(ends[0], piece, sizeof(piece))) > 0)
		total += n;
	close(ends[0]);
	if (result != 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return -1;
	return total > 0 ? 0 : -1;
}

static void *
run_loop(void *arg)
{
	struct loop *loop = arg;

	while (clock_now() < loop->deadline) {
		if (run_once(loop->argv) == 0)
			loop->count++;
		else
			loop->errors++;
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	long concurrency = sysconf(_SC_NPROCESSORS_ONLN), i;
	double seconds = 5;
	uint64_t count = 0, errors = 0;
	struct loop *loops;
	int64_t start;
	int c;

	while ((c = getopt(argc, argv, "+c:d:")) != -1) {
		if (c == 'c')
			concurrency = atol(optarg);
		else if (c == 'd')
			seconds = atof(optarg);
		else
			optind = argc;
	}
	if (optind >= argc || concurrency < 1 || concurrency > 1024) {
		fputs("usage: spawn-loop [-c N] [-d SECONDS] PROGRAM [ARG...]"
		      "\n",
		    stderr);
		return 2;
	}
	loops = calloc((size_t)concurrency, sizeof(*loops));
	if (loops == NULL)
		abort();
	start = clock_now();
	for (i = 0; i < concurrency; i++) {
		loops[i].argv = argv + optind;
		loops[i].deadline = start + (int64_t)(seconds * 1e6);
		if (pthread_create(
			&loops[i].thread, NULL, run_loop, &loops[i]) != 0)
			abort();
	}
	for (i = 0; i < concurrency; i++) {
		pthread_join(loops[i].thread, NULL);
		count += loops[i].count;
		errors += loops[i].errors;
	}
	seconds = (double)(clock_now() - start) / 1e6;
	printf("{\"runs\": %ju, \"errors\": %ju, \"seconds\": %.3f, "
	       "\"rate\": %.1f}\n",
	    (uintmax_t)count, (uintmax_t)errors, seconds,
	    (double)count / seconds);
	free(loops);
	return errors == 0 && count > 0 ? 0 : 1;
}
