"""The load of tests/bench/soak: everything at once, good clients and bad ones."""

import collections
import contextlib
import os
import random
import signal
import socket
import struct
import threading
import time

import material
from common import run_json
from peers import GIT_CORE
from scgi import scgi_request

POOLS = ("exec", "fork")
LARGE = 8 * 2**20
SILENT = 40
HEADER_TIMEOUT = 3  # seconds, in the configuration

CONF = """[scgid]
log = {dir}/soak/log
"""
POOL = """
[{pool}]
listen = unix:{dir}/soak/{pool}
listen_mode = 0666
status = /-
access_log = /dev/null
header_timeout = {header_timeout}s
kill_grace = 1s
; so that a page of awstats has its rows in the same order each time
env.PERL_HASH_SEED = 0
env.PERL_PERTURB_KEYS = 0
{user}

[{pool} /git]
script = {git}/git-http-backend
env.GIT_PROJECT_ROOT = {dir}/git
env.GIT_HTTP_EXPORT_ALL = 1

[{pool} /cgi]
root = {dir}/www/cgi
"""
# Those without an end of their own live as long as the launcher.
FORKED = """start = fork-server
max_requests = 0

[fork /cgi/hello.pl]
script = {dir}/www/cgi/hello.pl
start = perl

[fork /cgi/awstats.pl]
script = {dir}/www/cgi/awstats.pl
start = perl

[fork /cgi/hello.py]
script = {dir}/www/cgi/hello.py
start = python

[fork /cgi/flask.cgi]
wsgi = {dir}/www/cgi/app.py:app
start = python
"""
SCRIPTS = {
    "large.sh": "echo 'Content-Type: text/plain'; echo\n"
    f"exec dd if=/dev/zero bs=64K count={LARGE // 65536} 2>/dev/null",
    "segv.sh": "kill -SEGV $$",
    "exit.sh": "echo oh no >&2; exit 3",
    "text.sh": "echo no header",
    "soon.sh": "echo 'Content-Type: text/plain'; echo; echo begin; kill -KILL $$",
    "cut.sh": "echo 'Content-Type: text/plain'; echo; echo begin; sleep 0.1\n"
    "kill -KILL $$",
}
# What is read when a request comes; to be touched is to be replaced.
TOUCHED = ("hello.pl", "hello.py", "app.py")


def configuration(site):
    values = {"dir": site.dir, "git": GIT_CORE, "header_timeout": HEADER_TIMEOUT}
    values["user"] = site.values()["SCGID_USER"]
    pools = "".join(POOL.replace("{pool}", pool) for pool in POOLS)
    return (CONF + pools + FORKED).format(**values)


def write_scripts(site):
    for name, text in SCRIPTS.items():
        path = site.dir / "www" / "cgi" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


class Client(threading.Thread):
    """Does its step again and again; notes what is not as it should be."""

    def __init__(self, soak):
        super().__init__(daemon=True)
        self.soak = soak
        self.chance = random.Random(type(self).__name__)
        self.asked = 0
        self.wrong = collections.Counter()

    def run(self):
        while not self.soak.done.is_set():
            try:
                self.step()
            except (Exception, SystemExit) as error:  # else it would end, unseen
                self.complain(f"{type(error).__name__}: {error}")

    def complain(self, what):
        self.wrong[f"{type(self).__name__.lower()}: {what}"] += 1

    def expect(self, uri, wanted, answer):
        """`answer`: (status, body) of `wanted`, or the body may be None there."""
        self.asked += 1
        if answer[0] != wanted[0]:
            self.complain(f"{uri}: status {answer[0]}, not {wanted[0]}")
        elif wanted[1] is not None and answer[1] != wanted[1]:
            self.complain(f"{uri}: {len(answer[1])} other bytes")

    def ask(self, uri, body=b""):
        return self.soak.ask(self.chance.choice(POOLS), uri, body)

    def connect(self):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(60)
        one.connect(self.soak.address(self.chance.choice(POOLS)))
        return one


