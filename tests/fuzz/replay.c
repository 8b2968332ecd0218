/*
 * replay.c: gives every file of the directories named in argv to a fuzz
 * target once, so that a corpus cannot rot.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *path)
{
	static uint8_t data[1024 * 1024];
	FILE *file = fopen(path, "rb");
	uint8_t *exact;
	size_t size;

	if (file == NULL) {
		perror(path);
		return -1;
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* A copy of its own size: reading past it is then an error. */
	if ((exact = malloc(size > 0 ? size : 1)) == NULL)
		return -1;
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

static int
replay_directory(const char *name)
{
	DIR *directory = opendir(name);
	struct dirent *entry;
	char path[4096];
	int count = 0;

	if (directory == NULL) {
		perror(name);
		return -1;
	}
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		if (replay_file(path) == -1) {
			closedir(directory);
			return -1;
		}
		count++;
	}
	closedir(directory);
	return count;
}

int
main(int argc, char **argv)
{
	int total = 0, count;

	for (int i = 1; i < argc; i++) {
		if ((count = replay_directory(argv[i])) == -1)
			return 1;
		total += count;
	}
	printf("%d inputs replayed\n", total);
	return total > 0 ? 0 : 1;
}
