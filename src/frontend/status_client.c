/*
 * status_client.c: asks for the text form and prints it.  What it prints holds
 * no control characters but newlines, whoever answered.
 */
#include "frontend/status_client.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontend/scgi_client.h"
#include "frontend/transfer.h"
#include "scgi/request.h"

/* In seconds. */
#define PATIENCE 10

/* More than a page ever has. */
#define PAGE_MAX ((size_t)1 << 20)

struct view {
	struct scgi_target target;
	char *uri; /* owned */
	bool is_terminal;
	struct buffer page; /* owned */
	char error[300];
};

static volatile sig_atomic_t is_interrupted;

static void
on_interrupt(int signal_number)
{
	(void)signal_number;
	is_interrupted = 1;
}

static void
on_alarm(int signal_number)
{
	static const char text[] = "scgid: --status: no answer in time\n";

	(void)signal_number;
	_exit(write(STDERR_FILENO, text, sizeof(text) - 1) == -1 ? 2 : 1);
}

/* "TARGET#/path": NULL, or what is wrong. */
static const char *
parse_target(struct view *v, const char *text)
{
	const char *hash = strchr(text, '#'), *wrong;
	const char *path = hash != NULL ? hash + 1 : STATUS_DEFAULT_PATH;
	char *address;

	if (path[0] != '/')
		return "the path after '#' does not begin with '/'";
	if (asprintf(&v->uri, "%s?text", path) == -1) {
		v->uri = NULL;
		return "out of memory";
	}
	if (asprintf(&address, "%s%.*s", text[0] == '/' ? "unix:" : "",
		(int)strcspn(text, "#"), text) == -1)
		return "out of memory";
	wrong = scgi_client_parse_target(&v->target, address);
	free(address);
	return wrong;
}

static int
write_request(struct view *v, struct buffer *out)
{
	const struct scgi_stock stock = scgi_client_stock(v->uri);
	struct buffer params = {0};
	int result = scgi_client_write_stock(&params, &stock);

	if (result == 0)
		result = scgi_write_header(out, &params);
	buffer_fini(&params);
	return result;
}

/* What was received, from the start of its file. */
static int
read_page(struct view *v, int fd, size_t length)
{
	v->page.length = 0;
	if (length > PAGE_MAX)
		length = PAGE_MAX;
	if (buffer_reserve(&v->page, length + 1) == -1)
		return -1;
	if (pread(fd, v->page.data, length, 0) != (ssize_t)length)
		return -1;
	v->page.length = length;
	return 0;
}

static bool
is_text(const struct view *v, size_t head_size)
{
	struct scgi_field field;
	size_t cursor = 0;

	if (head_size > v->page.length)
		return false;
	while (scgi_client_next_field(v->page.data, head_size, &cursor, &field))
		if (scgi_client_field_is(&field, "Content-Type"))
			return field.value_length >= 10 &&
			    memcmp(field.value, "text/plain", 10) == 0;
	return false;
}

/* 0 with a page, or -1 with an error. */
static int
fetch(struct view *v)
{
	struct transfer t = {
	    .body = -1, .output = fd_memory_file(), .show_head = true};
	int result = -1;

	if (t.output == -1)
		t.output = fd_temporary_file("/tmp");
	if (t.output == -1 || write_request(v, &t.out) == -1)
		snprintf(v->error, sizeof(v->error), "%s", strerror(errno));
	else if (transfer_run(&t, &v->target) != TRANSFER_DONE)
		snprintf(v->error, sizeof(v->error), "%s", t.error);
	else if (read_page(v, t.output, t.head.size + (size_t)t.received) == -1)
		snprintf(v->error, sizeof(v->error), "%s", strerror(errno));
	else if (t.head.status != 200 || !is_text(v, t.head.size))
		snprintf(v->error, sizeof(v->error),
		    "status %d: there is no status page at %.*s (see "
		    "\"status\" "
		    "in scgid.conf(5))",
		    t.head.status, (int)strcspn(v->uri, "?"), v->uri);
	else
		result = 0;
	if (result == 0)
		buffer_consume(&v->page, t.head.size);
	fd_close(&t.output);
	transfer_fini(&t);
	return result;
}

/* Print a page of `rows` lines of `columns` bytes; 0: of any. */
static void
print_page(const struct view *v, unsigned rows, unsigned columns)
{
	unsigned row = 0, column = 0;

	for (size_t i = 0; i < v->page.length; i++) {
		char c = v->page.data[i];

		if (c == '\n') {
			if (++row == rows && rows != 0)
				return;
			column = 0;
			fputs(rows != 0 ? "\033[K\n" : "\n", stdout);
		} else if (columns == 0 || column++ < columns) {
			putchar(c >= ' ' && c < 0x7f ? c : '?');
		}
	}
}

/* Draw over what was there: no flicker; then clear what is left of it. */
static void
redraw(const struct view *v)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	if (!v->is_terminal) {
		print_page(v, 0, 0);
		putchar('\n');
		fflush(stdout);
		return;
	}
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_row == 0 ||
	    size.ws_col == 0)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	fputs("\033[H", stdout);
	print_page(v, size.ws_row, size.ws_col);
	fputs("\033[J", stdout);
	fflush(stdout);
}

static void
set_handlers(bool watch)
{
	struct sigaction action = {0};

	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = on_interrupt;
	if (watch) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* A daemon that is being started again is waited for. */
static int
watch_page(struct view *v)
{
	const struct timespec second = {1, 0};
	bool was_there = false;

	if (v->is_terminal)
		fputs("\033[H\033[J", stdout);
	while (!is_interrupted && !ferror(stdout)) {
		alarm(PATIENCE);
		if (fetch(v) == 0) {
			was_there = true;
		} else if (!was_there) {
			return -1;
		} else {
			v->page.length = 0;
			buffer_printf(&v->page, "scgid: %s\n", v->error);
		}
		alarm(0);
		if (!is_interrupted)
			redraw(v);
		if (!is_interrupted)
			nanosleep(&second, NULL);
	}
	if (v->is_terminal)
		putchar('\n');
	return 0;
}

int
status_client_show(const char *target, bool watch)
{
	struct view v = {.is_terminal = isatty(STDOUT_FILENO) == 1};
	const char *wrong = parse_target(&v, target);
	int result = 0;

	if (wrong != NULL) {
		fprintf(stderr, "scgid: --status %s: %s\n", target, wrong);
		free(v.uri);
		return 2;
	}
	set_handlers(watch);
	alarm(PATIENCE);
	if (watch ? watch_page(&v) == -1 : fetch(&v) == -1) {
		fprintf(stderr, "scgid: --status %s: %s\n", target, v.error);
		result = 1;
	} else if (!watch) {
		print_page(&v, 0, 0);
		result = fflush(stdout) == 0 ? 0 : 1;
	}
	buffer_fini(&v.page);
	free(v.uri);
	return result;
}
