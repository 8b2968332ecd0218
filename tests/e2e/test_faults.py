"""Hostile peers, hostile files, and system calls that fail."""

import ctypes
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import (
    Background,
    Connection,
    block,
    encode,
    netstring,
    nginx_params,
    run_threads,
    wait_for,
)
from harness.daemon import Scgid, build_directory, is_sanitised

HOSTILE = [
    b"\0" * 100,
    b"\xff" * 5000,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    b"0:,",
    b"00:,",
    b"1:\0,",
    b"5:abcde,",
    b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,",
    b"9" * 1000,
    b"16:CONTENT_LENGTH\0-,",
    netstring(b"CONTENT_LENGTH\0" + b"0\0"),
    netstring(block([("CONTENT_LENGTH", "5"), ("SCGI", "1")])) + b"12345",
    netstring(block([("CONTENT_LENGTH", "0"), ("SCGI", "1"), ("REQUEST_URI", "/%")])),
    netstring(block([("CONTENT_LENGTH", "0"), ("SCGI", "1"), ("REQUEST_URI", "*")])),
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda d: repr(d)[:30])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_hostile_bytes(scgid, data, tcp):
    scgid.expect(text="reason=|duplicate", optional=True)
    reply = scgid.raw(data, tcp=tcp)
    assert reply.status in (None, 400, 404, 408, 431), reply
    with scgid.connect(tcp=tcp) as connection:
        connection.send(data).abort()


def test_random_damage(scgid):
    """A good request with bytes changed, cut out or put in."""
    scgid.expect(text=".", optional=True)
    dice = random.Random(20080101)
    good = encode(nginx_params("/cgi-bin/cat.sh", method="POST", body=b"four"), b"four")
    connections = []
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(data))
            kind = dice.randrange(3)
            if kind == 0:
                data[place] = dice.randrange(256)
            elif kind == 1:
                del data[place]
            else:
                data.insert(place, dice.randrange(256))
        connection = scgid.connect(tcp=dice.random() < 0.5)
        connection.send(bytes(data))
        connections.append(connection)
        if len(connections) == 30:
            for one in connections:
                reply = one.read()
                assert reply.status or not reply.raw, reply
                one.close()
            connections = []


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_close_at_every_offset(scgid, tcp):
    scgid.expect(reason="client-aborted", optional=True)
    params = [
        ("CONTENT_LENGTH", 4),
        ("SCGI", 1),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/cgi-bin/cat.sh"),
    ]
    data = encode(params, b"four")
    for cut in range(len(data) + 1):
        with scgid.connect(tcp=tcp) as connection:
            connection.send(data[:cut])
            if cut % 2 and tcp:
                connection.abort()


def test_abort_while_the_answer_is_sent(scgid):
    """The reader leaves in the middle of 20 MB."""
    scgid.script(
        "flood2.sh", "printf 'Content-Type: a/b\\n\\n'\nexec head -c 20000000 /dev/zero"
    )
    scgid.expect(reason="client-aborted", optional=True)
    for tcp in (False, True):
        with scgid.start("/cgi-bin/flood2.sh", tcp=tcp) as connection:
            connection.read_some(100)
        assert scgid.entry(connection.id)["reason"] == "client-aborted"


def test_a_reader_that_stops_reading(start):
    """It costs a slot until a timeout, not for ever."""
    pool = dict(STANDARD_POOL, idle_timeout="500ms", script_timeout="1500ms")
    one = start({"www": (pool, STANDARD_MAPS)})
    one.script(
        "flood.sh", "printf 'Content-Type: a/b\\n\\n'\nexec head -c 20000000 /dev/zero"
    )
    one.expect(text="reason=", optional=True)
    with one.start("/cgi-bin/flood.sh") as connection:
        connection.read_some(100)
        wait_for(lambda: not one.workers(), "the worker to be ended", 8.0)
        assert one.entry(connection.id)["reason"] != "none"


