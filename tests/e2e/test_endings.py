"""How things end: connections, processes, responses."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Connection, encode, nginx_params, wait_for
from harness.daemon import IS_ROOT, POOL_USER, program, public_directory


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_killed_gateway_breaks_the_response(start, tcp):
    """Half a response must not look whole because we died."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, tcp=True)
    one.script("half.sh", "printf 'Content-Type: a/b\\n\\nhalf'; sleep 30")
    one.expect(text="gateway www was killed by signal 9")
    one.expect(text="launcher www", optional=True)
    connection = one.start("/cgi-bin/half.sh", tcp=tcp, register=False)
    first = connection.read_some()
    os.kill(one.role("gateway www"), signal.SIGKILL)
    reply = connection.read(start=first)
    assert reply.body == b"half" and reply.broken
    connection.close()
    wait_for(lambda: one.roles("gateway www"), "the gateway to be back")


def test_crash_of_a_worker_that_takes_long_to_die(scgid):
    """It closes stdout, then frees its huge stdin: not whole, not alive."""
    scgid.script("half.py", HALF, interpreter="#!/usr/bin/python3\n")
    scgid.expect(reason="killed-by-signal", optional=True)
    for _ in range(3):
        reply = scgid.request("/cgi-bin/half.py", b"x" * 200000000, method="POST")
        # By whether some of it was sent before it crashed.
        assert reply.broken if reply.status == 200 else reply.status == 502


HALF = """
import os, signal
os.write(1, b"Content-Type: a/b\\n\\nhalf")
os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_a_failure_is_logged_once(start):
    """A front end that takes nothing, a script that ignores TERM."""
    one = start({"www": (dict(STANDARD_POOL, idle_timeout="1s"), STANDARD_MAPS)})
    one.script(
        "stubborn.sh",
        "trap '' TERM; printf 'Content-Type: a/b\\n\\n'; yes & wait; sleep 30",
    )
    one.expect(reason="client-aborted", optional=True)
    with one.start("/cgi-bin/stubborn.sh") as connection:
        one.entry(connection.id, timeout=15.0)
    lines = [l for l in one.recent() if "reason=client-aborted" in l.text]
    assert len(lines) == 1


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_11_late_bytes_behind_the_body(start, tcp):
    """What comes behind the body does not spoil the answer."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, tcp=True)
    one.script("wait.sh", "sleep 0.3; printf 'Content-Type: a/b\\n\\nwhole'")
    with one.start("/cgi-bin/wait.sh", tcp=tcp) as connection:
        wait_for(one.workers, "the worker")
        connection.send(b"x" * 10000)
        reply = connection.read(connection.id)
    assert (reply.status, reply.body, reply.broken) == (200, b"whole", None)


def test_item_69_head_through_a_local_redirect(scgid):
    scgid.script("to.sh", "printf 'Location: /cgi-bin/hello.sh\\n\\n'")
    reply = scgid.request("/cgi-bin/to.sh", method="HEAD")
    assert (reply.status, reply.body, reply.broken) == (200, b"", None)
    entry = scgid.entry(reply)
    assert (entry["method"], entry["reason"]) == ("HEAD", "none")
    assert entry["uri"] == "/cgi-bin/to.sh"


def test_crash_behind_a_local_redirect(scgid):
    scgid.script("crash.sh", "printf 'Location: /cgi-bin/hello.sh\\n\\n'; kill -9 $$")
    scgid.expect(reason="killed-by-signal")
    reply = scgid.request("/cgi-bin/crash.sh")
    assert reply.status == 502


def test_background_child_that_goes_on_writing(start):
    """Output renews background_grace: it is passed on whole."""
    pool = dict(STANDARD_POOL, background_grace="1s")
    one = start({"www": (pool, STANDARD_MAPS)})
    one.script(
        "producer.sh",
        "printf 'Content-Type: a/b\\n\\n'\n"
        "(for i in 1 2 3 4 5 6; do sleep 0.4; echo $i; done) &",
    )
    reply = one.request("/cgi-bin/producer.sh")
    assert (reply.body, reply.broken) == (b"1\n2\n3\n4\n5\n6\n", None)


