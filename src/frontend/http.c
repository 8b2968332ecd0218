/*
 * frontend/http: owns the listening socket, the HTTP server on it, and the
 * translation of an HTTP request into an SCGI header.  What happens to a
 * request then belongs to http_exchange.
 */
#include "frontend/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/log.h"
#include "frontend/http_exchange.h"
#include "frontend/scgi_client.h"
#include "scgi/request.h"

#define HTTP_BACKLOG 1024

struct http_frontend {
	struct scgi_target target;
	char *document_root; /* owned */
	char address[64];    /* of the listener; a v6 one in brackets */
	char url[96];
	unsigned port;
	int listener;		 /* owned; -1 once evhttp has it */
	struct event_base *base; /* owned; NULL before the run */
	struct evhttp *server;	 /* owned; likewise */
	struct event *on_term;	 /* owned */
	struct event *on_int;	 /* owned */
};

/* The path and query of a request target; NULL if it has none. */
static const char *
request_target(struct evhttp_request *request)
{
	const char *uri = evhttp_request_get_uri(request);

	if (uri[0] == '/')
		return uri;
	uri += strcspn(uri, ":/?#");
	if (strncmp(uri, "://", 3) != 0)
		return NULL;
	uri += 3;
	uri += strcspn(uri, "/?#");
	if (*uri == '\0')
		return "/";
	return *uri == '/' ? uri : NULL;
}

/*
 * Whether evhttp has read the request's body: not with every method, nor in
 * every coding.  What it leaves it takes for the connection's next request.
 */
static bool
is_read(struct evhttp_request *request)
{
	struct evkeyvalq *fields = evhttp_request_get_input_headers(request);
	const char *coding = evhttp_find_header(fields, "Transfer-Encoding");
	const char *length = evhttp_find_header(fields, "Content-Length");

	switch (evhttp_request_get_command(request)) {
	case EVHTTP_REQ_POST:
	case EVHTTP_REQ_PUT:
	case EVHTTP_REQ_PATCH:
		return coding == NULL || strcasecmp(coding, "chunked") == 0;
	default:
		return coding == NULL &&
		    (length == NULL || strcmp(length, "0") == 0);
	}
}

static const char *
request_method(struct evhttp_request *request)
{
	switch (evhttp_request_get_command(request)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	default:
		return "OPTIONS";
	}
}

/*
 * Write the fields of a request as HTTP_*.  Those of one name are joined:
 * SCGI knows no repeated parameter.
 */
static int
write_fields(struct buffer *params, struct evkeyvalq *fields)
{
	struct buffer value = {0};
	struct evkeyval *field, *other;
	int result = 0;

	for (field = fields->tqh_first; field != NULL && result == 0;
	     field = field->next.tqe_next) {
		if (strcasecmp(field->key, "Transfer-Encoding") == 0)
			continue; /* evhttp has undone it */
		for (other = fields->tqh_first; other != field;
		     other = other->next.tqe_next)
			if (strcasecmp(other->key, field->key) == 0)
				break;
		if (other != field)
			continue; /* joined when its first was written */
		value.length = 0;
		result = buffer_append_string(&value, field->value);
		for (other = field->next.tqe_next; other != NULL;
		     other = other->next.tqe_next)
			if (strcasecmp(other->key, field->key) == 0 &&
			    buffer_printf(&value, "%s%s",
				strcasecmp(field->key, "Cookie") == 0 ? "; "
								      : ", ",
				other->value) == -1)
				result = -1;
		if (result == 0 && buffer_append(&value, "", 1) == 0)
			result = scgi_client_write_field(
			    params, field->key, value.data);
		else
			result = -1;
	}
	buffer_fini(&value);
	return result;
}

/* Append the SCGI header of `request`. */
static int
write_request(struct buffer *header, const struct http_frontend *f,
    struct evhttp_request *request, const char *uri)
{
	struct evkeyvalq *fields = evhttp_request_get_input_headers(request);
	const char *host = evhttp_request_get_host(request);
	struct buffer params = {0};
	char protocol[16];
	struct scgi_stock stock = {
	    .method = request_method(request),
	    .uri = uri,
	    .content_type = evhttp_find_header(fields, "Content-Type"),
	    .document_root = f->document_root,
	    .protocol = protocol,
	    .remote_address = request->remote_host,
	    .server_name = host != NULL ? host : f->address,
	    .remote_port = request->remote_port,
	    .server_port = f->port,
	    .content_length =
		evbuffer_get_length(evhttp_request_get_input_buffer(request)),
	};
	int result = -1;