class Many(Client):
    """All programs in turn, as fast as four clients may; lengths are looked at."""

    def __init__(self, soak, pool):
        super().__init__(soak)
        self.pool, self.turn = pool, 0

    def step(self):
        pages = list(self.soak.pages)
        uri = pages[self.turn % len(pages)]
        self.turn += 1
        target = f"unix:{self.soak.address(self.pool)}"
        options = ("-c", 4, "-d", self.soak.burst, "-t", 60)
        told = run_json([self.soak.site.tools / "load", *options, target, uri])
        self.asked += told["asked"]
        if told["errors"]:
            self.wrong[f"{self.pool}, {uri}: {told['statuses']}"] += told["errors"]
        elif told["bytes"] != len(self.soak.pages[uri]):
            self.complain(f"{self.pool}, {uri}: {told['bytes']} bytes")


class Exact(Client):
    """A page of each kind, byte by byte."""

    def step(self):
        uri = self.chance.choice(list(self.soak.pages))
        self.expect(uri, (200, self.soak.pages[uri]), self.ask(uri))


class Bodies(Client):
    def step(self):
        size = self.chance.choice((1, 3000, 70000, 300000, 3000000))
        body = self.chance.randbytes(size)
        self.expect("cat.sh", (200, body), self.ask("/cgi/cat.sh", body))


class Large(Client):
    def step(self):
        status, body = self.ask("/cgi/large.sh")
        self.expect("large.sh", (200, LARGE), (status, len(body)) if body else (0, b""))


class Crashing(Client):
    def step(self):
        for name in ("segv.sh", "exit.sh", "text.sh"):
            self.expect(name, (502, None), self.ask(f"/cgi/{name}"))
        for name in ("soon.sh", "cut.sh"):
            # By whether some of it was sent when it crashed.
            with contextlib.suppress(ConnectionResetError):
                self.expect(name, (502, None), self.ask(f"/cgi/{name}"))
        time.sleep(0.1)


class Leaving(Client):
    """Goes in the middle: of a request, of a response, with a reset or without."""

    def step(self):
        request = scgi_request(self.chance.choice(("/cgi/large.sh", "/cgi/cat.sh")))
        sent = self.chance.choice((request, request[: len(request) // 2]))
        with self.connect() as one:
            one.sendall(sent)
            if sent is request and self.chance.random() < 0.5:
                one.recv(self.chance.choice((1, 65536)))
            if self.chance.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.asked += 1
        time.sleep(0.05)


class Silent(Client):
    """Some connections that say nothing until they are closed."""

    def step(self):
        ours = [self.connect() for _ in range(SILENT)]
        deadline = time.monotonic() + 4 * HEADER_TIMEOUT
        for one in ours:
            self.asked += 1
            with one:
                one.settimeout(max(deadline - time.monotonic(), 0.01))
                try:
                    while one.recv(4096):
                        pass
                except TimeoutError:
                    self.complain("still held")
                except ConnectionResetError:
                    pass


class Administrator(Client):
    """Deploys now and then; reloads three times, a few at once."""

    RELOADS = 4

    def __init__(self, soak):
        super().__init__(soak)
        self.due = [soak.seconds * part for part in (1 / 6, 1 / 2, 5 / 6)]

    def step(self):
        if self.due and time.monotonic() - self.soak.begun > self.due[0]:
            self.due.pop(0)
            for _ in range(self.RELOADS):
                os.kill(self.soak.service.pid, signal.SIGHUP)
                self.asked += 1
                self.soak.done.wait(3)
        name = self.chance.choice(TOUCHED)
        os.utime(self.soak.site.dir / "www" / "cgi" / name)
        self.soak.done.wait(self.chance.uniform(2, 15))


def clients(soak):
    kinds = (Exact, Exact, Bodies, Large, Crashing, Leaving, Silent, Administrator)
    return [Many(soak, pool) for pool in POOLS] + [kind(soak) for kind in kinds]


def reference(soak):
    """{uri: body}, as the pool that uses exec says it."""
    uris = material.uris(soak.site.there)
    if "git" in soak.site.there:
        uris.append("/git/repo.git/info/refs?service=git-upload-pack")
    out = {}
    for uri in uris:
        status, out[uri] = soak.ask("exec", uri)
        if status != 200:
            raise SystemExit(f"soak: {uri}: status {status}")
    return out
