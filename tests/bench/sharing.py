"""Pools beside each other, and several processes for one of them."""

import collections
import contextlib
import itertools
import os
import pathlib
import threading
import time

from common import in_turns, median, progress, say, wait_for

# Pool A of the fairness test: what is limited.  "groups": with the control
# group of its own that a service manager gives the daemon.
FLOODED = {
    "groups": "",
    "defaults": "",
    "workers2": "workers = 2",
    "workers2nice": "workers = 2\nnice = 10",
    "workers1": "workers = 1",
    "workers1nice": "workers = 1\nnice = 10",
}
FLOOD_CONNECTIONS = 64
PACE = ("-c", "64", "-r", "100")

TEAMS = {
    "g1l1": "gateways = 1\nlaunchers = 1",
    "g1l2": "gateways = 1\nlaunchers = 2",
    "g2l2": "gateways = 2\nlaunchers = 2",
}
TEAM_RATIOS = (
    ("launchers 2 : 1, one gateway", "g1l2", "g1l1"),
    ("gateways 2 : 1, one launcher each", "g2l2", "g1l1"),
    ("gateways 2 : 1, two launchers in all", "g2l2", "g1l2"),
)
LOAD_CONNECTIONS = 8
P99_TARGET = 1.5


# Fairness


class Group:
    """A control group with a share of the processors, of either version."""

    def __init__(self, path, weight=None):
        self.path = path
        # In front of a command: it runs there.
        self.enter = ("sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', path)
        path.mkdir()
        for name, scale in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if weight and (path / name).exists():
                (path / name).write_text(str(weight * scale))

    def remove(self):
        wait_for(
            lambda: not (self.path / "cgroup.procs").read_text(), "the end of a group"
        )
        self.path.rmdir()


@contextlib.contextmanager
def own_groups():
    """Groups for a daemon and for its clients, or None.

    Both are in one that comes before all else on this machine, so that little
    of what else it does is measured.
    """
    top = pathlib.Path("/sys/fs/cgroup")
    is_old = (top / "cpu" / "cgroup.procs").exists()
    name = f"scgid-bench.{os.getpid()}"
    made = []
    try:
        made.append(Group((top / "cpu" if is_old else top) / name, 100))
        if not is_old:
            (made[0].path / "cgroup.subtree_control").write_text("+cpu")
        for part in ("daemon", "clients"):
            made.append(Group(made[0].path / part))
    except OSError as error:
        say(f"no control groups: {error}")
    try:
        yield made[1:] if len(made) == 3 else None
    finally:
        for group in reversed(made):
            group.remove()


def flooded_load(bench, one, pool, seconds, clients):
    """What the quiet pool gets while `pool` is flooded, and what that does."""
    flood = {}
    options = ("-c", FLOOD_CONNECTIONS, "-d", seconds + 1)
    thread = threading.Thread(
        target=lambda: flood.update(
            bench.load(one.socket(pool), *options, group=clients)
        )
    )
    thread.start()
    time.sleep(0.5)
    quiet = bench.load(one.socket("quiet"), *PACE, "-d", seconds, first=True)
    thread.join()
    return quiet, flood


def run_fairness(bench, instances, rounds, seconds):
    """{name: [(alone, quiet, flood)]}; instances: {name: (daemon, clients)}."""
    runs = collections.defaultdict(list)
    for number in range(rounds):
        for name in in_turns(list(instances), number):
            one, clients = instances[name]
            alone = bench.load(one.socket("quiet"), *PACE, "-d", seconds, first=True)
            flooded = flooded_load(bench, one, name, seconds, clients)
            runs[name].append((alone, *flooded))
        progress(f"fairness: round {number + 1} of {rounds}")
    return runs


def measure_fairness(bench, rounds, seconds):
    pools = {"quiet": "access_log = off"}
    pools |= {name: f"access_log = off\n{keys}" for name, keys in FLOODED.items()}
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(bench.instance("fairness", pools))
        instances = {name: (one, None) for name in FLOODED}
        groups = stack.enter_context(own_groups())
        if groups:
            daemon = bench.instance("groups", pools, group=groups[0])
            instances["groups"] = (stack.enter_context(daemon), groups[1])
        else:
            del instances["groups"]
        runs = run_fairness(bench, instances, rounds, seconds)
    out = {
        "p99_alone_ms": median(
            run[0]["p99_ms"] for run in itertools.chain(*runs.values())
        )
    }
    for name, all_runs in runs.items():
        ratios = [q["p99_ms"] / a["p99_ms"] for a, q, _ in all_runs]
        out[name] = {
            "p50_alone_ms": median(a["p50_ms"] for a, _, _ in all_runs),
            "p99_alone_ms": median(a["p99_ms"] for a, _, _ in all_runs),
            "p50_ms": median(q["p50_ms"] for _, q, _ in all_runs),
            "p99_ms": median(q["p99_ms"] for _, q, _ in all_runs),
            "ratio": median(ratios),
            "ratios": ratios,
            "flood_rate": median(f["rate"] for _, _, f in all_runs),
            "errors": sum(r["errors"] for run in all_runs for r in run),
        }
    with contextlib.suppress(OSError):
        path = pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled")
        out["autogroup"] = path.read_text().strip() == "1"
    return out


def report_fairness(figures):
    say(
        "\nfairness: 100 requests/s to one pool, while another is flooded by "
        f"{FLOOD_CONNECTIONS} connections"
    )
    say(
        f"{'the flooded pool':24}{'p99 alone':>12}{'p99':>10}{'ratio':>8}"
        f"{'p50':>10}{'flood/s':>10}{'errors':>8}"
    )
    for name, keys in FLOODED.items():
        if name not in figures:
            continue
        row = figures[name]
        what = keys.replace("\n", ", ") or "defaults"
        if name == "groups":
            what += ", with groups"
        say(
            f"{what:24}"
            f"{row['p99_alone_ms']:12.2f}{row['p99_ms']:10.2f}"
            f"{row['ratio']:8.2f}{row['p50_ms']:10.2f}"
            f"{row['flood_rate']:10.0f}{row['errors']:8}"
        )
    say(
        f"(ms; target: {P99_TARGET} times with groups, or when the flooded pool "
        "leaves a core; with groups: the daemon is in a control group of its own "
        "and each pool in one, which all come before whatever else this machine "
        "does)"
    )
    if figures.get("autogroup"):
        say(
            "(kernel.sched_autogroup_enabled is 1: outside of a cpu control "
            "group nice means nothing here)"
        )


# Throughput


def measure_throughput(bench, rounds, seconds):
    runs = collections.defaultdict(list)
    pools = {name: f"access_log = off\n{keys}" for name, keys in TEAMS.items()}
    with bench.instance("throughput", pools) as one:
        for number in range(rounds):
            for name in in_turns(list(TEAMS), number):
                runs[name].append(
                    bench.load(one.socket(name), "-c", LOAD_CONNECTIONS, "-d", seconds)
                )
            progress(f"throughput: round {number + 1} of {rounds}")
    out = {
        name: {
            "rate": median(r["rate"] for r in all_runs),
            "p99_ms": median(r["p99_ms"] for r in all_runs),
            "errors": sum(r["errors"] for r in all_runs),
        }
        for name, all_runs in runs.items()
    }
    out["ratios"] = {
        text: median(a["rate"] / b["rate"] for a, b in zip(runs[more], runs[fewer]))
        for text, more, fewer in TEAM_RATIOS
    }
    return out


def report_throughput(figures):
    say(f"\nthroughput, {LOAD_CONNECTIONS} connections")
    for name, keys in TEAMS.items():
        row = figures[name]
        say(
            f"{keys.replace(chr(10), ', '):32}{row['rate']:10.0f}/s"
            f"{row['p99_ms']:10.2f} ms p99{row['errors']:6} errors"
        )
    for text, ratio in figures["ratios"].items():
        say(f"{text:44}{ratio:8.2f}")
