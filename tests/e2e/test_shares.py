"""The processors, shared out by pool: what a service manager's control group
is made into, and that one pool's crowd leaves another its half."""

import os
import pathlib
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for

LINE = "each pool has its share of the processors"
POOL = dict(STANDARD_POOL, script_timeout="60s", idle_timeout="55s")


class Group:
    """A control group such as a service manager makes for a service."""

    def __init__(self):
        self.path = self.controller = None
        for top, controller in (("/sys/fs/cgroup/cpu", "cpu"), ("/sys/fs/cgroup", "")):
            path = pathlib.Path(top) / ("scgid-e2e.%d" % os.getpid())
            control = path / ("cpu.shares" if controller else "cpu.weight")
            try:
                path.mkdir()
            except OSError:
                continue
            if control.exists():
                # Whatever else this machine does.
                control.write_text("262144" if controller else "10000")
                self.path, self.controller = path, controller
                return
            path.rmdir()
        pytest.skip("no control group with a share of the processors can be made here")

    def enter(self, pid=0):
        (self.path / "cgroup.procs").write_text(str(pid))

    def of(self, lines):
        """Where a process is below our group, by its /proc/PID/cgroup."""
        for line in lines.splitlines():
            _, controllers, path = line.split(":", 2)
            if self.controller in controllers.split(","):
                return path.partition(self.path.name)[2]
        return None

    def of_process(self, pid):
        return self.of(pathlib.Path("/proc/%d/cgroup" % pid).read_text())

    def below(self):
        return {path.name for path in self.path.iterdir() if path.is_dir()}

    def remove(self):
        """With whoever is left in it moved out, after a failure."""
        for path in [self.path / name for name in self.below()] + [self.path]:
            for pid in (path / "cgroup.procs").read_text().split():
                (self.path.parent / "cgroup.procs").write_text(pid)
            path.rmdir()


@pytest.fixture
def group():
    found = Group()
    yield found
    found.remove()


def pools(*names):
    return {name: (POOL, STANDARD_MAPS) for name in names}


def share(group, pool):
    """Of a pool, with 1024 for what every pool has by default."""
    path = group.path / ("pool." + pool)
    if group.controller:
        return int((path / "cpu.shares").read_text())
    return int((path / "cpu.weight").read_text()) * 1024 / 100


def stop(one):
    one.check()
    one.stop()


def test_each_pool_has_a_group(start, group):
    """Its roles and workers, also those that are started later."""
    one = start(pools("www", "app"), preexec=group.enter)
    assert any(LINE in line.message for line in one.read_log())
    one.script("where.sh", "printf 'Content-Type: a/b\\n\\n'; cat /proc/self/cgroup")
    assert group.of_process(one.pid) == "/supervisor"
    for pool in ("www", "app"):
        for role in ("gateway", "launcher"):
            assert group.of_process(one.role("%s %s" % (role, pool))) == "/pool." + pool
        reply = one.request("/cgi-bin/where.sh", pool=pool)
        assert group.of(reply.body.decode()) == "/pool." + pool
    one.expect(text="launcher www was killed")
    one.expect(text="lost a launcher")
    old = one.role("launcher www")
    os.kill(old, 9)
    wait_for(lambda: one.roles("launcher www") not in ([], [old]), "another launcher")
    assert group.of_process(one.role("launcher www")) == "/pool.www"
    one.probe("www")
    stop(one)
    assert group.below() == set()


def test_groups_come_and_go_with_pools(start, group):
    both = pools("www", "app")
    both["www"] = (dict(POOL, nice=10), STANDARD_MAPS)
    one = start(both, preexec=group.enter)
    assert share(group, "app") == 1024
    assert 90 < share(group, "www") < 120
    del one.sockets["app"]
    one.write_configuration(pools("www", "new"), False)
    one.expect(text="have one user", optional=True)
    one.process.send_signal(1)
    one.wait_line("reloaded")
    wait_for(
        lambda: group.below() == {"supervisor", "pool.www", "pool.new"},
        "the groups of the new configuration",
    )
    one.wait_line("pool new listens")
    one.probe("new")
    assert group.of_process(one.role("gateway new")) == "/pool.new"
    assert group.of_process(one.role("gateway www")) == "/pool.www"
    assert share(group, "www") == share(group, "new") == 1024
    one.baseline = one.settled()
    stop(one)
    assert group.below() == set()


def test_a_group_of_others_is_left_alone(start, group):
    """Pools would compete with who else is there, and version 2 forbids it."""
    other = os.fork()
    if other == 0:
        time.sleep(60)
        os._exit(0)
    try:
        group.enter(other)
        one = start(pools("www"), preexec=group.enter)
        assert not any(LINE in line.message for line in one.read_log())
        assert group.below() == set()
        assert group.of_process(one.role("launcher www")) == ""
        stop(one)
    finally:
        os.kill(other, 9)
        os.waitpid(other, 0)


def processor_time(pids):
    ticks = 0
    for pid in pids:
        text = pathlib.Path("/proc/%d/stat" % pid).read_text()
        ticks += sum(map(int, text.rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def test_a_crowd_leaves_another_pool_its_half(start, group):
    """Nine scripts on one core, one of which is another pool's."""

    def begin():
        group.enter()
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    one = start(pools("crowd", "quiet"), preexec=begin)
    marks = one.writable("marks")
    one.script(
        "spin.sh",
        "echo $$ >%s/$QUERY_STRING.$$\nprintf 'Content-Type: a/b\\n\\n'\n"
        "while [ ! -e %s/go ]; do :; done" % (marks, marks),
    )
    held = [
        one.start("/cgi-bin/spin.sh", pool="crowd", query="crowd") for _ in range(8)
    ]
    held.append(one.start("/cgi-bin/spin.sh", pool="quiet", query="quiet"))

    def pids(name):
        return [int(path.suffix[1:]) for path in marks.glob(name + ".*")]

    wait_for(
        lambda: len(pids("crowd")) == 8 and len(pids("quiet")) == 1, "nine scripts"
    )
    before = {name: processor_time(pids(name)) for name in ("crowd", "quiet")}
    # As long as it takes, should the machine have much else to do.
    wait_for(
        lambda: sum(processor_time(pids(name)) - before[name] for name in before) > 1,
        "a second of their work",
        30.0,
    )
    took = {name: processor_time(pids(name)) - before[name] for name in before}
    assert took["quiet"] > 0.7 * took["crowd"], took
    (marks / "go").touch()
    for connection in held:
        assert connection.read().status == 200
        connection.close()
    stop(one)
