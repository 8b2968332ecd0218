"""What a pool's scripts may use: each limit, what it does, and what it costs."""

import os
import re
import resource
import shutil
import subprocess

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for
from harness.daemon import IS_ROOT, user_ids

HEAD = "print('Content-Type: text/plain\\n', flush=True)\n"
BOMBER = "backup"
PYTHON = "#!/usr/bin/python3 -IS\n"


def begin(start, **keys):
    pool = dict(STANDARD_POOL, script_timeout="20s", idle_timeout="20s", **keys)
    return start(
        {"www": (pool, STANDARD_MAPS), "other": (STANDARD_POOL, STANDARD_MAPS)}
    )


def limits_of(one, pool="www"):
    """name -> (soft, hard), as a script of the pool sees its own."""
    one.script("limits.sh", "printf 'Content-Type: a/b\\n\\n'\ncat /proc/self/limits")
    text = one.request("/cgi-bin/limits.sh", pool=pool).body.decode()
    rows = re.findall(r"^(Max [a-z ]+?) {2,}(\S+) +(\S+)", text, re.M)
    return {name[4:]: (soft, hard) for name, soft, hard in rows}


def test_each_limit_is_set(start):
    one = begin(
        start,
        limit_cpu="2500ms",
        limit_memory="3G",
        limit_files=64,
        limit_processes=4000,
        limit_file_size="5M",
    )
    found = limits_of(one)
    assert found["cpu time"] == ("3", "5")
    assert found["address space"] == (str(3 << 30),) * 2
    assert found["open files"] == ("64",) * 2
    assert found["processes"] == ("4000",) * 2
    assert found["file size"] == (str(5 << 20),) * 2
    assert found["core file size"] == ("0",) * 2


def test_no_limit_unless_asked_for(start):
    """Those of whoever started scgid; only core files are off."""
    one = begin(start)
    with open("/proc/self/limits") as stream:
        rows = re.findall(r"^(Max [a-z ]+?) {2,}(\S+) +(\S+)", stream.read(), re.M)
    own = {name[4:]: (soft, hard) for name, soft, hard in rows}
    found = limits_of(one)
    for name in ("cpu time", "address space", "processes", "file size", "open files"):
        assert found[name] == own[name], name
    assert found["core file size"] == ("0", "0")


@pytest.mark.parametrize("user", [None, pytest.param("root", marks=pytest.mark.root)])
def test_no_limit_is_above_our_own(start, user):
    """Also as root, where root may not raise any: as in containers, and units."""
    if IS_ROOT and not shutil.which("setpriv"):
        pytest.skip("no setpriv")

    def lower_our_own():
        for what, most in (
            (resource.RLIMIT_CPU, 1000),
            (resource.RLIMIT_NOFILE, 500),
            (resource.RLIMIT_CORE, 8192),
            (resource.RLIMIT_FSIZE, 1 << 30),
        ):
            resource.setrlimit(what, (most, most))

    keys = {"limit_cpu": "1h", "limit_files": 600, "limit_file_size": "2G"}
    if user:
        keys["user"] = user
    one = start(
        {"www": (dict(STANDARD_POOL, limit_core="1M", **keys), STANDARD_MAPS)},
        prefix=["setpriv", "--bounding-set", "-sys_resource"] if IS_ROOT else (),
        preexec=lower_our_own,
    )
    found = limits_of(one)
    assert found["cpu time"] == ("1000", "1000")
    assert found["open files"] == ("500", "500")
    assert found["core file size"] == ("8192", "8192")
    assert found["file size"] == (str(1 << 30),) * 2


def test_launcher_is_not_limited_by_what_would_end_it(start):
    one = begin(start, limit_cpu="1s", limit_memory="64M", limit_processes=4000)
    with open("/proc/%d/limits" % one.role("launcher www")) as stream:
        text = stream.read()
    for name in ("cpu time", "address space"):
        assert re.search(r"Max %s +unlimited" % name, text), name
    assert not re.search(r"Max processes +4000 ", text)


def test_limit_core(start):
    one = begin(start, limit_core="1M")
    soft, hard = limits_of(one)["core file size"]
    assert soft == hard
    if IS_ROOT:
        assert soft == str(1 << 20)


def test_limit_cpu_names_itself(start):
    one = begin(start, limit_cpu="1s")
    one.expect(reason="killed-by-signal")
    one.script("spin.sh", "while :; do :; done")
    reply = one.request("/cgi-bin/spin.sh")
    assert reply.status == 502
    detail = one.failure(reply)["detail"]
    assert "signal 24" in detail and "limit_cpu is 1 s" in detail


def test_limit_cpu_of_who_ignores_it(start):
    """SIGXCPU can be caught; the SIGKILL that follows cannot."""
    one = begin(start, limit_cpu="1s")
    one.expect(reason="killed-by-signal")
    one.script(
        "deaf.py",
        PYTHON
        + "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass\n",
    )
    reply = one.request("/cgi-bin/deaf.py")
    detail = one.failure(reply)["detail"]
    assert "signal 9" in detail and "limit_cpu is 1 s" in detail


def test_limit_cpu_after_the_header(start):
    """A response that breaks off is seen to break off."""
    one = begin(start, limit_cpu="1s")
    one.expect(reason="killed-by-signal")
    one.script("half.py", PYTHON + HEAD + "while True: pass\n")
    reply = one.request("/cgi-bin/half.py")
    assert reply.broken
    assert "limit_cpu is 1 s" in one.failure(reply)["detail"]


