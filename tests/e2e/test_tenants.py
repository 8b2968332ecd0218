"""Tenants kept apart: users, capabilities, the sandbox, what a hostile script
can do, chroot and groups."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for
from harness.daemon import (
    IS_ROOT,
    Scgid,
    become,
    build_directory,
    is_sanitised,
    program,
    public_directory,
    user_ids,
)

ALICE, BOB = "games", "irc"  # two users that every Debian has


def status_of(pid):
    with open("/proc/%d/status" % pid) as stream:
        pairs = (line.partition(":") for line in stream)
        return {name: value.strip() for name, _, value in pairs}


def two_tenants(start, **keys):
    pool = dict(
        STANDARD_POOL, script_timeout="60s", idle_timeout="55s", body_memory="0"
    )
    return start(
        {
            "alice": (dict(pool, user=ALICE, **keys), STANDARD_MAPS),
            "bob": (dict(pool, user=BOB), STANDARD_MAPS),
        }
    )


@pytest.mark.root
def test_hostile_script(start):
    """It reaches no process but its own and, with a signal, its launcher."""
    one = two_tenants(start)
    place = one.writable("marks")
    one.script(
        "hold.sh",
        "echo $$ > %s/pid\nwhile [ ! -e %s/go ]; do sleep 0.05; done\n"
        "printf 'Content-Type: a/b\\n\\nok'" % (place, place),
    )
    # A worker of another pool, its body in the gateway's spool.
    held = one.start("/cgi-bin/hold.sh", b"secret" * 10000, pool="bob", method="POST")
    wait_for(
        lambda: (place / "pid").exists() and (place / "pid").read_text(), "bob's worker"
    )
    pids = [one.pid]
    for name in ("gateway alice", "gateway bob", "launcher bob"):
        pids += one.roles(name)
    pids.append(int((place / "pid").read_text()))
    assert len(pids) == 5
    words = [str(p) for p in pids] + ["own:%d" % p for p in one.roles("launcher alice")]
    words += ["uid:%d" % user_ids(name)[0] for name in (BOB, "nobody")]
    words += [one.sockets["alice"], one.sockets["bob"]]
    one.script(
        "attack.sh",
        "SPOOL=%s exec /usr/bin/python3 -IS %s" % (one.spool, one.cgi / "hostile.py"),
    )
    reply = one.request("/cgi-bin/attack.sh", pool="alice", query=",".join(words))
    assert reply.status == 200, reply
    found = json.loads(reply.body)
    assert found["tried"] > 4000
    assert found["done"] == []
    for pid in pids:
        assert os.path.exists("/proc/%d" % pid), "a process died of it"
    (place / "go").touch()
    assert held.read().body == b"ok"
    held.close()


@pytest.mark.root
def test_the_attacks_would_work(start):
    """What the script above tries does succeed where nothing forbids it."""
    one = two_tenants(start)
    victim = subprocess.Popen(
        ["sleep", "60"],
        preexec_fn=lambda: become(user_ids(ALICE)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        one.script(
            "attack.sh",
            "SPOOL=%s exec /usr/bin/python3 -IS %s" % (one.cgi, one.cgi / "hostile.py"),
        )
        reply = one.request("/cgi-bin/attack.sh", pool="alice", query=str(victim.pid))
        done = json.loads(reply.body)["done"]
        for what in ("kill %d 0", "environ %d", "fd %d", "exe %d"):
            assert what % victim.pid in done
        assert "spool: attack.sh" in done
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.root
def test_killed_launcher_comes_back(start):
    """The one thing a script can do to us: its own launcher, for a moment."""
    one = two_tenants(start)
    one.expect(reason="launcher-lost", optional=True)
    one.expect(text="lost a launcher")
    one.expect(text="launcher alice was killed by signal 9")
    one.script("murder.sh", "kill -9 $PPID; sleep 5")
    before = one.role("launcher alice")
    reply = one.request("/cgi-bin/murder.sh", pool="alice")
    assert reply.status == 502 or reply.status == 503
    wait_for(
        lambda: one.roles("launcher alice") not in ([], [before]), "another launcher"
    )
    assert one.request("/cgi-bin/hello.sh", pool="alice").status == 200
    assert one.request("/cgi-bin/hello.sh", pool="bob").status == 200


def test_no_capability_but_the_supervisors(start):
    """Nor can a role or a script get one by starting a program."""
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)})
    one.script("caps.sh", "printf 'Content-Type: a/b\\n\\n'\ncat /proc/self/status")
    worker = one.request("/cgi-bin/caps.sh").body.decode()
    pictures = [status_of(one.role(r)) for r in ("gateway www", "launcher www")]
    pictures.append(
        dict(
            l.replace("\t", " ").split(": ", 1)
            for l in worker.splitlines()
            if ": " in l.replace("\t", " ")
        )
    )
    for found in pictures:
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(found[name], 16) == 0, name
        if IS_ROOT:
            assert int(found["CapBnd"], 16) == 0
        assert found["NoNewPrivs"] == "1"


@pytest.mark.root
def test_set_user_id_programs_keep_working(start):
    """no_new_privileges = no: sudo and its like get what they need."""
    one = start({"www": (dict(STANDARD_POOL, no_new_privileges="no"), STANDARD_MAPS)})
    assert int(status_of(one.role("launcher www"))["CapEff"], 16) == 0
    assert int(status_of(one.role("launcher www"))["CapBnd"], 16) != 0
    assert int(status_of(one.role("gateway www"))["CapBnd"], 16) == 0
    assert status_of(one.role("gateway www"))["NoNewPrivs"] == "1"
    shutil.copy("/usr/bin/id", one.cgi / "id")
    os.chmod(one.cgi / "id", 0o4755)
    one.script("suid.sh", "printf 'Content-Type: a/b\\n\\n'\n%s/id -u" % one.cgi)
    assert one.request("/cgi-bin/suid.sh").body == b"0\n"


def has_seccomp():
    return os.path.exists("/proc/sys/kernel/seccomp")


@pytest.mark.skipif(not has_seccomp(), reason="no seccomp")
def test_gateway_is_in_its_sandbox(start):
    for build in ("SCGID_BUILD", "SCGID_BUILD_RELEASE"):
        if build_directory(build) is None:
            continue
        one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, build=build)
        found = status_of(one.role("gateway www"))
        assert found["Seccomp"] == "2"
        assert found["NoNewPrivs"] == "1"
        # A large body needs a temporary file.
        body = os.urandom(3 << 20)
        assert one.request("/cgi-bin/cat.sh", body, method="POST").body == body


@pytest.mark.skipif(
    build_directory("SCGID_BUILD_RELEASE") is None, reason="no SCGID_BUILD_RELEASE"
)
def test_sandbox_of_the_release():
    """What the sanitizers need is open in their build; in this one nothing is."""
    path = build_directory("SCGID_BUILD_RELEASE") / "tests" / "test_sandbox"
    done = subprocess.run([str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    assert not is_sanitised("SCGID_BUILD_RELEASE")


def test_roles_cannot_be_inspected(scgid):
    """Not dumpable: /proc/PID/... belongs to root."""
    for role in ("gateway www", "launcher www"):
        pid = scgid.role(role)
        assert os.stat("/proc/%d/mem" % pid).st_uid == 0
        if not IS_ROOT:
            with pytest.raises(PermissionError):
                os.listdir("/proc/%d/fd" % pid)


@pytest.mark.root
def test_one_user_for_two_is_warned_of(start):
    one = start(
        {
            "a": (dict(STANDARD_POOL, user="nobody"), STANDARD_MAPS),
            "b": (dict(STANDARD_POOL, user="nobody"), STANDARD_MAPS),
        }
    )
    text = one.stderr.read_text()
    assert "pool 'a' runs its scripts as nobody, who is the gateways' user" in text
    assert "pools 'a' and 'b' have one user, nobody" in text


@pytest.mark.root
def test_groups(start):
    """groups = replaces the supplementary groups; without it, the user's own."""
    one = start(
        {
            "www": (dict(STANDARD_POOL, groups="audio video"), STANDARD_MAPS),
            "own": (dict(STANDARD_POOL, group="users"), STANDARD_MAPS),
        }
    )
    one.script("id.sh", "printf 'Content-Type: a/b\\n\\n'\nid -gn; id -Gn")
    main, every = one.request("/cgi-bin/id.sh", pool="www").body.decode().splitlines()
    assert main == "www-data" and sorted(every.split()) == [
        "audio",
        "video",
        "www-data",
    ]
    main, every = one.request("/cgi-bin/id.sh", pool="own").body.decode().splitlines()
    assert main == "users"
    assert "audio" not in every.split()


