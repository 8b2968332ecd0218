"""The HTTP front end, byte by byte: scgi-http before a pool."""

import socket

import pytest

from test_commands import Program


@pytest.fixture
def front(scgid):
    target = "unix:" + scgid.sockets["www"]
    with Program("scgi-http", "-l", "127.0.0.1:PORT", target) as program:
        yield program


def talk(front, data):
    """Send and read to the end."""
    with socket.create_connection(("127.0.0.1", front.port), 20) as peer:
        peer.sendall(data)
        parts = []
        while True:
            try:
                part = peer.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            parts.append(part)
    return b"".join(parts)


def request(line, *fields, body=b""):
    head = [line.encode() + b" HTTP/1.1", b"Host: x"] + [f.encode() for f in fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


NEXT = request("GET /cgi-bin/none-of-this", "Connection: close")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_body_is_not_the_next_request(scgid, front, method):
    """evhttp reads one with POST, PUT and PATCH only: others are refused."""
    scgid.touched = True
    data = request(method + " /cgi-bin/hello.sh", "Content-Length: %d" % len(NEXT))
    answer = talk(front, data + NEXT)
    assert answer.startswith(b"HTTP/1.1 501 ") and answer.count(b"HTTP/1.1 ") == 1
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(NEXT), NEXT)
    data = request(method + " /cgi-bin/hello.sh", "Transfer-Encoding: chunked")
    answer = talk(front, data + chunks)
    assert answer.startswith(b"HTTP/1.1 501 ") and answer.count(b"HTTP/1.1 ") == 1
    answer = talk(
        front,
        request(method + " /cgi-bin/hello.sh", "Content-Length: 0", "Connection: close"),
    )
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_an_unknown_coding_is_not_the_next_request(scgid, front):
    scgid.touched = True
    data = request("POST /cgi-bin/cat.sh", "Transfer-Encoding: gzip")
    answer = talk(front, data + NEXT)
    assert answer.startswith(b"HTTP/1.1 501 ") and answer.count(b"HTTP/1.1 ") == 1


def test_of_two_lengths_neither_counts(scgid, front):
    scgid.touched = True
    lengths = ["Content-Length: 3", "Content-Length: %d" % (3 + len(NEXT))]
    answer = talk(front, request("POST /cgi-bin/cat.sh", *lengths) + b"abc" + NEXT)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1


def test_chunked_and_pipelined(scgid, front):
    scgid.touched = True
    first = request(
        "POST /cgi-bin/cat.sh", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"
    )
    answer = talk(front, first + request("GET /cgi-bin/hello.sh", "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b"abc" in answer and b"hello\n" in answer.split(b"HTTP/1.1 ")[2]


@pytest.mark.parametrize(
    "target, status",
    [
        ("http://x/cgi-bin/hello.sh", 200),
        ("http://x", 200),
        ("http://x?a=/cgi-bin/hello.sh", 400),
        ("x?a=://b/cgi-bin/hello.sh", 400),
        ("*", 400),
    ],
)
def test_absolute_target(scgid, target, status):
    """RFC 9112, 3.2.2; a path in a query is none."""
    scgid.touched = True
    pool = "unix:" + scgid.sockets["app"]
    with Program("scgi-http", "-l", "127.0.0.1:PORT", pool) as front:
        answer = talk(front, request("GET " + target, "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer


def test_limits(scgid, front):
    scgid.touched = True
    fields = ["X-%d: y" % i for i in range(300)]
    answer = talk(front, request("GET /cgi-bin/hello.sh", *fields))
    assert answer.startswith(b"HTTP/1.1 431 ")
    answer = talk(front, request("GET /cgi-bin/hello.sh", "X: " + "y" * 70000))
    assert answer.startswith(b"HTTP/1.1 400 ")
    answer = talk(front, request("PUT /cgi-bin/cat.sh", "Content-Length: 67108865"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert talk(front, request("BREW /")).startswith(b"HTTP/1.1 501 ")


def test_expect(scgid, front):
    scgid.touched = True
    with socket.create_connection(("127.0.0.1", front.port), 20) as peer:
        fields = ["Content-Length: 3", "Expect: 100-continue", "Connection: close"]
        peer.sendall(request("PUT /cgi-bin/cat.sh", *fields))
        assert peer.recv(1000).startswith(b"HTTP/1.1 100 ")
        peer.sendall(b"abc")
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            part = peer.recv(1000)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ") and b"\r\nabc\r\n" in answer
