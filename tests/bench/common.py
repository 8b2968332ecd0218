"""What the benchmarks share: a Release build, daemons, reports in JSON."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent


def say(text=""):
    print(text, flush=True)


def run_json(command, stream="stdout", **options):
    """Run a program whose report is one JSON object."""
    done = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, **options)
    try:
        return json.loads(getattr(done, stream))
    except ValueError:
        sys.exit(f"bench: {command[0]} said: {done.stdout}{done.stderr}")


def wait_for(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: gave up waiting for {what}")
        time.sleep(0.02)


def build(directory):
    """A Release build; returns the directory of scgid and of ours."""
    say(f"building in {directory}")
    for command in (["cmake", "-S", TOP, "-B", directory,
                     "-DCMAKE_BUILD_TYPE=Release"],
                    ["cmake", "--build", directory, "-j", "2", "--target",
                     "scgid", "scgi-request", "scgi-load", "spawn-loop",
                     "bench-hello"]):
        done = subprocess.run([str(word) for word in command], text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            sys.exit(done.stdout)
    return directory, directory / "tests" / "bench"


class Service:
    """A daemon in the foreground, in a session of its own."""

    def __init__(self, command, log, **options):
        with open(log, "ab") as out:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True, **options)

    def stop(self):
        """End it, then what it leaves behind (fcgiwrap: its children)."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
