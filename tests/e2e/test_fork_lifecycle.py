"""Fork servers: when they start, are replaced and end; what dies around them."""

import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import time

import pytest

from conftest import STANDARD_POOL
from harness.client import Background, run_threads, wait_for
from harness.daemon import processes, resident_kib, set_limit
from test_fork_server import HEADER, is_forked, warm

REQUESTS = int(os.environ.get("SCGID_FRESH_REQUESTS", "2000"))

PLAIN = "printf 'Content-Type: a/b\\n\\n'\n"
SPARES = [0, 3]


def instance(start, map_keys=None, maps=None, build="SCGID_BUILD", **pool):
    keys = dict({"root": "{cgi}", "start": "fork-server"}, **(map_keys or {}))
    maps = dict({"/fork": keys, "/exec": {"root": "{cgi}"}}, **(maps or {}))
    return start({"www": (dict(STANDARD_POOL, **pool), maps)}, build=build)


def version(one, name, text, how="rename"):
    """Deploy a C program that prints `text`."""
    source = (
        HEADER
        + '%s\nint main(void) { printf("Content-Type: a/b\\n\\n%s"); return 0; }\n'
    )
    new = one.compiled(name + ".new", source % ("", text))
    if how == "rename":
        os.rename(new, one.cgi / name)
    else:
        (one.cgi / name).unlink()
        os.rename(new, one.cgi / name)


def server_of(one):
    return wait_for(one.fork_servers, "a fork server")[0]


def ended(one, why):
    return one.wait_line("fork server .* has ended.*: .*%s" % why, 10.0)


def kill(pids, how=signal.SIGKILL):
    """Those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            pass


def count(one, text):
    return len([l for l in one.recent() if re.search(text, l.text)])


# Start


def test_first_use_and_prestart(start):
    """Nothing runs before the first request; with prestart the first is fast."""
    one = start(
        {
            "www": (
                STANDARD_POOL,
                {
                    "/fork": {"root": "{cgi}", "start": "fork-server"},
                    "/early": {
                        "script": "{cgi}/hello.sh",
                        "start": "fork-server",
                        "prestart": "yes",
                        "env.EARLY": "yes",
                    },
                },
            )
        }
    )
    assert len(wait_for(one.fork_servers, "the fork server")) == 1
    one.expect(text="no Content-Type", optional=True)
    assert is_forked(one, one.request("/early"))
    assert not is_forked(one, one.request("/fork/hello.sh"))
    warm(one, "/fork/hello.sh")
    assert len(one.fork_servers()) == 2


def test_one_for_all_scripts_of_an_interpreter(start):
    one = instance(start)
    for n in range(5):
        one.script("s%d.sh" % n, PLAIN + "echo %d" % n)
    warm(one, "/fork/s0.sh")
    for n in range(5):
        reply = one.request("/fork/s%d.sh" % n)
        assert is_forked(one, reply) and reply.body == b"%d\n" % n
    assert len(one.fork_servers()) == 1


def test_environment_of_the_map_is_of_the_key(start):
    """Constructors of one map do not see another map's env."""
    keys = {"root": "{cgi}", "start": "fork-server"}
    one = start(
        {
            "www": (
                STANDARD_POOL,
                {
                    "/a": dict(keys, **{"env.WHO": "a"}),
                    "/b": dict(keys, **{"env.WHO": "b"}),
                },
            )
        }
    )
    one.compiled(
        "who",
        HEADER
        + '#include <string.h>\nstatic char who[9];\n__attribute__((constructor)) static void c(void) { strcpy(who, getenv("WHO")); }\nint main(void) { printf("Content-Type: a/b\\n\\n%s%s", who, getenv("WHO")); return 0; }',
    )
    assert warm(one, "/a/who").body == b"aa"
    assert warm(one, "/b/who").body == b"bb"


def test_arguments_are_of_the_key(start):
    """What stands in one list is not taken for the end of another."""
    keys = {"root": "{cgi}", "start": "python"}
    maps = {
        "/args": dict(keys, args="json"),
        "/preload": dict(keys, preload="json auto"),
    }
    one = start({"www": (STANDARD_POOL, maps)})
    one.script(
        "words.py",
        "import sys\nprint('Content-Type: text/plain\\n\\n', sys.argv[1:])\n",
        interpreter="#!/usr/bin/python3\n",
    )

    def ask(path):
        reply = one.request(path)
        return reply if one.entry(reply)["start"] == "python" else None

    for prefix, words in (("/args", b" ['json']\n"), ("/preload", b" []\n")):
        path = prefix + "/words.py"
        reply = wait_for(lambda: ask(path), "a fork server", 20.0, 0.02)
        assert reply.body == words


