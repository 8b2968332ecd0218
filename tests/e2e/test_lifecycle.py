"""Conformance 78-88: from start to end of a worker, limits and timeouts."""

import os
import re
import resource
import socket
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Connection, encode, nginx_params, run_threads, wait_for
from harness.daemon import set_limit
from test_selection import HELLO


def gone(scgid):
    """Wait until no worker is left."""
    wait_for(lambda: not scgid.workers(), lambda_workers(scgid), 6.0)


class lambda_workers:
    def __init__(self, scgid):
        self.scgid = scgid

    def __str__(self):
        return "workers to end: %r" % self.scgid.workers()


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_78_what_is_in_the_pipe_at_exit_is_delivered(scgid, tcp):
    """The script ends at once; its reader takes its time."""
    scgid.script(
        "burst.sh", "printf 'Content-Type: a/b\\n\\n'\nhead -c 3000000 /dev/zero"
    )
    with scgid.start("/cgi-bin/burst.sh", tcp=tcp) as connection:
        got = 0
        while True:
            data = connection.read_some(50000)
            if not data:
                break
            got += len(data)
            if got < 500000:
                time.sleep(0.01)
    assert got == len(b"Status: 200 OK\r\nContent-Type: a/b\r\n\r\n") + 3000000


def test_item_79_background_child_holds_stdout(scgid):
    pid_file = scgid.writable("pids") / "background"
    scgid.script(
        "background.sh",
        "sleep 60 &\necho $! >%s\nprintf 'Content-Type: a/b\\n\\ndone'" % pid_file,
    )
    begin = time.monotonic()
    reply = scgid.request("/cgi-bin/background.sh")
    took = time.monotonic() - begin
    assert (reply.status, reply.body, reply.broken) == (200, b"done", None)
    # background_grace is 300ms
    assert 0.25 < took < 4
    pid = int(pid_file.read_text())
    wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the group to be killed")
    assert scgid.entry(reply)["reason"] == "none"


def test_item_79_background_child_without_stdout(scgid):
    """Nothing of a worker outlives its request, stdout or not."""
    pid_file = scgid.writable("pids") / "quiet"
    scgid.script(
        "quiet.sh",
        "sleep 60 >/dev/null 2>&1 </dev/null &\necho $! >%s\n"
        "printf 'Content-Type: a/b\\n\\ndone'" % pid_file,
    )
    reply = scgid.request("/cgi-bin/quiet.sh")
    assert (reply.status, reply.body) == (200, b"done")
    pid = int(pid_file.read_text())
    wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the group to be killed")


def test_item_80_closes_stdout_and_runs_on(start):
    pool = dict(STANDARD_POOL, workers=1)
    one = start({"www": (pool, STANDARD_MAPS)})
    place = one.writable("marks")
    one.script(
        "runs-on.sh",
        "printf 'Content-Type: a/b\\n\\ndone'\nexec >&- 2>&-\n"
        "while [ ! -e %s/go ]; do sleep 0.05; done" % place,
    )
    begin = time.monotonic()
    reply = one.request("/cgi-bin/runs-on.sh")
    assert (reply.body, reply.broken) == (b"done", None)
    assert time.monotonic() - begin < 3
    # The worker still counts: the next request waits for its slot.
    with one.start("/cgi-bin/hello.sh") as second:
        second.socket.settimeout(0.4)
        with pytest.raises(TimeoutError):
            second.read_some()
        second.socket.settimeout(10)
        (place / "go").touch()
        assert second.read(second.id).body == b"hello\n"
    entry = one.entry(second.id)
    assert float(entry["queue_ms"]) > 300


TIMEOUTS = {
    "/idle": {"root": "{cgi}", "idle_timeout": "400ms"},
    "/total": {"root": "{cgi}", "script_timeout": "700ms", "idle_timeout": "5s"},
}


@pytest.fixture
def timed(shared):
    from harness.daemon import Scgid

    return shared.get(
        "timed", lambda: Scgid({"www": (STANDARD_POOL, TIMEOUTS)}, tcp=True)
    )