def test_endless_background_child_is_cut_visibly(start):
    pool = dict(STANDARD_POOL, background_grace="1s", script_timeout="2s")
    one = start({"www": (pool, STANDARD_MAPS)})
    one.script(
        "endless.sh",
        "printf 'Content-Type: a/b\\n\\n'\n(while echo x; do sleep 0.2; done) &",
    )
    one.expect(reason="script-timeout")
    reply = one.request("/cgi-bin/endless.sh")
    assert reply.status == 200 and reply.broken
    wait_for(lambda: not one.workers(), "the child to be gone")


def test_a_slow_reader_of_a_script_that_has_ended(start):
    """script_timeout is the script's: what it left in the pipe is passed on."""
    pool = dict(STANDARD_POOL, script_timeout="500ms", idle_timeout="20s")
    one = start({"www": (pool, STANDARD_MAPS)})
    length = 300000
    one.script(
        "ended.sh", f"printf 'Content-Type: a/b\\n\\n'; head -c {length} /dev/zero"
    )
    with one.start("/cgi-bin/ended.sh") as connection:
        wait_for(lambda: not one.workers(), "the script to end")
        time.sleep(1)
        reply = connection.read(connection.id)
    assert (len(reply.body), reply.broken) == (length, None)


def test_a_slow_but_steady_reader_is_not_stalled(start):
    """Little by little: less than what makes the socket writable again."""
    one = start({"www": (dict(STANDARD_POOL, idle_timeout="2s"), STANDARD_MAPS)})
    one.script("large.sh", "printf 'Content-Type: a/b\\n\\n'; head -c 600000 /dev/zero")
    got = 0
    with one.start("/cgi-bin/large.sh") as connection:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            got += len(connection.read_some(2000))
            time.sleep(0.05)
        reply = connection.read()
    assert not reply.broken
    assert got + len(reply.raw) > 600000


