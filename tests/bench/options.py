"""What the access log, the status page and the watchdog cost."""

import collections
import contextlib
import os
import random
import socket
import statistics
import threading

from common import median, progress, say

OPTIONS = ("off", "access log", "status", "watchdog", "all")
LOAD_CONNECTIONS = 8
WATCHDOG_USEC = 2000000
COST_TARGET = 0.03


@contextlib.contextmanager
def notify_socket(path, counts):
    """What a service manager listens on; counts what it is told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(path))
        path.chmod(0o666)
        one.settimeout(0.2)
        done = threading.Event()

        def read():
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    for line in one.recv(4096).decode().split("\n"):
                        counts[line.partition("=")[0]] += 1

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def polled_status(one, interval=1.0):
    done = threading.Event()

    def poll():
        while True:
            one.status("www")
            if done.wait(interval):
                break

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def start_options(bench, stack, counts):
    """An instance for each of OPTIONS, all at once: only one has a load."""
    out = {}
    for name in OPTIONS:
        word = name.replace(" ", "-")
        keys, environment = [], None
        log = bench.dir / f"{word}.access"
        keys.append(
            f"access_log = {log}"
            if name in ("access log", "all")
            else "access_log = off"
        )
        if name in ("status", "all"):
            keys.append("status = /-")
        if name in ("watchdog", "all"):
            environment = stack.enter_context(
                notify_socket(bench.dir / f"{word}.notify", counts[name])
            )
        out[name] = stack.enter_context(
            bench.instance(f"cost-{word}", {"www": "\n".join(keys)}, environment)
        )
    return out


def load_with(bench, name, one, seconds):
    before = one.cpu_seconds()
    with polled_status(one) if name in ("status", "all") else contextlib.nullcontext():
        run = bench.load(one.socket("www"), "-c", LOAD_CONNECTIONS, "-d", seconds)
    run["cpu"] = one.cpu_seconds() - before
    return run


def measure_cost(bench, rounds, seconds):
    runs = collections.defaultdict(list)
    counts = collections.defaultdict(collections.Counter)
    with contextlib.ExitStack() as stack:
        instances = start_options(bench, stack, counts)
        for number in range(rounds):
            order = list(OPTIONS)
            random.Random(number).shuffle(order)
            for name in order:
                runs[name].append(load_with(bench, name, instances[name], seconds))
            progress(f"cost: round {number + 1} of {rounds}")
    out = {}
    for name, all_runs in runs.items():
        ratios = [run["rate"] / off["rate"] for run, off in zip(all_runs, runs["off"])]
        out[name] = {
            "rate": median(run["rate"] for run in all_runs),
            "ratio": median(ratios),
            "ratio_quartiles": statistics.quantiles(ratios, n=4)
            if len(ratios) > 1
            else [],
            "cpu_us": sum(run["cpu"] for run in all_runs)
            * 1e6
            / sum(run["good"] for run in all_runs),
            "errors": sum(run["errors"] for run in all_runs),
            "pings": counts[name]["WATCHDOG"],
        }
    # What a request takes of all cores, to see ours against: it is steadier
    # than the rates.
    whole = os.cpu_count() * 1e6 / out["off"]["rate"]
    for row in out.values():
        row["cpu_share"] = (row["cpu_us"] - out["off"]["cpu_us"]) / whole
    return out


def report_cost(figures):
    say(
        f"\ncost in throughput, {LOAD_CONNECTIONS} connections, against none "
        f"of them (target: {1 - COST_TARGET:.2f})"
    )
    say(
        f"{'':12}{'requests/s':>12}{'ratio':>8}{'quartiles':>16}"
        f"{'CPU us':>8}{'more':>8}{'pings':>8}{'errors':>8}"
    )
    for name in OPTIONS:
        row = figures[name]
        spread = "-".join(f"{q:.3f}" for q in row["ratio_quartiles"][::2])
        say(
            f"{name:12}{row['rate']:12.0f}{row['ratio']:8.3f}{spread:>16}"
            f"{row['cpu_us']:8.1f}{row['cpu_share']:8.1%}"
            f"{row['pings']:8}{row['errors']:8}"
        )
    say(
        "(CPU: of our processes for a request; more: than with none, of what "
        "a request takes in all)"
    )
