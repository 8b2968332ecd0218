/*
 * Fuzz target: what a gateway and a launcher may say to each other.
 *
 * The first byte is the number of descriptors, the rest the message.  What is
 * taken lies within it, keeps the rules of its type, and is received as it was
 * when it is sent again; of a RUN an environment can be built.
 */
#include "launcher/protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgi/environment.h"
#include "scgi/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(claim) require(claim, #claim)

static void
require(bool holds, const char *claim)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_protocol: not so: %s\n", claim);
	abort();
}

static void
check_environment(const struct protocol_message *m)
{
	const struct cgi_environment_input input = {.params = m->data,
	    .params_length = m->data_length,
	    .script_name = m->text,
	    .path_info = m->text,
	    .document_root = "/r",
	    .script_filename = m->text};
	struct cgi_environment e;

	REQUIRE(cgi_environment_build(&e, &input) == 0);
	for (size_t i = 0; e.envp[i] != NULL; i++)
		REQUIRE(strcspn(e.envp[i], "=") > 0 &&
		    strchr(e.envp[i], '=') != NULL);
	cgi_environment_fini(&e);
}

static void
check_type(const struct protocol_message *m, size_t fd_count)
{
	REQUIRE(fd_count == 0 || (fd_count == 3 && m->type == PROTOCOL_RUN));
	switch (m->type) {
	case PROTOCOL_RUN:
		REQUIRE(m->text[0] == '/');
		REQUIRE(scgi_check_params(m->data, m->data_length));
		check_environment(m);
		return;
	case PROTOCOL_SIGNAL:
		REQUIRE(
		    m->code == 0 || m->code == SIGTERM || m->code == SIGKILL);
		return;
	case PROTOCOL_FAILED:
		REQUIRE(m->reason != REASON_NONE);
		return;
	case PROTOCOL_STARTED:
	case PROTOCOL_EXITED:
		REQUIRE(m->pid > 1); /* nothing may kill(-1) */
		return;
	case PROTOCOL_INSPECT:
		REQUIRE(m->text[0] == '\0' && m->data_length == 0);
		return;
	case PROTOCOL_TREE:
		REQUIRE(m->pid > 1 && m->data_length == 0);
		REQUIRE(strlen(m->text) < PROTOCOL_TREE_MAX);
		return;
	}
	abort(); /* no type at all */
}

static void
check_again(const struct protocol_message *m)
{
	static char received[PROTOCOL_MESSAGE_MAX];
	static int pair[2] = {-1, -1};
	struct protocol_message again;
	int stdio[3];

	if (pair[0] == -1)
		REQUIRE(fd_message_pair(pair) == 0);
	REQUIRE(protocol_send(pair[0], m, NULL, false) == 0);
	REQUIRE(protocol_receive(
		    pair[1], received, sizeof(received), &again, stdio) == 1);
	REQUIRE(stdio[0] == -1 && stdio[1] == -1 && stdio[2] == -1);
	REQUIRE(again.type == m->type && again.request == m->request);
	REQUIRE(again.map == m->map && again.pid == m->pid);
	REQUIRE(again.code == m->code && again.reason == m->reason);
	REQUIRE(again.group_left == m->group_left);
	REQUIRE(again.started_at == m->started_at);
	REQUIRE(again.user_time == m->user_time);
	REQUIRE(again.system_time == m->system_time);
	REQUIRE(again.peak_memory == m->peak_memory);
	REQUIRE(strcmp(again.text, m->text) == 0);
	REQUIRE(again.data_length == m->data_length);
	REQUIRE(memcmp(again.data, m->data, m->data_length) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct protocol_message m;
	size_t fd_count, length;
	char *data;

	if (size == 0 || size > 64 * 1024)
		return 0;
	fd_count = bytes[0] % (FD_PASS_MAX + 1);
	length = size - 1;
	/* In memory of just its size, and aligned for nothing. */
	REQUIRE((data = malloc(length + 1)) != NULL);
	memcpy(data + 1, bytes + 1, length);
	errno = 0;
	if (protocol_decode(data + 1, length, fd_count, &m) == 0) {
		REQUIRE(m.reason < REASON_COUNT);
		REQUIRE(m.text > data && m.text < data + 1 + length);
		REQUIRE(m.text + strlen(m.text) + 1 == m.data);
		REQUIRE(m.data + m.data_length == data + 1 + length);
		check_type(&m, fd_count);
		check_again(&m);
	} else {
		REQUIRE(errno == EPROTO);
	}
	free(data);
	return 0;
}
