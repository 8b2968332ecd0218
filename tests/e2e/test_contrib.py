"""contrib/demo and the samples, with a scgid that is built already."""

import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from harness.client import wait_for
from harness.daemon import free_port, program

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "contrib/samples"


@pytest.fixture
def demo(place):
    """demo(...): a copy of it that builds nothing and installs nothing."""
    shutil.copytree(ROOT / "contrib", place / "contrib")
    (place / "build").symlink_to(os.path.dirname(program("scgid")))
    (place / "bin").mkdir()
    (place / "scratch").mkdir()
    for stub in (place / "bin/cmake", place / "contrib/install-deps"):
        stub.write_text("#!/bin/sh\nexit 0\n")
        stub.chmod(0o755)
    port = free_port()
    environment = dict(
        os.environ,
        PATH="%s:%s" % (place / "bin", os.environ["PATH"]),
        SCGID_DEMO_PORT=str(port),
        TMPDIR=str(place / "scratch"),
    )

    def begin(*arguments):
        return subprocess.Popen(
            [str(place / "contrib/demo")] + list(arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    begin.port = port
    begin.scratch = place / "scratch"
    return begin


def is_up(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_demo_checks_each_sample(demo):
    done = demo("--check")
    text = done.communicate(timeout=60)[0].decode()
    assert done.returncode == 0 and "FAILED" not in text, text
    assert text.count("ok ") >= 9
    assert not is_up(demo.port) and os.listdir(demo.scratch) == []


def test_demo_on_a_taken_port(demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", demo.port))
        taken.listen(1)
        done = demo()
        text = done.communicate(timeout=60)[0].decode()
    assert done.returncode == 1 and "in use" in text, text
    assert os.listdir(demo.scratch) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_leaves_nothing(demo, how):
    """Ctrl-C, and a terminal that is closed: all in it get the signal."""
    before = set(glob.glob("/tmp/scgid.*"))
    one = demo()
    try:
        wait_for(lambda: is_up(demo.port), "the port", 20.0)
        made = set(glob.glob("/tmp/scgid.*")) - before
        assert made
        os.killpg(one.pid, how)
        one.communicate(timeout=20)
    finally:
        one.kill()
    assert one.returncode == 128 + how
    wait_for(lambda: not is_up(demo.port), "the port to be free")
    assert os.listdir(demo.scratch) == []
    assert not [path for path in made if os.path.exists(path)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_serve_leaves_nothing(scripts_of_demo, how):
    before = set(glob.glob("/tmp/scgid.*"))
    port = free_port()
    one = subprocess.Popen(
        [program("scgid"), "--serve", str(scripts_of_demo)]
        + ["--listen", "127.0.0.1:%d" % port],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: is_up(port), "the port", 20.0)
        made = set(glob.glob("/tmp/scgid.*")) - before
        assert made
        one.send_signal(how)
        one.wait(20)
    finally:
        one.kill()
    assert one.returncode == 0
    assert not [path for path in made if os.path.exists(path)]


@pytest.fixture
def scripts_of_demo(place):
    shutil.copytree(SAMPLES, place / "samples")
    return place / "samples"


def test_samples_take_words_as_they_are(place):
    """No backslash of a client becomes a line end, or ends the answer."""

    def answer(name, **environment):
        return subprocess.check_output(
            ["/bin/sh", str(SAMPLES / name)],
            env=dict(os.environ, **environment),
            stdin=subprocess.DEVNULL,
            cwd=str(place),
        ).decode()

    words = "a\\nX-A: b\\cd"
    text = answer("hello.sh", SCRIPT_NAME="/h", QUERY_STRING=words, PATH_INFO=words)
    assert text.count("'%s'" % words) == 2
    assert answer("echo.sh", CONTENT_TYPE=words).splitlines()[0].endswith(words)
    text = answer("redirect.sh", HTTP_HOST=words, SCRIPT_NAME="/redirect.sh")
    assert text == "Location: http://%s/hello.sh?from=redirect\n\n" % words
