/*
 * source: from files to lines to inih.
 *
 * inih cuts what is too long, joins what is indented, takes a directory for
 * an empty file, and does not say where it is.  So files are read here, and
 * the reader that feeds it hands on only lines that it cannot get wrong:
 * blank ones in place of those that are refused or hold nothing, a section
 * with a short name, or a key and '='.
 */
#include "config/options.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)

void
parse_error(
    struct parse *p, const char *file, unsigned line, const char *format, ...)
{
	char message[OPTION_WHY_SIZE + 128];
	va_list ap;

	p->error_count++;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	/* Without memory for the line the count still makes it a failure. */
	if (line == 0)
		(void)buffer_printf(p->errors, "%s: %s\n", file, message);
	else
		(void)buffer_printf(
		    p->errors, "%s:%u: %s\n", file, line, message);
}

/* line_has_controls: report the first one; a NUL also ends the file. */
static bool
line_has_controls(struct parse *p, const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c == '\0') {
			parse_error(p, p->file, p->line,
			    "a NUL byte: this is not a text file");
			p->left = 0;
			return true;
		}
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			parse_error(p, p->file, p->line,
			    "control character 0x%02x at column %zu", c, i + 1);
			return true;
		}
	}
	return false;
}

/* find_mark: as inih looks for `marks`, which a comment hides. */
static const char *
find_mark(const char *line, size_t length, const char *marks)
{
	for (size_t i = 0; i < length; i++) {
		if (strchr(marks, line[i]) != NULL)
			return line + i;
		if (line[i] == ';' && i > 0 &&
		    (line[i - 1] == ' ' || line[i - 1] == '\t'))
			return NULL;
	}
	return NULL;
}

/* accept_section: whether inih may see the line "[...]". */
static bool
accept_section(struct parse *p, const char *line, size_t length)
{
	const char *end = find_mark(line + 1, length - 1, "]");
	size_t after;

	if (end == NULL) {
		parse_error(p, p->file, p->line, "a section without its ']'");
		section_begin(p, NULL, 0);
		return false;
	}
	for (after = (size_t)(end + 1 - line);
	     after < length && (line[after] == ' ' || line[after] == '\t');)
		after++;
	if (after < length && line[after] != ';' && line[after] != '#')
		parse_error(p, p->file, p->line, "text after the ']'");
	length = (size_t)(end - line - 1);
	if (length > PARSE_NAME_MAX) {
		parse_error(p, p->file, p->line,
		    "the section's name is %zu bytes long, more than %d",
		    length, PARSE_NAME_MAX);
		section_begin(p, NULL, 0);
		return false;
	}
	section_begin(p, line + 1, length);
	return true;
}

/* accept_key: whether inih may see the line "key = value". */
static bool
accept_key(struct parse *p, const char *line, size_t length)
{
	const char *mark = find_mark(line, length, "=:"), *end = mark;

	while (end != NULL && end > line && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (mark == NULL)
		parse_error(
		    p, p->file, p->line, "neither [SECTION] nor KEY = VALUE");
	else if (*mark == ':')
		parse_error(p, p->file, p->line,
		    "a ':' before any '=': write KEY = VALUE");
	else if (end == line)
		parse_error(p, p->file, p->line, "no key before the '='");
	else if (end - line > PARSE_NAME_MAX)
		parse_error(p, p->file, p->line, "a key of more than %d bytes",
		    PARSE_NAME_MAX);
	else
		return true;
	return false;
}

/* accept_line: whether inih may see it; if not, a blank one takes its place. */
static bool
accept_line(struct parse *p, const char *line, size_t length, size_t most)
{
	size_t blanks = 0;

	if (line_has_controls(p, line, length))
		return false;
	while (blanks < length && (line[blanks] == ' ' || line[blanks] == '\t'))
		blanks++;
	if (blanks == length || line[blanks] == ';' || line[blanks] == '#')
		return false;
	if (length > most) {
		parse_error(p, p->file, p->line,
		    "the line is %zu bytes long, more than %zu", length, most);
		/* The keys that follow are not those of the section before. */
		if (line[blanks] == '[')
			section_begin(p, NULL, 0);
		return false;
	}
	if (blanks > 0) {
		parse_error(p, p->file, p->line,
		    "the line begins with white space; a value cannot "
		    "continue on the next line");
		if (line[blanks] == '[')
			section_begin(p, NULL, 0);
		return false;
	}
	return line[0] == '[' ? accept_section(p, line, length)
			      : accept_key(p, line, length);
}

/* on_line: in the manner of fgets(3), which inih expects. */
static char *
on_line(char *out, int size, void *stream)
{
	struct parse *p = stream;
	const char *line = p->text, *end;
	size_t length, most = PARSE_LINE_MAX;

	if (p->left == 0 || size < 3)
		return NULL;
	end = memchr(line, '\n', p->left);
	length = end != NULL ? (size_t)(end - line) : p->left;
	p->text += length + (end != NULL);
	p->left -= length + (end != NULL);
	p->line++;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	/* An inih that was built with less room says so by `size`. */
	if (most > (size_t)size - 3)
		most = (size_t)size - 3;
	if (!accept_line(p, line, length, most))
		length = 0;
	memcpy(out, line, length);
	out[length] = '\n';
	out[length + 1] = '\0';
	return out;
}

/*
 * on_pair: inih's callback; never fails, so that an error it returns is its
 * own.
 */
static int
on_pair(void *stream, const char *section, const char *key, const char *value)
{
	struct parse *p = stream;

	if (key == NULL)
		return 1;
	if (p->section != SECTION_NONE && strcmp(section, p->section_name))
		parse_error(p, p->file, p->line,
		    "section [%s] was read as [%s]", p->section_name, section);
	else if (value != NULL &&
	    strlen(key) + strlen(value) + 3 > PARSE_LINE_MAX)
		parse_error(p, p->file, p->line,
		    "\"KEY = VALUE\" is longer than %d bytes", PARSE_LINE_MAX);
	else
		section_set(p, key, value != NULL ? value : "");
	return 1;
}

void
parse_text(struct parse *p, const char *file, const char *text, size_t length)
{
	int result;

	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		length -= 3;
	}
	p->file = file;
	p->line = 0;
	p->text = text;
	p->left = length;
	p->section = SECTION_NONE;
	p->before_sections = true;
	if ((result = ini_parse_stream(on_line, p, on_pair, p)) != 0)
		parse_error(p, file, result > 0 ? (unsigned)result : 0,
		    result == -2 ? "out of memory" : "cannot be parsed");
	section_end(p);
}

