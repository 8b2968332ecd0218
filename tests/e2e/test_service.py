"""The conventions of service managers: readiness, the watchdog, sockets."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Connection, encode, nginx_params, wait_for
from harness.daemon import (
    GATEWAY_USER,
    IS_ROOT,
    POOL_USER,
    build_directory,
    free_port,
    program,
    title,
)
from harness.manager import Manager, passing

ACTIVATE = shutil.which("systemd-socket-activate")
UNSHARE = shutil.which("unshare")


def has_libsystemd():
    return (
        "#define HAVE_LIBSYSTEMD"
        in (build_directory() / "include/base/system.h").read_text()
    )


systemd = pytest.mark.skipif(not has_libsystemd(), reason="built without libsystemd")


@pytest.fixture
def manager(place):
    one = Manager(place)
    yield one
    one.close()


def hello(address):
    with Connection(address) as connection:
        reply = connection.exchange(encode(nginx_params("/cgi-bin/hello.sh")))
    assert (reply.status, reply.body) == (200, b"hello\n"), reply


@systemd
def test_ready_and_stopping(start, manager):
    pools = {
        "www": (dict(STANDARD_POOL, gateways=2, launchers=2), STANDARD_MAPS),
        "app": (STANDARD_POOL, STANDARD_MAPS),
    }
    one = start(pools, environment=manager.environment())
    assert manager.lines().count("READY=1") == 1
    one.check()
    one.stop()
    lines = manager.lines()
    assert lines.count("READY=1") == 1
    assert lines.index("READY=1") < lines.index("STOPPING=1")
    assert not [l for l in lines if l.startswith("WATCHDOG")]


def start_held_up(start, call, seconds, **options):
    """By a system call that a launcher makes after it has become its user."""
    if not shutil.which("strace"):
        pytest.skip("no strace")
    delay = "inject=%s:delay_enter=%d:when=1" % (call, seconds * 1000000)
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)},
        prefix=["strace", "-f", "-qq", "-o", "/dev/null"]
        + ["-e", "trace=" + call, "-e", delay],
        ready=False,
        **options,
    )
    if "strace" in one.tail() and one.process.poll() is not None:
        one.kill()
        pytest.skip("strace cannot be used here")
    return one


@systemd
def test_not_ready_before_every_role_lives(start, manager):
    """A launcher that is stopped in the middle of its start is waited for."""
    one = start_held_up(start, "umask", 1.5, environment=manager.environment())
    wait_for(lambda: one.roles("gateway www"), "the gateway")
    assert "READY=1" not in manager.lines()
    manager.wait(lambda l: l == "READY=1")
    wait_for(lambda: " ready" in one.stderr.read_text(), "ready in the log")
    hello(one.sockets["www"])
    one.kill()


def test_a_start_that_hangs_says_where(start):
    """It is given half a minute."""
    one = start_held_up(start, "getpriority", 32)
    assert one.process.wait(45) == 1
    assert "pool www hangs" in one.tail() and "cannot start" in one.tail()
    one.kill()


def test_a_reload_during_the_start_is_not_lost(start):
    one = start_held_up(start, "umask", 1.5)
    wait_for(lambda: one.roles("gateway www"), "the gateway")
    assert " ready" not in one.stderr.read_text()
    text = one.configuration.read_text()
    one.configuration.write_text(text.replace("[www]", "[www]\nlisten_mode = 0600"))
    os.kill(one.role("supervisor"), signal.SIGHUP)
    wait_for(lambda: " reloaded" in one.stderr.read_text(), "the reload", 10.0)
    assert os.stat(one.sockets["www"]).st_mode & 0o777 == 0o600
    one.kill()


@pytest.mark.root
@pytest.mark.skipif(not UNSHARE, reason="no unshare")
@pytest.mark.parametrize("how", ["-f", "-d"])
def test_a_role_that_cannot_become_its_user_is_no_start(start, manager, place, how):
    """In a namespace that has no user but root, setuid fails in the roles."""
    if subprocess.run([UNSHARE, "--user", "--map-root-user", "true"]).returncode:
        pytest.skip("no user namespaces here")
    log = place / "log"
    one = start(
        {"www": (dict(STANDARD_POOL, user=POOL_USER), STANDARD_MAPS)},
        {"log": log, "user": GATEWAY_USER},
        user_keys=False,
        environment=manager.environment(),
        prefix=[UNSHARE, "--user", "--map-root-user"],
        arguments=(how, "-p", str(place / "pid")),
        ready=False,
    )
    assert one.process.wait(20) == 1
    text = log.read_text()
    assert "cannot become user" in text and "cannot start" in text, text
    assert " ready" not in text
    assert "READY=1" not in manager.lines()
    assert not (place / "pid").exists()
    wait_for(lambda: not os.path.exists(one.sockets["www"]), "the socket to go")
    one.kill()


@systemd
def test_watchdog_is_fed(start, manager):
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)}, environment=manager.environment(0.8)
    )
    for _ in range(5):
        manager.wait(lambda l: l == "WATCHDOG=1")
    one.check()


@systemd
def test_a_gateway_that_hangs_is_replaced_before_the_watchdog_bites(start, manager):
    watchdog = 4.0
    one = start(
        {
            "www": (dict(STANDARD_POOL, gateways=2), STANDARD_MAPS),
            "app": (STANDARD_POOL, {}),
        },
        environment=manager.environment(watchdog),
    )
    one.expect(
        text="does not answer|killed by signal|lost a launcher|ended", optional=True
    )
    manager.wait(lambda l: l == "WATCHDOG=1")
    before = one.roles("gateway www")
    os.kill(before[0], signal.SIGSTOP)
    line = one.wait_line("gateway www.*does not answer", 15.0)
    assert "[%d]" % before[0] in line.text
    wait_for(lambda: len(one.roles("gateway www")) == 2, "another gateway")
    assert before[0] not in one.roles("gateway www")
    assert before[1] in one.roles("gateway www"), "only the one that hung"
    manager.wait(lambda l: l == "WATCHDOG=1")
    manager.wait(lambda l: l == "WATCHDOG=1")
    fed = [when for when, lines in manager.said if "WATCHDOG=1" in lines]
    gaps = [b - a for a, b in zip(fed, fed[1:])]
    assert max(gaps) < watchdog, gaps
    # It was left out while the gateway hung.
    assert max(gaps) > watchdog / 4 * 1.5, gaps


@systemd
def test_status_has_the_counters(start, manager):
    one = start(
        {
            "www": (dict(STANDARD_POOL, workers=7), STANDARD_MAPS),
            "app": (STANDARD_POOL, {}),
        },
        environment=manager.environment(0.8),
    )
    one.expect(reason="script-not-found")
    served = 2  # the harness has asked each pool once
    for _ in range(3):
        assert one.request("/cgi-bin/hello.sh").status == 200
        served += 1
    assert one.request("/cgi-bin/none").status == 404
    place = one.writable("marks")
    one.script(
        "hold.sh",
        "while [ ! -e %s/go ]; do sleep 0.05; done\nprintf 'Content-Type: a/b\\n\\n'"
        % place,
    )
    with one.start("/cgi-bin/hold.sh") as held:
        wait_for(one.workers, "the worker")
        manager.wait(
            lambda l: re.match(
                r"STATUS=%d served, 1 failed, 1 open, 0 waiting; workers: www 1/7, app 0/40$"
                % served,
                l,
            )
        )
        (place / "go").touch()
        assert held.read().status == 200
    manager.wait(
        lambda l: l.startswith("STATUS=%d served, 1 failed, 0 open" % (served + 1))
    )
    # A gateway that dies takes no counts with it.
    one.expect(text="killed by signal|ended", optional=True)
    os.kill(one.role("gateway www"), signal.SIGKILL)
    line = one.wait_line("gateway www was killed")
    wait_for(lambda: one.roles("gateway www"), "another gateway", 10.0)
    manager.wait(
        lambda l: l.startswith("STATUS=%d served, 1 failed, 0 open" % (served + 1))
    )


def listening(family, address):
    one = socket.socket(family, socket.SOCK_STREAM)
    if family != socket.AF_UNIX:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(address)
    one.listen(50)
    return one


def begin(start, pools, sockets, **options):
    """A daemon with passed sockets; probes nothing by itself."""
    one = start(pools, ready=False, **passing(sockets), **options)
    one.sockets = {}
    return one


@systemd
def test_sockets_by_name(start, place):
    """Unix and TCP, several of one name, for several pools."""
    path, second = str(place / "a"), str(place / "b")
    port = free_port()
    sockets = [
        ("www", listening(socket.AF_UNIX, path)),
        ("www", listening(socket.AF_INET, ("127.0.0.1", port))),
        ("app", listening(socket.AF_UNIX, second)),
    ]
    own = str(place / "own")
    one = begin(
        start,
        {
            "www": (dict(STANDARD_POOL, listen=["systemd:www", own]), STANDARD_MAPS),
            "app": (dict(STANDARD_POOL, listen=["systemd"]), STANDARD_MAPS),
        },
        sockets,
    )
    for _, each in sockets:
        os.chmod(path, 0o600)
        each.close()
    one.wait_ready()
    one.sockets = {"www": own}
    for address in (path, ("127.0.0.1", port), second, own):
        hello(address)
    if IS_ROOT:  # nobody else sees the descriptors of a launcher
        entry = one.role("launcher www")
        links = [
            os.readlink("/proc/%d/fd/%s" % (entry, n))
            for n in os.listdir("/proc/%d/fd" % entry)
        ]
        assert len([l for l in links if l.startswith("socket:")]) == 1, links
    one.stop()
    # Not ours to remove; the one that we bound is.
    assert os.path.exists(path) and os.path.exists(second)
    assert not os.path.exists(own)


@systemd
def test_a_socket_outlives_the_service(start, place):
    """What connects while nobody serves is answered by the next one."""
    path = str(place / "a")
    kept = listening(socket.AF_UNIX, path)
    pools = {"www": (dict(STANDARD_POOL, listen=["systemd:www"]), STANDARD_MAPS)}
    one = begin(start, pools, [("www", kept)])
    one.wait_ready()
    hello(path)
    one.stop()
    with Connection(path) as waiting:
        waiting.send(encode(nginx_params("/cgi-bin/hello.sh")))
        two = begin(start, pools, [("www", kept)])
        two.wait_ready()
        assert waiting.read().body == b"hello\n"
    two.stop()
    kept.close()


@systemd
@pytest.mark.parametrize(
    "names, listen, wanted",
    [
        (["one", "two"], "systemd:three", r"listen = systemd:three.*passed: one, two"),
        ([], "systemd", r"no socket was passed"),
    ],
    ids=["name", "none"],
)
def test_missing_sockets_are_told(start, place, names, listen, wanted):
    sockets = [(n, listening(socket.AF_UNIX, str(place / n))) for n in names]
    pools = {"www": (dict(STANDARD_POOL, listen=[listen]), STANDARD_MAPS)}
    one = begin(start, pools, sockets) if sockets else start(pools, ready=False)
    assert one.process.wait(10) == 1
    assert re.search(wanted, one.stderr.read_text()), one.stderr.read_text()
    one.kill()


@systemd
def test_unfit_sockets_are_refused(start, place):
    datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagram.bind(str(place / "datagram"))
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deaf.bind(str(place / "deaf"))
    everywhere = listening(socket.AF_INET, ("0.0.0.0", 0))
    file = open(place / "file", "w")
    sockets = [
        ("datagram", datagram),
        ("deaf", deaf),
        ("open", everywhere),
        ("file", file),
    ]
    one = begin(
        start,
        {"www": (dict(STANDARD_POOL, listen=["systemd"]), STANDARD_MAPS)},
        sockets,
    )
    assert one.process.wait(10) == 1
    text = one.stderr.read_text()
    assert re.search("descriptor 3, named datagram, is not a stream socket", text), text
    assert re.search("descriptor 4, named deaf, does not listen", text), text
    assert re.search(
        "descriptor 5, named open, is not on a loopback address", text
    ), text
    assert re.search("descriptor 6, named file, is not a socket", text), text
    one.kill()


@systemd
def test_unused_sockets_are_warned_about(start, place):
    sockets = [(n, listening(socket.AF_UNIX, str(place / n))) for n in ("www", "spare")]
    one = begin(
        start,
        {"www": (dict(STANDARD_POOL, listen=["systemd:www"]), STANDARD_MAPS)},
        sockets,
    )
    one.wait_ready()
    assert re.search(
        "warn .*descriptor 4, named spare, was passed", one.stderr.read_text()
    )
    hello(str(place / "www"))
    one.stop()


@pytest.mark.parametrize(
    "lines, wanted",
    [
        (["systemd", "systemd"], "listens on systemd already"),
        (["systemd:a", "systemd:a"], "listens on systemd:a already"),
        (["systemd:"], "FileDescriptorName"),
        (["systemd:a b"], "no blanks"),
        (["systemdx"], "is no address"),
    ],
)
def test_bad_names_are_configuration_errors(start, lines, wanted):
    one = start(
        {"www": (dict(STANDARD_POOL, listen=lines), STANDARD_MAPS)}, ready=False
    )
    assert one.process.wait(10) == 78
    assert wanted in one.stderr.read_text()
    one.kill()


def test_names_are_dumped(start, place):
    one = start(
        {"www": (dict(STANDARD_POOL, listen=["systemd:a", "systemd"]), STANDARD_MAPS)},
        ready=False,
        arguments=("-T",),
    )
    assert one.process.wait(10) == 0
    assert "listen = systemd:a\nlisten = systemd\n" in one.stderr.read_text()
    one.kill()


def listens(path):
    """The file is there before that."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@systemd
