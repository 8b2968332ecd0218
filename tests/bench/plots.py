"""Pictures of the figures: SVG, by gnuplot.

They stand in README on a light page and on a dark one, so they bring a white
ground of their own.  Ours are blue, who is behind the same nginx is grey, and
who needs no second hop is light grey.
"""

import shutil
import subprocess

from common import progress
from ratios import BIG, DIRECT_PEERS, EXEC, FORK, NGINX_PEERS, alone
from rounds import describe_rounds, figure

NAMES = (FORK, EXEC, *NGINX_PEERS, *DIRECT_PEERS)
ALONE = {alone(FORK): "fork server, alone", alone(EXEC): alone(EXEC)}
BARS = {FORK: "#0053a0", EXEC: "#3d8fdd"}
BARS |= {alone(name): BARS[name] for name in (FORK, EXEC)}
BARS |= {name: "#8a8f98" for name in NGINX_PEERS}
BARS |= {name: "#c3c7ce" for name in DIRECT_PEERS}
HEAD = """
set terminal svg size {width},{height} fixed noenhanced \\
    font "Helvetica,Arial,sans-serif,13" background "#ffffff"
set output "{path}"
set multiplot
set label 1 "{title}" at screen 0.012,{title_y} left font ",16"
set label 2 "{machine}" at screen 0.012,{machine_y} left font ",10" textcolor "#666666"
set label 3 "{versions}" at screen 0.012,{versions_y} left font ",10" textcolor "#666666"
set style fill solid 1 noborder
set border 2 linecolor "#888888"
unset key
"""
# After the first panel the words around all are there.
ONCE = "unset label 1\nunset label 2\nunset label 3\n"
PANEL = """
set lmargin at screen {left}
set rmargin at screen {right}
set bmargin at screen {bottom}
set tmargin at screen {top}
set label 4 "{title}" at screen {left},{title_y} left font ",13"
"""
TITLE, FOOT, LABELS = 46, 52, 138  # pixels


def quoted(text):
    return text.replace('"', "'")