def test_item_81_first_byte_timeout(timed):
    timed.script("mute.sh", "sleep 60")
    timed.expect(reason="first-byte-timeout")
    begin = time.monotonic()
    reply = timed.request("/idle/mute.sh")
    assert reply.status == 504
    assert 0.35 < time.monotonic() - begin < 4
    assert timed.entry(reply)["reason"] == "first-byte-timeout"


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_81_idle_timeout(timed, tcp):
    timed.script("stall.sh", "printf 'Content-Type: a/b\\n\\npart'\nsleep 60")
    timed.expect(reason="idle-timeout")
    reply = timed.request("/idle/stall.sh", tcp=tcp)
    assert reply.broken, reply
    assert timed.entry(reply)["reason"] == "idle-timeout"


def test_item_81_total_timeout_before_the_header(timed):
    timed.script("drip.sh", "printf 'X-A: '\nwhile :; do printf a; sleep 0.1; done")
    timed.expect(reason="script-timeout")
    reply = timed.request("/total/drip.sh")
    assert reply.status == 504
    assert timed.entry(reply)["reason"] == "script-timeout"


def test_item_81_total_timeout_in_the_body(timed):
    timed.script(
        "drip-body.sh",
        "printf 'Content-Type: a/b\\n\\n'\nwhile :; do printf a; sleep 0.1; done",
    )
    timed.expect(reason="script-timeout")
    reply = timed.request("/total/drip-body.sh")
    assert reply.broken, reply
    assert set(reply.body) == {ord("a")}


def test_item_81_output_keeps_a_script_alive(timed):
    timed.script(
        "ticks.sh",
        "printf 'Content-Type: a/b\\n\\n'\nfor i in 1 2 3 4 5; do printf $i; sleep 0.2; done",
    )
    reply = timed.request("/idle/ticks.sh")
    assert (reply.body, reply.broken) == (b"12345", None)


def test_item_81_a_script_that_ignores_term(timed):
    timed.script("stubborn.sh", "trap '' TERM\nwhile :; do sleep 0.1; done")
    timed.expect(reason="first-byte-timeout")
    reply = timed.request("/idle/stubborn.sh")
    assert reply.status == 504
    entry = timed.entry(reply)
    assert int(entry["signal"]) == 9


def test_item_81_a_script_that_stops_itself(timed):
    timed.script("stopped.sh", "kill -STOP $$")
    timed.expect(reason="first-byte-timeout")
    assert timed.request("/idle/stopped.sh").status == 504


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("when", ["before", "inside"])
def test_item_82_client_abort(scgid, tcp, when):
    place = scgid.writable("abort")
    for path in place.iterdir():
        path.unlink()
    scgid.script(
        "aborted.sh",
        "trap 'echo TERM >%s/term; exit 1' TERM\nsleep 60 &\necho $! >%s/child\n"
        "%s: >%s/started\nwhile :; do sleep 0.05; done"
        % (
            place,
            place,
            "printf 'Content-Type: a/b\\n\\npart'\n" if when == "inside" else "",
            place,
        ),
    )
    scgid.expect(reason="client-aborted", optional=True)
    with scgid.start("/cgi-bin/aborted.sh", tcp=tcp) as connection:
        wait_for(lambda: (place / "started").exists(), "the script to start")
        if when == "inside":
            data = b""
            while b"part" not in data:
                data += connection.read_some()
        child = int((place / "child").read_text())
    entry = scgid.entry(connection.id)
    assert entry["reason"] == "client-aborted"
    # What was sent, or 499 if nothing was.
    assert int(entry["status"]) == (200 if when == "inside" else 499)
    assert (place / "term").exists(), "TERM came first"
    wait_for(lambda: not os.path.exists("/proc/%d" % child), "the group to end")