# Replacement


@pytest.mark.parametrize("spare", SPARES)
def test_a_deploy_is_live_at_once(start, spare):
    """Over the old one, and removed and made again, with requests all the while."""
    one = instance(start, {"spare": spare})
    version(one, "p", "0")
    warm(one, "/fork/p")
    for n in range(1, 12):
        version(one, "p", str(n), "rename" if n % 2 else "remove")
        assert one.request("/fork/p").body == b"%d" % n
        if n % 3 == 0:
            assert warm(one, "/fork/p").body == b"%d" % n
    ended(one, "has changed")
    wait_for(lambda: len(one.fork_servers()) == 1, "the old ones to end")


def test_a_new_handler_is_live_at_once(start, place):
    """What perl has compiled is a handler's script."""
    handler = place / "handler.pl"
    text = "#!/usr/bin/perl\nprint 'Content-Type: a/b', chr 10, chr 10, 'v%d'\n"

    def deploy(number):
        new = place / "new.pl"
        new.write_text(text % number)
        new.chmod(0o755)
        os.rename(new, handler)

    deploy(0)
    keys = {"root": "{cgi}", "start": "perl", "handler.foo": str(handler)}
    one = start({"www": (STANDARD_POOL, {"/h": keys})})
    one.script("x.foo", "")

    def is_perl():
        return one.entry(one.request("/h/x.foo"))["start"] == "perl"

    for number in range(1, 4):
        wait_for(is_perl, "a fork server", 20.0, 0.02)
        deploy(number)
        assert one.request("/h/x.foo").body == b"v%d" % number


def test_a_directory_is_replaced_while_it_is_read(start):
    """What was imported from it is not what is there now."""
    keys = {
        "root": "{cgi}",
        "start": "python",
        "preload": "version slow",
        "env.PYTHONPATH": "{dir}/current:{dir}/slow",
    }
    one = start({"www": (STANDARD_POOL, {"/py": keys})})
    for number in (1, 2):
        (one.directory / f"v{number}").mkdir()
        (one.directory / f"v{number}/version.py").write_text(f"text = 'v{number}'\n")
    (one.directory / "slow").mkdir()
    flag = one.writable("flags")
    # It is imported twice, first by who only tries that.
    (one.directory / "slow/slow.py").write_text(
        "import os, time\n"
        "try:\n"
        f"    os.mkdir('{flag}/tried')\n"
        "except FileExistsError:\n"
        f"    os.mkdir('{flag}/began')\n"
        f"    while not os.path.exists('{flag}/go'): time.sleep(0.01)\n"
    )
    current = one.directory / "current"
    current.symlink_to("v1")
    one.script(
        "x.py",
        "import version\nprint('Content-Type: a/b\\n\\n' + version.text, end='')\n",
        interpreter="#!/usr/bin/python3\n",
    )
    time.sleep(0.05)  # so long ago that nobody doubts these files
    assert one.request("/py/x.py").body == b"v1"
    wait_for((flag / "began").exists, "the import", 20.0)
    os.symlink("v2", one.directory / "next")
    os.rename(one.directory / "next", current)
    (flag / "go").touch()

    def ask():
        reply = one.request("/py/x.py")
        assert reply.body == b"v2"
        return one.entry(reply)["start"] == "python"

    wait_for(ask, "a fork server", 20.0, 0.02)


def test_a_script_that_is_being_written(start):
    """As with exec: half of it is not run."""
    one = instance(start)
    path = one.script("copied.sh", PLAIN + "echo first\n")
    warm(one, "/fork/copied.sh")
    one.expect(reason="script-busy")
    with open(path, "a") as stream:
        for _ in range(3):
            stream.write("# more\n")
            stream.flush()
            reply = one.request("/fork/copied.sh")
            assert one.failure(reply)["reason"] == "script-busy"
    warm(one, "/fork/copied.sh")


