"""Tables for the terminal, and the ratios that they end in."""

from common import median, say
from rounds import figure

NGINX_PEERS = ("fcgiwrap", "uWSGI", "uWSGI, SCGI")
DIRECT_PEERS = ("lighttpd mod_cgi", "Apache mod_cgid")
OURS = ("scgid", "scgid fork server")


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


# Ratios


def best_of(rows, names, key, best=max):
    """The name of the one with the best median; None: all failed."""
    known = [name for name in names if figure(rows.get(name), key) is not None]
    return best(known, key=lambda name: figure(rows[name], key)) if known else None


def ratio_of(rows, name, other, key):
    """The median of the ratios of the rounds, which noise hits alike."""
    if figure(rows.get(name), key) is None or other is None:
        return None
    if figure(rows.get(other), key) is None:
        return None
    pairs = zip(rows[name][key]["values"], rows[other][key]["values"])
    return {"ratio": median(a / b for a, b in pairs if b), "against": other}


def rate_ratios(part):
    """{workload: {what: {"ratio", "against"}}}"""
    out = {}
    for workload, rows in part.items():
        mine = out[workload] = {}
        for name in OURS:
            pairs = {
                f"{name} : best behind nginx": best_of(rows, NGINX_PEERS, "rate"),
                f"{name} : best without a second hop": best_of(
                    rows, DIRECT_PEERS, "rate"
                ),
            }
            for text, other in pairs.items():
                mine[text] = ratio_of(rows, name, other, "rate")
            mine[f"{name}, alone : posix_spawn loop"] = ratio_of(
                rows, f"{name}, alone", "posix_spawn loop", "rate"
            )
    return out


def transfer_ratios(part):
    """Times: above 1 is faster than the fastest peer."""
    out = {}
    for workload, rows in part.items():
        best = best_of(rows, NGINX_PEERS + DIRECT_PEERS, "seconds", min)
        inverse = {
            f"{name} : fastest peer": ratio_of(rows, best, name, "seconds")
            for name in OURS
        }
        for ratio in inverse.values():
            if ratio:
                ratio["against"] = best
        out[workload] = inverse
    return out


def print_ratios(ratios):
    names = list(dict.fromkeys(name for row in ratios.values() for name in row))
    rows = []
    for name in names:
        found = [ratios[workload].get(name) for workload in ratios]
        if any(found):
            cells = [f"{f['ratio']:.2f}" if f else "-" for f in found]
            rows.append((name, cells))
    table("ratios", list(ratios), rows)


# The parts


def print_rates(part, notes):
    matrix("requests a second, 16 clients", part, "rate", "{:.0f}", notes)
    matrix("p50, ms", part, "p50_ms", "{:.2f}", notes)
    matrix("p99, ms", part, "p99_ms", "{:.2f}", notes)
    print_ratios(rate_ratios(part))


def print_clients(part, notes):
    matrix("C program, requests a second by clients", part, "rate", "{:.0f}", notes)
    matrix("C program, p99 in ms by clients", part, "p99_ms", "{:.1f}", notes)


def print_overload(part, notes):
    columns = (
        ("capacity/s", "peak", "{:.0f}"),
        ("p50 at 70 %", "modest_p50_ms", "{:.2f}"),
        ("p99", "modest_p99_ms", "{:.2f}"),
        ("p99 : p50", "modest_tail", "{:.1f}"),
        ("goodput at 200 %", "goodput", "{:.0f}"),
        ("of capacity", "goodput_share", "{:.0%}"),
        ("p99 ms", "p99_ms", "{:.0f}"),
        ("503", "busy_share", "{:.0%}"),
        ("other errors", "other_share", "{:.1%}"),
        ("hangs", "hangs", "{:.0f}"),
    )
    listing("open loop, C program:", part, columns, notes)


def print_slow(part, notes):
    title = "p99 in ms of 50 fast requests a second beside so many slow scripts"
    matrix(title, part, "p99_ms", "{:.1f}", notes)


def print_silent(part, notes):
    columns = (
        ("processes", "processes", "{:.0f}"),
        ("idle KiB", "idle_resident_kib", "{:.0f}"),
        ("proportional", "idle_proportional_kib", "{:.0f}"),
        ("more KiB", "more_resident_kib", "{:.0f}"),
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


PRINTERS = {
    "rates": print_rates,
    "clients": print_clients,
    "overload": print_overload,
    "slow": print_slow,
    "silent": print_silent,
    "transfers": print_transfers,
}


def print_all(figures):
    machine = figures["machine"]
    say()
    for key, value in machine.items():
        say(f"{key}: {value}")
    say(", ".join(f"{name} {version}" for name, version in figures["versions"].items()))
    notes = Notes()
    for name, printer in PRINTERS.items():
        if name in figures["parts"]:
            printer(figures["parts"][name], notes)
    say()
    notes.print()
    say(f"{figures['rounds']} rounds in {figures['minutes']} minutes")


def ratios_of(parts):
    out = {}
    if "rates" in parts:
        out["rates"] = rate_ratios(parts["rates"])
    if "transfers" in parts:
        out["transfers"] = transfer_ratios(parts["transfers"])
    return out
