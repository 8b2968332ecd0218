"""Maps with wsgi: applications behind scgid and real nginx, unmodified."""

import hashlib
import http.cookies
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import STANDARD_POOL
from harness.client import wait_for
from harness.daemon import POOL_USER, SCRIPTS, Scgid, program
from harness.servers import Nginx

APPS = SCRIPTS / "wsgi"
PLAIN = {"wsgi": "{cgi}/wsgi/plain.py"}
FRAMEWORKS = {"flask": "flask_app.py:app", "bottle": "bottle_app.py", "django": None}

MAPS = {
    "/": PLAIN,
    "/plain": {
        "wsgi": "{cgi}/wsgi/plain.py:application",
        "env.MINE": "configured",
        "args": 'one "two three"',
    },
    "/pass": dict(PLAIN, authorization="pass"),
    "/python": dict(PLAIN, **{"handler.py": "{cgi}/wsgi/python.sh"}),
    "/no-python": dict(PLAIN, **{"env.PATH": "bin:/nowhere:/etc"}),
    "/path": dict(PLAIN, **{"env.PATH": "/nowhere:{cgi}/wsgi/bin:/usr/bin"}),
    "/venv": dict(PLAIN, **{"handler.py": "{cgi}/wsgi/venv/bin/python3"}),
    "/quick": dict(PLAIN, idle_timeout="400ms"),
    "/none": {"wsgi": "{cgi}/wsgi/plain.py:nothing"},
    "/text": {"wsgi": "{cgi}/wsgi/plain.py:not_callable"},
    "/changing": {"wsgi": "{cgi}/wsgi/changing/app.py:application"},
    "/cgi-bin": {
        "root": "{cgi}",
        "env.PYTHONPATH": os.path.dirname(program("scgid")) + "/forkserver",
    },
}
LOCATIONS = "".join(
    "location /%s { include scgi_params; scgi_pass unix:{socket}; }\n" % name
    for name in ("plain", *FRAMEWORKS)
)


def has(module):
    code = "import " + module
    return subprocess.run(["/usr/bin/python3", "-c", code], stderr=-3).returncode == 0


def needs(module):
    return pytest.mark.skipif(not has(module), reason="no " + module)


# Where there is no library of fork servers, there is exec only.
needs_preload = pytest.mark.skipif(
    not os.path.exists(os.path.dirname(program("scgid")) + "/forkserver/preload.so"),
    reason="no preload.so",
)


def prepare():
    """The standard scripts, with all that these maps name."""
    maps = dict(MAPS)
    for name, spec in FRAMEWORKS.items():
        if spec and has(name):
            maps["/" + name] = {"wsgi": "{cgi}/wsgi/" + spec}
    if has("django"):
        maps["/django"] = {"wsgi": "{cgi}/wsgi/site/mysite/wsgi.py:application"}
    return maps


class Site(Scgid):
    """Some files have to be there before the configuration is read."""

    def write_configuration(self, pools, tcp):
        wsgi = self.cgi / "wsgi"
        (wsgi / "changing").mkdir()
        (wsgi / "changing/app.py").write_text("application = None\n")
        # What a package would install: readable, not executable.
        for path in wsgi.glob("*.py"):
            path.chmod(0o644)
        (wsgi / "bin").mkdir()
        for path in (wsgi / "python.sh", wsgi / "bin/python3"):
            path.write_text('#!/bin/sh\nINTERPRETER=$0 exec /usr/bin/python3 "$@"\n')
            path.chmod(0o755)
        make_venv(wsgi / "venv")
        if has("django"):
            make_django(wsgi / "site")
        super().write_configuration(pools, tcp)


VIEWS = """
import hashlib
import os

from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.urls import path, reverse


def index(request):
    return HttpResponse("Django " + reverse("greet", args=["x y"]))


def greet(request, name):
    return JsonResponse({"name": name, "q": request.GET.get("q"), "url": request.build_absolute_uri()})


def form(request):
    if request.method == "POST":
        return HttpResponse("posted " + request.POST["text"])
    return HttpResponse(get_token(request))


def upload(request):
    digest = hashlib.sha256()
    for chunk in request.FILES["file"].chunks():
        digest.update(chunk)
    return HttpResponse(digest.hexdigest())


def lines(request):
    return StreamingHttpResponse("%d\\n" % n for n in range(1000))


def file(request):
    return FileResponse(open(__file__, "rb"))


def broken(request):
    return HttpResponse(1 // 0)


urlpatterns = [
    path("", index),
    path("greet/<name>", greet, name="greet"),
    path("form", form),
    path("upload", upload),
    path("lines", lines),
    path("file", file),
    path("broken", broken),
]
"""

