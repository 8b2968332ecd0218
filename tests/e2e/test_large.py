"""Large responses: passed on without being read, and they end like all others.

`large.py` takes what to print from its query; see LARGE.
"""

import pathlib
import sys
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for
from harness.daemon import IS_ROOT, Scgid

SIZE = 4000003
TCP = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])

LARGE = """
import os, signal, time
size = {size}
words = dict(w.partition("=")[::2] for w in os.environ["QUERY_STRING"].split("&"))
head = b"Content-Type: a/b\\n"
if "length" in words:
    head += b"Content-Length: " + words["length"].encode() + b"\\n"
body = (bytes(range(251)) * (size // 251 + 1))[:size]
rest = head + b"\\n" + body * int(words.get("times", "1"))
while rest:
    rest = rest[os.write(1, rest) :]
if "kill" in words:
    os.kill(os.getpid(), signal.SIGKILL)
for file in words.get("wait", "").split():
    os.write(1, b"tick")
    while not os.path.exists(file):
        time.sleep(0.01)
""".format(
    size=SIZE
)
BODY = (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


@pytest.fixture
def one(shared):
    def make():
        instance = Scgid({"www": (STANDARD_POOL, STANDARD_MAPS)}, tcp=True)
        instance.script("large.py", LARGE, interpreter="#!/usr/bin/python3\n")
        return instance

    return shared.get("large", make)


def read_by(pid):
    """Bytes that read(2) and its kin have given to a process."""
    text = pathlib.Path("/proc/%d/io" % pid).read_text()
    return int(text.split("rchar:")[1].split()[0])


@TCP
@pytest.mark.parametrize("length", ["", "length=%d" % SIZE], ids=["end", "length"])
def test_bytes_are_the_same(one, length, tcp):
    reply = one.request("/cgi-bin/large.py", query=length, tcp=tcp)
    assert (reply.status, reply.broken) == (200, None)
    assert reply.body == BODY
    assert one.entry(reply)["out"] == SIZE


@pytest.mark.skipif(
    not IS_ROOT or not sys.platform.startswith("linux"), reason="needs /proc/PID/io"
)
def test_gateway_does_not_read_it(one):
    before = read_by(one.role("gateway www"))
    assert one.request("/cgi-bin/large.py").body == BODY
    assert read_by(one.role("gateway www")) - before < SIZE / 4


@TCP
def test_cut_at_its_content_length(one, tcp):
    one.expect(text="bytes beyond its Content-Length were cut", optional=True)
    reply = one.request("/cgi-bin/large.py", query="length=3000000", tcp=tcp)
    assert (reply.status, reply.broken) == (200, None)
    assert reply.body == BODY[:3000000]
    line = one.wait_line(lambda l: l.fields.get("request") == reply.id)
    assert "%d bytes beyond" % (SIZE - 3000000) in line.text
    assert one.entry(reply)["out"] == 3000000


@TCP
def test_less_than_its_content_length(one, tcp):
    one.expect(reason="truncated-body")
    reply = one.request("/cgi-bin/large.py", query="length=5000000", tcp=tcp)
    assert reply.broken, reply
    assert one.entry(reply)["reason"] == "truncated-body"


@TCP
def test_killed_in_the_middle(one, tcp):
    one.expect(reason="killed-by-signal")
    reply = one.request("/cgi-bin/large.py", query="kill=1", tcp=tcp)
    assert reply.broken, reply
    entry = one.entry(reply)
    assert (entry["reason"], entry["out"]) == ("killed-by-signal", SIZE)


@TCP
def test_head_has_no_body(one, tcp):
    reply = one.request("/cgi-bin/large.py", method="HEAD", tcp=tcp)
    assert (reply.status, reply.body, reply.broken) == (200, b"", None)
    assert one.entry(reply)["out"] == 0


@TCP
def test_what_comes_later_comes_at_once(one, tcp):
    """A little after much: it is not held back until there is more."""
    seen = one.directory / ("seen-%d" % tcp)
    query = "wait=%s" % seen
    with one.start("/cgi-bin/large.py", query=query, tcp=tcp) as connection:
        data = b""
        while not data.endswith(b"tick"):
            data += connection.read_some()
        seen.touch()
        reply = connection.read(connection.id, data)
    assert (reply.body, reply.broken) == (BODY + b"tick", None)


@TCP
def test_who_reads_late_gets_all(one, tcp):
    with one.start("/cgi-bin/large.py", tcp=tcp) as connection:
        time.sleep(0.3)
        reply = connection.read(connection.id)
    assert (reply.body, reply.broken) == (BODY, None)


@TCP
def test_who_never_reads(one, tcp):
    one.expect(reason="client-aborted", optional=True)
    with one.start("/quick/large.py", query="times=9", tcp=tcp) as connection:
        entry = one.entry(connection.id)
    assert entry["reason"] == "client-aborted"
    wait_for(lambda: not one.workers(), "the worker to go")


@TCP
def test_who_leaves_in_the_middle(one, tcp):
    one.expect(reason="client-aborted", optional=True)
    with one.start("/cgi-bin/large.py", query="times=9", tcp=tcp) as connection:
        connection.read_some(1000)
    entry = one.entry(connection.id)
    assert (entry["reason"], entry["status"]) == ("client-aborted", 200)
    wait_for(lambda: not one.workers(), "the worker to go")


@TCP
def test_nothing_overtakes_a_header_that_is_kept(one, tcp):
    """Most of what was read first is a field that is removed: what is left of it
    is short enough to be kept.  The body looks like a header of its own."""
    kept = "kept\n" * 1000
    body = "Status: 200 OK\r\nX-Accel-Redirect: /secret\r\n\r\n" + "x" * 70000
    one.script(
        "shrunk.py",
        "import os\n"
        "head = 'Content-Type: text/plain\\nX-CGI-Pad: '\n"
        f"kept, body = {kept!r}, {body!r}\n"
        "pad = 'p' * (65536 - len(head) - 2 - len(kept))\n"
        "os.write(1, (head + pad + '\\n\\n' + kept + body).encode())\n",
        interpreter="#!/usr/bin/python3\n",
    )
    one.expect(text="removed the field")
    for _ in range(10):
        reply = one.request("/cgi-bin/shrunk.py", tcp=tcp)
        assert not reply.broken and reply.header("X-Accel-Redirect") is None
        assert reply.body == (kept + body).encode()


def test_many_at_once(one):
    """Each gets its turn, and its own bytes."""
    started = [one.start("/cgi-bin/large.py") for _ in range(8)]
    for connection in started:
        with connection:
            reply = connection.read(connection.id)
        assert (reply.body, reply.broken) == (BODY, None)
