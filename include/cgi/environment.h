/*
 * cgi/environment: the RFC 3875 meta-variables of a worker.  Pure.
 *
 * Built from empty.  Precedence: computed by us > request > `extra` >
 * defaults; within one of them the first of a name counts.
 *
 * Computed: GATEWAY_INTERFACE, SERVER_SOFTWARE, REDIRECT_STATUS, SCRIPT_NAME,
 * SCRIPT_FILENAME, PATH_INFO and PATH_TRANSLATED (or neither), CONTENT_LENGTH
 * (the framing length: set if there is a body, "0" for a POST or PUT without).
 * Defaults: REQUEST_METHOD GET, QUERY_STRING "", REMOTE_ADDR 0.0.0.0 (nobody's
 * address), REMOTE_HOST = REMOTE_ADDR, SERVER_NAME from HTTP_HOST or
 * localhost, SERVER_PORT 80 or 443, SERVER_PROTOCOL HTTP/1.0, DOCUMENT_ROOT,
 * PATH.  An empty AUTH_TYPE, CONTENT_TYPE, DOCUMENT_ROOT, HTTPS, REMOTE_*,
 * REQUEST_METHOD or SERVER_* in a request counts as not sent.
 */
#ifndef CGI_ENVIRONMENT_H
#define CGI_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct cgi_pair {
	const char *name;
	const char *value;
};

struct cgi_environment_input {
	const char *params; /* a valid SCGI parameter block */
	size_t params_length;
	const char *script_name;      /* decoded; "" when mounted at / */
	const char *path_info;	      /* decoded; NULL if there is none */
	const char *document_root;    /* PATH_TRANSLATED is below it */
	const char *script_filename;  /* absolute path of the script */
	const struct cgi_pair *extra; /* env.NAME of the configuration */
	size_t extra_count;
	bool pass_authorization; /* `authorization = pass` */
};

struct cgi_environment {
	char **envp;	    /* owned; NULL-terminated, for execve */
	size_t count;	    /* of them */
	struct buffer text; /* owned; the strings, in this order */
};

/*
 * cgi_environment_build: fill `out`, which the caller ends with
 * cgi_environment_fini.  Names are unique.  Returns 0, or -1 (ENOMEM) with
 * `out` empty.
 */
int cgi_environment_build(
    struct cgi_environment *out, const struct cgi_environment_input *input);
void cgi_environment_fini(struct cgi_environment *e);

/*
 * cgi_variable_is_computed: whether only we may set it: the configuration
 * cannot name it in env.NAME.  True too for what only a request can tell
 * (REQUEST_METHOD, QUERY_STRING, CONTENT_TYPE), for HTTP_PROXY and for what is
 * no name.
 */
bool cgi_variable_is_computed(const char *name);

#endif