def test_a_directory_above_is_switched(start):
    one = instance(start, {"symlinks": "any"})
    for n in (1, 2):
        (one.cgi / ("release%d" % n)).mkdir()
        (one.cgi / ("release%d" % n)).chmod(0o755)
        version(one, "release%d/p" % n, str(n))
    os.symlink("release1", one.cgi / "current")
    assert warm(one, "/fork/current/p").body == b"1"
    os.symlink("release2", one.cgi / "next")
    os.rename(one.cgi / "next", one.cgi / "current")
    assert one.request("/fork/current/p").body == b"2"
    assert warm(one, "/fork/current/p").body == b"2"


def test_the_program_is_removed(start):
    one = instance(start)
    version(one, "p", "1")
    warm(one, "/fork/p")
    (one.cgi / "p").unlink()
    one.expect(reason="script-not-found")
    assert one.request("/fork/p").status == 404
    version(one, "p", "2")
    assert one.request("/fork/p").body == b"2"
    assert warm(one, "/fork/p").body == b"2"


def test_a_library_is_replaced(start):
    """A library that the program is linked with, in a new version."""
    one = instance(start)

    def make(text):
        library = str(one.cgi / "libv.so.new")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library],
            input=b'const char *v(void) { return "%s"; }' % text,
            check=True,
        )
        os.chmod(library, 0o755)
        os.rename(library, one.cgi / "libv.so")

    make(b"1")
    source = (
        HEADER
        + 'const char *v(void);\nint main(void) { printf("Content-Type: a/b\\n\\n%s", v()); return 0; }'
    )
    subprocess.run(
        [
            "cc",
            "-x",
            "c",
            "-",
            "-x",
            "none",
            str(one.cgi / "libv.so"),
            "-o",
            str(one.cgi / "linked"),
        ],
        input=source.encode(),
        check=True,
    )
    assert warm(one, "/fork/linked").body == b"1"
    make(b"2")
    assert one.request("/fork/linked").body == b"2"
    assert warm(one, "/fork/linked").body == b"2"


def test_the_old_one_finishes(start):
    """Requests that run go on when their fork server is replaced."""
    one = instance(start, {"spare": 1})
    source = (
        HEADER
        + 'int main(void) { printf("Content-Type: a/b\\n\\n%s"); fflush(stdout); sleep(1); printf("end"); return 0; }'
    )
    one.compiled("slow", source % "a")
    warm(one, "/fork/slow")
    connections = [one.start("/fork/slow") for _ in range(4)]
    time.sleep(0.2)
    one.compiled("slow.new", source % "b")
    os.rename(one.cgi / "slow.new", one.cgi / "slow")
    assert one.request("/fork/slow").body == b"bend"
    for connection in connections:
        reply = connection.read()
        assert reply.body == b"aend" and not reply.broken
        connection.close()


def test_max_requests_and_room(start):
    """It is replaced after so many, also where it takes all the room."""
    one = instance(start, {"max_requests": 5}, fork_servers=1)
    version(one, "p", "1")
    pids = set()
    for _ in range(60):
        reply = one.request("/fork/p")
        assert reply.body == b"1"
        pids.update(one.fork_servers())
        time.sleep(0.005)
    ended(one, "max_requests")
    assert len(pids) > 3, pids


def test_idle(start):
    one = instance(start, {"idle": "1s", "spare": 2})
    version(one, "p", "1")
    warm(one, "/fork/p")
    ended(one, "not used")
    wait_for(lambda: not one.forkers(), "no fork server")
    assert warm(one, "/fork/p").body == b"1"


def test_least_used_goes(start):
    """fork_servers = 2: a third takes the place of the one used least."""
    one = instance(start, fork_servers=2)
    for name in "abc":
        version(one, name, name)
    warm(one, "/fork/a")
    warm(one, "/fork/b")
    # Both are in use: no room, so it is served with exec.
    assert not is_forked(one, one.request("/fork/c"))
    deadline = time.monotonic() + 5.5
    while time.monotonic() < deadline:
        one.request("/fork/b")
        time.sleep(0.1)
    warm(one, "/fork/c")
    ended(one, "made room for another")
    assert is_forked(one, one.request("/fork/b"))
    assert len(one.fork_servers()) == 2


# Death


