"""start = python and start = perl: a script does there what it does under exec."""

import difflib
import json
import os
import subprocess

import pytest

from conftest import STANDARD_POOL
from harness import runners
from harness.client import wait_for
from harness.daemon import IS_ROOT, POOL_USER, Scgid
from test_programs import AWSTATS, needs, write_awstats

POOL = dict(STANDARD_POOL, workers=40, fork_servers=200)
CASES = {kind: runners.read_table(kind) for kind in ("python", "perl")}
PARTS = 6


def make():
    pools = {}
    for kind, cases in CASES.items():
        pools[kind] = (POOL, runners.maps(cases, kind))
        pools["exec-" + kind] = (POOL, runners.maps(cases, "exec"))
    one = Scgid(pools)
    for cases in CASES.values():
        for case in cases:
            case.write(one.cgi / case.kind / case.name)
    return one


@pytest.fixture
def one(shared):
    return shared.get("runners", make)


def differences(case, expected, found):
    lines = []
    for key, value in expected.items():
        if found[key] == value:
            continue
        texts = [
            (v.decode("utf-8", "replace") if isinstance(v, bytes) else repr(v))
            for v in (value, found[key])
        ]
        lines += ["%s: %s" % (case.name, key)]
        lines += difflib.unified_diff(
            *(text.splitlines() for text in texts), "exec", case.kind, lineterm="", n=1
        )
    return lines


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", CASES)
def test_as_under_exec(one, kind, part):
    """Byte for byte: response, stderr, exit status, files; twice, as after the
    first request a fork server knows what a script imports."""
    cases = CASES[kind][part::PARTS]
    one.expect(text="request=|no fork server for", optional=True)
    executed = runners.Side(one, "exec-" + kind, CASES[kind])
    forked = runners.Side(one, kind, CASES[kind])
    expected = {case.name: executed.ask(case)[0] for case in cases}
    for case in cases:
        forked.ask(case)
    wrong = []
    for case in cases * 2:
        if "refused" in case.flags:
            found, start = forked.ask(case)
            wrong += [] if start == "exec" else [case.name + " was not refused"]
        else:
            found = forked.ask_forked(case)
        for _ in range(10):
            # A crash that comes late, on a busy machine, breaks a response off.
            if found["broken"] == expected[case.name]["broken"]:
                break
            expected[case.name] = executed.ask(case)[0]
            found, _ = forked.ask(case)
        wrong += differences(case, expected[case.name], found)
    assert not wrong, "\n".join(wrong)


# What must not be the same in two workers

DICE = {
    "python": """
import random, sys, tempfile, uuid
print("Content-Type: text/plain\\n")
print(random.random())
print(next(tempfile._get_candidate_names()))
print(uuid.uuid4())
try:
    import multiprocessing, numpy.random
    print(numpy.random.rand())
    print(multiprocessing.current_process().authkey)
except ImportError:
    pass
""",
    "perl": """
BEGIN { $early = rand }
print "Content-Type: text/plain\\n\\n", rand, "\\n", int(rand 1e9), "\\n";
""",
}


def script(one, kind, name, text):
    """A script that a fork server of this kind will run; returns its path."""
    one.script(name + runners.EXTENSIONS[kind], text, interpreter=None)
    return "/m0/" + name + runners.EXTENSIONS[kind]


def forked(one, kind, path, count=1, **parameters):
    """Bodies of responses that forked workers made, the last ones in a row."""
    bodies = []

    def ask():
        reply = one.request(path, pool=kind, **parameters)
        assert reply.status == 200, (reply, one.tail(5))
        if one.entry(reply)["start"] != kind:
            bodies.clear()
        else:
            bodies.append(reply.body.decode())
        return len(bodies) >= count

    wait_for(ask, "fork servers", 20.0, 0.02)
    return bodies


def wait_learned(one, path, **parameters):
    """Until a fork server serves that imports ahead what the script does."""
    what = path.rpartition("/")[2] + " has ended,"

    def is_replaced():
        forked(one, "python", path, **parameters)
        return [l for l in one.recent() if what in l.text and "imports" in l.text]

    wait_for(is_replaced, "imports to be learned")


OPENSSL = """#!/usr/bin/python3
import _hashlib, ctypes, hashlib
end = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p)
ctypes.CDLL(_hashlib.__file__).OPENSSL_atexit(end)
print("Content-Type: text/plain\\n\\nhello", flush=True)
"""


