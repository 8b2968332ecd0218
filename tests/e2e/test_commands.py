"""The programs from the command line: scgid, scgi-request, scgi-http."""

import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Connection, encode, nginx_params, wait_for
from harness.daemon import (
    IS_ROOT,
    POOL_USER,
    SANITIZER,
    Scgid,
    free_port,
    program,
    title,
    user_ids,
)

USER = "user = %s\n" % POOL_USER if IS_ROOT else ""


def run(*arguments, name="scgid", **options):
    done = subprocess.run(
        [program(name)] + [str(a) for a in arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        **options
    )
    done.text = done.stdout.decode("utf-8", "replace")
    assert not SANITIZER.search(done.text), done.text
    return done


@pytest.fixture
def check(place):
    """check(text): scgid -t on a file of this text."""

    def begin(text, *more):
        path = place / "scgid.conf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return run("-t", "-c", path, *more)

    return begin


GOOD = "[www]\nlisten = %s\n" + USER + "[www /cgi-bin]\nroot = /usr/lib\n"


def good(place):
    return GOOD % (place / "www.sock")


@pytest.mark.parametrize("name", ["scgid", "scgi-request", "scgi-http"])
def test_version_and_help(name):
    done = run("--version", name=name)
    assert done.returncode == 0
    assert re.match(r"%s \d+\.\d+\.\d+" % name, done.text)
    assert run("-V", name=name).text == done.text
    done = run("--help", name=name)
    assert done.returncode == 0
    assert "usage" in done.text.lower()
    assert run("-h", name=name).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["-Z"],
        ["-c"],
        ["stray"],
        ["--explain"],
        ["--serve"],
        ["--inetd"],
    ],
    ids=" ".join,
)
def test_usage_errors(arguments):
    done = run(*arguments, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.text
    assert "usage" in done.text.lower() or "--help" in done.text


def test_check_of_a_good_file(check, place):
    assert check(good(place)).returncode == 0
    assert not (place / "www.sock").exists()


def test_missing_file(place):
    done = run("-t", "-c", place / "none.conf")
    assert done.returncode == 78
    assert done.text.startswith(f"{place}/none.conf: No such file or directory\n")


def test_all_errors_of_a_file_are_told_at_once(check, place):
    done = check(
        "[www]\n"
        "listen = %s\n" % (place / "s") + USER + "no_such_key = 1\n"
        "workers = many\n"
        "workers = 3\n"
        "queue_timeout = 5 parsecs\n"
        "listen_mode = 999\n"
        "[www /a]\n"
        "[www /b]\n"
        "root = relative\n"
        "[nobody-pool /x]\n"
        "root = /\n"
        "[scgid]\n"
        "log = stderr\n"
        "colour = blue\n"
    )
    assert done.returncode == 78
    first = 4 if USER else 3
    for line in (
        first,
        first + 1,
        first + 2,
        first + 3,
        first + 4,
        first + 5,
        first + 7,
        first + 8,
        first + 12,
    ):
        assert re.search(r"scgid\.conf:%d: \S" % line, done.text), (line, done.text)
    for word in ("no_such_key", "many", "parsecs", "999", "relative", "colour"):
        assert word in done.text, word


@pytest.mark.parametrize(
    "text, word",
    [
        ("[www]\nlisten = 0.0.0.0:4000\n", "0.0.0.0"),
        ("[www]\nlisten = 192.0.2.1:4000\n", "192.0.2.1"),
        ("[www]\nlisten = [::]:4000\n", "::"),
        ("[www]\nlisten = relative.sock\n", "relative.sock"),
        ("[www]\nlisten = 127.0.0.1:99999\n", "99999"),
        ("[www]\n", "listen"),
        ("[www]\nlisten = /tmp/s\nuser = no-such-user-x\n", "no-such-user-x"),
        ("[www]\nlisten = /tmp/s\nenv.SCRIPT_NAME = x\n", "SCRIPT_NAME"),
        ("[www]\nlisten = /tmp/s\nenv.A-B = x\n", "A-B"),
        ("[www]\nlisten = /tmp/s\nenv.HTTP_PROXY = x\n", "HTTP_PROXY"),
        ("[www]\nlisten = /tmp/s\nmax_header = 1\n", "max_header"),
        ("[www]\nlisten = /tmp/s\nmax_header = 300K\n", "max_header"),
        ("[www]\nlisten = /tmp/s\ngateways = 0\n", "gateways"),
        ("[www]\nlisten = /tmp/s\n[www]\nlisten = /tmp/t\n", "www"),
        ("[www]\nlisten = /tmp/s\n[www /a]\nroot = /\n[www /a]\nroot = /\n", "/a"),
        ("[www]\nlisten = /tmp/s\n[www /a]\nroot = /\nscript = /bin/ls\n", "script"),
        ('[www]\nlisten = /tmp/s\n[www /a]\nroot = /\nargs = "open\n', "args"),
        ("[www]\nlisten = /tmp/s\n[www a]\nroot = /\n", "a"),
        ("[www]\nlisten = /tmp/s\n[www /a]\nroot = /\nlisten = /x\n", "listen"),
        ("[www]\nlisten = /tmp/s\nstart = perl\n", "start"),
        ("key = outside\n", "key"),
        ("[www\nlisten = /tmp/s\n", "1"),
        ("[www]\nlisten\n", "2"),
        ("[www]\nlisten = /tmp/s\nspool_dir = %s\n" % ("/x" * 3000), "3"),
    ],
    ids=lambda v: repr(v)[-40:],
)
def test_configuration_errors(check, text, word):
    if USER and "user =" not in text:
        text = text.replace("[www]\n", "[www]\n", 1)
    done = check(text)
    assert done.returncode == 78, done.text
    assert word in done.text, done.text


def test_a_null_byte_and_over_long_lines(check):
    """Where the parser underneath would go astray."""
    for text in (
        b"[www]\nlisten = /a\0b\n",
        b"[www]\n" + b"x" * 100000 + b"\n",
        b"\0" * 300,
    ):
        assert check(text).returncode == 78


def test_long_section_names_are_not_merged(check, place):
    """Two virtual hosts whose names agree in their first 60 bytes."""
    text = ""
    for name in ("a", "b"):
        pool = "x" * 60 + name
        text += "[%s]\nlisten = %s/%s\n%s[%s /p]\nroot = /usr\n" % (
            pool,
            place,
            name,
            USER,
            pool,
        )
    done = check(text)
    if done.returncode == 0:
        out = run("-T", "-c", place / "scgid.conf").text
        assert "x" * 60 + "a" in out and "x" * 60 + "b" in out
    else:
        assert done.returncode == 78 and "scgid.conf:" in done.text


def test_a_directory_or_a_device_is_no_configuration(place):
    for path in (place, "/dev/null", "/dev/zero"):
        assert run("-t", "-c", path).returncode == 78, path


def test_include(check, place):
    (place / "d").mkdir()
    (place / "d/a.conf").write_text(
        "[a]\nlisten = %s/a.sock\n%s[a /x]\nroot = /usr\n" % (place, USER)
    )
    (place / "d/b.conf").write_text(
        "[b]\nlisten = %s/b.sock\n%sbogus = 1\n" % (place, USER)
    )
    text = "[scgid]\ninclude = %s/d/*.conf\n" % place
    done = check(text)
    assert done.returncode == 78
    assert re.search(r"b\.conf:%d: .*bogus" % (4 if USER else 3), done.text)
    (place / "d/b.conf").unlink()
    assert check(text).returncode == 0
    assert "[a /x]" in run("-T", "-c", place / "scgid.conf").text


def test_dump_is_its_own_input(check, place):
    """-T prints a configuration that means the same."""
    check(
        good(place)
        + "args = one 'two three'\n".replace("args", "index")
        + "env.A = b;c\nhandler.py = /usr/bin/python3\nidle_timeout = 1500ms\n"
        '[www /s]\nscript = /bin/ls\nargs = -l "a b"\nhost = *.example.org\n'
    )
    first = run("-T", "-c", place / "scgid.conf")
    assert first.returncode == 0, first.text
    assert "idle_timeout" in first.text and "handler.py" in first.text
    (place / "again.conf").write_text(first.text)
    second = run("-T", "-c", place / "again.conf")
    assert (second.returncode, second.text) == (0, first.text)


def test_a_socket_without_a_directory(place):
    """As it is for who tries the README's /run/scgid without the unit."""
    path = place / "scgid.conf"
    path.write_text(good(place / "none"))
    done = run("-c", path)
    assert done.returncode == 1
    assert "none/www.sock, whose directory has to exist: No such file" in done.text


@pytest.mark.skipif(IS_ROOT, reason="as a user only")
def test_another_user_is_an_error(check, place):
    assert (
        check(good(place).replace("[www]\n", "[www]\nuser = root\n")).returncode == 78
    )


# --explain

BROKEN = {
    "script-not-executable": ("exit 0", 0o644),
    "crlf-shebang": ("#!/bin/sh\r\n", 0o755),
    "interpreter-not-found": ("#!/usr/bin/pyhton3\n", 0o755),
    "bad-executable": ("echo no shebang\n", 0o755),
    "unsafe-permissions": ("#!/bin/sh\n", 0o777),
    "script-not-found": None,
    "permission-denied": ("#!/bin/sh\n", 0o700),
    "no-map": None,
}


@pytest.fixture
def lone(shared):
    """One pool: --explain speaks of each that has a map for the URL."""
    return shared.get("lone", lambda: Scgid({"www": (STANDARD_POOL, STANDARD_MAPS)}))


@pytest.mark.parametrize("reason", sorted(BROKEN))
def test_explain_tells_what_the_log_tells(lone, reason):
    if reason == "permission-denied" and not IS_ROOT:
        pytest.skip("needs root")
    path = "/elsewhere/x" if reason == "no-map" else "/cgi-bin/explained.sh"
    if (lone.cgi / "explained.sh").exists():
        (lone.cgi / "explained.sh").unlink()
    if BROKEN[reason]:
        text, mode = BROKEN[reason]
        lone.script("explained.sh", text, mode=mode, interpreter=None)
    done = run("--explain", path, "-c", lone.configuration)
    assert reason in done.text, done.text
    assert done.returncode == 1
    lone.expect(reason=reason)
    reply = lone.request(path)
    failure = lone.failure(reply)
    assert failure["reason"] == reason
    if reason == "permission-denied":
        text = "user %s may not execute it" % POOL_USER
        assert text in done.text and failure["detail"].endswith(text)


def test_explain_of_a_script_that_runs(lone):
    done = run(
        "--explain",
        "http://www.example.org/cgi-bin/tell.py/in%20fo?a=b",
        "-c",
        lone.configuration,
    )
    assert done.returncode == 0, done.text
    for text in (
        "/cgi-bin",
        str(lone.cgi / "tell.py"),
        "PATH_INFO=/in fo",
        "SCRIPT_NAME=/cgi-bin/tell.py",
        "QUERY_STRING=a=b",
        "GATEWAY_INTERFACE=CGI/1.1",
    ):
        assert text in done.text, (text, done.text)
    if IS_ROOT:
        assert POOL_USER in done.text


@pytest.mark.parametrize(
    "url, lines",
    [
        (
            "http://h.example:8080/cgi-bin/tell.py?a=b#c?d",
            {"QUERY_STRING=a=b", "REQUEST_URI=/cgi-bin/tell.py?a=b"}
            | {"SERVER_NAME=h.example", "HTTP_HOST=h.example:8080"},
        ),
        ("/cgi-bin/tell.py#c?d", {"QUERY_STRING=", "REQUEST_URI=/cgi-bin/tell.py"}),
        ("http://[::1]:80/cgi-bin/tell.py#/", {"SERVER_NAME=[::1]"}),
    ],
)
def test_explain_asks_what_a_client_would(lone, url, lines):
    done = run("--explain", url, "-c", lone.configuration)
    assert done.returncode == 0, done.text
    assert lines <= {line.strip() for line in done.text.splitlines()}, done.text


@pytest.mark.parametrize("url", ["http://h.example?a=/b", "http://h.example#a", "#a"])
def test_explain_of_an_empty_path(lone, url):
    done = run("--explain", url, "-c", lone.configuration)
    assert done.text.startswith("path: /\n"), done.text


def test_explain_writes_no_controls(lone):
    """A URL from a log may be meant for the terminal."""
    lone.script("\x1b[1m.sh", "exit")
    done = run("--explain", "/cgi-bin/%1b%5b1m.sh/%07", "-c", lone.configuration)
    assert done.returncode == 0, done.text
    assert "\x1b" not in done.text and "\x07" not in done.text
    assert done.text.count("\\x1b[1m.sh") >= 4


@pytest.mark.root
def test_explain_judges_with_the_rights_of_the_pool(lone):
    """Root may read everything; the pool's user is the one who counts."""
    closed = lone.cgi / "closed"
    closed.mkdir(exist_ok=True)
    lone.script("closed/x.sh", "exit")
    closed.chmod(0o700)
    done = run("--explain", "/cgi-bin/closed/x.sh", "-c", lone.configuration)
    assert "permission-denied" in done.text
    assert "closed/x.sh: user %s may not search" % POOL_USER in done.text


@pytest.fixture
def forking(shared):
    maps = {
        "/fork": {"root": "{cgi}", "start": "fork-server"},
        "/python": {"root": "{cgi}", "start": "python"},
        "/exec": {"root": "{cgi}"},
    }
    none = {"/none": {"root": "{cgi}", "start": "fork-server"}}
    pools = {
        "www": (STANDARD_POOL, maps),
        "none": (dict(STANDARD_POOL, fork_servers=0), none),
    }
    return shared.get("forking", lambda: Scgid(pools))


def explain_start(one, path):
    done = run("--explain", path, "-c", one.configuration)
    assert done.returncode == 0, done.text
    return done.text.partition("\nstart: ")[2].splitlines()


def test_explain_says_how_it_starts(forking):
    one = forking
    assert explain_start(one, "/exec/hello.sh")[0] == "exec"
    assert explain_start(one, "/none/hello.sh")[0] == "exec, as fork_servers is 0"
    forked = explain_start(one, "/fork/hello.sh")
    assert forked[0] == "fork-server" and "fork server /bin/sh;" in forked[1]
    # Nobody started one.
    assert not [l for l in one.recent() if "fork server" in l.message]


def test_explain_says_why_not_what_the_log_says(forking):
    one = forking
    why = "no fork server for /bin/sh %s/hello.sh" % one.cgi
    text = explain_start(one, "/python/hello.sh")
    assert text[0] == "exec, not python" and why + ": " in text[1]
    reason = text[1].rpartition(": ")[2]
    one.expect(text=re.escape(why) + ".*" + re.escape(reason))
    assert one.request("/python/hello.sh").status == 200
    one.wait_line(re.escape(reason))


def test_explain_of_an_interpreter_that_is_a_script(forking):
    """Linux runs it; there is no program that one could wait in."""
    one = forking
    inner = one.script("-inner.sh", "exec cat")
    one.script("-outer", "echo", interpreter="#!%s x\n" % inner)
    text = explain_start(one, "/fork/-outer")
    assert text[0] == "exec, not fork-server"
    assert text[1].endswith("its #! line names another script, or is too long")


def test_explain_of_several_pools(place):
    """If one would fail that is the answer, whichever comes last."""
    (place / "x.sh").write_text("#!/bin/sh\n")
    (place / "x.sh").chmod(0o755)
    (place / "empty").mkdir()
    pool = "[%s]\nlisten = %s/%s.sock\n" + USER + "status = /page\n"
    pool += "[%s /]\nroot = %s\n"
    good = pool % ("good", place, "good", "good", place)
    bad = pool % ("bad", place, "bad", "bad", place / "empty")
    for text, code in ((good, 0), (good + bad, 1), (bad + good, 1)):
        (place / "scgid.conf").write_text(text)
        done = run("--explain", "/x.sh", "-c", place / "scgid.conf")
        assert done.returncode == code, done.text
    # What a gateway answers itself.
    done = run("--explain", "/page", "-c", place / "scgid.conf")
    assert done.returncode == 0 and "status page of pool bad" in done.text, done.text
    assert "would fail" not in done.text


def test_one_request_starts_no_fork_server(forking):
    one = forking
    done = run("--explain", "/fork/hello.sh", "--run", "-c", one.configuration)
    assert done.returncode == 0 and "hello" in done.text
    assert "fork server /bin/sh is ready" not in done.text


# --serve, scgi-http


class Program:
    """A program of ours with an HTTP port, for the length of a test."""

    def __init__(self, name, *arguments):
        self.port = free_port()
        self.log = open("/tmp/scgid-e2e-%d.log" % self.port, "w+b")
        self.process = subprocess.Popen(
            [name if name == "nohup" else program(name)]
            + [str(a).replace("PORT", str(self.port)) for a in arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def __enter__(self):
        try:
            wait_for(self.is_up, "the port", 20.0)
        except BaseException:
            self.process.kill()
            self.process.wait()
            os.unlink(self.log.name)
            raise
        return self

    def is_up(self):
        assert self.process.poll() is None, self.text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def text(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")

    def children(self):
        found = []
        for pid in os.listdir("/proc"):
            if pid.isdigit() and title(int(pid)).startswith("scgid: "):
                try:
                    with open("/proc/%s/stat" % pid) as stream:
                        parent = int(stream.read().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                if parent == self.process.pid:
                    found.append(int(pid))
        return found

    def frontend(self):
        """Its pid, once it is there: the port is before."""
        return wait_for(
            lambda: [p for p in self.children() if title(p) == "scgid: frontend"],
            "the front end",
        )[0]

    def __exit__(self, kind, *_):
        children = self.children()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        text = self.text()
        self.log.close()
        os.unlink(self.log.name)
        if kind is None:
            assert code == 0, text
            assert not SANITIZER.search(text), text
            wait_for(
                lambda: not [p for p in children if title(p).startswith("scgid: ")],
                "its processes to end",
            )

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def curl(self, path, *arguments):
        return subprocess.run(
            [
                "curl",
                "-s",
                "--max-time",
                "20",
                "http://127.0.0.1:%d%s" % (self.port, path),
            ]
            + list(arguments),
            stdout=subprocess.PIPE,
        )


@pytest.fixture
def scripts(place):
    shutil.copytree(pathlib.Path(__file__).parent / "scripts", place / "scripts")
    for path in (place / "scripts").iterdir():
        path.chmod(0o755)
    (place / "scripts").chmod(0o755)
    return place / "scripts"


SERVE_USER = ["--user", POOL_USER] if IS_ROOT else []


def test_serve(scripts):
    with Program(
        "scgid", "--serve", scripts, "--listen", "127.0.0.1:PORT", *SERVE_USER
    ) as served:
        assert served.ask("GET", "/hello.sh")[:2] == (200, b"hello\n")
        body = bytes(range(256)) * 500
        status, answer, _ = served.ask("POST", "/cat.sh", body)
        assert (status, answer) == (200, body)
        status, answer, _ = served.ask(
            "GET", "/tell.py/info?a=%41", headers={"X-Y": "z"}
        )
        for text in (
            b'"PATH_INFO": "/info"',
            b'"QUERY_STRING": "a=%41"',
            b'"HTTP_X_Y": "z"',
            b'"SCRIPT_NAME": "/tell.py"',
        ):
            assert text in answer, answer
        status, answer, _ = served.ask("GET", "/none.sh")
        assert status == 404 and b"script-not-found" in answer
        assert served.ask("HEAD", "/hello.sh")[:2] == (200, b"")
        assert served.ask("DELETE", "/hello.sh")[0] == 200
        # The one line that a person needs is there.
        assert str(served.port) in served.text()


def test_serve_shows_a_crash(scripts):
    (scripts / "crash.sh").write_text(
        "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\npart'\nsleep 0.1\nkill -SEGV $$\n"
    )
    (scripts / "crash.sh").chmod(0o755)
    with Program(
        "scgid", "--serve", scripts, "--listen", "127.0.0.1:PORT", *SERVE_USER
    ) as served:
        assert served.curl("/crash.sh").returncode in (18, 56, 52)
        wait_for(lambda: "killed-by-signal" in served.text(), "the reason")


def test_serve_breaks_a_script_in_five_ways(scripts):
    """The page and the log say each time what is wrong."""
    broken = {
        "noexec.sh": (b"#!/bin/sh\n", 0o644, "script-not-executable"),
        "crlf.sh": (b"#!/bin/sh\r\necho\r\n", 0o755, "crlf-shebang"),
        "typo.py": (b"#!/usr/bin/pyhton3\n", 0o755, "interpreter-not-found"),
        "syntax.sh": (b"#!/bin/sh\nif then\n", 0o755, "exit-status"),
    }
    for name, (text, mode, _) in broken.items():
        (scripts / name).write_bytes(text)
        (scripts / name).chmod(mode)
    with Program(
        "scgid", "--serve", scripts, "--listen", "127.0.0.1:PORT", *SERVE_USER
    ) as served:
        for name, (_, _, reason) in broken.items():
            status, page, _ = served.ask("GET", "/" + name)
            assert status >= 400
            assert reason.encode() in page, page
            wait_for(lambda: "reason=" + reason in served.text(), reason)
        assert "yntax" in served.text()


def test_serve_of_nothing(place):
    done = run(
        "--serve", place / "none", "--listen", "127.0.0.1:%d" % free_port(), *SERVE_USER
    )
    assert done.returncode in (1, 2, 78)
    assert "none" in done.text


def test_serve_is_stopped_and_goes_on(scripts):
    """^Z and fg: one of its processes that is stopped has not ended."""
    with Program(
        "scgid", "--serve", scripts, "--listen", "127.0.0.1:PORT", *SERVE_USER
    ) as served:
        frontend = served.frontend()
        for number in (signal.SIGSTOP, signal.SIGCONT):
            os.kill(frontend, number)
            wait_for(
                lambda: (state(frontend) == "T") == (number == signal.SIGSTOP),
                "its state",
            )
        assert served.ask("GET", "/hello.sh")[:2] == (200, b"hello\n")


def state(pid):
    with open("/proc/%d/stat" % pid) as stream:
        return stream.read().rpartition(")")[2].split()[0]


def leftovers():
    return {p for p in os.listdir("/tmp") if re.match(r"scgid\.\w{6}$", p)}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_serve_ends_with_its_terminal(scripts, number):
    """All of the job are told, and nothing is left in /tmp."""
    before = leftovers()
    with Program(
        "scgid", "--serve", scripts, "--listen", "127.0.0.1:PORT", *SERVE_USER
    ) as served:
        assert len(leftovers() - before) == 1
        served.frontend()
        for pid in served.children() + [served.process.pid]:
            os.kill(pid, number)
        assert served.process.wait(10) == 0, served.text()
        assert not leftovers() - before


def test_serve_with_nohup(scripts):
    with Program(
        "nohup",
        program("scgid"),
        "--serve",
        scripts,
        "--listen",
        "127.0.0.1:PORT",
        *SERVE_USER
    ) as served:
        served.frontend()
        for pid in served.children() + [served.process.pid]:
            os.kill(pid, signal.SIGHUP)
        assert served.ask("GET", "/hello.sh")[:2] == (200, b"hello\n")


@pytest.mark.root
def test_serve_of_nobody_leaves_nothing(scripts):
    before = leftovers()
    done = run("--serve", scripts, "--user", "no-such-user")
    assert done.returncode == 78 and "no-such-user" in done.text
    assert not leftovers() - before


# In a world of its own, where a signal to everyone reaches a witness only.
CANNOT_FORK = """
import os, resource, signal, subprocess, sys
user, group = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]), os.setresgid(group, group, group), os.setresuid(user, user, user)
witness = subprocess.Popen(["sleep", "60"])
limit = lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
served = subprocess.Popen(sys.argv[3:], preexec_fn=limit)
try:
    code = served.wait(5)
except subprocess.TimeoutExpired:
    served.send_signal(signal.SIGINT)
    code = "hangs, %d" % served.wait(5)
print("code %s, witness %s" % (code, witness.poll()))
witness.kill()
"""


@pytest.mark.root
def test_serve_that_cannot_fork(scripts):
    """It says so and ends, and signals nobody else."""
    command = ["unshare", "--pid", "--fork", "/usr/bin/python3", "-IS", "-c"]
    command += [CANNOT_FORK] + [str(n) for n in user_ids(POOL_USER)]
    command += [program("scgid"), "--serve", str(scripts)]
    done = subprocess.run(
        command + ["--listen", "127.0.0.1:%d" % free_port()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"),
        timeout=30,
    )
    text = done.stdout.decode()
    if "unshare failed" in text:
        pytest.skip("no pid namespaces here")
    assert "code 1, witness None" in text, text
    assert "fork: Resource temporarily unavailable" in text, text


@pytest.mark.parametrize("name", ["a ;b", "a\t;b", "a "])
def test_serve_of_a_name_that_would_be_cut(place, name):
    """Not another directory in its place."""
    for one in ("a", name):
        (place / one).mkdir()
    before = leftovers()
    done = run("--serve", place / name, "--listen", "0.0.0.0:x", *SERVE_USER)
    assert "Invalid argument" in done.text and done.returncode == 1, done.text
    assert not leftovers() - before


def test_serve_on_a_taken_port(scripts):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = run("--serve", scripts, "--listen", address, *SERVE_USER)
    assert done.returncode == 1
    assert "use" in done.text


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_http_front_end_alone(scgid, tcp):
    target = (
        "127.0.0.1:%d" % scgid.ports["www"] if tcp else "unix:" + scgid.sockets["www"]
    )
    with Program("scgi-http", "-l", "127.0.0.1:PORT", target) as front:
        assert front.ask("GET", "/cgi-bin/hello.sh")[:2] == (200, b"hello\n")
        body = b"x" * 2000000
        assert front.ask("POST", "/cgi-bin/cat.sh", body)[:2] == (200, body)
        scgid.script(
            "crash2.sh",
            "printf 'Content-Type: a/b\\n\\npart'\nsleep 0.1\nkill -SEGV $$",
        )
        scgid.expect(reason="killed-by-signal")
        assert front.curl("/cgi-bin/crash2.sh").returncode in (18, 56, 52)


def test_http_front_end_without_a_back_end(place):
    with Program("scgi-http", "-l", "127.0.0.1:PORT", "unix:%s/none" % place) as front:
        assert front.ask("GET", "/")[0] in (502, 503)


# scgi-request


def test_request_by_hand(scgid):
    target = "unix:" + scgid.sockets["www"]
    done = run(target, "/cgi-bin/hello.sh", name="scgi-request")
    assert (done.returncode, done.text) == (0, "hello\n")
    done = run(
        target,
        "/cgi-bin/cat.sh",
        "-d",
        "some body",
        "-i",
        "-H",
        "X-A: b",
        name="scgi-request",
    )
    head, _, body = done.text.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("Status: 200 OK") and body == "some body"
    done = run(target, "/cgi-bin/tell.py/x?q=1", "-H", "X-A: b", name="scgi-request")
    for text in (
        '"HTTP_X_A": "b"',
        '"QUERY_STRING": "q=1"',
        '"PATH_INFO": "/x"',
        '"REQUEST_METHOD": "GET"',
    ):
        assert text in done.text, done.text
    done = run(
        "127.0.0.1:%d" % scgid.ports["www"], "/cgi-bin/hello.sh", name="scgi-request"
    )
    assert done.text == "hello\n"


def test_request_by_hand_body_from_stdin_or_file(scgid, tmp_path):
    target = "unix:" + scgid.sockets["www"]
    file = tmp_path / "body"
    file.write_bytes(b"\0\xff" * 100000)
    done = run(target, "/cgi-bin/cat.sh", "-d", "@%s" % file, name="scgi-request")
    assert done.stdout == file.read_bytes()


def test_request_by_hand_failures(scgid, place):
    target = "unix:" + scgid.sockets["www"]
    assert run("unix:%s/none" % place, "/", name="scgi-request").returncode == 7
    assert run(name="scgi-request").returncode == 2
    scgid.script(
        "crash3.sh", "printf 'Content-Type: a/b\\n\\npart'\nsleep 0.1\nkill -SEGV $$"
    )
    scgid.expect(reason="killed-by-signal")
    done = run(target, "/cgi-bin/crash3.sh", name="scgi-request")
    assert done.returncode == 18
    assert done.text.startswith("part")


def test_request_by_hand_on_a_hostile_back_end(place):
    """It meets bytes that are no answer, and says so (with curl's codes)."""
    path = str(place / "s")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)

    def answer():
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(b"\xff\0garbage")
        peer.close()

    thread = threading.Thread(target=answer)
    thread.start()
    done = run("unix:" + path, "/", "-i", name="scgi-request")
    thread.join()
    listener.close()
    assert done.returncode == 18
    assert "header" in done.text


def test_two_pools_from_one_file(start):
    one = start(
        {"a": (STANDARD_POOL, STANDARD_MAPS), "b": (STANDARD_POOL, STANDARD_MAPS)}
    )
    for pool in ("a", "b"):
        reply = one.request("/cgi-bin/hello.sh", pool=pool)
        assert reply.status == 200
        assert one.entry(reply)["pool"] == pool


def test_foreground_is_the_default(start):
    one = start({"www": (STANDARD_POOL, STANDARD_MAPS)}, arguments=())
    with Connection(one.sockets["www"]) as connection:
        assert (
            connection.exchange(encode(nginx_params("/cgi-bin/hello.sh"))).status == 200
        )
