"""One request on stdin and stdout: under inetd, and as Accept=yes starts it."""

import os
import shutil
import socket
import subprocess

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness import inetd
from harness.client import Connection, encode, nginx_params, wait_for
from harness.daemon import (
    IS_ROOT,
    POOL_USER,
    SANITIZER,
    SCRIPTS,
    Scgid,
    program,
    public_directory,
)
from harness.servers import Nginx

# Started as root, scgid has to be told whose scripts these are.
MODE = (["--user", POOL_USER] if IS_ROOT else []) + ["--inetd"]


@pytest.fixture(scope="module")
def place():
    """A directory with the scripts, for the whole module."""
    path = public_directory("inetd")
    shutil.copytree(SCRIPTS, path / "cgi")
    for script in (path / "cgi").iterdir():
        script.chmod(0o755)
    (path / "cgi").chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module", params=inetd.KINDS)
def service(request, place):
    cgi = str(place / "cgi")
    commands = {
        "directory": [cgi + "/"],
        "script": [cgi + "/tell.py", "first", "second"],
        "cat": [cgi + "/cat.sh"],
        "raw": [cgi + "/raw.sh"],
    }
    live = request.param(
        place,
        {n: [program("scgid")] + MODE + words for n, words in commands.items()},
    )
    yield live
    live.stop()


def ask(service, name, path="/x", body=b"", **options):
    with Connection(service.address(name)) as connection:
        return connection.exchange(
            encode(nginx_params(path, body=body, **options), body)
        )


def test_directory_mode(service, place):
    """The front end names the script in SCRIPT_FILENAME."""
    reply = ask(service, "directory", SCRIPT_FILENAME=str(place / "cgi/hello.sh"))
    assert (reply.status, reply.body, reply.broken) == (200, b"hello\n", None)


@pytest.mark.parametrize(
    "sent, status",
    [
        ("/bin/cat", (400, 403, 404)),
        ("CGI/../../etc/passwd", (400, 403, 404)),
        ("CGI/none.sh", (404,)),
        (None, (400, 403, 404)),
        ("hello.sh", (200, 400, 403, 404)),
    ],
)
def test_directory_mode_stays_below(service, place, sent, status):
    if sent:
        sent = sent.replace("CGI", str(place / "cgi"))
    reply = ask(service, "directory", SCRIPT_FILENAME=sent)
    assert reply.status in status, reply


def test_script_mode_with_arguments(service, place):
    reply = ask(service, "script", "/app/path", query="a=1&-s")
    assert reply.status == 200, reply
    for text in (
        b'"first", "second"]',
        b'"QUERY_STRING": "a=1&-s"',
        b'"GATEWAY_INTERFACE": "CGI/1.1"',
        b'"descriptors": [0, 1, 2]',
    ):
        assert text in reply.body, reply


