"""start = python and start = perl: a script does there what it does under exec."""

import difflib

import pytest

from conftest import STANDARD_POOL
from harness import runners
from harness.daemon import Scgid

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
        wrong += differences(case, expected[case.name], found)
    assert not wrong, "\n".join(wrong)