@pytest.mark.parametrize("spare", SPARES)
def test_killed_while_idle(start, spare):
    one = instance(start, {"spare": spare})
    one.script("s.sh", PLAIN + "echo yes")
    warm(one, "/fork/s.sh")
    for _ in range(3):
        warm(one, "/fork/s.sh")
        pid = server_of(one)
        os.kill(pid, signal.SIGKILL)
        # While it dies it may take one more request with it.
        wait_for(lambda: processes().get(pid, (0, "Z"))[1] == "Z", "its end")
        for _ in range(3):
            assert one.request("/fork/s.sh").body == b"yes\n"
    ended(one, "killed by signal 9")
    time.sleep(1)
    warm(one, "/fork/s.sh")


@pytest.mark.parametrize("spare", SPARES)
def test_killed_under_load(start, spare):
    """No request is silent: each is whole, or has failed with a reason."""
    one = instance(start, {"spare": spare})
    one.script("s.sh", PLAIN + "echo yes")
    one.expect(text="launcher-lost|killed-by-signal", optional=True)
    one.expect(text="no fork server", optional=True)
    warm(one, "/fork/s.sh")
    bad, done = [], []

    def ask():
        reply = one.request("/fork/s.sh")
        done.append(1)
        if reply.body != b"yes\n" or reply.status != 200 or reply.broken:
            bad.append(reply)
            assert reply.status in (502, 503) or reply.broken, reply

    def kill_some():
        kill(pid for pid in one.forkers() if random.random() < 0.5)
        time.sleep(0.05)

    def work():
        for _ in range(150):
            ask()

    with Background(kill_some):
        run_threads([work] * 8)
    assert len(done) == 1200
    print("failed: %d of %d" % (len(bad), len(done)))
    assert len(bad) < 60, bad[:3]


def test_spares_are_replaced(start):
    """Spares that are killed come again; so do those that a burst took."""
    one = instance(start, {"spare": 4})
    one.script("s.sh", PLAIN + "sleep 0.3; echo yes")
    warm(one, "/fork/s.sh")
    wait_for(lambda: len(one.spares()) == 4, "4 spares")
    kill(one.spares())
    wait_for(lambda: len(one.spares()) == 4, "4 spares again")

    replies = []
    run_threads([lambda: replies.append(one.request("/fork/s.sh"))] * 20)
    for reply in replies:
        assert reply.body == b"yes\n" and is_forked(one, reply)
    wait_for(lambda: len(one.spares()) == 4, "4 spares after the burst")
    server = server_of(one)
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not one.forkers(), "no spare without its server")


def test_spares_that_cannot_live(start):
    """They are not forked for ever: it is refused."""
    one = instance(start, {"spare": 2})
    one.compiled(
        "dies",
        HEADER
        + '#include <pthread.h>\nstatic void d(void) { _exit(9); }\n__attribute__((constructor)) static void c(void) { pthread_atfork(NULL, NULL, d); }\nint main(void) { printf("Content-Type: a/b\\n\\nmain"); return 0; }',
    )
    one.expect(text="no fork server for .*die before they have a request")
    one.expect(reason="launcher-lost", optional=True)
    one.expect(reason="exit-status", optional=True)
    deadline = time.monotonic() + 10
    while not count(one, "die before they have a request"):
        one.request("/fork/dies")
        assert time.monotonic() < deadline
        time.sleep(0.05)
    reply = one.request("/fork/dies")
    assert reply.body == b"main" and not is_forked(one, reply)


def stop_forkers(one):
    """Until they have stopped: one that still takes a request has lost it."""
    stopped = list(one.forkers())
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    for pid in stopped:
        stat = pathlib.Path("/proc/%d/stat" % pid)
        wait_for(lambda: ") T " in stat.read_text(), "it to stop")
    return stopped


@pytest.mark.parametrize("spare", SPARES)
def test_stopped_server(start, spare):
    """SIGSTOP: after some time its requests are served with exec."""
    one = instance(start, {"spare": spare})
    one.script("s.sh", PLAIN + "echo yes")
    warm(one, "/fork/s.sh")
    stop_forkers(one)
    began = time.monotonic()

    def ask():
        assert one.request("/fork/s.sh").body == b"yes\n"

    run_threads([ask] * 5)
    assert time.monotonic() - began < 4.9
    ended(one, "does not begin its requests")
    wait_for(lambda: not one.forkers(), "the stopped ones to go")
    began = time.monotonic()
    ask()
    assert time.monotonic() - began < 1


