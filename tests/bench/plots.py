"""Pictures of the figures: SVG, by gnuplot."""

import shutil
import subprocess

from common import progress
from report import DIRECT_PEERS, NGINX_PEERS, best_of
from rounds import figure

# The palette of Okabe and Ito, which everyone can tell apart; ours are blue.
COLOURS = {
    "scgid": "#0072B2",
    "scgid fork server": "#003B5C",
    "fcgiwrap": "#E69F00",
    "fcgiwrap -c 32": "#8A6000",
    "uWSGI": "#009E73",
    "uWSGI, 20 threads": "#00523C",
    "uWSGI, SCGI": "#66C2A5",
    "lighttpd mod_cgi": "#D55E00",
    "Apache mod_cgid": "#CC79A7",
}

HEAD = """
set terminal svg size {width},{height} dynamic enhanced font "sans-serif,13" \\
    background "#ffffff"
set output "{path}"
set title "{title}" font ",15"
set border 3 linecolor "#888888"
set tics nomirror out
set grid y linecolor "#dddddd" linetype 1
set key outside right top reverse Left samplen 1.5 noenhanced font ",12"
set bmargin 7
set label 1 "{machine}" at screen 0.01,0.055 left font ",9" textcolor "#666666" noenhanced
set label 2 "{versions}" at screen 0.01,0.02 left font ",9" textcolor "#666666" noenhanced
set style fill solid 1 noborder
"""


def quoted(text):
    return text.replace('"', "'")


def footer(figures):
    """What it was measured on; of the versions, those of the servers."""
    machine, versions = figures["machine"], figures["versions"]
    servers = ("scgid", "nginx", "fcgiwrap", "uWSGI", "lighttpd", "Apache")
    return {
        "machine": quoted(
            f"{machine['processor']}, {machine['system']}, Linux {machine['kernel']}; "
            f"{machine['date']}; medians of {figures['rounds']} rounds"
        ),
        "versions": quoted(
            ", ".join(
                f"{name} {versions[name]}" for name in servers if name in versions
            )
        ),
    }


def block(name, rows):
    """A named block of data for gnuplot."""
    lines = (" ".join(str(cell) for cell in row) for row in rows)
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def draw(figures, path, title, body, size=(900, 440)):
    head = HEAD.format(
        path=path, title=title, width=size[0], height=size[1], **footer(figures)
    )
    subprocess.run(["gnuplot"], input=head + body, text=True, check=True)


def present(part):
    """The contestants of a part that have a colour, in our order."""
    names = {name for rows in part.values() for name in rows}
    return [name for name in COLOURS if name in names]


def clusters(part, names, value_of):
    """(blocks, plots, ticks): bars side by side, a cluster for each workload.

    `value_of(rows, name)` gives a bar's height, or None: it has none and the
    word "failed" stands there.
    """
    width = 0.8 / len(names)
    blocks, plots, failed = [], [], []
    for n, name in enumerate(names):
        rows = []
        for x, workload in enumerate(part):
            left = x - 0.4 + n * width
            value = value_of(part[workload], name)
            if value is None:
                failed.append((left + width / 2, name))
            else:
                middle = left + width / 2
                rows.append((middle, left + width * 0.06, left + width * 0.94, value))
        blocks.append(block(f"d{n}", rows or [("NaN",) * 4]))
        plots.append(
            f"$d{n} using 1:4:2:3:(base):4 with boxxyerror "
            f'linecolor rgb "{COLOURS[name]}" title "{name}"'
        )
    ticks = ", ".join(
        f'"{quoted(w)}" {x}'.replace(", ", "\\n") for x, w in enumerate(part)
    )
    labels = "".join(
        f'set label "failed" at {x:.3f},graph 0.02 rotate left font ",11" '
        f'textcolor rgb "{COLOURS[name]}"\n'
        for x, name in failed
    )
    span = f"set xrange [-0.5:{len(part) - 0.5}]\nset xtics ({ticks}) scale 0\n"
    return "".join(blocks) + span + labels, "plot " + ", ".join(plots) + "\n"