def test_thousand_silent_connections(scgid):
    """More than the queue has room for; others are served meanwhile."""
    scgid.expect(reason="header-timeout", optional=True)
    silent = []
    for _ in range(300):
        silent.append(scgid.connect())
    assert scgid.request("/cgi-bin/hello.sh", tcp=True).status == 200
    for connection in silent:
        connection.close()


def test_flipping_link(scgid):
    """A link that changes its target all the time leads nowhere else."""
    outside = scgid.directory / "outside.sh"
    outside.write_text("#!/bin/sh\nprintf 'Content-Type: a/b\\n\\noutside'\n")
    outside.chmod(0o755)
    inside = scgid.cgi / "inside"
    inside.mkdir(exist_ok=True)
    scgid.script("inside/outside.sh", "printf 'Content-Type: a/b\\n\\ninside'")
    link = scgid.cgi / "flip"

    def flip():
        for target in ("inside", str(scgid.directory)):
            temporary = scgid.cgi / "flip.new"
            temporary.symlink_to(target)
            temporary.replace(link)

    flip()
    scgid.expect(text="reason=", optional=True)
    bodies = set()
    with Background(flip):
        for _ in range(1000):
            reply = scgid.request("/cgi-bin/flip/outside.sh")
            bodies.add(reply.body if reply.status == 200 else reply.status)
    link.unlink()
    assert b"outside" not in bodies
    assert b"inside" in bodies


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "directory"])
def test_what_is_no_program(scgid, kind):
    path = scgid.cgi / ("odd-" + kind)
    if kind == "fifo" and not path.exists():
        os.mkfifo(path, 0o755)
    elif kind == "socket" and not path.exists():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
            made.bind(str(path))
        path.chmod(0o755)
    elif kind == "device":
        if os.getuid() != 0:
            pytest.skip("needs root")
        if not path.exists():
            os.mknod(path, 0o020755, os.makedev(1, 3))
    elif kind == "directory":
        path.mkdir(exist_ok=True)
    scgid.expect(reason="not-a-file")
    reply = scgid.request("/cgi-bin/odd-" + kind)
    assert reply.status == 403


@pytest.mark.parametrize("where", ["script", "directory"])
def test_unsafe_permissions(scgid, where):
    scgid.script("unsafe/x.sh", "printf 'Content-Type: a/b\\n\\nran'")
    (scgid.cgi / "unsafe").chmod(0o777 if where == "directory" else 0o755)
    (scgid.cgi / "unsafe/x.sh").chmod(0o777 if where == "script" else 0o755)
    scgid.expect(reason="unsafe-permissions")
    reply = scgid.request("/cgi-bin/unsafe/x.sh")
    assert reply.status == 403
    (scgid.cgi / "unsafe").chmod(0o755)
    (scgid.cgi / "unsafe/x.sh").chmod(0o755)
    assert scgid.request("/cgi-bin/unsafe/x.sh").status == 200


def test_script_is_replaced_under_load(scgid):
    """A deploy by rename: every reply is the old one or the new one."""
    scgid.script("live.sh", "printf 'Content-Type: a/b\\n\\nversion'")

    def deploy():
        scgid.script("live.new", "printf 'Content-Type: a/b\\n\\nversion'")
        (scgid.cgi / "live.new").replace(scgid.cgi / "live.sh")

    with Background(deploy):
        for _ in range(200):
            reply = scgid.request("/cgi-bin/live.sh")
            assert (reply.status, reply.body) == (200, b"version"), reply


def test_script_that_spins(start):
    one = start(
        {"www": (dict(STANDARD_POOL, script_timeout="600ms", workers=1), STANDARD_MAPS)}
    )
    one.script("spin.sh", "while :; do :; done")
    one.expect(text="reason=(script|first-byte)-timeout")
    assert one.request("/cgi-bin/spin.sh").status == 504
    assert one.request("/cgi-bin/hello.sh").status == 200


