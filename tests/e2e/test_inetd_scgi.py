"""The WSGI module by itself: PEP 3333 under CGI, and one SCGI request on stdin.

No scgid runs here.  test_wsgi.py has the same module behind it.
"""

import ast
import os
import pathlib
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

import pytest

from harness import inetd
from harness.client import Connection, block, encode, netstring, nginx_params, wait_for
from harness.daemon import public_directory

# Another one to try: SCGID_TEST_PYTHON=/usr/local/bin/python3.9
PYTHON = os.environ.get("SCGID_TEST_PYTHON", sys.executable)
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "src" / "forkserver"
COMMAND = [PYTHON, "-B", str(FOLDER / "inetd_scgi.py")]
CGI = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "REQUEST_METHOD": "GET",
    "SERVER_NAME": "www.example.org",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SCRIPT_NAME": "/app",
    "PATH_INFO": "/x",
    "QUERY_STRING": "",
    "PATH": os.environ["PATH"],
}
# What an application begins with, so that the cases are short.
START = """\
import sys
OK = ("200 OK", [("Content-Type", "text/plain")])
"""


@pytest.fixture(autouse=True)
def oracle():
    """No daemon runs here."""


class Answer:
    """What a process said on stdout, as a CGI server reads it."""

    def __init__(self, code, raw, stderr=b""):
        self.code = code
        self.raw = raw
        self.stderr = stderr.decode("utf-8", "replace")
        head, gap, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n") if gap else []
        self.headers = [tuple(line.split(": ", 1)) for line in lines]
        self.status = dict(self.headers).get("Status")

    def header(self, name):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(found) < 2, found
        return found[0] if found else None

    def __repr__(self):
        return "<%s %r %s>" % (self.code, self.raw[:2000], self.stderr)


@pytest.fixture
def cgi(tmp_path):
    """cgi(source, body=b"", NAME=value...): the application's answer."""

    def run(source, body=b"", name="app.py", **environment):
        (tmp_path / name).write_text(START + source)
        done = subprocess.run(
            COMMAND + [str(tmp_path / name)],
            input=body,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(CGI, **environment),
            timeout=20,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


VALIDATED = """
from wsgiref.validate import validator
application = validator(application)
"""

# name -> application, status, body, Content-Length when nothing stands between.
SHAPES = {
    "list": (
        "def application(e, s):\n    s(*OK)\n    return [b'one']",
        b"one",
        "3",
    ),
    "tuple": (
        "def application(e, s):\n    s(*OK)\n    return (b'one', b'', b'two')",
        b"onetwo",
        "6",
    ),
    "generator": (
        "def application(e, s):\n    s(*OK)\n    yield b'one'\n    yield b'two'",
        b"onetwo",
        None,
    ),
    "late start": (
        "def application(e, s):\n"
        "    def late():\n"
        "        yield b''\n"
        "        s(*OK)\n"
        "        yield b''\n"
        "        yield b'late'\n"
        "    return late()",
        b"late",
        None,
    ),
    "iterator": (
        "class Two:\n"
        "    left = [b'a', b'b']\n"
        "    def __iter__(self):\n        return self\n"
        "    def __next__(self):\n"
        "        if not self.left:\n            raise StopIteration\n"
        "        return self.left.pop(0)\n"
        "def application(e, s):\n    s(*OK)\n    return Two()",
        b"ab",
        None,
    ),
    "iterable": (
        "class Two:\n"
        "    def __iter__(self):\n        return iter([b'a', b'b'])\n"
        "def application(e, s):\n    s(*OK)\n    return Two()",
        b"ab",
        None,
    ),
    "class": (
        "class application:\n"
        "    def __init__(self, e, s):\n        s(*OK)\n"
        "    def __iter__(self):\n        yield b'class'",
        b"class",
        None,
    ),
    "callable instance": (
        "class App:\n"
        "    def __call__(self, e, s):\n        s(*OK)\n        return [b'called']\n"
        "application = App()",
        b"called",
        "6",
    ),
    "write": (
        "def application(e, s):\n"
        "    w = s(*OK)\n    w(b'one ')\n    w(b'')\n    w(b'two ')\n    return [b'three']",
        b"one two three",
        None,
    ),
    "empty list": ("def application(e, s):\n    s(*OK)\n    return []", b"", "0"),
    "empty chunk": ("def application(e, s):\n    s(*OK)\n    return [b'']", b"", "0"),
    "empty generator": (
        "def application(e, s):\n    s(*OK)\n    return iter(())",
        b"",
        "0",
    ),
    "headers replaced": (
        "def application(e, s):\n"
        "    s(*OK)\n"
        "    try:\n        1 / 0\n"
        "    except ZeroDivisionError:\n"
        "        s('200 OK', [('Content-Type', 'a/b')], sys.exc_info())\n"
        "    return [b'handled']",
        b"handled",
        "7",
    ),
    "own length": (
        "def application(e, s):\n"
        "    s('200 OK', [('Content-Type', 'a/b'), ('content-length', '6')])\n"
        "    yield b'one'\n    yield b'two'",
        b"onetwo",
        "6",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(cgi, shape):
    source, body, length = SHAPES[shape]
    answer = cgi(source)
    assert (answer.code, answer.stderr) == (0, ""), answer
    assert (answer.status, answer.body) == ("200 OK", body)
    assert answer.header("Content-Length") == length
    assert answer.headers[0] == ("Status", "200 OK")


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"late start"}))
def test_shapes_validated(cgi, shape):
    """wsgiref.validate stands between, and has nothing to say of either side.

    It does not like a late start_response, which PEP 3333 allows.
    """
    source, body, _ = SHAPES[shape]
    answer = cgi(source + VALIDATED)
    assert (answer.code, answer.stderr) == (0, ""), answer
    assert (answer.status, answer.body) == ("200 OK", body)


def test_validator_is_strict_here(cgi):
    """It would tell: an application that is wrong in a small way is refused."""
    answer = cgi(
        "def application(e, s):\n    s('200 OK', [])\n    return [b'x']" + VALIDATED
    )
    assert answer.code == 1 and "Content-Type" in answer.stderr


# The environment


def tell(*names):
    """An application that prints entries of its environ."""
    return (
        "def application(e, s):\n    s(*OK)\n"
        "    return [repr([e.get(n) for n in %r]).encode()]" % (names,)
    )


def told(answer):
    assert answer.code == 0, answer
    return ast.literal_eval(answer.body.decode())


def test_wsgi_variables(cgi):
    names = ["version", "url_scheme", "multithread", "multiprocess", "run_once"]
    answer = cgi(tell(*("wsgi." + n for n in names)) + VALIDATED)
    assert told(answer) == [(1, 0), "http", False, True, True]


@pytest.mark.parametrize(
    "variables, scheme",
    [
        ({"HTTPS": "on"}, "https"),
        ({"HTTPS": "1"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"HTTPS": ""}, "http"),
        ({"REQUEST_SCHEME": "https"}, "https"),
        ({"REQUEST_SCHEME": "http"}, "http"),
        ({"HTTPS": "", "REQUEST_SCHEME": "https"}, "https"),
        ({"HTTPS": "off", "REQUEST_SCHEME": "https"}, "http"),
    ],
)
def test_url_scheme(cgi, variables, scheme):
    assert told(cgi(tell("wsgi.url_scheme"), **variables)) == [scheme]


def test_bytes_are_native_strings(cgi):
    """Each byte is the character with its number, whatever the locale says."""
    answer = cgi(
        "def application(e, s):\n    s(*OK)\n"
        "    return [e['PATH_INFO'].encode('latin-1'), repr(e['PATH_INFO']).encode()]",
        PATH_INFO=os.fsdecode(b"/\xc3\xa4\xff"),
        LC_ALL="C",
    )
    assert answer.body == b"/\xc3\xa4\xff" + b"'/\xc3\x83\xc2\xa4\xc3\xbf'"


