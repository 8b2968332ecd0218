"""tests/bench: the load generator tells what it saw, and nothing better; what is
computed of that, drawn and published; the soak."""

import contextlib
import json
import shutil
import socket
import struct
import subprocess
import threading
import xml.etree.ElementTree

import pytest

from harness.bench import BENCH, load_program  # the way to those of tests/bench
from harness.daemon import POOL_USER, build_directory, reachable_build, user_ids

import common
import flatness
import mixture
import peers
import plots
import pressure
import publish
import ratios
import rounds
import spare

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"


def load(target, uri, *options):
    command = [str(build_directory() / "tests" / "bench" / "load")]
    command += [str(option) for option in options] + [target, uri]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE).stdout)


def failures(result):
    return {name: count for name, count in result["failures"].items() if count}


@contextlib.contextmanager
def server(talk):
    """Calls talk(connection) for each connection; yields load's target."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    connections = []

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=guarded, args=(connection,)).start()

    def guarded(connection):
        with contextlib.suppress(OSError):
            talk(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in connections:
            connection.close()


def serve(*answers):
    """One answer for each request of a connection, then its end."""

    def talk(connection):
        for answer in answers:
            if not connection.recv(65536):
                break
            connection.sendall(answer)
        connection.close()

    return talk


def reset(connection):
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_good_over_scgi(scgid):
    """Not more requests than asked for, and each of them is in the log."""
    result = load("unix:" + scgid.address("www"), "/-probe", "-n", 30, "-c", 3)
    assert (result["asked"], result["good"], result["errors"]) == (30, 30, 0)
    assert result["bytes"] == 6 and result["statuses"] == {"200": 30}
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]


def test_status_is_an_error(scgid):
    result = load("unix:" + scgid.address("www"), "/cgi-bin/none", "-n", 5)
    assert (result["good"], result["errors"]) == (0, 5)
    assert result["statuses"] == {"404": 5} and failures(result) == {}
    scgid.expect(reason="script-not-found")


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED])
def test_connections_are_kept(answer):
    """And one that the server closes meanwhile is no error: ask again."""
    with server(serve(answer, answer, answer)) as target:
        result = load(target, "/", "-n", 10, "-c", 1)
    assert (result["good"], result["errors"]) == (10, 0), result


@pytest.mark.parametrize(
    "talk, name",
    [
        (reset, "reset"),
        (serve(WHOLE[:-1]), "cut"),
        (serve(CHUNKED[:-2]), "cut"),
        (serve(b""), "cut"),
        (serve(WHOLE + b"more"), "garbled"),
        (lambda connection: None, "timeout"),
    ],
)
def test_broken_answers(talk, name):
    with server(talk) as target:
        result = load(target, "/", "-n", 3, "-c", 3, "-t", 0.3)
    assert (result["good"], failures(result)) == (0, {name: 3})


def test_other_length_is_an_error():
    other = WHOLE.replace(b"2\r\n\r\nok", b"3\r\n\r\nyes")
    with server(serve(WHOLE, other, WHOLE)) as target:
        result = load(target, "/", "-n", 3, "-c", 1)
    assert (result["good"], failures(result)) == (2, {"odd length": 1})


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = load("http://127.0.0.1:%d" % port, "/", "-n", 3, "-c", 3)
    assert (result["good"], failures(result)) == (0, {"refused": 3})


def test_open_loop_keeps_its_rate():
    """Whatever comes back, and what waits is counted from when it was due."""
    with server(lambda connection: None) as target:
        silent = load(target, "/", "-r", 100, "-d", 0.5, "-c", 100, "-t", 0.3)
        few = load(target, "/", "-r", 100, "-d", 0.5, "-c", 10, "-t", 1, "-n", 50)
    assert (silent["asked"], failures(silent)) == (50, {"timeout": 50})
    assert few["failures"]["unsent"] == 40


def test_what_does_not_count():
    """The first second is asked for, and not told of."""
    with server(serve(*[WHOLE] * 100)) as target:
        result = load(target, "/", "-r", 50, "-d", 0.6, "-w", 0.2, "-c", 1)
    assert (result["asked"], result["good"], result["errors"]) == (20, 20, 0)
    assert abs(result["seconds"] - 0.4) < 0.01 and 40 < result["rate"] <= 60


# What is computed


def rows_of(key, values):
    """{contestant: row} of {contestant: values of the rounds}."""
    return {
        name: rounds.row_of({n: {key: v} for n, v in enumerate(all_of)}, None)
        for name, all_of in values.items()
    }


def test_targets():
    """Best is who has the best median, of those that are meant; a ratio is the
    median of those of the rounds; what is not met is said."""
    rates = {
        "scgid": (120, 130, 150),
        "fcgiwrap": (90, 100, 110),
        "uWSGI": (50, 200, 60),
        "Apache mod_cgid": (200, 200, 200),
    }
    rows = rows_of("rate", rates) | {"uWSGI, SCGI": {"failed": "it"}}
    found = {row["name"]: row for row in ratios.targets_of({"rates": {"C": rows}})}
    nginx = found["exec : best peer behind the same nginx"]
    assert (nginx["against"], nginx["is"]) == ("fcgiwrap", pytest.approx(120 / 90))
    assert nginx["met"] and ratios.verdict_of(nginx) == "met"
    direct = found["exec : best peer that needs no second hop"]
    assert direct["is"] == pytest.approx(0.65) and not direct["met"]
    assert set(found) == {nginx["name"], direct["name"]}


def test_overload_targets():
    """Behind nginx and alone, each with its own verdict."""
    tails = {"scgid": (2, 4, 5), "scgid, alone": (1, 9, 2), "fcgiwrap": (1, 1, 1)}
    rows = rows_of("modest_tail", tails)
    found = ratios.targets_of({"overload": {"overload": rows}})
    verdicts = {row["of"]: row["met"] for row in found if "p99" in row["name"]}
    assert verdicts == {"exec alone": True, "exec behind nginx": False}


def test_what_must_never_be():
    """Not even in one round."""
    rows = rows_of("hangs", {"scgid": (0, 0, 1), "scgid, alone": (0, 0, 0)})
    found = ratios.targets_of({"overload": {"overload": rows}})
    verdicts = {row["of"]: row["met"] for row in found if "without an" in row["name"]}
    assert verdicts == {"exec alone": True, "exec behind nginx": False}


def test_no_good_answer_is_a_failure():
    load_of = {"good": 99, "errors": 1, "failures": {"cut": 1}, "statuses": {}}
    rounds.demand_good(load_of)
    for good, errors in ((98, 2), (0, 0), (0, 5)):
        with pytest.raises(rounds.Failed):
            rounds.demand_good(dict(load_of, good=good, errors=errors))


def test_transfer_targets():
    rows = rows_of("seconds", {"scgid": (2, 2), "uWSGI": (3, 1.8), "fcgiwrap": (9, 9)})
    found = ratios.targets_of({"transfers": {ratios.BIG: rows}})
    assert [row["met"] for row in found] == [True, True, None]
    assert found[0]["is"] == pytest.approx(1.2)


def test_rounds_that_failed_are_in_no_ratio():
    """Each round is compared with itself, whoever else failed in one."""
    other = rounds.row_of({0: {"rate": 10}, 2: {"rate": 40}}, "it did, once")
    rows = rows_of("rate", {"scgid": (20, 1000, 80)}) | {"uWSGI": other}
    assert ratios.ratio_of(rows, "scgid", "uWSGI", "rate")["ratio"] == 2


def test_published_figures_are_those_of_the_file():
    figures = json.loads(publish.JSON.read_text())
    readme = publish.README.read_text()
    assert publish.in_readme(figures, readme) == readme
    page = (publish.FIGURES / "README.md").read_text()
    assert page == publish.targets_page(figures)


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="no gnuplot")
def test_plots(tmp_path):
    """Each that README shows is drawn of the file, and has all contestants."""
    paths = plots.draw_all(json.loads(publish.JSON.read_text()), tmp_path)
    assert {path.name for path in paths} == {
        path.name for path in publish.FIGURES.glob("*.svg")
    }
    for path in paths:
        assert f"tests/bench/figures/{path.name}" in publish.README.read_text()
        words = "".join(xml.etree.ElementTree.parse(path).getroot().itertext())
        assert all(name in words for name in plots.NAMES), path


# What is measured


@pytest.mark.root
@pytest.mark.parametrize("place_mode, file_mode", [(0o700, 0o755), (0o755, 0o700)])
def test_private_build_is_copied(place, place_mode, file_mode):
    """Or the pools' user could not read preload.so, and exec would be measured."""
    build = place / "closed" / "build"
    (build / "forkserver").mkdir(parents=True)
    for name in ("scgid", "scgi-request", "forkserver/preload.so"):
        (build / name).write_text("x")
        (build / name).chmod(0o755)
    assert common.reachable(build) == build
    build.parent.chmod(place_mode)
    (build / "forkserver" / "preload.so").chmod(file_mode)
    copy = common.reachable(build)
    assert copy != build
    for name in ("scgid", "scgi-request", "forkserver/preload.so"):
        user, group = user_ids(POOL_USER)
        options = {"user": user, "group": group, "extra_groups": [], "cwd": "/"}
        assert subprocess.check_output(["cat", copy / name], **options) == b"x"


