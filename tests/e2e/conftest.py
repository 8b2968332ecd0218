"""Fixtures, and the oracle that follows every test.

Instances are shared by the tests of a module.  One whose test failed is
thrown away, so that a failure does not spread.
"""

import shutil
import signal

import pytest

from harness.daemon import IS_ROOT, Scgid, build_directory, public_directory


# Ignored below nohup(1), and by all that we start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config):
    if build_directory() is None:
        raise pytest.UsageError("SCGID_BUILD must name a build directory")
    config.addinivalue_line("markers", "root: needs to run as root")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and not IS_ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_failed = outcome.get_result().failed


class Instances:
    """The instances of one module, by name."""

    def __init__(self):
        self.live = {}

    def get(self, name, make):
        found = self.live.get(name)
        if found and (found.dirty or found.process.poll() is not None):
            found.kill()
            found = None
        if not found:
            found = self.live[name] = make()
        found.touched = True
        return found

    def stop(self):
        errors = []
        for one in self.live.values():
            try:
                if one.dirty:
                    one.kill()
                else:
                    one.stop()
            except AssertionError as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)


@pytest.fixture(scope="module")
def shared():
    """shared.get(name, make): an instance that lives as long as the module."""
    instances = Instances()
    yield instances
    instances.stop()


@pytest.fixture
def start():
    """start(...): an instance of the test's own, stopped after the oracle."""
    own = []

    def begin(*args, **kwargs):
        instance = Scgid(*args, **kwargs)
        instance.touched = True
        own.append(instance)
        return instance

    begin.own = own
    yield begin
    errors = []
    for one in own:
        try:
            if one.dirty:
                one.kill()
            else:
                one.stop()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture(autouse=True)
def oracle(request, shared, start):
    """After every test: each instance it touched is as it was."""
    yield
    failed = getattr(request.node, "call_failed", True)
    errors = []
    for one in list(shared.live.values()) + start.own:
        if one.stopped or one.dirty or not (one.touched or one.expected):
            continue
        if failed:
            one.dirty = True
            print("--- log of %s\n%s" % (one.directory, one.tail(60)))
            continue
        try:
            one.check()
        except AssertionError as error:
            one.dirty = True
            errors.append("%s\n--- log\n%s" % (error, one.tail(40)))
    assert not errors, "the oracle: " + "\n".join(errors)


STANDARD_POOL = {
    "workers": 40,
    "header_timeout": "1s",
    "body_timeout": "1s",
    "idle_timeout": "5s",
    "script_timeout": "10s",
    "queue_timeout": "5s",
    "background_grace": "300ms",
    "kill_grace": "300ms",
}

STANDARD_MAPS = {
    "/cgi-bin": {"root": "{cgi}"},
    "/auth": {"root": "{cgi}", "authorization": "pass"},
    "/accel": {"root": "{cgi}", "accel": "yes"},
    "/quick": {"root": "{cgi}", "idle_timeout": "400ms"},
}


def standard():
    """The instance that most tests share."""
    return Scgid(
        {
            "www": (STANDARD_POOL, STANDARD_MAPS),
            "app": (STANDARD_POOL, {"/": {"script": "{cgi}/tell.py"}}),
        },
        tcp=True,
    )


@pytest.fixture
def scgid(shared):
    return shared.get("standard", standard)


@pytest.fixture
def place():
    """A directory that every user can reach."""
    path = public_directory("place")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def servers():
    """servers(Nginx, scgid, ...): a web server for the rest of the module."""
    live = {}

    def get(kind, scgid, extra="", **options):
        key = (kind, extra, id(scgid))
        if key not in live:
            live[key] = kind(scgid, extra, **options)
        return live[key]

    yield get
    for server in live.values():
        server.stop()
