/*
 * base/hash: FNV-1a, byte by byte, for tables of our own.  Not for tables that
 * somebody could fill on purpose: it has no key.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_BEGIN UINT64_C(14695981039346656037)

static inline uint64_t
hash_byte(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * UINT64_C(1099511628211);
}

static inline uint64_t
hash_bytes(uint64_t hash, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = hash_byte(hash, data[i]);
	return hash;
}

#endif
