"""Who starts a process for each connection: inetd, and systemd's Accept=yes.

Owns its processes.  `services` are name -> command, a list that begins with
an absolute path.
"""

import os
import pwd
import shutil
import signal
import subprocess

import pytest

from .client import wait_for
from .daemon import free_port

INETD = "/usr/sbin/inetd"
ACTIVATE = shutil.which("systemd-socket-activate")


def listens(port):
    """Without connecting: that would start a process."""
    with open("/proc/net/tcp") as stream:
        wanted = "0100007F:%04X" % port
        return any(l.split()[1] == wanted and l.split()[3] == "0A" for l in stream)


class Inetd:
    """Debian's inetd with one line a service."""

    def __init__(self, place, services):
        self.ports = {name: free_port() for name in services}
        user = pwd.getpwuid(os.getuid()).pw_name
        lines = []
        for name, command in services.items():
            program = os.path.basename(command[0])
            lines.append(
                "127.0.0.1:%d stream tcp nowait.10000 %s %s %s\n"
                % (
                    self.ports[name],
                    user,
                    command[0],
                    " ".join([program] + command[1:]),
                )
            )
        configuration = place / "inetd.conf"
        configuration.write_text("".join(lines))
        # -i: in the foreground.
        self.process = subprocess.Popen(
            [INETD, "-i", str(configuration)], stdin=subprocess.DEVNULL
        )
        for port in self.ports.values():
            wait_for(lambda: listens(port), "inetd to listen", 10.0)

    def address(self, name):
        return ("127.0.0.1", self.ports[name])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


class Activate:
    """systemd's own stand-in for a socket unit with Accept=yes."""

    def __init__(self, place, services):
        self.ports = {name: free_port() for name in services}
        self.log = open(place / "activate.log", "ab")
        self.processes = []
        for name, command in services.items():
            self.processes.append(
                subprocess.Popen(
                    [ACTIVATE, "--inetd", "-a", "-l", "127.0.0.1:%d" % self.ports[name]]
                    + command,
                    stdin=subprocess.DEVNULL,
                    stdout=self.log,
                    stderr=self.log,
                )
            )
        for port in self.ports.values():
            wait_for(lambda: listens(port), "the socket", 10.0)

    address = Inetd.address

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        self.log.close()


KINDS = [
    pytest.param(
        Inetd,
        marks=pytest.mark.skipif(not os.path.exists(INETD), reason="no inetd"),
        id="inetd",
    ),
    pytest.param(
        Activate,
        marks=pytest.mark.skipif(not ACTIVATE, reason="no systemd"),
        id="accept-yes",
    ),
]
