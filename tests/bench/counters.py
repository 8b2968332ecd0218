"""Context switches, page faults and instructions of one request."""

import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from kinds import warm_subject
from processes import family_of, stat_fields, status_number

COUNT = 100
# Two numbers of requests, so that what starting costs is in neither.
FEW, MANY = 20, 120

# Context switches


def count_switches(programs, cgi, kind):
    """{role: how often a request makes it wait, or lose the processor}"""
    one = warm_subject(programs, cgi, kind)
    keys = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")

    def switches(pid):
        return sum(status_number(pid, key) for key in keys)

    try:
        roles = one.roles()
        before = {pid: switches(pid) for pid in roles}
        for _ in range(COUNT):
            one.ask(kind.request)
        return {
            role: (switches(pid) - before[pid]) / COUNT for pid, role in roles.items()
        }
    finally:
        one.close()


# Page faults


def count_faults(programs, cgi, kind):
    """The page faults of a worker, from its first breath to its last."""
    one = warm_subject(programs, cgi, kind)
    launchers = [pid for pid, role in one.roles().items() if role == "launcher"]

    def faults():
        return sum(int(stat_fields(pid)[8]) for pid in launchers)

    try:
        counts = [faults()]
        for _ in range(COUNT):
            one.ask(kind.request)
            counts.append(faults())
        return statistics.median(b - a for a, b in zip(counts, counts[1:]))
    finally:
        one.close()


# Instructions


def perf_counts():
    """Whether this machine lets perf count instructions."""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(
        ["perf", "stat", "-e", "instructions", "true"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode == 0 and "not supported" not in done.stderr


def perf_instructions(programs, cgi, kind):
    """{role: instructions of a request}, those of the kernel too."""
    one = warm_subject(programs, cgi, kind)
    out = {}
    try:
        for pid, role in one.roles().items():
            report = one.dir / "perf"
            counter = subprocess.Popen(
                ["perf", "stat", "-x,", "-e", "instructions", "-o", str(report)]
                + ["-p", str(pid), "sleep", "1000"]
            )
            # perf says nothing when it has attached itself.
            time.sleep(0.3)
            for _ in range(COUNT):
                one.ask(kind.request)
            counter.send_signal(signal.SIGINT)
            counter.wait()
            found = re.search(r"^(\d+),", report.read_text(), re.M)
            out[role] = int(found.group(1)) / COUNT if found else None
        return out
    finally:
        one.close()


def callgrind_run(programs, cgi, kind, count):
    """{role: all instructions of its life}, after `count` requests."""
    with tempfile.TemporaryDirectory(prefix="scgid-callgrind.") as directory:
        place = pathlib.Path(directory)
        place.chmod(0o1777)
        prefix = ["valgrind", "-q", "--tool=callgrind"]
        prefix.append(f"--callgrind-out-file={place}/%p")
        one = warm_subject(programs, cgi, kind, prefix)
        try:
            for _ in range(count):
                one.ask(kind.request)
            # Under valgrind there are no titles; the gateway's pid is in its log.
            children = family_of(one.service.pid)[1:]
            gateway = re.search(r" gateway cost\[(\d+)\]", one.log.read_text()).group(1)
        finally:
            one.service.stop()
            shutil.rmtree(one.dir)
        out = {}
        for pid in children:
            path = place / str(pid)
            found = path.exists() and re.search(
                r"^(?:summary|totals): (\d+)", path.read_text(), re.M
            )
            if found:
                role = "gateway" if str(pid) == gateway else "launcher"
                out[role] = out.get(role, 0) + int(found.group(1))
        return out


def callgrind_instructions(programs, cgi, kind):
    """{role: instructions of a request}, without those of the kernel."""
    few = callgrind_run(programs, cgi, kind, FEW)
    many = callgrind_run(programs, cgi, kind, MANY)
    return {
        role: (many[role] - few[role]) / (MANY - FEW) for role in many if role in few
    }


def choose():
    """How instructions are counted here, and what to say of it."""
    if perf_counts():
        return perf_instructions, "perf, the kernel's too"
    if shutil.which("valgrind"):
        return callgrind_instructions, "callgrind, without the kernel's"
    return None, "nobody: neither perf nor valgrind can"
