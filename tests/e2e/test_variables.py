"""Conformance 12-34: the environment of a program (RFC 3875, section 4.1)."""

import json
import urllib.parse

import pytest

from harness.client import encode, nginx_params

TELL = "/cgi-bin/tell.py"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_item_12_no_content_length_without_a_body(scgid, method):
    if method == "HEAD":
        # The body of the answer to HEAD is not sent: let the log tell.
        scgid.script(
            "length.sh",
            'echo "length=${CONTENT_LENGTH-unset}" >&2\nprintf "Content-Type: a/b\\n\\n"',
        )
        assert scgid.request("/cgi-bin/length.sh", method="HEAD").status == 200
        scgid.wait_line("length=unset")
        return
    assert "CONTENT_LENGTH" not in scgid.tell(method=method)["env"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_item_12_zero_for_post_and_put(scgid, method):
    assert scgid.tell(method=method)["env"]["CONTENT_LENGTH"] == "0"


def test_item_12_content_length_of_a_body(scgid):
    seen = scgid.tell(method="POST", body=b"twelve bytes")
    assert seen["env"]["CONTENT_LENGTH"] == "12"
    assert seen["body"] == "twelve bytes"


def test_item_13_content_type_only_if_sent(scgid):
    assert "CONTENT_TYPE" not in scgid.tell()["env"]
    assert "CONTENT_TYPE" not in scgid.tell(CONTENT_TYPE=None)["env"]
    seen = scgid.tell(method="POST", body=b"x", CONTENT_TYPE="Text/Plain; a=B")
    assert seen["env"]["CONTENT_TYPE"] == "Text/Plain; a=B"


@pytest.mark.parametrize("sent", [None, "CGI/9.9", ""])
def test_item_14_gateway_interface(scgid, sent):
    seen = scgid.tell(GATEWAY_INTERFACE=sent)
    assert seen["env"]["GATEWAY_INTERFACE"] == "CGI/1.1"


@pytest.mark.parametrize("query", ["", "a=1&b=%20%41+c", "%00", "x" * 3000, "?&=;"])
def test_item_15_query_string(scgid, query):
    assert scgid.tell(query=query)["env"]["QUERY_STRING"] == query


def test_item_15_query_string_when_none_was_sent(scgid):
    assert scgid.tell(QUERY_STRING=None)["env"]["QUERY_STRING"] == ""


@pytest.mark.parametrize("method", ["GET", "pRoPfInD", "M-SEARCH", "X!#$%&'*+.^_`|~9"])
def test_item_16_method_is_any_token(scgid, method):
    assert scgid.tell(method=method)["env"]["REQUEST_METHOD"] == method


def test_item_17_script_name_is_decoded(scgid):
    seen = scgid.tell(
        TELL, DOCUMENT_URI=None, REQUEST_URI="/cgi%2Dbin/tell%2Epy/extra?a=/cgi-bin/x"
    )
    assert seen["env"]["SCRIPT_NAME"] == TELL
    assert seen["env"]["PATH_INFO"] == "/extra"


def test_item_17_script_name_from_the_parameters(scgid):
    seen = scgid.tell(TELL, SCRIPT_NAME="/cgi-bin", PATH_INFO="/tell.py/more")
    assert seen["env"]["SCRIPT_NAME"] == TELL
    assert seen["env"]["PATH_INFO"] == "/more"
    # lighttpd sends the whole path as SCRIPT_NAME.
    seen = scgid.tell(TELL, SCRIPT_NAME=TELL + "/more", PATH_INFO="", DOCUMENT_URI=None)
    assert seen["env"]["SCRIPT_NAME"] == TELL
    assert seen["env"]["PATH_INFO"] == "/more"


def test_item_17_document_uri_before_request_uri(scgid):
    """After a rewrite REQUEST_URI is the old one."""
    seen = scgid.tell(TELL, REQUEST_URI="/cgi-bin/hello.sh")
    assert seen["env"]["SCRIPT_NAME"] == TELL
    assert seen["env"]["REQUEST_URI"] == "/cgi-bin/hello.sh"


def test_item_17_empty_when_mounted_at_the_root(scgid):
    seen = scgid.tell("/some/Where", pool="app")["env"]
    assert seen["SCRIPT_NAME"] == ""
    assert seen["PATH_INFO"] == "/some/Where"


@pytest.mark.parametrize(
    "sent, expected",
    [
        ("", None),
        ("/", "/"),
        ("/Mixed/Case", "/Mixed/Case"),
        ("/a%20b%3Fc", "/a b?c"),
        ("/%C3%A4", "/\u00c3\u00a4"),
        ("/a;b=c", "/a;b=c"),
        ("/%25", "/%"),
        ("/a+b", "/a+b"),
    ],
)
def test_item_18_19_path_info(scgid, sent, expected):
    env = scgid.tell(TELL, DOCUMENT_URI=None, REQUEST_URI=TELL + sent)["env"]
    assert env.get("PATH_INFO") == expected
    if expected is None:
        assert "PATH_TRANSLATED" not in env
    else:
        assert env["PATH_TRANSLATED"].startswith("/")
        assert env["PATH_TRANSLATED"].endswith(expected)


def test_item_19_path_translated_is_never_taken_from_a_request(scgid):
    env = scgid.tell(TELL, PATH_TRANSLATED="/etc/shadow")["env"]
    assert "PATH_TRANSLATED" not in env


@pytest.mark.parametrize("info", ["", "/", "/a b", "/%41", "/\u00e4/?#[]", "/x%2Fy"])
def test_item_20_round_trip(scgid, info):
    first = scgid.tell(TELL, DOCUMENT_URI=TELL + info)["env"]
    joined = first["SCRIPT_NAME"] + first.get("PATH_INFO", "")
    encoded = urllib.parse.quote(joined.encode("latin-1"), safe="/")
    second = scgid.tell(TELL, DOCUMENT_URI=None, REQUEST_URI=encoded)["env"]
    for name in ("SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME", "PATH_TRANSLATED"):
        assert first.get(name) == second.get(name), name


ESCAPES = [
    "/cgi-bin/../outside.sh",
    "/cgi-bin/%2e%2e/outside.sh",
    "/cgi-bin/..%2foutside.sh",
    "/cgi-bin/%2e%2e%2foutside.sh",
    "/cgi-bin/sub/../../outside.sh",
    "/cgi-bin//../outside.sh",
    "/cgi-bin/./../outside.sh",
    "/cgi-bin/sub/..%2f..%2foutside.sh",
    "/cgi-bin/tell.py/../../outside.sh",
    "/cgi-bin/%2foutside.sh",
    "/cgi-bin//{dir}/outside.sh",
]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize("how", ["REQUEST_URI", "DOCUMENT_URI", "SCRIPT_NAME"])
def test_item_21_none_escapes_the_root(scgid, path, how):
    outside = scgid.directory / "outside.sh"
    outside.write_text("#!/bin/sh\nprintf 'Content-Type: a/b\\n\\noutside'\n")
    outside.chmod(0o755)
    (scgid.cgi / "sub").mkdir(exist_ok=True)
    scgid.expect(text="reason=", optional=True)
    path = scgid.expand(path)
    options = {"DOCUMENT_URI": None, "REQUEST_URI": None}
    options[how] = path if how == "REQUEST_URI" else urllib.parse.unquote(path)
    reply = scgid.request(TELL, **options)
    assert b"outside" not in reply.body or reply.status != 200
    # tell.py with the rest as its PATH_INFO is the other right answer.
    assert reply.status in (400, 403, 404, 200), reply
    if reply.status == 200:
        assert json.loads(reply.body)["env"]["SCRIPT_NAME"] == TELL


def test_item_21_double_slashes_and_encoded_slash(scgid):
    """As the manual says: %2F is a slash, in PATH_INFO as everywhere."""
    env = scgid.tell(TELL, DOCUMENT_URI=None, REQUEST_URI=TELL + "/a%2Fb//c")["env"]
    assert env["SCRIPT_NAME"] == TELL
    assert env["PATH_INFO"] == "/a/b//c"


@pytest.mark.parametrize(
    "uri",
    ["/cgi-bin/tell.py%00", "/cgi-bin/tell.py/%00x", "/%00", "/cgi-bin/tell.py%00.php"],
)
def test_item_22_encoded_nul(scgid, uri):
    scgid.expect(reason="bad-request")
    reply = scgid.request(TELL, DOCUMENT_URI=None, REQUEST_URI=uri)
    assert reply.status == 400
    assert scgid.failure(reply)["reason"] == "bad-request"


@pytest.mark.parametrize(
    "uri", ["/cgi-bin/%", "/cgi-bin/%4", "/cgi-bin/%zz", "nothing", ""]
)
def test_item_22_broken_escapes(scgid, uri):
    scgid.expect(reason="bad-request")
    reply = scgid.request(TELL, DOCUMENT_URI=None, REQUEST_URI=uri)
    assert reply.status == 400


def test_item_23_24_remote_address_and_host(scgid):
    env = scgid.tell(REMOTE_ADDR="2001:db8::1")["env"]
    assert env["REMOTE_ADDR"] == "2001:db8::1"
    assert env["REMOTE_HOST"] == "2001:db8::1"
    env = scgid.tell(REMOTE_ADDR="192.0.2.9", REMOTE_HOST="a.example.org")["env"]
    assert env["REMOTE_HOST"] == "a.example.org"
    env = scgid.tell(REMOTE_ADDR=None)["env"]
    assert env["REMOTE_ADDR"]
    assert env["REMOTE_HOST"] == env["REMOTE_ADDR"]


def test_item_25_server_variables_always_set(scgid):
    bare = scgid.tell(
        SERVER_NAME=None, SERVER_PORT=None, SERVER_PROTOCOL=None, HTTP_HOST=None
    )["env"]
    for name in ("SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE"):
        assert bare[name], name
    env = scgid.tell(SERVER_SOFTWARE="nginx/1.22")["env"]
    assert env["SERVER_NAME"] == "www.example.org"
    assert env["SERVER_PORT"] == "80"
    assert env["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert env["SERVER_SOFTWARE"].startswith("scgid/")


def test_item_26_user_only_from_parameters(scgid):
    env = scgid.tell(
        HTTP_REMOTE_USER="mallory",
        HTTP_AUTH_TYPE="Basic",
        HTTP_AUTHORIZATION="Basic bWFsbG9yeTp4",
    )["env"]
    assert "REMOTE_USER" not in env
    assert "AUTH_TYPE" not in env
    env = scgid.tell(REMOTE_USER="alice", AUTH_TYPE="Basic")["env"]
    assert (env["REMOTE_USER"], env["AUTH_TYPE"]) == ("alice", "Basic")


def test_item_27_authorization(scgid):
    sent = {"HTTP_AUTHORIZATION": "Basic c2VjcmV0", "HTTP_PROXY_AUTHORIZATION": "x"}
    hidden = scgid.tell(**sent)["env"]
    assert not set(sent) & set(hidden)
    passed = scgid.tell("/auth/tell.py", **sent)["env"]
    assert passed["HTTP_AUTHORIZATION"] == "Basic c2VjcmV0"


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_CONTENT_LENGTH",
        "HTTP_CONTENT_TYPE",
        "HTTP_CONNECTION",
        "HTTP_TRANSFER_ENCODING",
    ],
)
def test_item_28_29_removed_headers(scgid, name):
    assert name not in scgid.tell(**{name: "1"})["env"]


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_PROXY",
        "http_proxy",
        "Http_Proxy",
        "HTTP_proxy",
        "ALL_PROXY",
        "HTTPS_PROXY",
        "https_proxy",
    ],
)
def test_item_30_proxy(scgid, name):
    reply = scgid.request(TELL, **{name: "http://evil.example/"})
    assert reply.status == 200
    assert b"evil" not in reply.body


