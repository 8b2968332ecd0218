/*
 * cgi/environment: the block of strings that a worker starts with.
 *
 * Sources are entered in the order of their precedence and the first of a name
 * stays, so what comes later can never replace what came before: computed,
 * request, configuration, defaults.  Runs once a request: two allocations, and
 * one hash of each name.
 */
#include "cgi/environment.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgi/variable.h"
#include "scgi/request.h"

#ifdef SCGID_VERSION
#define SOFTWARE "scgid/" SCGID_VERSION
#else
#define SOFTWARE "scgid"
#endif

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* Names and values that are written here, with room to spare. */
#define OWN_TEXT 1024
/* Variables that are set without being in the request or in `extra`. */
#define OWN_COUNT 24

/* The shortest parameter in a block: "X", NUL, "", NUL. */
#define PARAM_MIN 3

struct builder {
	struct buffer *text; /* borrowed; NAME=value strings, each with NUL */
	char **envp;	     /* borrowed; they */
	uint32_t *slots;     /* borrowed; offset in text + 1; 0 is free */
	size_t mask;	     /* slots - 1, a power of two less one */
	size_t count;
	bool failed;
};

/* A name that was asked about, if it is not too long, and its rules. */
struct known {
	char name[32];
	unsigned rules;
};

#define KNOWN 1024

/* The seed makes the names that collide differ from process to process. */
static uint64_t
hash_of(const char *name, size_t length)
{
	static uint64_t seed;
	uint64_t hash;

	if (seed == 0)
		seed = (uint64_t)(uintptr_t)&hash ^
		    (uint64_t)(uintptr_t)&cgi_environment_fini << 16;
	hash = seed;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x9e3779b97f4a7c15u;
	return hash >> 32;
}

/* Front ends send the same names again and again. */
static unsigned
rules_of(const char *name, size_t length, uint64_t hash)
{
	static struct known all[KNOWN];
	struct known *known = &all[hash % KNOWN];

	if (length == 0 || length >= sizeof(known->name))
		return cgi_variable_rules(name);
	if (memcmp(known->name, name, length + 1) != 0) {
		memcpy(known->name, name, length + 1);
		known->rules = cgi_variable_rules(name);
	}
	return known->rules;
}

/* A table of names, as a client may send ten thousand headers. */
static uint32_t *
builder_find(
    const struct builder *b, const char *name, size_t length, uint64_t hash)
{
	const char *known;
	size_t i;

	for (i = (size_t)hash & b->mask; b->slots[i] != 0;
	     i = (i + 1) & b->mask) {
		known = b->text->data + b->slots[i] - 1;
		if (strncmp(known, name, length) == 0 && known[length] == '=')
			break;
	}
	return &b->slots[i];
}

static const char *
builder_get(const struct builder *b, const char *name)
{
	size_t length = strlen(name);
	uint32_t *slot = builder_find(b, name, length, hash_of(name, length));

	return *slot == 0 ? NULL : b->text->data + *slot + length;
}

/*
 * Room for a variable of this size, where the caller then writes it.  NULL if
 * there is one of that name.
 */
static char *
builder_enter(struct builder *b, const char *name, size_t name_length,
    uint64_t hash, size_t size)
{
	size_t start = b->text->length;
	uint32_t *slot = builder_find(b, name, name_length, hash);

	if (*slot != 0)
		return NULL;
	/* Room was reserved: the text, where values may be, must not move. */
	if (start >= UINT32_MAX || b->text->capacity - start < size) {
		b->failed = true;
		return NULL;
	}
	b->text->length += size;
	*slot = (uint32_t)start + 1;
	return b->envp[b->count++] = b->text->data + start;
}

/* Add `name` with the first `length` bytes of `value` and then `rest`. */
static void
builder_add_parts(struct builder *b, const char *name, const char *value,
    size_t length, const char *rest)
{
	size_t name_length = strlen(name), rest_size = strlen(rest) + 1;
	char *at = builder_enter(b, name, name_length,
	    hash_of(name, name_length), name_length + 1 + length + rest_size);

	if (at == NULL)
		return;
	memcpy(at, name, name_length);
	at += name_length;
	*at++ = '=';
	memcpy(at, value, length);
	memcpy(at + length, rest, rest_size);
}

static void
builder_add(struct builder *b, const char *name, const char *value)
{
	builder_add_parts(b, name, "", 0, value);
}

/*
 * RFC 3875, 4.1.2: set if and only if there is a body.  A POST or a PUT that
 * has none says so, as programs read CONTENT_LENGTH unasked there.
 */
static void
add_content_length(struct builder *b, const struct cgi_environment_input *in)
{
	const char *length, *method;

	length =
	    scgi_get_param(in->params, in->params_length, "CONTENT_LENGTH");
	if (length == NULL)
		length = "";
	length += strspn(length, "0");
	if (*length != '\0') {
		builder_add(b, "CONTENT_LENGTH", length);
		return;
	}
	method =
	    scgi_get_param(in->params, in->params_length, "REQUEST_METHOD");
	if (method != NULL &&
	    (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0))
		builder_add(b, "CONTENT_LENGTH", "0");
}

static void
add_computed(struct builder *b, const struct cgi_environment_input *in)
{
	size_t root;

	builder_add(b, "GATEWAY_INTERFACE", "CGI/1.1");
	builder_add(b, "SERVER_SOFTWARE", SOFTWARE);
	builder_add(b, "REDIRECT_STATUS", "200");
	builder_add(b, "SCRIPT_NAME", in->script_name ? in->script_name : "");
	if (in->script_filename != NULL)
		builder_add(b, "SCRIPT_FILENAME", in->script_filename);
	if (in->path_info != NULL) {
		builder_add(b, "PATH_INFO", in->path_info);
		root = in->document_root ? strlen(in->document_root) : 0;
		while (root > 0 && in->document_root[root - 1] == '/')
			root--;
		builder_add_parts(b, "PATH_TRANSLATED",
		    root > 0 ? in->document_root : "", root, in->path_info);
	}
	add_content_length(b, in);
}