def test_file_size_limit_ends_no_process(start):
    """SIGXFSZ: a body that may not be stored is a page, not a dead gateway."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))

    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, preexec=limit)
    gateway = one.role("gateway www")
    one.expect(reason="spool-failed")
    reply = one.request("/cgi-bin/cat.sh", b"x" * 3000000, method="POST")
    assert reply.status == 503
    assert one.role("gateway www") == gateway


@pytest.mark.parametrize(
    "number",
    [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGTSTP, signal.SIGTTOU],
)
def test_a_signal_to_a_gateway_changes_nothing(start, number):
    # In a group of its own, as of a shell's job: those of a terminal count there.
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)}, preexec=lambda: os.setpgid(0, 0)
    )
    gateway = one.role("gateway www")
    os.kill(gateway, number)
    assert one.request("/cgi-bin/hello.sh").status == 200
    assert one.role("gateway www") == gateway


def test_a_stopped_launcher_does_not_keep_the_pool_down(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.expect(text="killed by signal 9")
    one.expect(text="launcher www was killed by signal 9")
    os.kill(one.role("launcher www"), signal.SIGSTOP)
    os.kill(one.role("gateway www"), signal.SIGKILL)
    wait_for(lambda: one.roles("gateway www"), "the gateway to be back", 10.0)
    assert one.request("/cgi-bin/hello.sh").status == 200


def test_connections_of_the_backlog_are_served_in_a_drain(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    gateway = one.role("gateway www")
    os.kill(gateway, signal.SIGSTOP)
    connections = [one.start("/cgi-bin/hello.sh") for _ in range(10)]
    one.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not os.path.exists(one.sockets["www"]), "the socket to go")
    os.kill(gateway, signal.SIGCONT)
    for connection in connections:
        reply = connection.read(connection.id)
        connection.close()
        assert (reply.status, reply.broken) == (200, None)
    assert one.process.wait(10) == 0
    one.stop()


def test_inetd_ends_with_a_connection_that_says_nothing(tmp_path):
    script = tmp_path / "x.sh"
    script.write_text("#!/bin/sh\n")
    ours, theirs = socket.socketpair()
    user = ["--user", POOL_USER] if IS_ROOT else []
    process = subprocess.Popen(
        [program("scgid")] + user + ["--inetd", str(script)],
        stdin=theirs,
        stdout=theirs,
    )
    theirs.close()
    ours.close()
    assert process.wait(10) == 0


@pytest.mark.skipif(not IS_ROOT, reason="needs a mount namespace")
def test_syslog(start, tmp_path):
    """Two requests logged to a /dev/log of our own, by one gateway."""
    path = tmp_path / "log"
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(path))
    path.chmod(0o666)
    shell = (
        "mount --make-rprivate / && mount -t tmpfs none /mnt && touch /mnt/log && "
        "for n in null zero random urandom tty; do touch /mnt/$n && "
        "mount --bind /dev/$n /mnt/$n || exit; done; mount --bind %s /mnt/log && "
        'ln -s /proc/self/fd /mnt/fd && mount --rbind /mnt /dev && exec "$@"' % path
    )
    if subprocess.run(["unshare", "-m", "sh", "-c", shell, "sh", "true"]).returncode:
        pytest.skip("no mount namespace")
    one = start(
        {"www": (dict(STANDARD_POOL, access_log="on"), STANDARD_MAPS)},
        settings={"log": "syslog"},
        prefix=("unshare", "-m", "sh", "-c", shell, "sh"),
        ready=False,
    )
    log.settimeout(10)
    while b"ready" not in log.recv(8192):
        pass
    lines = []
    for _ in range(2):
        with Connection(wait_socket(one)) as connection:
            reply = connection.exchange(encode(nginx_params("/cgi-bin/hello.sh")))
        assert reply.status == 200
        lines.append(log.recv(8192))
    assert all(b'"status":200' in line for line in lines)
    gateways = {line.split(b"gateway www")[0].rsplit(b"[", 1)[-1] for line in lines}
    assert len(gateways) == 1
    one.touched = False
    one.stop()
    log.close()


def wait_socket(one):
    path = one.sockets["www"]
    wait_for(lambda: os.path.exists(path), "the socket")
    return path


@pytest.mark.skipif(not IS_ROOT, reason="needs a chroot")
def test_a_pool_that_cannot_start_leaves_the_others(start):
    """It is tried ever less often; the others serve as before."""
    jail = public_directory("jail")
    (jail / "cgi").mkdir(mode=0o755)
    maps = {"/cgi-bin": {"root": "/cgi"}}
    pool = dict(STANDARD_POOL, chroot=jail, user="nobody")
    # A leak sanitizer cannot do its work in a chroot.
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, build="SCGID_BUILD_RELEASE")
    text = one.configuration.read_text()
    lines = ["[bad]", "listen = %s/bad.sock" % one.directory]
    lines += ["%s = %s" % item for item in pool.items()] + [
        "[bad /cgi-bin]",
        "root = /cgi",
    ]
    one.configuration.write_text(text + "\n" + "\n".join(lines) + "\n")
    one.expect(
        text="launcher bad|gateway bad|lost a launcher|one user|gateways' user",
        optional=True,
    )
    one.process.send_signal(signal.SIGHUP)
    one.wait_line("reloaded")
    wait_for(lambda: one.roles("launcher bad"), "the new pool")
    shutil.rmtree(jail)
    os.kill(one.role("launcher bad"), signal.SIGKILL)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert one.request("/cgi-bin/hello.sh").status == 200
        time.sleep(0.1)
    deaths = [l for l in one.recent() if "launcher bad exited with status 1" in l.text]
    assert 2 <= len(deaths) <= 8, deaths
    one.configuration.write_text(text)
    one.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not one.roles("gateway bad"), "the pool to go", 10.0)


def has_answer(connection):
    try:
        return connection.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("first", ["at once", "late"])
def test_client_that_leaves_without_reading(start, tcp, first):
    """What it did not read makes an error, not an end, of the socket."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, tcp=True)
    wait = "sleep 0.2; " if first == "late" else ""
    one.script("talk.sh", wait + "printf 'Content-Type: a/b\\n\\nhello'; sleep 60")
    one.expect(reason="client-aborted", optional=True)
    with one.start("/cgi-bin/talk.sh", tcp=tcp) as connection:
        wait_for(lambda: has_answer(connection), "the answer")
        # Until the worker is known to live on.
        time.sleep(0.1)
    entry = one.entry(connection.id)
    assert (entry["reason"], entry["status"]) == ("client-aborted", 200)
    wait_for(lambda: not one.workers(), "the worker to go")
