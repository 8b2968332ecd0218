"""tests/bench: the load generator tells what it saw, and nothing better."""

import contextlib
import json
import socket
import struct
import subprocess
import threading

import pytest

from harness.daemon import build_directory

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"


def load(target, uri, *options):
    command = [str(build_directory() / "tests" / "bench" / "load")]
    command += [str(option) for option in options] + [target, uri]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE).stdout)


def failures(result):
    return {name: count for name, count in result["failures"].items() if count}


@contextlib.contextmanager
def server(talk):
    """Calls talk(connection) for each connection; yields load's target."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    connections = []

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=guarded, args=(connection,)).start()

    def guarded(connection):
        with contextlib.suppress(OSError):
            talk(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in connections:
            connection.close()


def serve(*answers):
    """One answer for each request of a connection, then its end."""

    def talk(connection):
        for answer in answers:
            if not connection.recv(65536):
                break
            connection.sendall(answer)
        connection.close()

    return talk


def reset(connection):
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_good_over_scgi(scgid):
    """Not more requests than asked for, and each of them is in the log."""
    result = load("unix:" + scgid.address("www"), "/-probe", "-n", 30, "-c", 3)
    assert (result["sent"], result["good"], result["errors"]) == (30, 30, 0)
    assert result["bytes"] == 6 and result["statuses"] == {"200": 30}
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]


def test_status_is_an_error(scgid):
    result = load("unix:" + scgid.address("www"), "/cgi-bin/none", "-n", 5)
    assert (result["good"], result["errors"]) == (0, 5)
    assert result["statuses"] == {"404": 5} and failures(result) == {}
    scgid.expect(reason="script-not-found")


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED])
def test_connections_are_kept(answer):
    """And one that the server closes meanwhile is no error: ask again."""
    with server(serve(answer, answer, answer)) as target:
        result = load(target, "/", "-n", 10, "-c", 1)
    assert (result["good"], result["errors"]) == (10, 0), result


@pytest.mark.parametrize(
    "talk, name",
    [
        (reset, "reset"),
        (serve(WHOLE[:-1]), "cut"),
        (serve(CHUNKED[:-2]), "cut"),
        (serve(b""), "cut"),
        (serve(WHOLE + b"more"), "garbled"),
        (lambda connection: None, "timeout"),
    ],
)
def test_broken_answers(talk, name):
    with server(talk) as target:
        result = load(target, "/", "-n", 3, "-c", 3, "-t", 0.3)
    assert (result["good"], failures(result)) == (0, {name: 3})


def test_other_length_is_an_error():
    other = WHOLE.replace(b"2\r\n\r\nok", b"3\r\n\r\nyes")
    with server(serve(WHOLE, other, WHOLE)) as target:
        result = load(target, "/", "-n", 3, "-c", 1)
    assert (result["good"], failures(result)) == (2, {"odd length": 1})


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = load("http://127.0.0.1:%d" % port, "/", "-n", 3, "-c", 3)
    assert (result["good"], failures(result)) == (0, {"refused": 3})


def test_open_loop_keeps_its_rate():
    """Whatever comes back, and what waits is counted from when it was due."""
    with server(lambda connection: None) as target:
        silent = load(target, "/", "-r", 100, "-d", 0.5, "-c", 100, "-t", 0.3)
        few = load(target, "/", "-r", 100, "-d", 0.5, "-c", 10, "-t", 1, "-n", 50)
    assert (silent["sent"], failures(silent)) == (50, {"timeout": 50})
    assert few["failures"]["unsent"] == 40