class SmallSpool(Scgid):
    """Its spool directory is a file system of 64 KiB, from the start on: a
    gateway knows the directory that was there when it started."""

    def mount(self, options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.spool)],
            stderr=subprocess.DEVNULL,
        ).returncode

    def write_configuration(self, pools, tcp):
        if self.mount("size=64k,mode=1777") != 0:
            pytest.skip("this machine does not let us mount")
        super().write_configuration(pools, tcp)

    def clean(self):
        subprocess.run(["umount", "-l", str(self.spool)])
        super().clean()


@pytest.mark.root
def test_spool_is_full(start):
    """503, and nothing is lost once there is room again."""
    one = SmallSpool({"www": (dict(STANDARD_POOL, body_memory="0"), STANDARD_MAPS)})
    one.touched = True
    start.own.append(one)
    one.expect(reason="spool-failed")
    reply = one.request("/cgi-bin/cat.sh", b"x" * 1000000, method="POST")
    assert reply.status == 503
    assert (
        one.request("/cgi-bin/cat.sh", b"x" * 10000, method="POST").body == b"x" * 10000
    )
    assert one.mount("remount,size=8m") == 0
    body = b"y" * 1000000
    assert one.request("/cgi-bin/cat.sh", body, method="POST").body == body


def test_log_cannot_be_written(start):
    """A log that is full does not stop the service."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    pool = dict(STANDARD_POOL, access_log="/dev/full")
    one = start({"www": (pool, STANDARD_MAPS)}, ready=False)
    wait_for(
        lambda: " ready" in one.stderr.read_text() or one.process.poll() is not None,
        "ready, or a refusal",
        20.0,
    )
    if one.process.poll() is None:
        with Connection(one.sockets["www"]) as connection:
            reply = connection.exchange(encode(nginx_params("/cgi-bin/hello.sh")))
        assert reply.status == 200
    else:
        assert "/dev/full" in one.stderr.read_text()
    one.kill()


# System calls that fail.  A sanitised program does not bear it.

STRACE = shutil.which("strace")
RELEASE = build_directory("SCGID_BUILD_RELEASE")
injection = pytest.mark.skipif(
    not STRACE or not RELEASE or is_sanitised("SCGID_BUILD_RELEASE"),
    reason="needs strace and SCGID_BUILD_RELEASE, without sanitizers",
)


@pytest.fixture
def inject(start, tmp_path):
    """inject(spec, ...): a daemon whose system calls fail as told."""
    count = subprocess.run([STRACE, "-V"], stdout=subprocess.PIPE)
    assert count.returncode == 0

    def begin(*specs, pool=None):
        calls = ",".join(sorted({c for s in specs for c in s.split(":")[0].split(",")}))
        prefix = [
            STRACE,
            "-D",
            "-f",
            "-qq",
            "-o",
            str(tmp_path / "trace"),
            "-e",
            "trace=" + calls,
        ]
        for spec in specs:
            prefix += ["-e", "inject=" + spec]
        one = start(
            {"www": (dict(STANDARD_POOL, **(pool or {})), STANDARD_MAPS)},
            build="SCGID_BUILD_RELEASE",
            prefix=prefix,
        )
        one.trace = tmp_path / "trace"
        return one

    return begin


FALLBACKS = [
    "openat2:error=ENOSYS",
    "close_range:error=ENOSYS",
    "memfd_create:error=ENOSYS",
]


@injection
@pytest.mark.parametrize("spec", FALLBACKS)
def test_fallback(inject, spec):
    """What an older kernel lacks."""
    one = inject(spec)
    seen = one.tell(method="POST", body=b"x" * 1000)
    assert seen["descriptors"] == [0, 1, 2]
    assert seen["body_length"] == 1000 and seen["stdin_regular"]
    one.expect(text="reason=(script-not-found|bad-request|outside-root)", optional=True)
    for path in ("/cgi-bin/../../bin/cat", "/cgi-bin/none"):
        assert one.request(path).status in (400, 403, 404)
    outside = one.directory / "outside.sh"
    outside.write_text("#!/bin/sh\nprintf 'Content-Type: a/b\\n\\noutside'\n")
    outside.chmod(0o755)
    (one.cgi / "out").symlink_to(outside)
    assert one.request("/cgi-bin/out").status == 403
    if "openat2" not in spec:
        assert "INJECTED" in one.trace.read_text()


ONCE = [
    ("accept4:error=ECONNABORTED:when=3+4", {200}),
    ("accept4:error=EINTR:when=3+4", {200}),
    ("accept4:error=EMFILE:when=4+6", {200}),
    ("vfork,clone,clone3,fork:error=EAGAIN:when=12+3", {200, 503}),
    ("memfd_create:error=EMFILE:when=2+2", {200, 503}),
    ("pipe2,pipe:error=EMFILE:when=8+5", {200, 503}),
    ("epoll_ctl:error=ENOMEM:when=20", {200, 503, None}),
    ("epoll_ctl:error=ENOMEM:when=19", {200, 503, None}),
    ("recvmsg:error=EINTR:when=5+5", {200}),
]


@injection
@pytest.mark.parametrize("spec, statuses", ONCE, ids=[s for s, _ in ONCE])
def test_now_and_then(inject, spec, statuses):
    """Some calls fail; what is not answered is told, and all recovers."""
    one = inject(spec)
    one.expect(text=".", optional=True)
    seen = set()
    for _ in range(25):
        reply = one.request("/cgi-bin/cat.sh", b"body", method="POST")
        if reply.status == 200 and not reply.broken:
            assert reply.body == b"body"
        seen.add(reply.status)
    assert seen <= statuses, seen
    assert 200 in seen
    if None in seen:
        one.sent = []
    # The oracle's own requests may meet the fault too.
    wait_for(lambda: one.request("/cgi-bin/hello.sh").status == 200, "an answer")
    one.sent = []
    text = one.trace.read_text()
    assert "INJECTED" in text
    one.kill()


@injection
def test_a_socket_file_that_goes_in_the_middle_of_a_reload(inject):
    """Between the check of the new configuration and its start."""
    one = inject("socketpair:delay_enter=500000")
    one.expect(text="cannot set owner, mode and backlog of .*/www.sock: No such file")
    path = one.sockets["www"]
    one.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    os.unlink(path)
    one.wait_line("reloaded$", 10.0)
    # The next one makes it again.
    one.process.send_signal(signal.SIGHUP)
    wait_for(lambda: os.path.exists(path), "the socket")
    assert one.request("/cgi-bin/hello.sh").status == 200
    wait_for(lambda: len(one.roles("gateway www")) == 1, "the old one to end", 10.0)


@pytest.mark.root  # nobody else may trace the supervisor
@injection
def test_an_order_that_finds_no_memory_is_given_again(start, tmp_path):
    """Or the old gateway would go on with what it had before the reload."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    old = one.roles("gateway www")
    command = [STRACE, "-qq", "-o", str(tmp_path / "trace"), "-p", str(one.pid)]
    command += ["-e", "trace=sendmsg", "-e", "inject=sendmsg:error=ENOBUFS:when=1..3"]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: tracer_of(one.pid) == tracer.pid, "strace to attach")
    one.process.send_signal(signal.SIGHUP)
    one.wait_line("reloaded$")
    wait_for(lambda: one.roles("gateway www") not in (old, []), "the new gateway")
    wait_for(lambda: len(one.roles("gateway www")) == 1, "the old one to end")
    tracer.terminate()
    tracer.wait()
    assert "ENOBUFS" in (tmp_path / "trace").read_text()