def test_item_31_other_headers_stay(scgid):
    env = scgid.tell(headers={"X-Foo": "1", "Cookie": "a=b; c", "X-Proxy": "y"})["env"]
    assert env["HTTP_X_FOO"] == "1"
    assert env["HTTP_COOKIE"] == "a=b; c"
    assert env["HTTP_X_PROXY"] == "y"


def test_item_32_names_are_unique(scgid):
    params, _ = scgid.params(TELL, PATH="x", SCRIPT_FILENAME="y", GATEWAY_INTERFACE="z")
    params += [("REMOTE_ADDR", "9"), ("QUERY_STRING", "9"), ("X_A", "1"), ("X_A", "2")]
    scgid.expect(text="X_A|REMOTE_ADDR|QUERY_STRING", optional=True)
    names = json.loads(scgid.raw(encode(params)).body)["names"]
    assert len(names) == len(set(names))


REFUSED = (
    "LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT IFS ENV BASH_ENV SHELLOPTS PS4 PERL5LIB "
    "PERL5OPT PYTHONPATH PYTHONSTARTUP PYTHONHOME RUBYOPT RUBYLIB GLIBC_TUNABLES "
    "MALLOC_CHECK_ LISTEN_FDS LISTEN_PID NOTIFY_SOCKET NODE_OPTIONS GCONV_PATH "
    "LOCPATH TMPDIR HOME"
).split()


