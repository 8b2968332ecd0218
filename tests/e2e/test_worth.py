"""The optimisations that tests/bench/worth measures are in the source."""

import pytest

from harness.bench import BENCH, load_program  # first: the way to the next

import optimisations  # of tests/bench

TOP = BENCH.parents[1]


@pytest.fixture(autouse=True)
def oracle():
    """Nothing runs here."""


@pytest.mark.parametrize(
    "one", optimisations.OPTIMISATIONS, ids=lambda one: one.name.replace(" ", "-")
)
def test_it_can_be_left_out(one):
    assert optimisations.lines_of(TOP, one) > 0
    assert (one.without is None) != (one.start is None)
    if one.without:
        _, text, changed = optimisations.text_without(TOP, one)
        assert text != changed


def test_each_is_asked_for_by_some_request():
    known = {kind.name for kind in load_program("worth").KINDS}
    for one in optimisations.OPTIMISATIONS:
        assert one.kinds and set(one.kinds) <= known
        assert set(one.start or {}) <= set(one.kinds)


def test_all_are_in_the_table():
    rows = (BENCH / "worth.md").read_text().splitlines()
    named = {row.split(":")[0].strip("| ") for row in rows if row.startswith("| ")}
    names = {one.name for one in optimisations.OPTIMISATIONS}
    assert names <= named, "make tests/bench/worth.md anew"