def test_item_82_client_abort_kill_after_the_grace(scgid):
    place = scgid.writable("abort2")
    scgid.script(
        "deaf.sh", "trap '' TERM\n: >%s/started\nwhile :; do sleep 0.1; done" % place
    )
    scgid.expect(reason="client-aborted", optional=True)
    with scgid.start("/cgi-bin/deaf.sh") as connection:
        wait_for(lambda: (place / "started").exists(), "the script to start")
    entry = scgid.entry(connection.id)
    assert int(entry["signal"]) == 9


@pytest.mark.root  # nobody else sees the descriptors of a role
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_82_client_abort_while_it_waits(start, tcp):
    """A request whose client left the queue starts nothing."""
    one = start({"www": (dict(STANDARD_POOL, workers=1), STANDARD_MAPS)}, tcp=True)
    place = one.writable("marks")
    one.script(
        "hold.sh",
        "while [ ! -e %s/go ]; do sleep 0.05; done\nprintf 'Content-Type: a/b\\n\\n'"
        % place,
    )
    one.script("mark.sh", ": >%s/ran\nprintf 'Content-Type: a/b\\n\\n'" % place)
    one.expect(reason="client-aborted", optional=True)
    with one.start("/cgi-bin/hold.sh") as first:
        wait_for(one.workers, "the slot to be taken")
        before = one.picture()["scgid: gateway www"]
        with one.start("/cgi-bin/mark.sh", tcp=tcp) as second:
            wait_for(
                lambda: one.picture()["scgid: gateway www"] != before,
                "the second to be accepted",
            )
        entry = one.entry(second.id)
        assert (entry["reason"], entry["exit"]) == ("client-aborted", "none")
        (place / "go").touch()
        assert first.read().status == 200
    assert not (place / "ran").exists()


CRASHES = {
    "signal": ("kill -KILL $$", r"killed-by-signal|out-of-memory"),
    "segv": ("kill -SEGV $$", "killed-by-signal"),
}


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("how", sorted(CRASHES))
def test_item_83_crash_in_the_body(scgid, tcp, how):
    """Through nginx: test_frontends.py."""
    end, reason = CRASHES[how]
    scgid.script(
        "crash-%s.sh" % how, "printf 'Content-Type: a/b\\n\\npart'\nsleep 0.1\n" + end
    )
    scgid.expect(text="reason=(%s)" % reason)
    reply = scgid.request("/cgi-bin/crash-%s.sh" % how, tcp=tcp)
    assert reply.broken, reply


def test_exit_status_after_a_whole_response(scgid):
    """A response that is whole stays one; the log still tells."""
    scgid.script("late.sh", "printf 'Content-Type: a/b\\n\\nwhole'\nexit 7")
    scgid.expect(text="exit", optional=True)
    reply = scgid.request("/cgi-bin/late.sh")
    assert (reply.status, reply.body) == (200, b"whole")
    assert int(scgid.entry(reply)["exit"]) == 7


def test_item_84_stderr_before_stdout(scgid):
    scgid.script(
        "noisy.pl",
        'print STDERR "x" x 1048576; print "Content-Type: a/b\\n\\nok"',
        interpreter="#!/usr/bin/perl\n",
    )
    scgid.expect(text="stderr", optional=True)
    reply = scgid.request("/cgi-bin/noisy.pl")
    assert (reply.status, reply.body) == (200, b"ok")


def test_item_84_stderr_lines_reach_the_log(scgid):
    scgid.script(
        "lines.sh",
        "printf 'one\\ntwo \\033[31m\\nthree' >&2\nprintf 'Content-Type: a/b\\n\\nok'",
    )
    reply = scgid.request("/cgi-bin/lines.sh")
    for text in ("one", "two", "three"):
        line = scgid.wait_line("stderr: " + text)
        assert line.level == "info"
        assert line.fields["request"] == reply.id
        assert line.fields["script"].endswith("lines.sh")


