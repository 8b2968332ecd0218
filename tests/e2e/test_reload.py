"""HUP: a new configuration, whole or not at all, and no request lost."""

import os
import re
import signal
import subprocess

import pytest

from harness.client import Background, wait_for
from harness.daemon import POOL_USER, descriptors, user_ids
from harness.servers import Nginx

MAPS = {"/cgi-bin": {"root": "{cgi}"}}


def hup(one, times=1):
    for _ in range(times):
        one.process.send_signal(signal.SIGHUP)


def reload(one):
    hup(one)
    one.wait_line(r"^\S+ info supervisor\[\d+\]: reloaded$")


def edit(one, pattern, replacement):
    text = one.configuration.read_text()
    changed = re.sub(pattern, replacement, text, flags=re.M)
    assert changed != text
    one.configuration.write_text(changed)


def roles(one, pool="www"):
    return one.roles("gateway " + pool) + one.roles("launcher " + pool)


def is_one_generation(one):
    return all(len(roles(one, pool)) == 2 for pool in one.sockets)


def test_item_87_reload_in_the_middle_of_a_request(start):
    one = start({"www": ({}, {"/cgi-bin": {"root": "{cgi}", "env.COLOUR": "red"}})})
    gate = one.directory / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    one.script(
        "colour.sh",
        "printf 'Content-Type: a/b\\n\\n'; read line <%s; echo $COLOUR" % gate,
    )
    one.script("now.sh", "printf 'Content-Type: a/b\\n\\n'; echo $COLOUR")
    with one.start("/cgi-bin/colour.sh") as connection:
        wait_for(one.workers, "the worker")
        edit(one, "red", "blue")
        reload(one)
        # The old gateway may accept until it has read its order.
        wait_for(
            lambda: one.request("/cgi-bin/now.sh").body == b"blue\n", "the new colour"
        )
        gate.write_text("go\n")
        reply = connection.read(connection.id)
    assert (reply.status, reply.body, reply.broken) == (200, b"red\n", None)
    wait_for(lambda: is_one_generation(one), "the old gateway to end")


@pytest.mark.parametrize(
    "pattern, replacement, complaint",
    [
        (r"^root = .*", "root = /nowhere/at/all", "scgid.conf:"),
        (r"^\[www\]", "[www]\nworkrs = 3", "workrs"),
        (r"^\[scgid\]", "[scgid", "scgid.conf:"),
    ],
)
def test_an_invalid_configuration_changes_nothing(
    start, pattern, replacement, complaint
):
    one = start({"www": ({}, MAPS)})
    before = roles(one)
    edit(one, pattern, replacement)
    one.expect(text=re.escape(complaint))
    one.expect(text="not reloaded, nothing has changed")
    hup(one)
    one.wait_line("not reloaded")
    assert one.request("/cgi-bin/hello.sh").status == 200
    assert roles(one) == before


def test_a_listener_that_cannot_be_bound_changes_nothing(start):
    one = start({"www": ({}, MAPS)})
    before = roles(one)
    in_the_way = one.directory / "file"
    in_the_way.write_text("precious")
    edit(one, r"^listen = .*", r"\g<0>" + "\nlisten = %s" % in_the_way)
    one.expect(text="left alone")
    one.expect(text="cannot listen|not reloaded", optional=True)
    hup(one)
    one.wait_line("not reloaded")
    assert roles(one) == before
    assert in_the_way.read_text() == "precious"
    assert one.request("/cgi-bin/hello.sh").status == 200


def test_a_log_that_cannot_be_opened_changes_nothing(start):
    one = start({"www": ({}, MAPS)})
    before = roles(one)
    edit(one, r"^\[scgid\]", "[scgid]\nlog = %s/none/log" % one.directory)
    one.expect(text="none/log: No such file")
    one.expect(text="not reloaded, nothing has changed")
    hup(one)
    one.wait_line("not reloaded")
    assert roles(one) == before
    assert one.request("/cgi-bin/hello.sh").status == 200


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_launcher_that_dies_in_a_drain_is_replaced(start, number):
    """Or what waits in the old gateway would wait in vain."""
    one = start({"www": ({"workers": 1}, MAPS)})
    gate = one.directory / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    one.script("parricide.sh", "read line <%s; kill -KILL $PPID; sleep 9" % gate)
    one.expect(reason="launcher-lost")
    one.expect(text="lost a launcher|launcher www was killed by signal 9")
    with one.start("/cgi-bin/parricide.sh") as first:
        wait_for(one.workers, "the worker")
        gateway = one.role("gateway www")
        before = descriptors(gateway)
        with one.start("/cgi-bin/hello.sh") as second:
            wait_for(lambda: descriptors(gateway) > before, "it to be accepted")
            if number == signal.SIGHUP:
                reload(one)
            else:
                one.process.send_signal(number)
                one.wait_line("draining")
            gate.write_text("go\n")
            assert first.read(first.id).status == 503
            reply = second.read(second.id)
            assert (reply.status, reply.body) == (200, b"hello\n")
    if number == signal.SIGHUP:
        wait_for(lambda: is_one_generation(one), "the old gateway to end")
    else:
        assert one.process.wait(10) == 0
        one.stop()


