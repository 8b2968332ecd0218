"""Too much: more requests than can be served, slow scripts, silent clients."""

import contextlib
import os
import socket
import threading
import time

from peers import addresses
from processes import proportional_kib, resident_kib
from rounds import Failed, Workload, demand_good, how_it_failed

HELLO = "/cgi/hello"
PEAK_CLIENTS = 64
OPEN_CLIENTS = 8192  # at most, of an open loop
QUEUES = 1200  # about what backlogs and queues take
MODEST_SHARE, OVERLOAD = 0.7, 2.0

FAST_RATE = 100
SLOW_COUNTS = (0, 4, 32)

SILENT = 10000
CONNECT_SECONDS = 8


# Overload


def goodput_of_what_is_left(peak, flood):
    """The share of the capacity, each a processor second that `load` left: it
    asks twice as often, over thousands of connections, on the same machine."""
    cores = os.cpu_count()
    left = (cores - flood["own_cpu"]) / (cores - peak["own_cpu"])
    return flood["rate"] / peak["rate"] / left


def measure_overload(site, peer, address, seconds):
    """An open loop at 70 % of the capacity, then at twice the capacity."""
    peak = site.load(address, HELLO, "-c", PEAK_CLIENTS, "-d", seconds)
    demand_good(peak)
    # Until the queues are full, which is not what lasts.
    filling = min(max(QUEUES / peak["rate"], 0.5), 5)
    modest_rate, flood_rate = peak["rate"] * MODEST_SHARE, peak["rate"] * OVERLOAD
    options = ("-c", OPEN_CLIENTS, "-w", 0.5, "-d", seconds + 0.5)
    modest = site.load(address, HELLO, "-r", modest_rate, *options)
    demand_good(modest)
    options = ("-c", OPEN_CLIENTS, "-w", filling, "-d", seconds + filling)
    flood = site.load(address, HELLO, "-r", flood_rate, *options)
    site.settle(peer)
    asked = flood["asked"]
    busy = flood["statuses"].get("503", 0)
    # All of its connections were in use: nobody was asked.
    unsent = flood["failures"]["unsent"]
    return {
        "peak": peak["rate"],
        "modest_p50_ms": modest["p50_ms"],
        "modest_p99_ms": modest["p99_ms"],
        "modest_tail": modest["p99_ms"] / modest["p50_ms"],
        "modest_lag_ms": modest["lag_p99_ms"],
        "goodput": flood["rate"],
        "goodput_share": flood["rate"] / peak["rate"],
        "left_share": goodput_of_what_is_left(peak, flood),
        "p50_ms": flood["p50_ms"],
        "p99_ms": flood["p99_ms"],
        "busy_share": busy / asked,
        # The front end was not let in: a backlog is full.
        "gateway_share": flood["statuses"].get("502", 0) / asked,
        "unsent_share": unsent / asked,
        "other_share": (flood["errors"] - busy - unsent) / asked,
        "hangs": flood["failures"]["timeout"],
    }


def overload_workloads(site, peers, seconds):
    return [
        Workload(
            "overload",
            {
                title: lambda p=peer, a=address: measure_overload(site, p, a, seconds)
                for title, (peer, address) in addresses(peers).items()
            },
        )
    ]


# Slow scripts


@contextlib.contextmanager
def slow_clients(site, peer, count, seconds):
    """They are there within; afterwards, all of them must have been served."""
    results = []
    options = ("-c", count, "-d", seconds, "-t", 60)
    thread = threading.Thread(
        target=lambda: results.append(site.load(peer.url, "/cgi/slow.sh", *options))
    )
    thread.start()
    time.sleep(0.5)
    try:
        yield
    finally:
        thread.join()
    demand_good(results[0])


def measure_beside(site, peer, slow, seconds):
    """What fast requests take while `slow` clients run a script of a second."""
    with contextlib.ExitStack() as stack:
        if slow:
            stack.enter_context(slow_clients(site, peer, slow, seconds + 1))
        fast = site.load(peer.url, HELLO, "-r", FAST_RATE, "-c", 1000, "-d", seconds)
    demand_good(fast)
    return {"p50_ms": fast["p50_ms"], "p99_ms": fast["p99_ms"]}


def slow_workloads(site, peers, seconds, counts=SLOW_COUNTS):
    return [
        Workload(
            str(slow),
            {
                peer.title: lambda p=peer, n=slow: measure_beside(site, p, n, seconds)
                for peer in peers
            },
        )
        for slow in counts
    ]


# Silent clients


def connect(address):
    """A connection, or None: there is no room for another."""
    is_port = isinstance(address, int)
    one = socket.socket(socket.AF_INET if is_port else socket.AF_UNIX)
    try:
        # A Unix socket whose backlog is full says so only to who cannot wait.
        one.settimeout(1 if is_port else 0)
        one.connect(("127.0.0.1", address) if is_port else str(address))
    except OSError:
        one.close()
        return None
    return one


def connect_silent(address, count):
    """As many connections as there is room for in some seconds, up to `count`."""
    connections, misses = [], 0
    deadline = time.monotonic() + CONNECT_SECONDS
    while len(connections) < count and misses < 20:
        one = connect(address)
        if one:
            connections.append(one)
            misses = 0
        elif time.monotonic() > deadline:
            break
        else:
            misses += 1
            time.sleep(0.02)
    return connections


def measure_silent(site, peer, count, seconds):
    """What clients take that connect and say nothing, and who is served then."""
    site.load(peer.url, HELLO, "-c", 16, "-n", 500)
    site.settle(peer)
    pids = peer.pids()
    before, proportional = resident_kib(pids), proportional_kib(pids)
    gateway_before = peer.gateway_kib()
    connections = connect_silent(peer.socket, count)
    try:
        # Answered behind them all, unless they are in the way.
        beside = site.load(peer.url, HELLO, "-c", 4, "-d", seconds, "-t", 5)
        pids = peer.pids()
        after, gateway = resident_kib(pids), peer.gateway_kib()
    finally:
        for one in connections:
            one.close()
        site.settle(peer)
    held = len(connections)
    if held < count:
        raise Failed(
            f"took {held} of {count}; beside them: "
            + (f"{beside['good']} served" if beside["good"] else how_it_failed(beside))
        )
    demand_good(beside)
    return {
        "connections": held,
        "processes": len(pids),
        "idle_resident_kib": before,
        "idle_proportional_kib": proportional,
        "more_resident_kib": after - before,
        "gateway_idle_kib": gateway_before,
        "gateway_kib": gateway,
        "rate_beside": beside["rate"],
    }


def silent_workloads(site, peers, seconds):
    # Whoever holds them may need two descriptors for each.
    count = min(SILENT, (site.descriptors - 2000) // 2)
    return [
        Workload(
            str(count),
            {
                peer.title: lambda p=peer: measure_silent(site, p, count, seconds)
                for peer in peers
            },
        )
    ]
