"""Interleaved rounds: what is compared runs in turns, so that what else the
machine does hits all alike."""

import time

from common import in_turns, progress, summary


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

    A row has a summary of each figure, over the rounds, and "failed" if the
    contestant failed, once or always; it is not asked again then.
    """
    runs = {w.name: {name: [] for name in w.measures} for w in workloads}
    failures = {w.name: {} for w in workloads}
    for number in range(rounds):
        progress(f"{time.strftime('%H:%M:%S')} {part}: round {number + 1} of {rounds}")
        for workload in workloads:
            for name in in_turns(workload.measures, number):
                if name in failures[workload.name]:
                    continue
                try:
                    figures = workload.measures[name]()
                    runs[workload.name][name].append(figures)
                except Failed as error:
                    failures[workload.name][name] = str(error)
                    progress(f"  {name}, {workload.name}: {error}")
    return {
        workload: {
            name: row_of(all_runs, failures[workload].get(name))
            for name, all_runs in by_name.items()
        }
        for workload, by_name in runs.items()
    }


def row_of(all_runs, failure):
    row = {}
    if all_runs:
        row = {
            key: summary(run[key] for run in all_runs)
            for key, value in all_runs[0].items()
            if value is not None
        }
    if failure:
        row["failed"] = failure
    return row


def figure(row, key):
    """The median of a figure, or None: the row failed or does not have it."""
    if row is None or "failed" in row or key not in row:
        return None
    return row[key]["median"]


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
