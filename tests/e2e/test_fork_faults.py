"""Fork servers that lie, break, or find no room; requests that do not fit."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

from conftest import STANDARD_POOL
from harness.client import run_threads, wait_for
from harness.daemon import IS_ROOT, build_directory, set_limit
from test_faults import tracer_of
from test_fork_lifecycle import PLAIN, SPARES, instance, kill, version
from test_fork_server import HEADER, is_forked, warm

# Speaks for itself on our socket, before main, as any program may.  HOW says
# how it lies.
HOSTILE = r"""
#define _GNU_SOURCE
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct slot { int32_t pid; uint32_t request; };
static struct slot *slots;
static char text[300 * 1024];
static int SOCKET = -1;

static void find_socket(void)
{
	for (int fd = 3, type; fd < 1024 && SOCKET == -1; fd++) {
		socklen_t size = sizeof(type);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
		    type == SOCK_SEQPACKET)
			SOCKET = fd;
	}
}

static ssize_t put(const void *data, size_t length, int count)
{
	union { struct cmsghdr align; char space[CMSG_SPACE(16 * sizeof(int))]; } control;
	struct iovec part = { (void *)data, length };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		for (int i = 0; i < count; i++)
			((int *)CMSG_DATA(c))[i] = 0;
	}
	return sendmsg(SOCKET, &m, MSG_NOSIGNAL);
}

static uint32_t next_request(void)
{
	ssize_t n = recv(SOCKET, text, sizeof(text), 0);
	uint32_t id;

	if (n <= 0)
		_exit(0);
	memcpy(&id, text + 4, sizeof(id));
	return id;
}

static void noise(void)
{
	for (int type = 0; type < 256; type++)
		for (int count = 0; count < 6; count++) {
			memset(text, type, sizeof(text));
			put(text, (size_t)1 << (count * 3), count);
			text[0] = 'R';
			put(text, (size_t)1 << (count * 3), count);
			memset(text + 4, 1, 2000);
			put(text, 1000, 4);
		}
	put(text, 0, 0);
	memset(text, 'x', sizeof(text));
	text[0] = 'F';
	put(text, sizeof(text) - 1000, 0);
	text[0] = 'L';
	put(text, sizeof(text) - 1000, 16);
}

__attribute__((constructor)) static void begin(void)
{
	int other = 0;

	find_socket();
	if (SOCKET == -1)
		return;
	close(open(BEGUN, O_WRONLY | O_CREAT, 0600));
	slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, SOCKET + 1, 0);
	if (ftruncate(SOCKET + 1, 0) == 0)
		write(2, "not sealed", 10);
	if (HOW == 'n')
		noise();
	for (int i = 0; HOW == 'g' && i < 20; i++)
		put("F", 1, 4);
	put("H", 1, 0);
	put("H", 1, 0);
	for (;;) {
		uint32_t id = next_request();

		if (HOW == 'e')
			_exit(0);
		if (HOW == 'c')
			raise(SIGSEGV);
		if (HOW == 's')
			raise(SIGSTOP);
		if (HOW == 'n')
			noise();
		if (HOW == 'b') {
			put(text, 400, 4);
			put(text, 400, 4);
		}
		if (HOW == 'l') {
			/* Whoever is near: our parents, their parents, ourselves. */
			for (int i = 0; i < 500; i++)
				slots[i] = (struct slot){getppid() - 250 + i, id};
			slots[0].pid = 1;
			slots[1].pid = -1;
			slots[2].pid = INT32_MIN;
			slots[3].pid = 0;
		}
		if (HOW == 'm') /* a child of our parent, but not ours */
			slots[0] = (struct slot){getpid(), id};
		if (HOW == 'z')
			memset(slots, 255, 4096);
		if (HOW == 'd') {
			uint64_t much = UINT64_MAX - 1;

			fcntl(SOCKET + 2, F_SETFL, O_NONBLOCK);
			write(SOCKET + 2, &much, sizeof(much));
			shutdown(SOCKET, SHUT_RDWR);
			pause();
		}
		(void)other;
	}
}