@pytest.mark.parametrize(
    "name, info, seen",
    [
        ("/app", "/x", ["/app", "/x"]),
        ("/app", None, ["/app", ""]),
        ("", "/x", ["", "/x"]),
        ("", None, ["", "/"]),
        ("/", None, ["", "/"]),
        ("/", "/x", ["", "/x"]),
        ("/app", "", ["/app", ""]),
    ],
)
def test_paths(cgi, name, info, seen):
    """SCRIPT_NAME is empty at the top, and not both can be."""
    given = {"SCRIPT_NAME": name}
    if info is not None:
        given["PATH_INFO"] = info
    base = {n: v for n, v in CGI.items() if n != "PATH_INFO"}
    source = tell("SCRIPT_NAME", "PATH_INFO") + VALIDATED
    saved = dict(CGI)
    try:
        CGI.clear()
        CGI.update(base)
        assert told(cgi(source, **given)) == seen
    finally:
        CGI.update(saved)


def test_what_is_not_the_applications(cgi):
    """They are CONTENT_LENGTH and CONTENT_TYPE, and HTTP_PROXY is an attack."""
    names = ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_PROXY", "HTTP_X"]
    assert told(cgi(tell(*names), **{n: "1" for n in names})) == [None] * 3 + ["1"]


def test_errors_stream(cgi):
    """Text, and there before the process ends: an abort does not lose it."""
    answer = cgi(
        "import os\n"
        "def application(e, s):\n"
        "    f = e['wsgi.errors']\n"
        "    f.write('one ')\n    f.writelines(['two ', '\\u20ac'])\n    f.flush()\n"
        "    os._exit(3)",
        LC_ALL="C.UTF-8",
    )
    assert (answer.code, answer.stderr, answer.raw) == (3, "one two \u20ac", b"")


# wsgi.input


READS = {
    "read()": b"ab\ncd\nef",
    "read(3)": b"ab\n",
    "read(0)": b"",
    "read(100)": b"ab\ncd\nef",
    "read(-1)": b"ab\ncd\nef",
    "readline()": b"ab\n",
    "readline(1)": b"a",
    "readline(100)": b"ab\n",
    "readlines()": [b"ab\n", b"cd\n", b"ef"],
    "readlines(1)": [b"ab\n"],
}


@pytest.mark.parametrize("call", READS)
def test_input(cgi, call):
    """More is on stdin than the body, as a server may leave it open."""
    answer = cgi(
        "def application(e, s):\n    s(*OK)\n"
        "    return [repr(e['wsgi.input'].%s).encode()]" % call,
        b"ab\ncd\nefNOT YOURS\n",
        REQUEST_METHOD="POST",
        CONTENT_LENGTH="8",
    )
    assert told(answer) == READS[call]


def test_input_as_an_iterator_and_at_its_end(cgi):
    answer = cgi(
        "def application(e, s):\n    s(*OK)\n    i = e['wsgi.input']\n"
        "    return [repr((list(i), i.read(), i.read(5), i.readline(), list(i))).encode()]",
        b"ab\ncdNOT YOURS",
        REQUEST_METHOD="POST",
        CONTENT_LENGTH="5",
    )
    assert told(answer) == ([b"ab\n", b"cd"], b"", b"", b"", [])


def test_input_validated(cgi):
    answer = cgi(
        "def application(e, s):\n    s(*OK)\n    i = e['wsgi.input']\n"
        "    return [i.read(2) + i.readline() + b''.join(i.readlines()) + i.read(9)]"
        + VALIDATED,
        b"ab\ncd\nef",
        REQUEST_METHOD="POST",
        CONTENT_LENGTH="8",
    )
    assert (answer.body, answer.stderr) == (b"ab\ncd\nef", "")


@pytest.mark.parametrize("length", [None, "", "0"])
def test_no_body(cgi, length):
    """stdin is not read at all then: it may be a terminal, or never end."""
    given = {} if length is None else {"CONTENT_LENGTH": length}
    ours, theirs = os.pipe()
    os.write(theirs, b"x")
    source = "def application(e, s):\n    s(*OK)\n    return [b'<' + e['wsgi.input'].read() + b'>']"
    answer = cgi(source, **given)
    assert answer.body == b"<>"
    os.close(ours)
    os.close(theirs)


def test_input_is_never_read_past_the_body(tmp_path):
    """What follows is still in the pipe when the process has ended."""
    (tmp_path / "app.py").write_text(
        START
        + "def application(e, s):\n    s(*OK)\n    return [b'%d' % len(e['wsgi.input'].read())]"
    )
    ours, theirs = os.pipe()
    os.write(theirs, b"12345NEXT")
    done = subprocess.run(
        COMMAND + [str(tmp_path / "app.py")],
        stdin=ours,
        stdout=subprocess.PIPE,
        env=dict(CGI, REQUEST_METHOD="POST", CONTENT_LENGTH="5"),
    )
    assert done.stdout.endswith(b"\r\n\r\n5")
    assert os.read(ours, 100) == b"NEXT"
    os.close(ours)
    os.close(theirs)


def test_input_that_ends_too_early(cgi):
    """Half an upload must not look like a whole one."""
    source = "def application(e, s):\n    e['wsgi.input'].read()\n    s(*OK)\n    return [b'saved']"
    answer = cgi(source, b"1234", REQUEST_METHOD="POST", CONTENT_LENGTH="9")
    assert (answer.code, answer.raw) == (1, b"")
    assert "the request's body ended after 4 of 9 bytes" in answer.stderr


@pytest.mark.parametrize("length", ["x", "-1", "1x", "0x1", " 1", "1_0"])
def test_length_that_is_none(cgi, length):
    answer = cgi(tell("A"), b"abc", CONTENT_LENGTH=length)
    assert (answer.code, answer.status) == (0, "400 Bad Request")
    assert "bad request: CONTENT_LENGTH %r is not a length" % length in answer.stderr


def test_large_input(cgi):
    body = os.urandom(3000000)
    answer = cgi(
        "import hashlib\n"
        "def application(e, s):\n    s(*OK)\n    h = hashlib.sha256()\n"
        "    for part in iter(lambda: e['wsgi.input'].read(10000), b''):\n"
        "        h.update(part)\n"
        "    return [h.hexdigest().encode()]",
        body,
        REQUEST_METHOD="POST",
        CONTENT_LENGTH=str(len(body)),
    )
    import hashlib

    assert answer.body.decode() == hashlib.sha256(body).hexdigest()


# What may be sent


