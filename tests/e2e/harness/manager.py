"""A stand-in for the service manager: the socket it listens on, and those it
passes.  Owns no process."""

import os
import socket
import time

# Put the descriptors where systemd does, say so, and become the daemon.
PASS = """
import os, sys
fds = [int(n) for n in sys.argv[2].split(",")]
for i, fd in enumerate(fds):
    os.dup2(fd, 100 + i)
for i in range(len(fds)):
    os.dup2(100 + i, 3 + i)
os.closerange(3 + len(fds), 200)
os.environ.update(
    LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1]
)
os.execv(sys.argv[3], sys.argv[3:])
"""


def passing(sockets):
    """Arguments of Scgid that pass `sockets`: pairs of name and socket."""
    fds = [one.fileno() for _, one in sockets]
    names = ":".join(name for name, _ in sockets)
    code = ["/usr/bin/python3", "-IS", "-c", PASS, names, ",".join(map(str, fds))]
    return {"prefix": code, "pass_fds": fds}


class Manager:
    """NOTIFY_SOCKET: remembers what was said, and when."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.said = []

    def environment(self, watchdog=None):
        found = {"NOTIFY_SOCKET": self.path}
        if watchdog:
            found["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        return found

    def read(self, timeout=0.0):
        """Take what there is; wait for something for `timeout` seconds."""
        self.socket.settimeout(timeout or 0.001)
        try:
            while True:
                text = self.socket.recv(65536).decode()
                self.said.append((time.monotonic(), text.splitlines()))
                self.socket.settimeout(0.001)
        except (TimeoutError, socket.timeout):
            pass
        return self.said

    def lines(self):
        self.read()
        return [line for _, lines in self.said for line in lines]

    def wait(self, what, timeout=10.0):
        """The first line, from now on, for which what(line) is true."""
        start = len(self.said)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.read(0.2)
            for _, lines in self.said[start:]:
                for line in lines:
                    if what(line):
                        return line
        raise AssertionError("never said: %r" % self.said[-20:])

    def close(self):
        self.socket.close()
