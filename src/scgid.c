/*
 * scgid: the daemon, its checks and its one-shot modes.  Arguments and wiring
 * only.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/support.h"
#include "config/config.h"
#include "frontend/http.h"
#include "frontend/status_client.h"
#include "supervisor/explain.h"
#include "supervisor/generated.h"
#include "supervisor/single.h"
#include "supervisor/supervisor.h"
#include "serve.h"

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_BAD_CONFIG = 78 /* EX_CONFIG of sysexits(3) */
};

enum mode {
	MODE_DAEMON,
	MODE_TEST,
	MODE_DUMP,
	MODE_KEYS,
	MODE_EXPLAIN,
	MODE_INETD,
	MODE_SERVE,
	MODE_STATUS
};

struct arguments {
	enum mode mode;
	const char *file;
	const char *pid_file;
	const char *subject; /* of explain, inetd, serve and status */
	const char *listen;  /* of serve */
	const char *user;    /* of serve and inetd, when started as root */
	char **rest;	     /* of inetd: the script's arguments */
	bool background;
	bool run;
	bool watch;
	bool debug;
};

static const char usage_text[] =
    "usage: scgid [-c FILE] [-f | -d] [-p PIDFILE]\n"
    "       scgid -t | -T [-c FILE]\n"
    "       scgid --explain URL [--run] [-c FILE]\n"
    "       scgid --inetd DIR/ | --inetd SCRIPT [ARG...]\n"
    "       scgid --serve DIR [--listen ADDRESS:PORT] [--user NAME]\n"
    "       scgid --status TARGET[#/PATH] [--watch]\n"
    "\n"
    "  -c, --config FILE    the configuration (" SCGID_CONF ")\n"
    "  -f, --foreground     stay in the foreground (the default)\n"
    "  -d, --daemon         go to the background once it serves\n"
    "  -p, --pid-file FILE  write the pid there\n"
    "  -t, --test           check the configuration and exit\n"
    "  -T, --dump           print the effective configuration and exit\n"
    "      --list-keys      print every configuration key and exit\n"
    "      --explain URL    say what a request for URL would do\n"
    "      --run            with --explain: make the request, too\n"
    "      --inetd          serve one SCGI request on standard input\n"
    "      --serve DIR      serve the scripts in DIR over HTTP, to try them\n"
    "      --listen A:P     where --serve listens (" HTTP_DEFAULT_LISTEN ")\n"
    "      --user NAME      with --serve or --inetd, started as root: run\n"
    "                       the scripts as NAME\n"
    "      --status TARGET  show the status page at unix:/path or host:port,\n"
    "                       at " STATUS_DEFAULT_PATH " or the path after '#'\n"
    "      --watch          with --status: again every second\n"
    "      --debug          log more\n"
    "  -V, --version        print the version and exit\n"
    "  -h, --help           print this and exit\n"
    "\n"
    "Exit status: 0 fine, 1 failure, 2 usage, 78 bad configuration.\n";

static void __attribute__((noreturn)) usage(const char *complaint)
{
	if (complaint != NULL)
		fprintf(stderr, "scgid: %s\n", complaint);
	fputs(usage_text, stderr);
	exit(EXIT_USAGE);
}

enum {
	OPTION_KEYS = 256,
	OPTION_EXPLAIN,
	OPTION_RUN,
	OPTION_INETD,
	OPTION_SERVE,
	OPTION_LISTEN,
	OPTION_USER,
	OPTION_DEBUG,
	OPTION_STATUS,
	OPTION_WATCH
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"foreground", no_argument, NULL, 'f'},
    {"daemon", no_argument, NULL, 'd'},
    {"pid-file", required_argument, NULL, 'p'},
    {"test", no_argument, NULL, 't'},
    {"dump", no_argument, NULL, 'T'},
    {"list-keys", no_argument, NULL, OPTION_KEYS},
    {"explain", required_argument, NULL, OPTION_EXPLAIN},
    {"run", no_argument, NULL, OPTION_RUN},
    {"inetd", required_argument, NULL, OPTION_INETD},
    {"serve", required_argument, NULL, OPTION_SERVE},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"user", required_argument, NULL, OPTION_USER},
    {"status", required_argument, NULL, OPTION_STATUS},
    {"watch", no_argument, NULL, OPTION_WATCH},
    {"debug", no_argument, NULL, OPTION_DEBUG},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void
