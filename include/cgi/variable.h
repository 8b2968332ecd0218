/*
 * cgi/variable: who may set an environment variable of a worker.  Pure.
 */
#ifndef CGI_VARIABLE_H
#define CGI_VARIABLE_H

/*
 * What cgi_variable_rules answers, or-ed together; 0: anybody may set it.
 * Refused are loader, shell and interpreter variables, HTTP_PROXY and its kin
 * in any spelling, fields for one hop, our own, and any name that is not
 * [A-Za-z_][A-Za-z0-9_]*.
 */
enum cgi_variable_rule {
	CGI_VARIABLE_COMPUTED = 1,  /* env.NAME cannot set it */
	CGI_VARIABLE_REFUSED = 2,   /* a request cannot: it is dangerous */
	CGI_VARIABLE_REPLACED = 4,  /* a request cannot: ours is exported */
	CGI_VARIABLE_NOT_EMPTY = 8, /* empty in a request counts as not sent */
	CGI_VARIABLE_SECRET = 16    /* passed only with authorization = pass */
};

/* cgi_variable_rules: the rules for `name`; any string may be asked about. */
unsigned cgi_variable_rules(const char *name);

#endif
