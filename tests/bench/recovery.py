"""How soon scgid serves again after its processes were killed."""

import collections
import os
import random
import re
import signal
import threading
import time

from common import median, say, wait_for
from scgi import answer_of, scgi_request

# What steps.sh prints, whole.
STEPS = b"begin\nmiddle\nend\n"
RECOVERY_TARGET = 1.0


class Client(threading.Thread):
    """Asks again and again; notes (begun, ended, verdict) of each request."""

    def __init__(self, path, uri, body):
        super().__init__()
        self.path, self.body = path, body
        self.request = scgi_request(uri)
        self.done = threading.Event()
        self.notes = []

    def ask(self):
        try:
            status, body = answer_of(self.path, self.request)
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"
        if status == 200:
            return "good" if body == self.body else "cut short, unseen"
        return f"page {status}" if status else "nothing, unseen"

    def run(self):
        while not self.done.is_set():
            begun = time.monotonic()
            verdict = self.ask()
            self.notes.append((begun, time.monotonic(), verdict))
            if verdict != "good":
                time.sleep(0.001)


def kill_in_turn(one, count):
    """[(when, role)]; a role is killed once it has lived for a while."""
    out = []
    chance = random.Random(1)
    for number in range(count):
        role = ("gateway", "launcher")[number % 2]
        wait_for(lambda what=role: one.pids(f"scgid: {what}"), role)
        time.sleep(chance.uniform(0.6, 1.0))
        pid = one.pids(f"scgid: {role}")[0]
        out.append((time.monotonic(), role))
        os.kill(pid, signal.SIGKILL)
    time.sleep(2)
    return out


def measure_recovery(bench, kills):
    programs = [("/hello", b"hello\n")] * 2 + [("/steps.sh", STEPS)] * 4
    with bench.instance("recovery", {"www": "access_log = off\nlaunchers = 1"}) as one:
        clients = [Client(one.socket("www"), *program) for program in programs]
        for client in clients:
            client.start()
        try:
            times = kill_in_turn(one, kills)
        finally:
            for client in clients:
                client.done.set()
            for client in clients:
                client.join()
        log = (one.dir / "log").read_text()
    notes = [note for client in clients for note in client.notes]
    verdicts = collections.Counter(verdict for _, _, verdict in notes)
    out = {
        "kills": len(times),
        "verdicts": dict(verdicts),
        "slowest_s": max(ended - begun for begun, ended, _ in notes),
        "warnings": len(re.findall(r" warn ", log)),
    }
    for role in ("gateway", "launcher"):
        gaps = [
            min(
                (
                    ended
                    for begun, ended, verdict in notes
                    if begun > when and verdict == "good"
                ),
                default=float("inf"),
            )
            - when
            for when, what in times
            if what == role
        ]
        out[role] = {"kills": len(gaps), "median_s": median(gaps), "max_s": max(gaps)}
    return out


def report_recovery(figures):
    say(
        f"\nrecovery: {figures['kills']} times kill -9 under load, one "
        "gateway and one launcher"
    )
    for role in ("gateway", "launcher"):
        row = figures[role]
        say(
            f"{role} ({row['kills']}): next good answer after "
            f"{row['median_s'] * 1000:.0f} ms, at most "
            f"{row['max_s'] * 1000:.0f} ms (target: "
            f"{RECOVERY_TARGET * 1000:.0f})"
        )
    say(
        "requests: "
        + ", ".join(
            f"{count} {verdict}"
            for verdict, count in sorted(figures["verdicts"].items())
        )
    )
