"""Every named cause of failure: provoked, on the page, in both logs."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import pytest

from conftest import STANDARD_POOL
from harness.client import encode, wait_for
from harness.daemon import IS_ROOT, Scgid, set_limit

ROOT = pathlib.Path(__file__).resolve().parents[2]

MAPS = {
    "/cgi-bin": {"root": "{cgi}"},
    "/quick": {"root": "{cgi}", "idle_timeout": "300ms"},
    "/total": {"root": "{cgi}", "script_timeout": "500ms"},
    "/named": {"root": "{cgi}", "allow_names": "*.cgi"},
    "/noexec": {"root": "{cgi}/noexec"},
}


def names():
    """The reasons of the header file, as they are written."""
    text = (ROOT / "include/cgi/reason.h").read_text()
    found = re.findall(r"^\tREASON_([A-Z_]+),", text, re.M)
    return [n.lower().replace("_", "-") for n in found if n not in ("NONE", "COUNT")]


@pytest.fixture
def one(shared):
    pool = dict(STANDARD_POOL, max_body="2M", max_header="256K")
    return shared.get(
        "reasons", lambda: Scgid({"www": (pool, MAPS)}, directories=["noexec"])
    )


def run(text, path="/cgi-bin/", name="reason.sh"):
    """A provoker that runs a script of this text."""

    def provoke(one):
        one.script(name, text)
        return one.request(path + name)

    return provoke


def bad_request(one):
    return one.request("/cgi-bin/x%00", DOCUMENT_URI=None, REQUEST_URI="/cgi-bin/x%00")


def request_header_too_large(one):
    reply = one.raw(encode(one.params("/x", HTTP_A="a" * 300000, register=False)[0]))
    return reply


def header_timeout(one):
    with one.connect() as connection:
        connection.send(b"70:CONTENT_LENGTH")
        return connection.read()


def body_too_large(one):
    return one.request("/cgi-bin/cat.sh", b"x" * (3 << 20), method="POST")


def body_timeout(one):
    params, request_id = one.params("/cgi-bin/cat.sh", b"xx", method="POST")
    with one.connect() as connection:
        return connection.send(encode(params, b"x")).read(request_id)


def script_not_executable(one):
    one.script("plain.sh", "exit", mode=0o644)
    return one.request("/cgi-bin/plain.sh")


def name_not_allowed(one):
    return one.request("/named/hello.sh")


def permission_denied(one):
    closed = one.cgi / "closed"
    closed.mkdir(exist_ok=True)
    one.script("closed/x.sh", "exit")
    closed.chmod(0)
    try:
        return one.request("/cgi-bin/closed/x.sh")
    finally:
        closed.chmod(0o755)


def outside_root(one):
    outside = one.directory / "outside.sh"
    outside.write_text("#!/bin/sh\n")
    outside.chmod(0o755)
    if not (one.cgi / "out.sh").is_symlink():
        (one.cgi / "out.sh").symlink_to(outside)
    return one.request("/cgi-bin/out.sh")


def unsafe_permissions(one):
    one.script("anyone.sh", "exit", mode=0o777)
    return one.request("/cgi-bin/anyone.sh")


def not_a_file(one):
    if not (one.cgi / "fifo").exists():
        os.mkfifo(one.cgi / "fifo", 0o755)
    return one.request("/cgi-bin/fifo")


def bad_executable(one):
    one.script("junk", b"\x7fELF" + b"\0" * 60, interpreter=None)
    return one.request("/cgi-bin/junk")


def noexec_mount(one):
    place = one.cgi / "noexec"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs", str(place)],
        stderr=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        pytest.skip("this machine does not let us mount")
    try:
        (place / "x.sh").write_text("#!/bin/sh\n")
        (place / "x.sh").chmod(0o755)
        return one.request("/noexec/x.sh")
    finally:
        wait_for(
            lambda: subprocess.run(["umount", str(place)]).returncode == 0, "umount"
        )


def script_busy(one):
    path = one.script("busy", pathlib.Path("/bin/true").read_bytes(), interpreter=None)
    with open(path, "ab"):
        return one.request("/cgi-bin/busy")


def environment_too_large(one):
    # One string of an environment may have 128 KiB.
    return one.request("/cgi-bin/hello.sh", HTTP_A="a" * 140000)


def queue(name, **keys):
    """Refused while the only worker is taken."""

    def provoke(one, start):
        pool = dict(STANDARD_POOL, workers=1, **keys)
        own = start({"www": (pool, MAPS)}, directories=["noexec"])
        place = own.writable("marks")
        own.script(
            "hold.sh",
            "while [ ! -e %s/go ]; do sleep 0.05; done\nprintf 'Content-Type: a/b\\n\\n'"
            % place,
        )
        own.expect(reason=name)
        held = own.start("/cgi-bin/hold.sh")
        wait_for(own.workers, "the slot to be taken")
        more = [own.start("/cgi-bin/hello.sh") for _ in range(keys.get("queue", 0) + 2)]
        line = own.wait_line(lambda l: l.fields.get("reason") == name)
        refused = [c for c in more if c.id == line.fields["request"]][0]
        reply = refused.read(refused.id)
        (place / "go").touch()
        for connection in more + [held]:
            if connection is not refused:
                connection.read()
            connection.close()
        return own, reply

    return provoke


def fork_failed(one, start):
    own = start({"www": (STANDARD_POOL, MAPS)}, directories=["noexec"])
    own.expect(reason="fork-failed")
    launcher = own.role("launcher www")
    old = set_limit(launcher, resource.RLIMIT_NPROC, 1)
    reply = own.request("/cgi-bin/hello.sh")
    set_limit(launcher, resource.RLIMIT_NPROC, old[0])
    return own, reply


def no_descriptors(one, start):
    if not IS_ROOT:
        pytest.skip("nobody else sees the descriptors of a role")
    own = start({"www": (STANDARD_POOL, MAPS)}, directories=["noexec"])
    own.expect(reason="no-descriptors")
    gateway = own.role("gateway www")
    with own.connect() as connection:
        params, request_id = own.params("/cgi-bin/cat.sh", b"body", method="POST")
        connection.send(encode(params))
        wait_for(lambda: own.picture() != own.baseline, "the connection to be accepted")
        highest = max(int(n) for n in os.listdir("/proc/%d/fd" % gateway))
        old = set_limit(gateway, resource.RLIMIT_NOFILE, highest + 1)
        connection.send(b"body")
        reply = connection.read(request_id)
    set_limit(gateway, resource.RLIMIT_NOFILE, old[0])
    return own, reply


def spool_failed(one, start):
    own = start(
        {"www": (dict(STANDARD_POOL, body_memory="0"), MAPS)}, directories=["noexec"]
    )
    own.expect(reason="spool-failed")
    away = own.directory / "away"
    own.spool.rename(away)
    reply = own.request("/cgi-bin/cat.sh", b"x" * 100000, method="POST")
    away.rename(own.spool)
    return own, reply


def launcher_lost(one, start):
    own = start({"www": (STANDARD_POOL, MAPS)}, directories=["noexec"])
    own.script("long.sh", "sleep 60")
    own.expect(text="launcher|exited|killed|restart", optional=True)
    own.expect(reason="launcher-lost")
    with own.start("/cgi-bin/long.sh") as connection:
        wait_for(own.workers, "the worker")
        os.kill(own.role("launcher www"), signal.SIGKILL)
        reply = connection.read(connection.id)
    wait_for(lambda: own.roles("launcher www"), "another launcher")
    return own, reply


def shutdown(one, start):
    """INT stops at once; what is open is told so."""
    own = start({"www": (STANDARD_POOL, MAPS)}, directories=["noexec"])
    own.script("long.sh", "sleep 60")
    own.expect(reason="shutdown")
    with own.start("/cgi-bin/long.sh") as connection:
        wait_for(own.workers, "the worker")
        own.process.send_signal(signal.SIGINT)
        reply = connection.read(connection.id)
    assert own.process.wait(10) == 0
    return own, reply


PROVOKE = {
    "bad-request": bad_request,
    "request-header-too-large": request_header_too_large,
    "header-timeout": header_timeout,
    "body-too-large": body_too_large,
    "body-timeout": body_timeout,
    "no-map": lambda one: one.request("/elsewhere"),
    "queue-full": queue("queue-full", queue=2),
    "queue-timeout": queue("queue-timeout", queue_timeout="300ms"),
    "script-not-found": lambda one: one.request("/cgi-bin/none.sh"),
    "script-not-executable": script_not_executable,
    "name-not-allowed": name_not_allowed,
    "permission-denied": permission_denied,
    "outside-root": outside_root,
    "unsafe-permissions": unsafe_permissions,
    "not-a-file": not_a_file,
    "interpreter-not-found": run("#!/no/such/interpreter\n"),
    "crlf-shebang": run("#!/bin/sh\r\nexit\r\n"),
    "bad-executable": bad_executable,
    "noexec-mount": noexec_mount,
    "script-busy": script_busy,
    "environment-too-large": environment_too_large,
    "no-header": run("echo hello"),
    "bad-header": run("printf 'Content-Type : a/b\\n\\n'"),
    "header-too-large": run(
        "printf 'X-A: '\nhead -c 100000 /dev/zero | tr '\\0' a\nprintf '\\n\\n'"
    ),
    "empty-output": run("exit 0"),
    "exit-status": run("exit 3"),
    "killed-by-signal": run("kill -SEGV $$"),
    "first-byte-timeout": run("sleep 30", "/quick/"),
    "script-timeout": run(
        "printf 'X: '; while :; do printf a; sleep 0.1; done", "/total/"
    ),
    "redirect-loop": run("printf 'Location: /cgi-bin/reason.sh\\n\\n'"),
    "fork-failed": fork_failed,
    "no-descriptors": no_descriptors,
    "spool-failed": spool_failed,
    "launcher-lost": launcher_lost,
    "shutdown": shutdown,
}

# After the header there is no page: the transfer breaks instead.
BREAKS = {
    "truncated-body": run(
        "printf 'Content-Type: a/b\\nContent-Length: 9\\n\\npart'\nsleep 0.3"
    ),
    "idle-timeout": run("printf 'Content-Type: a/b\\n\\npart'\nsleep 30", "/quick/"),
}

NEEDS_ROOT = {"fork-failed", "noexec-mount", "permission-denied"}

# Told by other tests, or not to be had on an ordinary machine.
ELSEWHERE = {
    "client-aborted": "nobody is left to see a page: test_lifecycle.py, item 82",
    "out-of-memory": "a worker that dies of SIGKILL, or ENOMEM at start: below",
}


def test_every_reason_is_provoked():
    known = set(PROVOKE) | set(BREAKS) | set(ELSEWHERE)
    assert known == set(names())


def table():
    """name -> (status, sentence), from the table in the source."""
    text = (ROOT / "src/cgi/reason.c").read_text()
    found = {}
    for name, status, rest in re.findall(
        r'"([a-z-]+)", (\d{3}),\s*((?:"[^"]*"\s*)+)', text
    ):
        found[name] = (int(status), "".join(re.findall(r'"([^"]*)"', rest)))
    return found


@pytest.mark.parametrize("name", sorted(PROVOKE))
def test_reason(name, one, request):
    if name in NEEDS_ROOT and not IS_ROOT:
        pytest.skip("needs root")
    status, sentence = table()[name]
    provoke = PROVOKE[name]
    if provoke.__code__.co_argcount == 2:
        own, reply = provoke(one, request.getfixturevalue("start"))
    else:
        one.expect(reason=name)
        own, reply = one, provoke(one)
    assert reply.status == status, reply
    assert not reply.broken
    page = reply.body.decode()
    assert "<code>%s</code>" % name in page
    assert sentence in page
    for hidden in (str(own.cgi), "www-data"):
        assert hidden not in page
    if status == 503:
        assert reply.header("Retry-After")
    line = own.wait_line(lambda l: l.fields.get("reason") == name)
    assert line.level == "warn"
    assert line.role == "gateway"
    assert line.fields["status"] == str(status)
    if reply.id:
        assert line.fields["request"] == reply.id
        assert reply.id in page
        entry = own.entry(reply)
        assert (entry["reason"], int(entry["status"])) == (name, status)
    if own is not one and own.process.poll() is not None:
        own.kill()


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_reason_after_the_header(name, one):
    one.expect(reason=name)
    reply = BREAKS[name](one)
    assert reply.broken
    assert reply.status == 200
    assert one.failure(reply)["reason"] == name
    assert one.entry(reply)["reason"] == name


def test_out_of_memory_or_killed(one):
    """A KILL that we did not send: the kernel's, or somebody's."""
    one.expect(text="reason=(out-of-memory|killed-by-signal)")
    reply = run("kill -KILL $$")(one)
    assert reply.status == 502
    assert re.search("out-of-memory|killed-by-signal", reply.body.decode())
    assert int(one.entry(reply)["signal"]) == 9


def test_the_last_lines_of_stderr(one):
    one.expect(reason="exit-status")
    reply = run("echo first >&2\necho 'second \"quoted\"' >&2\nexit 1")(one)
    line = one.failure(reply)
    assert "first" in line["stderr"] and "second" in line["stderr"]


def test_a_queue_timeout_is_no_busy_loop(start):
    """A request that waits costs no processor time."""
    own = start(
        {"www": (dict(STANDARD_POOL, workers=1, queue_timeout="3s"), MAPS)},
        directories=["noexec"],
    )
    place = own.writable("marks")
    own.script("hold.sh", "read x <%s/fifo\nprintf 'Content-Type: a/b\\n\\n'" % place)
    os.mkfifo(place / "fifo", 0o666)
    os.chmod(place / "fifo", 0o666)

    def ticks():
        total = 0
        for what in ("gateway www", "launcher www"):
            with open("/proc/%d/stat" % own.role(what)) as stream:
                values = stream.read().rpartition(")")[2].split()
            total += int(values[11]) + int(values[12])
        return total

    with own.start("/cgi-bin/hold.sh") as held:
        wait_for(own.workers, "the worker")
        with own.start("/cgi-bin/hello.sh") as waiting:
            before = ticks()
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                time.sleep(0.1)
            assert ticks() - before < 20
            os.close(os.open(place / "fifo", os.O_WRONLY))
            assert held.read().status == 200
            assert waiting.read().status == 200
