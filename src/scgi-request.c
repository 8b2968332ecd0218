/*
 * scgi-request: curl for SCGI.  Arguments to parameters; the rest is
 * frontend/transfer.
 */
#include <sys/stat.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/log.h"
#include "frontend/scgi_client.h"
#include "frontend/transfer.h"
#include "scgi/request.h"

enum {
	EXIT_USAGE = 2
};

struct text_list {
	char **items; /* borrowed from argv */
	size_t count;
};

struct options {
	const char *uri;
	const char *method; /* NULL: GET, or POST with data */
	const char *data;
	const char *output;
	struct text_list fields; /* -H */
	struct text_list params; /* -p */
	bool show_head;
	bool fail;
	bool verbose;
};

static void die(int code, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

static void
die(int code, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "scgi-request: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(code);
}

static void
on_alarm(int signal_number)
{
	static const char text[] = "scgi-request: timed out\n";

	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) == -1)
		_exit(TRANSFER_TIMEOUT);
	_exit(TRANSFER_TIMEOUT);
}

static void
usage(FILE *out)
{
	fputs(
	    "usage: scgi-request [-fiv] [-d DATA | @FILE | @-] [-H FIELD]\n"
	    "           [-m SECONDS] [-o FILE] [-p NAME[=VALUE]] [-X METHOD]\n"
	    "           TARGET URI\n"
	    "TARGET is unix:/path, address:port or [v6]:port.\n"
	    "  -d, --data DATA      send DATA, or a file's bytes, as the body\n"
	    "  -f, --fail           exit 22 if the status is 400 or more\n"
	    "  -H, --header FIELD   send \"Name: value\"; \"Name:\" sends "
	    "none\n"
	    "  -i, --include        write the response header too\n"
	    "  -m, --max-time SECS  give up after so long\n"
	    "  -o, --output FILE    write to FILE\n"
	    "  -p, --param NAME=VAL set a parameter; NAME alone drops it\n"
	    "  -v, --verbose        show what is sent and the header received\n"
	    "  -X, --request METHOD use this method\n"
	    "  -h, --help           -V, --version\n",
	    out);
}

