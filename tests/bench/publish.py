"""The figures of a whole run where readers find them: the plots and the JSON in
tests/bench/figures, the targets beside them, a short table in README."""

import contextlib
import io
import json
import re

import plots
import report
from common import HERE, TOP
from ratios import (
    DIRECT_PEERS,
    EXEC,
    FORK,
    NGINX_PEERS,
    bound_of,
    best_of,
    targets_of,
    verdict_of,
)
from rounds import describe_rounds, figure

FIGURES = HERE / "figures"
JSON = FIGURES / "figures.json"
README = TOP / "README.md"
BEGIN, END = "<!-- figures: made by tests/bench/run -->\n", "<!-- end -->\n"

TARGETS = """# Figures

`figures.json` is what `tests/bench/run --json` wrote. The plots, the table below
and the one in the project's README are made of it:

    tests/bench/run --from tests/bench/figures/figures.json --publish

{caption}

{table}

Measured is the median of the rounds, or of the ratios of the rounds; what must
never be is judged by the worst. Where a target lies between the rounds, it is met
or missed by chance.

All of it, as `tests/bench/run` prints it:

    {tables}
"""


def rounded(value):
    """Of numbers, what is more than chance."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def rate_cell(row):
    value = figure(row, "rate")
    return "-" if value is None else plots.short_number(value)


def rate_rows(part):
    for workload, rows in part.items():
        cells = [rate_cell(rows.get(name)) for name in (FORK, EXEC)]
        for names in (NGINX_PEERS, DIRECT_PEERS):
            best = best_of(rows, names, "rate")
            cells.append(f"{rate_cell(rows[best])} ({best})" if best else "failed")
        yield workload, *cells


def caption(figures, part):
    machine = figures["machine"]
    stops = machine.get("stops over 1 ms", "unknown")
    return (
        f"Measured on {machine['date']}, {describe_rounds(figures['rounds'][part])}:\n"
        f"{machine['processor']}, {machine['memory']}, {machine['system']},\n"
        f"Linux {machine['kernel']}; load average before: {machine['load before']};\n"
        f"with nothing to do, stops of a processor over 1 ms: {stops}."
    )


def short_table(figures):
    head = ["requests a second", "fork server", "exec"]
    head += ["best other behind nginx", "best without nginx"]
    rows = markdown(head, rate_rows(figures["parts"]["rates"]))
    return f"{rows}\n\n{caption(figures, 'rates')}\n"


def in_readme(figures, text):
    """README with the table of these figures."""
    found = re.search(f"(?s){BEGIN}.*?{END}", text)
    return text.replace(found.group(0), f"{BEGIN}{short_table(figures)}{END}")


def target_rows(parts):
    for row in targets_of(parts):
        measured = spread = "-"
        if row["is"] is not None:
            measured = f"{row['is']:.2f}"
            spread = f"{row['low']:.2f} to {row['high']:.2f}"
        name = f"{row['name']}: {row['of']}"
        against = row.get("against") or ""
        yield name, bound_of(row), measured, spread, against, verdict_of(row)


def all_tables(figures):
    """What `run` prints, as a block of Markdown."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        report.print_parts(figures)
    return re.sub("\n(?=.)", "\n    ", text.getvalue().strip())


def targets_page(figures):
    head = ["what", "target", "measured", "rounds", "against", ""]
    rows = markdown(head, target_rows(figures["parts"]))
    return TARGETS.format(
        caption=caption(figures, "rates"), table=rows, tables=all_tables(figures)
    )


def publish(figures):
    figures = rounded(figures)  # so that all is made of what is kept
    figures["targets"] = rounded(targets_of(figures["parts"]))
    plots.draw_all(figures, FIGURES)
    JSON.write_text(json.dumps(figures) + "\n")
    (FIGURES / "README.md").write_text(targets_page(figures))
    README.write_text(in_readme(figures, README.read_text()))