static void
add_request(struct builder *b, const struct cgi_environment_input *in)
{
	const char *cursor = in->params, *end = cursor + in->params_length;
	const char *name, *value;
	unsigned rules, refused;
	size_t length, size;
	uint64_t hash;
	char *at;

	refused = CGI_VARIABLE_REFUSED | CGI_VARIABLE_REPLACED;
	if (!in->pass_authorization)
		refused |= CGI_VARIABLE_SECRET;
	while (scgi_next_param(&cursor, end, &name, &value)) {
		length = (size_t)(value - name) - 1;
		size = (size_t)(cursor - name);
		hash = hash_of(name, length);
		rules = rules_of(name, length, hash);
		if ((rules & refused) != 0 ||
		    ((rules & CGI_VARIABLE_NOT_EMPTY) != 0 && *value == '\0'))
			continue;
		if ((at = builder_enter(b, name, length, hash, size)) == NULL)
			continue;
		/* But for the '=' it is there as it has to be. */
		memcpy(at, name, size);
		at[length] = '=';
	}
}

static void
add_extra(struct builder *b, const struct cgi_environment_input *in)
{
	size_t i;

	for (i = 0; i < in->extra_count; i++)
		if (!cgi_variable_is_computed(in->extra[i].name))
			builder_add(b, in->extra[i].name, in->extra[i].value);
}

/* The Host field without its port; a client wrote it, so only if it is one. */
static void
add_server_name(struct builder *b)
{
	const char *host = builder_get(b, "HTTP_HOST"), *end;
	size_t length = 0;

	if (host != NULL && host[0] == '[') {
		length = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
		length = host[length] == ']' ? length + 1 : 0;
	} else if (host != NULL) {
		length = strspn(host,
		    "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "0123456789-._");
	}
	end = length > 0 ? host + length : "-";
	if (*end == '\0' || *end == ':')
		builder_add_parts(b, "SERVER_NAME", host, length, "");
	else
		builder_add(b, "SERVER_NAME", "localhost");
}

static bool
is_https(const struct builder *b)
{
	const char *https = builder_get(b, "HTTPS");
	const char *scheme = builder_get(b, "REQUEST_SCHEME");

	if (https != NULL && *https != '\0')
		return strcasecmp(https, "off") != 0;
	return scheme != NULL && strcasecmp(scheme, "https") == 0;
}

static void
add_defaults(struct builder *b, const struct cgi_environment_input *in)
{
	builder_add(b, "REQUEST_METHOD", "GET");
	builder_add(b, "QUERY_STRING", "");
	builder_add(b, "REMOTE_ADDR", "0.0.0.0");
	builder_add(b, "REMOTE_HOST", builder_get(b, "REMOTE_ADDR"));
	if (builder_get(b, "SERVER_NAME") == NULL)
		add_server_name(b);
	if (builder_get(b, "SERVER_PORT") == NULL)
		builder_add(b, "SERVER_PORT", is_https(b) ? "443" : "80");
	builder_add(b, "SERVER_PROTOCOL", "HTTP/1.0");
	if (in->document_root != NULL)
		builder_add(b, "DOCUMENT_ROOT", in->document_root);
	builder_add(b, "PATH", DEFAULT_PATH);
}

/* An upper bound of the text, so that it never moves while it is built. */
static size_t
text_bound(const struct cgi_environment_input *in)
{
	size_t i, size = in->params_length;

	for (i = 0; i < in->extra_count; i++)
		size +=
		    strlen(in->extra[i].name) + strlen(in->extra[i].value) + 2;
	/* REMOTE_HOST and SERVER_NAME may repeat what is there. */
	size *= 2;
	if (in->script_name != NULL)
		size += strlen(in->script_name);
	if (in->script_filename != NULL)
		size += strlen(in->script_filename);
	if (in->path_info != NULL)
		size += 2 * strlen(in->path_info);
	if (in->document_root != NULL)
		size += 2 * strlen(in->document_root);
	return size + OWN_TEXT;
}

int
cgi_environment_build(
    struct cgi_environment *out, const struct cgi_environment_input *in)
{
	size_t slots = 64;
	size_t bound =
	    in->params_length / PARAM_MIN + in->extra_count + OWN_COUNT;
	struct builder b = {.text = &out->text};

	memset(out, 0, sizeof(*out));
	while (slots <= bound)
		slots *= 2;
	/* One piece: the pointers, and behind them the slots. */
	out->envp =
	    malloc((bound + 1) * sizeof(char *) + slots * sizeof(uint32_t));
	if (out->envp == NULL ||
	    buffer_reserve(&out->text, text_bound(in)) == -1)
		goto no_memory;
	b.envp = out->envp;
	b.slots = memset(out->envp + bound + 1, 0, slots * sizeof(uint32_t));
	b.mask = slots - 1;
	add_computed(&b, in);
	add_request(&b, in);
	add_extra(&b, in);
	add_defaults(&b, in);
	if (b.failed)
		goto no_memory;
	out->envp[b.count] = NULL;
	out->count = b.count;
	return 0;

no_memory:
	cgi_environment_fini(out);
	errno = ENOMEM;
	return -1;
}

void
cgi_environment_fini(struct cgi_environment *e)
{
	free(e->envp);
	e->envp = NULL;
	buffer_fini(&e->text);
}