def footer(figures, part):
    """What it was measured on; of the versions, those of the servers."""
    machine, versions = figures["machine"], figures["versions"]
    servers = ("scgid", "nginx", "fcgiwrap", "uWSGI", "lighttpd", "Apache")
    return {
        "machine": quoted(
            f"{machine['processor']}, {machine['system']}, Linux {machine['kernel']}, "
            f"{machine['date']}; {describe_rounds(figures['rounds'][part])}"
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


def draw(foot, path, title, panels, size):
    """`panels`: scripts of gnuplot that draw into the same picture."""
    width, height = size
    head = HEAD.format(
        path=path,
        title=title,
        width=width,
        height=height,
        title_y=1 - 22 / height,
        machine_y=28 / height,
        versions_y=12 / height,
        **foot,
    )
    script = head + ONCE.join(panels) + "unset multiplot\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def place(title, left, right, bottom, top, size):
    """A panel's place, in pixels from the lower left corner."""
    width, height = size
    return PANEL.format(
        title=title,
        left=left / width,
        right=right / width,
        bottom=bottom / height,
        top=top / height,
        title_y=(top + 10) / height,
    )


# Bars


def bar_rows(rows, names, key, form):
    """(place, value, lowest, highest round, colour, text) of each name."""
    for n, name in enumerate(names):
        row, colour = rows.get(name), BARS[name].replace("#", "0x")
        if figure(row, key) is None:
            yield -n, 0, 0, 0, colour, '"failed"' if row else '""'
        else:
            one = row[key]
            text = f'"{form(one)}"'
            yield -n, one["median"], one["low"], one["high"], colour, text


# Over a bar: how far the rounds were from each other, or how far a tail goes.
WHISKERS = (
    "$d using 3:1:($4-$3):(0) with vectors nohead linewidth 1.2 linecolor '#222222'"
)
PALE = (
    "$d using 4:1:2:4:($1-0.4):($1+0.4):5 with boxxyerror "
    "fillstyle solid 0.3 noborder linecolor rgb variable"
)


def bar_panel(rows, names, key, form, over, has_names):
    """Bars from the left, with the value behind each."""
    data = list(bar_rows(rows, names, key, form))
    limit = max(high for _, _, _, high, _, _ in data) or 1
    ticks = ", ".join(f'"{ALONE.get(name, name)}" {-n}' for n, name in enumerate(names))
    named = f"set ytics ({ticks}) scale 0 textcolor '#222222'\n"
    return (
        block("d", data)
        + f"set xrange [0:{1.3 * limit}]\nset yrange [{0.6 - len(names)}:0.6]\n"
        + "unset xtics\n"
        + (named if has_names else "unset ytics\n")
        + "plot $d using 2:1:(0):2:($1-0.4):($1+0.4):5 with boxxyerror "
        f"linecolor rgb variable, {over}, "
        "$d using 4:1:6 with labels left offset 0.6,0 "
        "font ',11' textcolor '#222222'\n"
    )


def draw_bars(foot, path, title, panels, columns, over=WHISKERS, order=NAMES):
    """`panels`: (title, {name: row}, key, how to write a summary)."""
    names = [n for n in order if any(n in rows for _, rows, _, _ in panels)]
    lines = -(-len(panels) // columns)
    bar = 17 * len(names)
    step = (1000 - LABELS) / columns
    size = (1000, TITLE + lines * (bar + 38) + FOOT)
    scripts = []
    for n, (text, rows, key, form) in enumerate(panels):
        line, column = divmod(n, columns)
        left = LABELS + column * step
        top = size[1] - TITLE - 26 - line * (bar + 38)
        script = place(text, left, left + step - 14, top - bar, top, size)
        script += bar_panel(rows, names, key, form, over, column == 0)
        scripts.append(script)
    draw(foot, path, title, scripts, size)


def written(form):
    return lambda one: form.format(one["median"])


def short_number(value):
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:,.{digits}f}"


def number(one):
    return short_number(one["median"])


def draw_rates(part, foot, path):
    panels = [(workload, rows, "rate", number) for workload, rows in part.items()]
    draw_bars(foot, path, "Requests a second, 16 clients, by program", panels, 4)


def scaled(rows, key, factor):
    """The rows with one figure, times `factor`."""
    return {
        name: row
        if figure(row, key) is None
        else {key: {k: factor * row[key][k] for k in ("median", "low", "high")}}
        for name, row in rows.items()
    }


def draw_overload(part, foot, path):
    rows = part["overload"]
    panels = [
        ("capacity, requests/s", rows, "peak", number),
        ("good answers/s at twice it", rows, "goodput", number),
    ]
    for text, key in (
        ("503 at once, %", "busy_share"),
        ("other errors, %", "other_share"),
    ):
        panels.append((text, scaled(rows, key, 100), key, written("{:.0f} %")))
    title = "Asked for twice the capacity, C program"
    draw_bars(foot, path, title, panels, 4, order=(*ALONE, *NAMES))


def draw_transfers(part, foot, path):
    rows = part[BIG]
    panels = [
        ("seconds", rows, "seconds", written("{:.2f}")),
        ("seconds of CPU, nginx and gateway", rows, "cpu_seconds", written("{:.2f}")),
        (
            "MiB of memory, largest process of it",
            scaled(rows, "peak_kib", 1 / 1024),
            "peak_kib",
            written("{:.1f}"),
        ),
    ]
    draw_bars(foot, path, "A response of 1 GiB", panels, 3)


def tails(rows):
    """The medians of p50, with those of p99 above them."""
    return {
        name: row
        if figure(row, "p50_ms") is None
        else {
            "p50_ms": {
                "median": figure(row, "p50_ms"),
                "low": 0,
                "high": figure(row, "p99_ms"),
            }
        }
        for name, row in rows.items()
    }


def draw_clients(part, foot, path):
    def form(one):
        return " to ".join(short_number(one[of]) for of in ("median", "high"))

    panels = [
        (f"{int(count):,} client" + "s" * (count != "1"), tails(rows), "p50_ms", form)
        for count, rows in part.items()
    ]
    title = "Milliseconds to an answer, C program: the median, and pale the 99th of 100"
    draw_bars(foot, path, title, panels, 2, PALE)


PICTURES = {
    "rates": draw_rates,
    "clients": draw_clients,
    "overload": draw_overload,
    "transfers": draw_transfers,
}


def draw_all(figures, directory):
    """A picture of each part that was measured; returns their paths."""
    if not shutil.which("gnuplot"):
        progress("no plots: gnuplot is missing; see contrib/install-deps --bench")
        return []
    directory.mkdir(parents=True, exist_ok=True)
    out = []
    for part, drawer in PICTURES.items():
        if part in figures["parts"]:
            path = directory / f"{part}.svg"
            drawer(figures["parts"][part], footer(figures, part), path)
            out.append(path)
    return out
