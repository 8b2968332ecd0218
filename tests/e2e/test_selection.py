"""Conformance 35-42: which program runs, and in what state it starts."""

import os
import signal
import stat

import pytest

from conftest import STANDARD_POOL
from harness.daemon import IS_ROOT, POOL_USER, user_ids


def test_item_35_longest_prefix_on_segments(start):
    one = start(
        {
            "www": (
                {},
                {
                    "/cgi": {"root": "{cgi}/short"},
                    "/cgi-x": {"root": "{cgi}/dash"},
                    "/cgi/deep": {"root": "{cgi}/deep"},
                    "/cgi/one": {
                        "script": "{cgi}/tell.py",
                        "args": 'first "the second"',
                    },
                },
            )
        },
        directories=("short", "dash", "deep"),
    )
    for name in ("short", "dash", "deep"):
        one.script(name + "/who", "printf 'Content-Type: a/b\\n\\n%s'" % name)
    assert one.request("/cgi/who").body == b"short"
    assert one.request("/cgi-x/who").body == b"dash"
    assert one.request("/cgi/deep/who").body == b"deep"
    one.expect(reason="no-map")
    one.expect(reason="script-not-found")
    for path in ("/cgi-y/who", "/cg", "/", "/CGI/who"):
        reply = one.request(path)
        assert reply.status == 404, path
        assert one.failure(reply)["reason"] == "no-map"
    assert one.request("/cgi/deeper/who").status == 404
    seen = one.tell("/cgi/one/and/more")
    assert seen["env"]["SCRIPT_NAME"] == "/cgi/one"
    assert seen["env"]["PATH_INFO"] == "/and/more"
    assert seen["argv"][-2:] == ["first", "the second"]


def test_item_35_host_narrows_a_map(start):
    one = start(
        {
            "www": (
                {},
                {
                    "/cgi": {"root": "{cgi}/any"},
                    "/": {"root": "{cgi}/wild", "host": "*.example.org"},
                    "/b": {"root": "{cgi}/exact", "host": "b.example.org"},
                },
            )
        },
        directories=("any", "wild", "exact"),
    )
    for name in ("any", "wild", "exact"):
        one.script(name + "/who", "printf 'Content-Type: a/b\\n\\n%s'" % name)
    assert one.request("/who", HTTP_HOST="x.example.org").body == b"wild"
    assert one.request("/who", HTTP_HOST="X.EXAMPLE.ORG:8080").body == b"wild"
    assert one.request("/b/who", HTTP_HOST="b.example.org").body == b"exact"
    assert one.request("/cgi/who", HTTP_HOST="elsewhere").body == b"any"
    one.expect(reason="no-map")
    assert one.request("/who", HTTP_HOST="elsewhere").status == 404


def test_item_36_walk_stops_at_the_first_file(scgid):
    scgid.script("a/b/tell2.py", (scgid.cgi / "tell.py").read_bytes(), interpreter=None)
    env = scgid.tell("/cgi-bin/a/b/tell2.py/c.php/d")["env"]
    assert env["SCRIPT_NAME"] == "/cgi-bin/a/b/tell2.py"
    assert env["PATH_INFO"] == "/c.php/d"
    assert env["SCRIPT_FILENAME"] == str(scgid.cgi / "a/b/tell2.py")


def test_item_36_directory(start):
    one = start(
        {
            "www": (
                {},
                {
                    "/cgi-bin": {"root": "{cgi}", "index": "none.cgi index.cgi"},
                    "/bare": {"root": "{cgi}"},
                },
            )
        }
    )
    one.script(
        "with/index.cgi", "printf 'Content-Type: a/b\\n\\nindex %s' \"$SCRIPT_NAME\""
    )
    one.script("without/other.cgi", "exit 1")
    for path in ("/cgi-bin/with/", "/cgi-bin/with"):
        reply = one.request(path)
        assert reply.status == 200, reply
        assert reply.body.startswith(b"index /cgi-bin/with")
    one.expect(text="reason=")
    assert one.request("/cgi-bin/without/").status == 403
    assert one.request("/bare/with/").status == 403
    assert one.request("/bare").status == 403


