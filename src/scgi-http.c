/*
 * scgi-http: an HTTP server in front of one SCGI server, for trying things.
 * Arguments and wiring only.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "frontend/http.h"

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2
};

static void
usage(FILE *out)
{
	fputs("usage: scgi-http [-l ADDRESS:PORT] [-r DOCUMENT_ROOT] TARGET\n"
	      "TARGET is unix:/path, address:port or [v6]:port.\n"
	      "  -l, --listen ADDRESS:PORT  default " HTTP_DEFAULT_LISTEN "\n"
	      "  -r, --root DIRECTORY       sent as DOCUMENT_ROOT\n"
	      "  -h, --help                 -V, --version\n",
	    out);
}

static void
parse_options(struct http_options *o, int argc, char **argv)
{
	static const struct option table[] = {
	    {"help", no_argument, NULL, 'h'},
	    {"listen", required_argument, NULL, 'l'},
	    {"root", required_argument, NULL, 'r'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "hl:r:V", table, NULL)) != -1) {
		switch (c) {
		case 'l':
			o->listen = optarg;
			break;
		case 'r':
			o->document_root = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("scgi-http " SCGID_VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(EXIT_USAGE);
		}
	}
	if (argc - optind != 1) {
		usage(stderr);
		exit(EXIT_USAGE);
	}
	o->target = argv[optind];
}

int
main(int argc, char **argv)
{
	struct http_options options = {0};
	struct http_frontend *frontend;
	char error[HTTP_ERROR_SIZE];
	int result;

	if (fd_open_standard() == -1)
		return EXIT_FAILED;
	log_set_role("scgi-http");
	parse_options(&options, argc, argv);
	frontend = http_frontend_new(&options, error);
	if (frontend == NULL)
		fatalx("%s", error);
	printf("%s\n", http_frontend_url(frontend));
	fflush(stdout);
	result = http_frontend_run(frontend);
	http_frontend_free(frontend);
	return result == 0 ? 0 : EXIT_FAILED;
}