int main(void)
{
	printf("Content-Type: a/b\n\nmain");
	return 0;
}
"""

BEHAVIOURS = {
    "noise": "n",
    "exits": "e",
    "crashes": "c",
    "stops": "s",
    "sends back what is no request": "b",
    "gives away descriptors": "g",
    "names others": "l",
    "names itself": "m",
    "fills the slots": "z",
    "shuts the socket": "d",
}


@pytest.mark.parametrize("spare", SPARES)
@pytest.mark.parametrize("how", BEHAVIOURS)
def test_hostile(start, how, spare):
    """Only its own requests suffer, and each of them ends."""
    one = instance(
        start, {"spare": spare, "script_timeout": "6s"}, {"/other": {"root": "{cgi}"}}
    )
    one.expect(text="launcher-lost|killed-by|timeout|abort|fork server", optional=True)
    one.expect(text="fork-failed|permission-denied|empty-output", optional=True)
    one.expect(text="reason=", optional=True)
    begun = one.writable("begun") / "it"
    words = {"HOW": "'%s'" % BEHAVIOURS[how], "BEGUN": '"%s"' % begun}
    one.compiled("hostile", re.sub("HOW|BEGUN", lambda m: words[m[0]], HOSTILE))
    one.script("sleep.sh", PLAIN + "sleep 3; echo whole; sleep 2.5; echo end")
    roles = {p: t for p, (t, _) in one.tree().items() if t.startswith("scgid: ")}
    bystander = one.start("/other/sleep.sh")
    began = time.monotonic()

    def ask():
        for _ in range(3):
            one.request("/fork/hostile")

    def leave():
        time.sleep(0.3)
        one.start("/fork/hostile").close()

    run_threads([ask, ask, leave, leave])
    assert time.monotonic() - began < 19
    reply = bystander.read()
    bystander.close()
    assert reply.body == b"whole\nend\n" and not reply.broken, reply
    now = {p: t for p, (t, _) in one.tree().items() if t.startswith("scgid: ")}
    assert now == roles
    assert begun.exists()
    if IS_ROOT:
        launcher = one.role("launcher www")
        assert len(os.listdir(f"/proc/{launcher}/fd")) < 64, "nothing piles up"


def test_huge_environment(start):
    """What fits is served; what is too long for exec is too long here."""
    one = instance(start, max_header="256K")
    one.script("s.sh", PLAIN + "echo ${#HTTP_BIG}")
    warm(one, "/fork/s.sh")
    for size in (1000, 60000, 120000):
        reply = one.request("/fork/s.sh", HTTP_BIG="x" * size)
        assert reply.body == b"%d\n" % size and is_forked(one, reply)
    many = {"HTTP_V%d" % n: "y" * 100 for n in range(2200)}
    reply = one.request("/fork/s.sh", **many)
    assert reply.status == 200 and is_forked(one, reply)
    one.expect(reason="environment-too-large")
    for prefix in ("/exec", "/fork"):
        reply = one.request(prefix + "/s.sh", HTTP_BIG="x" * 140000)
        assert one.failure(reply)["reason"] == "environment-too-large"
    assert is_forked(one, one.request("/fork/s.sh"))


@pytest.mark.parametrize("spare", SPARES)
def test_more_than_fit(start, spare):
    """More at once than there are slots or places in the queue."""
    one = instance(start, {"spare": spare}, workers=600)
    one.script("s.sh", PLAIN + "sleep 2; echo yes")
    one.script("q.sh", PLAIN)
    warm(one, "/fork/q.sh")
    connections = [one.start("/fork/s.sh") for _ in range(400)]
    for connection in connections:
        reply = connection.read()
        assert reply.body == b"yes\n" and not reply.broken
        connection.close()
    kinds = {one.entry(c.id)["start"] for c in connections}
    assert kinds == {"exec", "fork-server"}, kinds


def test_a_message_that_is_lost(start):
    """A spare worker is killed while it takes its request: it does not hang."""
    one = instance(start, {"spare": 2})
    one.script("s.sh", PLAIN + "echo yes")
    one.expect(text="launcher-lost|killed-by-signal", optional=True)
    warm(one, "/fork/s.sh")
    for _ in range(10):
        wait_for(lambda: len(one.spares()) == 2 or not one.forkers(), "spares")
        victims = one.spares()
        if not victims:
            break  # it was lost, and the fork server for it
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        connection = one.start("/fork/s.sh")
        time.sleep(0.01)
        for pid in victims:
            try:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it was sooner
        reply = connection.read()
        connection.close()
        assert reply.body == b"yes\n" or reply.status >= 500 or reply.broken, reply


def test_killed_while_they_wait(start):
    """A spare worker that was killed before there was a request takes none."""
    one = instance(start, {"spare": 3})
    one.script("s.sh", PLAIN + "echo yes")
    warm(one, "/fork/s.sh")
    busy = [
        subprocess.Popen(["sh", "-c", "while :; do :; done"], start_new_session=True)
        for _ in "1234"
    ]
    try:
        for _ in range(60):
            time.sleep(0.04)  # more than 100 in a second would be refused
            wait_for(lambda: len(one.spares()) == 3, "spares")
            kill(one.spares())
            assert one.request("/fork/s.sh").body == b"yes\n"
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_no_room_for_a_request(start):
    """A spare worker that cannot take all of one: it fails, at once and alone."""
    one = instance(start, {"spare": 1})
    one.script("s.sh", PLAIN + "echo yes")
    one.expect(reason="exit-status")
    warm(one, "/fork/s.sh")
    for pid in wait_for(lambda: len(one.forkers()) == 2 and one.forkers(), "a spare"):
        set_limit(pid, resource.RLIMIT_NOFILE, 5)
    began = time.monotonic()
    assert one.failure(one.request("/fork/s.sh"))["reason"] == "exit-status"
    assert time.monotonic() - began < 2  # it did not wait to be found out
    for _ in range(5):
        assert one.request("/fork/s.sh").body == b"yes\n"


DIES_AT_FORK = (
    HEADER
    + """
