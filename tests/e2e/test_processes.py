"""The roles: who runs as whom, what dies and comes back, how it all ends."""

import os
import resource
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Connection, encode, nginx_params, wait_for
from harness.daemon import (
    GATEWAY_USER,
    IS_ROOT,
    POOL_USER,
    become,
    fields,
    free_port,
    program,
    set_limit,
    user_ids,
)


def status_of(pid):
    with open("/proc/%d/status" % pid) as stream:
        pairs = (line.partition(":") for line in stream)
        return {name: value.strip() for name, _, value in pairs}


@pytest.mark.root
def test_users_of_the_roles(scgid):
    """Started as root: each role as its own user, without a way back."""
    gateway_uid, gateway_gid = user_ids(GATEWAY_USER)
    pool_uid, pool_gid = user_ids(POOL_USER)
    for what, uid, gid in (
        ("gateway www", gateway_uid, gateway_gid),
        ("launcher www", pool_uid, pool_gid),
    ):
        found = status_of(scgid.role(what))
        assert [int(n) for n in found["Uid"].split()] == [uid] * 4, what
        assert [int(n) for n in found["Gid"].split()] == [gid] * 4, what
        assert int(found["CapEff"], 16) == 0 and int(found["CapPrm"], 16) == 0, what
        assert "0" not in found["Groups"].split(), what
    assert status_of(scgid.pid)["Uid"].split()[0] == "0"


@pytest.mark.root
def test_groups_of_whoever_started_it_are_dropped(start):
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)},
        preexec=lambda: os.setgroups([0, 4, 24, 42]),
    )
    for what, name in (("gateway www", GATEWAY_USER), ("launcher www", POOL_USER)):
        own = os.getgrouplist(name, user_ids(name)[1])
        found = {int(n) for n in status_of(one.role(what))["Groups"].split()}
        assert found <= set(own), what
    assert set(one.tell()["groups"]) <= set(
        os.getgrouplist(POOL_USER, user_ids(POOL_USER)[1])
    )


@pytest.mark.root
def test_a_pool_without_user_is_an_error_as_root(start):
    one = start({"www": ({}, STANDARD_MAPS)}, ready=False, user_keys=False)
    assert one.process.wait(10) == 78
    text = one.stderr.read_text()
    assert "user" in text and str(one.configuration) + ":" in text
    one.kill()


def test_titles(scgid):
    found = sorted(what for what, _ in scgid.tree().values())
    assert "scgid: supervisor" in found
    for pool in scgid.sockets:
        assert "scgid: gateway " + pool in found
        assert "scgid: launcher " + pool in found


def test_several_gateways_and_launchers(start):
    one = start({"www": (dict(STANDARD_POOL, gateways=2, launchers=3), STANDARD_MAPS)})
    assert len(one.roles("gateway www")) == 2
    assert len(one.roles("launcher www")) >= 3
    for _ in range(20):
        assert one.request("/cgi-bin/hello.sh").status == 200


def test_socket_mode_and_owner(start):
    one = start({"www": (dict(STANDARD_POOL, listen_mode="0600"), STANDARD_MAPS)})
    mode = os.stat(one.sockets["www"])
    assert stat.S_IMODE(mode.st_mode) == 0o600


def test_standard_socket_mode(scgid):
    found = os.stat(scgid.sockets["www"])
    assert stat.S_IMODE(found.st_mode) == 0o660
    if IS_ROOT:
        assert found.st_gid == user_ids("www-data")[1]


@pytest.mark.root
def test_another_user_cannot_connect(scgid):
    """Mode 0660 from the start: only the owner and the front end's group."""
    done = subprocess.run(
        [
            "/usr/bin/python3",
            "-IS",
            "-c",
            "import socket, sys\nsocket.socket(socket.AF_UNIX).connect(sys.argv[1])",
            scgid.sockets["www"],
        ],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: become(user_ids("nobody")),
    )
    assert done.returncode != 0
    assert b"PermissionError" in done.stderr


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_listener(start):
    try:
        port = free_port("::1")
    except OSError:
        pytest.skip("no IPv6 loopback")
    one = start(
        {"www": (dict(STANDARD_POOL, listen=["[::1]:%d" % port]), STANDARD_MAPS)},
        ready=False,
    )
    one.sockets = {}
    one.wait_ready()
    with Connection(("::1", port)) as connection:
        reply = connection.exchange(encode(nginx_params("/cgi-bin/hello.sh")))
    assert reply.body == b"hello\n"


