"""What keeps the tree honest: layers, format, manuals, the checklist."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys

import pytest

from harness.daemon import program

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = ["base", "scgi", "cgi", "config", "launcher", "gateway", "supervisor"]
MANUALS = [
    "conf/scgid.conf.5",
    "src/scgid.8",
    "src/scgid-start.7",
    "src/inetd_scgi.3",
    "src/scgi-request.1",
    "src/scgi-http.1",
]
INCLUDE = re.compile(r'^#\s*include\s+"([^"]+)"', re.M)


@pytest.fixture(autouse=True)
def oracle():
    """No daemon runs here."""


# Outside the layers: the one talks to us as others do, the other lives in other
# people's programs.
APART = ["frontend", "forkserver"]


def sources():
    for top in ("src", "include"):
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            yield path


def layer(path):
    return path.relative_to(ROOT).parts[1]


def allowed(own):
    """The folders that a file of folder `own` may include from."""
    if own == "frontend":
        return {"base", "scgi", "frontend"}
    if own == "forkserver":
        return {"launcher", "forkserver"}
    return set(LAYERS[: LAYERS.index(own) + 1])


def test_layers():
    """A file includes its own layer and those below it."""
    wrong = []
    count = 0
    for path in sources():
        own = layer(path)
        if own not in LAYERS + APART:
            continue
        count += 1
        for name in INCLUDE.findall(path.read_text()):
            folder = name.split("/")[0] if "/" in name else own
            bad = folder not in allowed(own)
            if own == "gateway" and folder == "launcher":
                bad = name != "launcher/protocol.h"
            if own == "forkserver":
                bad |= folder == "launcher" and name != "launcher/fork_protocol.h"
            if bad:
                wrong.append("%s includes %s" % (path.relative_to(ROOT), name))
    assert count > 20
    assert not wrong, "\n".join(wrong)


def test_every_folder_has_its_place():
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    assert folders == set(LAYERS + APART)


def test_headers_compile_alone():
    build = pathlib.Path(program("scgid")).parent
    wrong = []
    for path in sorted((ROOT / "include").rglob("*.h")):
        done = subprocess.run(
            ["cc", "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c"]
            + ["-I%s/include" % ROOT, "-I%s/include" % build, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            wrong.append(done.stdout.decode())
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(not shutil.which("clang-format"), reason="no clang-format")
def test_format():
    files = [p for p in sources()] + sorted((ROOT / "tests").rglob("*.[ch]"))
    done = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", "--style=file"]
        + [str(p) for p in files],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=str(ROOT),
    )
    assert done.returncode == 0, done.stdout.decode()[:4000]


@pytest.mark.parametrize("name", MANUALS)
def test_no_word_is_taken_for_a_macro(name):
    """A heading that begins with An or No loses that word, and lint is silent."""
    text = (ROOT / name).read_text()
    assert re.findall(r"(?m)^\.(?:It|Ss|Sh) (?:An|At|Do|In|No|On|So|Us) .*", text) == []


@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc")
@pytest.mark.parametrize("name", MANUALS)
def test_manual_is_clean(name):
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", str(ROOT / name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()


def entries(name, macro):
    """What the `.It` lines of a manual name with a macro."""
    found = set()
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith(".It "):
            found.update(re.findall(r"\b%s (\S+)" % macro, line))
    return found


def keys():
    """(section, name, type, default, range, help) as the program knows them."""
    output = subprocess.check_output([program("scgid"), "--list-keys"]).decode()
    return [line.split("\t") for line in output.splitlines()]


def test_every_key_is_in_the_manual():
    rows = keys()
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 6 and row[5], row
    names = {row[1] for row in rows}
    documented = entries("conf/scgid.conf.5", "Ic")
    assert names - documented == set(), "keys without an entry"
    assert documented - names == set(), "entries without a key"


def test_defaults_in_the_manual_are_those_of_the_table():
    """Every default that is a plain value stands in the key's entry."""
    text = (ROOT / "conf/scgid.conf.5").read_text()
    parts = re.split(r"(?m)^\.It ", text)
    wrong = []
    for section, name, _, default, _, _ in keys():
        if not re.fullmatch(r"[0-9]+(ms|[smhKMG])?|yes|no|on|off|[a-z]+", default):
            continue
        own = [
            p
            for p in parts
            if re.search(r"\bIc %s(\s|$)" % re.escape(name), p.split("\n")[0])
        ]
        if own and not any(
            re.search(r"(?<!\w)%s(?!\w)" % re.escape(default), p) for p in own
        ):
            wrong.append("%s %s: default %s" % (section, name, default))
    assert not wrong, "\n".join(wrong)


def reasons():
    text = (ROOT / "include/cgi/reason.h").read_text()
    found = re.findall(r"^\tREASON_([A-Z_]+),", text, re.M)
    return {n.lower().replace("_", "-") for n in found} - {"none"}


def test_every_reason_is_in_the_manual():
    documented = entries("src/scgid.8", "Sy")
    assert len(reasons()) > 30
    assert reasons() - documented == set(), "reasons without an entry"
    stale = {n for n in documented if "-" in n and n not in reasons()}
    assert not stale, "entries without a reason: %r" % stale


def test_every_option_is_in_the_manual():
    for name, manual in (
        ("scgid", "src/scgid.8"),
        ("scgi-request", "src/scgi-request.1"),
        ("scgi-http", "src/scgi-http.1"),
    ):
        usage = subprocess.check_output([program(name), "--help"]).decode()
        text = (ROOT / manual).read_text().replace("\\-", "-")
        options = set(re.findall(r"--([a-z][a-z-]+)", usage))
        assert options, usage
        for option in options:
            assert "-" + option in text, "%s: --%s" % (manual, option)


def test_items_are_covered():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/items.py")], stdout=subprocess.PIPE
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]


def test_sample_configuration_is_valid(tmp_path):
    """With the users of this machine in place of those it names."""
    user = pwd.getpwuid(os.getuid()).pw_name
    text = (ROOT / "conf/scgid.conf").read_text()
    if os.getuid() == 0:
        text = re.sub(r"(?m)^(user\s*=).*$", r"\1 nobody", text)
    else:
        text = re.sub(r"(?m)^(user\s*=).*$", r"\1 " + user, text)
        text = re.sub(r"(?m)^listen_(owner|group)\s*=.*$", "", text)
    path = tmp_path / "scgid.conf"
    path.write_text(text)
    done = subprocess.run(
        [program("scgid"), "-t", "-c", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()


def test_files_are_small():
    """A second look at 500 lines, a cut at 600."""
    long = [
        "%s: %d" % (p.relative_to(ROOT), len(p.read_text().splitlines()))
        for p in sources()
        if len(p.read_text().splitlines()) > 600
    ]
    assert not long, long
