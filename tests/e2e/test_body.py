"""Conformance 43-50: the request body."""

import hashlib
import os
import time

import pytest

from conftest import STANDARD_POOL
from harness.client import encode

MIB = 1 << 20


def noise(length):
    """Bytes without a pattern, made fast."""
    piece = hashlib.sha512(b"seed").digest() * 1024
    return (piece * (length // len(piece) + 1))[:length]


@pytest.mark.parametrize(
    "length", [1, 255, 4096, 65536, 256 * 1024, 256 * 1024 + 1, 3 * MIB]
)
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_43_content_length_bytes_then_the_end(scgid, length, tcp):
    body = noise(length)
    seen = scgid.tell(method="POST", body=body, tcp=tcp)
    assert seen["stdin_regular"], "stdin is not seekable"
    assert (seen["offset"], seen["end"]) == (0, length)
    assert seen["body_length"] == length
    assert seen["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_item_43_dev_null_without_a_body(scgid):
    assert scgid.tell()["stdin_null"]
    seen = scgid.tell(method="POST")
    assert seen["body_length"] == 0


@pytest.mark.parametrize("length", [10, 300 * 1024])
def test_item_43_body_in_small_pieces(scgid, length):
    body = noise(length)
    params, request_id = scgid.params("/cgi-bin/cat.sh", body, method="POST")
    with scgid.connect() as connection:
        connection.send(encode(params))
        step = max(1, length // 20)
        for offset in range(0, length, step):
            connection.send(body[offset : offset + step])
        reply = connection.read(request_id)
    assert reply.body == body
    assert int(scgid.entry(reply)["in"]) == length


@pytest.mark.parametrize("length", [1, 200000, 5 * MIB])
def test_item_44_body_that_nobody_reads(scgid, length):
    reply = scgid.request("/cgi-bin/hello.sh", noise(length), method="POST")
    assert (reply.status, reply.body, reply.broken) == (200, b"hello\n", None)


def test_item_45_exits_before_reading(scgid):
    scgid.script(
        "early.sh", "exec <&-\nprintf 'Status: 201 Early\\nContent-Type: a/b\\n\\nbye'"
    )
    reply = scgid.request("/cgi-bin/early.sh", noise(2 * MIB), method="POST")
    assert (reply.status, reply.body, reply.broken) == (201, b"bye", None)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_46_hundred_megabytes_through_cat(scgid, tcp):
    body = noise(100 * MIB)
    reply = scgid.request("/cgi-bin/cat.sh", body, method="POST", tcp=tcp)
    assert reply.status == 200 and not reply.broken
    assert len(reply.body) == len(body)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(body).digest()
    assert int(scgid.entry(reply)["out"]) >= len(body)


def test_item_47_writes_a_lot_before_it_reads(scgid):
    scgid.script(
        "write-first.sh",
        "printf 'Content-Type: a/b\\n\\n'\nhead -c 1048576 /dev/zero\nexec cat",
    )
    body = noise(MIB)
    reply = scgid.request("/cgi-bin/write-first.sh", body, method="POST")
    assert reply.body == b"\0" * MIB + body


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("length", [100, 600000])
def test_item_48_client_stops_inside_the_body(scgid, tcp, length):
    place = scgid.writable("marks")
    scgid.script("mark.sh", ": >%s/started\nprintf 'Content-Type: a/b\\n\\n'" % place)
    params, request_id = scgid.params("/cgi-bin/mark.sh", noise(length), method="POST")
    scgid.expect(reason="client-aborted", optional=True)
    with scgid.connect(tcp=tcp) as connection:
        connection.send(encode(params) + noise(length // 2))
    entry = scgid.entry(request_id)
    assert entry["reason"] == "client-aborted"
    assert int(entry["status"]) == 499
    assert entry["exit"] == "none"
    assert not os.path.exists(place / "started")


def test_item_49_body_over_the_limit(start):
    one = start(
        {"www": ({"max_body": "1M"}, {"/cgi-bin": {"root": "{cgi}"}})}, tcp=True
    )
    one.expect(reason="body-too-large")
    for tcp in (False, True):
        reply = one.request("/cgi-bin/cat.sh", noise(5 * MIB), method="POST", tcp=tcp)
        assert reply.status == 413, reply
        assert b"body-too-large" in reply.body
        assert one.entry(reply)["exit"] == "none"
    body = noise(MIB)
    assert one.request("/cgi-bin/cat.sh", body, method="POST").body == body


@pytest.mark.parametrize("sent", [0, 5, 400000])
def test_item_50_announced_body_never_arrives(scgid, sent):
    params, request_id = scgid.params(
        "/cgi-bin/cat.sh", noise(sent + 10), method="POST"
    )
    scgid.expect(reason="body-timeout")
    begin = time.monotonic()
    with scgid.connect() as connection:
        connection.send(encode(params) + noise(sent))
        reply = connection.read(request_id)
    assert reply.status == 408, reply
    assert 0.9 < time.monotonic() - begin < 5
    entry = scgid.entry(reply)
    assert (entry["reason"], entry["exit"]) == ("body-timeout", "none")


def test_item_50_a_slow_body_is_no_silent_one(scgid):
    """The limit is on silence: body_timeout is 1s here, this takes longer."""
    params, request_id = scgid.params("/cgi-bin/cat.sh", b"slow", method="POST")
    with scgid.connect() as connection:
        connection.send(encode(params))
        begin = time.monotonic()
        for index in range(4):
            connection.send(b"slow"[index : index + 1])
            while time.monotonic() < begin + 0.45 * (index + 1):
                time.sleep(0.01)
        reply = connection.read(request_id)
    assert reply.body == b"slow"


def test_body_memory_zero(start):
    """Every body in a file, none left behind (the oracle looks)."""
    pool = dict(STANDARD_POOL, body_memory="0")
    one = start({"www": (pool, {"/cgi-bin": {"root": "{cgi}"}})})
    for length in (1, 100, 70000):
        assert one.request(
            "/cgi-bin/cat.sh", noise(length), method="POST"
        ).body == noise(length)
    assert one.tell(method="POST", body=b"x")["stdin_regular"]
