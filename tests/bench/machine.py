"""What the figures were measured on."""

import multiprocessing
import os
import pathlib
import platform
import re
import subprocess
import time

from common import TOP
from peers import program

VERSIONS = {
    "nginx": (["nginx", "-v"], r"nginx/(\S+)"),
    "fcgiwrap": (["fcgiwrap", "-h"], r"version (\S+)"),
    "uWSGI": (["uwsgi", "--version"], r"(\S+)"),
    "lighttpd": (["lighttpd", "-v"], r"lighttpd/(\S+)"),
    "Apache": (["apache2", "-v"], r"Apache/(\S+)"),
    "perl": (["perl", "-v"], r"\(v(\S+)\)"),
    "Python": (["/usr/bin/python3", "--version"], r"Python (\S+)"),
    "git": (["git", "--version"], r"version (\S+)"),
    "curl": (["curl", "--version"], r"curl (\S+)"),
}


def first_match(path, pattern, otherwise):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.M)
    except OSError:
        return otherwise
    return found.group(1).strip('"') if found else otherwise


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = first_match("/proc/cpuinfo", r"^model name\s*: (.*)$", platform.machine())
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": first_match("/etc/os-release", r"^PRETTY_NAME=(.*)$", os.uname()[0]),
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
        "load before": round(os.getloadavg()[0], 1),
    }


STOP = 0.001  # seconds
WATCHED = 3


def watch_clock(cpu):
    """The stops of one processor: how long nothing ran there that wanted to."""
    os.sched_setaffinity(0, {cpu})
    stops = []
    before = time.perf_counter()
    end = before + WATCHED
    while before < end:
        now = time.perf_counter()
        if now - before > STOP:
            stops.append(now - before)
        before = now
    return stops


def clock_stops():
    """What the machine itself makes of latencies; while nothing else runs."""
    cpus = sorted(os.sched_getaffinity(0))
    with multiprocessing.Pool(len(cpus)) as pool:
        stops = sum(pool.map(watch_clock, cpus, chunksize=1), [])
    if not stops:
        return "none"
    return f"{len(stops) / WATCHED:.1f} a second, {max(stops) * 1000:.1f} ms at most"


def output_of(command):
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def versions(programs):
    out = {"scgid": output_of([str(programs / "scgid"), "--version"]).split()[-1]}
    commit = output_of(["git", "-C", str(TOP), "describe", "--always", "--dirty"])
    if re.fullmatch(r"[\w.-]+", commit):
        out["scgid"] += f" ({commit})"
    for name, (command, pattern) in VERSIONS.items():
        path = program(command[0])
        found = path and re.search(pattern, output_of([path, *command[1:]]))
        if found:
            out[name] = found.group(1)
    return out
