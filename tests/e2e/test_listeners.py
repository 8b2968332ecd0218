"""Listeners: who may connect, and what the socket looks like from the start."""

import os
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Connection, encode, nginx_params, wait_for
from harness.daemon import Scgid, become, free_port, user_ids

HELLO = encode(nginx_params("/cgi-bin/hello.sh"))


def has_ipv6():
    try:
        free_port("::1")
        return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")


def ask(address):
    with Connection(address) as connection:
        return connection.exchange(HELLO)


def is_let_in(address):
    reply = ask(address)
    assert reply.status == 200 or not reply.raw, "a refused peer is told something"
    return reply.status == 200


def ask_as(name, path):
    """Whether a user is let in, by a process of that user."""
    code = (
        "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        "try:\n    s.sendall(sys.stdin.buffer.read())\n    sys.stdout.buffer.write(s.recv(99))\n"
        "except ConnectionError: pass\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", "-c", code, path],
        input=HELLO,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: become(user_ids(name)),
        timeout=20,
    )
    assert done.returncode == 0
    return done.stdout.startswith(b"Status: 200")


@pytest.mark.root
def test_allow_users(start):
    """The kernel says who connects; the mode of the socket is not all."""
    one = start(
        {
            "www": (
                dict(STANDARD_POOL, allow=["root", "games"], listen_mode="0666"),
                STANDARD_MAPS,
            )
        }
    )
    one.expect(
        text="refused to user %d, who is not in allow; 1 refused" % user_ids("irc")[0]
    )
    assert ask_as("games", one.sockets["www"])
    for _ in range(30):
        assert not ask_as("irc", one.sockets["www"])
    assert one.request("/cgi-bin/hello.sh").status == 200
    lines = [l for l in one.recent() if "not in allow" in l.text]
    assert len(lines) <= 2, "refused peers can fill the log"


def test_allow_another_user_only(start):
    """Not even whoever started it."""
    other = "games" if os.getuid() != user_ids("games")[0] else "irc"
    one = start({"www": (dict(STANDARD_POOL, allow=other), STANDARD_MAPS)}, ready=False)
    wait_for(lambda: " ready" in one.stderr.read_text(), "ready", 20.0)
    assert not is_let_in(one.sockets["www"])
    one.kill()


@pytest.mark.parametrize(
    "allow, is_allowed",
    [
        ("127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("0.0.0.0/0", True),
        ("126.0.0.0/7", True),
        ("192.0.2.1", False),
        ("127.0.0.2/31", False),
        ("::1", False),
        ("192.0.2.1 10.0.0.0/8 127.0.0.1/32", True),
    ],
)
def test_allow_addresses(start, allow, is_allowed):
    port = free_port()
    one = start(
        {
            "www": (
                dict(
                    STANDARD_POOL,
                    listen=["{dir}/www.sock", "0.0.0.0:%d" % port],
                    allow=allow,
                ),
                STANDARD_MAPS,
            )
        }
    )
    if not is_allowed:
        one.expect(text="refused to 127.0.0.1, who is not in allow")
    assert is_let_in(("127.0.0.1", port)) == is_allowed
    # Addresses say nothing of the Unix socket.
    assert one.request("/cgi-bin/hello.sh").status == 200


def test_allow_is_asked_in_a_drain(start):
    """Of those, too, who have connected and were not accepted yet."""
    port = free_port()
    keys = dict(
        STANDARD_POOL,
        listen=["{dir}/www.sock", "127.0.0.1:%d" % port],
        allow="192.0.2.1",
    )
    one = start({"www": (keys, STANDARD_MAPS)})
    one.expect(text="refused to 127.0.0.1, who is not in allow")
    gateway = one.role("gateway www")
    os.kill(gateway, signal.SIGSTOP)
    data = encode(nginx_params("/cgi-bin/hello.sh"))
    connections = [Connection(("127.0.0.1", port)).send(data) for _ in range(5)]
    one.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not os.path.exists(one.sockets["www"]), "the socket to go")
    os.kill(gateway, signal.SIGCONT)
    for connection in connections:
        with connection:
            assert connection.read().raw == b""
    assert one.process.wait(10) == 0
    one.stop()