def make_root(directory):
    """A root directory with a shell and cat, made of this machine's."""
    for name in ("sh", "cat", "ls", "sleep", "readlink"):
        found = shutil.which(name)
        copy = directory / "bin" / name
        copy.parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(os.path.realpath(found), copy)
        text = subprocess.check_output(["ldd", found]).decode()
        for word in text.split():
            if word.startswith("/") and os.path.exists(word):
                library = directory / word.lstrip("/")
                library.parent.mkdir(exist_ok=True, parents=True)
                shutil.copy(os.path.realpath(word), library)
    for path in [directory] + list(directory.rglob("*")):
        path.chmod(0o755)


@pytest.fixture(scope="module")
def jails():
    """Removed at the end: the oracle still looks at an instance after its test."""
    made = []
    yield made
    for directory in made:
        shutil.rmtree(directory)


@pytest.fixture
def jail(jails):
    directory = public_directory("jail")
    make_root(directory)
    (directory / "dev").mkdir()
    subprocess.run(
        ["mknod", "-m", "666", str(directory / "dev/null"), "c", "1", "3"], check=True
    )
    (directory / "cgi" / "real").mkdir(parents=True)
    (directory / "cgi" / "link").symlink_to("real")
    (directory / "abs").symlink_to("/cgi")
    jails.append(directory)
    return directory