@pytest.mark.skipif(not ACTIVATE, reason="no systemd-socket-activate")
def test_socket_activation(start, place):
    """systemd's own tool: the first connection starts the daemon."""
    path = str(place / "sock")
    port = free_port()
    one = start(
        {
            "www": (
                dict(STANDARD_POOL, listen=["systemd:one", "systemd:two"]),
                STANDARD_MAPS,
            )
        },
        ready=False,
        prefix=[ACTIVATE, "-l", path, "-l", "127.0.0.1:%d" % port, "--fdname=one:two"],
    )
    one.sockets = {}
    wait_for(lambda: os.path.exists(path), "the socket")
    assert title(one.pid).startswith(ACTIVATE.rsplit("/", 1)[1]) or "activate" in title(
        one.pid
    )
    # systemd-socket-activate says things of its own on the way.
    one.expect(text=".", optional=True)
    wait_for(lambda: listens(path), "somebody who listens there")
    hello(path)
    wait_for(lambda: title(one.pid) == "scgid: supervisor", "the daemon")
    hello(("127.0.0.1", port))
    hello(path)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(10) == 0
    one.stop()


def test_without_a_manager_nothing_is_asked(scgid):
    """No watchdog, no status: the supervisor sleeps."""
    calls = open("/proc/%d/status" % scgid.pid).read()
    before = re.search(r"voluntary_ctxt_switches:\s+(\d+)", calls).group(1)
    time.sleep(1.0)
    calls = open("/proc/%d/status" % scgid.pid).read()
    assert re.search(r"voluntary_ctxt_switches:\s+(\d+)", calls).group(1) == before