@pytest.mark.parametrize("length", [0, 1, 300000, 3000000])
def test_body(service, length):
    body = (bytes(range(256)) * (length // 256 + 1))[:length]
    reply = ask(service, "cat", method="POST", body=body)
    assert (reply.status, reply.broken) == (200, None)
    assert reply.body == body


def test_bad_request(service):
    with Connection(service.address("cat")) as connection:
        reply = connection.exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert reply.status == 400


def serving(place):
    """The pids of scgid's processes for the scripts of this module."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/cmdline" % name, "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            continue
        if b"--inetd" in words and any(str(place).encode() in w for w in words[1:]):
            if not os.path.basename(words[0]).startswith(b"systemd"):
                found.append(int(name))
    return found


def test_silence(service, place):
    """Connect and leave: no process is left behind."""
    for _ in range(5):
        Connection(service.address("cat")).close()
    for _ in range(5):
        with Connection(service.address("cat")) as connection:
            connection.send(b"70:CONT")
    assert ask(service, "cat", method="POST", body=b"x").body == b"x"
    wait_for(lambda: not serving(place), "the processes to end", 5.0)


def test_stderr_does_not_reach_the_client(service, place):
    """inetd gives the socket as descriptor 2 as well."""
    script = place / "cgi/noisy.sh"
    script.write_text(
        "#!/bin/sh\necho noise >&2\nprintf 'Content-Type: a/b\\n\\nquiet'\necho noise >&2\n"
    )
    script.chmod(0o755)
    reply = ask(service, "directory", SCRIPT_FILENAME=str(script))
    assert reply.body == b"quiet"
    assert b"noise" not in reply.raw


def test_crash_is_visible(service, place):
    script = place / "cgi/crash.sh"
    script.write_text(
        "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\npart'\nsleep 0.1\nkill -SEGV $$\n"
    )
    script.chmod(0o755)
    reply = ask(service, "directory", SCRIPT_FILENAME=str(script))
    assert reply.broken, reply


def test_error_pages(service):
    reply = ask(service, "raw", method="POST", body=b"no header\n")
    assert reply.status == 502
    assert b"no-header" in reply.body or b"bad-header" in reply.body
    reply = ask(
        service, "raw", method="POST", body=b"Status: 404 X\nContent-Type: a/b\n\nbody"
    )
    assert (reply.status, reply.phrase, reply.body) == (404, "X", b"body")


def test_nginx_in_front_of_inetd(service, shared, servers):
    """scgi_pass to inetd's port, as to any other."""
    one = shared.get("unused", lambda: Scgid({"www": (STANDARD_POOL, STANDARD_MAPS)}))
    nginx = servers(
        Nginx,
        one,
        "location / { include scgi_params; scgi_pass 127.0.0.1:%d; }\n"
        % service.ports["cat"],
    )
    page = nginx.get("/", "POST", b"through" * 50000, register=False)
    assert (page.status, page.body) == (200, b"through" * 50000)


def by_hand(target, cwd, **options):
    """A Unix socket on 0 and 1, our own stderr on 2.  What came back."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [program("scgid")] + MODE + [str(target)],
        cwd=str(cwd),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    theirs.close()
    with ours, ours.makefile("rb") as stream:
        ours.sendall(encode(nginx_params("/", **options)))
        data = stream.read()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert not SANITIZER.search(errors.decode())
    return data


def test_by_hand_on_a_socket_pair(place):
    data = by_hand(place / "cgi/hello.sh", place)
    assert data.endswith(b"\r\n\r\nhello\n")


def test_names_are_as_they_are_written(place):
    """Of a directory for the front end, and of a script for itself."""
    (place / "link").symlink_to("cgi")
    (place / "cgi/applet").symlink_to("name.sh")
    script = place / "cgi/name.sh"
    script.write_text("#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n%s' \"$0\"\n")
    script.chmod(0o755)
    named = str(place / "link/name.sh")
    for target in (str(place / "link"), str(place / "link") + "/"):
        data = by_hand(target, place, SCRIPT_FILENAME=named)
        assert data.endswith(b"\n" + named.encode()), data
    data = by_hand("link", place, SCRIPT_FILENAME=str(script))
    assert data.endswith(b"\n" + str(script).encode()), data
    for target, cwd in (("applet", place / "cgi"), ("link/../cgi/applet", place)):
        data = by_hand(target, cwd)
        assert data.endswith(b"\n" + str(place / "cgi/applet").encode()), data


def test_not_a_socket(place):
    """From a terminal or a pipe: an error that says what is wrong."""
    done = subprocess.run(
        [program("scgid")] + MODE + [str(place / "cgi/hello.sh")],
        input=encode(nginx_params("/")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=15,
    )
    assert done.returncode == 2
    assert b"socket" in done.stderr


def test_a_socket_that_listens(place):
    """inetd's wait, or Accept=no: nothing would ever take the connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place / "listener"))
        listener.listen(1)
        done = subprocess.run(
            [program("scgid")] + MODE + [str(place / "cgi/hello.sh")],
            stdin=listener,
            stderr=subprocess.PIPE,
            timeout=15,
        )
    os.unlink(place / "listener")
    assert done.returncode == 2
    assert b"standard input listens" in done.stderr


@pytest.mark.root
def test_root_must_say_whose_scripts(place):
    """No script runs as root because somebody forgot a word in inetd.conf."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [program("scgid"), "--inetd", str(place / "cgi/hello.sh")],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    theirs.close()
    ours.sendall(encode(nginx_params("/")))
    _, errors = process.communicate(timeout=10)
    ours.close()
    assert process.returncode == 78
    assert b"user" in errors


def test_a_client_that_stops_reading(place):
    """The gateway does not wait for it: all else goes on."""
    script = place / "cgi/large.sh"
    script.write_text(
        "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\n"
        "(sleep 0.5; echo meanwhile >&2) &\nhead -c 9000000 /dev/zero\n"
    )
    script.chmod(0o755)
    ours, theirs = socket.socketpair()
    log = place / "large.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [program("scgid")] + MODE + [str(script)],
            stdin=theirs,
            stdout=theirs,
            stderr=errors,
        )
    theirs.close()
    with ours:
        ours.sendall(encode(nginx_params("/")))
        wait_for(lambda: b"meanwhile" in log.read_bytes(), "its stderr")
        with ours.makefile("rb") as stream:
            assert len(stream.read()) > 9000000
    assert process.wait(10) == 0