class Knocker(threading.Thread):
    """Connects all the time; remembers whether it was ever refused."""

    def __init__(self, scgid):
        super().__init__()
        self.scgid = scgid
        self.refused = []
        self.answered = 0
        self.lost = 0
        self.end = threading.Event()

    def run(self):
        data = encode(nginx_params("/cgi-bin/hello.sh"))
        while not self.end.is_set():
            try:
                with Connection(self.scgid.sockets["www"], 10.0) as connection:
                    try:
                        reply = connection.exchange(data)
                    except OSError:
                        self.lost += 1
                        continue
            except (ConnectionRefusedError, FileNotFoundError) as error:
                self.refused.append(error)
                continue
            if reply.status == 200 and not reply.broken:
                assert reply.body == b"hello\n"
                self.answered += 1
            else:
                self.lost += 1

    def stop(self):
        self.end.set()
        self.join()
        assert not self.refused, self.refused
        assert self.answered


@pytest.mark.parametrize("what", ["gateway www", "launcher www"])
def test_killed_role_comes_back(start, what):
    """The listening socket never refuses, and what is lost is visibly so."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.expect(text=".", optional=True)
    knocker = Knocker(one)
    knocker.start()
    try:
        for _ in range(3):
            pid = one.role(what)
            os.kill(pid, signal.SIGKILL)
            wait_for(
                lambda: one.roles(what) and pid not in one.roles(what), what + " again"
            )
            answered = knocker.answered
            wait_for(lambda: knocker.answered > answered + 2, "answers again", 15.0)
    finally:
        knocker.stop()
    assert one.process.poll() is None


def test_killed_gateway_takes_its_workers_along(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.expect(text=".", optional=True)
    pid_file = one.writable("pids") / "pid"
    one.script(
        "long.sh", "trap '' TERM HUP\necho $$ >%s\nsleep 60\nsleep 60" % pid_file
    )
    with one.start("/cgi-bin/long.sh", register=False) as connection:
        worker = int(
            wait_for(lambda: pid_file.exists() and pid_file.read_text(), "the worker")
        )
        os.kill(one.role("gateway www"), signal.SIGKILL)
        reply = connection.read()
        assert reply.status != 200
    wait_for(lambda: not os.path.exists("/proc/%d" % worker), "the worker to end")
    wait_for(lambda: len(one.roles("gateway www")) == 1, "another gateway")


def test_killed_launcher_truncates_visibly(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, tcp=True)
    one.expect(text=".", optional=True)
    one.script(
        "begun.sh", "trap '' TERM\nprintf 'Content-Type: a/b\\n\\npart'\nsleep 60"
    )
    for tcp in (False, True):
        with one.start("/cgi-bin/begun.sh", tcp=tcp) as connection:
            data = b""
            while b"part" not in data:
                data += connection.read_some()
            os.kill(one.role("launcher www"), signal.SIGKILL)
            reply = connection.read(start=data)
        assert reply.broken, reply
        assert one.entry(connection.id)["reason"] == "launcher-lost"
        wait_for(lambda: one.roles("launcher www"), "another launcher")


def test_killed_supervisor_takes_all_along(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.script("long.sh", "trap '' TERM\nsleep 60\nsleep 60")
    pids = {pid: what for pid, (what, _) in one.tree().items()}
    with one.start("/cgi-bin/long.sh", register=False) as connection:
        workers = wait_for(one.workers, "the worker")
        os.kill(one.pid, signal.SIGKILL)
        one.process.wait(10)
        reply = connection.read()
        assert not reply.raw or reply.broken or reply.status == 503
    everything = set(pids) | set(workers)
    everything.discard(one.pid)
    wait_for(
        lambda: not [
            p
            for p in everything
            if os.path.exists("/proc/%d" % p) and status_of(p)["State"][0] != "Z"
        ],
        "every process to end",
        10.0,
    )
    one.stopped = True
    one.log_stream.close()
    one.clean()


def test_restarts_are_throttled(start):
    """A role that dies at once, again and again, does not spin."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.expect(text=".", optional=True)
    killed = 0
    seen = set()
    begin = time.monotonic()
    while time.monotonic() - begin < 2.5:
        for pid in one.roles("gateway www"):
            if pid not in seen:
                seen.add(pid)
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.01)
    assert 2 <= killed <= 30, killed
    wait_for(lambda: one.roles("gateway www"), "the gateway again", 15.0)
    assert wait_for(
        lambda: one.request("/cgi-bin/hello.sh").status == 200, "an answer", 15.0
    )