def test_openssl_does_not_clean_up(start):
    """Its memory goes with the worker: what its end would call is not called."""
    keys = {"root": "{cgi}", "start": "python", "preload": "hashlib"}
    maps = {"/py": keys, "/exec": {"root": "{cgi}"}}
    one = start({"www": (STANDARD_POOL, maps)})
    one.script("s.py", OPENSSL, interpreter=None)
    one.expect(reason="killed-by-signal")
    reply = one.request("/exec/s.py")
    assert one.failure(reply)["reason"] == "killed-by-signal"
    one.expect(reason="killed-by-signal", optional=True)

    def ask():
        reply = one.request("/py/s.py")
        return reply if one.entry(reply)["start"] == "python" else None

    reply = wait_for(ask, "a fork server", 20.0, 0.05)
    assert reply.status == 200 and reply.body == b"hello\n" and not reply.broken


AT_FORK = """#!/usr/bin/python3
import at_fork, os
print("Content-Type: text/plain\\n\\n%s %s" % (at_fork.seen, len(os.environ) > 9))
"""
SEES = """import os
seen = []
os.register_at_fork(after_in_child=lambda: seen.append(len(os.environ)))
"""


def test_python_at_fork(one):
    """What registers when it is imported ahead is called, and sees no variables."""
    one.script("at_fork.py", SEES, interpreter=None)
    path = script(one, "python", "-at-fork", AT_FORK)
    forked(one, "python", path)
    wait_learned(one, path)
    assert forked(one, "python", path) == ["[0] True\n"]


HASH = """#!/usr/bin/python3
print("Content-Type: text/plain\\n\\n%d" % hash("text"))
"""


def test_variables_that_are_read_at_the_start(one):
    """With another value of these, and of no others, an interpreter starts anew."""
    path = script(one, "python", "-hash", HASH)
    (usual,) = forked(one, "python", path)
    for name in ("MY_LANG", "LAN", "L", "TZDIR", "QUERY_STRING"):
        assert forked(one, "python", path, **{name: "C"}) == [usual], name
    for name in ("LANG", "LANGUAGE", "LC_TIME"):
        assert forked(one, "python", path, **{name: "C"}) != [usual], name
    assert forked(one, "python", path) == [usual]


TREE = """#!/usr/bin/perl
use strict;
use B;
print "Content-Type: text/plain\\n\\n", B::main_root()->targ, "\\n";
"""


def test_perl_keeps_its_tree(one):
    """Its end would copy all of it, to free it; so it is held once more."""
    path = script(one, "perl", "-tree", TREE)
    assert forked(one, "perl", path) == ["2\n"]


def test_perl_starts_anew_under_its_own_name(one):
    """And not under the one that the script has given itself by then."""
    path = script(
        one,
        "perl",
        "-own-name",
        "#!/usr/bin/perl\nBEGIN { $0 = 'other' }\n"
        'print "Content-Type: text/plain\\n\\n$0";\n',
    )
    assert forked(one, "perl", path) == ["other"]
    assert forked(one, "perl", path, LANG="de_DE") == ["other"]


def test_python_with_files_that_may_not_be_large(start):
    """The file with its request's variables is none of the script's."""
    keys = {"root": "{cgi}", "start": "python"}
    one = start({"www": (dict(STANDARD_POOL, limit_file_size="8K"), {"/py": keys})})
    one.script(
        "x.py",
        "import os\nprint('Content-Type: a/b\\n')\n"
        "print(len(os.environ.get('HTTP_LONG', '')), end='')\n",
        interpreter="#!/usr/bin/python3\n",
    )

    def ask(length):
        reply = one.request("/py/x.py", headers={"Long": "x" * length})
        assert reply.body == b"%d" % length
        return one.entry(reply)["start"]

    wait_for(lambda: ask(1000) == "python", "a fork server", 20.0, 0.02)
    assert ask(9000) == "exec"
    assert ask(1000) == "python"


@pytest.mark.parametrize("kind", DICE)
def test_random_state(one, kind):
    path = script(one, kind, "-dice", DICE[kind])
    bodies = forked(one, kind, path)
    if kind == "python":
        wait_learned(one, path)
    bodies += forked(one, kind, path, 20)
    for column in zip(*(body.splitlines() for body in bodies)):
        assert len(set(column)) == len(bodies), column


# Imports ahead

SHOW = """import json, os, sys
import %s as m
print("Content-Type: application/json\\n", flush=True)
json.dump([os.environ["QUERY_STRING"], m.VALUE], sys.stdout)
"""

