"""What the benchmarks share: a Release build, daemons, the load, rounds."""

import atexit
import contextlib
import json
import os
import pathlib
import pwd
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
TARGETS = ("scgid", "scgi-request", "load", "spawn-loop", "bench-hello")


def say(text=""):
    print(text, flush=True)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def run_json(command, **options):
    """Run a program whose report is one JSON object."""
    done = subprocess.run(
        [str(word) for word in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        **options,
    )
    try:
        return json.loads(done.stdout)
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
    progress(f"building in {directory}")
    configure = ["cmake", "-S", TOP, "-B", directory, "-DCMAKE_BUILD_TYPE=Release"]
    compile_all = ["cmake", "--build", directory, "-j", "2", "--target"]
    for command in (configure, [*compile_all, *TARGETS]):
        done = run_quietly(command)
        if done.returncode != 0:
            sys.exit(done.stdout)
    # Not everywhere is there a libc to link statically, or fork servers.
    for target in ("bench-hello-static", "preload"):
        run_quietly([*compile_all, target])
    return reachable(directory), directory / "tests" / "bench"


def reachable(directory):
    """The build, or a copy of it that the pools' user can read, until the end.

    What it cannot read, as in a checkout below a private directory, is no fork
    server: exec would be measured in its place.
    """
    files = list((directory / "forkserver").glob("*"))
    if os.getuid() != 0 or is_readable(files):
        return directory
    copy = pathlib.Path(tempfile.mkdtemp(prefix="scgid-bench-build."))
    atexit.register(shutil.rmtree, copy)
    progress(f"{directory} is not readable for nobody: a copy in {copy} is measured")
    for name in ("scgid", "scgi-request"):
        shutil.copy(directory / name, copy)
    shutil.copytree(directory / "forkserver", copy / "forkserver")
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)
    if not is_readable((copy / "forkserver").glob("*")):
        sys.exit(f"bench: nobody cannot read {copy} either; set TMPDIR")
    return copy


def is_readable(files):
    """For the user that the pools have when root measures."""
    test = 'for file; do test -r "$file" || exit 1; done'
    command = ["sh", "-c", test, "sh", *(str(file) for file in files)]
    nobody = pwd.getpwnam("nobody")
    account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return subprocess.run(command, check=False, cwd="/", **account).returncode == 0


def run_quietly(command):
    return subprocess.run(
        [str(word) for word in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def known_keys(programs):
    """The names of the configuration keys that the built scgid knows."""
    command = [str(programs / "scgid"), "--list-keys"]
    lines = subprocess.check_output(command, text=True).splitlines()
    return {line.split("\t")[1] for line in lines}


def accepts(address):
    """Whether something listens: a path, or a port of this host."""
    is_port = isinstance(address, int)
    with socket.socket(socket.AF_INET if is_port else socket.AF_UNIX) as probe:
        try:
            probe.connect(("127.0.0.1", address) if is_port else str(address))
        except OSError:
            return False
        return True


def free_port():
    """Below those that the connections of clients are given meanwhile."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def raise_descriptor_limit(wanted):
    """As far as may be; what it is then."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        wanted = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Service:
    """A daemon in the foreground, in a session of its own."""

    def __init__(self, command, log, stop_signal=signal.SIGTERM, **options):
        self.stop_signal = stop_signal
        with open(log, "ab") as out:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **options,
            )

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """End it, then what it leaves behind (fcgiwrap: its children)."""
        self.process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start_scgid(programs, conf, log, out, prefix=(), **options):
    """A scgid that is ready; `log` is what its configuration names."""
    service = Service([*prefix, programs / "scgid", "-c", conf], out, **options)

    def is_ready():
        if service.process.poll() is not None:
            sys.exit(f"bench: scgid ended:\n{pathlib.Path(out).read_text()}")
        return log.exists() and ": ready" in log.read_text()

    wait_for(is_ready, f"scgid, see {log}", 60)
    return service


# Rounds


def in_turns(names, number):
    """The names, in the other direction in every second round."""
    return list(names) if number % 2 == 0 else list(reversed(list(names)))


def median(values):
    return statistics.median(list(values))


def summary(values):
    """The median, and between what it lies."""
    values = list(values)
    return {
        "median": median(values),
        "low": min(values),
        "high": max(values),
        "values": values,
    }