def test_stopped_and_replaced(start):
    """One that is stopped when its program changes does not stay."""
    one = instance(start, {"spare": 1})
    version(one, "p", "1")
    warm(one, "/fork/p")
    old = stop_forkers(one)
    version(one, "p", "2")
    assert one.request("/fork/p").body == b"2"
    warm(one, "/fork/p")
    wait_for(lambda: not set(old) & set(one.forkers()), "the old ones to go", 8.0)


@pytest.mark.parametrize("role", ["launcher www", "gateway www"])
def test_role_killed(start, role):
    """Launcher or gateway killed -9: no fork server and no spare stays."""
    one = instance(start, {"spare": 3})
    one.script("s.sh", PLAIN + "echo yes")
    one.expect(text="launcher|gateway", optional=True)
    warm(one, "/fork/s.sh")
    old = wait_for(lambda: len(one.forkers()) == 4 and set(one.forkers()), "spares")
    everything = set(processes())
    os.kill(one.role(role), signal.SIGKILL)
    wait_for(lambda: not old & set(processes()), "the old fork servers to end")
    wait_for(lambda: one.roles("gateway www") and one.roles("launcher www"), "roles")
    assert warm(one, "/fork/s.sh").body == b"yes\n"


def test_supervisor_killed(start):
    one = instance(start, {"spare": 3})
    one.script("s.sh", PLAIN + "echo yes")
    warm(one, "/fork/s.sh")
    wait_for(lambda: len(one.forkers()) == 4, "spares")
    everyone = set(one.tree())
    os.kill(one.pid, signal.SIGKILL)
    one.process.wait()
    wait_for(lambda: not everyone & set(processes()), "everyone to end")
    one.dirty = one.stopped = True
    one.log_stream.close()
    one.clean()


def test_reload_and_drain(start):
    """HUP and TERM: requests in flight end well; nobody stays."""
    one = instance(start, {"spare": 2})
    one.script("s.sh", PLAIN + "echo begin; sleep 0.5; echo end")
    warm(one, "/fork/s.sh")
    old = set(one.forkers())
    for _ in range(2):
        flying = [one.start("/fork/s.sh") for _ in range(5)]
        time.sleep(0.1)
        one.process.send_signal(signal.SIGHUP)
        for connection in flying:
            reply = connection.read()
            assert reply.body == b"begin\nend\n" and not reply.broken
            connection.close()
    wait_for(lambda: not old & set(one.forkers()), "the old fork servers to end")
    warm(one, "/fork/s.sh")
    everyone = set(one.tree())
    flying = [one.start("/fork/s.sh") for _ in range(5)]
    time.sleep(0.1)
    one.process.send_signal(signal.SIGTERM)
    for connection in flying:
        reply = connection.read()
        assert reply.body == b"begin\nend\n" and not reply.broken
        connection.close()
    one.process.wait(10)
    wait_for(lambda: not everyone & set(processes()), "everyone to end")
    one.stopped = True
    one.log_stream.close()
    one.clean()


# Limits and signals


def test_limits_are_the_workers(start):
    """limit_*, nice: of workers, not of the fork server; no new privileges."""
    one = instance(
        start,
        {"spare": 1},
        limit_memory="300M",
        limit_cpu="1s",
        idle_timeout="60s",  # a busy machine takes long to give it a second
        limit_core="0",
        limit_file_size="1M",
        nice=5,
        no_new_privileges="yes",
    )
    one.script(
        "s.sh",
        PLAIN
        + 'cat /proc/self/limits; nice; grep NoNew /proc/self/status; [ "$QUERY_STRING" != burn ] || while :; do :; done',
    )
    plain = one.request("/exec/s.sh").body
    assert warm(one, "/fork/s.sh").body == plain
    for pid in one.forkers():
        with open("/proc/%d/limits" % pid) as stream:
            limits = stream.read()
        assert re.search(r"Max cpu time +unlimited", limits), limits
        assert re.search(r"Max address space +unlimited", limits), limits
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.nice(0)
    one.expect(reason="killed-by-signal")
    reply = one.request("/fork/s.sh", QUERY_STRING="burn")
    assert reply.broken or reply.status == 502
    assert is_forked(one, reply)


@pytest.mark.parametrize("spare", SPARES)
def test_fork_fails(start, spare):
    """No more processes for the fork server: exec, and the log says why."""
    one = instance(start, {"spare": spare})
    one.script("s.sh", PLAIN + "echo yes")
    warm(one, "/fork/s.sh")
    one.expect(text="no fork server", optional=True)
    server = server_of(one)
    set_limit(server, resource.RLIMIT_NPROC, 0)
    kill(one.spares())
    for _ in range(5):
        assert one.request("/fork/s.sh").body == b"yes\n"
    ended(one, "refused it a new process")


