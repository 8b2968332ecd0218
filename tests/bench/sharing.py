"""Pools beside each other, and several processes for one of them."""

import collections
import contextlib
import itertools
import pathlib
import threading
import time

from common import in_turns, median, progress, say

# Pool A of the fairness test: what is limited.
FLOODED = {
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


def flooded_load(bench, one, pool, seconds):
    """What the quiet pool gets while `pool` is flooded, and what that does."""
    flood = {}
    thread = threading.Thread(
        target=lambda: flood.update(
            bench.load(one.socket(pool), "-c", FLOOD_CONNECTIONS, "-d", seconds + 1)
        )
    )
    thread.start()
    time.sleep(0.5)
    quiet = bench.load(one.socket("quiet"), *PACE, "-d", seconds)
    thread.join()
    return quiet, flood


def measure_fairness(bench, rounds, seconds):
    pools = {"quiet": "access_log = off"}
    pools |= {name: f"access_log = off\n{keys}" for name, keys in FLOODED.items()}
    runs = collections.defaultdict(list)
    with bench.instance("fairness", pools) as one:
        for number in range(rounds):
            for name in in_turns(list(FLOODED), number):
                alone = bench.load(one.socket("quiet"), *PACE, "-d", seconds)
                quiet, flood = flooded_load(bench, one, name, seconds)
                runs[name].append((alone, quiet, flood))
            progress(f"fairness: round {number + 1} of {rounds}")
    out = {
        "p99_alone_ms": median(
            run[0]["p99_ms"] for run in itertools.chain(*runs.values())
        )
    }
    for name, all_runs in runs.items():
        out[name] = {
            "p50_alone_ms": median(a["p50_ms"] for a, _, _ in all_runs),
            "p99_alone_ms": median(a["p99_ms"] for a, _, _ in all_runs),
            "p50_ms": median(q["p50_ms"] for _, q, _ in all_runs),
            "p99_ms": median(q["p99_ms"] for _, q, _ in all_runs),
            "ratio": median(q["p99_ms"] / a["p99_ms"] for a, q, _ in all_runs),
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
        row = figures[name]
        say(
            f"{keys.replace(chr(10), ', ') or 'defaults':24}"
            f"{row['p99_alone_ms']:12.2f}{row['p99_ms']:10.2f}"
            f"{row['ratio']:8.2f}{row['p50_ms']:10.2f}"
            f"{row['flood_rate']:10.0f}{row['errors']:8}"
        )
    say(f"(ms; target: {P99_TARGET} times when the flooded pool leaves a " "core)")
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