def test_limit_file_size(start):
    one = begin(start, limit_file_size="64K")
    one.expect(reason="killed-by-signal")
    place = one.writable("big")
    one.script("big.sh", "exec dd if=/dev/zero of=%s/f bs=1000 count=1000" % place)
    reply = one.request("/cgi-bin/big.sh")
    detail = one.failure(reply)["detail"]
    assert "signal 25" in detail and "limit_file_size is 65536 bytes" in detail
    assert os.path.getsize(str(place / "f")) == 65536
    # What a script prints is no file.
    one.script(
        "long.sh", "printf 'Content-Type: a/b\\n\\n'\nexec head -c 300000 /dev/zero"
    )
    assert len(one.request("/cgi-bin/long.sh").body) == 300000


def test_limit_memory(start):
    one = begin(start, limit_memory="300M")
    one.script(
        "eat.py",
        PYTHON
        + HEAD
        + "try:\n    x = b'x' * (400 << 20)\nexcept MemoryError:\n    print('no more')\n",
    )
    assert one.request("/cgi-bin/eat.py").body == b"no more\n"
    assert one.request("/cgi-bin/hello.sh").status == 200


def test_limit_files(start):
    one = begin(start, limit_files=20)
    one.script(
        "open.py",
        PYTHON + HEAD + "n = []\ntry:\n    while True: n.append(open('/dev/null'))\n"
        "except OSError as error:\n    print(error.errno, max(f.fileno() for f in n))\n",
    )
    assert one.request("/cgi-bin/open.py").body == b"24 19\n"
    for _ in range(20):
        assert one.request("/cgi-bin/hello.sh").status == 200


def processes_of(uid):
    """How many threads a user has, which is what the limit counts."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat("/proc/" + name + "/status").st_uid == uid:
                count += len(os.listdir("/proc/%s/task" % name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return count


def test_fork_bomb(start):
    """Held by limit_processes; other requests start; all of it ends."""
    # A user whom no other test has, so that only the bomb counts.
    uid = user_ids(BOMBER)[0] if IS_ROOT else os.getuid()
    limit = processes_of(uid) + 60
    keys = {"user": BOMBER} if IS_ROOT else {}
    one = begin(start, limit_processes=limit, **keys)
    place = one.writable("marks")
    one.script(
        "bomb.py",
        PYTHON + HEAD + "import os, time\nend = time.time() + 30\n"
        "while time.time() < end:\n    try:\n        os.fork()\n"
        "    except OSError:\n        open('%s/full', 'w').close()\n        time.sleep(0.05)\n"
        % place,
    )
    bomb = one.start("/cgi-bin/bomb.py")
    wait_for(lambda: (place / "full").exists(), "the limit", 10.0)
    most = 0
    for _ in range(10):
        most = max(most, len(one.workers()))
        # The launcher can still start what forks nothing, and so can others.
        assert one.request("/cgi-bin/hello.sh").status == 200
        assert one.request("/cgi-bin/hello.sh", pool="other").status == 200
    assert 30 < most <= limit
    assert bomb.read_some().startswith(b"Status: 200")
    bomb.abort()
    one.expect(reason="client-aborted", optional=True)
    wait_for(lambda: not one.workers(), "the bomb to end", 10.0)


def test_nice(start):
    """The scripts are; who starts and ends them is not."""
    one = begin(start, nice=7)
    own = os.nice(0)
    one.script("nice.sh", "printf 'Content-Type: a/b\\n\\n'\nnice")
    assert int(one.request("/cgi-bin/nice.sh").body) == min(own + 7, 19)
    assert int(one.request("/cgi-bin/nice.sh", pool="other").body) == own
    for role in ("launcher www", "gateway www"):
        assert os.getpriority(os.PRIO_PROCESS, one.role(role)) == own


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_cost_of_limits(start):
    """No system call a request unless a limit asks for one."""
    trace = {}
    for name, keys in (
        ("without", {}),
        ("with", {"limit_cpu": "9s", "limit_files": 99}),
    ):
        one = begin(start, **keys)
        output = one.directory / "trace"
        launcher = one.role("launcher www")
        tracer = subprocess.Popen(
            [
                "strace",
                "-f",
                "-qq",
                "-e",
                "signal=none",
                "-e",
                "trace=setrlimit,prlimit64,setpriority",
                "-o",
                str(output),
                "-p",
                str(launcher),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:

            def is_traced():
                with open("/proc/%d/status" % launcher) as stream:
                    found = re.search(r"TracerPid:\s+(\d+)", stream.read())
                return found.group(1) != "0" or tracer.poll() is not None

            wait_for(is_traced, "strace")
            if tracer.poll() is not None:
                pytest.skip("strace may not look into the launcher")
            one.compiled(
                "bare",
                '#include <unistd.h>\nint main(void){return write(1,"A: b\\n\\n",6)!=6;}',
            )
            one.expect(text="no Content-Type", optional=True)
            one.request("/cgi-bin/bare")
        finally:
            tracer.terminate()
            tracer.wait(10)
        # The C library of the program asks for its stack's limit.
        lines = output.read_text().splitlines()
        trace[name] = [
            l for l in lines if "NULL" not in l.split("RLIMIT_", 1)[-1].split(",")[1]
        ]
    assert trace["without"] == []
    assert len(trace["with"]) == 1 and "RLIMIT_CPU" in trace["with"][0]
