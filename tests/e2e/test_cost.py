"""System calls of a request: no more than tests/bench/cost.md says; page faults."""

import re
import shutil

import pytest

from harness.bench import BENCH  # the way to those of tests/bench
from harness.daemon import IS_ROOT, build_directory, public_directory, reachable_build

import calls
import counters
import kinds

COUNT = 40
TRIES = 3


@pytest.fixture(autouse=True)
def oracle():
    """These instances have no log to judge."""


def table():
    """{kind: {role: number}} of the first table; "about" numbers are left out."""
    text = (BENCH / "cost.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.search(r"(?m)^\| request \|(?:.*\n\|)*.*", text)
        .group(0)
        .splitlines()
    ]
    roles = rows[0][1:]
    return {
        row[0]: {
            role: int(cell) for role, cell in zip(roles, row[1:]) if cell.isdigit()
        }
        for row in rows[2:]
    }


@pytest.fixture(scope="module")
def programs():
    if not build_directory("SCGID_BUILD_RELEASE"):
        pytest.skip("no release build")
    return reachable_build("SCGID_BUILD_RELEASE")


@pytest.fixture(scope="module")
def cgi(programs):
    if not calls.can_trace():
        pytest.skip("strace is missing or forbidden")
    place = public_directory("cost")
    tools = build_directory("SCGID_BUILD_RELEASE") / "tests" / "bench"
    yield kinds.make_programs(tools, place / "cgi")
    shutil.rmtree(place)


def test_every_kind_is_in_the_table(programs):
    named = {kind.name for kind in kinds.kinds_of(programs)}
    assert named == set(table()), "make tests/bench/cost.md anew"


@pytest.mark.parametrize("name", [k.name for k in kinds.KINDS if k.steady])
def test_no_more_system_calls(programs, cgi, name):
    """The best of some tries: a busy machine makes more of them, never fewer."""
    kind = next(k for k in kinds.KINDS if k.name == name)
    if kind not in kinds.kinds_of(programs):
        pytest.skip("this scgid has no fork servers")
    if kind.start and not IS_ROOT:
        pytest.skip("strace may not attach to a launcher of this user")
    allowed = table()[name]
    assert allowed
    for attempt in range(TRIES):
        counted = kinds.count_calls(programs, cgi, kind, COUNT)
        if counted is None:
            pytest.skip("strace may not attach to a gateway of this user")
        found = {role: calls.usual_total(counted[role]) for role in allowed}
        grown = {role: n for role, n in found.items() if n > allowed[role]}
        if not grown:
            return
    detail = {role: calls.usual(counted[role]) for role in grown}
    pytest.fail("allowed %r, found %r: %r" % (allowed, found, detail))


def test_a_fork_has_its_pages(programs, cgi):
    """With each page of program text a fault it would be nearly half."""
    by_name = {kind.name: kind for kind in kinds.kinds_of(programs)}
    if "fork server: C program" not in by_name:
        pytest.skip("this scgid has no fork servers")
    executed, forked = (
        counters.count_faults(programs, cgi, by_name[name])
        for name in ("C program, GET", "fork server: C program")
    )
    assert 0 < forked < executed / 3


HOLES = """#!/usr/bin/perl
our @pieces;
BEGIN {
    my @all = map { 'x' x (20 + $_ % 200) } 1 .. 8000;
    @pieces = @all[grep { $_ % 2 } 0 .. $#all];
}
our @new = map { 'y' x (20 + $_ % 200) } 1 .. 800;
print "Content-Type: text/plain\\n\\nhello\\n";
"""


def test_a_fork_finds_memory_side_by_side(programs, cgi):
    """What perl has freed before the fork is a page for nearly each piece."""
    kind = next(k for k in kinds.KINDS if k.name == "fork server: perl")
    if kind not in kinds.kinds_of(programs):
        pytest.skip("this scgid has no fork servers")
    plain = counters.count_faults(programs, cgi, kind)
    with_holes = shutil.copytree(cgi, cgi.parent / "holes")
    (with_holes / "hello.pl").write_text(HOLES)
    assert counters.count_faults(programs, with_holes, kind) < plain + 80