def test_item_84_endless_stderr_is_bounded(timed):
    timed.script("endless.sh", "yes error-line >&2")
    timed.expect(text="reason=")
    timed.expect(text="stderr", optional=True)
    size = timed.stderr.stat().st_size
    reply = timed.request("/total/endless.sh")
    assert reply.status in (502, 504)
    assert timed.stderr.stat().st_size - size < 2 << 20


def test_item_85_five_hundred_end_at_once(start):
    pool = dict(
        STANDARD_POOL,
        workers=500,
        idle_timeout="30s",
        script_timeout="60s",
        queue_timeout="30s",
    )
    one = start({"www": (pool, STANDARD_MAPS)})
    gate = one.writable("gate") / "gate"
    os.mkfifo(gate)
    os.chmod(gate, 0o666)
    one.script(
        "wait.sh", "read nothing <%s\nprintf 'Content-Type: a/b\\n\\nended'" % gate
    )
    connections = [one.start("/cgi-bin/wait.sh") for _ in range(500)]
    try:
        wait_for(
            lambda: sum("wait.sh" in t for t in titles(one)) == 500,
            "500 workers",
            40.0,
            0.1,
        )
        # Opening the gate for writing lets every reader in; closing ends them.
        os.close(os.open(gate, os.O_WRONLY))
        for connection in connections:
            reply = connection.read(connection.id)
            assert (reply.status, reply.body, reply.broken) == (200, b"ended", None)
    finally:
        for connection in connections:
            connection.close()
    wait_for(lambda: len(one.read_access()) >= 500, "500 access-log lines", 20.0)


def titles(one):
    found = []
    for pid in one.workers():
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as stream:
                found.append(stream.read().decode("latin-1"))
        except OSError:
            pass
    return found


def hold(one, count, place):
    one.script(
        "hold.sh",
        "while [ ! -e %s/go ]; do sleep 0.05; done\nprintf 'Content-Type: a/b\\n\\nheld'"
        % place,
    )
    return [one.start("/cgi-bin/hold.sh") for _ in range(count)]


def test_item_86_slots_full_then_queued(start):
    one = start({"www": (dict(STANDARD_POOL, workers=2), STANDARD_MAPS)})
    place = one.writable("marks")
    held = hold(one, 2, place)
    wait_for(lambda: len(titles(one)) >= 2, "both slots to be taken")
    order = [one.start("/cgi-bin/hello.sh") for _ in range(5)]
    for connection in order:
        connection.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.read_some()
        connection.socket.settimeout(20)
    (place / "go").touch()
    for connection in held + order:
        assert connection.read().status == 200
        connection.close()
    assert float(one.entry(order[0].id)["queue_ms"]) > 100


@pytest.mark.root  # nobody else sees the descriptors of a role
def test_item_86_first_come_first_served(start):
    one = start({"www": (dict(STANDARD_POOL, workers=1), STANDARD_MAPS)})
    place = one.writable("marks")
    one.script(
        "order.sh",
        'echo "$QUERY_STRING" >>%s/order\nprintf "Content-Type: a/b\\n\\n"' % place,
    )
    held = hold(one, 1, place)
    wait_for(one.workers, "the slot to be taken")
    waiting = []
    for number in range(8):
        before = one.picture()["scgid: gateway www"]
        waiting.append(one.start("/cgi-bin/order.sh", query=str(number)))
        wait_for(
            lambda: one.picture()["scgid: gateway www"] != before, "it to be accepted"
        )
    (place / "go").touch()
    for connection in held + waiting:
        assert connection.read().status == 200
        connection.close()
    assert (place / "order").read_text().split() == [str(n) for n in range(8)]


def test_item_86_queue_timeout(start):
    one = start(
        {"www": (dict(STANDARD_POOL, workers=1, queue_timeout="400ms"), STANDARD_MAPS)}
    )
    place = one.writable("marks")
    held = hold(one, 1, place)
    wait_for(one.workers, "the slot to be taken")
    one.expect(reason="queue-timeout")
    begin = time.monotonic()
    reply = one.request("/cgi-bin/hello.sh")
    assert reply.status == 503
    assert reply.header("Retry-After")
    assert 0.35 < time.monotonic() - begin < 3
    assert one.entry(reply)["reason"] == "queue-timeout"
    (place / "go").touch()
    assert held[0].read().status == 200
    held[0].close()


