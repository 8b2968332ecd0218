"""The kinds of requests that tests/bench/cost looks at."""

import shutil

from calls import Subject, trace, warm_up
from common import HERE, known_keys
from scgi import scgi_request

FORK_SERVER_MAPS = """
[cost /fork]
root = {dir}/cgi
start = fork-server
[cost /perl]
script = {dir}/cgi/hello.pl
start = perl
[cost /python]
script = {dir}/cgi/hello.py
start = python
"""


class Kind:
    """A kind of request.  `steady`: its system calls are always as many."""

    def __init__(self, name, uri, body=b"", status=200, steady=True, start=None):
        self.name = name
        self.request = scgi_request(uri, body=body)
        self.status = status
        self.steady = steady
        self.start = start  # the value of the key, for a fork server


KINDS = (
    Kind("C program, GET", "/cgi/hello"),
    Kind("C program, POST of 1 KB", "/cgi/hello", b"x" * 1000),
    Kind("C program, POST of 1 MB", "/cgi/hello", b"x" * 1000000, steady=False),
    Kind("response of 1 MB", "/cgi/million.sh", steady=False),
    Kind("no such script", "/cgi/nothing", status=404),
    Kind("fork server: C program", "/fork/hello", start="fork-server"),
    Kind("fork server: perl", "/perl", start="perl"),
    Kind("fork server: Python", "/python", start="python"),
)

ROLES = ("gateway", "launcher", "child before exec", "fork server", "worker")


def has_fork_servers(programs):
    return "start" in known_keys(programs)


def kinds_of(programs):
    """Those that this scgid has."""
    there = has_fork_servers(programs)
    return [kind for kind in KINDS if there or not kind.start]


def make_programs(tools, directory):
    """What the requests are for."""
    directory.mkdir(mode=0o755)
    shutil.copy(tools / "bench-hello", directory / "hello")
    for name in ("hello.pl", "hello.py"):
        shutil.copy(HERE / "cgi" / name, directory / name)
    (directory / "million.sh").write_text(
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"
        "exec dd if=/dev/zero bs=1000000 count=1 2>/dev/null\n"
    )
    for path in directory.iterdir():
        path.chmod(0o755)
    return directory


def warm_subject(programs, cgi, kind, prefix=()):
    """A scgid that has served the kind of request before."""
    maps = FORK_SERVER_MAPS if has_fork_servers(programs) else ""
    one = Subject(programs, cgi, maps, prefix)
    warm_up(one, kind.request, kind.status, kind.start is not None)
    return one


def count_calls(programs, cgi, kind, count):
    """{role: [Counter of a request]}, or None: strace may not."""
    one = warm_subject(programs, cgi, kind)
    try:
        return trace(one, kind.request, count)
    finally:
        one.close()
