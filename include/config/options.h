/*
 * config/options: the option table, and the state of one reading of the
 * configuration.  Internal to src/config.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "config/config.h"

enum option_section {
	SECTION_NONE,
	SECTION_SCGID,
	SECTION_POOL,
	SECTION_MAP
};

/* The comment names the member that `offset` leads to. */
enum option_type {
	OPTION_BOOL,	  /* bool */
	OPTION_NUMBER,	  /* unsigned */
	OPTION_SIZE,	  /* uint64_t, bytes */
	OPTION_TIME,	  /* int64_t, ms; -1 while not given */
	OPTION_MODE,	  /* mode_t, octal */
	OPTION_CHOICE,	  /* an enum, in the order of `choices` */
	OPTION_TARGET,	  /* char *; one of `choices`, or an absolute path */
	OPTION_DIRECTORY, /* char *; exists */
	OPTION_FILE,	  /* char *; exists */
	OPTION_HOST,	  /* char *; a glob */
	OPTION_WORDS,	  /* struct config_list */
	OPTION_NAMES,	  /* struct config_list; words without '/' */
	OPTION_USER,	  /* struct config_user; whom a process becomes */
	OPTION_GROUP,	  /* struct config_user; what a process becomes */
	OPTION_OWNER,	  /* struct config_user; of a socket */
	OPTION_SHARE,	  /* struct config_user; the group of a socket */
	OPTION_GROUPS,	  /* struct config_groups */
	OPTION_ALLOW,	  /* peers and peer_count of the pool */
	OPTION_LISTEN,	  /* listeners and listener_count of the pool */
	OPTION_INCLUDE,	  /* nothing: acted on while reading */
	OPTION_VARIABLE,  /* struct config_pairs; env.NAME */
	OPTION_HANDLER,	  /* struct config_pairs; handler.EXT */
	OPTION_URL_PATH,  /* char *; decoded, begins with '/' */
	OPTION_WSGI	  /* char *; FILE:CALLABLE, FILE exists */
};

/*
 * One key of one kind of section.  The name of a family of keys, such as
 * "env.", ends with a dot and matches every key that begins so.
 */
struct option {
	enum option_section section;
	const char *name;
	enum option_type type;
	size_t offset;	      /* into config, config_pool or config_map */
	const char *standard; /* the default, as text; NULL if there is none */
	int64_t low, high;    /* of a number, size, time or mode */
	const char *choices;  /* "text|json" */
	const char *help;
};

extern const struct option option_table[];
extern const size_t option_count;

/* At least as many as there are rows; checked when the table is compiled. */
#define OPTION_LIMIT 120

/* Room for what is wrong with a value, which is at most a line long. */
#define OPTION_WHY_SIZE 640

/* option_find: the row of `key` in a kind of section, or NULL. */
const struct option *option_find(enum option_section section, const char *key);

/*
 * option_explain_unknown: what to tell about a key that option_find does not
 * know: where it belongs, or what may have been meant.
 */
void option_explain_unknown(
    enum option_section section, const char *key, char why[OPTION_WHY_SIZE]);

/*
 * option_set: read `text` as the value of `key` into its member of `base`,
 * which has none yet (families and listeners are added to).  Returns 0, or -1
 * with the sentence in `why`; out of memory is a sentence like any other.
 */
int option_set(const struct option *o, const char *key, const char *text,
    void *base, char why[OPTION_WHY_SIZE]);

/* option_print: the lines that give `o` the value it has in `base`. */
void option_print(const struct option *o, const void *base, FILE *out);

/* option_print_range: the range column of config_list_keys. */
void option_print_range(const struct option *o, FILE *out);