def test_timeouts_and_aborts(start):
    """The whole group of a worker is killed, also right after its start."""
    one = instance(start, {"spare": 1, "script_timeout": "700ms"})
    one.script("s.sh", PLAIN + "sleep 100 & sleep 100; echo")
    one.script("quick.sh", PLAIN + "sleep 0.01")
    one.expect(reason="script-timeout")
    one.expect(reason="client-aborted", optional=True)
    warm(one, "/fork/quick.sh")
    reply = one.request("/fork/s.sh")
    assert is_forked(one, reply) and (reply.broken or reply.status == 504)
    wait_for(lambda: not one.workers(), "no worker")
    for n in range(60):
        connection = one.start("/fork/s.sh")
        time.sleep(random.random() * 0.01)
        connection.close()
    wait_for(lambda: not one.workers(), "no worker", 8.0)


def test_strays_are_found(start):
    """setsid: killed in the end.  Fork servers and spares never are."""
    one = instance(start, {"spare": 2})
    one.script(
        "stray.sh", PLAIN + "setsid sleep 1000 </dev/null >/dev/null 2>&1 &\necho yes"
    )
    one.script("s.sh", PLAIN + "echo yes")
    warm(one, "/fork/s.sh")
    server = server_of(one)
    for _ in range(3):
        assert is_forked(one, one.request("/fork/stray.sh"))
    wait_for(lambda: not one.workers(), "the strays to end", 8.0)
    assert one.fork_servers() == [server]
    assert len(one.spares()) == 2


def test_background_children(start):
    one = instance(start, {"spare": 1})
    one.script("b.sh", PLAIN + "(sleep 100) &\necho yes")
    warm(one, "/fork/b.sh")
    reply = one.request("/fork/b.sh")
    assert reply.body == b"yes\n" and is_forked(one, reply)
    wait_for(lambda: not one.workers(), "no child", 5.0)


def test_slow_log_tree(start):
    """The tree of a worker that a fork server made, with its children."""
    one = instance(start, slow_log="300ms")
    one.script("slow.sh", PLAIN + "sleep 0.8; echo")
    one.script("s.sh", PLAIN)
    warm(one, "/fork/s.sh")
    one.expect(text="slow", optional=True)
    reply = one.request("/fork/slow.sh")
    assert is_forked(one, reply)
    line = one.wait_line("tree=.* slow.sh .*sleep ")
    assert "slow.sh" in line.text


def test_several_launchers_and_gateways(start):
    one = instance(start, {"spare": 1}, launchers=2, gateways=2)
    one.script("s.sh", PLAIN + "echo yes")

    def ask():
        for _ in range(30):
            assert one.request("/fork/s.sh").body == b"yes\n"

    run_threads([ask] * 6)
    warm(one, "/fork/s.sh")
    assert 1 <= len(one.fork_servers()) <= 4


PARENT = (
    HEADER
    + """
int main(void)
{
	printf("Content-Type: a/b\\n\\n%s %%ld", (long)getppid());
	usleep(30000);
	return 0;
}
"""
)


def deploy_parent(one, text, *options):
    """The program /fork/p, which tells `text` and who started it."""
    command = ["cc", "-x", "c", "-", "-o", str(one.cgi / "p.new")] + list(options)
    done = subprocess.run(command, input=(PARENT % text).encode(), capture_output=True)
    if done.returncode:
        pytest.skip("cc %s cannot: %s" % (options, done.stderr.decode()[-300:]))
    os.rename(one.cgi / "p.new", one.cgi / "p")


def ask_at_once(one, path, text):
    """Many requests at a time: who started them, and how."""
    replies = []

    def ask():
        for _ in range(3):
            replies.append(one.request(path))

    run_threads([ask] * 8)
    assert {r.body.split()[0] for r in replies} == {text.encode()}, replies
    parents = {int(r.body.split()[1]) for r in replies}
    return parents, {one.entry(r)["start"] for r in replies}