def test_item_36_source_is_never_sent(scgid):
    """A file that cannot run is an error, whatever follows its name."""
    scgid.script("page.html", "<p>secret</p>", mode=0o644, interpreter=None)
    scgid.expect(reason="script-not-executable")
    for path in ("page.html", "page.html/x.cgi", "page.html/"):
        reply = scgid.request("/cgi-bin/" + path)
        assert reply.status == 403, path
        assert b"secret" not in reply.raw


@pytest.mark.parametrize(
    "name, status, reason",
    [
        ("missing.sh", 404, "script-not-found"),
        ("plain.sh", 403, "script-not-executable"),
        ("nointerp.sh", 500, "interpreter-not-found"),
        ("junk", 500, "bad-executable"),
    ],
)
def test_item_37_each_failure_has_its_reason(scgid, name, status, reason):
    scgid.script("plain.sh", "exit 0", mode=0o644)
    scgid.script("nointerp.sh", "#!/usr/bin/no-such-thing -x\n")
    scgid.script("junk", b"\x7fELF" + b"\0" * 200, interpreter=None)
    scgid.expect(reason=reason)
    reply = scgid.request("/cgi-bin/" + name)
    assert reply.status == status
    assert reason.encode() in reply.body
    assert scgid.failure(reply)["reason"] == reason
    assert scgid.entry(reply)["reason"] == reason


def test_item_38_working_directory(scgid):
    scgid.script("a/b/tell3.py", (scgid.cgi / "tell.py").read_bytes(), interpreter=None)
    assert scgid.tell("/cgi-bin/a/b/tell3.py")["cwd"] == str(scgid.cgi / "a/b")
    assert scgid.tell("/any/where", pool="app")["cwd"] == str(scgid.cgi)


def test_item_39_the_name_of_a_link_is_kept(scgid):
    scgid.script("box.sh", "printf 'Content-Type: a/b\\n\\n%s' \"${0##*/}\"")
    for name in ("applet-a", "applet-b"):
        if not (scgid.cgi / name).is_symlink():
            (scgid.cgi / name).symlink_to("box.sh")
        assert scgid.request("/cgi-bin/" + name).body == name.encode()
    reply = scgid.request("/cgi-bin/box.sh")
    assert reply.body == b"box.sh"
    assert scgid.entry(reply)["script"].endswith("box.sh")


def test_item_39_argv0(scgid):
    assert scgid.tell()["argv"][-1].endswith("tell.py")


@pytest.mark.parametrize(
    "query",
    ["-s", "%2Ds", "%AD-d", "%AD%64+allow_url_include%3d1", "a+b", "--help", "+"],
)
def test_item_40_no_arguments_from_the_query(scgid, query):
    plain = scgid.tell()["argv"]
    seen = scgid.tell(query=query)
    assert seen["argv"] == plain
    assert seen["env"]["QUERY_STRING"] == query


def test_item_41_the_state_of_a_worker(scgid):
    seen = scgid.tell(method="POST", body=b"x")
    assert seen["descriptors"] == [0, 1, 2]
    assert seen["umask"] == 0o022
    assert seen["pgid"] == seen["pid"]
    assert seen["no_new_privs"] == "1"
    if IS_ROOT:
        uid, gid = user_ids(POOL_USER)
        assert seen["uid"] == [uid] * 3
        assert seen["gid"] == [gid] * 3
        assert set(seen["groups"]) <= set(os.getgrouplist(POOL_USER, gid))


