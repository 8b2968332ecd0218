"""Conformance 51-77: what a program prints, and what the front end gets.

`raw.sh` prints the request's body: each test posts the output to be judged.
"""

import os
import time

import pytest

from harness.client import to_bytes, wait_for


def say(scgid, output, method="POST", path="/cgi-bin/raw.sh", **options):
    return scgid.request(path, to_bytes(output), method=method, **options)


def good(scgid, output, status, **options):
    reply = say(scgid, output, **options)
    assert not reply.broken, reply
    assert reply.status == status, reply
    head = reply.raw.partition(b"\r\n\r\n")[0]
    assert b"\n" not in head.replace(b"\r\n", b""), "a bare LF in the header"
    assert head.startswith(b"Status: ")
    return reply


def refused(scgid, output, reason="bad-header", **options):
    scgid.expect(reason=reason)
    reply = say(scgid, output, **options)
    assert reply.status == 502, reply
    assert reason.encode() in reply.body
    line = scgid.failure(reply)
    assert line["reason"] == reason
    return reply, line


def noted(scgid, pattern):
    """What was dropped or doubtful is in the log (and expected there)."""
    scgid.expect(text=pattern, optional=True)
    return scgid.wait_line(pattern)


@pytest.mark.parametrize(
    "output",
    [
        b"Content-Type: text/plain\nX-A: 1\n\nbody",
        b"Content-Type: text/plain\r\nX-A: 1\r\n\r\nbody",
        b"Content-Type: text/plain\r\nX-A: 1\n\r\nbody",
        b"Content-Type: text/plain\nX-A: 1\r\n\nbody",
        b"Content-Type:text/plain\nX-A:   1  \n\nbody",
    ],
    ids=repr,
)
def test_item_51_line_ends(scgid, output):
    reply = good(scgid, output, 200)
    assert reply.headers == [
        ("Status", "200 OK"),
        ("Content-Type", "text/plain"),
        ("X-A", "1"),
    ]
    assert reply.body == b"body"


@pytest.mark.parametrize(
    "output",
    [
        "Location: http://a/\nStatus: 303 See\n\n",
        "Status: 303 See\nLocation: http://a/\n\n",
    ],
    ids=repr,
)
def test_item_52_field_order(scgid, output):
    reply = good(scgid, output, 303)
    assert reply.header("Location") == "http://a/"


def test_item_53_names_without_case(scgid):
    reply = good(
        scgid, "sTATUS: 404 Gone\ncontent-TYPE: a/b\nLOCATION: http://x/\n\n", 404
    )
    assert reply.header("Content-Type") == "a/b"
    assert len(reply.all("status")) == 1


def test_item_54_empty_field_is_not_sent(scgid):
    assert good(scgid, "Status:\nContent-Type: a/b\n\nx", 200).body == b"x"
    reply = good(scgid, "Location:\nContent-Type: a/b\n\nx", 200)
    assert reply.header("Location") is None
    reply = good(scgid, "Content-Type: \nContent-Type: a/b\nContent-Length:\n\nx", 200)
    assert reply.all("Content-Type") == ["a/b"]


@pytest.mark.parametrize(
    "output",
    [
        "Content-Type : a/b\n\nx",
        "Content-Type: a/b\n folded\n\nx",
        "X-A: 1\n\tfolded\n\n",
    ],
    ids=repr,
)
def test_item_55_bad_header(scgid, output):
    refused(scgid, output)


def test_item_55_folded_first_line(scgid):
    """There is no field that it could continue."""
    refused(scgid, " X: 1\n\n", "no-header")


def test_item_55_the_log_tells_where(scgid):
    _, line = refused(scgid, "Content-Type: a/b\nX-Bad : \x1b1\n\n")
    assert "2" in line["detail"] and "X-Bad" in line["detail"]


def test_item_56_first_of_duplicates_wins(scgid):
    output = "Content-Type: a/b\nContent-Type: c/d\nStatus: 404 No\nStatus: 200 OK\n"
    scgid.expect(text=r"(?i)content-type", optional=True)
    scgid.expect(text=r"(?i)status", optional=True)
    scgid.expect(text=r"(?i)location", optional=True)
    reply = good(scgid, output + "Location: http://1/\nLocation: http://2/\n\nx", 404)
    assert reply.all("Content-Type") == ["a/b"]
    assert reply.all("Location") == ["http://1/"]
    for name in ("Content-Type", "Status", "Location"):
        scgid.wait_line("(?i)" + name)