def put(path, text):
    path.write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n" + text)
    path.chmod(0o755)


@pytest.mark.root
def test_paths_outside_a_chroot(start, jail):
    """Told when the configuration is read, with file and line."""
    one = start(
        {
            "www": (
                dict(STANDARD_POOL, chroot=jail),
                {"/cgi": {"root": "/cgi"}, "/abs": {"root": "/abs"}},
            )
        },
        ready=False,
    )
    # The probe's map is not below it.
    assert one.process.wait(10) == 78
    assert "in the chroot %s" % jail in one.stderr.read_text()
    one.kill()


class Jailed:
    """An instance whose pool has a chroot: the scripts are copied into it."""

    def __init__(self, start, jail, maps, **keys):
        self.jail = jail

        class Inside(Scgid):
            def expand(self, value):
                text = super().expand(value)
                return text.replace(
                    "script = %s/hello.sh" % self.cgi, "script = /hello.sh"
                )

        put(jail / "hello.sh", "echo hello")
        # The search for leaks needs a /proc, which is not there.
        self.one = Inside(
            {"www": (dict(STANDARD_POOL, chroot=jail, **keys), maps)},
            environment={"ASAN_OPTIONS": "detect_leaks=0"},
        )
        self.one.touched = True
        start.own.append(self.one)


@pytest.mark.root
@pytest.mark.parametrize("has_library", [False, True])
def test_fork_servers_in_a_chroot(start, jail, has_library):
    """Without their library, or without /proc: exec, and the log says why."""
    put(jail / "cgi" / "hello.sh", "echo hello")
    if has_library:
        library = pathlib.Path(program("scgid")).parent / "forkserver/preload.so"
        copy = jail / str(library).lstrip("/")
        copy.parent.mkdir(parents=True)
        shutil.copy(library, copy)
        for path in [copy] + list(copy.parents)[: -len(jail.parents) - 1]:
            path.chmod(0o755)
    maps = {"/cgi": {"root": "/cgi", "start": "fork-server"}}
    one = Jailed(start, jail, maps).one
    one.expect(text="no fork server.*" + ("/proc" if has_library else "preload.so"))
    for _ in range(3):
        reply = one.request("/cgi/hello.sh")
        assert reply.body == b"hello\n" and one.entry(reply)["start"] == "exec"


@pytest.mark.root
def test_inside_a_chroot(start, jail):
    """Launcher and scripts live in it; what is outside does not exist."""
    put(
        jail / "cgi" / "look.sh",
        "echo $0 $SCRIPT_FILENAME; pwd; ls /; cat /etc/passwd || echo none",
    )
    put(jail / "cgi" / "real" / "deep.sh", "echo $0; pwd")
    one = Jailed(start, jail, {"/cgi": {"root": "/cgi"}, "/abs": {"root": "/abs"}}).one
    lines = one.request("/cgi/look.sh").body.decode().splitlines()
    assert lines[0] == "/cgi/look.sh /cgi/look.sh"
    assert lines[1] == "/cgi"
    assert "proc" not in lines and "none" in lines
    assert one.request("/abs/look.sh").status == 200
    # A followed link is named by where it led, without a /proc to ask.
    assert one.request("/cgi/link/deep.sh").body == b"/cgi/real/deep.sh\n/cgi/real\n"
    launcher = one.role("launcher www")
    assert os.readlink("/proc/%d/root" % launcher) == str(jail)
    assert os.readlink("/proc/%d/root" % one.role("gateway www")) == "/"


@pytest.mark.root
def test_strays_in_a_chroot(start, jail):
    """Nothing outlives its request there either, though there is no /proc."""
    shutil.copy(os.path.realpath(shutil.which("setsid")), jail / "bin" / "setsid")
    put(
        jail / "cgi" / "stray.sh",
        "setsid sh -c 'sleep 61' </dev/null >/dev/null 2>&1 &\necho gone",
    )
    one = Jailed(start, jail, {"/cgi": {"root": "/cgi"}}).one
    assert one.request("/cgi/stray.sh").body == b"gone\n"
    wait_for(lambda: not one.workers(), "the stray to end", 10.0)


@pytest.mark.root
def test_explain_in_a_chroot(start, jail):
    put(jail / "cgi" / "x.sh", "echo x")
    one = Jailed(start, jail, {"/cgi": {"root": "/cgi"}}).one
    done = subprocess.run(
        [program("scgid"), "-c", str(one.configuration), "--explain", "/cgi/x.sh"],
        stdout=subprocess.PIPE,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"script: /cgi/x.sh\n" in done.stdout
    assert b"would start" in done.stdout
