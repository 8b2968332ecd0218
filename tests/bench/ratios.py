"""Ratios of what ran in turns, and the targets that scgid has set itself."""

from common import median
from rounds import figure

NGINX_PEERS = ("fcgiwrap", "uWSGI", "uWSGI, SCGI")
DIRECT_PEERS = ("lighttpd mod_cgi", "Apache mod_cgid")
PEERS = NGINX_PEERS + DIRECT_PEERS
EXEC, FORK = OURS = ("scgid", "scgid fork server")
LIMIT = "posix_spawn loop"


def alone(name):
    """One of ours that is asked over SCGI at its own socket, without nginx."""
    return f"{name}, alone"


# What is compared, whose rate, against the best of whom, and the least that it
# has to be for each workload.
RATES = (
    (
        "exec : best peer behind the same nginx",
        EXEC,
        NGINX_PEERS,
        {"C": 1.3, "shell": 1.3},
    ),
    (
        "exec : best peer that needs no second hop",
        EXEC,
        DIRECT_PEERS,
        {"C": 1.0, "shell": 1.0},
    ),
    ("exec alone : bare loop", alone(EXEC), [LIMIT], {"C": 0.85, "shell": 0.85}),
    (
        "fork server : best peer behind the same nginx",
        FORK,
        NGINX_PEERS,
        {"C": 3, "shell": 3, "perl": 5, "Python": 10},
    ),
    ("fork server alone : bare loop", alone(FORK), [LIMIT], {"C": 2, "shell": 2}),
    (
        "fork server : fcgiwrap",
        FORK,
        ["fcgiwrap"],
        {"C": 2.5, "shell": 2.5, "perl": 3, "Python": 8, "Flask": 20},
    ),
    (
        "fork server : exec",
        FORK,
        [EXEC],
        {"awstats, frame": 10, "awstats, report": 4},
    ),
)
# Of a row: what it is, its figure, times what, and the most or least it may be.
OVERLOAD = (
    ("p99 : p50 at 70 % of the capacity", "modest_tail", 1, "most", 3),
    ("goodput at twice the capacity : capacity", "goodput_share", 1, "least", 0.9),
    ("% of requests neither 200 nor 503", "other_share", 100, "most", 0),
    ("requests without an answer", "hangs", 1, "most", 0),
)
SILENT = (
    ("gateway resident, MiB", "gateway_idle_kib", 1 / 1024, "most", 4),
    ("with {} silent clients, MiB", "gateway_kib", 1 / 1024, "most", 64),
)
BIG = "1 GiB response"
FASTEST = {"fastest peer": PEERS, "fastest behind the same nginx": NGINX_PEERS}


def best_of(rows, names, key, best=max):
    """The name of the one with the best median; None: all failed."""
    known = [name for name in names if figure(rows.get(name), key) is not None]
    return best(known, key=lambda name: figure(rows[name], key)) if known else None


def by_round(row, key):
    values = row[key]["values"]
    return dict(zip(row.get("rounds", range(len(values))), values))


def ratio_of(rows, name, other, key):
    """The median of the ratios of the rounds, which noise hits alike."""
    if figure(rows.get(name), key) is None or other is None:
        return None
    if figure(rows.get(other), key) is None:
        return None
    mine, theirs = by_round(rows[name], key), by_round(rows[other], key)
    values = [mine[n] / theirs[n] for n in mine if theirs.get(n)]
    if not values:
        return None
    return {
        "ratio": median(values),
        "low": min(values),
        "high": max(values),
        "against": other,
    }


def rate_ratios(part):
    """{workload: {what: ratio}}"""
    out = {}
    for workload, rows in part.items():
        mine = out[workload] = {}
        for name in OURS:
            for text, others in (
                ("best behind nginx", NGINX_PEERS),
                ("best without a second hop", DIRECT_PEERS),
            ):
                other = best_of(rows, others, "rate")
                mine[f"{name} : {text}"] = ratio_of(rows, name, other, "rate")
            mine[f"{alone(name)} : {LIMIT}"] = ratio_of(
                rows, alone(name), LIMIT, "rate"
            )
    return out


def against_fastest(rows, name, peers=PEERS):
    """The rate of a transfer, times that of the fastest peer."""
    best = best_of(rows, peers, "seconds", min)
    found = ratio_of(rows, best, name, "seconds")
    return found and found | {"against": best}


def transfer_ratios(part):
    return {
        workload: {
            f"{name} : {text}": against_fastest(rows, name, peers)
            for name in OURS
            for text, peers in FASTEST.items()
        }
        for workload, rows in part.items()
    }


# Targets


def target(name, what, found, bound, limit):
    """A row; `found`: a ratio, or None as it could not be measured."""
    row = {"name": name, "of": what, "is": None, bound: limit, "met": None}
    if found:
        row |= {
            "is": found["ratio"],
            "low": found["low"],
            "high": found["high"],
            "against": found.get("against"),
            "met": found["ratio"] <= limit
            if bound == "most"
            else found["ratio"] >= limit,
        }
    return row


def figure_target(row, what, entry):
    """What must never be is judged by the worst round."""
    name, key, scale, bound, limit = entry
    found = None
    if figure(row, key) is not None:
        one = row[key]
        judged = one["median"] if limit else one["high"]
        found = {"ratio": judged, "low": one["low"], "high": one["high"]}
        found = {of: scale * value for of, value in found.items()}
    return target(name, what, found, bound, limit)


def short(name):
    return "fork server" if name == FORK else "exec"


def rate_targets(part):
    for name, mine, others, limits in RATES:
        for workload, limit in limits.items():
            rows = part.get(workload, {})
            if mine in rows:
                other = best_of(rows, others, "rate")
                found = ratio_of(rows, mine, other, "rate")
                yield target(name, workload, found, "least", limit)


def overload_targets(part):
    for rows in part.values():
        for name in OURS:
            for row, where in ((alone(name), "alone"), (name, "behind nginx")):
                for entry in OVERLOAD if row in rows else ():
                    yield figure_target(rows[row], f"{short(name)} {where}", entry)


def transfer_targets(part):
    rows = part.get(BIG, {})
    for name in OURS:
        if name not in rows:
            continue
        for text, peers in FASTEST.items():
            found = against_fastest(rows, name, peers)
            yield target(f"{BIG}: rate : {text}", short(name), found, "least", 0.95)
        least = best_of(rows, PEERS, "cpu_seconds", min)
        found = ratio_of(rows, name, least, "cpu_seconds")
        yield target(f"{BIG}: CPU time : least of all", short(name), found, "most", 1)


def silent_targets(part):
    for count, rows in part.items():
        for name in OURS:
            for text, *rest in SILENT if name in rows else ():
                entry = (text.format(count), *rest)
                yield figure_target(rows[name], short(name), entry)


TARGETS = {
    "rates": rate_targets,
    "overload": overload_targets,
    "transfers": transfer_targets,
    "silent": silent_targets,
}


def targets_of(parts):
    """A row for each target of the parts that were measured."""
    return [row for part, make in TARGETS.items() for row in make(parts.get(part, {}))]


def bound_of(row):
    return (
        f"at least {row['least']:g}" if "least" in row else f"at most {row['most']:g}"
    )


def verdict_of(row):
    return {True: "met", False: "MISSED", None: "failed"}[row["met"]]
