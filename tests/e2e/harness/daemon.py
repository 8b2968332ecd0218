"""The daemon under test: start it, talk to it, prove it healthy, stop it.

Owns a private directory per instance.  The invariant: after check() has
returned, the instance is as it was just after its start.
"""

import atexit
import functools
import json
import os
import pathlib
import pwd
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import client
from .client import wait_for

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent / "scripts"
PROGRAMS = ["scgid", "scgi-request", "scgi-http"]
IS_ROOT = os.getuid() == 0
POOL_USER = "www-data"
GATEWAY_USER = "nobody"
WEB_GROUP = "www-data"

LINE = re.compile(r"^(\S+Z) (error|warn|info|debug) (\w+)(?: (\S+))?\[(\d+)\]: (.*)$")
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')
SANITIZER = re.compile(
    r"runtime error|AddressSanitizer|LeakSanitizer|UndefinedBehavior|"
    r"SUMMARY: |stack smashing|Assertion .* failed"
)


def build_directory(name="SCGID_BUILD"):
    value = os.environ.get(name)
    return pathlib.Path(value).resolve() if value else None


def program(name, build="SCGID_BUILD"):
    path = reachable_build(build) / name
    if not path.exists():
        raise AssertionError("%s is not built (%s)" % (path, build))
    return str(path)


@functools.lru_cache(maxsize=None)
def reachable_build(build):
    """The build directory, or a copy of it that the pools' user can reach.

    As that user reads what its programs are started with, beside scgid.
    """
    directory = build_directory(build)
    places = [directory] + list(directory.parents)
    if all(place.stat().st_mode & 0o1 for place in places):
        return directory
    copy = public_directory("build")
    atexit.register(shutil.rmtree, copy)
    for name in PROGRAMS:
        if (directory / name).exists():
            shutil.copy2(directory / name, copy)
    shutil.copytree(directory / "forkserver", copy / "forkserver")
    return copy


def is_sanitised(build="SCGID_BUILD"):
    cache = build_directory(build) / "CMakeCache.txt"
    found = re.search(r"^SCGID_SANITIZE:\w+=(.*)$", cache.read_text(), re.M)
    return bool(found and found.group(1))


def free_port(host="127.0.0.1"):
    """Below those that the connections of clients are given meanwhile."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket(family) as probe:
            if probe.connect_ex((host, port)) != 0:
                return port


def public_directory(prefix):
    """A directory that the pools' user can reach; never below a 0700 one."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="scgid-%s-" % prefix, dir="/tmp"))
    path.chmod(0o755)
    return path


def fields(text):
    """The key=value pairs of a log line."""
    found = {}
    for name, value in FIELD.findall(text):
        found[name] = value[1:-1] if value.startswith('"') else value
    return found


# What has just been written may still be written to, and is not forked.
WRITTEN = 0.012


class LogLine:
    def __init__(self, text):
        self.text = text
        found = LINE.match(text)
        self.level = found.group(2) if found else None
        self.role = found.group(3) if found else None
        self.pool = found.group(4) if found else None
        self.message = found.group(6) if found else text
        self.fields = fields(self.message)

    def __repr__(self):
        return self.text


class Follower:
    """The whole lines of a file that grows."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.inode = None

    def lines(self):
        try:
            with open(self.path, "rb") as stream:
                inode = os.fstat(stream.fileno()).st_ino
                if inode != self.inode:
                    self.inode, self.offset = inode, 0
                stream.seek(self.offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self.offset += end
        return data[:end].decode("utf-8", "replace").splitlines()


def processes():
    """pid -> (parent, state) of everything on this machine."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as stream:
                rest = stream.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(name)] = (int(rest[1]), rest[0].decode())
    return found


