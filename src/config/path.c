/*
 * path: the paths of maps, which are checked when all pools are known, as they
 * are below the chroot of theirs.
 */
#include "config/options.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/path.h"

int
check_path(const char *root, const char *path, bool directory,
    char why[OPTION_WHY_SIZE])
{
	bool is_inside = strcmp(root, "/") != 0;
	const char *of = is_inside ? " in the chroot " : "";
	struct stat st;
	int n;

	n = is_inside ? path_stat_inside(root, path, &st) : stat(path, &st);
	if (!is_inside)
		root = "";
	if (n == -1)
		return option_fail(
		    why, "'%s'%s%s: %s", path, of, root, strerror(errno));
	if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return option_fail(why, "'%s'%s%s is not a %s", path, of, root,
		    directory ? "directory" : "regular file");
	return 0;
}

int
paths_remember(
    struct parse *p, const struct option *o, const char *key, const char *path)
{
	struct parse_path *added, *bigger;

	bigger = array_add(p->paths, &p->path_count, sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	p->paths = bigger;
	added = &bigger[p->path_count - 1];
	added->file = strdup(p->file);
	added->key = strdup(key);
	added->path = o->type != OPTION_WSGI
	    ? strdup(path)
	    : strndup(path, config_wsgi_file_length(path));
	added->line = p->line;
	added->map = p->map_count - 1;
	added->is_directory = o->type == OPTION_DIRECTORY;
	if (added->file != NULL && added->key != NULL && added->path != NULL)
		return 0;
	p->path_count--;
	free(added->file);
	free(added->key);
	free(added->path);
	return -1;
}

void
paths_check(struct parse *p)
{
	char why[OPTION_WHY_SIZE];

	for (size_t i = 0; i < p->path_count; i++) {
		const struct parse_path *path = &p->paths[i];
		const struct config_pool *pool =
		    config_find_pool(p->config, p->maps[path->map].pool_name);
		const char *root =
		    pool != NULL && pool->chroot != NULL ? pool->chroot : "/";

		if (check_path(root, path->path, path->is_directory, why) == -1)
			parse_error(p, path->file, path->line, "%s: %s",
			    path->key, why);
	}
}

void
paths_fini(struct parse *p)
{
	for (size_t i = 0; i < p->path_count; i++) {
		free(p->paths[i].file);
		free(p->paths[i].key);
		free(p->paths[i].path);
	}
	free(p->paths);
}