@pytest.mark.parametrize(
    "status, code, phrase",
    [
        (None, 200, "OK"),
        ("404", 404, "Not Found"),
        ("404 ", 404, "Not Found"),
        ("404 X", 404, "X"),
        ("200 All is well", 200, "All is well"),
        ("599", 599, None),
        ("299 ", 299, None),
    ],
)
def test_item_57_status(scgid, status, code, phrase):
    line = "" if status is None else "Status: %s\n" % status
    reply = good(scgid, line + "Content-Type: a/b\n\nx", code)
    assert reply.phrase == phrase if phrase else reply.phrase
    assert reply.body == b"x"


@pytest.mark.parametrize(
    "status", ["abc", "99", "1000", "-200", "20 0", "2OO", "0", "600000"]
)
def test_item_57_status_that_is_none(scgid, status):
    refused(scgid, "Status: %s\nContent-Type: a/b\n\nx" % status)


def test_item_58_no_content_type(scgid):
    scgid.script("untyped.sh", "printf 'X-A: 1\\n\\nbody'")
    scgid.expect(text="(?i)content-type", optional=True)
    for _ in range(3):
        reply = scgid.request("/cgi-bin/untyped.sh")
        assert (reply.status, reply.body) == (200, b"body")
        assert reply.header("Content-Type") is None
    scgid.wait_line(r"(?i)untyped.*content-type|content-type.*untyped")
    scgid.probe()
    lines = [
        l
        for l in scgid.recent()
        if "untyped" in l.text and "content-type" in l.text.lower()
    ]
    assert len(lines) == 1, "logged once a script"


def test_item_59_empty_output(scgid):
    scgid.script("silent.sh", "exit 0")
    scgid.expect(reason="empty-output")
    reply = scgid.request("/cgi-bin/silent.sh")
    assert reply.status == 502
    assert scgid.failure(reply)["reason"] == "empty-output"


@pytest.mark.parametrize(
    "output", ["hello, world\n", "<html>\n<p>x</p>\n\nmore", "hello: world"]
)
def test_item_59_no_header(scgid, output):
    scgid.expect(text="reason=(no-header|bad-header)")
    reply = say(scgid, output)
    assert reply.status == 502
    assert b"no-header" in reply.body or output.startswith("hello:")


@pytest.mark.parametrize(
    "end, reason, fact",
    [
        ("exit 3", "exit-status", "3"),
        ("kill -SEGV $$", "killed-by-signal", "11"),
        ("kill -TERM $$", "killed-by-signal", "15"),
    ],
)
def test_item_60_end_inside_the_header(scgid, end, reason, fact):
    scgid.script("inside.sh", "printf 'Content-Type: text/plain\\nX-'\n" + end)
    scgid.expect(reason=reason)
    reply = scgid.request("/cgi-bin/inside.sh")
    assert reply.status == 502
    line = scgid.failure(reply)
    assert line["reason"] == reason
    assert (
        fact in line["detail"]
        or "SEGV" in line["detail"].upper()
        or fact in str(scgid.entry(reply))
    )


@pytest.mark.parametrize(
    "target", ["http://other.example/x?y", "https://a/", "ftp://h/f", "mailto:a@b"]
)
def test_item_61_absolute_location(scgid, target):
    reply = good(scgid, "Location: %s\n\n" % target, 302)
    assert reply.header("Location") == target


def test_item_62_location_with_status_and_body(scgid):
    output = "Status: 301 Moved\nLocation: http://x/\nContent-Type: text/html\n\n<a>there</a>"
    reply = good(scgid, output, 301)
    assert reply.header("Location") == "http://x/"
    assert reply.body == b"<a>there</a>"


def test_item_63_local_redirect(scgid):
    reply = good(scgid, "Location: /cgi-bin/tell.py/info?a=b%20c\n\n", 200)
    assert reply.header("Location") is None
    text = reply.body.decode()
    assert '"REQUEST_METHOD": "GET"' in text
    assert '"QUERY_STRING": "a=b%20c"' in text
    assert '"PATH_INFO": "/info"' in text
    assert '"CONTENT_LENGTH"' not in text
    assert '"body_length": 0' in text


def test_item_63_local_redirect_elsewhere(scgid):
    reply = good(scgid, "Location: /static/page.html\n\n", 302)
    assert reply.header("Location") == "/static/page.html"


def test_item_63_location_with_a_fragment(scgid):
    """Only the client can go there; it is no part of a query."""
    reply = good(scgid, "Location: /cgi-bin/tell.py?a=b#c\n\n", 302)
    assert reply.header("Location") == "/cgi-bin/tell.py?a=b#c"