set_mode(struct arguments *a, enum mode mode, const char *subject)
{
	if (a->mode != MODE_DAEMON && a->mode != mode)
		usage("only one of -t, -T, --explain, --inetd, --serve, "
		      "--status");
	a->mode = mode;
	if (subject != NULL)
		a->subject = subject;
}

static void
set_option(struct arguments *a, int option)
{
	switch (option) {
	case 'c':
		a->file = optarg;
		break;
	case 'f':
		a->background = false;
		break;
	case 'd':
		a->background = true;
		break;
	case 'p':
		a->pid_file = optarg;
		break;
	case 't':
		set_mode(a, MODE_TEST, NULL);
		break;
	case 'T':
		set_mode(a, MODE_DUMP, NULL);
		break;
	case OPTION_KEYS:
		set_mode(a, MODE_KEYS, NULL);
		break;
	case OPTION_EXPLAIN:
		set_mode(a, MODE_EXPLAIN, optarg);
		break;
	case OPTION_RUN:
		a->run = true;
		break;
	case OPTION_INETD:
		set_mode(a, MODE_INETD, optarg);
		break;
	case OPTION_SERVE:
		set_mode(a, MODE_SERVE, optarg);
		break;
	case OPTION_LISTEN:
		a->listen = optarg;
		break;
	case OPTION_USER:
		a->user = optarg;
		break;
	case OPTION_STATUS:
		set_mode(a, MODE_STATUS, optarg);
		break;
	case OPTION_WATCH:
		a->watch = true;
		break;
	case OPTION_DEBUG:
		a->debug = true;
		break;
	case 'V':
		puts("scgid " SCGID_VERSION);
		exit(0);
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	default:
		usage(NULL);
	}
}

static void
parse_arguments(struct arguments *a, int argc, char **argv)
{
	int option;

	/* "+": what follows --inetd SCRIPT belongs to the script. */
	while ((option = getopt_long(
		    argc, argv, "+c:dfhp:tTV", options, NULL)) != -1)
		set_option(a, option);
	a->rest = argv + optind;
	if (*a->rest != NULL && a->mode != MODE_INETD)
		usage("too many arguments");
	if (a->background && a->pid_file != NULL && a->pid_file[0] != '/')
		usage("with -d the pid file is an absolute path");
	if (a->run && a->mode != MODE_EXPLAIN)
		usage("--run goes with --explain");
	if (a->watch && a->mode != MODE_STATUS)
		usage("--watch goes with --status");
	if (a->listen != NULL && a->mode != MODE_SERVE)
		usage("--listen goes with --serve");
	if (a->user != NULL && a->mode != MODE_SERVE && a->mode != MODE_INETD)
		usage("--user goes with --serve or --inetd");
}

/* Ends the program if the configuration is bad. */
static struct config *
need_config(struct config *config, struct buffer *errors)
{
	if (config == NULL) {
		if (log_fd() == -1)
			log_errorx("%.*s", (int)errors->length, errors->data);
		else
			fwrite(errors->data, 1, errors->length, stderr);
		fputs("scgid: the configuration is bad, nothing started\n",
		    stderr);
		exit(EXIT_BAD_CONFIG);
	}
	buffer_fini(errors);
	return config;
}

static struct config *
load_config(const char *file)
{
	struct buffer errors = {0};

	return need_config(config_load(file, &errors), &errors);
}

static bool
is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	    x.st_ino == y.st_ino;
}

/* inetd gives its socket as stderr too: nothing of ours may be written there.
 */
static int
run_inetd(const struct arguments *a)
{
	bool is_shared = is_same_file(STDIN_FILENO, STDERR_FILENO);
	struct buffer text = {0}, errors = {0};
	struct config *config;
	int connection, result;

	if (is_shared)
		log_open("syslog");
	if (generated_inetd(&text, a->subject, a->rest, a->user,
		is_shared ? "syslog" : "stderr") == -1) {
		log_error("%s", a->subject);
		return EXIT_USAGE;
	}
	connection = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	for (int fd = 0; fd <= (is_shared ? 2 : 1); fd++)
		close(fd);
	if (connection == -1 || fd_open_standard() == -1)
		return EXIT_FAILED;
	config = config_parse("--inetd", text.data, text.length, &errors);
	buffer_fini(&text);
	need_config(config, &errors);
	result = single_serve(config, &config->pools[0], connection);
	config_free(config);
	return result == 0 ? 0 : EXIT_FAILED;
}