SETTINGS = """
ALLOWED_HOSTS = ["*"]
DEBUG = False
DATABASES = {}
"""


def make_venv(directory):
    """A virtual environment that has a package of its own."""
    command = ["/usr/bin/python3", "-m", "venv", "--without-pip", str(directory)]
    subprocess.run(command, check=True)
    (packages,) = directory.glob("lib/python3*/site-packages")
    (packages / "own.pth").write_text("import os; os.environ['VENV'] = 'yes'\n")


def make_django(directory):
    """`django-admin startproject`, and views; its wsgi.py is as it comes."""
    directory.mkdir()
    subprocess.run(
        ["/usr/bin/python3", "-m", "django", "startproject", "mysite", str(directory)],
        check=True,
    )
    (directory / "mysite/urls.py").write_text(VIEWS)
    with open(directory / "mysite/settings.py", "a") as settings:
        settings.write(SETTINGS)


@pytest.fixture
def site(shared):
    pool = dict(STANDARD_POOL, script_timeout="60s", idle_timeout="20s")
    return shared.get("site", lambda: Site({"www": (pool, prepare())}))


@pytest.fixture
def nginx(servers, site):
    return servers(Nginx, site, LOCATIONS)


@pytest.fixture
def changing(site):
    """changing(text): another text in the file of the map /changing."""
    path = site.cgi / "wsgi/changing/app.py"

    def write(text, mode=0o644):
        if path.exists():
            path.unlink()
        if text is not None:
            path.write_text(text)
            path.chmod(mode)
        return path

    return write


def tell(site, path="/plain/tell", **options):
    reply = site.request(path, **options)
    assert (reply.status, reply.broken) == (200, None), reply
    return json.loads(reply.body)


# What an application sees


def test_environ(site):
    seen = tell(site, "/plain/tell/x", query="a=b", HTTP_COOKIE="c=d")
    directory = str(site.cgi / "wsgi")
    wanted = {
        "SCRIPT_NAME": "/plain",
        "PATH_INFO": "/tell/x",
        "QUERY_STRING": "a=b",
        "REQUEST_METHOD": "GET",
        "HTTP_COOKIE": "c=d",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SCRIPT_FILENAME": directory + "/plain.py",
        "MINE": "configured",
        "wsgi.url_scheme": "http",
        "wsgi.run_once": True,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "argv": [directory + "/plain.py", "one", "two three"],
        "cwd": directory,
        "name": "plain",
    }
    assert {name: seen.get(name) for name in wanted} == wanted
    assert seen["path"][0] == directory
    assert not [place for place in seen["path"] if "forkserver" in place]
    assert seen["process"]["PATH_INFO"] == "/tell/x"
    assert not [n for n in seen["process"] if n.startswith(("SCGI", "LD_"))]


def test_descriptors(site):
    """Those of a script, and ours for the response, no other."""
    seen = tell(site)["descriptors"]
    assert len(seen) <= 4 and seen[:3] == [0, 1, 2], seen


@pytest.mark.parametrize(
    "path, name, info",
    [
        ("/tell", "", "/tell"),
        ("/tell/", "", "/tell/"),
        ("/tell//x", "", "/tell//x"),
        ("/plain/tell", "/plain", "/tell"),
        ("/plain/tell/a b\u00e4", "/plain", "/tell/a b\u00c3\u00a4"),
    ],
)
def test_paths(site, path, name, info):
    """PEP 3333: SCRIPT_NAME is empty at the top, text is latin-1."""
    seen = tell(site, path)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == (name, info)


@pytest.mark.parametrize("path", ["/", "/plain", "/plain/", "/pass"])
def test_path_of_the_top(site, path):
    assert site.request(path).body == b"hello\n"


