"""As pid 1 of a container, and started by careless parents."""

import os
import shutil
import signal
import subprocess

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for
from harness.daemon import IS_ROOT, processes

UNSHARE = shutil.which("unshare")
NSENTER = shutil.which("nsenter")


@pytest.fixture
def container(start):
    """scgid as pid 1 of a namespace; signals go to it, not to unshare."""
    if not UNSHARE or not NSENTER:
        pytest.skip("no unshare or nsenter")
    one = start(
        {"www": (STANDARD_POOL, STANDARD_MAPS)},
        prefix=[UNSHARE, "--pid", "--fork", "--mount-proc", "--kill-child"],
        ready=False,
    )

    def children():
        return [
            p for p, (parent, _) in processes().items() if parent == one.process.pid
        ]

    one.pid = wait_for(children, "pid 1")[0]

    def send(number):
        if one.process.poll() is None:
            os.kill(one.pid, number)

    one.process.send_signal = send
    one.wait_ready()
    with open("/proc/%d/status" % one.pid) as stream:
        names = [l.split() for l in stream if l.startswith("NSpid:")][0]
    assert names[-1] == "1", names
    return one


@pytest.mark.root
def test_pid_1_stops_on_term(container):
    container.script("short.sh", "sleep 0.5\nprintf 'Content-Type: a/b\\n\\nwhole'")
    with container.start("/cgi-bin/short.sh") as connection:
        wait_for(container.workers, "the worker")
        os.kill(container.pid, signal.SIGTERM)
        assert connection.read().body == b"whole"
    assert container.process.wait(10) == 0
    container.stop()


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_pid_1_stops_now(container, number):
    os.kill(container.pid, number)
    assert container.process.wait(10) == 0
    container.stop()


@pytest.mark.root
def test_pid_1_reaps_everything(container):
    """Orphans of others, which are nobody's workers, too."""
    place = container.writable("pids")
    done = subprocess.run(
        [NSENTER, "--target", str(container.pid), "--pid", "sh", "-c"]
        + ["for i in 1 2 3 4 5; do (sleep 0.2 & echo $! >>%s/orphans); done" % place],
        timeout=10,
    )
    assert done.returncode == 0
    assert len((place / "orphans").read_text().split()) == 5

    def children():
        return [
            p
            for p, (parent, _) in processes().items()
            if parent == container.pid and p not in ours
        ]

    ours = set(container.roles("gateway www") + container.roles("launcher www"))
    wait_for(lambda: not children(), "every orphan to be reaped")
    for _ in range(5):
        container.probe()


def arguments(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as stream:
            return stream.read().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.mark.root
def test_pid_1_kills_no_other_service(container):
    """A script ends its launcher: what that leaves goes, what others left stays."""
    done = subprocess.run(
        [NSENTER, "--target", str(container.pid), "--pid", "sh", "-c"]
        + ["sleep 60 >/dev/null 2>&1 &"],
        timeout=10,
    )
    assert done.returncode == 0
    container.script(
        "parricide.sh",
        "setsid sleep 61 & sleep 0.2; kill -KILL $PPID; sleep 62",
    )
    container.expect(reason="launcher-lost")
    container.expect(text="lost a launcher|launcher www was killed by signal 9")
    before = container.role("launcher www")
    container.request("/cgi-bin/parricide.sh")
    wait_for(lambda: container.role("launcher www") != before, "another launcher")

    def sleeping(seconds):
        return [p for p in container.tree() if arguments(p) == ["sleep", seconds]]

    wait_for(lambda: not sleeping("61") + sleeping("62"), "the script's to go")
    service = sleeping("60")
    assert len(service) == 1
    os.kill(service[0], signal.SIGKILL)


def test_started_by_a_careless_parent(start):
    """SIGCHLD ignored, every signal blocked, umask 0, descriptor 200 open."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 200)

    def careless():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        os.umask(0)

    try:
        one = start(
            {"www": (STANDARD_POOL, STANDARD_MAPS)}, preexec=careless, pass_fds=(200,)
        )
    finally:
        os.close(200)
        os.close(null)
    one.script(
        "signals.sh",
        "printf 'Content-Type: text/plain\\n\\n'\ngrep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status",
    )
    seen = one.tell()
    assert seen["descriptors"] == [0, 1, 2]
    assert seen["umask"] == 0o022
    signals = dict(
        l.split() for l in one.request("/cgi-bin/signals.sh").body.decode().splitlines()
    )
    assert (
        int(signals["SigBlk:"], 16) == 0 and int(signals["SigIgn:"], 16) == 0
    ), signals
    # Nobody else sees the descriptors of these.
    for role in ("gateway www", "launcher www") if IS_ROOT else ():
        assert "200" not in os.listdir("/proc/%d/fd" % one.role(role)), role
    assert os.stat(one.sockets["www"]).st_mode & 0o777 == 0o660
    assert os.stat(one.access).st_mode & 0o777 == 0o640
    # What dies is still noticed.
    one.expect(text="killed by signal|ended|lost a launcher", optional=True)
    pid = one.role("launcher www")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: one.roles("launcher www") not in ([], [pid]), "another launcher")