def test_refused_run_in_all_launchers(start):
    """Until the program is another, which one launcher notices for all."""
    one = instance(start, {"index": "p"}, launchers=3)
    one.expect(text="no fork server for .*is statically linked")
    everyone = set(one.roles("launcher www"))
    assert len(everyone) == 3

    def found(text, path, launchers, how):
        def is_so():
            parents, starts = ask_at_once(one, path, text)
            return len(parents) == launchers and starts == {how} and parents

        return wait_for(is_so, "%s in %d" % (how, launchers), 8.0)

    deploy_parent(one, "a", "-static")
    for path in ("/fork/p", "/fork/p/more/of/it", "/fork/"):
        assert found("a", path, 3, "exec") == everyone
    assert count(one, "no fork server for") == 1
    deploy_parent(one, "b")
    (first,) = found("b", "/fork/p", 1, "fork-server")
    assert set(one.forkers().values()) == {first}
    deploy_parent(one, "c", "-static")
    assert found("c", "/fork/p", 3, "exec") == everyone
    assert count(one, "no fork server for") == 2
    assert count(one, "fork server .* is ready") == 1


def test_one_refused_and_one_not(start):
    """Side by side, one of them what a directory leads to."""
    one = instance(start, {"index": "index"}, launchers=2)
    one.expect(text="no fork server for .*is statically linked")
    deploy_parent(one, "a", "-static")
    (one.cgi / "p.d").mkdir()
    os.link(one.cgi / "p", one.cgi / "p.d" / "index")
    version(one, "q", "yes")
    os.rename(one.cgi / "q", one.cgi / "p.d" / "q")
    replies = [warm(one, "/fork/p.d/q")]

    def ask():
        for _ in range(10):
            one.request("/fork/p")
            one.request("/fork/p.d")
            replies.append(one.request("/fork/p.d/q"))

    run_threads([ask] * 3)
    assert all(is_forked(one, reply) for reply in replies)


def test_no_fork_servers_at_all(start):
    """With fork_servers = 0 nothing is the first launcher's alone."""
    one = instance(start, launchers=2, fork_servers=0)
    deploy_parent(one, "a")
    assert len(ask_at_once(one, "/fork/p", "a")[0]) == 2


# Freshness

LEAVER = r"""#!/usr/bin/perl
# Leaves behind all that it can, and tells what it found.
use Fcntl;
print "Content-Type: a/b\n\n";
print "var $main::left;" if defined $main::left;
print "env $ENV{LEFT};" if defined $ENV{LEFT};
print "umask;" if umask != 022;
print "sig $SIG{TERM};" if defined $SIG{TERM};
print "end;" if $main::ended;
print "dir;" if -e "./left-marker-directory";
opendir my $d, "/proc/self/fd"; my @f = grep { /^\d+$/ && $_ > 2 && $_ != fileno($d) } readdir $d; closedir $d;
print "fds @f;" if @f;
open my $l, "/proc/self/limits"; while (<$l>) { print "limit;" if /open files +77 / }
print "alarm;" if alarm 0;
print "buffer;" if tell(STDOUT) > 2000;
print "ok $$";
$main::left = 1; $ENV{LEFT} = 1; umask 077; $SIG{TERM} = 'IGNORE'; $SIG{HUP} = 'IGNORE';
open $main::keep, "/etc/passwd"; open $main::more, ">", "/dev/null"; chdir "/";
alarm 100;
$0 = "left";
END { $main::ended = 1 }
"""