def test_attempts_that_fail_are_throttled(start):
    """What cannot be started for want of descriptors does not spin either."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.expect(text="cannot start gateway www: socketpair: Too many open files")
    one.expect(text="gateway www was killed|launcher www", optional=True)
    gateway = one.role("gateway www")
    before = set_limit(one.pid, resource.RLIMIT_NOFILE, 3)
    os.kill(gateway, signal.SIGKILL)
    one.wait_line("cannot start gateway www")
    time.sleep(1)
    failed = [l for l in one.recent() if "cannot start gateway" in l.text]
    set_limit(one.pid, resource.RLIMIT_NOFILE, before[0])
    assert len(failed) <= 8, len(failed)
    wait_for(lambda: one.roles("gateway www"), "the gateway again", 10.0)
    assert one.request("/cgi-bin/hello.sh").status == 200


def test_escaped_process_is_killed(scgid):
    """Double fork and setsid do not carry a process over the request's end."""
    pid_file = scgid.writable("pids") / "escaped"
    scgid.script(
        "escape.py",
        "#!/usr/bin/python3 -IS\nimport os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        for fd in (0, 1, 2): os.close(fd)\n"
        "        open(%r, 'w').write(str(os.getpid()))\n        time.sleep(60)\n    os._exit(0)\n"
        "os.wait()\nwhile not os.path.exists(%r): time.sleep(0.01)\n"
        "print('Content-Type: a/b\\n\\nleft')\n" % (str(pid_file), str(pid_file)),
    )
    reply = scgid.request("/cgi-bin/escape.py")
    assert reply.body == b"left\n"
    pid = int(pid_file.read_text())
    wait_for(
        lambda: not os.path.exists("/proc/%d" % pid), "the escaped process to end", 10.0
    )


def test_hostile_worker_cannot_reach_the_others(scgid):
    """Signals to everything that the user may signal: the pool recovers."""
    scgid.script(
        "attack.py",
        "#!/usr/bin/python3 -IS\nimport fcntl, os\n"
        "for fd in (0, 1, 2):\n    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)\n"
        "for fd in range(3, 300):\n"
        "    try:\n        os.write(fd, b'attack')\n        os._exit(9)\n"
        "    except OSError:\n        pass\n"
        "print('Content-Type: a/b\\n\\nnothing was open')\n",
    )
    for _ in range(3):
        assert scgid.request("/cgi-bin/attack.py").body == b"nothing was open\n"
    assert scgid.request("/cgi-bin/hello.sh").status == 200


def test_worker_kills_its_parent(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.expect(text=".", optional=True)
    one.script("parricide.sh", "kill -KILL $PPID\nsleep 60")
    reply = one.request("/cgi-bin/parricide.sh")
    assert reply.status == 503
    assert b"launcher-lost" in reply.body
    wait_for(lambda: one.roles("launcher www"), "another launcher")
    wait_for(lambda: one.request("/cgi-bin/hello.sh").status == 200, "an answer", 10.0)


def test_stale_socket_is_replaced(start, place):
    path = str(place / "www.sock")
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(path)
    left.close()
    one = start(
        {"www": (dict(STANDARD_POOL, listen=[path]), STANDARD_MAPS)}, ready=False
    )
    one.sockets["www"] = path
    one.wait_ready()
    assert one.request("/cgi-bin/hello.sh").status == 200
    one.check()
    one.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "live"])
def test_what_stands_at_the_socket_path_is_left_alone(start, kind, place):
    path = place / "www.sock"
    live = None
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        (place / "target").write_text("precious")
        path.symlink_to("target")
    else:
        live = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        live.bind(str(path))
        live.listen(5)
    before = os.lstat(path)
    one = start(
        {"www": (dict(STANDARD_POOL, listen=[path]), STANDARD_MAPS)}, ready=False
    )
    assert one.process.wait(10) == 1
    assert str(path) in one.stderr.read_text()
    after = os.lstat(path)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    if live:
        live.close()
    one.kill()


