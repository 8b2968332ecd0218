/*
 * config: the configuration, read once and never changed.  The strings of a
 * struct config are owned by it and live as long as it does.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <sys/socket.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "cgi/environment.h"

struct config_list {
	char **items;
	size_t count;
};

struct config_pairs {
	struct cgi_pair *items; /* names and values owned by the config */
	size_t count;
};

struct config_user {
	char *name; /* NULL: not given, or it has none */
	uid_t uid;
	gid_t gid;
};

/* Supplementary groups. */
struct config_groups {
	struct config_list names; /* none: those of the user */
	gid_t *ids;		  /* as many; owned */
};

/* Whom a listener lets in: a user, or a network. */
struct config_peer {
	char *text;    /* as written */
	int family;    /* AF_UNIX: a user; AF_INET, AF_INET6: a network */
	uid_t uid;     /* of a user */
	unsigned bits; /* of the address that count */
	unsigned char address[16]; /* in network order; 4 bytes of AF_INET */
};

/* Of each worker; 0 is no limit of ours, but for core, where it is none. */
struct config_limits {
	int64_t cpu;	 /* ms of CPU time */
	uint64_t memory; /* bytes of address space */
	unsigned files;
	unsigned processes; /* of the user, all together */
	uint64_t file_size; /* bytes */
	uint64_t core;	    /* bytes */
};

enum config_symlinks {
	SYMLINKS_INSIDE, /* followed while they stay below the root */
	SYMLINKS_OWNER,	 /* followed if link and target have one owner */
	SYMLINKS_ANY,
	SYMLINKS_NONE
};

enum config_half_close {
	HALF_CLOSE_ABORT,
	HALF_CLOSE_WAIT
};
enum config_authorization {
	AUTHORIZATION_HIDE,
	AUTHORIZATION_PASS
};
enum config_start {
	START_EXEC,
	START_FORK_SERVER,
	START_PYTHON,
	START_PERL
};
enum config_log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON
};

/* Milliseconds.  A pool has them, and a map may have its own. */
struct config_timeouts {
	int64_t queue;
	int64_t body;
	int64_t idle;
	int64_t script;
	int64_t background_grace;
	int64_t kill_grace;
};

struct config_listener {
	char *text; /* as written */
	unsigned line;
	/*
	 * The name of a socket that the service manager passes to us; "": all
	 * that no other listener names.  NULL: we bind it.  Within text.
	 */
	const char *passed;
	struct sockaddr_storage address; /* AF_UNSPEC: passed */
	socklen_t address_length;
};

struct config_map {
	const struct config_pool *pool; /* borrowed */
	char *file;			/* where the section stands */
	unsigned line;
	char *prefix; /* "/cgi-bin", or "/"; no '/' at the end */
	char *host;   /* NULL: any */
	char *root;   /* one of root, script and wsgi is set */
	char *script;
	char *wsgi; /* FILE:CALLABLE, or FILE */
	struct config_list args;
	struct config_list index;
	struct config_list allow_names;
	struct config_pairs handlers; /* name: extension, value: interpreter */
	enum config_symlinks symlinks;
	enum config_authorization authorization;
	bool accel;
	bool trust_script_filename;
	enum config_start start;
	struct config_list preload;
	unsigned spare;
	bool prestart;
	unsigned max_requests;		 /* 0: any number */
	int64_t idle;			 /* ms; 0: for ever */
	struct config_timeouts timeouts; /* the pool's where not set here */
	struct config_pairs environment; /* the pool's and the map's, merged */
};

struct config_pool {
	char *file;
	unsigned line;
	char *name;
	struct config_listener *listeners;
	size_t listener_count;
	struct config_user listen_owner;
	struct config_user listen_group; /* gid only */
	mode_t listen_mode;
	unsigned backlog;
	struct config_peer *peers; /* allow */
	size_t peer_count;
	struct config_user user;
	struct config_user group; /* gid only */
	struct config_groups groups;
	char *chroot; /* NULL: none.  Maps have their paths below it */
	unsigned nice;
	struct config_limits limits;
	unsigned gateways;
	unsigned launchers; /* 0 in the file: resolved to one a core, <= 4 */
	unsigned workers;   /* resolved likewise: 16 a core */
	unsigned fork_servers;
	unsigned queue;
	int64_t header_timeout; /* ms */
	struct config_timeouts timeouts;
	enum config_half_close half_close;
	uint64_t max_header; /* bytes, like the sizes below */
	uint64_t max_body;   /* 0: unlimited */
	uint64_t body_memory;
	uint64_t max_response_header;
	char *spool_dir;
	char *access_log; /* "on", "off" or a path */
	enum config_log_format access_log_format;
	int64_t slow_log; /* ms; 0: off */
	char *status;	  /* NULL: no status page */
	mode_t umask;
	bool no_new_privileges;
	bool debug;
	struct config_pairs environment;
	struct config_map *maps; /* longest prefix first, then with host */
	size_t map_count;
};

struct config {
	struct config_user user; /* the gateways' */
	char *log;
	struct config_pool *pools;
	size_t pool_count;
};

/*
 * config_load: read `path` and what it includes.
 *
 * Returns the configuration (owned by the caller, ended with config_free), or
 * NULL with every error of every file appended to `errors`, a line each:
 * "FILE:LINE: what is wrong", or "FILE: what is wrong" with all of it.
 */
struct config *config_load(const char *path, struct buffer *errors);

/*
 * config_parse: the same, from text in memory; `name` stands for the file in
 * errors.  For scgid --serve, --inetd, tests and the fuzzer.
 */
struct config *config_parse(
    const char *name, const char *text, size_t length, struct buffer *errors);

void config_free(struct config *config);

/* config_print: the effective configuration, in its own syntax (scgid -T). */
int config_print(const struct config *config, FILE *out);

/*
 * config_warn: append to `warnings` a line for each thing that is allowed and
 * yet no good idea: "FILE:LINE: what it is".
 */
void config_warn(const struct config *config, struct buffer *warnings);

/*
 * config_list_keys: a line a key: section, name, type, default, range and
 * help, separated by tabs.  The manual is tested against it.
 */
int config_list_keys(FILE *out);

/*
 * config_user_text: for messages: the user's name, or its number if it has
 * none, which is then in `number`.
 */
#define CONFIG_NUMBER_SIZE 24
const char *config_user_text(
    const struct config_user *user, char number[CONFIG_NUMBER_SIZE]);

/* config_wsgi_file_length: the bytes of FILE in a map's FILE:CALLABLE. */
size_t config_wsgi_file_length(const char *wsgi);

/*
 * config_find_map: the map of `pool` for a request path and host (NULL if the
 * request names none), or NULL.
 */
const struct config_map *config_find_map(
    const struct config_pool *pool, const char *path, const char *host);

#endif
