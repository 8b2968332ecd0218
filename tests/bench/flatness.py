"""What a scgid and its processes have, again and again; and whether it grew."""

import contextlib
import os
import statistics

from processes import family_of, stat_fields, status_number, title

ROLES = ("supervisor", "gateway", "launcher", "fork server")
WHAT = ("kib", "descriptors", "processes")
# What may come and go: this much, and as a share of what was there.
SLACK = {"kib": 1024, "descriptors": 24, "processes": 1, "scripts": 6, "zombies": 1}
SHARE = {"kib": 0.05, "descriptors": 0.1}
# Of a life: shorter ones tell nothing.
LIFE = 0.2


def role_of(pid, forkers):
    """One of ROLES, "zombies", or "scripts"; None: it is gone."""
    try:
        if stat_fields(pid)[0] == "Z":
            return "zombies"
    except OSError:
        return None
    words = title(pid).split()
    if words[:1] == ["scgid:"]:
        return words[1] if words[1] in ROLES else "scripts"
    return "fork server" if pid in forkers else "scripts"


def sample(pid, forkers, seconds):
    """Of the family of `pid` at this moment, `seconds` after the begin.

    `forkers`: the pids of the fork servers.  {"seconds", "scripts", "zombies",
    "ours": {pid: (role, kib, descriptors)}}
    """
    out = {"seconds": seconds, "scripts": 0, "zombies": 0, "ours": {}}
    for one in family_of(pid):
        role = role_of(one, forkers)
        if role in ("scripts", "zombies"):
            out[role] += 1
        elif role:
            with contextlib.suppress(OSError, AttributeError):
                descriptors = len(os.listdir(f"/proc/{one}/fd"))
                out["ours"][one] = (role, status_number(one, "VmRSS"), descriptors)
    return out


def series(samples):
    """{(role, what): a number for each sample}, and of scripts and zombies."""
    out = {}
    for role in ROLES:
        rows = [[o for o in s["ours"].values() if o[0] == role] for s in samples]
        out[role, "kib"] = [sum(o[1] for o in row) for row in rows]
        out[role, "descriptors"] = [sum(o[2] for o in row) for row in rows]
        out[role, "processes"] = [len(row) for row in rows]
    for name in ("scripts", "zombies"):
        out["", name] = [s[name] for s in samples]
    return out


def grown(what, values):
    """(before, after), the medians of the first third and of the last, if the
    last is more than chance makes it; else None."""
    third = len(values) // 3
    if third == 0:
        return None
    before = statistics.median(values[:third])
    after = statistics.median(values[-third:])
    if after - before <= max(SLACK[what], SHARE.get(what, 0) * before):
        return None
    return before, after


def judge(samples):
    """What grew, in words: the sums of each role over all the time, and each
    process over its life, as a reload makes them anew.

    Of fork servers together only the number: one that holds much and is just
    being replaced would decide."""
    found = []
    for (role, what), values in series(samples).items():
        if role == "fork server" and what != "processes":
            continue
        if change := grown(what, values):
            found.append(f"{role} {what}: {change[0]:.0f} to {change[1]:.0f}".strip())
    lives = {}
    for one in samples:
        for pid, row in one["ours"].items():
            lives.setdefault(pid, []).append(row)
    for pid, rows in lives.items():
        if len(rows) < LIFE * len(samples):
            continue
        for column, what in ((1, "kib"), (2, "descriptors")):
            if change := grown(what, [row[column] for row in rows]):
                found.append(
                    f"{rows[0][0]} {pid} {what}: {change[0]:.0f} to {change[1]:.0f}"
                )
    return found


def left_behind(before, after):
    """What is there, in words, after all clients have gone; two samples."""
    before, after = (series([one]) for one in (before, after))
    out = []
    for key, (value,) in after.items():
        role, what = key
        slack = SLACK[what] if what == "descriptors" else 0
        if what != "kib" and value > before[key][0] + slack:
            out.append(f"{role} {what}: {before[key][0]} to {value}".strip())
    return out
