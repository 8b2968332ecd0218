"""slow_log: which requests have a line, and where it says the time went."""

import re
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import encode, wait_for
from harness.daemon import Scgid

PARTS = [
    "receive_ms",
    "queue_ms",
    "start_ms",
    "first_ms",
    "body_ms",
    "front_ms",
    "after_ms",
]


@pytest.fixture
def slow(shared):
    pool = dict(STANDARD_POOL, slow_log="150ms", workers=1, background_grace="2s")
    return shared.get("slow", lambda: Scgid({"www": (pool, STANDARD_MAPS)}, tcp=True))


def line(one, request_id):
    """The fields of the line of a request."""
    one.expect(text="request=%s slow " % request_id)
    found = one.wait_line("request=%s slow " % request_id).fields
    times = {name: float(found[name]) for name in PARTS}
    assert abs(sum(times.values()) - float(found["total_ms"])) < 0.01, found
    assert float(found["total_ms"]) > 150
    return found, times


def main_part(times):
    return max(times, key=times.get)


def test_fast_requests_have_none(slow):
    for _ in range(5):
        reply = slow.request("/cgi-bin/hello.sh")
        slow.entry(reply)
    assert not [l for l in slow.recent() if " slow " in l.message]


def test_off_by_default(scgid):
    scgid.script("slow.sh", "sleep 0.2\nprintf 'Content-Type: a/b\\n\\n'")
    scgid.entry(scgid.request("/cgi-bin/slow.sh"))
    assert not [l for l in scgid.recent() if " slow " in l.message]


def test_slow_to_answer(slow):
    """The tree names the processes, by what they are and what they wait for."""
    slow.script("first.sh", "sleep 0.5\nprintf 'Content-Type: a/b\\n\\n'")
    reply = slow.request("/cgi-bin/first.sh", query='a="b')
    found, times = line(slow, reply.id)
    assert main_part(times) == "first_ms" and times["first_ms"] > 400
    assert found["script"].endswith("/first.sh") and found["method"] == "GET"
    assert found["uri"] == r"/cgi-bin/first.sh?a=\"b"
    assert re.match(
        r"\d+ first\.sh S( \w+)? \(\d+ sleep S( \w+)?\)$", found["tree"]
    ), found


def test_slow_body(slow):
    slow.script("body.sh", "printf 'Content-Type: a/b\\n\\nx'\nsleep 0.4\nprintf y")
    found, times = line(slow, slow.request("/cgi-bin/body.sh").id)
    assert main_part(times) == "body_ms" and "sleep" in found["tree"]


def test_slow_queue(slow):
    """One worker, and somebody has it."""
    slow.script("hold.sh", "sleep 0.4\nprintf 'Content-Type: a/b\\n\\n'")
    with slow.start("/cgi-bin/hold.sh") as first:
        wait_for(lambda: slow.workers(), "the worker")
        reply = slow.request("/cgi-bin/hello.sh")
        assert first.read().status == 200
    _, times = line(slow, reply.id)
    assert main_part(times) == "queue_ms"
    line(slow, first.id)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_slow_upload(slow, tcp):
    params, request_id = slow.params("/cgi-bin/cat.sh", b"12", method="POST")
    data = encode(params, b"12")
    with slow.connect(tcp=tcp) as connection:
        connection.send(data[:-1])
        time.sleep(0.3)
        connection.send(data[-1:])
        assert connection.read().body == b"12"
    found, times = line(slow, request_id)
    assert main_part(times) == "receive_ms"


def test_slow_front_end(slow):
    """It takes nothing for a while: that is not the script's time."""
    slow.script(
        "big.sh", "printf 'Content-Type: a/b\\n\\n'\nexec head -c 4000000 /dev/zero"
    )
    with slow.start("/cgi-bin/big.sh") as connection:
        time.sleep(0.5)
        assert len(connection.read().body) == 4000000
    _, times = line(slow, connection.id)
    assert main_part(times) == "front_ms"


def test_slow_end(slow):
    """The response is whole, and its worker runs on."""
    slow.script(
        "after.sh",
        "printf 'Content-Type: a/b\\nContent-Length: 1\\n\\nx'\n" "exec >&-\nsleep 0.4",
    )
    _, times = line(slow, slow.request("/cgi-bin/after.sh").id)
    assert main_part(times) == "after_ms"


def test_failures_have_a_line_too(slow):
    slow.script("fail.sh", "sleep 0.3\nexit 4")
    slow.expect(reason="exit-status")
    _, times = line(slow, slow.request("/cgi-bin/fail.sh").id)
    assert main_part(times) == "first_ms"


def test_hostile_processes(slow):
    """Names that try to end a field, and more processes than are told of."""
    slow.compiled(
        "evil",
        """
        #include <sys/prctl.h>
        #include <unistd.h>
        #include <stdio.h>
        int main(void)
        {
                prctl(PR_SET_NAME, "a\\") b(c,\\n\\x1b\\xff");
                for (int i = 0; i < 100; i++)
                        if (fork() == 0)
                                return usleep(600000);
                usleep(500000);
                puts("Content-Type: a/b\\n");
        }
        """,
    )
    found, _ = line(slow, slow.request("/cgi-bin/evil").id)
    tree = found["tree"]
    assert re.match(r'\d+ a\\"__b_c____ S', tree), tree
    assert tree.count(",") < 64 and len(tree) <= 1200
