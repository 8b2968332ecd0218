"""Logs that cannot be written, and what a script writes to them."""

import json
import os
import resource
import subprocess

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for
from harness.daemon import Scgid, set_limit


def fifo(place):
    path = place / "fifo"
    os.mkfifo(path, 0o666)
    os.chmod(path, 0o666)
    return path


@pytest.mark.parametrize("key", ["access_log", "log"])
def test_a_fifo_without_a_reader(place, key):
    """It is an error, at once: nothing waits for a reader."""
    path = fifo(place)
    pool, settings = dict(STANDARD_POOL), {}
    (pool if key == "access_log" else settings)[key] = path
    one = Scgid({"www": (pool, STANDARD_MAPS)}, settings=settings, ready=False)
    try:
        assert one.process.wait(10) == 1
        assert str(path) in one.tail() and "No such device" in one.tail()
    except subprocess.TimeoutExpired:
        raise AssertionError("it waits for a reader")
    finally:
        one.kill()


def test_a_fifo_that_nobody_reads_on(start, place):
    """Requests are served, and the log says why lines are missing."""
    path = fifo(place)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        one = start({"www": (dict(STANDARD_POOL, access_log=path), STANDARD_MAPS)})
        for _ in range(400):
            reply = one.request("/cgi-bin/hello.sh", register=False, query="x" * 500)
            assert reply.status == 200
        one.wait_line("cannot write .*: Resource temporarily unavailable")
        # Whole lines are in it, and there is room for others once it is read.
        data = b""
        while True:
            try:
                data += os.read(reader, 65536)
            except BlockingIOError:
                break
        assert all(json.loads(line)["pool"] == "www" for line in data.splitlines())
        one.request("/cgi-bin/hello.sh", register=False, query="again")

        def is_again():
            try:
                return b"again" in os.read(reader, 65536)
            except BlockingIOError:
                return False

        wait_for(is_again, "a line")
        one.kill()  # the oracle has no access log to read
    finally:
        os.close(reader)


@pytest.mark.root  # the limit of a process of another user
def test_a_cut_line_does_not_spoil_the_next(start):
    """As on a disk that is full, and then is not."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.entry(one.request("/cgi-bin/hello.sh"))
    gateway = one.role("gateway www")
    size = one.access.stat().st_size
    old = set_limit(gateway, resource.RLIMIT_FSIZE, size + 50)
    one.expect(text="cannot write .*: File too large")
    for _ in range(2):
        assert one.request("/cgi-bin/hello.sh", register=False).status == 200
        wait_for(lambda: one.access.stat().st_size == size + 50, "the cut line")
    one.wait_line("cannot write")
    set_limit(gateway, resource.RLIMIT_FSIZE, old[0])
    last = one.request("/cgi-bin/hello.sh", register=False)
    wait_for(lambda: last.id in one.access.read_text(), "its line")
    lines = one.access.read_text().splitlines()
    assert json.loads(lines[-1])["id"] == last.id
    # The oracle reads whole lines.
    one.access.write_text("\n".join(lines[:-2] + lines[-1:]) + "\n")
    one.access_follower.offset = one.access.stat().st_size


@pytest.mark.parametrize(
    "text",
    ["\u00e9" * 250, "x" * 500, "\x01" * 500],
    ids=["not ASCII", "ASCII", "controls"],
)
def test_a_long_line_on_stderr_is_whole(scgid, text):
    """Escaped it is four times as long, and still a line of the log."""
    (scgid.cgi / "text").write_text(text)
    scgid.script("long.sh", "cat text >&2\nprintf 'Content-Type: a/b\\n\\n'")
    reply = scgid.request("/cgi-bin/long.sh")
    line = scgid.wait_line("request=%s .* stderr: " % reply.id).text
    escaped = line.partition(" stderr: ")[2]
    assert escaped.encode().decode("unicode_escape").encode("latin-1") == text.encode()


def test_a_long_line_of_a_failure(scgid):
    """Its beginning is in the failure's line, which stays one."""
    text = "\\\"" * 255
    (scgid.cgi / "text").write_text(text)
    scgid.script("long.sh", "cat text >&2\nexit 3")
    scgid.expect(reason="exit-status")
    reply = scgid.request("/cgi-bin/long.sh")
    found = scgid.failure(reply)["stderr"]
    assert len(found) > 700 and found == ('\\\\\\"' * 255)[: len(found)]
