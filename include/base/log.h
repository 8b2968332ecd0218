/*
 * log: one line an event, to stderr, syslog or a file.
 *
 * A line never holds a byte that came from outside unescaped: pass such text
 * through log_escape first.  Every function keeps errno.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* No line is longer than this, in bytes; what is over is cut. */
#define LOG_LINE_MAX 4096

/*
 * log_open: send what follows to `target`: "stderr", "syslog" or the path of
 * a file.  Returns 0, or -1 with errno set and the log unchanged.
 *
 * log_open_file: open a log, which is created with mode 0640 and appended to; a
 * symbolic link there is refused.  A descriptor that never waits, or -1 with
 * errno.
 */
int log_open(const char *target);
int log_open_file(const char *path);

/*
 * log_reconnect: after descriptors that one does not know were closed: find
 * the way to syslog again, if that is the log.
 */
void log_reconnect(void);

/* log_fd: the log's descriptor (borrowed), or -1 while it is syslog. */
int log_fd(void);

/* log_set_fd: log to `fd`, which becomes the log's. */
void log_set_fd(int fd);

/* log_set_level: drop lines above `level`.  The default is INFO. */
void log_set_level(enum log_level level);

/*
 * log_set_role: name this process, with its pid, in every line, for example
 * "gateway www"; again after a fork.
 * The string is copied and cut at 63 bytes.
 */
void log_set_role(const char *role);

/* log_line: write an already formatted line; a newline is added. */
void log_line(const char *line);

/* The x-less forms append strerror(errno), in the manner of warn(3). */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_errorx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * fatal, fatalx: log and exit with status 1.  For start-up only: nothing that
 * a client or a script does may end a process of ours.
 */
void
fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void
fatalx(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * log_escape: copy `length` bytes of `text` into `out` (of `size` bytes,
 * size > 0), with controls, non-ASCII, '"' and '\' written as \xNN, \n, \t,
 * \" or \\.  The result is NUL-terminated and cut at a whole escape.  Returns
 * `out`.
 */
char *log_escape(char *out, size_t size, const char *text, size_t length);

/*
 * log_escape_bare: the same, for text that stands in no quotes: '"' stays as
 * it is.
 */
char *log_escape_bare(char *out, size_t size, const char *text, size_t length);

#endif
