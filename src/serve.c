/*
 * serve.c: scgid --serve: a supervisor and an HTTP front end for one another,
 * for trying things.
 */
#include "serve.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "frontend/http.h"
#include "supervisor/privileges.h"
#include "supervisor/supervisor.h"

static pid_t
fork_frontend(struct http_frontend *frontend)
{
	struct passwd *nobody;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	process_reset_signals();
	log_set_role("frontend");
	process_set_title("frontend");
	if (geteuid() == 0 &&
	    ((nobody = getpwnam("nobody")) == NULL ||
		privileges_drop(&(struct privileges){.name = "nobody",
		    .uid = nobody->pw_uid,
		    .gid = nobody->pw_gid}) == -1))
		fatal("cannot become nobody");
	/* A change of user would undo this. */
	process_die_with_parent();
	exit(http_frontend_run(frontend) == 0 ? 0 : EXIT_FAILURE);
}

static pid_t
fork_supervisor(struct config *config, struct http_frontend *frontend)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	process_die_with_parent();
	http_frontend_free(frontend);
	exit(
	    supervisor_run(config, "the generated configuration", NULL, false));
}

/* Ends both when one ends, or when we are told to. */
static int
mind_children(pid_t supervisor, pid_t frontend, const sigset_t *awaited)
{
	int s = 0;

	sigwait(awaited, &s);
	kill(frontend, SIGTERM);
	kill(supervisor, SIGINT);
	while (waitpid(-1, NULL, 0) != -1 || errno == EINTR)
		continue;
	return s != SIGCHLD ? 0 : EXIT_FAILURE;
}

/* A request that comes before the pool listens would be an error page. */
static void
wait_for_pool(const struct config_listener *l, pid_t supervisor)
{
	const struct timespec pause = {0, 5000000};
	bool is_there = false;
	siginfo_t info;

	for (int i = 0; i < 2000 && !is_there; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		is_there = fd != -1 &&
		    connect(fd, (const struct sockaddr *)&l->address,
			l->address_length) == 0;
		fd_close(&fd);
		info.si_pid = 0;
		if (is_there ||
		    waitid(P_PID, (id_t)supervisor, &info,
			WEXITED | WNOHANG | WNOWAIT) == -1 ||
		    info.si_pid != 0)
			return;
		nanosleep(&pause, NULL);
	}
}

int
serve_run(struct config *config, const char *socket_path, const char *listen)
{
	struct http_options http = {.listen = listen,
	    .target = socket_path,
	    .document_root = config->pools[0].maps[0].root};
	char error[HTTP_ERROR_SIZE], number[CONFIG_NUMBER_SIZE];
	struct http_frontend *frontend = http_frontend_new(&http, error);
	pid_t supervisor, child;
	sigset_t awaited;
	int result;

	if (frontend == NULL) {
		fprintf(stderr, "scgid: %s\n", error);
		return EXIT_FAILURE;
	}
	/* Blocked before there are children, so that no end is missed. */
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGINT);
	sigaddset(&awaited, SIGQUIT);
	sigaddset(&awaited, SIGHUP); /* the terminal is closed */
	sigprocmask(SIG_BLOCK, &awaited, NULL);
	supervisor = fork_supervisor(config, frontend);
	wait_for_pool(&config->pools[0].listeners[0], supervisor);
	child = fork_frontend(frontend);
	printf("scgid: serving %s as %s on %s (Ctrl-C stops)\n",
	    config->pools[0].maps[0].root,
	    config_user_text(&config->pools[0].user, number),
	    http_frontend_url(frontend));
	fflush(stdout);
	result = mind_children(supervisor, child, &awaited);
	http_frontend_free(frontend);
	return result;
}
