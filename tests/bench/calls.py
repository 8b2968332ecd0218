"""The system calls of each process of scgid, request by request.

A count is stable where a time is not, if requests come one at a time and each
is over before the next begins.  What is left is chance: two events that one
epoll_wait reports together, a client that is late.  So each request is counted
alone, and what is told of many is the lower quartile.
"""

import collections
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from common import Service, start_scgid, wait_for
from processes import family_of, status_number, title
from scgi import answer_of

CALL = re.compile(r"(\w+)\(")
FORKS = ("clone", "clone3", "fork", "vfork")
# What begins a request: a connection, and the message with its descriptors.
BEGINNINGS = {
    "gateway": re.compile(r"accept4?\(.*= \d+$"),
    "launcher": re.compile(r"recvmsg\(.*SCM_RIGHTS"),
}

CONF = """
[scgid]
log = {dir}/log
[cost]
listen = {dir}/socket
listen_mode = 0666
launchers = 1
spool_dir = {dir}/spool
{user}
[cost /cgi]
root = {dir}/cgi
"""


def public_directory():
    """That scripts can reach, whoever their user is."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="scgid-cost."))
    path.chmod(0o755)
    return path


class Subject:
    """A scgid of one gateway and one launcher, in a directory of its own.

    `maps` is more of its configuration; `prefix` a command to run it under.
    """

    def __init__(self, programs, cgi, maps="", prefix=()):
        self.dir = public_directory()
        spool = self.dir / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        (self.dir / "cgi").symlink_to(cgi)
        user = "user = nobody" if os.getuid() == 0 else ""
        conf = self.dir / "scgid.conf"
        conf.write_text((CONF + maps).format(dir=self.dir, user=user))
        self.socket = self.dir / "socket"
        self.log = self.dir / "log"
        self.logged = 0
        self.service = start_scgid(
            programs, conf, self.log, self.dir / "out", prefix=prefix
        )

    def roles(self):
        """{pid: "gateway" or "launcher"}"""
        out = {}
        for pid in family_of(self.service.pid):
            match = re.match(r"scgid: (gateway|launcher)", title(pid))
            if match:
                out[pid] = match.group(1)
        return out

    def ask(self, request):
        """One request, until it is in the access log: then it is over."""
        status, _ = answer_of(self.socket, request)
        wait_for(self.has_logged, "the access log")
        # And the gateway waits again, as does the launcher.
        time.sleep(0.003)
        return status

    def has_logged(self):
        count = self.log.read_text().count(" uri=")
        if count == self.logged:
            return False
        self.logged = count
        return True

    def close(self):
        self.service.stop()
        shutil.rmtree(self.dir)


def count_file(path):
    """The system calls in a trace, in order: (name, the whole line)."""
    calls = []
    for line in path.read_text(errors="replace").splitlines():
        match = CALL.match(line)
        if match:
            calls.append((match.group(1), line))
    return calls


def split_by_request(calls, beginning):
    """A Counter for each request but the first and the last: those may be cut."""
    requests = []
    for name, line in calls:
        if beginning.match(line):
            requests.append(collections.Counter())
        if requests:
            requests[-1][name] += 1
    return requests[1:-1]


def until_exec(calls):
    counts = collections.Counter()
    for name, _ in calls:
        counts[name] += 1
        if name == "execve":
            break
    return counts


def sort_traces(directory, roles):
    """{role: [Counter of a request]} of what strace wrote."""
    out = collections.defaultdict(list)
    for path in directory.glob("trace.*"):
        calls = count_file(path)
        names = {name for name, _ in calls}
        role = roles.get(int(path.suffix[1:]))
        if role:
            out[role] = split_by_request(calls, BEGINNINGS[role])
        elif names.intersection(FORKS) and "execve" not in names:
            forks = re.compile("|".join(FORKS))
            out["fork server"] = split_by_request(calls, forks)
        elif "execve" in names:
            out["child before exec"].append(until_exec(calls))
        elif calls:
            out["worker"].append(collections.Counter(name for name, _ in calls))
    return dict(out)


def warm_up(subject, request, status, patient):
    """`patient`: a fork server starts with the first requests, and learns."""
    for _ in range(3 if patient else 1):
        for _ in range(3):
            if subject.ask(request) != status:
                raise SystemExit(f"bench: not {status}:\n{subject.log.read_text()}")
        if patient:
            time.sleep(1)


def trace(subject, request, count):
    """{role: [Counter of a request]} of `count` requests, one after the other.

    None if strace may not attach here.
    """
    roles = subject.roles()
    traces = pathlib.Path(tempfile.mkdtemp(prefix="trace.", dir=subject.dir))
    family = family_of(subject.service.pid)[1:]
    command = ["strace", "-ff", "-qq", "-e", "signal=none", "-o", traces / "trace"]
    command += [word for pid in family for word in ("-p", str(pid))]
    tracer = Service(command, subject.dir / "strace", stop_signal=signal.SIGINT)
    wait_for(
        lambda: tracer.process.poll() is not None
        or all(status_number(pid, "TracerPid") for pid in family),
        "strace",
    )
    if tracer.process.poll() is not None:
        return None
    for _ in range(count):
        subject.ask(request)
    tracer.stop()
    return sort_traces(traces, roles)


def usual_total(requests):
    """The lower quartile: above are those where the client was late or the
    machine busy, below those where two events came as one."""
    totals = sorted(sum(counts.values()) for counts in requests)
    return totals[(len(totals) - 1) // 4]


def usual(requests):
    """The most frequent of the Counters with that total."""
    total = usual_total(requests)
    fitting = [
        tuple(sorted(counts.items()))
        for counts in requests
        if sum(counts.values()) == total
    ]
    return dict(collections.Counter(fitting).most_common(1)[0][0])


def can_trace():
    if not shutil.which("strace"):
        return False
    with contextlib.suppress(OSError):
        command = ["strace", "-o", os.devnull, "true"]
        return subprocess.run(command, check=False).returncode == 0
    return False