#include <pthread.h>
#include <signal.h>
static void die(void) { raise(SIGKILL); }
__attribute__((constructor)) static void begin(void) { pthread_atfork(%s); }
int main(void)
{
	fputs("it runs\\n", stderr);
	printf("Content-Type: a/b\\n\\nyes");
	return 0;
}
"""
)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_forks(start, when):
    """A request that it has looked at is run, and run once."""
    one = instance(start)
    handlers = {"before": "die, NULL, NULL", "after": "NULL, die, NULL"}[when]
    one.compiled("dies", DIES_AT_FORK % handlers)
    time.sleep(0.1)  # one that was written just now is in doubt
    one.request("/fork/dies")
    one.wait_line("fork server .* is ready", 10.0)
    reply = one.request("/fork/dies")
    assert reply.body == b"yes" and reply.status == 200 and not reply.broken
    assert is_forked(one, reply) == (when == "after")
    one.wait_line("fork server .* has ended.*: .*killed by signal 9", 10.0)
    runs = [l for l in one.recent() if reply.id in l.text and "it runs" in l.text]
    assert len(runs) == 1, runs


# System calls of a launcher that fail, one each time.

STRACE = shutil.which("strace")
CALLS = {
    "socketpair": "EMFILE",
    "eventfd2": "EMFILE",
    "memfd_create": "ENOMEM",
    "ftruncate": "ENOSPC",
    "mmap": "ENOMEM",
    "openat": "EMFILE",
    "pipe2": "EMFILE",
    "vfork,clone": "EAGAIN",
    "sendmsg": "ENOBUFS",
    "recvmsg": "ENOMEM",
    "access,faccessat": "EACCES",
    "stat,newfstatat": "EIO",
}


@pytest.mark.skipif(
    not STRACE or not build_directory("SCGID_BUILD_RELEASE"),
    reason="needs strace and SCGID_BUILD_RELEASE",
)
@pytest.mark.parametrize("how", ["replaced", "killed"])
def test_slow_to_begin(start, how, tmp_path):
    """A spare worker that stands still with what it took has not lost it."""
    one = instance(start, {"spare": 1}, build="SCGID_BUILD_RELEASE")
    version(one, "p", "1")
    warm(one, "/fork/p")
    spare = wait_for(one.spares, "a spare worker")[0]
    tracer = subprocess.Popen(
        [STRACE, "-qq", "-o", str(tmp_path / "trace"), "-p", str(spare)]
        + ["-e", "inject=recvmsg:delay_exit=1500000"]
    )
    wait_for(lambda: tracer_of(spare) == tracer.pid, "strace")
    server = one.fork_servers()[0]
    slow = one.start("/fork/p")
    time.sleep(0.2)
    if how == "killed":
        kill([server])
    version(one, "p", "2")
    assert one.request("/fork/p").body == b"2"
    wait_for(lambda: server not in one.tree(), "the end of the fork server")
    reply = slow.read()
    slow.close()
    assert reply.status == 200 and reply.body == b"1" and not reply.broken, reply
    assert is_forked(one, slow)
    tracer.wait(10)


@pytest.mark.root  # nobody else may trace a launcher
@pytest.mark.skipif(
    not STRACE or not build_directory("SCGID_BUILD_RELEASE"),
    reason="needs strace and SCGID_BUILD_RELEASE",
)
@pytest.mark.parametrize("call", CALLS)
def test_failing_calls(start, call, tmp_path):
    """Whatever fails while a fork server is started and used: requests do not."""
    one = instance(start, build="SCGID_BUILD_RELEASE")
    one.expect(text="fork server|reason=", optional=True)
    one.script("s.sh", PLAIN + "echo yes")
    # Not every machine has each.
    names = ",".join("?" + name for name in call.split(","))
    for when in range(1, 12):
        tracer = subprocess.Popen(
            [STRACE, "-qq", "-o", str(tmp_path / "trace")]
            + ["-p", str(one.role("launcher www"))]
            + ["-e", "inject=%s:error=%s:when=%d" % (names, CALLS[call], when)],
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: tracer_of(one.role("launcher www")) == tracer.pid, "strace")
        # Another program each time: what failed is not tried again at once.
        name = "p%d" % when
        shutil.copy("/bin/sh", one.cgi / name)
        (one.cgi / name).chmod(0o755)
        one.script("s%d.sh" % when, "#!%s\n" % (one.cgi / name) + PLAIN + "echo yes")
        replies = [one.request("/fork/s%d.sh" % when) for _ in range(4)]
        tracer.terminate()
        tracer.wait(10)
        bad = [r for r in replies if r.body != b"yes\n"]
        # The one whose own call it was.
        assert len(bad) <= 1 and all(r.status >= 400 for r in bad), bad
    warm(one, "/fork/s.sh")
