"""Real web servers in front: nginx, lighttpd, Apache; what each must see."""

import hashlib
import json

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import Background, run_threads, wait_for
from harness.daemon import Scgid
from harness.servers import Apache, Lighttpd, Nginx, reload

MIB = 1 << 20

MAPS = dict(
    STANDARD_MAPS,
    **{
        "/tcp": {"root": "{cgi}"},
        "/cached": {"root": "{cgi}"},
        "/idle": {"root": "{cgi}", "idle_timeout": "400ms"},
        "/idle-tcp": {"root": "{cgi}", "idle_timeout": "400ms"},
    }
)

# Nothing but the two lines; and once with nginx's cache on.
LOCATIONS = """
location /tcp/ { include scgi_params; scgi_pass {tcp}; }
location /idle/ { include scgi_params; scgi_pass unix:{socket}; }
location /idle-tcp/ { include scgi_params; scgi_pass {tcp}; }
location /cached/ {
	include scgi_params;
	scgi_pass unix:{socket};
	scgi_cache test;
	scgi_cache_key $request_uri;
	scgi_cache_valid any 10m;
}
"""


@pytest.fixture
def front(shared):
    return shared.get(
        "front",
        lambda: Scgid({"www": (dict(STANDARD_POOL, max_body="200M"), MAPS)}, tcp=True),
    )


@pytest.fixture
def nginx(servers, front):
    return servers(Nginx, front, LOCATIONS)


@pytest.fixture(params=[Nginx, Lighttpd, Apache], ids=lambda k: k.name)
def server(request, servers, front):
    return servers(request.param, front, LOCATIONS if request.param is Nginx else "")


def test_a_page(server):
    page = server.get("/cgi-bin/hello.sh")
    assert (page.status, page.body) == (200, b"hello\n")
    assert page.header("Content-Type").startswith("text/plain")


def test_a_post(server):
    body = bytes(range(256)) * 3000
    page = server.get("/cgi-bin/cat.sh", "POST", body)
    assert (page.status, page.body) == (200, body)


def test_environment(server):
    page = server.get("/cgi-bin/tell.py/some%20Path?a=%26&b", headers={"X-Test": "yes"})
    assert page.status == 200, page
    env = json.loads(page.body)["env"]
    expected = {
        "SCRIPT_NAME": "/cgi-bin/tell.py",
        "PATH_INFO": "/some Path",
        "QUERY_STRING": "a=%26&b",
        "REQUEST_METHOD": "GET",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_X_TEST": "yes",
        "SCRIPT_FILENAME": str(server.scgid.cgi / "tell.py"),
    }
    assert {name: env.get(name) for name in expected} == expected
    assert "CONTENT_LENGTH" not in env
    assert "PATH_TRANSLATED" in env


def test_missing_script(server):
    server.scgid.expect(reason="script-not-found")
    page = server.get("/cgi-bin/none.sh")
    assert page.status == 404
    assert b"script-not-found" in page.body


def test_redirects(server):
    server.scgid.script("away.sh", "printf 'Location: http://other.example/\\n\\n'")
    server.scgid.script("local.sh", "printf 'Location: /cgi-bin/hello.sh\\n\\n'")
    page = server.get("/cgi-bin/away.sh")
    assert (page.status, page.header("Location")) == (302, "http://other.example/")
    page = server.get("/cgi-bin/local.sh")
    assert (page.status, page.body) == (200, b"hello\n")


def test_head(server):
    page = server.get("/cgi-bin/hello.sh", "HEAD")
    assert (page.status, page.body) == (200, b"")


def test_item_49_body_over_the_limit_is_seen_by_the_client(shared, servers):
    one = shared.get(
        "small", lambda: Scgid({"www": ({"max_body": "1M"}, MAPS)}, tcp=True)
    )
    for kind in (Nginx, Lighttpd):
        front_end = servers(kind, one)
        one.expect(reason="body-too-large")
        page = front_end.get("/cgi-bin/cat.sh", "POST", b"x" * (6 * MIB))
        assert page.status == 413, kind
        assert b"body-too-large" in page.body
    nginx = servers(
        Nginx,
        one,
        "location = /cgi-bin/tcp.sh { include scgi_params; scgi_pass {tcp}; }",
    )
    one.expect(reason="body-too-large")
    assert nginx.get("/cgi-bin/tcp.sh", "POST", b"x" * (6 * MIB)).status == 413


CRASHES = {
    "killed": "kill -KILL $$",
    "segv": "kill -SEGV $$",
    "announced": "exit 0",
    "stalled": "sleep 60",
}


@pytest.mark.parametrize("how", sorted(CRASHES))
@pytest.mark.parametrize("prefix", ["/cgi-bin", "/tcp"], ids=["unix", "tcp"])
@pytest.mark.parametrize("size", [4, 100000])
def test_item_83_crash_in_the_body_breaks_the_transfer(front, nginx, how, prefix, size):
    """curl says 18 or 56, never 0."""
    length = "Content-Length: 999999\\n" if how == "announced" else ""
    front.script(
        "crash-%s.sh" % how,
        "printf 'Content-Type: a/b\\n%s\\n'\nhead -c %d /dev/zero\nsleep 0.1\n%s"
        % (length, size, CRASHES[how]),
    )
    if how == "stalled":
        prefix = {"/cgi-bin": "/idle", "/tcp": "/idle-tcp"}[prefix]
    front.expect(text="reason=")
    code, _ = nginx.curl("%s/crash-%s.sh" % (prefix, how))
    assert code in (18, 56)


