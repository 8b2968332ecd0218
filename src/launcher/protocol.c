/*
 * protocol.c: one fixed struct a message, then its text and its data.
 */
#include "launcher/protocol.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "scgi/request.h"

struct wire {
	uint32_t type;
	uint32_t request;
	uint32_t map;
	int32_t pid;
	int32_t code;
	uint32_t reason;
	uint32_t group_left;
	uint32_t start;
	uint32_t number;
	uint32_t requests;
	int64_t started_at;
	int64_t user_time;
	int64_t system_time;
	int64_t peak_memory;
	uint32_t text_length; /* its NUL included */
	uint32_t data_length;
};

static bool
is_valid(const struct protocol_message *m, size_t fd_count)
{
	if (fd_count != 0 && (m->type != PROTOCOL_RUN || fd_count != 3))
		return false;
	switch (m->type) {
	case PROTOCOL_RUN:
		return m->text[0] == '/' &&
		    scgi_check_params(m->data, m->data_length);
	case PROTOCOL_SIGNAL:
		return m->code == 0 || m->code == SIGTERM || m->code == SIGKILL;
	case PROTOCOL_FAILED:
		return m->reason != REASON_NONE;
	case PROTOCOL_STARTED:
	case PROTOCOL_EXITED:
		return m->pid > 1;
	case PROTOCOL_INSPECT:
		return m->text[0] == '\0' && m->data_length == 0;
	case PROTOCOL_TREE:
		return m->pid > 1 && m->data_length == 0 &&
		    strlen(m->text) < PROTOCOL_TREE_MAX;
	case PROTOCOL_HELLO:
		return true;
	case PROTOCOL_SERVER:
		return m->code >= PROTOCOL_SERVER_READY &&
		    m->code <= PROTOCOL_SERVER_REFUSED &&
		    m->data_length < PROTOCOL_TREE_MAX;
	}
	return false;
}

int
protocol_decode(const void *data, size_t length, size_t fd_count,
    struct protocol_message *m)
{
	const char *bytes = data;
	struct wire w;

	memset(m, 0, sizeof(*m));
	if (length < sizeof(w))
		goto bad;
	memcpy(&w, bytes, sizeof(w));
	if (w.text_length == 0 || w.text_length > length ||
	    w.data_length > length ||
	    sizeof(w) + w.text_length + w.data_length != length)
		goto bad;
	if (w.type < PROTOCOL_RUN || w.type > PROTOCOL_SERVER ||
	    w.reason >= REASON_COUNT || w.start > START_PERL)
		goto bad;
	m->type = (enum protocol_type)w.type;
	m->request = w.request;
	m->map = w.map;
	m->pid = w.pid;
	m->code = w.code;
	m->reason = (enum reason)w.reason;
	m->group_left = w.group_left != 0;
	m->start = (enum config_start)w.start;
	m->number = w.number;
	m->requests = w.requests;
	m->started_at = w.started_at;
	m->user_time = w.user_time;
	m->system_time = w.system_time;
	m->peak_memory = w.peak_memory;
	m->text = bytes + sizeof(w);
	m->data = m->text + w.text_length;
	m->data_length = w.data_length;
	if (memchr(m->text, '\0', w.text_length) != m->text + w.text_length - 1)
		goto bad;
	if (!is_valid(m, fd_count))
		goto bad;
	return 0;
bad:
	errno = EPROTO;
	return -1;
}

int
protocol_send(
    int socket, const struct protocol_message *m, const int *stdio, bool wait)
{
	const char *text = m->text != NULL ? m->text : "";
	struct iovec parts[3];
	struct wire w;

	memset(&w, 0, sizeof(w));
	w.type = (uint32_t)m->type;
	w.request = m->request;
	w.map = m->map;
	w.pid = m->pid;
	w.code = m->code;
	w.reason = (uint32_t)m->reason;
	w.group_left = m->group_left;
	w.start = (uint32_t)m->start;
	w.number = m->number;
	w.requests = m->requests;
	w.started_at = m->started_at;
	w.user_time = m->user_time;
	w.system_time = m->system_time;
	w.peak_memory = m->peak_memory;
	w.text_length = (uint32_t)strlen(text) + 1;
	w.data_length = (uint32_t)m->data_length;
	if (sizeof(w) + w.text_length + m->data_length > PROTOCOL_MESSAGE_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	parts[0] = (struct iovec){&w, sizeof(w)};
	parts[1] = (struct iovec){(void *)(uintptr_t)text, w.text_length};
	parts[2] = (struct iovec){(void *)(uintptr_t)m->data, m->data_length};
	return fd_send_message(
	    socket, parts, 3, stdio, stdio != NULL ? 3 : 0, wait);
}

int
protocol_receive(int socket, void *buffer, size_t size,
    struct protocol_message *m, int stdio[3])
{
	int fds[FD_PASS_MAX];
	size_t fd_count;
	ssize_t n;

	for (int i = 0; i < 3; i++)
		stdio[i] = -1;
	n = fd_receive_message(socket, buffer, size, fds, &fd_count);
	if (n == 0 && fd_count == 0)
		return 0;
	if (n == -1) {
		if (errno == EMSGSIZE)
			errno = EPROTO;
		return -1;
	}
	if (protocol_decode(buffer, (size_t)n, fd_count, m) == -1) {
		while (fd_count > 0)
			fd_close(&fds[--fd_count]);
		return -1;
	}
	if (fd_count > 0)
		memcpy(stdio, fds, 3 * sizeof(int));
	return 1;
}