/* Each writes what is wrong to `why` and returns -1. */
int option_fail(char why[OPTION_WHY_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int words_parse(
    struct config_list *list, const char *text, char why[OPTION_WHY_SIZE]);
int account_find_user(
    struct config_user *user, const char *name, char why[OPTION_WHY_SIZE]);
void account_find_own(struct config_user *user);
int account_find_group(
    struct config_user *group, const char *name, char why[OPTION_WHY_SIZE]);
int account_find_groups(
    struct config_groups *groups, const char *text, char why[OPTION_WHY_SIZE]);
int peer_parse(
    struct config_peer *peer, const char *text, char why[OPTION_WHY_SIZE]);
int python_check_application(const char *text, char why[OPTION_WHY_SIZE]);
int check_path(const char *root, const char *path, bool directory,
    char why[OPTION_WHY_SIZE]);
int listener_parse(struct config_listener *listener, const char *text,
    char why[OPTION_WHY_SIZE]);

/* python_is_name: whether it is a name in Python, or names with dots. */
bool python_is_name(const char *name);

/* listener_is_local: whether only this machine can reach it. */
bool listener_is_local(const struct config_listener *listener);

/* words_print: the words of `list`, quoted where they have to be. */
void words_print(const struct config_list *list, FILE *out);

/* words_length: the bytes that words_print would write. */
size_t words_length(const struct config_list *list);

/* The longest line, key and section name that every inih takes whole. */
#define PARSE_LINE_MAX 197
#define PARSE_NAME_MAX 49

/* A map before its pool is known: pools may come later, in other files. */
struct parse_map {
	struct config_map map;
	char *pool_name; /* owned */
};

/* A path of a map, which is checked when its pool's chroot is known. */
struct parse_path {
	char *file; /* owned, like key and path; where it stands */
	char *key;
	char *path;
	unsigned line;
	size_t map; /* index in maps */
	bool is_directory;
};

/* The state of one reading.  Invariant: errors only ever grow. */
struct parse {
	struct config *config; /* owned, until it is handed out */
	struct buffer *errors; /* borrowed */
	size_t error_count;    /* counted even when there is no memory */

	struct config_list files; /* owned; included, to be read */
	const char *include_from; /* borrowed; NULL: include is refused */

	const char *file; /* borrowed; being read */
	unsigned line;	  /* of `file`, read last */
	const char *text; /* borrowed; what is left of `file` */
	size_t left;

	enum option_section section; /* NONE: skip the keys */
	bool before_sections;
	char section_name[PARSE_NAME_MAX + 1];
	unsigned section_line;
	unsigned seen[OPTION_LIMIT]; /* line of each key of the section */
	bool wrong[OPTION_LIMIT];    /* whether its value is */

	unsigned scgid_line;	/* of the one [scgid] section; 0: none yet */
	struct parse_map *maps; /* owned */
	size_t map_count;
	struct parse_path *paths; /* owned */
	size_t path_count;
};

/* parse_error: `line` is 0 for what is wrong with the file as a whole. */
void parse_error(struct parse *p, const char *file, unsigned line,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* parse_text: read one file, from memory; reports to `p`. */
void
parse_text(struct parse *p, const char *file, const char *text, size_t length);

/* include_add: remember the files that match `pattern`.  0, or -1 and why. */
int
include_add(struct parse *p, const char *pattern, char why[OPTION_WHY_SIZE]);

/*
 * section_begin ends the section before it and starts the one that a line
 * "[text]" names; section_set gives it a key; section_end fills in its
 * defaults and checks it as a whole.
 */
void section_begin(struct parse *p, const char *text, size_t length);
void section_set(struct parse *p, const char *key, const char *value);
void section_end(struct parse *p);

/*
 * paths_remember: check later that `path`, the value of `key` in the map that
 * is being read, exists.  0, or -1 (ENOMEM).
 */
int paths_remember(
    struct parse *p, const struct option *o, const char *key, const char *path);
void paths_check(struct parse *p);
void paths_fini(struct parse *p);

/* check_whole: put maps into their pools and judge it all together. */
void check_whole(struct parse *p, const char *file);

/*
 * array_add: `items` with a zeroed element more, counted, or NULL (ENOMEM)
 * with nothing changed.
 */
void *array_add(void *items, size_t *count, size_t size);

/* config_find_pool: by name; the first of them. */
struct config_pool *config_find_pool(struct config *config, const char *name);

void config_map_fini(struct config_map *map);
void pairs_fini(struct config_pairs *pairs);

/* list_add: append a copy of `length` bytes of `text`.  0, or -1 (ENOMEM). */
int list_add(struct config_list *list, const char *text, size_t length);
void list_fini(struct config_list *list);

#endif