def test_pools_and_listeners_come_and_go(start):
    one = start({"www": ({}, MAPS), "alice": ({}, MAPS)})
    one.expect(text="have one user", optional=True)
    text = one.configuration.read_text()
    inode = os.stat(one.sockets["www"]).st_ino
    head, _, alice = text.partition("[alice]")
    second = str(one.directory / "second.sock")
    one.configuration.write_text(head.replace("[www]", "[www]\nlisten = " + second))
    gone = one.sockets.pop("alice")
    reload(one)
    wait_for(lambda: not os.path.exists(gone), "alice's socket to go")
    one.sockets["second"] = second
    assert one.request("/cgi-bin/hello.sh", pool="second").status == 200
    assert os.stat(one.sockets["www"]).st_ino == inode
    del one.sockets["second"]
    one.configuration.write_text(text)
    reload(one)
    wait_for(lambda: not os.path.exists(second), "the second socket to go")
    one.sockets["alice"] = gone
    assert one.request("/cgi-bin/hello.sh", pool="alice").status == 200
    wait_for(lambda: is_one_generation(one), "the old gateways to end")


def test_access_to_a_socket_changes(start):
    one = start({"www": ({"listen_mode": "0660"}, MAPS)})
    edit(one, "^listen_mode = .*", "listen_mode = 0600")
    reload(one)
    wait_for(
        lambda: os.stat(one.sockets["www"]).st_mode & 0o777 == 0o600, "the new mode"
    )
    wait_for(lambda: is_one_generation(one), "the old gateway to end")


@pytest.mark.root
def test_what_is_not_said_any_more_of_a_socket_is_undone(start):
    """As after a restart: who was let in by a line is not, without it."""
    one = start({"www": ({"listen_owner": POOL_USER, "listen_group": "nogroup"}, MAPS)})
    assert os.stat(one.sockets["www"]).st_uid == user_ids(POOL_USER)[0]
    edit(one, "^listen_(owner|group) = .*\n", "")
    reload(one)
    now = os.stat(one.sockets["www"])
    assert (now.st_uid, now.st_gid) == (os.geteuid(), os.getegid())
    wait_for(lambda: is_one_generation(one), "the old gateway to end")


def test_a_socket_file_that_was_removed_comes_back(start):
    one = start({"www": ({}, MAPS)})
    os.unlink(one.sockets["www"])
    reload(one)
    assert one.request("/cgi-bin/hello.sh").status == 200
    wait_for(lambda: is_one_generation(one), "the old gateway to end")


def test_many_reloads_at_once_under_load(start):
    """25 HUPs as fast as they can be sent, with requests all the time."""
    one = start({"www": ({}, MAPS)})
    statuses = []

    def ask():
        reply = one.request("/cgi-bin/hello.sh")
        statuses.append((reply.status, reply.broken))

    with Background(ask):
        for _ in range(3):
            hup(one, 25)
            done = len(statuses)
            wait_for(lambda: len(statuses) > done + 5, "requests", 20.0)
    assert set(statuses) == {(200, None)}
    wait_for(lambda: is_one_generation(one), "the old gateways to end", 20.0)


def test_no_request_fails_in_thirty_reloads(start, servers):
    """wrk through nginx; it counts what is not 2xx and what breaks off."""
    one = start({"www": ({}, MAPS)}, build="SCGID_BUILD_RELEASE")
    nginx = servers(Nginx, one)
    command = ["wrk", "-t", "1", "-c", "8", "-d", "4", nginx.url("/cgi-bin/hello.sh")]
    try:
        wrk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("no wrk")
    for _ in range(30):
        seen = len(one.read_log())
        hup(one)
        wait_for(
            lambda: any("reloaded" in l.text for l in one.read_log()[seen:]),
            "reload",
            20.0,
        )
    report, _ = wrk.communicate(timeout=60)
    assert "Non-2xx" not in report and "Socket errors" not in report, report
    assert int(re.search(r"(\d+) requests in", report).group(1)) > 30
    wait_for(lambda: is_one_generation(one), "the old gateways to end", 20.0)
