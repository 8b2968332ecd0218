"""What /proc and strace say of a family of processes."""

import collections
import pathlib
import re


def family_of(pid):
    """The pid and those of its descendants, at this moment."""
    children = collections.defaultdict(list)
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(path.parent.name))
    out = [pid]
    for one in out:
        out.extend(children[one])
    return out


def status_kib(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))


def resident_kib(pids):
    return sum(status_kib(pid, "VmRSS") for pid in pids)


def proportional_kib(pids):
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total


def count_calls(trace, roles):
    """{role: Counter}; a child counts until it executes its program."""
    counts = collections.defaultdict(collections.Counter)
    executed = set()
    for line in trace.splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if not match or int(match.group(1)) in executed:
            continue
        pid, call = int(match.group(1)), match.group(2)
        counts[roles.get(pid, "child before exec")][call] += 1
        if call == "execve" and pid not in roles:
            executed.add(pid)
    return counts
