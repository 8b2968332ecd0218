"""Tables for the terminal."""

from common import say
from ratios import (
    alone,
    bound_of,
    rate_ratios,
    targets_of,
    transfer_ratios,
    verdict_of,
)
from rounds import describe_rounds


class Notes:
    """What does not fit into a cell, numbered."""

    def __init__(self):
        self.texts = []

    def mark(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def print(self):
        for number, text in enumerate(self.texts, 1):
            say(f"[{number}] {text}")


def table(title, columns, rows):
    """`rows`: (name, cells); a cell is a string."""
    rows = list(rows)
    if not rows:
        return
    first = max(len(name) for name, _ in rows) + 2
    widths = [
        max(len(column), *(len(cells[n]) for _, cells in rows)) + 2
        for n, column in enumerate(columns)
    ]
    say(f"\n{title}")
    say(" " * first + "".join(c.rjust(w) for c, w in zip(columns, widths)))
    for name, cells in rows:
        say(name.ljust(first) + "".join(c.rjust(w) for c, w in zip(cells, widths)))


def names_of(part):
    """The contestants of a part, in the order in which they came."""
    return list(dict.fromkeys(name for rows in part.values() for name in rows))


def cell_of(row, key, form, notes, name):
    """A median, and how far the rounds were from it."""
    if row is None:
        return "-"
    if "failed" in row:
        return "failed " + notes.mark(f"{name}: {row['failed']}")
    if key not in row:
        return "-"
    value = row[key]
    text = form.format(value["median"])
    if len(value["values"]) > 1 and value["median"]:
        spread = (value["high"] - value["low"]) / 2 / value["median"]
        text += f" ±{spread:.0%}"
    if "sometimes" in row:
        text += " " + notes.mark(f"{name}, in a round: {row['sometimes']}")
    return text


def matrix(title, part, key, form, notes):
    """Contestants down, workloads across."""
    columns = list(part)
    rows = []
    for name in names_of(part):
        cells = [
            cell_of(part[c].get(name), key, form, notes, f"{name}, {c}")
            for c in columns
        ]
        if any(cell != "-" for cell in cells):
            rows.append((name, cells))
    table(title, columns, rows)


def listing(title, part, columns, notes):
    """One workload: contestants down, figures across."""
    for name, rows in part.items():
        table(
            f"{title} {name}".strip(),
            [text for text, _, _ in columns],
            (
                (
                    who,
                    [cell_of(row, key, form, notes, who) for _, key, form in columns],
                )
                for who, row in rows.items()
            ),
        )


# Ratios and targets


def print_ratios(ratios):
    names = list(dict.fromkeys(name for row in ratios.values() for name in row))
    rows = []
    for name in names:
        found = [ratios[workload].get(name) for workload in ratios]
        if any(found):
            cells = [f"{f['ratio']:.2f}" if f else "-" for f in found]
            rows.append((name, cells))
    table("ratios", list(ratios), rows)


def print_targets(parts):
    """What is asked for, and whether it is so."""
    rows = []
    for row in targets_of(parts):
        cells = ["-", "-", ""]
        if row["is"] is not None:
            spread = f"{row['low']:.2f} to {row['high']:.2f}"
            cells = [f"{row['is']:.2f}", spread, row["against"] or ""]
        name = f"{row['name']}: {row['of']}"
        rows.append((name, [bound_of(row), *cells, verdict_of(row)]))
    table("targets", ["target", "measured", "rounds", "against", ""], rows)


# The parts


def print_rates(part, notes):
    matrix("requests a second, 16 clients", part, "rate", "{:.0f}", notes)
    matrix("p50, ms", part, "p50_ms", "{:.2f}", notes)
    matrix("p99, ms", part, "p99_ms", "{:.2f}", notes)
    print_ratios(rate_ratios(part))


def print_clients(part, notes):
    matrix("C program, requests a second by clients", part, "rate", "{:.0f}", notes)
    matrix("C program, p99 in ms by clients", part, "p99_ms", "{:.1f}", notes)


def ours_named(rows):
    """The rows, with where ours were asked: they are there twice."""
    return {
        f"{name}, behind nginx" if alone(name) in rows else name: row
        for name, row in rows.items()
    }


def print_overload(part, notes):
    columns = (
        ("capacity/s", "peak", "{:.0f}"),
        ("p50 at 70 %", "modest_p50_ms", "{:.2f}"),
        ("p99", "modest_p99_ms", "{:.2f}"),
        ("p99 : p50", "modest_tail", "{:.1f}"),
        ("load late", "modest_lag_ms", "{:.2f}"),
        ("goodput at 200 %", "goodput", "{:.0f}"),
        ("of capacity", "goodput_share", "{:.0%}"),
        ("beside load", "left_share", "{:.0%}"),
        ("p99 ms", "p99_ms", "{:.0f}"),
        ("503", "busy_share", "{:.0%}"),
        ("not asked", "unsent_share", "{:.1%}"),
        ("other errors", "other_share", "{:.1%}"),
        ("of these 502", "gateway_share", "{:.1%}"),
        ("hangs", "hangs", "{:.0f}"),
    )
    part = {workload: ours_named(rows) for workload, rows in part.items()}
    listing("open loop, C program:", part, columns, notes)


def print_slow(part, notes):
    title = "p99 in ms of 100 fast requests a second beside so many slow scripts"
    matrix(title, part, "p99_ms", "{:.1f}", notes)


def print_silent(part, notes):
    columns = (
        ("processes", "processes", "{:.0f}"),
        ("idle KiB", "idle_resident_kib", "{:.0f}"),
        ("proportional", "idle_proportional_kib", "{:.0f}"),
        ("more KiB", "more_resident_kib", "{:.0f}"),
        ("gateway idle", "gateway_idle_kib", "{:.0f}"),
        ("with them", "gateway_kib", "{:.0f}"),
        ("served beside/s", "rate_beside", "{:.0f}"),
    )
    listing("silent clients:", part, columns, notes)


def print_transfers(part, notes):
    matrix("seconds", part, "seconds", "{:.2f}", notes)
    title = "CPU seconds of front end and gateway"
    matrix(title, part, "cpu_seconds", "{:.2f}", notes)
    title = "KiB resident at most, the largest process of the gateway"
    matrix(title, part, "peak_kib", "{:.0f}", notes)
    print_ratios(transfer_ratios(part))


def print_spare(part, notes):
    matrix("fork server, by `spare`: p50, ms", part, "p50_ms", "{:.3f}", notes)
    matrix("fork server, by `spare`: p99, ms", part, "p99_ms", "{:.3f}", notes)


PRINTERS = {
    "rates": print_rates,
    "clients": print_clients,
    "overload": print_overload,
    "slow": print_slow,
    "silent": print_silent,
    "transfers": print_transfers,
    "spare": print_spare,
}


def print_parts(figures):
    notes = Notes()
    for name, printer in PRINTERS.items():
        if name in figures["parts"]:
            say(f"\n{name}: {describe_rounds(figures['rounds'][name])}")
            printer(figures["parts"][name], notes)
    say()
    notes.print()


def print_all(figures):
    say()
    for key, value in figures["machine"].items():
        say(f"{key}: {value}")
    say(", ".join(f"{name} {version}" for name, version in figures["versions"].items()))
    print_parts(figures)
    print_targets(figures["parts"])
    say(f"{figures['minutes']} minutes")
