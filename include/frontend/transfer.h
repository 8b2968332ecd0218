/*
 * frontend/transfer: one SCGI request sent and its response received, in a
 * process that has nothing else to do (scgi-request).
 */
#ifndef FRONTEND_TRANSFER_H
#define FRONTEND_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "frontend/scgi_client.h"

/* Interface, in scgi-request(1): curl's exit codes where curl has one. */
enum transfer_code {
	TRANSFER_DONE = 0,
	TRANSFER_FAILED = 1,
	TRANSFER_CONNECT = 7,
	TRANSFER_MALFORMED = 8,
	TRANSFER_BROKEN = 18,
	TRANSFER_STATUS = 22,
	TRANSFER_WRITE = 23,
	TRANSFER_READ = 26,
	TRANSFER_TIMEOUT = 28,
	TRANSFER_EMPTY = 52
};

struct transfer {
	/* Set by the caller; the rest zeroed. */
	struct buffer out; /* owned; header and what is in memory of the body */
	int body;	   /* borrowed; a regular file, read from where it is */
	uint64_t unread;   /* bytes of it to be sent */
	int output;	   /* borrowed; blocking */
	bool is_head;	   /* the method is HEAD: the response has no body */
	bool show_head;	   /* write the header block, too */
	bool fail;	   /* a status of 400 or more is an error */
	bool verbose;	   /* show the header block on stderr */

	int socket; /* owned; -1 outside transfer_run */
	struct buffer in;
	struct scgi_head head;
	bool has_head;
	uint64_t received; /* bytes of the response's body */
	char error[256];   /* set if the code is not TRANSFER_DONE */
};

/*
 * transfer_run: connect, send and receive, both at once, until the response
 * ends.  To be called once.  SIGPIPE must be ignored.
 */
enum transfer_code
transfer_run(struct transfer *t, const struct scgi_target *target);

void transfer_fini(struct transfer *t);

#endif
