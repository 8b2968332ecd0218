/*
 * heap.c: where workers find memory.
 *
 * What a fork server has freed is scattered over its heap, and a worker that
 * uses it again has a page copied for nearly each piece.  So small pieces are
 * taken before the first fork, and never given back: workers then find theirs
 * side by side, at the end of the heap.
 */
#include "forkserver/preload.h"

#include <stdint.h>
#include <stdlib.h>

/* Sizes that are rounded to the same differ by this, from the smallest on. */
#define SMALLEST 24
#define LARGEST	 520
#define STEP	 16

/* Marks the end of the heap: there is hardly a piece as large within. */
#define END_SIZE 65536

/* With another malloc addresses may mean nothing. */
#define TAKEN_MOST (1024 * 1024)

void
preload_fill_heap(void)
{
	void *end = malloc(END_SIZE), *piece;
	size_t taken = 0;

	for (size_t size = LARGEST; size >= SMALLEST; size -= STEP)
		do {
			piece = malloc(size);
			taken += size;
		} while (piece != NULL && taken < TAKEN_MOST &&
		    (uintptr_t)piece < (uintptr_t)end);
	free(end);
}