def title(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            return stream.read().split(b"\0")[0].strip().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descriptors(pid):
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return -1


def is_forker(pid):
    """Whether it is a fork server, or a worker that waits for a request."""
    try:
        for name in os.listdir("/proc/%d/fd" % pid):
            if "memfd:scgid-shared" in os.readlink("/proc/%d/fd/%s" % (pid, name)):
                return not title(pid).startswith("scgid: ")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return False


def is_leader(pid):
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


# What a launcher keeps open for a fork server.
FORK_SERVER_DESCRIPTORS = 3


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as stream:
        for line in stream:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def peak_kib(pid):
    with open("/proc/%d/status" % pid) as stream:
        for line in stream:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def write_section(lines, name, keys):
    lines.append("[%s]" % name)
    for key, value in keys.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            lines.append("%s = %s" % (key, item))
    lines.append("")


class Scgid:
    """A running scgid.

    `pools`: name -> (keys, maps); a map is prefix -> keys.  A pool gets a
    Unix socket, a TCP port too if `tcp`, its user and a probe map by itself.
    `{cgi}` and `{dir}` in values stand for the scripts' directory and ours;
    `directories` are made below the first.
    """

    def __init__(
        self,
        pools,
        settings=None,
        tcp=False,
        build="SCGID_BUILD",
        prefix=(),
        environment=None,
        preexec=None,
        ready=True,
        arguments=("-f",),
        user_keys=True,
        directories=(),
        pass_fds=(),
    ):
        self.directory = public_directory("e2e")
        self.cgi = self.directory / "cgi"
        shutil.copytree(SCRIPTS, self.cgi)
        for path in self.cgi.rglob("*"):
            path.chmod(0o755)
        self.cgi.chmod(0o755)
        for name in directories:
            (self.cgi / name).mkdir()
            (self.cgi / name).chmod(0o755)
        self.spool = self.directory / "spool"
        self.spool.mkdir()
        self.spool.chmod(0o1777)
        self.stderr = self.directory / "log"
        self.access = self.directory / "access.json"
        self.build = build
        self.sockets = {}
        self.ports = {}
        self.user_keys = user_keys
        self.log_lines = []
        self.log_follower = Follower(self.stderr)
        self.access_entries = []
        self.access_follower = Follower(self.access)
        self.mark = 0
        self.expected = []
        self.sent = []
        self.touched = False
        self.dirty = False
        self.configuration = self.directory / "scgid.conf"
        self.settings = settings or {}
        self.write_configuration(pools, tcp)
        command = list(prefix) + [program("scgid", build)]
        command += ["-c", str(self.configuration)] + list(arguments)
        env = dict(os.environ, **(environment or {}))
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        # The core limit and the rest are the tests'; only umask is fixed.
        self.log_stream = open(self.stderr, "ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log_stream,
            stderr=self.log_stream,
            env=env,
            preexec_fn=preexec,
            cwd="/",
            pass_fds=pass_fds,
        )
        self.pid = self.process.pid
        self.baseline = {}
        self.stopped = False
        if ready:
            self.wait_ready()

    # Configuration

    def expand(self, value):
        return (
            str(value)
            .replace("{cgi}", str(self.cgi))
            .replace("{dir}", str(self.directory))
        )

    def write_configuration(self, pools, tcp):
        lines = []
        settings = dict(self.settings)
        if IS_ROOT and self.user_keys:
            settings.setdefault("user", GATEWAY_USER)
        write_section(lines, "scgid", settings)
        for name, (keys, maps) in pools.items():
            self.sockets[name] = str(self.directory / (name + ".sock"))
            pool = {
                "listen": [self.sockets[name]],
                "spool_dir": self.spool,
                "access_log": self.access,
                "access_log_format": "json",
                "launchers": 1,
            }
            if tcp:
                self.ports[name] = free_port()
                pool["listen"].append("127.0.0.1:%d" % self.ports[name])
            if IS_ROOT and self.user_keys:
                pool["user"] = POOL_USER
                pool["listen_group"] = WEB_GROUP
            pool.update(keys)
            write_section(lines, name, pool)
            write_section(lines, name + " /-probe", {"script": self.cgi / "hello.sh"})
            for prefix, section in maps.items():
                write_section(lines, "%s %s" % (name, prefix), section)
        self.configuration.write_text(self.expand("\n".join(lines)))

    def script(self, name, text, mode=0o755, interpreter="#!/bin/sh\n"):
        """Write a script into the directory of `/cgi-bin`; return its path."""
        path = self.cgi / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            text = text.encode()
        if interpreter and not text.startswith(b"#!"):
            text = interpreter.encode() + text
        path.write_bytes(text)
        path.chmod(mode)
        time.sleep(WRITTEN)
        return path

    def compiled(self, name, source, mode=0o755):
        """A C program in the directory of `/cgi-bin`."""
        path = self.cgi / name
        subprocess.run(
            ["cc", "-x", "c", "-o", str(path), "-"], input=source.encode(), check=True
        )
        path.chmod(mode)
        time.sleep(WRITTEN)
        return path

    def writable(self, name):
        """A directory that scripts may write to."""
        path = self.directory / name
        path.mkdir(exist_ok=True)
        path.chmod(0o1777)
        return path

    # Start

    def wait_ready(self):
        def is_ready():
            self.read_log()
            if any(
                " ready" in l.message or l.message == "ready" for l in self.log_lines
            ):
                return True
            if self.process.poll() is not None:
                raise AssertionError(
                    "scgid ended with %d:\n%s"
                    % (self.process.returncode, self.stderr.read_text())
                )
            return False

        try:
            wait_for(is_ready, "ready in the log", 20.0)
            # The first request of a pool may open what later ones keep.
            for pool in self.sockets:
                self.probe(pool)
            self.baseline = self.settled()
            self.mark = len(self.log_lines)
        except BaseException:
            self.kill()
            raise

    # Processes

    def tree(self):
        """pid -> (title, state) of every descendant, the supervisor included."""
        everything = processes()
        ours = {self.pid}
        grown = True
        while grown:
            grown = False
            for pid, (parent, _) in everything.items():
                if parent in ours and pid not in ours:
                    ours.add(pid)
                    grown = True
        return {
            pid: (title(pid), everything[pid][1]) for pid in ours if pid in everything
        }

    def roles(self, name):
        """The pids of one role, for example "gateway www"."""
        return [
            pid
            for pid, (what, state) in self.tree().items()
            if what == "scgid: " + name and state != "Z"
        ]

    def role(self, name):
        return wait_for(lambda: self.roles(name), "a process " + name)[0]

    def workers(self):
        """Descendants that are no process of ours, and no fork server."""
        return {
            pid: entry
            for pid, entry in self.tree().items()
            if not entry[0].startswith("scgid: ") and not is_forker(pid)
        }

    def forkers(self):
        """pid -> parent of the fork servers and their spare workers."""
        everything = processes()
        return {
            pid: everything[pid][0]
            for pid in self.tree()
            if pid in everything and is_forker(pid)
        }

    def fork_servers(self):
        """The fork servers: they lead their session, as a spare does not."""
        return [pid for pid in self.forkers() if is_leader(pid)]

    def spares(self):
        return [pid for pid in self.forkers() if not is_leader(pid)]

    def picture(self):
        """What must be the same after every test: processes and descriptors.

        Fork servers stay, and are left out.
        """
        found = {}
        forkers = self.forkers()
        for pid, (what, state) in self.tree().items():
            if pid in forkers:
                continue
            if state == "Z":
                what = "zombie"
            kept = sum(p == pid and is_leader(f) for f, p in forkers.items())
            count = descriptors(pid)
            if count > 0:
                count -= kept * FORK_SERVER_DESCRIPTORS
            found.setdefault(what, []).append(0 if state == "Z" else count)
        return {what: sorted(counts) for what, counts in found.items()}

    def settled(self):
        """The picture, once it stands still."""
        last = None
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            now = self.picture()
            if now == last and all(what.startswith("scgid: ") for what in now):
                return now
            last = now
            time.sleep(0.03)
        raise AssertionError("processes do not settle: %r" % last)

    # Requests

    def address(self, pool=None, tcp=False):
        pool = pool or next(iter(self.sockets))
        return ("127.0.0.1", self.ports[pool]) if tcp else self.sockets[pool]

    def connect(self, pool=None, tcp=False):
        self.touched = True
        return client.Connection(self.address(pool, tcp))

    def params(self, path, body=b"", register=True, **options):
        """Parameters with a request id of our own; returns (params, id)."""
        request_id = client.new_id()
        options.setdefault("HTTP_X_REQUEST_ID", request_id)
        if register:
            self.sent.append(request_id)
        return client.nginx_params(path, body=body, **options), request_id

    def start(self, path, body=b"", pool=None, tcp=False, register=True, **options):
        """Send a whole request; return the connection, with its id."""
        params, request_id = self.params(path, body, register, **options)
        data = client.encode(params, body)
        connection = self.connect(pool, tcp)
        connection.id = request_id
        return connection.send(data)

    def request(self, path, body=b"", pool=None, tcp=False, **options):
        params, request_id = self.params(path, body, **options)
        # Before it connects: header_timeout runs from then on, and one that has
        # sent nothing until then is closed silently.
        data = client.encode(params, body)
        with self.connect(pool, tcp) as connection:
            return connection.exchange(data, request_id)

    def tell(self, path="/cgi-bin/tell.py", **options):
        """What the script tell.py saw."""
        reply = self.request(path, **options)
        assert reply.status == 200 and not reply.broken, reply
        return json.loads(reply.body)

    def raw(self, data, pool=None, tcp=False):
        with self.connect(pool, tcp) as connection:
            return connection.exchange(data)

    def probe(self, pool=None):
        reply = self.request("/-probe", pool=pool)
        assert reply.status == 200 and reply.body == b"hello\n", reply
        assert not reply.broken, reply

    # Logs

    def read_log(self):
        self.log_lines += [LogLine(text) for text in self.log_follower.lines()]
        return self.log_lines

    def recent(self):
        """The log lines of this test."""
        return self.read_log()[self.mark :]

    def wait_line(self, what, timeout=5.0):
        """The first line of this test that contains or satisfies `what`."""

        def find():
            for line in self.recent():
                if what(line) if callable(what) else re.search(what, line.text):
                    return line
            return None

        return wait_for(find, "log line %r" % (what,), timeout)

    def failure(self, reply, timeout=5.0):
        """The fields of the line that tells why a request failed."""
        request_id = reply if isinstance(reply, str) else reply.id
        return self.wait_line(
            lambda l: l.fields.get("request") == request_id and "reason" in l.fields,
            timeout,
        ).fields

    def read_access(self):
        self.access_entries += [json.loads(t) for t in self.access_follower.lines()]
        return self.access_entries

    def entry(self, reply, timeout=8.0):
        """The access-log entry of a request."""
        request_id = reply if isinstance(reply, str) else reply.id

        def find():
            return [e for e in self.read_access() if e.get("id") == request_id]

        found = wait_for(find, "access-log line of " + request_id, timeout)
        return found[0]

    def expect(self, reason=None, text=None, optional=False):
        """Declare a warning or an error that this test causes."""
        self.touched = True
        self.expected.append(
            {"reason": reason, "text": text, "optional": optional, "seen": 0}
        )

    def is_expected(self, line):
        # It comes up to a second later; the first of them was judged.
        hit = bool(re.match(r"reason=queue-full for \d+ more", line.message))
        for want in self.expected:
            if want["reason"] and line.fields.get("reason") != want["reason"]:
                continue
            if want["text"] and not re.search(want["text"], line.text):
                continue
            want["seen"] += 1
            hit = True
        return hit

    # The oracle

    def check(self):
        """Everything is as it was, and the logs say what they should."""
        assert self.process.poll() is None, "the supervisor ended:\n" + self.tail()
        for pool in self.sockets:
            self.probe(pool)
        wait_for(
            lambda: self.picture() == self.baseline,
            lambda_text(
                lambda: "baseline %r, now %r" % (self.baseline, self.picture())
            ),
            8.0,
            0.02,
        )
        assert os.listdir(self.spool) == [], "files left in the spool"
        self.check_access()
        self.check_log()
        self.forget()

    def check_access(self):
        def counts():
            found = {}
            for entry in self.read_access():
                found[entry["id"]] = found.get(entry["id"], 0) + 1
            return found

        def settled():
            found = counts()
            return all(found.get(i) for i in self.sent)

        wait_for(settled, "an access-log line for every request", 5.0)
        found = counts()
        twice = [i for i in self.sent if found[i] != 1]
        assert not twice, "requests with several access-log lines: %r" % twice

    def unexpected(self):
        return [
            line
            for line in self.recent()
            if (line.level is None or line.level in ("warn", "error"))
            and not self.is_expected(line)
        ]

    def check_log(self):
        found = [l for l in self.recent() if SANITIZER.search(l.text)]
        assert not found, "sanitizer:\n" + self.tail(100)

        def missing():
            for want in self.expected:
                want["seen"] = 0
            self.unexpected()
            return [w for w in self.expected if not w["seen"] and not w["optional"]]

        wait_for(
            lambda: not missing(), lambda_text(lambda: "log lines %r" % missing()), 3.0
        )
        wrong = self.unexpected()
        assert not wrong, "unexpected log lines:\n" + "\n".join(map(str, wrong))

    def forget(self):
        """Start counting anew, for the next test."""
        self.read_log()
        self.read_access()
        self.mark = len(self.log_lines)
        self.expected = []
        self.sent = []
        self.access_entries = []
        self.touched = False

    def tail(self, count=30):
        return "\n".join(self.stderr.read_text(errors="replace").splitlines()[-count:])

    # The end

    def stop(self, how=signal.SIGTERM, timeout=10.0):
        """End it as an administrator does; everything must be gone after."""
        if self.stopped:
            return
        pids = self.tree()
        self.process.send_signal(how)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            tail = self.tail()
            self.kill()
            raise AssertionError(
                "still there %.0f s after a signal:\n%s" % (timeout, tail)
            )
        self.stopped = True
        self.log_stream.close()
        try:
            assert code == 0, "exit %d:\n%s" % (code, self.tail())
            wait_for(
                lambda: not [p for p in pids if title(p).startswith("scgid: ")],
                "every process to end",
            )
            left = [path for path in self.sockets.values() if os.path.exists(path)]
            assert not left, "sockets left: %r" % left
            self.check_log()
        finally:
            self.clean()

    def kill(self):
        """For an instance that is beyond repair."""
        pids = [] if self.process.poll() is not None else list(self.tree())
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)
        self.stopped = True
        self.log_stream.close()
        self.clean()

    def clean(self):
        if not os.environ.get("SCGID_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)


class lambda_text:
    """A text that is made when it is shown."""

    def __init__(self, make):
        self.make = make

    def __str__(self):
        return self.make()


def set_limit(pid, what, soft):
    """Set a soft limit of a process; return the old pair."""
    try:
        old = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (soft, old[1]))
        return old
    except PermissionError:
        # Without CAP_SYS_RESOURCE it takes the same user.
        ids = process_ids(pid)
        answer = subprocess.check_output(
            [
                "/usr/bin/python3",
                "-IS",
                "-c",
                "import resource, sys\n"
                "pid, what, soft = map(int, sys.argv[1:])\n"
                "old = resource.prlimit(pid, what)\n"
                "resource.prlimit(pid, what, (soft, old[1]))\n"
                "print(*old)",
                str(pid),
                str(what),
                str(soft),
            ],
            preexec_fn=lambda: become(ids),
        )
        return tuple(int(word) for word in answer.split())


def process_ids(pid):
    with open("/proc/%d/status" % pid) as stream:
        found = dict(l.split(":", 1) for l in stream if ":" in l)
    return int(found["Uid"].split()[0]), int(found["Gid"].split()[0])


def become(ids):
    os.setgroups([])
    os.setresgid(ids[1], ids[1], ids[1])
    os.setresuid(ids[0], ids[0], ids[0])


def user_ids(name):
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid
