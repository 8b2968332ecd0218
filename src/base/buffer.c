/*
 * buffer.c: a growing array of bytes; capacity doubles.
 */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buffer_fini(struct buffer *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

int
buffer_reserve(struct buffer *b, size_t more)
{
	size_t capacity = b->capacity != 0 ? b->capacity : 256;
	char *data;

	if (b->capacity - b->length >= more)
		return 0;
	if (more > SIZE_MAX / 4 || b->length > SIZE_MAX / 4) {
		errno = ENOMEM;
		return -1;
	}
	while (capacity - b->length < more)
		capacity *= 2;
	if ((data = realloc(b->data, capacity)) == NULL)
		return -1;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int
buffer_append(struct buffer *b, const void *data, size_t length)
{
	if (length == 0)
		return 0;
	if (buffer_reserve(b, length) == -1)
		return -1;
	memcpy(b->data + b->length, data, length);
	b->length += length;
	return 0;
}

int
buffer_append_string(struct buffer *b, const char *string)
{
	return buffer_append(b, string, strlen(string));
}

int
buffer_printf(struct buffer *b, const char *format, ...)
{
	size_t room = b->capacity - b->length;
	va_list ap;
	int length;

	va_start(ap, format);
	length =
	    vsnprintf(room > 0 ? b->data + b->length : NULL, room, format, ap);
	va_end(ap);
	if (length < 0 || buffer_reserve(b, (size_t)length + 1) == -1)
		return -1;
	if ((size_t)length >= room) {
		va_start(ap, format);
		vsnprintf(b->data + b->length, (size_t)length + 1, format, ap);
		va_end(ap);
	}
	b->length += (size_t)length;
	return 0;
}

void
buffer_consume(struct buffer *b, size_t length)
{
	b->length -= length;
	if (b->length != 0)
		memmove(b->data, b->data + length, b->length);
}