def signals_of_a_worker(one):
    one.script(
        "signals.sh", "printf 'Content-Type: a/b\\n\\n'\nexec cat /proc/self/status"
    )
    text = one.request("/cgi-bin/signals.sh").body.decode()
    values = {
        name: value for name, _, value in (l.partition(":") for l in text.splitlines())
    }
    return {name: int(values[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")}


def test_item_41_signals_are_default(scgid):
    assert signals_of_a_worker(scgid) == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def test_item_41_signals_are_default_when_ours_were_not(start):
    """Started with SIGCHLD and SIGPIPE ignored and everything blocked."""

    def spoil():
        os.umask(0)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.dup2(2, 200)

    one = start(
        {"www": (dict(STANDARD_POOL, umask="027"), {"/cgi-bin": {"root": "{cgi}"}})},
        preexec=spoil,
    )
    assert signals_of_a_worker(one) == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}
    seen = one.tell()
    assert seen["umask"] == 0o027
    assert seen["descriptors"] == [0, 1, 2]
    mode = stat.S_IMODE(os.stat(one.sockets["www"]).st_mode)
    assert mode == 0o660


def test_item_42_crlf_shebang(scgid):
    scgid.script("crlf.sh", b"#!/bin/sh\r\necho hi\r\n")
    scgid.expect(reason="crlf-shebang")
    reply = scgid.request("/cgi-bin/crlf.sh")
    assert reply.status == 500
    assert scgid.failure(reply)["reason"] == "crlf-shebang"


def test_item_42_missing_shebang(scgid):
    scgid.script("bare.sh", "printf 'Content-Type: a/b\\n\\nran'\n", interpreter=None)
    scgid.expect(reason="bad-executable")
    reply = scgid.request("/cgi-bin/bare.sh")
    assert reply.status == 500
    assert "#!" in scgid.failure(reply)["detail"]


# Beyond the checklist: links, handlers, names, permissions.


def test_symlinks(start):
    modes = ("inside", "owner", "any", "none")
    one = start(
        {"www": ({}, {"/" + m: {"root": "{cgi}", "symlinks": m} for m in modes})}
    )
    outside = one.directory / "outside.sh"
    outside.write_text("#!/bin/sh\nprintf 'Content-Type: a/b\\n\\nran'\n")
    outside.chmod(0o755)
    one.script("target.sh", "printf 'Content-Type: a/b\\n\\nran'")
    (one.cgi / "in").symlink_to("target.sh")
    (one.cgi / "out").symlink_to(outside)
    (one.cgi / "up").symlink_to("../outside.sh")
    one.expect(text="reason=(outside-root|permission-denied|unsafe-permissions)")
    ran = {
        (mode, name): one.request("/%s/%s" % (mode, name)).status == 200
        for mode in modes
        for name in ("target.sh", "in", "out", "up")
    }
    assert ran == {
        (mode, name): name == "target.sh"
        or mode in ("any", "owner")
        or (mode == "inside" and name == "in")
        for mode, name in ran
    }


@pytest.mark.root
def test_symlinks_owner_refuses_another_owner(start):
    one = start({"www": ({}, {"/cgi-bin": {"root": "{cgi}", "symlinks": "owner"}})})
    one.script("target.sh", "printf 'Content-Type: a/b\\n\\nran'")
    (one.cgi / "link").symlink_to("target.sh")
    uid, gid = user_ids("nobody")
    os.lchown(one.cgi / "link", uid, gid)
    one.expect(text="reason=")
    assert one.request("/cgi-bin/link").status == 403


def test_handler(start):
    one = start(
        {
            "www": (
                {},
                {
                    "/cgi-bin": {
                        "root": "{cgi}",
                        "handler.txt": "/bin/cat",
                        "handler.py": "/usr/bin/python3",
                    }
                },
            )
        }
    )
    one.script("page.txt", "Content-Type: a/b\n\nof cat", mode=0o644, interpreter=None)
    one.script(
        "app.py",
        "print('Content-Type: a/b\\n\\nof python')",
        mode=0o644,
        interpreter=None,
    )
    assert one.request("/cgi-bin/page.txt").body == b"of cat"
    assert one.request("/cgi-bin/app.py").body == b"of python\n"
    one.script("page.other", "x", mode=0o644, interpreter=None)
    one.expect(reason="script-not-executable")
    assert one.request("/cgi-bin/page.other").status == 403


def test_handler_that_has_gone(start, place):
    """It is not the script that was not found."""
    handler = place / "handler"
    handler.symlink_to("/bin/cat")
    one = start(
        {"www": ({}, {"/cgi-bin": {"root": "{cgi}", "handler.txt": str(handler)}})}
    )
    one.script("page.txt", "Content-Type: a/b\n\nof cat", mode=0o644, interpreter=None)
    assert one.request("/cgi-bin/page.txt").body == b"of cat"
    handler.unlink()
    one.expect(reason="interpreter-not-found")
    reply = one.request("/cgi-bin/page.txt")
    assert reply.status == 500
    failure = one.failure(reply)
    assert failure["reason"] == "interpreter-not-found"
    assert failure["detail"] == "%s: No such file or directory" % handler


def test_handler_of_a_script_with_dos_line_ends(start):
    """Its #! line means nothing, so it is not what a failure comes from."""
    one = start(
        {
            "www": (
                {},
                {"/cgi-bin": {"root": "{cgi}", "handler.py": "/usr/bin/python3"}},
            )
        }
    )
    text = "#!/usr/bin/python3\r\nraise SystemExit(3)\r\n"
    one.script("dos.py", text, mode=0o644, interpreter=None)
    one.expect(reason="exit-status")
    reply = one.request("/cgi-bin/dos.py")
    assert reply.status == 502
    assert one.failure(reply)["reason"] == "exit-status"


def test_allow_names(start):
    one = start(
        {"www": ({}, {"/cgi-bin": {"root": "{cgi}", "allow_names": "*.cgi special"}})}
    )
    for name in ("a.cgi", "special", "b.sh"):
        one.script(name, "printf 'Content-Type: a/b\\n\\nran'")
    assert one.request("/cgi-bin/a.cgi").status == 200
    assert one.request("/cgi-bin/special").status == 200
    one.expect(reason="name-not-allowed")
    reply = one.request("/cgi-bin/b.sh")
    assert reply.status == 403
    assert one.failure(reply)["reason"] == "name-not-allowed"


HELLO = (
    "#include <stdio.h>\n"
    'int main(void) { puts("Content-Type: a/b\\n\\nbinary"); return 0; }\n'
)


def test_execute_only_binary(scgid):
    """Mode 0711: may run, may not be read."""
    scgid.compiled("hello.bin", HELLO, mode=0o711)
    assert scgid.request("/cgi-bin/hello.bin").body == b"binary\n"


def test_very_long_path(scgid):
    scgid.expect(text="reason=")
    reply = scgid.request("/cgi-bin/" + "a/" * 30000)
    assert reply.status in (404, 400, 414), reply
    reply = scgid.request("/cgi-bin/" + "a" * 60000)
    assert reply.status in (404, 400, 414), reply


@pytest.mark.parametrize(
    "name", ["new\nline", "t\u00e4st", "esc\x1b[31m", "tab\t", "quote\"'", "-n"]
)
def test_odd_names(scgid, name):
    scgid.script(name, "printf 'Content-Type: a/b\\n\\nodd'")
    reply = scgid.request("/cgi-bin/" + name, REQUEST_URI="/x")
    assert reply.body == b"odd"
    entry = scgid.entry(reply)
    scgid.probe()
    raw = scgid.stderr.read_bytes() + scgid.access.read_bytes()
    assert b"\x1b" not in raw and "\u00e4".encode() not in raw
    assert entry["status"] in (200, "200")


@pytest.mark.parametrize(
    "path", ["/no\nwarn x", "/\x1b[2J", "/\u00e4", '/a" reason="fake']
)
def test_log_injection(scgid, path):
    scgid.expect(reason="no-map")
    reply = scgid.request(path, REQUEST_URI="/x", HTTP_USER_AGENT="\r\n\x1b")
    assert reply.status == 404
    assert scgid.failure(reply)["reason"] == "no-map"
    raw = scgid.stderr.read_bytes()
    assert b"\x1b" not in raw and "\u00e4".encode() not in raw
    assert all(32 <= byte < 127 or byte == 10 for byte in raw)


def test_trust_script_filename(start):
    one = start(
        {
            "www": (
                {},
                {
                    "/t": {"root": "{cgi}", "trust_script_filename": "yes"},
                    "/u": {"root": "{cgi}"},
                },
            )
        }
    )
    path = str(one.cgi / "tell.py")
    seen = one.tell("/t/pretty/url", SCRIPT_FILENAME=path)
    assert seen["env"]["SCRIPT_FILENAME"] == path
    # nginx's scgi_params has no SCRIPT_NAME; it still leads to the script.
    assert seen["env"]["SCRIPT_NAME"] == "/t/pretty/url"
    assert "PATH_INFO" not in seen["env"]
    one.expect(text="reason=")
    assert one.request("/u/pretty/url", SCRIPT_FILENAME=path).status == 404
    for outside in ("/bin/cat", str(one.cgi) + "/../outside.sh", "relative"):
        reply = one.request("/t/pretty/url", SCRIPT_FILENAME=outside)
        assert reply.status in (400, 403, 404), (outside, reply)