	snprintf(protocol, sizeof(protocol), "HTTP/%d.%d", request->major,
	    request->minor);
	if (scgi_client_write_stock(&params, &stock) == 0 &&
	    write_fields(&params, fields) == 0 &&
	    scgi_write_header(header, &params) == 0)
		result = 0;
	buffer_fini(&params);
	return result;
}

/* Those of one name, or all if it is NULL. */
static size_t
count_fields(const struct evkeyvalq *fields, const char *name)
{
	const struct evkeyval *field;
	size_t count = 0;

	for (field = fields->tqh_first; field != NULL;
	     field = field->next.tqe_next)
		count += name == NULL || strcasecmp(field->key, name) == 0;
	return count;
}

static void
http_on_request(struct evhttp_request *request, void *arg)
{
	struct http_frontend *f = arg;
	struct evkeyvalq *fields = evhttp_request_get_input_headers(request);
	const char *uri = request_target(request);
	struct buffer header = {0};
	int fd;

	/* Of two lengths evhttp took one. */
	if (uri == NULL || count_fields(fields, "Content-Length") > 1) {
		evhttp_send_error(request, 400, "Bad Request");
		return;
	}
	if (!is_read(request)) {
		evhttp_send_error(request, 501,
		    "Not Implemented: a body with this method or coding");
		return;
	}
	if (count_fields(fields, NULL) > HTTP_MAX_FIELDS) {
		evhttp_send_error(
		    request, 431, "Request Header Fields Too Large");
		return;
	}
	/* evhttp announces 0 bytes for a kept connection of HTTP/1.0. */
	if (request->major == 1 && request->minor == 0)
		evhttp_remove_header(fields, "Connection");
	if (write_request(&header, f, request, uri) == -1) {
		evhttp_send_error(request, 503, "Service Unavailable");
	} else if ((fd = scgi_client_connect(&f->target)) == -1) {
		log_warn("http: cannot connect to the SCGI server");
		evhttp_send_error(request, 502, "Bad Gateway");
	} else {
		http_exchange_start(f->base, request, fd, &header);
	}
	buffer_fini(&header);
}

static void
http_on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	evconnlistener_enable(arg);
}

/*
 * Out of descriptors, most likely: accepting at once again would spin.  `arg`
 * is the evhttp, which has made the listener its own.
 */
static void
http_on_accept_error(struct evconnlistener *listener, void *arg)
{
	static const struct timeval pause = {0, 100000};

	(void)arg;
	log_warn("http: accept");
	if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT,
		http_on_resume, listener, &pause) == 0)
		evconnlistener_disable(listener);
}

static void
http_on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	struct http_frontend *f = arg;

	(void)signal_number;
	(void)what;
	event_base_loopbreak(f->base);
}

/* Connections inherit TCP_NODELAY: head and body leave in two writes. */
static int
bind_listener(const struct scgi_target *where)
{
	int fd = socket(where->address.ss_family, SOCK_STREAM, 0), on = 1;

	if (fd == -1)
		return -1;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
	    fd_set_nonblocking(fd) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, (const struct sockaddr *)&where->address, where->length) ==
		-1 ||
	    listen(fd, HTTP_BACKLOG) == -1)
		fd_close(&fd);
	return fd;
}

/* Fill in address, port and URL from what the listener was bound to. */
static int
describe_listener(struct http_frontend *f)
{
	struct sockaddr_storage name;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&name;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&name;
	socklen_t length = sizeof(name);
	char text[INET6_ADDRSTRLEN];

	if (getsockname(f->listener, (struct sockaddr *)&name, &length) == -1)
		return -1;
	if (name.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(f->address, sizeof(f->address), "[%s]", text);
		f->port = ntohs(in6->sin6_port);
	} else {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(f->address, sizeof(f->address), "%s", text);
		f->port = ntohs(in->sin_port);
	}
	snprintf(f->url, sizeof(f->url), "http://%s:%u/", f->address, f->port);
	return 0;
}

