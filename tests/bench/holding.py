"""What requests that wait and clients that say nothing take in memory."""

import socket
import time

from common import raise_descriptor_limit, say, wait_for
from processes import proportional_kib, resident_kib
from scgi import scgi_request

QUEUED, QUEUED_TARGET_MIB = 2000, 32
SILENT, SILENT_TARGET_MIB = 10000, 64


def memory_of(pids):
    return {
        "resident_kib": resident_kib(pids),
        "proportional_kib": proportional_kib(pids),
        "processes": len(pids),
    }


def hold(one, pool, count, request=b""):
    """`count` connections that have sent `request`, seen by the gateways."""
    connections = []
    for _ in range(count):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(one.socket(pool))
        connection.sendall(request)
        connections.append(connection)
    # The page's own request is open, too.
    wait_for(lambda: one.status(pool)["open"] > count, "the connections", 30)
    return connections


def measure_held(bench, name, keys, count, request=b""):
    """What `count` connections take in all our processes."""
    with bench.instance(
        name, {"held": f"status = /-\naccess_log = off\n{keys}"}
    ) as one:
        bench.load(one.socket("held"), "-c", 4, "-n", 200)
        one.status("held")
        before = memory_of(one.pids())
        begun = time.monotonic()
        connections = hold(one, "held", count, request)
        took = time.monotonic() - begun
        after = memory_of(one.pids())
        page = one.status("held")
        for connection in connections:
            connection.close()
        wait_for(lambda: one.status("held")["open"] == 1, "the end", 30)
        left = memory_of(one.pids())
    return {
        "count": count,
        "idle": before,
        "held": after,
        "left": left,
        "seconds": took,
        "waiting": page["waiting"],
        "bytes_each": (after["resident_kib"] - before["resident_kib"]) * 1024 / count,
    }


def measure_memory(bench, quick):
    count = 1000 if quick else SILENT
    limit = raise_descriptor_limit(3 * SILENT)
    # A gateway keeps two descriptors for each connection.
    gateways = 1 if limit > 2 * count + 1000 else 2
    out = {
        "queue": measure_held(
            bench,
            "queue",
            "workers = 1\nlaunchers = 1\nqueue = 4096\nqueue_timeout = 1h\n"
            "idle_timeout = 1h\nscript_timeout = 1h\nkill_grace = 100ms",
            200 if quick else QUEUED,
            scgi_request("/wait.sh"),
        )
    }
    out["silent"] = measure_held(
        bench,
        "silent",
        f"gateways = {gateways}\nlaunchers = 1\n" "workers = 16\nheader_timeout = 1h",
        count,
    )
    out["silent"]["gateways"] = gateways
    return out


def mebibytes(memory):
    text = f"{memory['resident_kib'] / 1024:.1f}"
    if memory["proportional_kib"] is not None:
        text += f" ({memory['proportional_kib'] / 1024:.1f})"
    return text


def report_memory(figures):
    say("\nmemory of all our processes, resident (proportional), MiB")
    say(
        f"{'':34}{'before':>14}{'with them':>16}{'after':>14}"
        f"{'bytes each':>12}{'target':>8}"
    )
    for name, text, target in (
        ("queue", "requests in the queue", QUEUED_TARGET_MIB),
        ("silent", "silent clients", SILENT_TARGET_MIB),
    ):
        row = figures[name]
        cells = [mebibytes(row[k]) for k in ("idle", "held", "left")]
        what = f"{row['count']} {text}"
        if row.get("gateways", 1) > 1:
            what += f", {row['gateways']} gateways"
        say(
            f"{what:34}{cells[0]:>14}{cells[1]:>16}{cells[2]:>14}"
            f"{row['bytes_each']:12.0f}{target:8}"
        )