HEADERS = {
    "status int": ("200", "[]", "the status is int, not str"),
    "status bytes": ("b'200 OK'", "[]", "the status is bytes, not str"),
    "status short": ("'200'", "[]", "has not the form '200 OK'"),
    "status words": ("'OK 200'", "[]", "has not the form"),
    "status four": ("'2000 OK'", "[]", "has not the form"),
    "status 1xx": ("'100 Continue'", "[]", "has not the form"),
    "status superscript": ("'20\\xb2 OK'", "[]", "has not the form"),
    "status newline": ("'200 OK\\nX: y'", "[]", "has a control character"),
    "status greek": ("'200 \\u03b1'", "[]", "is not latin-1"),
    "headers tuple": ("'200 OK'", "(('A', 'b'),)", "the headers are tuple, not list"),
    "headers dict": ("'200 OK'", "{'A': 'b'}", "the headers are dict, not list"),
    "name bytes": ("'200 OK'", "[(b'A', 'b')]", "bytes and str, not str and str"),
    "value int": ("'200 OK'", "[('A', 1)]", "str and int, not str and str"),
    "name empty": ("'200 OK'", "[('', 'b')]", "'' is not the name of a header"),
    "name colon": ("'200 OK'", "[('A:', 'b')]", "is not the name of a header"),
    "name space": ("'200 OK'", "[('A B', 'b')]", "is not the name of a header"),
    "name newline": ("'200 OK'", "[('A\\n', 'b')]", "is not the name of a header"),
    "name umlaut": ("'200 OK'", "[('\\xe4', 'b')]", "is not the name of a header"),
    "value newline": ("'200 OK'", "[('A', 'b\\r\\nC: d')]", "has a control character"),
    "value nul": ("'200 OK'", "[('A', 'b\\0')]", "has a control character"),
    "value tab": ("'200 OK'", "[('A', 'b\\tc')]", "has a control character"),
    "value delete": ("'200 OK'", "[('A', '\\x7f')]", "has a control character"),
    "value greek": ("'200 OK'", "[('A', '\\u03b1')]", "is not latin-1"),
    "status header": ("'200 OK'", "[('status', '404')]", "a header Status is CGI's"),
    "length word": ("'200 OK'", "[('Content-Length', 'x')]", "is not one length"),
    "length minus": ("'200 OK'", "[('Content-Length', '-1')]", "is not one length"),
    "length twice": (
        "'200 OK'",
        "[('Content-Length', '1'), ('content-length', '1')]",
        "Content-Length: 1, 1 is not one length",
    ),
}
for hop in (
    "Connection",
    "keep-alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "UPGRADE",
):
    HEADERS["hop " + hop] = (
        "'200 OK'",
        "[(%r, 'x')]" % hop,
        "header %s is for the server to set" % hop,
    )


@pytest.mark.parametrize("case", HEADERS)
def test_refused_headers(cgi, case):
    status, headers, why = HEADERS[case]
    answer = cgi(
        "def application(e, s):\n    s(%s, %s)\n    return [b'x']" % (status, headers)
    )
    assert (answer.code, answer.raw) == (1, b"")
    assert why in answer.stderr.splitlines()[-1]


def test_refused_headers_can_be_replaced(cgi):
    """An application that catches the error may answer with other headers."""
    answer = cgi(
        "def application(e, s):\n"
        "    try:\n        s('200 OK', [('Connection', 'close')])\n"
        "    except ValueError:\n        s('500 Oops', [('A', 'b')])\n"
        "    return [b'x']"
    )
    assert (answer.code, answer.status, answer.header("A")) == (0, "500 Oops", "b")


def test_bytes_in_headers(cgi):
    answer = cgi(
        "def application(e, s):\n    s('200 \\xe4', [('A', '\\xfc \\x80')])\n    return []"
    )
    assert answer.raw.startswith(b"Status: 200 \xe4\r\nA: \xfc \x80\r\n")


def test_headers_keep_their_order(cgi):
    answer = cgi(
        "def application(e, s):\n"
        "    s('200 OK', [('Set-Cookie', 'a=1'), ('B', 'x'), ('Set-Cookie', 'a=2')])\n"
        "    return []"
    )
    assert answer.headers[1:4] == [
        ("Set-Cookie", "a=1"),
        ("B", "x"),
        ("Set-Cookie", "a=2"),
    ]


