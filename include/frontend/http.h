/*
 * frontend/http: a small HTTP server that puts each request to an SCGI server
 * and relays the answer.  For trying things and for tests: no TLS, no static
 * files, not hardened.
 *
 * Limits are below; beyond one the client gets 400 or 431 (request header),
 * 413 (request body, held in memory; 501 where evhttp reads none) or 502
 * (response header).  A response body has no limit: it is relayed piece by
 * piece, and a slow client slows the script down.  A response that breaks off
 * breaks off for the client too: its connection is reset.  A client that closes
 * its sending half has left.
 */
#ifndef FRONTEND_HTTP_H
#define FRONTEND_HTTP_H

#define HTTP_DEFAULT_LISTEN  "127.0.0.1:8080"
#define HTTP_DEFAULT_ROOT    "/var/www"
#define HTTP_MAX_FIELDS	     256
#define HTTP_MAX_FIELDS_SIZE (64 * 1024)
#define HTTP_MAX_BODY	     (64 * 1024 * 1024)
#define HTTP_MAX_HEAD	     (1024 * 1024)
#define HTTP_IDLE_SECONDS    60
#define HTTP_ERROR_SIZE	     256

struct http_options {
	const char *listen; /* "ADDRESS:PORT", port 0: any; NULL: the
			       default */
	const char *target; /* see scgi_client_parse_target */
	const char
	    *document_root; /* sent as DOCUMENT_ROOT; NULL: the default */
};

struct http_frontend;

/*
 * http_frontend_new: bind and listen.  Makes no event base, so the caller may
 * fork afterwards and run it in the child.  Keeps nothing of `options`.
 *
 * Returns NULL with the cause in `error` if an option is wrong or the address
 * cannot be bound.
 */
struct http_frontend *http_frontend_new(
    const struct http_options *options, char error[HTTP_ERROR_SIZE]);

/* http_frontend_url: "http://127.0.0.1:8080/", with the port in use. */
const char *http_frontend_url(const struct http_frontend *f);

/*
 * http_frontend_run: serve until SIGTERM or SIGINT.  To be called once.
 * Ignores SIGPIPE in this process.  Returns 0 after such a signal, or -1 if
 * it could not serve (logged).
 */
int http_frontend_run(struct http_frontend *f);

/* http_frontend_free: close the listener (in a parent after fork, too). */
void http_frontend_free(struct http_frontend *f);

#endif
