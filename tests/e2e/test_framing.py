"""Conformance 1-11: the SCGI framing, byte by byte."""

import time

import pytest

from harness.client import block, encode, netstring, nginx_params, wait_for

SMALL = [("CONTENT_LENGTH", 2), ("SCGI", 1), ("REQUEST_METHOD", "POST")]


def small(path, **more):
    """The shortest whole request, with a body of two bytes."""
    return encode(SMALL + [("REQUEST_URI", path)] + list(more.items()), b"ab")


def wait_taken(connection):
    """Wait until the daemon has read what was sent (or keeps it, peeked)."""
    deadline = time.monotonic() + 0.03
    while connection.unread() and time.monotonic() < deadline:
        time.sleep(0.0005)


def bad(scgid, data, rule=None, status=400, reason="bad-request"):
    """`data` is refused: with a page, a log line, and nothing started."""
    scgid.expect(reason=reason)
    reply = scgid.raw(data)
    assert reply.status == status, reply
    assert reason.encode() in reply.body
    line = scgid.wait_line(lambda l: l.fields.get("reason") == reason)
    assert line.fields["status"] == str(status)
    assert "script" not in line.fields
    if rule:
        assert rule in line.text.lower()
    ran = [e for e in scgid.read_access() if str(e.get("exit")) != "none"]
    assert not ran, "something was started: %r" % ran
    return line


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_1_split_anywhere(scgid, tcp):
    data = small("/cgi-bin/cat.sh")
    for cut in range(1, len(data)):
        with scgid.connect(tcp=tcp) as connection:
            connection.send(data[:cut])
            wait_taken(connection)
            reply = connection.exchange(data[cut:])
        assert (reply.status, reply.body) == (200, b"ab"), (cut, reply)


def test_item_1_one_byte_at_a_time(scgid):
    with scgid.connect() as connection:
        for byte in small("/cgi-bin/cat.sh"):
            connection.send(bytes([byte]))
            wait_taken(connection)
        reply = connection.read()
    assert (reply.status, reply.body) == (200, b"ab")


GOOD = block(SMALL + [("REQUEST_URI", "/cgi-bin/hello.sh")])


@pytest.mark.parametrize(
    "length",
    [
        b"0:,",
        b"-1:",
        b"+5:",
        b"007:",
        b" 7:",
        b"x:",
        b":",
        b"12a:",
        b"1e3:",
        b"99999999999999999999:",
        b"18446744073709551617:",
        b"0%d:" % len(GOOD),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x01\x01\x00\x01\x00\x08\x00\x00",
    ],
    ids=repr,
)
def test_item_2_length(scgid, length):
    bad(scgid, length + GOOD + b",ab")


@pytest.mark.parametrize("end", [b";", b"a", b"\0", b"\n"], ids=repr)
def test_item_3_missing_comma(scgid, end):
    bad(scgid, b"%d:%s%sab" % (len(GOOD), GOOD, end))


@pytest.mark.parametrize(
    "params",
    [
        GOOD + b"ODD\0",
        GOOD + b"ODD",
        GOOD[:-1],
        GOOD + b"\0value\0",
        GOOD + b"\0\0",
        b"\0" + GOOD,
    ],
    ids=["odd", "odd-open", "no-final-nul", "empty-name", "empty-pair", "shifted"],
)
def test_item_4_strings(scgid, params):
    bad(scgid, netstring(params) + b"ab")


REST = [("SCGI", 1), ("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/cgi-bin/hello.sh")]


@pytest.mark.parametrize(
    "first",
    [
        [],
        [("SCGI", 1), ("CONTENT_LENGTH", 2)],
        [("content_length", 2)],
        [("CONTENT_LENGTH", "")],
        [("CONTENT_LENGTH", "-0")],
        [("CONTENT_LENGTH", "+2")],
        [("CONTENT_LENGTH", "1e3")],
        [("CONTENT_LENGTH", " 2")],
        [("CONTENT_LENGTH", "2 ")],
        [("CONTENT_LENGTH", "0x2")],
        [("CONTENT_LENGTH", "9223372036854775808")],
        [("CONTENT_LENGTH", "99999999999999999999999")],
    ],
    ids=repr,
)
def test_item_5_content_length_first(scgid, first):
    bad(scgid, netstring(block(first + REST)) + b"ab")


@pytest.mark.parametrize("value", [None, "", "0", "2", "11", "1 ", "true"], ids=repr)
def test_item_6_scgi_is_one(scgid, value):
    params = [("CONTENT_LENGTH", 0), ("REQUEST_METHOD", "GET")]
    params += [("REQUEST_URI", "/cgi-bin/hello.sh")]
    if value is not None:
        params.append(("SCGI", value))
    bad(scgid, encode(params))


def test_item_6_scgi_is_not_exported(scgid):
    assert "SCGI" not in scgid.tell()["names"]


def test_item_7_later_content_length_is_ignored(scgid):
    params, request_id = scgid.params("/cgi-bin/tell.py", b"four", method="POST")
    for late in ("", "2", "99", "x"):
        again = params + [("CONTENT_LENGTH", late)]
        again = [(n, v) for n, v in again if n != "HTTP_X_REQUEST_ID"]
        reply = scgid.raw(encode(again, b"four"))
        assert reply.status == 200, (late, reply)
        assert b'"body": "four"' in reply.body
    scgid.sent.remove(request_id)
    scgid.expect(text="CONTENT_LENGTH", optional=True)