@pytest.fixture(scope="module")
def site():
    if not build_directory("SCGID_BUILD_RELEASE"):
        pytest.skip("no release build")
    tools = build_directory("SCGID_BUILD_RELEASE") / "tests" / "bench"
    one = peers.Site(reachable_build("SCGID_BUILD_RELEASE"), tools, quick=True)
    yield one
    one.close()


def test_overload(site):
    """Each of ours behind nginx and alone; what is too much is told at once."""
    names = ("scgid", "fork-server")
    site.start_peers([p for p in peers.all_peers(site.programs) if p.name in names])
    workloads = pressure.overload_workloads(site, site.peers, 0.3)
    rows = rounds.interleave("overload", workloads, 1)["overload"]
    site.stop_peers()
    ours = [peer.title for peer in site.peers]
    assert list(rows) == ours + [f"{title}, alone" for title in ours]
    for name, row in rows.items():
        assert "failed" not in row and row["hangs"]["median"] == 0, name
        assert row["other_share"]["median"] == 0, name
        assert row["peak"]["median"] > 0, name


def test_spare(site):
    part = rounds.interleave("spare", spare.workloads(site, 0.1), 1)
    site.stop_peers()
    assert set(part) == {
        f"{program}, {clients}"
        for program in ("C", "shell")
        for clients in ("1 client", "4 clients")
    }
    for rows in part.values():
        assert list(rows) == ["spare = 0", "spare = 2", "spare = 8"]
        assert all(row["p99_ms"]["median"] > 0 for row in rows.values())