@pytest.mark.root
def test_a_socket_that_cannot_be_asked_is_left_alone(place):
    """Nobody says that somebody listens there who does not know."""
    (place / "run").mkdir()
    os.chown(place / "run", *user_ids(POOL_USER))
    path = place / "run/www.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    path.chmod(0)
    configuration = place / "scgid.conf"
    configuration.write_text("[www]\nlisten = %s\n[www /]\nroot = /usr/lib\n" % path)
    done = subprocess.run(
        [program("scgid"), "-c", str(configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=15,
        preexec_fn=lambda: become(user_ids(POOL_USER)),
    )
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "cannot find out whether somebody listens there, left alone" in text, text
    assert "Permission denied" in text
    assert path.exists()


def test_second_instance_is_refused(scgid):
    done = subprocess.run(
        [program("scgid"), "-c", str(scgid.configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=15,
    )
    assert done.returncode == 1
    assert scgid.request("/cgi-bin/hello.sh").status == 200


def test_over_long_socket_path_is_a_configuration_error(start):
    one = start(
        {"www": (dict(STANDARD_POOL, listen=["/tmp/" + "x" * 120]), STANDARD_MAPS)},
        ready=False,
    )
    assert one.process.wait(10) == 78
    one.kill()


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1), (0, 1, 2)], ids=str)
def test_started_with_standard_descriptors_closed(start, closed, place):
    def close():
        for fd in closed:
            os.close(fd)

    log = place / "scgid.log"
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)},
        {"log": log},
        ready=False,
        preexec=close,
    )
    one.log_follower.path = log
    one.stderr = log
    one.wait_ready()
    seen = one.tell(method="POST", body=b"x")
    assert seen["descriptors"] == [0, 1, 2]
    assert seen["body"] == "x"
    one.check()
    one.stop()


def test_low_descriptor_limit(start):
    """Fewer descriptors than clients: they wait, nobody is lost."""

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    one = start(
        {"www": (dict(STANDARD_POOL, workers=200), STANDARD_MAPS)}, preexec=limit
    )
    one.expect(text="descriptor|Too many open files|RLIMIT_NOFILE|files", optional=True)
    connections = [one.start("/cgi-bin/hello.sh") for _ in range(120)]
    replies = [c.read(c.id) for c in connections]
    for connection in connections:
        connection.close()
    statuses = [r.status for r in replies]
    assert set(statuses) <= {200, 503}, statuses
    assert statuses.count(200) >= 20


