"""A scgid with pools, for tests/bench/pools."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile

from common import HERE, run_json, start_scgid
from processes import family_of, own_cpu_seconds, title
from scgi import answer_of, scgi_request

SCRIPTS = {
    "wait.sh": "exec sleep 3600",
    "steps.sh": "printf 'Content-Type: text/plain\\n\\nbegin\\n'\n"
    "sleep 0.03; echo middle; sleep 0.03; echo end",
}


class Instance:
    """A scgid with some pools, in a directory of its own."""

    def __init__(self, bench, name, pools, environment=None, group=None):
        self.dir = bench.dir / name
        self.dir.mkdir(mode=0o755)
        user = "user = nobody" if os.getuid() == 0 else ""
        conf = [f"[scgid]\nlog = {self.dir}/log"]
        for pool, keys in pools.items():
            conf.append(
                f"[{pool}]\nlisten = {self.socket(pool)}\n"
                f"listen_mode = 0666\n{user}\n{keys}\n"
                f"[{pool} /]\nroot = {bench.dir}/cgi"
            )
        path = self.dir / "scgid.conf"
        path.write_text("\n".join(conf) + "\n")
        self.service = start_scgid(
            bench.programs,
            path,
            self.dir / "log",
            self.dir / "out",
            prefix=group.enter if group else (),
            env=os.environ | (environment or {}),
        )

    def socket(self, pool):
        return f"{self.dir}/{pool}.sock"

    def pids(self, what="scgid: "):
        """Of our processes, not of the scripts."""
        return [
            pid
            for pid in family_of(self.service.pid)
            if title(pid).startswith("scgid: ") and what in title(pid)
        ]

    def cpu_seconds(self):
        return own_cpu_seconds(self.pids())

    def status(self, pool):
        code, body = answer_of(self.socket(pool), scgi_request("/-", "json"))
        return json.loads(body) if code == 200 else None


class Bench:
    """The directory and the daemons of one run."""

    def __init__(self, programs, tools):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="scgid-bench."))
        self.dir.chmod(0o711)
        self.programs, self.tools = programs, tools
        self.make_scripts()

    def make_scripts(self):
        cgi = self.dir / "cgi"
        cgi.mkdir()
        shutil.copy(self.tools / "bench-hello", cgi / "hello")
        shutil.copy(HERE / "cgi" / "hello.sh", cgi / "hello.sh")
        for name, text in SCRIPTS.items():
            (cgi / name).write_text(f"#!/bin/sh\n{text}\n")
        for path in (cgi, *cgi.iterdir()):
            path.chmod(0o755)

    @contextlib.contextmanager
    def instance(self, name, pools, environment=None, group=None):
        one = Instance(self, name, pools, environment, group)
        try:
            yield one
        finally:
            one.service.stop()

    def load(self, path, *options, uri="/hello", first=False, group=None):
        """`first`: before all else on this machine, where we may."""
        realtime = ["chrt", "-f", "1"] if first and os.getuid() == 0 else []
        enter = group.enter if group else ()
        return run_json(
            [*realtime, *enter, self.tools / "load", *options, f"unix:{path}", uri]
        )

    def close(self):
        shutil.rmtree(self.dir)