# A module that may be imported ahead, and one for each thing that may not be.
MODULES = {
    "fit": "VALUE = 5",
    "prints": "print('X-Header: 1')\nVALUE = 1",
    "complains": "import sys\nprint('oh', file=sys.stderr)\nVALUE = 1",
    "looks": "import os\nVALUE = os.environ.get('QUERY_STRING')",
    "looks_at_all": "import os\nVALUE = dict(os.environ)['QUERY_STRING']",
    "looks_in_bytes": "import os\nVALUE = os.environb[b'QUERY_STRING'].decode()",
    "reads": "import sys\nVALUE = sys.stdin.read()",
    "sets": "import os\nVALUE = os.environ.setdefault('Q_COPY', os.getenv('QUERY_STRING', ''))",
    "threads": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(.05,)).start()\n"
    "VALUE = threading.active_count()",
    "connects": "import socket\nPAIR = socket.socketpair()\n"
    "PAIR[0].send(b'x')\nVALUE = PAIR[1].recv(1).decode()",
    "hoards": "import tempfile\nFILE = tempfile.TemporaryFile()\nVALUE = 1",
    "connects_once": "import socket\nSOCKET = socket.socket()\nVALUE = 1",
    "moves": "import os\nos.chdir('/')\nVALUE = os.getcwd()",
    "adds_path": "import sys\nsys.path.insert(0, '/x')\nVALUE = sys.path.count('/x')",
    "holds_main": "import __main__\nVALUE = hasattr(__main__, 'json')",
    "ends": "import sys, os\nif 'json' not in vars(sys.modules['__main__']): os._exit(0)\nVALUE = 1",
    "fails": "if 'json' not in vars(__import__('sys').modules['__main__']): 1 / 0\nVALUE = 1",
    "nested": "import %sdeep as deep\nVALUE = deep.VALUE",
}
DEEP = "import os\nVALUE = os.environ['QUERY_STRING']"


@pytest.mark.parametrize("what", MODULES)
def test_module_that_cannot_be_imported_ahead(one, what):
    """It is left to the script: what it says is of the request at hand."""
    name = "mod_" + what
    text = MODULES[what] % (name + "_") if "%s" in MODULES[what] else MODULES[what]
    one.script(name + ".py", text, mode=0o644, interpreter=None)
    one.script(name + "_deep.py", DEEP, mode=0o644, interpreter=None)
    path = script(one, "python", "-show-" + what, SHOW % name)

    def ask(pool, query):
        reply = one.request(path, b"body", pool=pool, method="POST", query=query)
        return reply.headers, reply.body, one.entry(reply)["start"]

    forked(one, "python", path, query="first")
    wait_learned(one, path)
    for query in ("second", "third"):
        expected = ask("exec-python", query)[:2]

        def is_forked():
            found = ask("python", query)
            assert found[:2] == expected
            return found[2] == "python"

        wait_for(is_forked, "a fork server")


def test_log_tells_what_is_not_imported_ahead(start):
    """Once, however often the fork server is replaced."""
    keys = {
        "root": "{cgi}",
        "start": "python",
        "preload": "mod_fit mod_prints mod_none",
        "handler.py": "/usr/bin/python3",
    }
    one = start({"python": (dict(POOL, launchers=1), {"/m0": keys})})
    for name in ("fit", "prints"):
        one.script("mod_%s.py" % name, MODULES[name], mode=0o644, interpreter=None)
    for query in ("first", "second"):
        path = script(one, "python", "-named", SHOW % "mod_fit" + "# " + query)
        forked(one, "python", path, query=query)
    assert len([l for l in one.recent() if " is ready, " in l.text]) >= 2
    (line,) = [l for l in one.recent() if "imported ahead" in l.text]
    assert line.level == "info"
    assert line.message.endswith(
        "-named.py stderr:"
        " fork_server: mod_prints is not imported ahead:"
        " it writes to stdout or stderr"
        " | fork_server: mod_none is not imported ahead:"
        " it raises ModuleNotFoundError: No module named 'mod_none'"
    )


def test_what_was_learned_is_ahead(one):
    """And by a fork server that is new, when the module changes."""
    module = "import time\nVALUE = %d, time.time()"
    one.script("mod_when.py", module % 1, mode=0o644, interpreter=None)
    path = script(one, "python", "-when", SHOW % "mod_when")
    forked(one, "python", path)
    wait_learned(one, path)
    bodies = forked(one, "python", path, 3)
    assert len(set(bodies)) == 1, bodies
    one.script("mod_when.py", module % 22, mode=0o644, interpreter=None)
    reply = one.request(path, pool="python")
    assert json.loads(reply.body)[1][0] == 22
    bodies = forked(one, "python", path, 3)
    assert len(set(bodies)) == 1 and json.loads(bodies[0])[1][0] == 22
    # A script that imports something else is a reason to learn again.
    one.script("mod_later.py", module % 3, mode=0o644, interpreter=None)
    script(one, "python", "-when", SHOW % "mod_later")
    wait_for(
        lambda: len(set(forked(one, "python", path, 3))) == 1, "imports to be learned"
    )