WRONG = {
    "str chunk": ("s(*OK); return ['text']", "a chunk that is str, not bytes"),
    "int chunk": ("s(*OK); return b'text'", "a chunk that is int, not bytes"),
    "bytearray": ("s(*OK); return [bytearray(b'x')]", "that is bytearray, not bytes"),
    "None": ("s(*OK)", "'NoneType' object is not iterable"),
    "no start": ("return []", "the application did not call start_response"),
    "no start, body": ("return [b'x']", "a body, and start_response was not called"),
    "twice": ("s(*OK); s(*OK); return []", "start_response was called twice"),
    "str write": ("s(*OK)('x')", "a chunk that is str, not bytes"),
    "its own": ("s(*OK); raise KeyError('mine')", "KeyError: 'mine'"),
    "first chunk": ("s(*OK); return (1 // 0 for _ in 'x')", "ZeroDivisionError"),
    "too short, nothing": (
        "s('200 OK', [('Content-Length', '3')]); return []",
        "the application sent 0 bytes; its Content-Length is 3",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_before_the_first_byte(cgi, case):
    """Nothing is sent: the server then has a page of its own."""
    source, why = WRONG[case]
    answer = cgi("def application(e, s):\n    " + source)
    assert (answer.code, answer.raw) == (1, b"")
    assert why in answer.stderr.splitlines()[-1]


def test_exit_of_the_application(cgi):
    """sys.exit is the application's: nothing sent, its own status."""
    answer = cgi("def application(e, s):\n    s(*OK)\n    sys.exit(7)")
    assert (answer.code, answer.raw, answer.stderr) == (7, b"", "")


# What goes wrong later


LATER = {
    "exception": "s(*OK); yield b'part'; raise KeyError('late')",
    "wrong chunk": "s(*OK); yield b'part'; yield 'text'",
    "exc_info": (
        "s(*OK); yield b'part'\n"
        "    try:\n        raise KeyError('late')\n"
        "    except KeyError:\n        s('500 X', [], sys.exc_info())"
    ),
    "sys.exit(0)": "s(*OK); yield b'part'; sys.exit(0)",
}


@pytest.mark.parametrize("case", LATER)
def test_wrong_after_the_first_byte(cgi, case):
    """A signal is all that tells a CGI server, as no length was announced."""
    answer = cgi(
        "import atexit\natexit.register(print, 'cleaned up')\n"
        "def application(e, s):\n    " + LATER[case]
    )
    assert answer.body == b"part"
    assert answer.code == -signal.SIGABRT
    assert "Traceback" in answer.stderr
    assert "ending by SIGABRT" in answer.stderr
    assert "cleaned up" in answer.stderr


def test_no_core_is_left(cgi):
    """Also where core files are wanted."""
    answer = cgi(
        "import os, resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
        "os.abort = lambda: os.system('echo limit $(ulimit -c)')\n"
        "def application(e, s):\n    " + LATER["exception"]
    )
    assert "limit 0\n" in answer.stderr


def test_exc_info_is_raised_once_headers_are_sent(cgi):
    """PEP 3333: start_response must raise what it is given."""
    answer = cgi(
        "def application(e, s):\n"
        "    w = s(*OK)\n    w(b'part')\n"
        "    try:\n        raise KeyError('mine')\n"
        "    except KeyError:\n"
        "        try:\n            s('500 X', [], sys.exc_info())\n"
        "        except KeyError as error:\n            return [repr(error).encode()]"
    )
    assert (answer.code, answer.body) == (0, b"partKeyError('mine')")


def test_too_few_bytes(cgi):
    """The length says it, so the exit status need not be a signal's."""
    answer = cgi(
        "def application(e, s):\n"
        "    s('200 OK', [('Content-Length', '10')])\n    yield b'12345'"
    )
    assert (answer.code, answer.body) == (1, b"12345")
    assert answer.header("Content-Length") == "10"
    assert "the application sent 5 bytes; its Content-Length is 10" in answer.stderr


@pytest.mark.parametrize(
    "chunks", ["[b'12345']", "iter([b'12', b'345'])", "[b'1', b'2345']"]
)
def test_too_many_bytes(cgi, chunks):
    answer = cgi(
        "def application(e, s):\n"
        "    s('200 OK', [('Content-Length', '3')])\n    return %s" % chunks
    )
    assert (answer.code, answer.body) == (0, b"123")
    assert "2 bytes more than its Content-Length, 3; they are cut off" in answer.stderr


def test_too_many_bytes_by_write(cgi):
    """PEP 3333: raise an error if the application tries to write() more."""
    answer = cgi(
        "def application(e, s):\n"
        "    w = s('200 OK', [('Content-Length', '3')])\n"
        "    try:\n        w(b'12345')\n"
        "    except ValueError as error:\n        print(error)\n"
        "    return []"
    )
    assert (answer.code, answer.body) == (0, b"123")
    assert answer.stderr == (
        "the application sent 2 bytes more than its Content-Length, 3\n"
    )


def test_iteration_stops_at_the_length(cgi):
    """PEP 3333: stop iterating when enough has been sent."""
    answer = cgi(
        "import itertools\n"
        "def application(e, s):\n"
        "    s('200 OK', [('Content-Length', '4')])\n    return itertools.repeat(b'ab')"
    )
    assert (answer.code, answer.body, answer.stderr) == (0, b"abab", "")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("result", ["[b'body']", "iter([b'body'])", "[]"])
def test_statuses_without_a_body(cgi, status, result):
    answer = cgi(
        "def application(e, s):\n    s(%r, [])\n    return %s" % (status, result)
    )
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.raw == b"Status: %s\r\n\r\n" % status.encode()


@pytest.mark.parametrize("status, seen", [("204 No Content", None), ("304 X", "9")])
def test_length_of_statuses_without_a_body(cgi, status, seen):
    """RFC 9110, 8.6: never with a 204; with a 304 it tells of the 200."""
    answer = cgi(
        "def application(e, s):\n    s(%r, [('Content-Length', '9')])\n    return []"
        % status
    )
    assert (answer.code, answer.header("Content-Length")) == (0, seen)


@pytest.mark.parametrize(
    "headers, result, length",
    [
        ("[]", "[b'page']", "4"),
        ("[]", "[b'pa', b'ge']", "4"),
        ("[]", "iter([b'page'])", None),
        ("[]", "[]", None),
        ("[]", "[b'']", None),
        ("[('Content-Length', '4')]", "[]", "4"),
        ("[('Content-Length', '4')]", "[b'page']", "4"),
    ],
)
def test_head(cgi, headers, result, length):
    """The same header as for GET, as far as we can know it, and no body."""
    answer = cgi(
        "def application(e, s):\n    s('200 OK', %s)\n    return %s"
        % (headers, result),
        REQUEST_METHOD="HEAD",
    )
    assert (answer.code, answer.stderr, answer.body) == (0, "", b"")
    assert answer.header("Content-Length") == length


# close(), and when things leave


CLOSING = """
class Closing:
    def __init__(self, chunks):
        self.chunks = iter(chunks)
    def __iter__(self):
        return self
    def __next__(self):
        return next(self.chunks)
    def close(self):
        print("closed", file=sys.stderr)
"""


@pytest.mark.parametrize(
    "method, headers, chunks, code",
    [
        ("GET", "[]", "[b'x']", 0),
        ("GET", "[]", "[]", 0),
        ("HEAD", "[]", "[b'x', b'y']", 0),
        ("GET", "[('Content-Length', '1')]", "[b'x', b'y']", 0),
        ("GET", "[('Content-Length', '9')]", "[b'x']", 1),
        ("GET", "[]", "(1 // 0 for _ in 'x')", 1),
        ("GET", "[]", "['text']", 1),
        ("GET", "[]", "(b'x' if i else 1 // 0 for i in (1, 0))", -signal.SIGABRT),
    ],
)
def test_close_is_always_called(cgi, method, headers, chunks, code):
    answer = cgi(
        CLOSING
        + "def application(e, s):\n    s('200 OK', %s)\n    return Closing(%s)"
        % (headers, chunks),
        REQUEST_METHOD=method,
    )
    assert answer.code == code, answer
    assert answer.stderr.splitlines().count("closed") == 1


def test_error_in_close(cgi):
    """The response is whole by then; only the exit status and stderr tell."""
    answer = cgi(
        CLOSING.replace('print("closed", file=sys.stderr)', "raise KeyError('close')")
        + "def application(e, s):\n    s(*OK)\n    return Closing([b'whole'])"
    )
    assert (answer.code, answer.body) == (1, b"whole")
    assert "KeyError: 'close'" in answer.stderr


def begin(tmp_path, source, **environment):
    """A process that runs on, to be talked to."""
    (tmp_path / "app.py").write_text(START + source)
    return subprocess.Popen(
        COMMAND + [str(tmp_path / "app.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(CGI, **environment),
    )


STEPS = "def step():\n    return sys.stdin.buffer.readline()\n"


def test_chunks_leave_as_they_come(tmp_path):
    """Headers with the first byte, not before; each chunk before the next."""
    process = begin(
        tmp_path,
        STEPS + "def application(e, s):\n    s(*OK)\n    yield b''\n"
        "    print('started', file=sys.stderr, flush=True)\n    step()\n"
        "    yield b'one'\n    step()\n    yield b'two'",
    )
    assert process.stderr.readline() == b"started\n"
    os.set_blocking(process.stdout.fileno(), False)
    assert process.stdout.read() is None, "headers before the body"
    os.set_blocking(process.stdout.fileno(), True)
    for word in (b"one", b"two"):
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 4096).endswith(word)
    assert process.wait(10) == 0
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def test_the_end_is_seen_before_the_process_ends(tmp_path):
    """What a script does after the response keeps no client waiting."""
    process = begin(
        tmp_path,
        STEPS + "import atexit\natexit.register(step)\n"
        "def application(e, s):\n    s(*OK)\n    return iter([b'whole'])",
    )
    assert process.stdout.read().endswith(b"whole")
    assert process.poll() is None
    process.communicate(b"\n", timeout=10)
    assert process.returncode == 0


def test_client_that_leaves(tmp_path):
    """close() is called, nothing is complained about, the status is not 0."""
    process = begin(
        tmp_path,
        CLOSING + STEPS + "def chunks():\n    yield b'one'\n    step()\n"
        "    while True:\n        yield b'x' * 100000\n"
        "def application(e, s):\n    s(*OK)\n    return Closing(chunks())",
    )
    assert os.read(process.stdout.fileno(), 4096).endswith(b"one")
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.stderr.read() == b"closed\n"
    process.stderr.close()
    assert process.wait(10) == 1


def test_stdout_that_does_not_block(tmp_path):
    """A parent may have left it so; the reader is slow."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    (tmp_path / "app.py").write_text(
        START + "def application(e, s):\n    s(*OK)\n    yield b'x' * 1000000\n"
        "    yield b'y' * 1000000"
    )
    command = COMMAND + [str(tmp_path / "app.py")]
    process = subprocess.Popen(command, stdout=theirs, env=CGI)
    os.close(theirs)
    time.sleep(0.2)
    with open(ours, "rb") as stream:
        assert stream.read().endswith(b"x" * 1000000 + b"y" * 1000000)
    assert process.wait(10) == 0


def test_what_is_printed_goes_to_stderr(cgi):
    """print() and children cannot spoil the response."""
    answer = cgi(
        "import os, subprocess\nprint('at import')\n"
        "def application(e, s):\n    s(*OK)\n"
        "    print('print')\n    sys.stdout.flush()\n"
        "    os.write(1, b'write\\n')\n    subprocess.call(['echo', 'child'])\n"
        "    return [b'clean']"
    )
    assert (answer.code, answer.body) == (0, b"clean")
    assert sorted(answer.stderr.split("\n")) == [
        "",
        "at import",
        "child",
        "print",
        "write",
    ]


def test_closed_stderr(tmp_path):
    (tmp_path / "app.py").write_text(
        START + "def application(e, s):\n    e['wsgi.errors'].write('x')\n"
        "    print('lost')\n    s(*OK)\n    return [b'fine']"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh"] + COMMAND + [str(tmp_path / "app.py")],
        stdout=subprocess.PIPE,
        env=CGI,
    )
    assert (done.returncode, done.stdout[-4:]) == (0, b"fine")


# Files


FILE = """
def application(e, s):
    f = %s
    s('200 OK', %s)
    return e['wsgi.file_wrapper'](f%s)
"""


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


@pytest.mark.parametrize(
    "how, size, headers, wanted, length",
    [
        ("open({p!r}, 'rb')", "", "[]", slice(None), "256000"),
        ("open({p!r}, 'rb', 0)", "", "[]", slice(None), "256000"),
        ("open({p!r}, 'r+b')", "", "[]", slice(None), "256000"),
        ("open({p!r}, 'rb')", ", 100", "[]", slice(None), "256000"),
        (
            "(f := open({p!r}, 'rb')).read(1000) and f",
            "",
            "[]",
            slice(1000, None),
            "255000",
        ),
        ("open({p!r}, 'rb')", "", "[('Content-Length', '10')]", slice(10), "10"),
        (
            "__import__('io').BytesIO(open({p!r}, 'rb').read())",
            "",
            "[]",
            slice(None),
            None,
        ),
        ("__import__('gzip').open({p!r} + '.gz')", "", "[]", slice(None), None),
        (
            "__import__('io').BufferedReader(__import__('gzip').open({p!r} + '.gz'))",
            "",
            "[]",
            slice(None),
            None,
        ),
        (
            "__import__('subprocess').Popen(['cat', {p!r}], stdout=-1).stdout",
            "",
            "[]",
            slice(None),
            None,
        ),
    ],
)
def test_file_wrapper(cgi, data, how, size, headers, wanted, length):
    subprocess.run(["gzip", "-k", str(data)], check=True)
    answer = cgi(FILE % (how.format(p=str(data)), headers, size))
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.body == data.read_bytes()[wanted]
    assert answer.header("Content-Length") == length


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_file_wrapper_uses_sendfile(tmp_path, data):
    (tmp_path / "app.py").write_text(
        START + FILE % ("open(%r, 'rb')" % str(data), "[]", "")
    )
    done = subprocess.run(
        ["strace", "-e", "trace=sendfile", "-o", str(tmp_path / "trace")]
        + COMMAND
        + [str(tmp_path / "app.py")],
        stdout=subprocess.PIPE,
        env=CGI,
    )
    assert done.stdout.endswith(data.read_bytes())
    assert "sendfile(" in (tmp_path / "trace").read_text()


def test_file_wrapper_without_sendfile(cgi, data):
    """A system that refuses in the middle: the rest is read."""
    answer = cgi(
        "import os\nreal = os.sendfile\ncalls = []\n"
        "def refuse(out, source, offset, count):\n"
        "    calls.append(offset)\n"
        "    if len(calls) > 1:\n        raise OSError(22, 'Invalid argument')\n"
        "    return real(out, source, offset, 1000)\n"
        "os.sendfile = refuse\n" + FILE % ("open(%r, 'rb')" % str(data), "[]", "")
    )
    assert (answer.code, answer.body) == (0, data.read_bytes())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_file_wrapper_closes(cgi, data, method):
    answer = cgi(
        "import atexit\n"
        "held = open(%r, 'rb')\natexit.register(lambda: print(held.closed))\n"
        % str(data)
        + FILE % ("held", "[]", ""),
        REQUEST_METHOD=method,
    )
    assert (answer.code, answer.stderr) == (0, "True\n")
    assert answer.header("Content-Length") == "256000"
    assert len(answer.body) == (256000 if method == "GET" else 0)


def test_file_wrapper_of_a_file_without_a_size(cgi):
    """Those of /proc say 0, and there is something in them."""
    answer = cgi(FILE % ("open('/proc/self/status', 'rb')", "[]", ""))
    assert (answer.code, answer.body[:5]) == (0, b"Name:")
    assert answer.header("Content-Length") is None


def test_file_that_shrinks(cgi, data):
    """It was announced whole: what is missing must be seen."""
    answer = cgi(
        "import os\nreal = os.sendfile\n"
        "def shrink(out, source, offset, count):\n"
        "    os.truncate(%r, 1000)\n    return real(out, source, offset, count)\n"
        "os.sendfile = shrink\n" % str(data)
        + FILE % ("open(%r, 'rb')" % str(data), "[]", "")
    )
    assert (answer.code, len(answer.body)) == (1, 1000)
    assert (
        "the application sent 1000 bytes; its Content-Length is 256000" in answer.stderr
    )


# FILE:CALLABLE


def load(tmp_path, spec, cwd=None, arguments=(), command=COMMAND, **environment):
    done = subprocess.run(
        list(command) + [spec] + list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(CGI, **environment),
        cwd=str(cwd or "/"),
    )
    return Answer(done.returncode, done.stdout, done.stderr)


NAMED = START + (
    "class Holder:\n"
    "    def app(self, e, s):\n        s(*OK)\n        return [b'holder']\n"
    "holder = Holder()\nholder.inner = holder\n"
    "def other(e, s):\n    s(*OK)\n    return [b'other']\n"
    "application_text = 'x'\n"
    "import json, os.path\nfrom http.client import HTTPConnection\n"
)


@pytest.mark.parametrize(
    "name, body",
    [("other", b"other"), ("holder.app", b"holder"), ("holder.inner.app", b"holder")],
)
def test_callable(tmp_path, name, body):
    (tmp_path / "app.py").write_text(NAMED)
    assert load(tmp_path, "%s/app.py:%s" % (tmp_path, name)).body == body


@pytest.mark.parametrize(
    "name, why",
    [
        ("", "app.py has no 'application'; it has Holder (type), other (function)\n"),
        (
            ":nothing",
            "app.py has no 'nothing'; it has Holder (type), other (function)\n",
        ),
        (":holder.none", "app.py has no 'holder.none'; it has "),
        (":1x", "app.py has no '1x'; it has "),
        (":", "app.py has no ''; it has "),
        (":application_text", "app.py: 'application_text' is str, not a callable\n"),
    ],
)
def test_callable_that_is_none(tmp_path, name, why):
    (tmp_path / "app.py").write_text(NAMED)
    answer = load(tmp_path, "%s/app.py%s" % (tmp_path, name))
    assert (answer.code, answer.raw) == (1, b"")
    assert answer.stderr.startswith("inetd_scgi: %s/" % tmp_path)
    assert why in answer.stderr and "Traceback" not in answer.stderr


def test_module_without_any_callable(tmp_path):
    (tmp_path / "app.py").write_text("x = 1\n")
    answer = load(tmp_path, str(tmp_path / "app.py"))
    assert answer.stderr.endswith("it has nothing that can be called\n")


@pytest.mark.parametrize(
    "name, why", [("none.py", "does not exist"), ("", "is not a file")]
)
def test_file_that_is_none(tmp_path, name, why):
    answer = load(tmp_path, "%s/%s:application" % (tmp_path, name))
    assert answer.code == 1
    assert answer.stderr == "inetd_scgi: %s/%s %s\n" % (tmp_path, name, why)


def test_file_with_an_error(tmp_path):
    """Python's own words, with file and line."""
    (tmp_path / "app.py").write_text("x = 1\nthis is ( wrong\n")
    answer = load(tmp_path, str(tmp_path / "app.py"))
    assert (answer.code, answer.raw) == (1, b"")
    assert 'app.py", line 2' in answer.stderr and "SyntaxError" in answer.stderr
    (tmp_path / "app.py").write_text("import no_such_module\n")
    answer = load(tmp_path, str(tmp_path / "app.py"))
    assert (answer.code, answer.raw) == (1, b"")
    assert "No module named 'no_such_module'" in answer.stderr


TELL_MODULE = START + (
    "import neighbour, inetd_scgi\n"
    "copies = {id(m) for m in sys.modules.values() if hasattr(m, 'load_app')}\n"
    "def application(e, s):\n    s(*OK)\n"
    "    return [repr([__name__, __file__, sys.argv, sys.path[0], neighbour.x,\n"
    "        sys.modules[__name__].application is application, len(copies),\n"
    "        inetd_scgi.__file__.rpartition('/')[0] in sys.path]).encode()]\n"
)


@pytest.mark.parametrize(
    "file, name",
    [
        ("app.py", "app"),
        ("my-app.py", "my_app"),
        ("app.wsgi", "app"),
        ("a:b.py", "a_b"),
        ("os.py", "os_"),
        ("noextension", "noextension"),
    ],
)
@pytest.mark.parametrize("how", ["command", "-m", "run_wsgi"])
def test_module(tmp_path, file, name, how):
    """As under `python3 FILE`, with the name of the file, and only once."""
    path = tmp_path / file
    path.write_text(TELL_MODULE)
    (tmp_path / "neighbour.py").write_text("x = 'neighbour'\n")
    command = {
        "command": COMMAND,
        "-m": [PYTHON, "-B", "-m", "inetd_scgi"],
        "run_wsgi": [PYTHON, "-B", str(FOLDER / "run_wsgi.py")],
    }[how]
    more = {"PYTHONPATH": str(FOLDER)} if how == "-m" else {}
    answer = load(tmp_path, "%s:application" % path, None, ["a", "b"], command, **more)
    assert told(answer) == [
        name,
        str(path),
        [str(path), "a", "b"],
        str(tmp_path),
        "neighbour",
        True,
        1,
        how == "-m",
    ]


def test_relative_file_and_symbolic_link(tmp_path):
    """A link is followed first, as Python does for a script."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "app.py").write_text(TELL_MODULE)
    (tmp_path / "real" / "neighbour.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to("real/app.py")
    for spec in ("link.py:application", "./link.py", str(tmp_path / "link.py")):
        seen = told(load(tmp_path, spec, tmp_path))
        assert seen[:2] == ["app", str(tmp_path / "real" / "app.py")]
        assert seen[3] == str(tmp_path / "real")


def test_file_in_a_package(tmp_path):
    """A Django project's wsgi.py: part of a package that lies beside others."""
    package = tmp_path / "site_of_mine" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("here = __name__\n")
    (package / "email.py").write_text("raise ImportError('not the one of Python')\n")
    (package / "views.py").write_text("text = 'views'\n")
    (package / "wsgi.py").write_text(
        START
        + "from . import views\nfrom site_of_mine import here\nimport email.message\n"
        "def application(e, s):\n    s(*OK)\n"
        "    return [repr([__name__, views.text, here, sys.path[0]]).encode()]\n"
    )
    seen = told(load(tmp_path, "%s/wsgi.py:application" % package))
    assert seen == ["site_of_mine.inner.wsgi", "views", "site_of_mine", str(tmp_path)]


def test_package_itself(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/part.py").write_text("text = 'part'\n")
    (tmp_path / "shop/__init__.py").write_text(
        START + "from . import part\ndef application(e, s):\n    s(*OK)\n"
        "    return [repr([__name__, part.text, sys.path[0]]).encode()]\n"
    )
    seen = told(load(tmp_path, "%s/shop/__init__.py" % tmp_path))
    assert seen == ["shop", "part", str(tmp_path)]


def test_usage():
    for arguments in ([], ["--help"]):
        done = subprocess.run(COMMAND + arguments, stderr=subprocess.PIPE, env=CGI)
        assert done.returncode == 2
        assert b"usage: inetd_scgi FILE:CALLABLE" in done.stderr


SELF = """#!%s -B
import sys
sys.path.insert(0, %r)
from inetd_scgi import run_app, load_app

def app(e, s):
    s("200 OK", [("Content-Type", "text/plain")])
    return [b"self ", e["PATH_INFO"].encode()]

%s
"""


def self_serving(tmp_path, last):
    path = tmp_path / "self.cgi"
    path.write_text(SELF % (PYTHON, str(FOLDER), last))
    path.chmod(0o755)
    return path


def test_script_that_serves_itself(tmp_path):
    script = self_serving(tmp_path, "run_app(app)\nprint('after', file=sys.stderr)")
    done = subprocess.run(
        [script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CGI
    )
    answer = Answer(done.returncode, done.stdout, done.stderr)
    assert (answer.code, answer.status, answer.body) == (0, "200 OK", b"self /x")
    assert answer.stderr == "after\n"


def test_load_ahead_and_run_in_a_fork(tmp_path):
    """As a fork server does it: nothing of one request is in the next."""
    (tmp_path / "app.py").write_text(
        START + "count = []\n"
        "def application(e, s):\n    count.append(1)\n    s(*OK)\n"
        "    return [b'%d %s\\n' % (len(count), e['PATH_INFO'].encode())]\n"
    )
    server = self_serving(
        tmp_path,
        "import os\n"
        "app = load_app('%s/app.py:application')\n"
        "for path in ('/one', '/two'):\n"
        "    if os.fork() == 0:\n"
        "        os.environ['PATH_INFO'] = path\n"
        "        run_app(app)\n        sys.exit(0)\n"
        "    assert os.wait()[1] == 0\n" % tmp_path,
    )
    done = subprocess.run([server], stdout=subprocess.PIPE, env=CGI)
    assert done.returncode == 0
    assert done.stdout.count(b"Status: 200 OK\r\n") == 2
    assert b"\r\n\r\n1 /one\n" in done.stdout and b"\r\n\r\n1 /two\n" in done.stdout


def test_nothing_to_serve(tmp_path):
    script = self_serving(tmp_path, "run_app(app)")
    done = subprocess.run(
        [script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": CGI["PATH"]},
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no request: neither CGI" in done.stderr


# What it needs


def test_imports_only_what_is_there():
    """Each request under exec pays for an import."""
    code = (
        "import sys\nsys.path.insert(0, %r)\nbefore = set(sys.modules)\n"
        "import inetd_scgi\nprint(sorted(set(sys.modules) - before))" % str(FOLDER)
    )
    output = subprocess.check_output([PYTHON, "-B", "-c", code])
    assert ast.literal_eval(output.decode()) == ["inetd_scgi"]


def test_a_request_imports_nothing_more(cgi):
    answer = cgi(
        "def application(e, s):\n    s(*OK)\n    return [repr(sorted(sys.modules)).encode()]"
    )
    code = "import sys; print(sorted(sys.modules))"
    bare = subprocess.check_output([PYTHON, "-B", "-c", code], env=CGI)
    more = set(told(answer)) - set(ast.literal_eval(bare.decode()))
    assert more == {"app", "inetd_scgi"}


def test_python_3_9():
    for path in FOLDER.glob("*wsgi*.py"), FOLDER.glob("inetd*.py"):
        for file in path:
            ast.parse(file.read_text(), feature_version=(3, 9))


# SCGI on stdin


HELLO = START + (
    "import hashlib, os, time\n"
    "def application(e, s):\n"
    "    path = e['PATH_INFO']\n"
    "    if path == '/error':\n        raise KeyError('secret')\n"
    "    s(*OK)\n"
    "    if path == '/late':\n        return late()\n"
    "    if path == '/kill':\n        return late(lambda: os.kill(os.getpid(), 9))\n"
    "    if path == '/noise':\n"
    "        print('NOISY')\n        e['wsgi.errors'].write('NOISY\\n')\n"
    "        os.system('echo NOISY; echo NOISY >&2')\n"
    "    if path == '/stdin':\n        return [repr(os.read(0, 10)).encode()]\n"
    "    if path == '/body':\n"
    "        h = hashlib.sha256()\n"
    "        for part in iter(lambda: e['wsgi.input'].read(70000), b''):\n"
    "            h.update(part)\n"
    "        return [h.hexdigest().encode()]\n"
    "    names = ('SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'HTTP_HOST', 'HTTP_PROXY',\n"
    "             'REQUEST_METHOD', 'SCGI', 'wsgi.url_scheme')\n"
    "    seen = [e.get(n) for n in names] + [os.environ.get('REQUEST_METHOD')]\n"
    "    return [repr(seen).encode()]\n"
    "def late(what=lambda: 1 // 0):\n"
    "    yield b'part'\n    time.sleep(0.1)\n    what()\n"
)


@pytest.fixture
def hello(tmp_path):
    path = tmp_path / "hello.py"
    path.write_text(HELLO)
    return path


class Direct:
    """One process on one end of a connection, as inetd would start it."""

    def __init__(self, command, kind, stderr=subprocess.PIPE):
        if kind == "unix":
            self.ours, theirs = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.ours = socket.create_connection(listener.getsockname())
                theirs = listener.accept()[0]
        self.ours.settimeout(20)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if stderr is None else stderr,
            env={"PATH": CGI["PATH"], "INHERITED": "yes"},
        )
        theirs.close()

    def read(self):
        """(bytes, error): everything up to the end of the connection."""
        data = b""
        while True:
            try:
                part = self.ours.recv(65536)
            except ConnectionError as error:
                return data, error
            if not part:
                return data, None
            data += part

    def finish(self):
        """The process's status and what it said."""
        self.ours.close()
        _, stderr = self.process.communicate(timeout=20)
        return self.process.returncode, (stderr or b"").decode()


def direct(path, data, kind="unix", **options):
    """One exchange: (answer, error that ended the connection)."""
    one = Direct(COMMAND + [str(path)], kind, **options)
    one.ours.sendall(data)
    raw, broken = one.read()
    code, stderr = one.finish()
    return Answer(code, raw, stderr.encode()), broken


KINDS = pytest.mark.parametrize("kind", ["unix", "tcp"])


@KINDS
def test_scgi(hello, kind):
    params = nginx_params("/x/y", query="a=b", HTTP_PROXY="evil", HTTPS="on")
    answer, broken = direct(hello, encode(params), kind)
    assert (broken, answer.status, answer.stderr) == (None, "200 OK", "")
    # And no variable of the request is in the environment of the process.
    assert told(answer) == [
        "", "/x/y", "a=b", "www.example.org", None, "GET", None, "https", None
    ]  # fmt: skip


@KINDS
@pytest.mark.parametrize(
    "length", [0, 1, 2, 65536, 256 * 1024, 256 * 1024 + 1, 3000000]
)
def test_scgi_body(hello, kind, length):
    import hashlib

    body = os.urandom(length)
    params = nginx_params("/body", method="POST", body=body)
    one = Direct(COMMAND + [str(hello)], kind)
    one.ours.sendall(encode(params, body))
    raw, broken = one.read()
    assert (one.finish(), broken) == ((0, ""), None)
    assert raw.endswith(hashlib.sha256(body).hexdigest().encode())


def test_scgi_split_anywhere(hello):
    """The same answer, however the bytes come."""
    data = encode(nginx_params("/body", method="POST", body=b"abc"), b"abc")
    whole, _ = direct(hello, data)
    for cut in (1, 2, 3, 4, len(data) - 4, len(data) - 3, len(data) - 1):
        one = Direct(COMMAND + [str(hello)], "unix")
        one.ours.sendall(data[:cut])
        time.sleep(0.1)
        assert one.process.poll() is None
        one.ours.sendall(data[cut:])
        assert one.read() == (whole.raw, None)
        assert one.finish() == (0, "")


@pytest.mark.parametrize(
    "given, seen",
    [
        ({}, ["", "/a b/c"]),
        ({"DOCUMENT_URI": None, "REQUEST_URI": "/a%20b/c?q=1"}, ["", "/a b/c"]),
        ({"SCRIPT_NAME": "/a b"}, ["/a b", "/c"]),
        ({"SCRIPT_NAME": "/a b/"}, ["/a b", "/c"]),
        ({"SCRIPT_NAME": "/"}, ["", "/a b/c"]),
        ({"SCRIPT_NAME": "/a b/c"}, ["/a b/c", ""]),
        ({"SCRIPT_NAME": "/a"}, ["/a", ""]),
        ({"SCRIPT_NAME": "/x", "PATH_INFO": "/y"}, ["/x", "/y"]),
        ({"SCRIPT_NAME": "/", "PATH_INFO": "/y"}, ["", "/y"]),
        ({"SCRIPT_NAME": "", "PATH_INFO": ""}, ["", "/"]),
    ],
)
def test_scgi_paths(hello, given, seen):
    """nginx's stock scgi_params have neither SCRIPT_NAME nor PATH_INFO."""
    params = nginx_params("/a b/c", **given)
    answer, _ = direct(hello, encode(params))
    assert told(answer)[:2] == seen


BAD = {
    "not SCGI": (b"GET / HTTP/1.0\r\n\r\n", "begin with the length of a netstring"),
    "no digits": (b":x,", "begin with the length"),
    "minus": (b"-1:", "begin with the length"),
    "endless digits": (b"0000000001:", "begin with the length"),
    "huge": (b"99999999:", "a header of 99999999 bytes is too large"),
    "over the limit": (b"131073:", "a header of 131073 bytes is too large"),
    "empty": (b"0:,", "the first parameter is not CONTENT_LENGTH"),
    "other first": (
        netstring(block([("SCGI", 1), ("CONTENT_LENGTH", 0)])),
        "the first parameter is not CONTENT_LENGTH",
    ),
    "no SCGI": (netstring(block([("CONTENT_LENGTH", 0)])), "parameter SCGI is not 1"),
    "SCGI 2": (
        netstring(block([("CONTENT_LENGTH", 0), ("SCGI", 2)])),
        "parameter SCGI is not 1",
    ),
    "no NUL": (netstring(b"CONTENT_LENGTH\0000\0SCGI\0001"), "does not end with a NUL"),
    "no value": (netstring(b"CONTENT_LENGTH\0000\0SCGI\0"), "a parameter has no value"),
    "empty name": (
        netstring(block([("CONTENT_LENGTH", 0), ("", "x"), ("SCGI", 1)])),
        "a parameter has an empty name",
    ),
    "field twice": (
        netstring(block([("CONTENT_LENGTH", 0), ("SCGI", 1)] + 2 * [("HTTP_X", "y")])),
        "a header field occurs twice",
    ),
    "length": (
        netstring(block([("CONTENT_LENGTH", "-1"), ("SCGI", 1)])),
        "CONTENT_LENGTH '-1' is not a length",
    ),
    "no comma": (
        netstring(block([("CONTENT_LENGTH", 0), ("SCGI", 1)]))[:-1] + b";",
        "does not end with a comma",
    ),
}


@KINDS
@pytest.mark.parametrize("case", BAD)
def test_scgi_bad_request(hello, kind, case):
    """An answer, a reason on stderr, and no failure of the service."""
    data, why = BAD[case]
    answer, broken = direct(hello, data + b"x" * 100, kind)
    assert (answer.status, answer.body, broken) == (
        "400 Bad Request",
        b"Bad request\n",
        None,
    )
    assert answer.code == 0
    assert answer.stderr.startswith("inetd_scgi: bad request: ")
    assert why in answer.stderr


def test_scgi_parameter_twice(hello):
    """Front ends are told scgi_params twice: the first counts."""
    params = nginx_params("/x") + [("QUERY_STRING", "second")]
    answer, _ = direct(hello, encode(params))
    assert told(answer)[2] == ""


@pytest.mark.parametrize("cut", [3, 60, -1])
def test_scgi_request_that_ends_too_early(hello, cut):
    data = encode(nginx_params("/body", method="POST", body=b"abc"), b"abc")[:cut]
    one = Direct(COMMAND + [str(hello)], "unix")
    one.ours.sendall(data)
    one.ours.shutdown(socket.SHUT_WR)
    raw, _ = one.read()
    assert raw.startswith(b"Status: 400 Bad Request\r\n")
    code, stderr = one.finish()
    assert code == 0 and "bad request: it " in stderr


def test_scgi_connect_and_leave(hello):
    """A monitor that looks whether somebody listens is told nothing."""
    one = Direct(COMMAND + [str(hello)], "tcp")
    one.ours.shutdown(socket.SHUT_WR)
    assert one.read() == (b"", None)
    assert one.finish() == (0, "")


def test_scgi_silence_ends(tmp_path):
    """Whoever connects and says nothing does not keep a process for ever."""
    script = self_serving(
        tmp_path, "import inetd_scgi\ninetd_scgi.REQUEST_TIMEOUT = 0.2\nrun_app(app)"
    )
    one = Direct([str(script)], "unix")
    one.ours.sendall(b"70:CONTENT")
    raw, _ = one.read()
    assert raw.startswith(b"Status: 400")
    code, stderr = one.finish()
    assert code == 0 and "it did not arrive: timed out" in stderr


@KINDS
@pytest.mark.parametrize("path", ["/late", "/kill", "/error"])
def test_scgi_crash_is_visible(hello, kind, path):
    """The front end sees an error, and not the end of a short page."""
    answer, broken = direct(hello, encode(nginx_params(path)), kind)
    assert isinstance(broken, ConnectionResetError), answer
    assert answer.code == (-9 if path == "/kill" else 1)
    # A reset may overtake what was sent.
    assert answer.body in (b"", b"part")
    assert path != "/error" or answer.raw == b""


@KINDS
def test_scgi_end_of_a_whole_response_is_no_error(hello, kind):
    """Many times: a race between the answer and a reset would show."""
    body = b"x" * 70000
    for _ in range(10):
        data = encode(nginx_params("/body", method="POST", body=body), body)
        answer, broken = direct(hello, data, kind)
        assert (answer.status, broken, len(answer.body)) == ("200 OK", None, 64)


def test_scgi_error_in_close_after_a_whole_response(tmp_path):
    (tmp_path / "app.py").write_text(
        START
        + CLOSING.replace('print("closed", file=sys.stderr)', "raise KeyError('close')")
        + "def application(e, s):\n    s(*OK)\n    return Closing([b'whole'])"
    )
    answer, broken = direct(tmp_path / "app.py", encode(nginx_params("/")))
    assert (answer.code, answer.body, broken) == (1, b"whole", None)


def test_scgi_stdin_is_not_the_socket(hello):
    """Neither the application nor its children can read or keep it."""
    answer, broken = direct(hello, encode(nginx_params("/stdin")))
    assert (answer.body, broken) == (b"b''", None)


SYSLOG = """
import syslog
def record(level, text):
    with open(%r, "a") as stream:
        stream.write(text + "\\n")
syslog.syslog = record
syslog.openlog = lambda name, *_: record(0, "open " + name)
"""


@pytest.mark.parametrize("path", ["/noise", "/error"])
def test_scgi_stderr_that_is_the_socket(hello, tmp_path, path):
    """inetd gives it as descriptor 2 too: errors go to syslog instead."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "sitecustomize.py").write_text(
        SYSLOG % str(tmp_path / "messages")
    )
    command = ["env", "PYTHONPATH=%s/fake" % tmp_path] + COMMAND + [str(hello)]
    one = Direct(command, "unix", stderr=None)
    one.ours.sendall(encode(nginx_params(path)))
    raw, broken = one.read()
    one.finish()
    assert b"NOISY" not in raw and b"Traceback" not in raw and b"secret" not in raw
    messages = (tmp_path / "messages").read_text().splitlines()
    assert messages[0] == "open hello.py"
    if path == "/noise":
        assert broken is None and raw.startswith(b"Status: 200")
        assert messages[1:] == ["NOISY", "NOISY"]
    else:
        assert "Traceback (most recent call last):" in messages
        assert messages[-1] == "KeyError: 'secret'"


def test_scgi_error_of_loading_does_not_reach_the_client(tmp_path):
    """stderr is protected before the application is imported."""
    (tmp_path / "app.py").write_text("raise KeyError('secret')\n")
    one = Direct(COMMAND + [str(tmp_path / "app.py")], "unix", stderr=None)
    one.ours.sendall(encode(nginx_params("/")))
    raw, broken = one.read()
    assert raw == b"" and isinstance(broken, ConnectionResetError)
    assert one.finish()[0] == 1


@pytest.fixture(scope="module", params=inetd.KINDS)
def service(request):
    place = public_directory("inetd-scgi")
    (place / "hello.py").write_text(HELLO)
    script = self_serving(place, "run_app(app)")
    live = request.param(
        place,
        {
            "file": COMMAND + [str(place / "hello.py:application")],
            "self": [str(script)],
        },
    )
    live.python = place
    yield live
    live.stop()
    shutil.rmtree(place)


def ask(service, name, path, body=b"", **options):
    with Connection(service.address(name)) as connection:
        return connection.exchange(
            encode(nginx_params(path, body=body, **options), body)
        )


def test_under_inetd(service):
    reply = ask(service, "file", "/x")
    assert (reply.status, reply.broken) == (200, None)
    assert ast.literal_eval(reply.body.decode())[:2] == ["", "/x"]
    reply = ask(service, "self", "/path")
    assert (reply.body, reply.broken) == (b"self /path", None)


def test_under_inetd_body(service):
    import hashlib

    body = os.urandom(1000000)
    reply = ask(service, "file", "/body", body, method="POST")
    assert reply.body.decode() == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("path", ["/noise", "/late", "/error"])
def test_under_inetd_failures(service, path):
    reply = ask(service, "file", path)
    assert b"NOISY" not in reply.raw and b"Traceback" not in reply.raw
    assert bool(reply.broken) == (path != "/noise")


def test_under_inetd_bad_request(service):
    with Connection(service.address("file")) as connection:
        reply = connection.exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert reply.status == 400


def test_under_inetd_nobody_stays(service):
    for _ in range(5):
        Connection(service.address("file")).close()
    for _ in range(3):
        with Connection(service.address("file")) as connection:
            connection.send(b"70:CONT")
    assert ask(service, "file", "/x").status == 200

    def left():
        return subprocess.run(
            ["pgrep", "-f", "inetd_scgi.py.*%s" % service.python],
            stdout=subprocess.PIPE,
        ).stdout.split()

    own = getattr(service, "processes", [])
    wait_for(lambda: len(left()) <= len(own), "the processes to end", 5.0)