@injection
def test_slow_and_without_grace(inject):
    """What is in the pipe is passed on whole, whenever the gateway comes to it."""
    one = inject(
        "epoll_wait:delay_exit=5000",
        "splice:error=EINVAL",
        pool={"background_grace": "0"},
    )
    one.script("much.sh", "printf 'Content-Type: a/b\\n\\n'; head -c 600000 /dev/zero")
    for _ in range(5):
        reply = one.request("/cgi-bin/much.sh")
        assert (len(reply.body), reply.broken) == (600000, None)


@injection
def test_stdout_cannot_be_watched(inject):
    """Which it was not, as long as the runs of its path were brief."""
    text = "[ -e %s ] && sleep 0.3; printf 'Content-Type: a/b\\n\\nanswer'"

    def be_brief(number):
        one = inject(f"epoll_ctl:error=ENOMEM:when={number}")
        one.expect(text=".", optional=True)
        one.script("brief.sh", text % (one.directory / "flag"))
        return one, [one.request("/cgi-bin/brief.sh").body for _ in range(12)]

    def is_refused():
        """A run that is late on a busy machine makes calls of its own."""
        one, _ = be_brief(10000)
        gateway = str(one.role("gateway www"))
        lines = one.trace.read_text().splitlines()
        one.kill()
        calls = sum(line.split()[0] == gateway for line in lines)
        one, answers = be_brief(calls + 1)
        (one.directory / "flag").touch()
        reply = one.request("/cgi-bin/brief.sh")
        answers.append(one.request("/cgi-bin/brief.sh").body)
        one.sent = []
        one.kill()
        return (
            set(answers) == {b"answer"}
            and reply.status == 503
            and b"no-descriptors" in reply.body
        )

    wait_for(is_refused, "stdout that could not be watched", 60.0)


