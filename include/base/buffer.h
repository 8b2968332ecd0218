/*
 * buffer: bytes that grow.  A zeroed struct is an empty buffer.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>

struct buffer {
	char *data; /* owned; NULL while capacity is 0 */
	size_t length;
	size_t capacity;
};

void buffer_fini(struct buffer *b);

/*
 * buffer_reserve: make room for `more` bytes after the ones that are there.
 * Returns 0, or -1 with errno ENOMEM and the buffer unchanged.
 */
int buffer_reserve(struct buffer *b, size_t more);

/* Append bytes, a C string, a formatted string.  0, or -1 with errno. */
int buffer_append(struct buffer *b, const void *data, size_t length);
int buffer_append_string(struct buffer *b, const char *string);
int buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* buffer_consume: drop the first `length` bytes. */
void buffer_consume(struct buffer *b, size_t length);

#endif