def test_module_that_the_path_hides(one):
    """Two of one name: the script's own path says which."""
    one.script("mod_twin.py", "VALUE = 'wrong'", mode=0o644, interpreter=None)
    (one.cgi / "twins").mkdir()
    one.script("twins/mod_twin.py", "VALUE = 'right'", mode=0o644, interpreter=None)
    text = "import sys\nsys.path.insert(0, 'twins')\nimport decimal\n" + SHOW
    path = script(one, "python", "-twin", text % "mod_twin")
    forked(one, "python", path)
    wait_learned(one, path)
    for body in forked(one, "python", path, 3):
        assert json.loads(body)[1] == "right"


def test_module_that_is_excluded(start):
    """With an effect that nobody sees, so that it has to be named; and another
    that imports it goes with it."""
    keys = {
        "root": "{cgi}",
        "start": "python",
        "idle": "2s",
        "handler.py": "/usr/bin/python3",
    }
    one = start({"python": (POOL, {"/m0": dict(keys, preload="auto -mod_side")})})
    count = one.writable("count") / "count"
    one.script(
        "mod_side.py",
        "with open(%r, 'a') as f: f.write('x')\nVALUE = 1" % str(count),
        mode=0o644,
        interpreter=None,
    )
    one.script("mod_outer.py", "from mod_side import *", mode=0o644, interpreter=None)
    path = script(one, "python", "-side", SHOW % "mod_outer")
    forked(one, "python", path)
    wait_learned(one, path)
    forked(one, "python", path)
    before = len(count.read_text())
    forked(one, "python", path, 3)
    assert len(count.read_text()) == before + 3


# Real programs


@pytest.fixture
def programs(shared):
    # What comes first of equals is a matter of the seed.
    seed = {"env.PERL_HASH_SEED": "0", "env.PERL_PERTURB_KEYS": "0"}
    directory = {"env.AWSTATS_ENABLE_CONFIG_DIR": "{dir}/awstats"}
    maps = {
        "/stats": dict(seed, script=AWSTATS, **directory),
        "/gitweb": dict(
            seed, **{"script": GITWEB, "env.GITWEB_CONFIG": "{dir}/gitweb.conf"}
        ),
    }
    pool = dict(POOL, script_timeout="60s", idle_timeout="30s")
    forked = {p: dict(keys, start="perl", idle="2s") for p, keys in maps.items()}
    return shared.get(
        "programs",
        lambda: Scgid({"exec-perl": (pool, maps), "perl": (pool, forked)}),
    )


GITWEB = next(
    (
        path
        for path in ("/usr/lib/cgi-bin/gitweb.cgi", "/usr/share/gitweb/gitweb.cgi")
        if os.path.exists(path)
    ),
    "gitweb.cgi",
)


def same_page(one, path, query, text):
    expected = one.request(path, pool="exec-perl", query=query)
    assert expected.status == 200 and text in expected.body, expected
    for body in forked(one, "perl", path, 2, query=query):
        assert body.encode() == expected.body


@needs(AWSTATS)
@pytest.mark.parametrize("frame", ["index", "mainleft", "mainright"])
def test_awstats(programs, frame):
    data = write_awstats(programs)
    query = "config=test&configdir=%s&framename=%s&year=2024&month=01" % (data, frame)
    same_page(programs, "/stats", query, b"html")


@needs(GITWEB)
@pytest.mark.parametrize(
    "query", ["", "p=one.git;a=summary", "p=one.git;a=commitdiff;h=HEAD"]
)
def test_gitweb(programs, query):
    root = programs.writable("git")
    if not (root / "one.git").exists():
        (programs.directory / "gitweb.conf").write_text(
            "our $projectroot = '%s';\nour $site_name = 'here';\n"
            "$feature{'timed'}{'default'} = [0];\n" % root
        )
        environment = dict(
            os.environ,
            GIT_AUTHOR_NAME="a",
            GIT_AUTHOR_EMAIL="a@b",
            GIT_COMMITTER_NAME="a",
            GIT_COMMITTER_EMAIL="a@b",
            GIT_AUTHOR_DATE="2001-02-03T04:05:06Z",
            GIT_COMMITTER_DATE="2001-02-03T04:05:06Z",
        )
        for command in (
            "git init -q --bare one.git",
            "git -C one.git hash-object -t tree -w /dev/null",
            "git -C one.git update-ref HEAD"
            " $(git -C one.git commit-tree -m 'a commit' 4b825dc642cb6eb9a060e54bf8d69288fbee4904)",
            "chown -R %s one.git" % (POOL_USER if IS_ROOT else os.getuid()),
        ):
            subprocess.run(
                command,
                shell=True,
                cwd=root,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
    same_page(programs, "/gitweb", query, b"html")