@injection
@pytest.mark.root
@pytest.mark.parametrize("call", ["setgroups", "setresuid", "setresgid"])
def test_privileges_that_cannot_be_dropped(start, tmp_path, call):
    """Nothing is served with rights that should have been given up."""
    prefix = [
        STRACE,
        "-D",
        "-f",
        "-qq",
        "-o",
        str(tmp_path / "trace"),
        "-e",
        "trace=" + call,
    ]
    prefix += ["-e", "inject=%s:error=EPERM" % call]
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)},
        build="SCGID_BUILD_RELEASE",
        prefix=prefix,
        ready=False,
    )
    wait_for(
        lambda: one.process.poll() is not None
        or one.stderr.read_text().count("cannot become user") >= 4,
        "it to notice",
        10.0,
    )
    assert not answers(one)
    one.kill()


def answers(one):
    try:
        with Connection(one.sockets["www"], 1.0) as connection:
            connection.send(encode(nginx_params("/cgi-bin/hello.sh")))
            return bool(connection.read_some())
    except OSError:
        return False


@pytest.mark.root  # nobody else may trace a role
@injection
def test_no_needless_system_call(start, tmp_path):
    """A request without a body: the count of calls stays what we know it to be."""
    one = start(
        {"www": (dict(STANDARD_POOL, access_log="off"), STANDARD_MAPS)},
        build="SCGID_BUILD_RELEASE",
    )
    one.check_access = lambda: None
    for _ in range(5):
        one.request("/cgi-bin/hello.sh")
    counts = {}
    for what in ("gateway www", "launcher www"):
        trace = tmp_path / what.replace(" ", "-")
        tracer = subprocess.Popen(
            [STRACE, "-qq", "-o", str(trace), "-p", str(one.role(what))],
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: tracer_of(one.role(what)) == tracer.pid, "strace to attach")
        requests = 20
        for _ in range(requests):
            assert one.request("/cgi-bin/hello.sh").status == 200
        wait_for(lambda: not one.workers(), "workers to end")
        tracer.terminate()
        tracer.wait(10)
        lines = [
            l
            for l in trace.read_text().splitlines()
            if "(" in l and not l.startswith("---")
        ]
        counts[what] = len(lines) / requests
    print(counts)
    assert counts["gateway www"] <= 40, counts
    assert counts["launcher www"] <= 25, counts