struct http_frontend *
http_frontend_new(
    const struct http_options *options, char error[HTTP_ERROR_SIZE])
{
	const char *listen_text =
	    options->listen != NULL ? options->listen : HTTP_DEFAULT_LISTEN;
	const char *root = options->document_root != NULL
	    ? options->document_root
	    : HTTP_DEFAULT_ROOT;
	struct http_frontend *f = calloc(1, sizeof(*f));
	struct scgi_target where;
	const char *wrong;

	if (f == NULL) {
		snprintf(error, HTTP_ERROR_SIZE, "out of memory");
		return NULL;
	}
	f->listener = -1;
	if ((wrong = scgi_client_parse_target(&f->target, options->target)) !=
	    NULL) {
		snprintf(
		    error, HTTP_ERROR_SIZE, "%s: %s", options->target, wrong);
		goto fail;
	}
	if ((wrong = scgi_client_parse_target(&where, listen_text)) == NULL &&
	    where.address.ss_family == AF_UNIX)
		wrong = "not ADDRESS:PORT";
	if (wrong != NULL) {
		snprintf(error, HTTP_ERROR_SIZE, "%s: %s", listen_text, wrong);
		goto fail;
	}
	if ((f->document_root = strdup(root)) == NULL ||
	    (f->listener = bind_listener(&where)) == -1 ||
	    describe_listener(f) == -1) {
		snprintf(error, HTTP_ERROR_SIZE, "cannot listen on %s: %s",
		    listen_text, strerror(errno));
		goto fail;
	}
	return f;
fail:
	http_frontend_free(f);
	return NULL;
}

const char *
http_frontend_url(const struct http_frontend *f)
{
	return f->url;
}

static void
http_on_library_log(int severity, const char *message)
{
	if (severity >= EVENT_LOG_WARN)
		log_warnx("http: libevent: %s", message);
}

static int
http_start(struct http_frontend *f)
{
	struct evhttp_bound_socket *bound;

	event_set_log_callback(http_on_library_log);
	if ((f->base = event_base_new()) == NULL ||
	    (f->server = evhttp_new(f->base)) == NULL ||
	    (f->on_term = evsignal_new(f->base, SIGTERM, http_on_signal, f)) ==
		NULL ||
	    (f->on_int = evsignal_new(f->base, SIGINT, http_on_signal, f)) ==
		NULL ||
	    event_add(f->on_term, NULL) == -1 ||
	    event_add(f->on_int, NULL) == -1)
		return -1;
	evhttp_set_gencb(f->server, http_on_request, f);
	evhttp_set_default_content_type(f->server, NULL);
	evhttp_set_max_headers_size(f->server, HTTP_MAX_FIELDS_SIZE);
	evhttp_set_max_body_size(f->server, HTTP_MAX_BODY);
	evhttp_set_timeout(f->server, HTTP_IDLE_SECONDS);
	evhttp_set_allowed_methods(f->server,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_PATCH);
	bound = evhttp_accept_socket_with_handle(f->server, f->listener);
	if (bound == NULL)
		return -1;
	f->listener = -1;
	evconnlistener_set_error_cb(
	    evhttp_bound_socket_get_listener(bound), http_on_accept_error);
	return 0;
}

int
http_frontend_run(struct http_frontend *f)
{
	signal(SIGPIPE, SIG_IGN);
	if (http_start(f) == -1 || event_base_dispatch(f->base) == -1) {
		log_error("http: cannot serve");
		return -1;
	}
	return 0;
}

void
http_frontend_free(struct http_frontend *f)
{
	if (f == NULL)
		return;
	if (f->server != NULL)
		evhttp_free(f->server);
	if (f->on_term != NULL)
		event_free(f->on_term);
	if (f->on_int != NULL)
		event_free(f->on_int);
	if (f->base != NULL)
		event_base_free(f->base);
	fd_close(&f->listener);
	free(f->document_root);
	free(f);
}