def test_item_86_queue_full(start):
    """At once 503 and Retry-After when there is no room to wait."""
    one = start({"www": (dict(STANDARD_POOL, workers=1, queue=3), STANDARD_MAPS)})
    place = one.writable("marks")
    held = hold(one, 1, place)
    wait_for(one.workers, "the slot to be taken")
    one.expect(reason="queue-full")
    waiting = [one.start("/cgi-bin/hello.sh") for _ in range(8)]
    wait_for(
        lambda: [l for l in one.recent() if l.fields.get("reason") == "queue-full"],
        "a request to be refused",
    )
    (place / "go").touch()
    replies = [c.read(c.id) for c in held + waiting]
    for connection in held + waiting:
        connection.close()
    statuses = [r.status for r in replies]
    assert set(statuses) == {200, 503}, statuses
    for reply in replies:
        if reply.status == 503:
            assert reply.header("Retry-After")
            assert one.entry(reply)["reason"] == "queue-full"


@pytest.mark.parametrize("keys", [{}, {"access_log": "off"}], ids=["each", "off"])
def test_an_overload_is_summed_up(start, keys):
    """A line for the first and one for the rest, if the access log has each."""
    pool = dict(STANDARD_POOL, workers=1, queue=1, **keys)
    one = start({"www": (pool, STANDARD_MAPS)})
    place = one.writable("marks")
    held = hold(one, 1, place)
    wait_for(one.workers, "the slot to be taken")
    held.append(one.start("/cgi-bin/hello.sh"))
    one.expect(reason="queue-full")
    replies = [one.request("/cgi-bin/hello.sh") for _ in range(20)]
    assert {r.status for r in replies} == {503}

    def told():
        lines = [l for l in one.recent() if "reason=queue-full for" in l.text]
        more = [int(re.search(r"for (\d+) more", l.text).group(1)) for l in lines]
        return sum(more) + len([l for l in one.recent() if l.fields.get("uri")])

    if not keys:
        wait_for(lambda: told() == 20, "all to be told of")
        assert len([l for l in one.recent() if l.fields.get("uri")]) < 20
        assert all(one.entry(r)["reason"] == "queue-full" for r in replies)
    else:
        assert told() == 20
        one.check_access = lambda: None
    (place / "go").touch()
    for connection in held:
        with connection:
            assert connection.read(connection.id).status == 200