def draw_rates(figures, path):
    part = figures["parts"]["rates"]

    def against_best(rows, name):
        best = best_of(rows, NGINX_PEERS + DIRECT_PEERS, "rate")
        value = figure(rows.get(name), "rate")
        return value / rows[best]["rate"]["median"] if best and value else None

    body, plot = clusters(part, present(part), against_best)
    draw(
        figures,
        path,
        "Requests a second, 16 clients: times the best peer",
        "base = 1\nset logscale y 2\nset format y '%g'\nset xzeroaxis\n"
        "set arrow from graph 0,first 1 to graph 1,first 1 nohead "
        f'linecolor "#444444"\n{body}{plot}',
        (1100, 440),
    )


def lines(part, key):
    """Contestants as lines over workloads whose names are numbers."""
    blocks, plots = [], []
    for n, name in enumerate(present(part)):
        rows = [(x, figure(rows.get(name), key)) for x, rows in part.items()]
        rows = [(x, y) for x, y in rows if y is not None]
        blocks.append(block(f"d{n}", rows or [("NaN", "NaN")]))
        plots.append(
            f"$d{n} using 1:2 with linespoints linewidth 2 pointtype 7 pointsize 0.6 "
            f'linecolor rgb "{COLOURS[name]}" title "{name}"'
        )
    return "".join(blocks) + "plot " + ", ".join(plots) + "\n"


def draw_clients(figures, path):
    part = figures["parts"]["clients"]
    ticks = ", ".join(part)
    draw(
        figures,
        path,
        "C program, requests a second by number of clients",
        f"set logscale x 4\nset xtics ({ticks})\nset yrange [0:*]\n"
        'set xlabel "clients"\n' + lines(part, "rate"),
    )


def draw_slow(figures, path):
    part = figures["parts"]["slow"]
    ticks = ", ".join(f'"{count}" {x}' for x, count in enumerate(part))
    spread = {str(x): rows for x, rows in enumerate(part.values())}
    draw(
        figures,
        path,
        "p99 of fast requests, beside slow scripts (a second each), ms",
        f"set logscale y\nset xtics ({ticks})\nset xrange [-0.2:*]\n"
        'set xlabel "slow scripts at a time"\n' + lines(spread, "p99_ms"),
    )


def draw_overload(figures, path):
    rows = figures["parts"]["overload"]["overload"]
    shares = {
        "answered 200, of capacity": "goodput_share",
        "503, of requests": "busy_share",
        "other errors, of requests": "other_share",
    }

    def per_cent(which, name):
        value = figure(rows.get(name), which)
        return None if value is None else 100 * value

    body, plot = clusters(shares, present({"": rows}), per_cent)
    draw(
        figures,
        path,
        "Twice the capacity, C program: what becomes of the requests, %",
        f"base = 0\nset yrange [0:*]\n{body}{plot}",
    )


def draw_transfers(figures, path):
    part = figures["parts"]["transfers"]
    body, plot = clusters(
        part, present(part), lambda rows, name: figure(rows.get(name), "seconds")
    )
    draw(
        figures,
        path,
        "Seconds for large bodies, and for a clone",
        f"base = 0\nset yrange [0:*]\n{body}{plot}",
    )


PICTURES = {
    "rates": draw_rates,
    "clients": draw_clients,
    "overload": draw_overload,
    "slow": draw_slow,
    "transfers": draw_transfers,
}


def draw_all(figures, directory):
    """A picture of each part that was measured; returns their paths."""
    if not shutil.which("gnuplot"):
        progress("no plots: gnuplot is missing; see contrib/install-deps --bench")
        return []
    out = []
    for part, drawer in PICTURES.items():
        if part in figures["parts"]:
            path = directory / f"{part}.svg"
            drawer(figures, path)
            out.append(path)
    return out