LEAVER_C = r"""
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int counter;
static char *heap, text[100];
static int data;

__attribute__((constructor)) static void begin(void)
{
	heap = calloc(1, 5000);
	data = open("/etc/passwd", O_RDONLY);
}

static void bye(void) { write(1, "bye", 3); counter++; }

int main(void)
{
	struct sigaction a;
	struct rlimit r;
	sigset_t mask;
	char name[16];

	printf("Content-Type: a/b\n\n");
	if (counter++ || heap[7] || text[3])
		printf("memory;");
	if (getenv("LEFT"))
		printf("env;");
	sigaction(SIGTERM, NULL, &a);
	if (a.sa_handler != SIG_DFL)
		printf("handler;");
	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, SIGUSR1))
		printf("mask;");
	getrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur == 77)
		printf("limit;");
	prctl(PR_GET_NAME, name);
	if (!strcmp(name, "left"))
		printf("name;");
	if (prctl(PR_GET_DUMPABLE) == 0)
		printf("dumpable;");
	if (lseek(data, 0, SEEK_CUR) != 0)
		printf("offset;");
	if (umask(0) != 022)
		printf("umask;");
	if (fcntl(10, F_GETFD) != -1)
		printf("descriptor;");
	if (getpriority(PRIO_PROCESS, 0) != STARTED_WITH_NICE)
		printf("nice;");
	if (strcmp(setlocale(LC_ALL, NULL), "C"))
		printf("locale;");
	printf("ok");
	fflush(stdout);
	heap[7] = text[3] = 1;
	setenv("LEFT", "1", 1);
	signal(SIGTERM, SIG_IGN);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	r.rlim_cur = 77;
	setrlimit(RLIMIT_NOFILE, &r);
	prctl(PR_SET_NAME, "left");
	prctl(PR_SET_DUMPABLE, 0);
	lseek(data, 5, SEEK_SET);
	dup2(data, 10);
	fcntl(0, F_SETFL, O_NONBLOCK);
	fcntl(data, F_SETFL, O_NONBLOCK);
	nice(3);
	chdir("/");
	chroot("/");
	setlocale(LC_ALL, "C.UTF-8");
	atexit(bye);
	printf("left in the buffer");
	_exit(0);
}
"""


@pytest.mark.parametrize("spare", [0, 4])
@pytest.mark.parametrize("kind", ["perl", "c"])
def test_freshness(start, kind, spare):
    """Nothing that a request leaves is seen by a later one."""
    one = instance(start, {"spare": spare})
    if kind == "perl":
        one.script("leave", LEAVER, interpreter=None)
    else:
        own = "#define STARTED_WITH_NICE %d\n" % os.nice(0)
        one.compiled("leave", own + LEAVER_C)
    warm(one, "/fork/leave")
    wrong, done = [], []

    def work():
        while len(done) < REQUESTS:
            reply = one.request("/fork/leave", register=False)
            done.append(1)
            if not re.fullmatch(rb"ok( \d+)?", reply.body) or reply.broken:
                wrong.append(reply)

    run_threads([work] * 16)
    assert not wrong, (len(wrong), wrong[:3])
    assert is_forked(one, one.request("/fork/leave"))


SCANNER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
	static char line[4096], page[4096];
	_Alignas(32) char wanted[32]; /* never in two pages */
	FILE *maps = fopen("/proc/self/maps", "r");
	int memory = open("/proc/self/mem", O_RDONLY), found = 0;

	/* Not the word itself, which would find this. */
	snprintf(wanted, sizeof(wanted), "%s%s", getenv("HTTP_HALF"), "-REMEMBERED");
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char access[8];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3 || access[0] != 'r' || strstr(line, "[v"))
			continue;
		for (; start < end; start += sizeof(page))
			if (pread(memory, page, sizeof(page), (off_t)start) == sizeof(page)) {
				for (char *p = page; (p = memchr(p, wanted[0], page + sizeof(page) - p)) != NULL; p++)
					if (p + 17 < page + sizeof(page) && !memcmp(p, wanted, 17) && p != wanted)
						found++;
			}
	}
	printf("Content-Type: a/b\n\n%d", found);
	return 0;
}
"""


@pytest.mark.parametrize("spare", SPARES)
def test_memory_has_no_earlier_request(start, spare):
    """What one request sent is nowhere in the memory of the next."""
    one = instance(start, {"spare": spare})
    one.compiled("scan", SCANNER)
    options = {"HTTP_HALF": "SECRET"}
    base = int(one.request("/exec/scan", **options).body)
    warm(one, "/fork/scan", **options)
    for _ in range(3):
        one.request(
            "/fork/scan", HTTP_COOKIE="x" * 3000 + "SECRET" + "-REMEMBERED", **options
        )
        reply = one.request("/fork/scan", **options)
        assert is_forked(one, reply)
        assert int(reply.body) == base, reply.body


def test_scripts_in_turn(start):
    """A fork server that serves them does not grow."""
    one = instance(start)
    for n in (1, 2):
        one.script("n%d.sh" % n, PLAIN)
    warm(one, "/fork/n1.sh")
    pid = server_of(one)

    def ask(times):
        for n in range(times):
            one.request("/fork/n%d.sh" % (n % 2 + 1), register=False)

    ask(300)
    before = resident_kib(pid)
    run_threads([lambda: ask(700)] * 4)
    assert one.fork_servers() == [pid]
    assert resident_kib(pid) - before < 100