def test_item_63_redirect_loop(scgid):
    scgid.script(
        "loop.sh",
        "echo x >>%s/hops\nprintf 'Location: /cgi-bin/loop.sh\\n\\n'"
        % scgid.writable("hops"),
    )
    scgid.expect(reason="redirect-loop")
    reply = scgid.request("/cgi-bin/loop.sh")
    assert reply.status in (500, 502, 508), reply
    assert scgid.failure(reply)["reason"] == "redirect-loop"
    with open(scgid.directory / "hops/hops") as stream:
        assert len(stream.readlines()) in (5, 6)
    os.unlink(scgid.directory / "hops/hops")


def test_item_64_local_location_with_status(scgid):
    for status in (301, 302, 303, 307, 308):
        reply = good(
            scgid, "Status: %d X\nLocation: /cgi-bin/tell.py\n\n" % status, status
        )
        assert reply.header("Location") == "/cgi-bin/tell.py"


def test_item_65_relative_location(scgid):
    scgid.expect(text="(?i)location", optional=True)
    reply = good(scgid, "Location: foo\n\n", 302)
    assert reply.header("Location") == "foo"
    scgid.wait_line("(?i)location")


def test_item_66_several_cookies(scgid):
    reply = good(
        scgid,
        "Set-Cookie: a=1\nX-B: 2\nset-cookie: c=3; Path=/\nContent-Type: a/b\n\n",
        200,
    )
    assert reply.all("set-cookie") == ["a=1", "c=3; Path=/"]


@pytest.mark.parametrize(
    "field",
    [
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Keep-Alive: 5",
        "Upgrade: x",
        "TE: y",
        "Trailer: z",
        "Proxy-Connection: q",
    ],
)
def test_item_67_hop_by_hop_fields(scgid, field):
    scgid.expect(text="(?i)" + field.split(":")[0], optional=True)
    reply = good(scgid, "%s\nContent-Type: a/b\n\nx" % field, 200)
    assert reply.header(field.split(":")[0]) is None
    assert reply.body == b"x"


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: x",
        "Content-Length: -1",
        "Content-Length: 1\nContent-Length: 2",
        "Content-Length: 99999999999999999999",
        "Content-Length: 1, 1",
        "Content-Length: 1 1",
    ],
    ids=repr,
)
def test_item_68_content_length_that_is_none(scgid, fields):
    refused(scgid, fields + "\nContent-Type: a/b\n\nx")


def test_item_68_two_that_agree(scgid):
    scgid.expect(text="(?i)content-length", optional=True)
    reply = good(
        scgid, "Content-Length: 1\nContent-Length: 1\nContent-Type: a/b\n\nx", 200
    )
    assert reply.all("Content-Length") == ["1"]


def test_item_69_head(scgid):
    scgid.script("head.sh", "printf 'Content-Type: a/b\\nContent-Length: 4\\n\\nbody'")
    reply = scgid.request("/cgi-bin/head.sh", method="HEAD")
    assert (reply.status, reply.body, reply.broken) == (200, b"", None)
    assert reply.header("Content-Length") == "4"
    scgid.script(
        "big-head.sh", "printf 'Content-Type: a/b\\n\\n'\nhead -c 3000000 /dev/zero"
    )
    reply = scgid.request("/cgi-bin/big-head.sh", method="HEAD")
    assert (reply.status, reply.body, reply.broken) == (200, b"", None)


@pytest.mark.parametrize("status", [204, 304])
def test_item_70_statuses_without_a_body(scgid, status):
    scgid.expect(text="body", optional=True)
    for body in ("", "x", "x" * 100000):
        reply = good(
            scgid, "Status: %d X\nContent-Type: a/b\n\n%s" % (status, body), status
        )
        assert reply.body == b""


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching", "103", "199"])
def test_item_71_informational(scgid, status):
    refused(scgid, "Status: %s\nContent-Type: a/b\n\nx" % status)


def test_item_72_cgi_extension_fields(scgid):
    scgid.expect(text="(?i)x-cgi", optional=True)
    reply = good(
        scgid, "X-CGI-Secret: 1\nx-cgi-b: 2\nX-CGIX: 3\nContent-Type: a/b\n\nx", 200
    )
    assert reply.header("X-CGI-Secret") is None and reply.header("x-cgi-b") is None
    assert reply.header("X-CGIX") == "3"


def test_item_73_lines_that_are_no_field(scgid):
    """Python's cgitb prints this before its header."""
    scgid.expect(text=".", optional=True)
    output = "<!--: spam\nContent-Type: text/html\nX(A): 1\n<body>\nX-Kept: 1\n\nx"
    reply = good(scgid, output, 200)
    assert [n for n, _ in reply.headers] == ["Status", "Content-Type", "X-Kept"]
    scgid.wait_line("<!--")