@pytest.mark.root
def test_item_88_fork_exhaustion(start):
    """RLIMIT_NPROC holds for the pool's user only: it needs root to differ."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    launcher = one.role("launcher www")
    old = set_limit(launcher, resource.RLIMIT_NPROC, 1)
    one.expect(reason="fork-failed")
    for _ in range(3):
        reply = one.request("/cgi-bin/hello.sh")
        assert reply.status == 503, reply
        assert reply.header("Retry-After")
        assert one.failure(reply)["reason"] == "fork-failed"
    set_limit(launcher, resource.RLIMIT_NPROC, old[0])
    assert one.request("/cgi-bin/hello.sh").status == 200


@pytest.mark.root  # nobody else sees the descriptors of a role
def test_item_88_descriptor_exhaustion_in_the_gateway(start):
    """Requests fail with 503 or wait; none is lost, the daemon lives."""
    one = start(
        {"www": (dict(STANDARD_POOL, workers=100, queue_timeout="10s"), STANDARD_MAPS)}
    )
    gateway = one.role("gateway www")
    have = len(os.listdir("/proc/%d/fd" % gateway))
    one.script("short.sh", "sleep 0.2\nprintf 'Content-Type: a/b\\n\\nshort'")
    old = set_limit(gateway, resource.RLIMIT_NOFILE, have + 25)
    one.expect(text="no-descriptors|descriptor|Too many open files", optional=True)
    connections = [one.start("/cgi-bin/short.sh") for _ in range(60)]
    replies = [c.read(c.id) for c in connections]
    for connection in connections:
        connection.close()
    statuses = [r.status for r in replies]
    assert set(statuses) <= {200, 503}, statuses
    assert 200 in statuses
    for reply in replies:
        assert not reply.broken
        if reply.status == 503:
            assert one.failure(reply)["reason"] == "no-descriptors"
    set_limit(gateway, resource.RLIMIT_NOFILE, old[0])


@pytest.mark.root  # nobody else sees the descriptors of a role
def test_item_88_descriptor_exhaustion_for_a_body(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    gateway = one.role("gateway www")
    have = max(int(n) for n in os.listdir("/proc/%d/fd" % gateway))
    with one.connect() as connection:
        params, request_id = one.params("/cgi-bin/cat.sh", b"body", method="POST")
        connection.send(encode(params))
        wait_for(
            lambda: len(os.listdir("/proc/%d/fd" % gateway))
            > one.baseline["scgid: gateway www"][0] + 1,
            "the connection and the file of its body",
        )
        old = set_limit(gateway, resource.RLIMIT_NOFILE, have + 2)
        one.expect(reason="no-descriptors")
        connection.send(b"body")
        reply = connection.read(request_id)
    set_limit(gateway, resource.RLIMIT_NOFILE, old[0])
    assert reply.status == 503, reply
    assert one.failure(reply)["reason"] == "no-descriptors"


@pytest.mark.root  # nobody else sees the descriptors of a role
def test_item_88_descriptor_exhaustion_in_the_launcher(start):
    """The worker has the same limit: a program that needs few descriptors."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.compiled("lean", HELLO)
    launcher = one.role("launcher www")
    have = len(os.listdir("/proc/%d/fd" % launcher))
    one.expect(reason="no-descriptors")
    one.expect(text="descriptor|Too many open files", optional=True)
    seen = []
    for room in range(8):
        old = set_limit(launcher, resource.RLIMIT_NOFILE, have + room)
        seen.append(one.request("/cgi-bin/lean").status)
        set_limit(launcher, resource.RLIMIT_NOFILE, old[0])
    assert set(seen) <= {200, 503}, seen
    assert seen[0] == 503
    assert one.request("/cgi-bin/lean").status == 200


def test_half_close_abort_and_wait(start):
    one = start(
        {
            "www": (dict(STANDARD_POOL, half_close="abort"), STANDARD_MAPS),
            "patient": (dict(STANDARD_POOL, half_close="wait"), STANDARD_MAPS),
        },
        tcp=True,
    )
    one.script("short.sh", "sleep 0.3\nprintf 'Content-Type: a/b\\n\\nwhole'")
    # A Unix socket tells a half-close from an end by itself.
    for pool, tcp in (("www", False), ("patient", False), ("patient", True)):
        with one.start("/cgi-bin/short.sh", pool=pool, tcp=tcp) as connection:
            connection.half_close()
            reply = connection.read(connection.id)
            assert (reply.status, reply.body) == (200, b"whole"), (pool, tcp)
    one.expect(reason="client-aborted", optional=True)
    with one.start("/cgi-bin/short.sh", pool="www", tcp=True) as connection:
        connection.half_close()
        assert one.entry(connection.id)["reason"] == "client-aborted"


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as stream:
        fields = stream.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


PRINTS_BEFORE = {
    "queued": "",
    "running": "",
    "responding": "printf 'Content-Type: a/b\\n\\npart'\n",
}


