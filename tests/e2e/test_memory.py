"""What it costs: resident memory, idle and under load (Release builds only)."""

import hashlib
import os
import time

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import run_threads, wait_for
from harness.daemon import Scgid, build_directory, is_sanitised, peak_kib, resident_kib

BUILD = "SCGID_BUILD_RELEASE"
MIB = 1 << 20

pytestmark = pytest.mark.skipif(
    not build_directory(BUILD) or is_sanitised(BUILD),
    reason="needs SCGID_BUILD_RELEASE, without sanitizers",
)


@pytest.fixture
def lean(shared):
    pool = dict(
        STANDARD_POOL, header_timeout="60s", idle_timeout="60s", script_timeout="60s"
    )
    return shared.get(
        "lean", lambda: Scgid({"www": (pool, STANDARD_MAPS)}, tcp=True, build=BUILD)
    )


def ours(one):
    return [pid for pid, (what, _) in one.tree().items() if what.startswith("scgid: ")]


def total_kib(one):
    return sum(resident_kib(pid) for pid in ours(one))


def test_idle_pool(start):
    """One gateway, one launcher: under 12 MiB for all processes together."""
    one = start({"www": ({}, STANDARD_MAPS)}, build=BUILD)
    assert len(ours(one)) == 3
    assert total_kib(one) < 12 * 1024


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_item_46_memory_stays_flat(lean, tcp):
    """100 MB through cat: no process of ours above 16 MiB."""
    body = hashlib.sha512(b"flat").digest() * (100 * MIB // 64)
    reply = lean.request("/cgi-bin/cat.sh", body, method="POST", tcp=tcp)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(body).digest()
    assert max(peak_kib(pid) for pid in ours(lean)) < 16 * 1024


def test_large_response_to_a_slow_reader(lean):
    """A gigabyte is on its way; what is not read stays in the script."""
    lean.script(
        "big.sh", "printf 'Content-Type: a/b\\n\\n'\nexec head -c 1073741824 /dev/zero"
    )
    lean.expect(reason="client-aborted", optional=True)
    with lean.start("/cgi-bin/big.sh") as connection:
        got = 0
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            got += len(connection.read_some(65536))
            time.sleep(0.03)
        assert got > MIB
    assert max(peak_kib(pid) for pid in ours(lean)) < 16 * 1024


@pytest.mark.root  # nobody else sees the descriptors of a role
def test_thousand_silent_connections(lean):
    """Under 8 MiB for all of them."""
    before = total_kib(lean)
    silent = [lean.connect(tcp=index % 2 == 0) for index in range(1000)]
    try:
        gateway = lean.role("gateway www")

        wait_for(
            lambda: len(os.listdir("/proc/%d/fd" % gateway)) > 1000,
            "all to be accepted",
        )
        assert total_kib(lean) - before < 8 * 1024
    finally:
        for connection in silent:
            connection.close()


def test_memory_does_not_grow(lean):
    """Two thousand requests, good and bad: nothing is kept of them."""

    def load(count):
        def ask():
            for _ in range(count):
                assert lean.raw(b"garbage").status == 400
                assert lean.request("/cgi-bin/hello.sh").status == 200

        lean.expect(reason="bad-request", optional=True)
        run_threads([ask] * 4)

    load(150)
    before = total_kib(lean)
    load(400)
    assert total_kib(lean) - before < 1024
