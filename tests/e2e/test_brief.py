"""Paths whose responses are brief each time: their stdout is looked at once.

Each script is brief until it has been asked often enough, and then is not.
"""

import pytest

from harness.client import Background, wait_for

# More than BRIEF_STREAK of relay.c.
OFTEN = 12
HEAD = "printf 'Content-Type: a/b\\n\\n'\n"


def prepare(scgid, name, otherwise):
    """The path of a script that has been brief and will do `otherwise` next."""
    flag = scgid.directory / f"{name}.not-brief"
    scgid.script(
        f"{name}.sh",
        f"if ! [ -e {flag} ]; then\n{HEAD}echo brief\nexit\nfi\n{otherwise}\n",
    )
    path = f"/cgi-bin/{name}.sh"
    for _ in range(OFTEN):
        assert scgid.request(path).body == b"brief\n"
    flag.touch()
    return path


def waits_for(scgid, name):
    """(shell that waits for a file, what makes the file)"""
    flag = scgid.directory / f"{name}.go"
    return f"while ! [ -e {flag} ]; do sleep 0.01; done", flag.touch


@pytest.mark.parametrize("length", [1, 65535, 65536, 65537, 131072, 3000000])
def test_it_prints_much(scgid, length):
    path = prepare(scgid, f"much-{length}", f"{HEAD}head -c {length} /dev/zero")
    for _ in range(3):
        reply = scgid.request(path)
        assert not reply.broken
        assert reply.body == bytes(length)


def test_it_prints_without_end(scgid):
    """Nobody else has to wait for that, however fast it is read."""
    path = prepare(scgid, "endless", f"{HEAD}exec yes")
    with scgid.start(path) as connection:
        with Background(connection.read_some):
            for _ in range(20):
                assert scgid.request("/cgi-bin/hello.sh").status == 200
        connection.abort()
    scgid.wait_line(r"client-aborted .*endless\.sh")


@pytest.mark.parametrize("who", ["itself", "child"])
def test_the_rest_comes_later(scgid, who):
    """It goes on, or has ended and left behind what does."""
    wait, go = waits_for(scgid, who)
    later = f"{wait}; echo two"
    rest = {"itself": later, "child": f"({later}) &"}[who]
    path = prepare(scgid, who, f"{HEAD}echo one\n{rest}")
    with scgid.start(path) as connection:
        first = connection.read_some()
        assert first.endswith(b"one\n")
        go()
        assert connection.read(start=first).body == b"one\ntwo\n"


@pytest.mark.parametrize("framing", ["length", "end"])
def test_it_lives_on_after_its_response(scgid, framing):
    name = f"after-{framing}"
    wait, go = waits_for(scgid, name)
    say = {
        "length": "printf 'Content-Type: a/b\\nContent-Length: 4\\n\\nbody'",
        "end": f"{HEAD}printf body; exec >&-",
    }
    path = prepare(scgid, name, f"{say[framing]}\n{wait}")
    assert scgid.request(path).body == b"body"
    go()


@pytest.mark.parametrize(
    "reason, otherwise",
    [
        ("killed-by-signal", f"{HEAD}echo half; kill -9 $$"),
        ("truncated-body", "printf 'Content-Type: a/b\\nContent-Length: 9\\n\\nhalf'"),
        ("exit-status", "echo complaint >&2; exit 3"),
        ("empty-output", "exit 0"),
        ("no-header", "echo nothing"),
        ("bad-header", "printf 'Content-Type: a/b\\n no: name\\n: \\n\\n'"),
    ],
)
def test_it_fails(scgid, reason, otherwise):
    """The page names the reason, each time; a busy machine may be too late."""
    scgid.expect(reason=reason)
    path = prepare(scgid, reason, otherwise)

    def is_page():
        reply = scgid.request(path)
        assert scgid.failure(reply)["reason"] == reason
        return not reply.broken and reply.status == 502 and b"half" not in reply.raw

    wait_for(is_page, "an error page", 10.0)


def test_it_sends_elsewhere(scgid):
    target = prepare(scgid, "target", f"{HEAD}echo elsewhere")
    path = prepare(scgid, "sends", f"printf 'Location: {target}\\n\\n'")
    assert scgid.request(path).body == b"elsewhere\n"


def test_its_front_end_goes_away(scgid):
    wait, go = waits_for(scgid, "alone")
    path = prepare(scgid, "alone", f"{HEAD}echo one\n{wait}")
    connection = scgid.start(path)
    connection.abort()
    scgid.wait_line(r"client-aborted .*alone\.sh")
    go()
    assert scgid.request(path).body == b"one\n"
