/*
 * Fuzz target: a message between a gateway and a launcher, as the other side
 * receives it.
 *
 * What is taken keeps its rules, stays inside the message, and is taken again
 * when it is sent on.
 */
#include "launcher/protocol.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "scgi/request.h"
#include "require.h"

static void
check_rules(const struct protocol_message *m, size_t fd_count)
{
	REQUIRE(m->reason < REASON_COUNT && m->start <= START_PERL);
	REQUIRE(fd_count == 0 || (m->type == PROTOCOL_RUN && fd_count == 3));
	switch (m->type) {
	case PROTOCOL_RUN:
		REQUIRE(m->text[0] == '/');
		REQUIRE(scgi_check_params(m->data, m->data_length));
		break;
	case PROTOCOL_FAILED:
		REQUIRE(m->reason != REASON_NONE);
		break;
	case PROTOCOL_SIGNAL:
		REQUIRE(
		    m->code == 0 || m->code == SIGTERM || m->code == SIGKILL);
		break;
	case PROTOCOL_INSPECT:
		REQUIRE(m->text[0] == '\0' && m->data_length == 0);
		break;
	case PROTOCOL_TREE:
		REQUIRE(strlen(m->text) < PROTOCOL_TREE_MAX);
		REQUIRE(m->data_length == 0);
		REQUIRE(m->pid > 1);
		break;
	case PROTOCOL_HELLO:
		break;
	case PROTOCOL_SERVER:
		REQUIRE(m->code >= 0 && m->code <= PROTOCOL_SERVER_REFUSED);
		REQUIRE(m->data_length < PROTOCOL_TREE_MAX);
		break;
	default:
		REQUIRE(m->pid > 1);
	}
}

static void
check_again(const struct protocol_message *m)
{
	static char buffer[PROTOCOL_MESSAGE_MAX];
	struct protocol_message again;
	int ends[2], stdio[3];

	REQUIRE(fd_message_pair(ends) == 0);
	REQUIRE(protocol_send(ends[0], m, NULL, false) == 0);
	REQUIRE(protocol_receive(
		    ends[1], buffer, sizeof(buffer), &again, stdio) == 1);
	REQUIRE(again.type == m->type && again.request == m->request);
	REQUIRE(again.started_at == m->started_at && again.pid == m->pid);
	REQUIRE(strcmp(again.text, m->text) == 0);
	REQUIRE(again.data_length == m->data_length);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct protocol_message m;
	const char *end;
	/* A copy of the exact size, so that a byte too far is seen. */
	char *bytes = malloc(size > 0 ? size : 1);

	REQUIRE(bytes != NULL);
	memcpy(bytes, data, size);
	for (size_t fd_count = 0; fd_count <= FD_PASS_MAX; fd_count++) {
		if (protocol_decode(bytes, size, fd_count, &m) == -1)
			continue;
		end = bytes + size;
		REQUIRE(m.text >= bytes && m.text + strlen(m.text) < end);
		REQUIRE(m.data >= bytes && m.data + m.data_length == end);
		check_rules(&m, fd_count);
		if (fd_count == 0)
			check_again(&m);
	}
	free(bytes);
	return 0;
}