/* read_all: a regular file of a sensible size.  0, or -1 and why. */
static int
read_all(int fd, struct buffer *content, char *why)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return option_fail(why, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return option_fail(why, "not a regular file");
	do {
		if (content->length > FILE_SIZE_MAX)
			return option_fail(
			    why, "larger than %zu bytes", FILE_SIZE_MAX);
		if (buffer_reserve(content, 65536) == -1)
			return option_fail(why, "out of memory");
		n = read(fd, content->data + content->length, 65536);
		if (n > 0)
			content->length += (size_t)n;
	} while (n > 0 || (n == -1 && errno == EINTR));
	if (n == -1)
		return option_fail(why, "%s", strerror(errno));
	return 0;
}

static void
parse_file(struct parse *p, const char *file)
{
	struct buffer content = {0};
	char why[OPTION_WHY_SIZE];
	int fd;

	/* O_NONBLOCK: a FIFO is to be refused, not waited for. */
	fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1) {
		parse_error(p, file, 0, "%s", strerror(errno));
		return;
	}
	if (read_all(fd, &content, why) == -1)
		parse_error(p, file, 0, "%s", why);
	else
		parse_text(p, file, content.data, content.length);
	close(fd);
	buffer_fini(&content);
}

/* append_directory: that of `file`, as a pattern for nothing else. */
static int
append_directory(struct buffer *pattern, const char *file)
{
	const char *slash = strrchr(file, '/');
	int result = 0;

	for (; slash != NULL && file <= slash; file++) {
		if (strchr("*?[\\", *file) != NULL)
			result |= buffer_append(pattern, "\\", 1);
		result |= buffer_append(pattern, file, 1);
	}
	return result;
}

int
include_add(struct parse *p, const char *pattern, char why[OPTION_WHY_SIZE])
{
	struct buffer path = {0};
	glob_t found;
	int result = 0;

	if (p->include_from == NULL)
		return option_fail(
		    why, "only a configuration file can include others");
	if (pattern[0] != '/')
		result = append_directory(&path, p->include_from);
	if (result != 0 ||
	    buffer_append(&path, pattern, strlen(pattern) + 1) == -1) {
		buffer_fini(&path);
		return option_fail(why, "out of memory");
	}
	result = glob(path.data, GLOB_ERR, NULL, &found);
	if (result == GLOB_NOSPACE)
		option_fail(why, "out of memory");
	else if (result == GLOB_ABORTED)
		option_fail(why, "'%s': %s", path.data, strerror(errno));
	/* No file yet in a directory of files is no fault. */
	else if (result == GLOB_NOMATCH && strpbrk(pattern, "*?[") == NULL)
		option_fail(why, "'%s': %s", path.data, strerror(ENOENT));
	else
		result = 0;
	buffer_fini(&path);
	for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
		if (list_add(&p->files, found.gl_pathv[i],
			strlen(found.gl_pathv[i])) == -1)
			result = option_fail(why, "out of memory");
	globfree(&found);
	return result == 0 ? 0 : -1;
}

/* parse_finish: hand out the configuration if it has no error. */
static struct config *
parse_finish(struct parse *p, const char *file)
{
	struct config *config = p->config;

	check_whole(p, file);
	for (size_t i = 0; i < p->map_count; i++) {
		config_map_fini(&p->maps[i].map);
		free(p->maps[i].pool_name);
	}
	free(p->maps);
	paths_fini(p);
	list_fini(&p->files);
	if (p->error_count == 0)
		return config;
	config_free(config);
	return NULL;
}

struct config *
config_load(const char *path, struct buffer *errors)
{
	struct parse p = {.errors = errors, .include_from = path};

	if ((p.config = calloc(1, sizeof(*p.config))) == NULL) {
		parse_error(&p, path, 0, "out of memory");
		return NULL;
	}
	parse_file(&p, path);
	for (size_t i = 0; i < p.files.count; i++)
		parse_file(&p, p.files.items[i]);
	return parse_finish(&p, path);
}

struct config *
config_parse(
    const char *name, const char *text, size_t length, struct buffer *errors)
{
	struct parse p = {.errors = errors};

	if ((p.config = calloc(1, sizeof(*p.config))) == NULL) {
		parse_error(&p, name, 0, "out of memory");
		return NULL;
	}
	parse_text(&p, name, text, length);
	return parse_finish(&p, name);
}