@pytest.mark.parametrize("state", PRINTS_BEFORE)
@pytest.mark.parametrize(
    "tcp, how",
    [  # TCP does not tell a half-close from an end
        (False, "reset"),
        (False, "closed"),
        (False, "half-closed before"),
        (True, "reset"),
    ],
)
def test_who_goes_away_is_noticed(start, tcp, how, state):
    """However it goes away, and at no cost until then."""
    keys = dict(STANDARD_POOL, workers=1, half_close="wait", script_timeout="60s")
    one = start({"www": (keys, STANDARD_MAPS)}, tcp=True)
    one.script("wait.sh", PRINTS_BEFORE[state] + "sleep 60")
    first = one.start("/cgi-bin/wait.sh") if state == "queued" else None
    if first:
        wait_for(one.workers, "the slot to be taken")
    connection = one.start("/cgi-bin/wait.sh", tcp=tcp)
    if state == "responding":
        connection.read_some()
    else:
        time.sleep(0.2)
    if how == "half-closed before":
        connection.half_close()
        time.sleep(0.2)
    used = cpu_seconds(one.role("gateway www"))
    connection.abort() if how == "reset" else connection.close()
    assert one.entry(connection.id)["reason"] == "client-aborted"
    if first:
        first.close()
    wait_for(lambda: not one.workers(), "the script to be stopped")
    assert cpu_seconds(one.role("gateway www")) - used < 0.5


def test_slow_reader(scgid):
    """Back-pressure: a reader that waits loses nothing and stops the script."""
    scgid.script(
        "flood.sh", "printf 'Content-Type: a/b\\n\\n'\nhead -c 20000000 /dev/zero"
    )
    with scgid.start("/cgi-bin/flood.sh") as connection:
        first = connection.read_some(10)
        wait_for(scgid.workers, "the worker to be there")
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            assert scgid.workers(), "the script ended before its output was read"
            time.sleep(0.05)
        reply = connection.read(start=first)
    assert len(reply.body) == 20000000 and not reply.broken


def test_many_at_once(scgid):
    """Forty clients at a time, 400 requests: every reply is its own."""
    scgid.script("own.sh", "printf 'Content-Type: a/b\\n\\n%s' \"$QUERY_STRING\"")
    numbers = iter(range(400))

    def ask():
        for _ in range(10):
            query = "n=%d" % next(numbers)
            with Connection(scgid.sockets["www"]) as connection:
                reply = connection.exchange(
                    encode(nginx_params("/cgi-bin/own.sh", query))
                )
            assert (reply.status, reply.body) == (200, query.encode()), reply

    run_threads([ask] * 40)


def test_burst_beyond_the_backlog(start):
    """`queue` full and `backlog` full: the rest waits or is told 503."""
    one = start(
        {"www": (dict(STANDARD_POOL, workers=2, queue=10, backlog=5), STANDARD_MAPS)},
        tcp=True,
    )
    one.expect(reason="queue-full", optional=True)
    connections = []
    for _ in range(40):
        # A blocking connect waits for room in the backlog.
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(one.sockets["www"])
        sock.settimeout(20)
        connections.append(sock)
        params, _ = one.params("/cgi-bin/hello.sh", register=False)
        sock.sendall(encode(params))
    for sock in connections:
        data = b""
        while True:
            got = sock.recv(65536)
            if not got:
                break
            data += got
        assert data.startswith((b"Status: 200", b"Status: 503")), data
        sock.close()


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("announced", [True, False], ids=["length", "no-length"])
def test_a_reader_that_is_late_costs_no_slot(scgid, tcp, announced):
    """The front end takes the last part late: all is over when it has it."""
    size = 4000000
    field = "Content-Length: %d\\n" % size if announced else ""
    scgid.script(
        "large.sh",
        "printf 'Content-Type: a/b\\n%s\\n'; head -c %d /dev/zero" % (field, size),
    )
    with scgid.start("/cgi-bin/large.sh", tcp=tcp) as connection:
        first = connection.read_some(10)
        # Nothing to wait for: that it stalls is that nothing happens.
        time.sleep(0.2)
        reply = connection.read(connection.id, start=first)
    assert (reply.status, len(reply.body), reply.broken) == (200, size, None)
    entry = scgid.entry(reply, timeout=3.0)
    assert (entry["status"], entry["reason"], entry["exit"]) == (200, "none", 0)
