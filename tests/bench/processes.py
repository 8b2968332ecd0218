"""What /proc says of a family of processes."""

import collections
import contextlib
import os
import pathlib
import re

TICKS = os.sysconf("SC_CLK_TCK")


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on: the state is first."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()


def family_of(pid):
    """The pid and those of its descendants, at this moment."""
    children = collections.defaultdict(list)
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int(stat_fields(path.name)[1])
            children[parent].append(int(path.name))
    out = [pid]
    for one in out:
        out.extend(children[one])
    return out


def title(pid):
    """What ps shows, for scgid the role: "scgid: gateway www"."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        return text.replace("\0", " ").strip()
    return ""


def own_cpu_seconds(pids):
    """Of these processes alone; scripts that have ended are not in it."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            ticks += sum(int(field) for field in stat_fields(pid)[11:13])
    return ticks / TICKS


def status_number(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))


def resident_kib(pids):
    return sum(status_number(pid, "VmRSS") for pid in pids)


def proportional_kib(pids):
    """None if that may not be seen: the gateway is closed to its own user."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except PermissionError:
            return None
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total


def reset_peak(pids):
    """Where that may be done; else a peak is that of the process's life."""
    for pid in pids:
        with contextlib.suppress(PermissionError):
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_kib(pids):
    """The largest resident set that any of them had since reset_peak."""
    return max(status_number(pid, "VmHWM") for pid in pids)