def test_item_33_dangerous_names_are_refused(scgid):
    sent = {name: "/evil" for name in REFUSED}
    seen = scgid.tell(PATH="/evil", **sent)["env"]
    refused = set(REFUSED) - {"TMPDIR", "HOME"}
    assert not refused & set(seen)
    assert seen["PATH"] and "/evil" not in seen["PATH"]
    assert "/bin" in seen["PATH"]


def test_item_33_the_daemons_environment_is_not_inherited(start):
    one = start(
        {
            "www": (
                {"env.FROM_POOL": "p"},
                {
                    "/cgi-bin": {
                        "root": "{cgi}",
                        "env.FROM_MAP": "m",
                        "env.PATH": "/opt/bin:/bin",
                    }
                },
            )
        },
        environment={"LEAKED_FROM_START": "1", "HOME": "/root"},
    )
    env = one.tell()["env"]
    assert "LEAKED_FROM_START" not in env
    assert "HOME" not in env
    assert (env["FROM_POOL"], env["FROM_MAP"]) == ("p", "m")
    assert env["PATH"] == "/opt/bin:/bin"


def test_request_comes_before_configured_environment(start):
    one = start(
        {"www": ({"env.WHO": "configuration"}, {"/cgi-bin": {"root": "{cgi}"}})}
    )
    assert one.tell()["env"]["WHO"] == "configuration"
    assert one.tell(WHO="request")["env"]["WHO"] == "request"


def test_item_34_variables_for_php(scgid):
    env = scgid.tell(
        SCRIPT_FILENAME="proxy:scgi://127.0.0.1:4000/x.php", DOCUMENT_ROOT="/srv/www"
    )["env"]
    assert env["REDIRECT_STATUS"] == "200"
    assert env["SCRIPT_FILENAME"] == str(scgid.cgi / "tell.py")
    assert env["DOCUMENT_ROOT"] == "/srv/www"


def test_no_path_at_all(scgid):
    scgid.expect(reason="bad-request")
    params = nginx_params("/x", DOCUMENT_URI=None, REQUEST_URI=None)
    assert scgid.raw(encode(params)).status == 400
