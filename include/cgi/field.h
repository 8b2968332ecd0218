/*
 * cgi/field: the syntax of one line of a script's header block.  Pure.
 */
#ifndef CGI_FIELD_H
#define CGI_FIELD_H

#include <stdbool.h>
#include <stddef.h>

enum cgi_line {
	CGI_LINE_FIELD,	       /* "Name: value" */
	CGI_LINE_STATUS,       /* "HTTP/1.1 404 Gone away" */
	CGI_LINE_OTHER,	       /* no field: text, or a name that is no token */
	CGI_LINE_CONTINUATION, /* begins with a space or a tab */
	CGI_LINE_SPACE_BEFORE_COLON,
	CGI_LINE_CONTROL /* a field or status line with a control byte */
};

/* All borrowed from the line; spaces around the value are not part of it. */
struct cgi_field {
	const char *name;
	size_t name_length; /* 0 in a status line */
	const char *value;  /* of a status line: "404 Gone away" */
	size_t value_length;
	const char *control; /* with CGI_LINE_CONTROL: the first one */
};

/*
 * cgi_field_parse: judge a line, which has no line end.  `field` is set for
 * FIELD, STATUS and CONTROL.
 */
enum cgi_line
cgi_field_parse(const char *line, size_t length, struct cgi_field *field);

/* cgi_field_is: whether its name is `name`; case is ignored. */
bool cgi_field_is(const struct cgi_field *field, const char *name);

/*
 * cgi_field_is_for_us: whether it is about the connection or for the server,
 * so that it is never sent on: Transfer-Encoding, Connection and kin, X-CGI-*.
 */
bool cgi_field_is_for_us(const struct cgi_field *field);

/* cgi_field_is_accel: whether it tells the front end to send a file. */
bool cgi_field_is_accel(const struct cgi_field *field);

#endif