def test_soak(site, capsys):
    """A short one: nothing is wrong or left, every kind of client was there, and
    a page is the same, byte by byte, with exec and with a fork server."""
    soak = load_program("soak")
    one = soak.Soak(site, 8)
    for uri, page in one.pages.items():
        assert one.ask("fork", uri) == (200, page), uri
    assert one.run() == []
    assert one.wrong() == {}
    assert all(client.asked for client in one.clients), one.clients
    forkers = [o for o in one.samples[0]["ours"].values() if o[0] == "fork server"]
    assert len(forkers) >= 4
    soak.print_minutes(one.samples)
    assert "supervisors" in capsys.readouterr().out
    site.stop_peers()


def test_soak_notices_wrong_answers():
    client = mixture.Client(None)
    client.expect("/page", (200, b"page"), (200, b"pagf"))
    client.expect("/page", (200, None), (502, b""))
    client.expect("/page", (200, b"page"), (200, b"page"))
    assert client.asked == 3 and sum(client.wrong.values()) == 2


def samples_of(*numbers):
    """Of two gateways, the second made anew for the second half, and zombies."""
    return [
        {
            "seconds": n,
            "scripts": 2,
            "zombies": zombies,
            "ours": {
                1: ("gateway", steady, 50),
                2 + (n >= len(numbers) / 2): ("gateway", sawtooth, 50),
            },
        }
        for n, (steady, sawtooth, zombies) in enumerate(numbers)
    ]


def test_flatness():
    """Growth is named: of all, or of one that was made anew meanwhile."""
    flat = [(3000 + n % 7, 3000 - n % 5, n % 2) for n in range(60)]
    assert flatness.judge(samples_of(*flat)) == []
    grows = [(3000 + 100 * n, 3000, 0) for n in range(60)]
    found = flatness.judge(samples_of(*grows))
    assert [text.split(":")[0] for text in found] == ["gateway kib", "gateway 1 kib"]
    sawtooth = [(3000, 3000 + 100 * (n % 30), 0) for n in range(60)]
    found = flatness.judge(samples_of(*sawtooth))
    assert {text.split(":")[0] for text in found} == {"gateway 2 kib", "gateway 3 kib"}
    zombies = [(3000, 3000, n // 10) for n in range(60)]
    assert flatness.judge(samples_of(*zombies)) == ["zombies: 0 to 4"]


def test_left_behind():
    before, after = samples_of((3000, 3000, 0), (3000, 3000, 1))
    assert flatness.left_behind(before, after) == ["zombies: 0 to 1"]