@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\x1b", b"\x7f", b"\r"], ids=repr)
def test_item_74_controls_in_values(scgid, byte):
    output = b"Content-Type: a/b\nX-A: one" + byte + b"two: 3\n\nx"
    reply, _ = refused(scgid, output)
    assert b"two" not in reply.raw
    assert b"\x1b" not in scgid.stderr.read_bytes()


@pytest.mark.parametrize(
    "output",
    [b"Status: 200 O\rK\n\n", b"Location: http://x/\r\rSet-Cookie: y\n\n"],
    ids=repr,
)
def test_item_74_no_injection(scgid, output):
    refused(scgid, output)


def test_item_75_block_over_the_limit(scgid):
    scgid.expect(reason="header-too-large")
    reply = say(scgid, "X-A: " + "a" * 70000 + "\n\nbody")
    assert reply.status == 502
    line = scgid.failure(reply)
    assert line["reason"] == "header-too-large"
    assert any(c.isdigit() for c in line["detail"])
    assert good(scgid, "X-A: %s\nContent-Type: a/b\n\nx" % ("a" * 60000), 200)
    scgid.expect(text="header", optional=True)


@pytest.mark.parametrize("length", [0, 1, 2, 4095, 4096, 65535, 65536, 65537, 1000003])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_76_body_is_byte_exact(scgid, length, tcp):
    body = (bytes(range(256)) * (length // 256 + 1))[:length]
    reply = good(scgid, b"Content-Type: a/b\n\n" + body, 200, tcp=tcp)
    assert reply.body == body
    announced = b"Content-Type: a/b\nContent-Length: %d\n\n" % length
    assert good(scgid, announced + body, 200, tcp=tcp).body == body


@pytest.mark.parametrize(
    "output",
    [
        b"X-A: 1\n\n\n\nX-B: 2\n\n",
        b"X-A: 1\n\n\r\n\r\n",
        b"Content-Type: a/b\r\n\r\n\nHTTP/1.1 500 x\n\n",
    ],
    ids=repr,
)
def test_item_76_body_that_looks_like_a_header(scgid, output):
    scgid.expect(text="(?i)content-type", optional=True)
    gap = (
        b"\r\n\r\n" if b"\r\n\r\n" in output[:30] and b"Content" in output else b"\n\n"
    )
    assert good(scgid, output, 200).body == output.partition(gap)[2]


@pytest.mark.parametrize(
    "first, status, phrase",
    [
        ("HTTP/1.1 404 Gone away", 404, "Gone away"),
        ("HTTP/1.0 200 OK", 200, "OK"),
        ("HTTP/1.1 500", 500, "Internal Server Error"),
        ("HTTP/2 201 Made", 201, "Made"),
    ],
)
def test_item_77_http_status_line(scgid, first, status, phrase):
    for end in ("\n", "\r\n"):
        reply = good(
            scgid, "%s%sContent-Type: a/b%s%sx" % (first, end, end, end), status
        )
        assert reply.phrase == phrase
        assert b"HTTP/" not in reply.raw
        assert reply.body == b"x"


def test_item_77_arrives_in_pieces(scgid):
    scgid.script(
        "pieces.sh",
        "for part in H TTP/1. '1 404 Go' 'ne away' '\\nContent-Type: a/b\\n' '\\nx'; do\n"
        'printf "$part"; sleep 0.03\ndone',
    )
    reply = scgid.request("/cgi-bin/pieces.sh")
    assert (reply.status, reply.phrase, reply.body) == (404, "Gone away", b"x")


def test_header_in_single_bytes(scgid):
    scgid.script(
        "bytes.pl",
        'syswrite STDOUT, $_ for split //, "Content-Type: text/plain\\r\\nX-A: 1\\r\\n\\r\\nbody";',
        interpreter="#!/usr/bin/perl\n",
    )
    reply = scgid.request("/cgi-bin/bytes.pl")
    assert (
        reply.raw == b"Status: 200 OK\r\nContent-Type: text/plain\r\nX-A: 1\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    "field",
    ["X-Accel-Redirect: /x", "X-Accel-Buffering: no", "X-Sendfile: /etc/passwd"],
)
def test_accel_fields(scgid, field):
    scgid.expect(text="(?i)x-", optional=True)
    output = field + "\nContent-Type: a/b\n\nx"
    name = field.split(":")[0]
    assert good(scgid, output, 200).header(name) is None
    assert good(scgid, output, 200, path="/accel/raw.sh").header(name)


def test_more_body_than_announced_is_cut(scgid):
    scgid.expect(text="(?i)(extra|more|content-length)", optional=True)
    reply = good(scgid, "Content-Type: a/b\nContent-Length: 3\n\nabcdef", 200)
    assert reply.body == b"abc"
    scgid.wait_line(lambda l: l.fields.get("request") == reply.id)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_less_body_than_announced_breaks_the_transfer(scgid, tcp):
    scgid.expect(reason="truncated-body")
    scgid.script("raw-and-more.sh", "cat; sleep 0.3")
    reply = say(
        scgid,
        "Content-Type: a/b\nContent-Length: 30\n\nabc",
        path="/cgi-bin/raw-and-more.sh",
        tcp=tcp,
    )
    assert reply.broken, reply
    assert scgid.entry(reply)["reason"] == "truncated-body"


# What a young worker prints is kept

SOON = {
    "truncated-body": "printf 'Content-Type: a/b\\nContent-Length: 30\\n\\nabc'",
    "killed-by-signal": "printf 'Content-Type: a/b\\n\\nabc'; kill -9 $$",
}


@pytest.mark.parametrize("reason", SOON)
def test_a_crash_soon_is_an_error_page(scgid, reason):
    """Nothing of the response was sent.  A busy machine may take too long."""
    scgid.expect(reason=reason)
    scgid.script("soon.sh", SOON[reason])

    def is_page():
        reply = scgid.request("/cgi-bin/soon.sh")
        assert scgid.failure(reply)["reason"] == reason
        if reply.broken:
            return False
        assert reply.status == 502 and b"abc" not in reply.raw
        assert reason.encode() in reply.body
        entry = scgid.entry(reply)
        assert (entry["reason"], entry["status"]) == (reason, 502)
        assert entry["out"] == len(reply.body)
        return True

    wait_for(is_page, "an error page", 10.0)


def test_a_short_response_is_sent_in_one_piece(scgid):
    scgid.script(
        "short.sh", "printf 'Content-Type: a/b\\n\\n'; sleep 0.003; echo one; echo two"
    )

    def is_one():
        with scgid.start("/cgi-bin/short.sh") as connection:
            first = connection.read_some()
            rest = connection.read(start=first)
        assert rest.body == b"one\ntwo\n" and not rest.broken
        return first == rest.raw

    wait_for(is_one, "one piece", 10.0)


def test_a_beginning_is_not_kept_for_long(scgid):
    scgid.script("begin.sh", "printf 'Content-Type: a/b\\n\\nbegin'; sleep 2; echo end")
    with scgid.start("/cgi-bin/begin.sh") as connection:
        before = time.monotonic()
        first = connection.read_some()
        assert time.monotonic() - before < 1.5
        assert first.endswith(b"begin")
        assert connection.read(start=first).body == b"beginend\n"


def test_a_beginning_waits_for_no_background(scgid):
    """The worker has ended, what it left behind has stdout: it is sent."""
    scgid.script(
        "leave.sh", "printf 'Content-Type: a/b\\n\\nbegin'; (sleep 0.1; echo end) &"
    )
    with scgid.start("/cgi-bin/leave.sh") as connection:
        first = connection.read_some()
        assert first.endswith(b"begin")
        assert connection.read(start=first).body == b"beginend\n"


def test_error_page(scgid):
    """The page names status, reason and request id; no path, no user."""
    scgid.script("secret-name.sh", "echo 'stderr text' >&2; exit 9")
    scgid.expect(reason="exit-status")
    reply = scgid.request("/cgi-bin/secret-name.sh")
    page = reply.body.decode()
    assert reply.header("Content-Type").startswith("text/html")
    assert "<h1>502 " in page
    assert "<code>exit-status</code>" in page
    assert reply.id in page
    for hidden in ("secret-name", "stderr text", str(scgid.cgi), "www-data"):
        assert hidden not in page
    line = scgid.failure(reply)
    assert "stderr text" in line["stderr"]
    assert line["script"].endswith("secret-name.sh")


def test_error_page_with_debug(start):
    one = start({"www": ({"debug": "yes"}, {"/cgi-bin": {"root": "{cgi}"}})})
    one.script("broken.sh", "echo 'the <reason>' >&2; exit 9")
    one.expect(reason="exit-status")
    page = one.request("/cgi-bin/broken.sh").body.decode()
    assert "the &lt;reason&gt;" in page


def test_error_page_of_head_has_no_body(scgid):
    scgid.expect(reason="script-not-found")
    reply = scgid.request("/cgi-bin/none", method="HEAD")
    assert (reply.status, reply.body) == (404, b"")