static void
set_timeout(const char *text)
{
	struct itimerval timer = {{0, 0}, {0, 0}};
	char *end;
	double seconds = strtod(text, &end);

	if (*end != '\0' || end == text || !(seconds > 0) || seconds > 1e6)
		die(EXIT_USAGE, "-m: not a time in seconds: %s", text);
	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec =
	    (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
	if (timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0)
		timer.it_value.tv_usec = 1;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void
add_text(struct text_list *list, char *text, char needed)
{
	if (needed != '\0' && strchr(text, needed) == NULL)
		die(EXIT_USAGE, "no '%c' in \"%s\"", needed, text);
	list->items =
	    realloc(list->items, (list->count + 1) * sizeof(*list->items));
	if (list->items == NULL)
		die(TRANSFER_FAILED, "out of memory");
	list->items[list->count++] = text;
}

/* The text whose part before `separator` is `name`, or NULL. */
static const char *
find_text(const struct text_list *list, const char *name, char separator)
{
	char stop[2] = {separator, '\0'};
	size_t i, length = strlen(name);
	int differ;

	for (i = 0; i < list->count; i++) {
		const char *text = list->items[i];

		if (strcspn(text, stop) != length)
			continue;
		differ = separator == ':' ? strncasecmp(text, name, length)
					  : strncmp(text, name, length);
		if (differ == 0)
			return text;
	}
	return NULL;
}

static const char *
field_value(const char *text)
{
	const char *value = strchr(text, ':') + 1;

	return value + strspn(value, " \t");
}

static void
must_write(int result)
{
	if (result == -1)
		die(TRANSFER_FAILED, "out of memory");
}

/* What curl would send by itself, unless -H says otherwise; then -H. */
static void
write_fields(struct buffer *params, const struct options *o)
{
	static const char *const defaults[][2] = {{"Host", "localhost"},
	    {"User-Agent", "scgi-request/" SCGID_VERSION}, {"Accept", "*/*"}};
	size_t i;

	for (i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		if (find_text(&o->fields, defaults[i][0], ':') == NULL)
			must_write(scgi_client_write_field(
			    params, defaults[i][0], defaults[i][1]));
	for (i = 0; i < o->fields.count; i++) {
		char *text = o->fields.items[i];
		const char *value = field_value(text);
		char *name = strndup(text, strcspn(text, ":"));

		if (name == NULL)
			die(TRANSFER_FAILED, "out of memory");
		if (*value != '\0')
			must_write(
			    scgi_client_write_field(params, name, value));
		free(name);
	}
}

/* Copy the defaults that no -p names, then append each "-p NAME=VALUE". */
static void
apply_params(struct buffer *out, const struct buffer *defaults,
    const struct text_list *given)
{
	const char *cursor = defaults->data, *name, *value;
	const char *end = defaults->data + defaults->length;
	size_t i;

	while (scgi_next_param(&cursor, end, &name, &value))
		if (strcmp(name, "CONTENT_LENGTH") == 0 ||
		    find_text(given, name, '=') == NULL)
			must_write(scgi_write_param(out, name, value));
	for (i = 0; i < given->count; i++) {
		const char *equals = strchr(given->items[i], '=');
		char *copy;

		if (equals == NULL)
			continue;
		copy = strndup(
		    given->items[i], (size_t)(equals - given->items[i]));
		must_write(copy == NULL
			? -1
			: scgi_write_param(out, copy, equals + 1));
		free(copy);
	}
}

static void
show_params(const struct buffer *params)
{
	const char *cursor = params->data, *name, *value;
	char escaped[4096];

	while (scgi_next_param(
	    &cursor, params->data + params->length, &name, &value))
		fprintf(stderr, "> %s=%s\n", name,
		    log_escape(escaped, sizeof(escaped), value, strlen(value)));
}

static const char *
method_of(const struct options *o)
{
	if (o->method != NULL)
		return o->method;
	return o->data != NULL ? "POST" : "GET";
}

/* Put the SCGI header into t->out. */
static void
prepare_header(
    struct transfer *t, const struct options *o, uint64_t content_length)
{
	const char *type = find_text(&o->fields, "Content-Type", ':');
	struct scgi_stock stock = scgi_client_stock(o->uri);
	struct buffer defaults = {0}, params = {0};

	stock.method = method_of(o);
	stock.content_length = content_length;
	if (type != NULL)
		stock.content_type = field_value(type);
	else if (o->data != NULL)
		stock.content_type = "application/x-www-form-urlencoded";
	must_write(scgi_client_write_stock(&defaults, &stock));
	write_fields(&defaults, o);
	apply_params(&params, &defaults, &o->params);
	if (o->verbose)
		show_params(&params);
	must_write(scgi_write_header(&t->out, &params));
	buffer_fini(&defaults);
	buffer_fini(&params);
}

/* Its length must be known before the header: a pipe is copied to a file. */
static int
spool(int from)
{
	FILE *file = tmpfile();
	char piece[64 * 1024];
	ssize_t n;

	if (file == NULL)
		die(TRANSFER_READ, "cannot make a temporary file: %s",
		    strerror(errno));
	while ((n = read(from, piece, sizeof(piece))) > 0)
		if (fwrite(piece, 1, (size_t)n, file) != (size_t)n)
			die(TRANSFER_READ, "temporary file: %s",
			    strerror(errno));
	if (n == -1 || fflush(file) != 0)
		die(TRANSFER_READ, "cannot read the body: %s", strerror(errno));
	rewind(file);
	return fileno(file);
}

static void
open_body(struct transfer *t, const char *path)
{
	struct stat st;
	off_t position = 0;

	t->body = strcmp(path, "-") == 0 ? STDIN_FILENO
					 : open(path, O_RDONLY | O_CLOEXEC);
	if (t->body == -1 || fstat(t->body, &st) == -1)
		die(TRANSFER_READ, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode)) {
		t->body = spool(t->body);
		if (fstat(t->body, &st) == -1)
			die(TRANSFER_READ, "%s: %s", path, strerror(errno));
	} else if ((position = lseek(t->body, 0, SEEK_CUR)) == -1) {
		die(TRANSFER_READ, "%s: %s", path, strerror(errno));
	}
	if (st.st_size > position)
		t->unread = (uint64_t)(st.st_size - position);
}

static const struct option long_options[] = {
    {"data", required_argument, NULL, 'd'},
    {"fail", no_argument, NULL, 'f'},
    {"header", required_argument, NULL, 'H'},
    {"help", no_argument, NULL, 'h'},
    {"include", no_argument, NULL, 'i'},
    {"max-time", required_argument, NULL, 'm'},
    {"output", required_argument, NULL, 'o'},
    {"param", required_argument, NULL, 'p'},
    {"request", required_argument, NULL, 'X'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void
parse_options(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "d:fH:him:o:p:VvX:", long_options,
		    NULL)) != -1) {
		switch (c) {
		case 'd':
			if (o->data != NULL)
				die(EXIT_USAGE, "-d: given twice");
			o->data = optarg;
			break;
		case 'f':
			o->fail = true;
			break;
		case 'H':
			add_text(&o->fields, optarg, ':');
			break;
		case 'i':
			o->show_head = true;
			break;
		case 'm':
			set_timeout(optarg);
			break;
		case 'o':
			o->output = optarg;
			break;
		case 'p':
			add_text(&o->params, optarg, '\0');
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'X':
			o->method = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("scgi-request " SCGID_VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(EXIT_USAGE);
		}
	}
}

/* Fill in what is to be sent. */
static void
prepare(struct transfer *t, const struct options *o)
{
	const char *data = o->data == NULL ? "" : o->data;

	t->is_head = strcmp(method_of(o), "HEAD") == 0;
	t->show_head = o->show_head;
	t->fail = o->fail;
	t->verbose = o->verbose;
	if (data[0] == '@') {
		open_body(t, data + 1);
		prepare_header(t, o, t->unread);
	} else {
		prepare_header(t, o, strlen(data));
		must_write(buffer_append_string(&t->out, data));
	}
	t->output = STDOUT_FILENO;
	if (o->output != NULL)
		t->output = open(
		    o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (t->output == -1)
		die(TRANSFER_WRITE, "%s: %s", o->output, strerror(errno));
}

int
main(int argc, char **argv)
{
	struct options options = {0};
	struct transfer t = {.body = -1};
	struct scgi_target target;
	const char *wrong;
	enum transfer_code code;

	if (fd_open_standard() == -1)
		return TRANSFER_FAILED;
	signal(SIGPIPE, SIG_IGN);
	parse_options(&options, argc, argv);
	if (argc - optind != 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	wrong = scgi_client_parse_target(&target, argv[optind]);
	if (wrong != NULL)
		die(EXIT_USAGE, "%s: %s", argv[optind], wrong);
	options.uri = argv[optind + 1];
	if (options.uri[0] != '/')
		die(EXIT_USAGE, "%s: does not begin with '/'", options.uri);
	prepare(&t, &options);
	code = transfer_run(&t, &target);
	if (code != TRANSFER_DONE)
		die((int)code, "%s", t.error);
	if (t.output != STDOUT_FILENO && close(t.output) == -1)
		die(TRANSFER_WRITE, "cannot write: %s", strerror(errno));
	transfer_fini(&t);
	free(options.fields.items);
	free(options.params.items);
	return TRANSFER_DONE;
}