@systemd
def test_reload_is_told(start, manager):
    """RELOADING with its time, then READY; after a refused one too."""
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)}, environment=manager.environment()
    )

    def times(line):
        return manager.lines().count(line)

    one.process.send_signal(signal.SIGHUP)
    one.wait_line("reloaded")
    wait_for(lambda: times("READY=1") == 2, "READY")
    lines = manager.lines()
    at = lines.index("RELOADING=1")
    assert re.match(r"MONOTONIC_USEC=\d+$", lines[at + 1]), lines
    assert (
        abs(
            int(lines[at + 1].split("=")[1]) / 1e6
            - time.clock_gettime(time.CLOCK_MONOTONIC)
        )
        < 10
    )
    assert lines.index("READY=1", at) > at
    assert lines[lines.index("READY=1", at) + 1] == "STATUS=reloaded"
    one.expect(text="unknown key|not reloaded|nonsense")
    text = one.configuration.read_text()
    one.configuration.write_text(text + "\nnonsense = 1\n")
    one.process.send_signal(signal.SIGHUP)
    one.wait_line("not reloaded")
    wait_for(lambda: times("READY=1") == 3, "READY")
    assert times("RELOADING=1") == 2
    one.configuration.write_text(text)


@systemd
def test_passed_sockets_over_a_reload(start, place):
    """Kept, dropped, and taken again."""
    path = str(place / "a")
    own = str(place / "own")
    kept = listening(socket.AF_UNIX, path)
    pools = {"www": (dict(STANDARD_POOL, listen=["systemd:www", own]), STANDARD_MAPS)}
    one = begin(start, pools, [("www", kept)])
    kept.close()
    one.wait_ready()
    one.expect(text="named www, was passed, but no pool", optional=True)
    text = one.configuration.read_text()

    def reload():
        seen = len([l for l in one.read_log() if l.message == "reloaded"])
        one.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: len([l for l in one.read_log() if l.message == "reloaded"]) > seen,
            "the reload",
        )

    reload()
    hello(path)
    one.configuration.write_text(text.replace("listen = systemd:www\n", ""))
    reload()
    hello(own)
    with Connection(path) as waiting:
        waiting.send(encode(nginx_params("/cgi-bin/hello.sh")))
        one.configuration.write_text(text)
        reload()
        assert waiting.read().body == b"hello\n"
    hello(path)
    wait_for(lambda: len(one.roles("gateway www")) == 1, "the old gateways to end")