def test_item_7_first_duplicate_wins_and_is_logged(scgid):
    params, _ = scgid.params("/cgi-bin/tell.py")
    params.append(("REMOTE_USER", "first"))
    params.append(("REMOTE_USER", "second"))
    scgid.expect(text="REMOTE_USER", optional=True)
    reply = scgid.raw(encode(params))
    assert b'"REMOTE_USER": "first"' in reply.body
    assert b"second" not in reply.body
    scgid.wait_line("REMOTE_USER")


def test_item_7_duplicate_header_is_refused(scgid):
    params = nginx_params("/cgi-bin/hello.sh", HTTP_X_A="1") + [("HTTP_X_A", "2")]
    bad(scgid, encode(params))


@pytest.mark.parametrize(
    "name",
    [
        "A=B",
        "A B",
        "A-B",
        "A\nB",
        "\u00c4",
        "BASH_FUNC_x%%",
        "A.B",
        "HTTP_X-Y",
        "A\x1b",
        "=",
    ],
    ids=repr,
)
def test_item_8_names_that_are_none(scgid, name):
    params, _ = scgid.params("/cgi-bin/tell.py")
    scgid.expect(text=".", optional=True)
    reply = scgid.raw(encode(params + [(name, "leaked"), ("GOOD_NAME", "kept")]))
    assert reply.status == 200, reply
    assert b"leaked" not in reply.body
    assert b'"GOOD_NAME": "kept"' in reply.body


def test_item_9_header_over_the_limit(scgid):
    bad(scgid, b"200000:", status=431, reason="request-header-too-large")


def test_item_9_header_over_the_limit_in_full(scgid):
    params = nginx_params("/cgi-bin/hello.sh", HTTP_COOKIE="c" * 140000)
    bad(scgid, encode(params), status=431, reason="request-header-too-large")


def test_item_9_header_of_almost_the_limit(scgid):
    headers = {"X-%d" % i: "v" * 1000 for i in range(120)}
    reply = scgid.request("/cgi-bin/hello.sh", headers=headers)
    assert reply.status == 200


@pytest.mark.parametrize("sent", [b"", b"7", b"70:CONTENT"], ids=repr)
def test_item_10_slow_header_is_closed(scgid, sent):
    scgid.expect(reason="header-timeout", optional=not sent)
    begin = time.monotonic()
    with scgid.connect() as connection:
        if sent:
            connection.send(sent)
        reply = connection.read()
    # header_timeout is 1s
    assert 0.9 < time.monotonic() - begin < 4
    assert reply.status in (None, 408), reply


def test_item_10_one_byte_now_and_then_is_closed_too(scgid):
    scgid.expect(reason="header-timeout")
    begin = time.monotonic()
    with scgid.connect() as connection:
        data = small("/cgi-bin/hello.sh")
        sent = 0
        ended = False
        while not ended and time.monotonic() - begin < 6:
            try:
                connection.send(data[sent : sent + 1])
                sent += 1
            except ConnectionError:
                break
            connection.socket.settimeout(0.2)
            try:
                ended = connection.read_some() is not None
            except TimeoutError:
                pass
            except ConnectionError:
                ended = True
    assert time.monotonic() - begin < 4, "the deadline moved with each byte"


def test_item_10_end_inside_the_header_is_quiet(scgid):
    data = small("/cgi-bin/hello.sh")
    before = len(scgid.read_log())
    for cut in range(0, len(data) - 3, 7):
        with scgid.connect() as connection:
            connection.send(data[:cut])
    gateway = scgid.role("gateway www")
    wait_for(
        lambda: scgid.picture()["scgid: gateway www"]
        == scgid.baseline["scgid: gateway www"],
        "connections to be closed in %d" % gateway,
    )
    quiet = [l for l in scgid.read_log()[before:] if l.level in ("warn", "error")]
    assert not quiet


def test_item_11_bytes_after_the_body(scgid):
    params, _ = scgid.params("/cgi-bin/cat.sh", b"body", method="POST")
    reply = scgid.raw(encode(params, b"body") + b"and more of it")
    assert reply.status == 200
    assert reply.body == b"body"


def test_item_11_second_request_on_a_connection(scgid):
    first, first_id = scgid.params("/cgi-bin/cat.sh", b"body", method="POST")
    second, second_id = scgid.params("/cgi-bin/hello.sh", register=False)
    reply = scgid.raw(encode(first, b"body") + encode(second))
    assert reply.body == b"body"
    assert reply.raw.count(b"Status:") == 1
    scgid.entry(first_id)
    scgid.probe()
    assert not [e for e in scgid.read_access() if e["id"] == second_id]


def test_item_11_no_body_and_a_second_request(scgid):
    first, first_id = scgid.params("/cgi-bin/hello.sh")
    second, second_id = scgid.params("/cgi-bin/hello.sh", register=False)
    reply = scgid.raw(encode(first) + encode(second))
    assert reply.raw.count(b"Status:") == 1
    scgid.entry(first_id)
    scgid.probe()
    assert not [e for e in scgid.read_access() if e["id"] == second_id]


def test_ten_thousand_headers(scgid):
    params = nginx_params("/cgi-bin/hello.sh") + [
        ("HTTP_%d" % i, "") for i in range(10000)
    ]
    scgid.expect(text=".", optional=True)
    reply = scgid.raw(encode(params))
    assert reply.status in (200, 400, 431, 500), reply