@needs_ipv6
def test_allow_ipv6(start):
    good, bad = free_port("::1"), free_port("::1")
    pool = dict(STANDARD_POOL)
    one = start(
        {
            "a": (
                dict(pool, listen=["{dir}/a.sock", "[::]:%d" % good], allow="::/127"),
                STANDARD_MAPS,
            ),
            "b": (
                dict(
                    pool,
                    listen=["{dir}/b.sock", "[::]:%d" % bad],
                    allow="2001:db8::/32 127.0.0.1",
                ),
                STANDARD_MAPS,
            ),
        }
    )
    one.expect(text="refused to ::1, who is not in allow")
    assert is_let_in(("::1", good))
    assert not is_let_in(("::1", bad))


@needs_ipv6
def test_several_listeners(start):
    """Two Unix sockets, IPv4 and IPv6 of one port: all of one pool."""
    port = free_port()
    one = start(
        {
            "www": (
                dict(
                    STANDARD_POOL,
                    listen=[
                        "{dir}/www.sock",
                        "unix:{dir}/second.sock",
                        "127.0.0.1:%d" % port,
                        "[::1]:%d" % port,
                    ],
                ),
                STANDARD_MAPS,
            )
        }
    )
    for address in (
        one.sockets["www"],
        str(one.directory / "second.sock"),
        ("127.0.0.1", port),
        ("::1", port),
    ):
        assert is_let_in(address)


def test_an_open_port_is_an_error(start):
    """Nothing is started, and the message says what to write."""
    port = free_port()
    one = start(
        {"www": (dict(STANDARD_POOL, listen=["0.0.0.0:%d" % port]), STANDARD_MAPS)},
        ready=False,
    )
    assert one.process.wait(10) == 78
    text = one.stderr.read_text()
    assert re.search(
        r"scgid\.conf:\d+: listen: 0\.0\.0\.0:%d is not a loopback" % port, text
    )
    assert "allow = " in text
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    one.kill()


def test_refused_peers_cost_nothing(start):
    """A thousand of them leave descriptors and requests as they were."""
    port = free_port()
    one = start(
        {
            "www": (
                dict(
                    STANDARD_POOL,
                    listen=["{dir}/www.sock", "127.0.0.1:%d" % port],
                    allow="192.0.2.1",
                ),
                STANDARD_MAPS,
            )
        }
    )
    one.expect(text="not in allow")
    for _ in range(1000):
        socket.create_connection(("127.0.0.1", port)).close()
    assert not is_let_in(("127.0.0.1", port))


@pytest.mark.root
def test_owner_group_and_mode_from_the_first_moment(start):
    """Whoever looks while it is made never sees a socket more open than asked."""
    owner, group = user_ids("games")[0], user_ids("irc")[1]
    for _ in range(5):
        seen = set()
        done = threading.Event()
        paths = []

        class Watched(Scgid):
            def write_configuration(self, pools, tcp):
                super().write_configuration(pools, tcp)
                paths.append(self.sockets["www"])
                watcher.start()

        def watch():
            while not done.is_set():
                try:
                    found = os.lstat(paths[0])
                except FileNotFoundError:
                    continue
                seen.add((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid))

        watcher = threading.Thread(target=watch)
        keys = dict(
            STANDARD_POOL, listen_owner="games", listen_group="irc", listen_mode="0620"
        )
        one = Watched({"www": (keys, STANDARD_MAPS)})
        start.own.append(one)
        done.set()
        watcher.join()
        assert (0o620, owner, group) in seen
        # Closed to all until it is whole.
        assert all(
            mode == 0 or entry == (0o620, owner, group)
            for entry in seen
            for mode in entry[:1]
        )
        one.stop()


def test_backlog_is_told(start):
    """What listen(2) makes of it: the system has a limit of its own."""
    with open("/proc/sys/net/core/somaxconn") as stream:
        limit = int(stream.read())
    ask = 65535
    one = start(
        {
            "a": (dict(STANDARD_POOL, backlog=7), STANDARD_MAPS),
            "b": (dict(STANDARD_POOL, backlog=ask), STANDARD_MAPS),
            "c": (STANDARD_POOL, STANDARD_MAPS),
        }
    )
    text = one.stderr.read_text()
    assert re.search(r" pool c .*backlog %d[:\n]" % min(limit, 4096), text)
    assert re.search(
        r"info supervisor\S+ pool a listens on \S+/a.sock, backlog 7\n", text
    )
    if limit < ask:
        assert re.search(
            r"warn supervisor\S+ pool b .*backlog %d: .* of 65535 asked for" % limit,
            text,
        )
    else:
        assert re.search(r"info supervisor\S+ pool b .*backlog 65535\n", text)