def test_item_83_no_cache_keeps_it(front, nginx):
    place = front.writable("crashes")
    front.script(
        "flaky.sh",
        "if [ -e %s/well ]; then printf 'Content-Type: a/b\\n\\nwhole'; exit; fi\n"
        "printf 'Content-Type: a/b\\n\\npart'\nsleep 0.1\nkill -KILL $$" % place,
    )
    front.expect(text="reason=")
    code, _ = nginx.curl("/cached/flaky.sh")
    assert code in (18, 56)
    (place / "well").touch()
    assert nginx.curl("/cached/flaky.sh") == (0, b"whole")
    # The cache does work: what is whole is kept.
    (place / "well").unlink()
    assert nginx.curl("/cached/flaky.sh") == (0, b"whole")


def test_crash_before_the_header_is_a_page(front, nginx):
    front.script("dies.sh", "echo 'why it died' >&2\nexit 3")
    front.expect(reason="exit-status")
    page = nginx.get("/cgi-bin/dies.sh")
    assert page.status == 502
    assert b"exit-status" in page.body
    assert "why it died" in front.failure(page.id)["stderr"]


@pytest.mark.parametrize("prefix", ["/cgi-bin", "/tcp"], ids=["unix", "tcp"])
def test_twenty_megabytes_both_ways(front, nginx, prefix):
    body = hashlib.sha256(b"x").digest() * (20 * MIB // 32)
    page = nginx.get(prefix + "/cat.sh", "POST", body)
    assert page.status == 200
    assert hashlib.sha256(page.body).digest() == hashlib.sha256(body).digest()


def test_chunked_upload(front, nginx):
    page = nginx.get("/cgi-bin/cat.sh", "POST", iter([b"one", b"two" * 9000]))
    assert (page.status, page.body) == (200, b"one" + b"two" * 9000)


def test_headers_first_then_the_body(front, nginx):
    """nginx stops sending once it has forwarded a header: we must have it all."""
    front.script(
        "answer-first.sh", "printf 'Content-Type: a/b\\n\\n'\nsleep 0.2\nexec cat"
    )
    body = b"b" * (3 * MIB)
    assert nginx.get("/cgi-bin/answer-first.sh", "POST", body).body == body


def test_statuses_without_a_body(front, nginx):
    front.script("nothing.sh", "printf 'Status: 204\\n\\n'")
    front.script("unchanged.sh", "printf 'Status: 304\\nETag: \"x\"\\n\\n'")
    before = nginx.errors()
    assert nginx.get("/cgi-bin/nothing.sh").status == 204
    assert nginx.get("/cgi-bin/unchanged.sh").status == 304
    assert nginx.errors() == before


def test_large_cookies(front, nginx):
    front.script("cookie.sh", "printf 'Content-Type: a/b\\n\\n%s' \"${#HTTP_COOKIE}\"")
    assert (
        nginx.get("/cgi-bin/cookie.sh", headers={"Cookie": "c" * 7000}).body == b"7000"
    )


def test_client_of_nginx_goes_away(front, nginx):
    """nginx closes its connection to us, and the script ends."""
    place = front.writable("away")
    front.script(
        "long.sh",
        "trap ': >%s/term; exit' TERM\n: >%s/started\nwhile :; do sleep 0.05; done"
        % (place, place),
    )
    front.expect(reason="client-aborted", optional=True)
    code, _ = nginx.curl("/cgi-bin/long.sh", "--max-time", "0.5")
    assert code == 28
    wait_for(lambda: (place / "term").exists(), "the script to be told")


def test_auth_request(front, servers):
    """A subrequest of a POST announces the body that it does not send."""
    one = servers(
        Nginx,
        front,
        """
location = /cgi-bin/hello.sh { internal; include scgi_params;
	scgi_pass_request_body off; scgi_pass unix:{socket}; }
location /tcp/ { auth_request /cgi-bin/hello.sh; include scgi_params; scgi_pass {tcp}; }
""",
    )
    front.expect(reason="body-timeout", optional=True)
    page = one.get("/tcp/cat.sh", "POST", b"some body", register=False)
    assert (page.status, page.body) in ((200, b"some body"), (500, page.body)), page


def test_reload_under_load(front, servers):
    """nginx reloaded while requests run: none of them fails."""
    one = servers(Nginx, front, "# of its own")
    answered = []

    def ask():
        try:
            page = one.get("/cgi-bin/hello.sh")
        except OSError:
            # The listener is being handed over from worker to worker.
            return
        assert (page.status, page.body) == (200, b"hello\n"), page
        answered.append(page)

    with Background(ask), Background(ask), Background(ask):
        for _ in range(3):
            reload(one)
            before = len(answered)
            wait_for(lambda: len(answered) > before + 5, "answers")
    # A request that never reached us has no line in our log.
    front.sent = [page.id for page in answered]


def test_fifty_clients_of_nginx(front, nginx):
    def ask():
        for _ in range(4):
            page = nginx.get("/cgi-bin/hello.sh")
            assert (page.status, page.body) == (200, b"hello\n"), page

    run_threads([ask] * 50)
