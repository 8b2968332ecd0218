/*
 * log.c: owns the process's log destination.  Lines are formatted on the
 * stack and written with one write, so that processes can share a file.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"

static struct {
	int fd; /* owned unless it is stderr; -1: syslog */
	enum log_level level;
	char role[64];
	long pid; /* of the process that set the role */
} logger = {STDERR_FILENO, LOG_LEVEL_INFO, "scgid", 0};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const int level_syslog[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

int
log_open_file(const char *path)
{
	/* O_NONBLOCK: who reads a FIFO, or does not, must not stop us. */
	return open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY |
		O_NONBLOCK,
	    0640);
}

int
log_open(const char *target)
{
	int fd;

	if (strcmp(target, "stderr") == 0)
		fd = STDERR_FILENO;
	else if (strcmp(target, "syslog") == 0)
		fd = -1;
	else if ((fd = log_open_file(target)) == -1)
		return -1;
	log_set_fd(fd);
	log_reconnect();
	return 0;
}

/* closelog forgets a descriptor of its own that was closed behind its back. */
void
log_reconnect(void)
{
	if (logger.fd != -1)
		return;
	closelog();
	openlog("scgid", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
log_set_fd(int fd)
{
	if (logger.fd > STDERR_FILENO)
		close(logger.fd);
	logger.fd = fd;
}

int
log_fd(void)
{
	return logger.fd;
}

void
log_set_level(enum log_level level)
{
	logger.level = level;
}

void
log_set_role(const char *role)
{
	snprintf(logger.role, sizeof(logger.role), "%s", role);
	logger.pid = (long)getpid();
}

/* A log that cannot be written must not stop the service: errors are lost. */
static void
log_write(enum log_level level, const char *message)
{
	char line[LOG_LINE_MAX], now[CLOCK_FORMAT_SIZE];
	int length;

	if (logger.fd == -1) {
		syslog(level_syslog[level], "%s: %s", logger.role, message);
		return;
	}
	clock_format_utc(now);
	length = snprintf(line, sizeof(line), "%s %s %s[%ld]: %s\n", now,
	    level_names[level], logger.role,
	    logger.pid != 0 ? logger.pid : (long)getpid(), message);
	if (length < 0)
		return;
	if ((size_t)length >= sizeof(line)) {
		length = (int)sizeof(line) - 1;
		line[length - 1] = '\n';
	}
	while (write(logger.fd, line, (size_t)length) == -1 && errno == EINTR)
		continue;
}

static void
log_format(enum log_level level, int code, const char *format, va_list ap)
{
	char message[LOG_LINE_MAX];
	int saved = errno;
	size_t used;

	if (level <= logger.level) {
		vsnprintf(message, sizeof(message), format, ap);
		used = strlen(message);
		if (code != 0)
			snprintf(message + used, sizeof(message) - used, ": %s",
			    strerror(code));
		log_write(level, message);
	}
	errno = saved;
}

void
log_line(const char *line)
{
	int saved = errno;

	log_write(LOG_LEVEL_INFO, line);
	errno = saved;
}

#define LOG_BODY(level, code)                        \
	do {                                         \
		va_list ap;                          \
		va_start(ap, format);                \
		log_format(level, code, format, ap); \
		va_end(ap);                          \
	} while (0)

void
log_error(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, errno);
}

void
log_errorx(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, 0);
}

void
log_warn(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, errno);
}

void
log_warnx(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, 0);
}

void
log_info(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_INFO, 0);
}

void
log_debug(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG, 0);
}

void
fatal(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, errno);
	exit(1);
}

void
fatalx(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, 0);
	exit(1);
}

static char *
escape(char *out, size_t size, const char *text, size_t length, bool quotes)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		char piece[4];
		size_t n;

		/* Nearly all. */
		if (c >= ' ' && c != '"' && c != '\\' && c < 0x7f &&
		    used + 1 < size) {
			out[used++] = (char)c;
			continue;
		}
		piece[0] = '\\';
		n = 2;
		if ((c == '"' && quotes) || c == '\\') {
			piece[1] = (char)c;
		} else if (c == '\n') {
			piece[1] = 'n';
		} else if (c == '\t') {
			piece[1] = 't';
		} else if (c < 0x20 || c >= 0x7f) {
			piece[1] = 'x';
			piece[2] = hex[c >> 4];
			piece[3] = hex[c & 15];
			n = 4;
		} else {
			piece[0] = (char)c;
			n = 1;
		}
		if (used + n >= size)
			break;
		memcpy(out + used, piece, n);
		used += n;
	}
	out[used] = '\0';
	return out;
}

char *
log_escape(char *out, size_t size, const char *text, size_t length)
{
	return escape(out, size, text, length, true);
}

char *
log_escape_bare(char *out, size_t size, const char *text, size_t length)
{
	return escape(out, size, text, length, false);
}
