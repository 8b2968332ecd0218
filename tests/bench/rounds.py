"""Interleaved rounds: what is compared runs in turns, so that what else the
machine does hits all alike."""

import time

from common import in_turns, progress, summary

FAILED_SHARE = 0.01


class Failed(Exception):
    """A contestant did not do what a workload asks; how it failed."""


class Workload:
    """One comparison: {contestant: a function that returns {figure: number}}.

    A figure that cannot be had here is None.
    """

    def __init__(self, name, measures):
        self.name = name
        self.measures = measures


def interleave(part, workloads, rounds):
    """{workload: {contestant: row}}.

    A row has a summary of each figure over the rounds that it passed, and
    "failed" if there was none: then it was asked once.  "sometimes" tells how
    it failed in other rounds, and "rounds" which it passed.
    """
    runs = {w.name: {name: {} for name in w.measures} for w in workloads}
    failures = {w.name: {} for w in workloads}
    for number in range(rounds):
        progress(f"{time.strftime('%H:%M:%S')} {part}: round {number + 1} of {rounds}")
        for workload in workloads:
            passed, failed = runs[workload.name], failures[workload.name]
            for name in in_turns(workload.measures, number):
                if name in failed and not passed[name]:
                    continue
                try:
                    passed[name][number] = workload.measures[name]()
                except Failed as error:
                    failed[name] = str(error)
                    progress(f"  {name}, {workload.name}: {error}")
    return {
        workload: {
            name: row_of(passed, failures[workload].get(name))
            for name, passed in by_name.items()
        }
        for workload, by_name in runs.items()
    }


def row_of(passed, failure):
    """`passed`: {round: {figure: number}}"""
    if not passed:
        return {"failed": failure}
    runs = list(passed.values())
    row = {
        key: summary(run[key] for run in runs)
        for key, value in runs[0].items()
        if value is not None
    }
    if failure:
        row |= {"sometimes": failure, "rounds": list(passed)}
    return row


def figure(row, key):
    """The median of a figure, or None: the row failed or does not have it."""
    if row is None or "failed" in row or key not in row:
        return None
    return row[key]["median"]


def demand_good(load):
    """Failed, if more than a hundredth of the answers were no good ones."""
    total = load["good"] + load["errors"]
    if not load["good"] or load["errors"] > FAILED_SHARE * total:
        raise Failed(f"of {total}: {how_it_failed(load)}")


def describe_rounds(count):
    return f"medians of {count} rounds" if count > 1 else "a single round"


def how_it_failed(load):
    """What `load` saw that was no good answer, the most frequent first."""
    seen = dict(load["failures"])
    seen |= {
        f"status {status}": count
        for status, count in load["statuses"].items()
        if status != "200"
    }
    parts = sorted(((n, what) for what, n in seen.items() if n), reverse=True)
    return ", ".join(f"{n} {what}" for n, what in parts) or "no answer"
