/*
 * answer: one response as it arrives, in HTTP/1.1 or as SCGI's end of the
 * connection bounds it.  Pure: bytes in, verdict out; the body is counted and
 * not kept.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "frontend/scgi_client.h"

enum answer_state {
	ANSWER_HEAD,
	ANSWER_COUNTED, /* `left` more bytes of body */
	ANSWER_TO_END,	/* whatever comes until the connection ends */
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK_EXTENSION,
	ANSWER_CHUNK_DATA,
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_WHOLE,
	ANSWER_BAD
};

struct answer {
	enum answer_state state;
	bool is_http;
	bool keeps; /* the connection may be used again */
	int status;
	uint64_t length;     /* bytes of body so far */
	uint64_t left;	     /* in ANSWER_COUNTED and the chunks' states */
	unsigned line_bytes; /* of the trailer line that is being read */
	struct buffer head;  /* owned */
};

/* answer_begin: expect the next one; what it took for the last is kept. */
void answer_begin(struct answer *a, bool is_http);

/* answer_take: the next bytes; returns the new state. */
enum answer_state
answer_take(struct answer *a, const char *data, size_t length);

/* answer_end: the connection has ended; returns whether that makes it whole. */
bool answer_end(struct answer *a);

void answer_fini(struct answer *a);

#endif