def test_term_drains(start):
    """TERM: what runs is finished, what is new is refused, then the end."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.script("short.sh", "sleep 0.7\nprintf 'Content-Type: a/b\\n\\nwhole'")
    one.expect(text="shutdown", optional=True)
    with one.start("/cgi-bin/short.sh") as connection:
        wait_for(one.workers, "the worker")
        one.process.send_signal(signal.SIGTERM)
        reply = connection.read(connection.id)
    assert (reply.status, reply.body, reply.broken) == (200, b"whole", None)
    assert one.process.wait(10) == 0
    one.stop()


def test_a_second_term_ends_it(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.script("long.sh", "sleep 60")
    one.expect(text="shutdown|draining|stopping", optional=True)
    with one.start("/cgi-bin/long.sh") as connection:
        wait_for(one.workers, "the worker")
        one.process.send_signal(signal.SIGTERM)
        one.wait_line("draining")
        one.process.send_signal(signal.SIGTERM)
        assert connection.read(connection.id).status == 503
    assert one.process.wait(10) == 0
    one.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_stop_now(start, number):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.script("long.sh", "trap '' TERM\nsleep 60\nsleep 60")
    one.expect(reason="shutdown", optional=True)
    with one.start("/cgi-bin/long.sh") as connection:
        workers = wait_for(one.workers, "the worker")
        begin = time.monotonic()
        one.process.send_signal(number)
        reply = connection.read(connection.id)
        assert one.process.wait(10) == 0
    assert time.monotonic() - begin < 8
    assert reply.status == 503 or reply.broken or not reply.raw
    wait_for(
        lambda: not [p for p in workers if os.path.exists("/proc/%d" % p)],
        "workers to end",
    )
    one.stop()


def test_usr1_reopens_the_logs(start, place):
    log = place / "scgid.log"
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, {"log": log}, ready=False)
    one.log_follower.path = log
    one.wait_ready()
    one.script(
        "noise.sh", "echo marker-$QUERY_STRING >&2\nprintf 'Content-Type: a/b\\n\\n'"
    )
    first = one.request("/cgi-bin/noise.sh", query="one")
    one.entry(first)
    one.wait_line("marker-one")
    os.rename(log, place / "scgid.log.1")
    os.rename(one.access, str(one.access) + ".1")
    one.read_access()
    one.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: log.exists() and one.access.exists(), "new files")

    def new_marker():
        one.request("/cgi-bin/noise.sh", query="two")
        return "marker-two" in log.read_text()

    wait_for(new_marker, "the gateway to use the new log")
    one.sent.clear()
    reply = one.request("/cgi-bin/noise.sh", query="three")
    one.entry(reply)
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o640
    assert reply.id not in (place / "scgid.log.1").read_text()
    one.stop()


def test_log_that_is_a_link_is_refused(start, place):
    (place / "target").write_text("precious")
    (place / "log").symlink_to("target")
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)}, {"log": place / "log"}, ready=False
    )
    assert one.process.wait(10) in (1, 78)
    assert (place / "target").read_text() == "precious"
    one.kill()


def test_text_access_log(start):
    one = start(
        {"www": (dict(STANDARD_POOL, access_log_format="text"), STANDARD_MAPS)},
        ready=False,
    )
    wait_for(lambda: " ready" in one.stderr.read_text(), "ready", 20.0)
    with one.connect() as connection:
        reply = connection.exchange(
            encode(
                nginx_params("/cgi-bin/hello.sh", 'a="b"', HTTP_X_REQUEST_ID="abc123")
            )
        )
    assert reply.status == 200
    line = wait_for(lambda: one.access.exists() and one.access.read_text(), "a line")
    found = fields(line)
    assert line.startswith("time=")
    assert found["id"] == "abc123"
    assert found["pool"] == "www"
    assert found["method"] == "GET"
    assert found["status"] == "200"
    assert found["reason"] == "none"
    assert found["exit"] == "0"
    assert found["client"] == "192.0.2.7"
    assert found["script"].endswith("/hello.sh")
    assert found["uri"] == '/cgi-bin/hello.sh?a=\\"b\\"'
    for name in (
        "queue_ms",
        "first_ms",
        "total_ms",
        "user_ms",
        "sys_ms",
        "rss_kb",
        "in",
        "out",
    ):
        assert float(found[name]) >= 0, name
    assert int(found["rss_kb"]) > 100
    one.kill()


def test_json_access_log(scgid):
    scgid.script(
        "burn.sh",
        "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; printf 'Content-Type: a/b\\n\\n12345'",
    )
    reply = scgid.request("/cgi-bin/burn.sh", b"abc", method="POST")
    entry = scgid.entry(reply)
    assert entry["pool"] == "www"
    assert entry["method"] == "POST"
    assert int(entry["in"]) == 3
    assert int(entry["out"]) == len(reply.body)
    assert float(entry["user_ms"]) + float(entry["sys_ms"]) > 1
    assert float(entry["total_ms"]) >= float(entry["first_ms"]) > 0


def test_request_id_of_our_own(scgid):
    scgid.expect(reason="script-not-found")
    reply = scgid.raw(encode(nginx_params("/cgi-bin/none")))
    line = scgid.wait_line(lambda l: l.fields.get("reason") == "script-not-found")
    assert line.fields["request"] in reply.body.decode()
    assert len(line.fields["request"]) >= 8


@pytest.mark.parametrize(
    "sent", ["", "x" * 5000, 'a b" c', "\x1b[2J", "../../x"], ids=repr
)
def test_request_id_of_a_stranger(scgid, sent):
    """An id is only taken if it is one; logs stay whole lines."""
    scgid.expect(reason="script-not-found")
    scgid.raw(encode(nginx_params("/cgi-bin/none", HTTP_X_REQUEST_ID=sent)))
    line = scgid.wait_line(lambda l: l.fields.get("reason") == "script-not-found")
    assert 1 <= len(line.fields["request"]) <= 128
    assert "\x1b" not in line.text and " b" not in line.fields["request"]


def test_pools_do_not_share_limits(start):
    """One pool full; the other answers as ever."""
    one = start(
        {
            "www": (dict(STANDARD_POOL, workers=1, queue=2), STANDARD_MAPS),
            "other": (STANDARD_POOL, STANDARD_MAPS),
        }
    )
    place = one.writable("marks")
    one.expect(reason="queue-full", optional=True)
    one.script(
        "hold.sh",
        "while [ ! -e %s/go ]; do sleep 0.05; done\nprintf 'Content-Type: a/b\\n\\n'"
        % place,
    )
    held = [one.start("/cgi-bin/hold.sh", pool="www") for _ in range(4)]
    wait_for(one.workers, "the slot to be taken")
    for _ in range(10):
        assert one.request("/cgi-bin/hello.sh", pool="other").status == 200
    (place / "go").touch()
    for connection in held:
        connection.read()
        connection.close()


@pytest.mark.root  # nobody else sees the descriptors of a role
def test_gateway_descriptors_do_not_leak_into_roles(scgid):
    """The launcher holds no listener; the gateway no more than it needs."""
    launcher = scgid.role("launcher www")
    links = []
    for name in os.listdir("/proc/%d/fd" % launcher):
        try:
            links.append(os.readlink("/proc/%d/fd/%s" % (launcher, name)))
        except FileNotFoundError:
            pass
    inodes = {
        line.split()[6]
        for line in open("/proc/net/unix").readlines()[1:]
        if "www.sock" in line
    }
    assert not [l for l in links if any("[%s]" % i in l for i in inodes)]


def test_hostile_messages_between_roles_cannot_be_sent_by_workers(scgid):
    """A worker has no descriptor of ours: see item 41; nor can it find one."""
    scgid.script(
        "peek.sh",
        "printf 'Content-Type: a/b\\n\\n'\nls -l /proc/$PPID/fd 2>/dev/null | grep -c socket",
    )
    reply = scgid.request("/cgi-bin/peek.sh")
    if IS_ROOT:
        assert (
            reply.body.strip() == b"0"
        ), "the launcher can be inspected by its workers"


def test_pipe_buffers_are_not_changed_for_us(scgid):
    """O_NONBLOCK set by a script on its stdout must not end our reading."""
    scgid.script(
        "nonblock.py",
        "#!/usr/bin/python3 -IS\nimport fcntl, os, sys\n"
        "for fd in (0, 1, 2): fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)\n"
        "print('Content-Type: a/b\\n\\nok')\n",
    )
    assert scgid.request("/cgi-bin/nonblock.py").body == b"ok\n"


@pytest.mark.parametrize("level", [[], ["--debug"]], ids=["info", "debug"])
def test_daemon_mode_with_a_pid_file(start, place, level):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    text = one.configuration.read_text().replace(
        str(one.directory) + "/www.sock", str(place) + "/www.sock"
    )
    conf, log = place / "scgid.conf", place / "log"
    conf.write_text(text)
    command = [program("scgid"), "-c", str(conf), "-d", "-p", str(place / "pid")]
    command += level
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 1 and not (place / "pid").exists()
    assert b" error supervisor[" in done.stderr
    assert b"log = stderr, the default, does not go with -d" in done.stderr
    conf.write_text(text.replace("[scgid]\n", "[scgid]\nlog = %s\n" % log))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.wait(20) == 0
    # When the first process has ended, the daemon is ready.
    pid = int((place / "pid").read_text())
    try:
        # Nobody holds the starter's output open: ssh and the like would wait.
        output, _ = process.communicate(timeout=5)
        assert output == b""
        with Connection(str(place / "www.sock")) as connection:
            assert (
                connection.exchange(encode(nginx_params("/cgi-bin/hello.sh"))).status
                == 200
            )
        assert os.getsid(pid) != os.getsid(0)
        assert (" debug gateway www[" in log.read_text()) == bool(level)
        # A reload cannot send the log to where nobody sees it either.
        conf.write_text(text)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: "not reloaded" in log.read_text(), "the refusal")
        assert "does not go with -d" in log.read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the end", 10.0)
    assert not (place / "pid").exists()