/* What is wrong with standard input for --inetd, or NULL. */
static const char *
judge_stdin(void)
{
	socklen_t length = sizeof(int);
	int listens;

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listens,
		&length) == -1)
		return "is not a socket";
	return listens ? "listens, and is no connection (inetd: nowait)" : NULL;
}

static int
run_serve(const struct arguments *a)
{
	char directory[] = "/tmp/scgid.XXXXXX";
	char path[64], target[80];
	struct buffer text = {0}, errors = {0};
	struct config *config;
	int result;

	if (mkdtemp(directory) == NULL || chmod(directory, 0711) == -1) {
		fprintf(stderr, "scgid: %s: %s\n", directory, strerror(errno));
		return EXIT_FAILED;
	}
	snprintf(path, sizeof(path), "%s/scgi.sock", directory);
	snprintf(target, sizeof(target), "unix:%s", path);
	if (generated_serve(&text, a->subject, path, a->user) == -1) {
		fprintf(stderr, "scgid: %s: %s\n", a->subject, strerror(errno));
		rmdir(directory);
		return EXIT_FAILED;
	}
	config = config_parse("--serve", text.data, text.length, &errors);
	buffer_fini(&text);
	if (config == NULL)
		rmdir(directory);
	result = serve_run(need_config(config, &errors), target, a->listen);
	config_free(config);
	rmdir(directory);
	return result;
}

/* In the background we leave this directory: HUP must still find the file. */
static int
run_daemon(const struct arguments *a, struct config *config)
{
	char *directory = NULL;
	struct buffer path = {0};
	int result = EXIT_FAILED;

	if ((a->file[0] == '/' || (directory = getcwd(NULL, 0)) != NULL) &&
	    buffer_printf(&path, "%s%s%s", directory != NULL ? directory : "",
		directory != NULL ? "/" : "", a->file) == 0)
		result = supervisor_run(
		    config, path.data, a->pid_file, a->background);
	else
		log_error("%s", a->file);
	free(directory);
	buffer_fini(&path);
	return result;
}

static int
tell_test(const struct config *config, const char *file)
{
	struct buffer warnings = {0};

	config_warn(config, &warnings);
	if (warnings.length > 0)
		fwrite(warnings.data, 1, warnings.length, stderr);
	buffer_fini(&warnings);
	printf("scgid: %s is fine\n", file);
	return 0;
}

static int
run_with_config(const struct arguments *a)
{
	struct config *config = load_config(a->file);
	int result = 0;

	if (a->mode == MODE_TEST)
		result = tell_test(config, a->file);
	else if (a->mode == MODE_DUMP)
		result = config_print(config, stdout) == 0 ? 0 : EXIT_FAILED;
	else if (a->mode == MODE_EXPLAIN)
		result = explain_url(config, a->subject, a->run);
	else
		return run_daemon(a, config);
	config_free(config);
	return result;
}

int
main(int argc, char **argv)
{
	struct arguments a = {.file = SCGID_CONF};
	const char *fault;

	if (fd_open_standard() == -1)
		return EXIT_FAILED;
	argv = process_init_title(argc, argv);
	support_init();
	parse_arguments(&a, argc, argv);
	if (a.debug)
		log_set_level(LOG_LEVEL_DEBUG);
	switch (a.mode) {
	case MODE_KEYS:
		return config_list_keys(stdout) == 0 ? 0 : EXIT_FAILED;
	case MODE_STATUS:
		return status_client_show(a.subject, a.watch);
	case MODE_SERVE:
		return run_serve(&a);
	case MODE_INETD:
		if ((fault = judge_stdin()) != NULL) {
			fprintf(stderr,
			    "scgid: --inetd: standard input %s; "
			    "it is for inetd, xinetd, launchd or systemd's "
			    "Accept=yes (to try a script: scgid --serve)\n",
			    fault);
			return EXIT_USAGE;
		}
		return run_inetd(&a);
	default:
		return run_with_config(&a);
	}
}
