"""What scgid does to be faster: where it stands, and how to do without.

Each can be switched off by a change of one place of the source, or by the
configuration.  tests/bench/worth measures what that costs; a test sees to it
that the places are still there.
"""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Optimisation:
    """`places`: files, or FILE:BEGINNING, a function by how its first line begins.

    It is left out by `without`, (file, what stands there, what instead), or by
    `start`, {kind of request: lines of its map instead}.
    """

    name: str
    what: str
    kinds: tuple[str, ...]
    places: tuple[str, ...]
    without: tuple[str, str, str] | None = None
    start: dict | None = None


OPTIMISATIONS = (
    Optimisation(
        "fork servers",
        "programs are started once and forked for each request",
        ("C", "perl", "awstats", "Python"),
        (
            "src/forkserver/*.c",
            "src/forkserver/fork_*",
            "src/launcher/fork_*.c",
            "src/launcher/watch.c",
        ),
        start={"C": "", "perl": "", "awstats": "", "Python": ""},
    ),
    Optimisation(
        "pages",
        "workers get the page tables of the program text that they touch",
        ("C", "perl", "awstats", "Python"),
        ("src/forkserver/pages.c",),
        (
            "src/forkserver/serve.c",
            "\tpreload_learn_pages(request->texts);\n",
            "",
        ),
    ),
    Optimisation(
        "finish",
        "a worker's end calls only what libraries really have to do then",
        ("C",),
        ("src/forkserver/finish.c",),
        (
            "src/forkserver/serve.c",
            "\tpreload_note_objects(request->objects);\n",
            "",
        ),
    ),
    Optimisation(
        "bound",
        "symbols are bound when the fork server starts",
        ("C", "perl"),
        (),
        (
            "src/launcher/fork_process.c",
            '"LD_BIND_NOW=1"',
            '"LD_BIND_NOW="',
        ),
    ),
    Optimisation(
        "few",
        "a small request's variables stand in the page of its message",
        ("C",),
        ("src/forkserver/serve.c:place_for(",),
        (
            "src/forkserver/serve.c",
            "FEW_AT + behind <= FEW",
            "FEW_AT + behind > FEW_AT + behind",
        ),
    ),
    Optimisation(
        "descriptors",
        "ours in a fork server stand below 64",
        ("C",),
        (),
        (
            "src/launcher/fork_process.c",
            "#define DESCRIPTORS_FIRST 58\n",
            "#define DESCRIPTORS_FIRST 250\n",
        ),
    ),
    Optimisation(
        "libraries",
        "files of the system are looked at once a second",
        ("C", "perl", "Python"),
        ("src/launcher/watch.c:begins_with(", "src/launcher/watch.c:is_of_system("),
        (
            "src/launcher/watch.c",
            "if (w->is_system && !with_system)",
            "if (w->is_system && !with_system && now == 0)",
        ),
    ),
    Optimisation(
        "heap",
        "a perl's workers find memory side by side",
        ("perl", "awstats"),
        ("src/forkserver/heap.c",),
        (
            "src/forkserver/serve.c",
            "\t\tpreload_fill_heap();\n",
            "\t\trequest->length = 0;\n",
        ),
    ),
    Optimisation(
        "syntax tree",
        "perl does not take the script's syntax tree apart at its end",
        ("perl", "awstats"),
        ("src/forkserver/fork_server.pl:my $find_holders",),
        (
            "src/forkserver/fork_server.pl",
            ' . $find_holders->();',
            ";",
        ),
    ),
    Optimisation(
        "imports",
        "what a Python script was seen to import is imported before the fork",
        ("Python, imports",),
        ("src/forkserver/fork_imports.py", "src/forkserver/fork_prepare.py"),
        start={"Python, imports": "start = python\npreload = no"},
    ),
    Optimisation(
        "brief",
        "stdout of paths whose responses are brief is looked at once",
        ("C", "C, exec"),
        (
            "src/gateway/relay.c:look(",
            "src/gateway/relay.c:watch(",
            "src/gateway/relay.c:relay_watch(",
            "src/gateway/relay.c:relay_end(",
        ),
        (
            "src/gateway/relay.c",
            "*r->run.streak >= BRIEF_STREAK;",
            "false;",
        ),
    ),
    Optimisation(
        "kept",
        "a short response is sent in one piece, with its end, so that a crash until "
        "then has an error page",
        ("C", "C, exec"),
        (
            "src/gateway/front.c:may_keep(",
            "src/gateway/front.c:front_keeps(",
            "src/gateway/front.c:front_flush(",
            "src/gateway/front.c:front_forget(",
        ),
        (
            "src/gateway/front.c",
            "r->out.length + length <= FRONT_KEPT_MOST;",
            "r->out.length + length == 0;",
        ),
    ),
    Optimisation(
        "refusals",
        "what can have no fork server goes to all launchers",
        ("C, static",),
        (
            "src/gateway/link.c:note_refusal(",
            "src/gateway/link.c:is_noted(",
            "src/gateway/link.c:is_refused(",
        ),
        (
            "src/gateway/link.c",
            "g->pool->fork_servers == 0 || is_refused(r);",
            "g->pool->fork_servers == 0 || (is_refused(r) && g->links == NULL);",
        ),
    ),
    Optimisation(
        "splice",
        "a large response is not copied through the gateway",
        ("1 GiB, exec",),
        (
            "src/gateway/relay.c:may_splice(",
            "src/gateway/relay.c:relay_splice(",
            "src/gateway/front.c:front_splice(",
            "src/base/fd.c:fd_splice(",
        ),
        (
            "src/gateway/relay.c",
            "return r->run.is_large && r->state == REQUEST_RESPONDING &&",
            "return r->run.is_large && r->state == REQUEST_ENDING &&",
        ),
    ),
)


def lines_of_function(path, beginning):
    """Its lines, with the comment above it."""
    lines = path.read_text().splitlines()
    at = [n for n, line in enumerate(lines) if line.startswith(beginning)]
    if len(at) != 1:
        raise LookupError(f"{path}: {len(at)} functions begin with {beginning!r}")
    first = last = at[0]
    while first > 0 and lines[first - 1].strip():
        first -= 1
    while not re.fullmatch(r"\}\)?;?", lines[last]):
        last += 1
    return last + 1 - first


def lines_of(top, optimisation):
    """How many lines of the source are there for it; a constant is one."""
    count = 0
    for place in optimisation.places:
        pattern, _, beginning = place.partition(":")
        files = sorted(top.glob(pattern))
        if not files:
            raise LookupError(f"there is no {pattern}")
        for path in files:
            if beginning:
                count += lines_of_function(path, beginning)
            else:
                count += len(path.read_text().splitlines())
    return count or 1


def text_without(top: Path, optimisation):
    """(the file, its text as it is, its text without the optimisation)"""
    name, there, instead = optimisation.without
    text = (top / name).read_text()
    if text.count(there) != 1:
        raise LookupError(f"{name} has {text.count(there)} times {there!r}")
    return top / name, text, text.replace(there, instead)