@pytest.mark.root
@injection
def test_a_full_pool_empties_its_backlog(start, tmp_path):
    """Many connections a turn: a full backlog is an error of the front end's."""
    one = start(
        {"www": (dict(STANDARD_POOL, workers=1), STANDARD_MAPS)},
        build="SCGID_BUILD_RELEASE",
    )
    go = one.writable("marks") / "go"
    one.script(
        "wait.sh",
        "printf 'Content-Type: a/b\\n\\n'; while [ ! -e %s ]; do sleep 0.01; done" % go,
    )
    gateway, trace = one.role("gateway www"), tmp_path / "trace"
    tracer = subprocess.Popen(
        [STRACE, "-qq", "-o", str(trace), "-e", "accept4,epoll_wait", "-p"]
        + [str(gateway)],
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: tracer_of(gateway) == tracer.pid, "strace to attach")
    connections = [one.start("/cgi-bin/wait.sh")]
    wait_for(one.workers, "the slot to be taken")
    os.kill(gateway, signal.SIGSTOP)
    connections += [one.start("/cgi-bin/wait.sh") for _ in range(100)]
    os.kill(gateway, signal.SIGCONT)
    accepted = re.compile(r"accept4\(.* = \d+$", re.M)
    wait_for(lambda: len(accepted.findall(trace.read_text())) == 101, "all to be in")
    turns = re.search(r"SIGCONT(.*)", trace.read_text(), re.S).group(1)
    tracer.terminate()
    tracer.wait(10)
    go.touch()
    for connection in connections:
        with connection:
            assert connection.read(connection.id).status == 200
    assert turns.count("epoll_wait(") < 20, turns


def tracer_of(pid):
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(text.split("TracerPid:\t")[1].split("\n")[0])


def test_clients_come_and_go(scgid):
    """For two seconds: every kind of client at once; the oracle judges."""
    scgid.expect(text="reason=", optional=True)
    end = time.monotonic() + 2.0

    def ask(path):
        with Connection(scgid.sockets["www"]) as connection:
            return connection.exchange(encode(nginx_params(path)))

    def good():
        while time.monotonic() < end:
            assert ask("/cgi-bin/hello.sh").body == b"hello\n"

    def leaves():
        while time.monotonic() < end:
            with Connection(scgid.sockets["www"]) as connection:
                connection.send(encode(nginx_params("/cgi-bin/cat.sh")))

    def garbage():
        while time.monotonic() < end:
            with Connection(scgid.sockets["www"]) as connection:
                assert connection.exchange(b"GET / HTTP/1.0\r\n\r\n").status == 400

    def missing():
        while time.monotonic() < end:
            assert ask("/cgi-bin/none").status == 404

    run_threads([good, good, leaves, garbage, missing])


def descriptor_of(pid, number):
    """Another process's descriptor, as our own."""
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(438, process, number, 0)
    finally:
        os.close(process)
    if copy == -1:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return copy


def failed_message(run):
    """A FAILED of launcher/protocol, whose reason is the first of all."""
    return struct.pack("=IIIiiIIIIIqqqqII", 3, run, *[0] * 3, 1, *[0] * 8, 1, 0) + b"\0"


@pytest.mark.root
@pytest.mark.parametrize("is_sent", [False, True], ids=["kept", "sent"])
def test_a_launcher_that_lies(start, is_sent):
    """It says that a worker could not be started which has printed already."""
    one = start({"www": (dict(STANDARD_POOL, launchers=1), STANDARD_MAPS)})
    one.expect(text="reason=")
    one.script("part.sh", "printf 'Content-Type: a/b\\n\\npart'; sleep 1")
    launcher = one.role("launcher www")
    directory = "/proc/%d/fd" % launcher
    number = next(
        int(n)
        for n in os.listdir(directory)
        if os.readlink(f"{directory}/{n}").startswith("socket:")
    )
    with socket.socket(fileno=descriptor_of(launcher, number)) as lies:
        with one.start("/cgi-bin/part.sh") as connection:
            start_of = connection.read_some() if is_sent else b""
            wait_for(one.workers, "the script")
            for run in range(1, 50):
                lies.send(failed_message(run))
            reply = connection.read(start=start_of)
    assert reply.broken or (not is_sent and reply.status != 200)
    wait_for(lambda: not one.workers(), "the script to end")
    assert one.request("/cgi-bin/hello.sh").status == 200
