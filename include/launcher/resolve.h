/*
 * launcher/resolve: from a request path to a script, by walking the file
 * system from the map's root, on the original bytes.
 */
#ifndef LAUNCHER_RESOLVE_H
#define LAUNCHER_RESOLVE_H

#include "base/buffer.h"
#include "cgi/reason.h"
#include "config/config.h"
#include "launcher/watch.h"

struct resolved {
	enum reason reason;	  /* REASON_NONE: the script was found */
	int error;		  /* errno behind the reason, or 0 */
	struct buffer detail;	  /* owned; what was wrong with which path */
	struct buffer script;	  /* owned; absolute path of the script, NUL */
	struct watch_stamp stamp; /* of the script's file */
	struct buffer name;	  /* owned; SCRIPT_NAME, NUL */
	const char *path_info;	  /* NULL: none.  Borrowed from the request */
	char *document_root;	  /* owned; the root that was walked from */
	int directory;		  /* owned; the script's directory, or -1 */
	const char *interpreter;  /* borrowed from the map; NULL: exec it */
};

/*
 * resolve_script: find the script of `path`, which `map` covers.  `params` are
 * the request's; SCRIPT_FILENAME, SCRIPT_NAME and PATH_INFO are read from them
 * only if the map trusts them.  Each step is appended to `trace` in words if
 * it is not NULL.  The caller ends `r` with resolved_fini in every case.
 */
void resolve_script(const struct config_map *map, const char *path,
    const char *params, size_t params_length, struct buffer *trace,
    struct resolved *r);
void resolved_fini(struct resolved *r);

#endif