@pytest.mark.parametrize(
    "given, scheme", [("on", "https"), ("off", "http"), ("", "http")]
)
def test_scheme(site, given, scheme):
    assert tell(site, HTTPS=given)["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize("prefix, seen", [("/plain", None), ("/pass", "Basic eDp5")])
def test_authorization(site, prefix, seen):
    found = tell(site, prefix + "/tell", HTTP_AUTHORIZATION="Basic eDp5")
    assert found.get("HTTP_AUTHORIZATION") == seen


def test_which_python(site):
    """handler.py, or else the first in the PATH of the scripts."""
    wsgi = str(site.cgi / "wsgi")
    assert "INTERPRETER" not in tell(site)["process"]
    assert tell(site, "/python/tell")["process"]["INTERPRETER"] == wsgi + "/python.sh"
    assert tell(site, "/path/tell")["process"]["INTERPRETER"] == wsgi + "/bin/python3"


def test_virtual_environment(site):
    """It has its own packages, and those of the system are not there."""
    seen = tell(site, "/venv/tell")
    assert (seen["prefix"], seen["VENV"]) == (str(site.cgi / "wsgi/venv"), "yes")


# What it says


@pytest.mark.parametrize("length", [0, 1, 300000, 3000000])
def test_body(nginx, length):
    body = os.urandom(length)
    page = nginx.get("/plain/digest", "POST", body)
    assert page.body.decode() == hashlib.sha256(body).hexdigest()


def test_large_response(nginx):
    assert len(nginx.get("/plain/length?20000000").body) == 20000000


def test_file(nginx):
    page = nginx.get("/plain/file")
    assert page.body == (APPS / "plain.py").read_bytes()
    assert page.header("Content-Length") == str(len(page.body))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_length_is_told(nginx, method):
    page = nginx.get("/plain/hello", method)
    assert page.header("Content-Length") == "6"
    assert page.body == (b"hello\n" if method == "GET" else b"")


@pytest.mark.parametrize(
    "path, status", [("/plain/empty", 204), ("/plain/unchanged", 304)]
)
def test_no_body(nginx, path, status):
    """No warning in the log either: the oracle looks."""
    page = nginx.get(path)
    assert (page.status, page.body) == (status, b"")


def test_location_is_for_the_client(site):
    """With a status it is no local redirect (RFC 3875, 6.2.3)."""
    reply = site.request("/plain/local")
    assert (reply.status, reply.header("Location")) == (302, "/elsewhere")


def test_streaming(site):
    """Each chunk is here before the next is made."""
    with site.start("/plain/slow") as connection:
        first = connection.read_some()
        second = connection.read_some()
        assert first.count(b"\n") - first.count(b"\r\n") == 1
        reply = connection.read(connection.id, first + second)
    times = [float(word) for word in reply.body.split()]
    assert times[1] - times[0] > 0.2 and len(times) == 3


def test_print_goes_to_the_log(site):
    reply = site.request("/plain/print")
    assert (reply.status, reply.body) == (200, b"clean")
    for text in ("stderr: printed", "stderr: by a child"):
        site.wait_line(lambda l: reply.id in l.text and text in l.text)


# Failures


def test_exception_before_the_first_byte(site):
    site.expect("exit-status")
    reply = site.request("/plain/raise")
    assert (reply.status, reply.broken) == (502, None)
    assert b"exit-status" in reply.body and b"KeyError" not in reply.body
    assert "KeyError: 'before the first byte'" in site.failure(reply)["stderr"]


def test_exception_after_the_first_byte(site, nginx):
    """The client sees that the page is not whole."""
    site.expect("killed-by-signal")
    code, output = nginx.curl("/plain/late")
    assert code in (18, 56) and b"part\n" * 100 in output
    line = site.wait_line("killed-by-signal")
    assert "after the first byte" in line.text and "Abort" in line.text


def test_too_few_bytes(site, nginx):
    site.expect("truncated-body")
    code, output = nginx.curl("/plain/short")
    assert code == 18 and output in (b"", b"12345")
    line = site.wait_line("truncated-body")
    assert "its Content-Length is 10" in line.text


def test_refused_header(site):
    site.expect("exit-status")
    reply = site.request("/plain/connection")
    assert reply.status == 502
    assert "header Connection is for the server" in site.failure(reply)["stderr"]


@pytest.mark.parametrize(
    "path, why",
    [
        ("/none", "plain.py has no 'nothing'; it has application (function), "),
        ("/text", "plain.py: 'not_callable' is str, not a callable"),
    ],
)
def test_callable_that_is_none(site, path, why):
    site.expect("exit-status")
    reply = site.request(path)
    assert reply.status == 502
    assert why in site.failure(reply)["stderr"]


def test_client_that_leaves(site):
    with site.start("/plain/endless") as connection:
        assert connection.read_some()
        connection.abort()
    entry = site.entry(connection.id)
    assert entry["reason"] == "client-aborted"


def test_silence(site):
    site.expect("first-byte-timeout", optional=True)
    site.expect("idle-timeout", optional=True)
    reply = site.request("/quick/slow")
    assert reply.status == 200 and reply.body.count(b"\n") == 3


GOOD = (
    "def application(e, s):\n"
    "    s('200 OK', [('Content-Type', 'text/plain')])\n"
    "    return [b'%s']\n"
)


# Python takes its own cache for what has the same second and size.
VERSIONS = ["one", "three"]


def test_deploying(site, changing):
    """A new file is served by the next request."""
    for word in VERSIONS:
        changing(GOOD % word)
        assert site.request("/changing").body == word.encode()


def test_syntax_error(site, changing):
    path = changing("def application(:\n")
    site.expect("exit-status")
    reply = site.request("/changing")
    assert reply.status == 502
    failure = site.failure(reply)["stderr"]
    assert "SyntaxError" in failure and str(path) in failure


def test_file_that_is_missing(site, changing):
    path = changing(None)
    site.expect("script-not-found")
    reply = site.request("/changing/x")
    assert reply.status == 404
    assert str(path) in site.failure(reply)["detail"]


@pytest.mark.root
def test_file_that_cannot_be_read(site, changing):
    path = changing(GOOD % "x", mode=0o640)
    site.expect("permission-denied")
    reply = site.request("/changing")
    assert reply.status == 403
    detail = site.failure(reply)["detail"]
    assert detail == "%s: user %s may not read it" % (path, POOL_USER)


def test_file_that_anyone_can_write(site, changing):
    changing(GOOD % "x", mode=0o646)
    site.expect("unsafe-permissions")
    assert site.request("/changing").status == 403


def test_file_that_is_a_directory(site, changing):
    path = changing(None)
    path.mkdir(mode=0o755)
    site.expect("not-a-file")
    assert site.request("/changing").status == 403
    path.rmdir()


def test_no_python(site):
    """A PATH without one; what is relative in it is nowhere."""
    site.expect("interpreter-not-found")
    reply = site.request("/no-python/hello")
    assert reply.status == 500
    assert "there is no python3 in this PATH" in site.failure(reply)["detail"]


def test_needs_no_execute_permission(site, changing):
    changing(GOOD % "read", mode=0o444)
    assert site.request("/changing").body == b"read"


def test_head_of_failures(site):
    site.expect("exit-status")
    reply = site.request("/plain/raise", method="HEAD")
    assert (reply.status, reply.body) == (502, b"")


# --explain


def explain(site, url, scgid=program("scgid")):
    done = subprocess.run(
        [scgid, "-c", str(site.configuration), "--explain", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode()


def test_explain(site):
    code, text = explain(site, "/plain/tell/x")
    assert code == 0, text
    support = os.path.dirname(program("scgid")) + "/forkserver"
    file = str(site.cgi / "wsgi/plain.py")
    arguments = ["/usr/bin/python3", support + "/run_wsgi.py", file + ":application"]
    arguments += ["one", "two three"]
    assert "arguments: %s\n" % " ".join('"%s"' % word for word in arguments) in text
    assert 'SCRIPT_NAME: "/plain", PATH_INFO: /tell/x\n' in text
    assert "would start" in text


def test_explain_what_would_fail(site):
    code, text = explain(site, "/no-python")
    assert code == 1
    assert "would fail: interpreter-not-found (500)" in text
    assert "bin:/nowhere:/etc: there is no python3" in text


def test_explain_without_what_runs_it(site, place):
    """As in a chroot that nobody has put it into."""
    shutil.copy(program("scgid"), place)
    (place / "forkserver").mkdir(mode=0o755)
    code, text = explain(site, "/plain", str(place / "scgid"))
    assert code == 1
    assert "would fail: interpreter-not-found (500)" in text
    assert "%s/forkserver/run_wsgi.py: No such file or directory" % place in text


# The module in a script


def test_script_that_serves_itself(site):
    site.script(
        "self.py",
        "#!/usr/bin/python3\nfrom inetd_scgi import run_app\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    yield environ['SCRIPT_NAME'].encode()\n"
        "    yield environ['PATH_INFO'].encode()\n"
        "    if environ['QUERY_STRING']:\n        raise KeyError('late')\n"
        "run_app(app)\n",
    )
    reply = site.request("/cgi-bin/self.py/info")
    assert (reply.status, reply.body) == (200, b"/cgi-bin/self.py/info")
    assert not reply.broken
    site.expect("killed-by-signal")
    reply = site.request("/cgi-bin/self.py", query="x")
    assert reply.broken or reply.status == 502


# Without starting Python, or importing the application, anew


FORKS = ["fork-server", "python"]


@pytest.fixture(scope="module", params=FORKS)
def kind(request):
    return request.param


@pytest.fixture
def forked(shared, kind):
    """The same maps, served by fork servers."""
    maps = {
        prefix: dict(keys, start=kind)
        for prefix, keys in prepare().items()
        if "wsgi" in keys and prefix not in ("/none", "/text", "/no-python")
    }
    return shared.get(kind, lambda: Site({"www": (STANDARD_POOL, maps)}))


def warm(site, path, kind, timeout=20.0, **options):
    """Ask until a fork server answers, and no replacement is on its way."""

    def ask():
        reply = site.request(path, **options)
        return reply if site.entry(reply)["start"] == kind else None

    for _ in range(3):
        reply = wait_for(ask, "a fork server for " + path, timeout, 0.05)
    return reply


@needs_preload
def test_forked_environ(site, forked, kind):
    """As with exec, but for what tells of the process and of the instance."""
    seen = []
    for one in (site, forked):
        if one is forked:
            reply = warm(one, "/plain/tell/x", kind)
        else:
            reply = one.request("/plain/tell/x")
        text = reply.body.decode().replace(str(one.cgi), "CGI")
        seen.append(json.loads(text.replace(reply.id, "ID")))
    for name in seen[0].keys() | seen[1].keys():
        assert seen[0].get(name) == seen[1].get(name), name


@needs_preload
def test_forked_bodies(forked, kind):
    warm(forked, "/plain/hello", kind)
    for length in (0, 1, 300000):
        body = os.urandom(length)
        reply = forked.request("/plain/digest", body, method="POST")
        assert reply.body.decode() == hashlib.sha256(body).hexdigest()
        assert forked.entry(reply)["start"] == kind
    assert forked.request("/plain/file").body == (APPS / "plain.py").read_bytes()
    assert len(forked.request("/plain/length", query="3000000").body) == 3000000


@needs_preload
@pytest.mark.parametrize(
    "path, reason, has_begun",
    [
        ("/plain/raise", "exit-status", False),
        ("/plain/late", "killed-by-signal", True),
        ("/plain/short", "truncated-body", True),
    ],
)
def test_forked_failures(forked, kind, path, reason, has_begun):
    """They fail as with exec, and the next request does not know of it."""
    warm(forked, "/plain/hello", kind)
    forked.expect(reason)
    reply = forked.request(path)
    if reply.broken:
        assert has_begun  # and some of it was sent
    else:
        assert reply.status == 502
    assert forked.failure(reply)["reason"] == reason
    assert forked.entry(reply)["start"] == kind
    assert forked.request("/plain/hello").body == b"hello\n"


COUNT = """
count = []
def application(e, s):
    count.append(1)
    s('200 OK', [('Content-Type', 'text/plain')])
    return [b'%s %%d' %% len(count)]
"""


@needs_preload
def test_forked_freshness(forked, kind):
    """Nothing that a request leaves behind is there for the next."""
    path = forked.cgi / "wsgi/changing/app.py"
    for word in VERSIONS:
        new = path.with_suffix(".new")
        new.write_text(COUNT % word)
        new.chmod(0o644)
        new.rename(path)
        # The next request has the new file, before a fork server has it.
        wanted = b"%s 1" % word.encode()
        for _ in range(3):
            assert forked.request("/changing").body == wanted
        for _ in range(10):
            assert warm(forked, "/changing", kind).body == wanted


ELSEWHERE = """
import os

os.chdir("bin")


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.getcwd().encode()]
"""


@needs_preload
def test_forked_directory(forked, kind):
    """Where an application goes when it is imported, its requests are."""
    path = forked.cgi / "wsgi/changing/app.py"
    (path.parent / "bin").mkdir()
    path.write_text(ELSEWHERE)
    wanted = str(path.parent / "bin").encode()
    for _ in range(3):
        assert warm(forked, "/changing", kind).body == wanted


@needs_preload
@needs("flask")
@needs("django")
@needs("bottle")
def test_forked_frameworks(forked, kind):
    for name, body in (
        ("flask", b"Flask /flask/greet/x%20y"),
        ("bottle", b"Bottle at /bottle/"),
        ("django", b"Django /django/greet/x%20y"),
    ):
        for _ in range(5):
            assert warm(forked, "/%s/" % name, kind).body == body
    for count in (1, 2):
        options = {"HTTP_COOKIE": cookie(reply)} if count > 1 else {}
        reply = forked.request("/flask/count", **options)
        assert reply.body == b"%d" % count
    assert len(forked.request("/django/lines").body.split()) == 1000


# Frameworks


def cookie(page):
    jar = http.cookies.SimpleCookie(page.header("Set-Cookie"))
    return "; ".join("%s=%s" % (name, value.value) for name, value in jar.items())


def base(nginx):
    """Debian's scgi_params leave out the port of the Host field."""
    params = pathlib.Path("/etc/nginx/scgi_params").read_text()
    host = re.search(r"HTTP_HOST\s+\$host;", params)
    return "http://127.0.0.1" + ("" if host else ":%d" % nginx.port)


def upload(nginx, path, tmp_path):
    """curl uploads a file; (the answer, the digest it should have)."""
    file = tmp_path / "upload.bin"
    file.write_bytes(os.urandom(1500000))
    code, output = nginx.curl(path, "-F", "file=@%s" % file)
    assert code == 0
    return output.decode(), hashlib.sha256(file.read_bytes()).hexdigest()


@needs("flask")
def test_flask_pages(nginx):
    page = nginx.get("/flask/")
    assert page.body == b"Flask /flask/greet/x%20y"
    page = nginx.get("/flask/greet/J%C3%B6rg?from=K%C3%B6ln")
    assert page.body.decode() == "Hello, J\u00f6rg, of K\u00f6ln"
    assert nginx.get("/flask/nowhere").status == 404
    assert nginx.get("/flask/nowhere").body == b"nothing at /nowhere"
    assert nginx.get("/flask/refuse").status == 403
    page = nginx.get("/flask/away")
    assert page.status == 302 and page.header("Location").endswith("/flask/")
    assert nginx.get("/flask/empty", "DELETE").status == 204
    assert nginx.get("/flask/form").status == 405
    page = nginx.get("/flask/", "HEAD")
    assert (page.status, page.header("Content-Length")) == (200, "24")


@needs("flask")
def test_flask_posts(nginx, tmp_path):
    page = nginx.get(
        "/flask/form",
        "POST",
        "a=1&b=%C3%A4",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert json.loads(page.body) == {"a": "1", "b": "\u00e4"}
    page = nginx.get(
        "/flask/json",
        "POST",
        '{"numbers": [1, 2]}',
        {"Content-Type": "application/json"},
    )
    assert json.loads(page.body) == {"sum": 3, "base": base(nginx) + "/flask/"}
    output, digest = upload(nginx, "/flask/upload", tmp_path)
    assert json.loads(output) == {"name": "upload.bin", "digest": digest}


@needs("flask")
def test_flask_session(nginx):
    headers = {}
    for count in (1, 2, 3):
        page = nginx.get("/flask/count", headers=headers)
        assert page.body == b"%d" % count
        headers = {"Cookie": cookie(page)}


@needs("flask")
def test_flask_streams_and_files(nginx):
    lines = nginx.get("/flask/stream").body.decode().splitlines()
    assert lines == ["%d /stream" % number for number in range(1000)]
    source = (APPS / "flask_app.py").read_bytes()
    page = nginx.get("/flask/file")
    assert page.body == source
    assert nginx.get("/flask/memory").body == b"in memory"
    part = nginx.get("/flask/file", headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, source[10:20])
    same = nginx.get("/flask/file", headers={"If-None-Match": page.header("ETag")})
    assert (same.status, same.body) == (304, b"")


@needs("flask")
def test_flask_exception(site, nginx):
    """Flask answers it itself, and its traceback is in our log."""
    page = nginx.get("/flask/broken")
    assert page.status == 500 and b"Internal Server Error" in page.body
    site.wait_line("stderr: ZeroDivisionError")


@needs("bottle")
def test_bottle(site, nginx, tmp_path):
    assert nginx.get("/bottle/").body == b"Bottle at /bottle/"
    page = nginx.get("/bottle/greet/J%C3%B6rg?q=%C3%A4")
    assert json.loads(page.body) == {"name": "J\u00f6rg", "query": "\u00e4"}
    output, digest = upload(nginx, "/bottle/upload", tmp_path)
    assert output == digest
    source = (APPS / "bottle_app.py").read_bytes()
    assert nginx.get("/bottle/static/bottle_app.py").body == source
    part = nginx.get("/bottle/static/bottle_app.py", headers={"Range": "bytes=3-9"})
    assert (part.status, part.body) == (206, source[3:10])
    page = nginx.get("/bottle/static/bottle_app.py", "HEAD")
    assert page.header("Content-Length") == str(len(source))
    page = nginx.get("/bottle/cookie")
    header = page.header("Set-Cookie").split(";")[0]
    assert nginx.get("/bottle/cookie", headers={"Cookie": header}).body == b"2"
    lines = nginx.get("/bottle/lines").body.decode().split()
    assert lines == [str(number) for number in range(1000)]
    page = nginx.get("/bottle/refuse")
    assert page.status == 418 and b"a teapot" in page.body
    assert nginx.get("/bottle/broken").status == 500
    site.wait_line("stderr: ZeroDivisionError")


@needs("django")
def test_django(site, nginx, tmp_path):
    """wsgi.py as startproject makes it: part of a package."""
    assert nginx.get("/django/").body == b"Django /django/greet/x%20y"
    page = nginx.get("/django/greet/J%C3%B6rg?q=%C3%A4")
    assert json.loads(page.body) == {
        "name": "J\u00f6rg",
        "q": "\u00e4",
        "url": base(nginx) + "/django/greet/J%C3%B6rg?q=%C3%A4",
    }
    page = nginx.get("/django/form")
    headers = {
        "Cookie": cookie(page),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = "text=%C3%A4&csrfmiddlewaretoken="
    assert nginx.get("/django/form", "POST", body + "x", headers).status == 403
    page = nginx.get("/django/form", "POST", body + page.body.decode(), headers)
    assert page.body.decode() == "posted \u00e4"
    lines = nginx.get("/django/lines").body.decode().split()
    assert lines == [str(number) for number in range(1000)]
    page = nginx.get("/django/file")
    assert page.body.decode() == VIEWS
    assert page.header("Content-Length") == str(len(VIEWS))
    assert nginx.get("/django/nowhere").status == 404
    page = nginx.get("/django/broken")
    assert page.status == 500


@needs("django")
def test_django_upload(site, nginx, tmp_path):
    """A large one, which Django keeps in a temporary file."""
    token = nginx.get("/django/form")
    file = tmp_path / "upload.bin"
    file.write_bytes(os.urandom(4000000))
    code, output = nginx.curl(
        "/django/upload",
        "-F",
        "file=@%s" % file,
        "-F",
        "csrfmiddlewaretoken=" + token.body.decode(),
        "-H",
        "Cookie: " + cookie(token),
    )
    assert (code, output.decode()) == (0, hashlib.sha256(file.read_bytes()).hexdigest())
