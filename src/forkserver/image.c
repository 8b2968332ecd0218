/*
 * image.c: where the kernel finds what ps(1) and /proc show: the arguments and
 * the environment.
 *
 * Those of a worker are where its request was received; the kernel can be told
 * so.  Where it cannot, they are written over the fork server's, as far as
 * there is room.
 */
#include "forkserver/preload.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forkserver/call.h"

/* Fields of /proc/PID/stat, counted from 1 as in proc(5). */
enum field {
	FIELD_STATE = 3,
	FIELD_START_CODE = 26,
	FIELD_END_CODE = 27,
	FIELD_START_STACK = 28,
	FIELD_START_DATA = 45,
	FIELD_END_DATA = 46,
	FIELD_START_BRK = 47,
	FIELD_COUNT = 53
};

void
preload_note_image(struct prctl_mm_map *map)
{
	unsigned long long fields[FIELD_COUNT] = {0};
	char text[2048], *at;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* The name before it may hold anything. */
	if ((at = strrchr(text, ')')) == NULL || strlen(at) < 4)
		return;
	at += 3;
	for (int i = FIELD_STATE + 1; i < FIELD_COUNT; i++)
		fields[i] = strtoull(at, &at, 10);
	map->start_code = fields[FIELD_START_CODE];
	map->end_code = fields[FIELD_END_CODE];
	map->start_stack = fields[FIELD_START_STACK];
	map->start_data = fields[FIELD_START_DATA];
	map->end_data = fields[FIELD_END_DATA];
	map->start_brk = fields[FIELD_START_BRK];
	map->exe_fd = (__u32)-1;
}

void
preload_describe(
    struct prctl_mm_map *map, char *arguments, char *variables, char *end)
{
	map->brk = (uintptr_t)sbrk(0);
	map->arg_start = (uintptr_t)arguments;
	map->arg_end = map->env_start = (uintptr_t)variables;
	map->env_end = (uintptr_t)end;
}

void
preload_show(const struct prctl_mm_map *map)
{
	const char *from = (const char *)(uintptr_t)map->arg_start;
	const char *end = (const char *)(uintptr_t)map->arg_end;
	char *to = preload.title;

	if (map->start_code != 0 &&
	    call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, POINTER(map),
		sizeof(*map), 0) == 0)
		return;
	for (size_t left = preload.title_size; left > 0; left--)
		*to++ = from < end && left > 1 ? *from++ : '\0';
}
