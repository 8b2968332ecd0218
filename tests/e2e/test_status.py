"""The status page: every form of it, what it counts, and who may be told."""

import html.parser
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import STANDARD_MAPS, STANDARD_POOL
from harness.client import wait_for
from harness.daemon import program, title
from harness.servers import Nginx

HEAD = "printf 'Content-Type: a/b\\n\\n'"
POOL = dict(STANDARD_POOL, status="/-/status")
PATH = "/-/status"


def make(**more):
    return {
        "www": (dict(POOL, **more), dict(STANDARD_MAPS, **{"/": {"root": "{cgi}"}}))
    }


@pytest.fixture
def one(shared):
    return shared.get("status", lambda: _make(make(), tcp=True))


def _make(pools, **options):
    from harness.daemon import Scgid

    return Scgid(pools, **options)


def read(one, query="json", **options):
    reply = one.request(PATH, query=query, **options)
    assert reply.status == 200 and not reply.broken, reply
    assert int(reply.header("Content-Length")) == len(reply.body)
    return reply


def numbers(one, **options):
    reply = read(one, **options)
    assert reply.header("Content-Type") == "application/json"
    return json.loads(reply.body)


def script(found, name):
    rows = [s for s in found["scripts"] if s["script"].endswith("/" + name)]
    return rows[0] if rows else None


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of the page."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_page_for_people(one, tcp):
    one.probe()
    reply = read(one, "", tcp=tcp)
    assert reply.header("Content-Type") == "text/html; charset=utf-8"
    assert reply.header("Cache-Control") == "no-store"
    assert "default-src 'none'" in reply.header("Content-Security-Policy")
    page = Page(reply.body.decode("ascii"))
    names = [tag for tag, _ in page.tags]
    assert "svg" in names and "rect" in names and "table" in names
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in page.tags
    assert any(a.get("name") == "viewport" for t, a in page.tags if t == "meta")
    # Nothing from elsewhere, and nothing that runs.
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    for _, attributes in page.tags:
        assert not [n for n in attributes if n.startswith("on") or n == "src"]
        assert attributes.get("href", "?").startswith("?")
    assert "url(" not in reply.body.decode() and "@import" not in reply.body.decode()
    assert "hello.sh" in page.text


def test_page_through_nginx(one, servers):
    location = "location /-/ { include scgi_params; scgi_pass unix:{socket}; }"
    page = servers(Nginx, one, location).get(PATH + "?json")
    assert page.status == 200 and json.loads(page.body)["pool"] == "www"


def test_off_unless_asked_for(scgid):
    """Without the key the path is like any other."""
    scgid.expect(reason="no-map")
    assert scgid.request("/status").status == 404


def test_exactly_that_path(one):
    """It wins over the map that covers it, and takes no other path."""
    one.script("-/status", "printf 'Content-Type: a/b\\n\\nfrom the map'")
    assert b"scgid" in read(one, "").body
    assert b"<svg" in read(one, "", REQUEST_URI="/x", DOCUMENT_URI=PATH).body
    assert one.request(PATH + "/more").body == b"from the map"
    one.expect(reason="script-not-found")
    assert one.request(PATH + "x").status == 404


def test_head_and_a_body(one):
    reply = one.request(PATH, method="HEAD")
    assert reply.status == 200 and reply.body == b""
    assert int(reply.header("Content-Length")) > 1000
    for size in (1, 100, 1000000):
        assert read(one, "json", body=b"x" * size, method="POST").body


def test_access_log_line(one):
    reply = read(one, "text")
    entry = one.entry(reply)
    assert entry["status"] == 200 and entry["reason"] == "none"
    assert entry["out"] == len(reply.body) and entry["exit"] == "none"


def test_counters(one):
    one.script("-count.sh", "printf 'Content-Type: a/b\\n\\n1234567'")
    one.script("-bad.sh", "exit 3")
    before = numbers(one)
    one.request("/-count.sh")
    one.request("/-count.sh", b"12345", method="POST")
    one.expect(reason="exit-status")
    one.expect(reason="script-not-found")
    assert one.request("/-bad.sh").status == 502
    assert one.request("/-none.sh").status == 404
    wait_for(lambda: numbers(one)["requests"] == before["requests"] + 4, "four more")
    now = numbers(one)
    assert now["failed"] == before["failed"] + 2
    for reason in ("exit-status", "script-not-found"):
        assert now["failures"][reason] == before["failures"].get(reason, 0) + 1
    assert now["received_bytes"] == before["received_bytes"] + 5
    assert now["sent_bytes"] >= before["sent_bytes"] + 14
    assert sum(b["requests"] for b in now["latency"]) == now["requests"]
    assert now["status_pages"] > before["status_pages"]
    counted = script(now, "-count.sh")
    assert counted["requests"] == 2 and counted["failed"] == 0
    assert counted["user_seconds"] + counted["system_seconds"] > 0
    assert counted["peak_memory_kib"] > 0
    assert script(now, "-bad.sh")["failures"] == {"exit-status": 1}


def test_open_request(start):
    """Told while every worker is busy: the page needs none."""
    one = start(make(workers=1, idle_timeout="20s"))
    one.script("-hold.sh", "printf 'Content-Type: a/b\\n\\nhold'\nread x <fifo")
    os.mkfifo(str(one.cgi / "fifo"), 0o666)
    os.chmod(str(one.cgi / "fifo"), 0o666)
    with one.start("/-hold.sh", b"abc", method="POST") as first:
        with one.start("/cgi-bin/hello.sh") as second:

            def find():
                found = numbers(one)
                rows = found["open_requests"]
                if len(rows) == 2 and rows[0]["pid"] and rows[0]["sent_bytes"] == 4:
                    return found
                return None

            found = wait_for(find, "both requests")
            hold, queued = found["open_requests"]
            assert hold["id"] == first.id and queued["id"] == second.id
            assert hold["state"] == "responding" and queued["state"] == "queued"
            assert hold["script"].endswith("/-hold.sh") and queued["script"] == ""
            assert hold["client"] == "192.0.2.7" and hold["method"] == "POST"
            assert queued["path"] == "/cgi-bin/hello.sh"
            assert hold["received_bytes"] == 3 and hold["age_seconds"] > 0
            assert hold["pid"] in one.workers()
            assert found["waiting"] == 1 and found["workers"] == 1
            assert found["workers_max"] == 1 and found["open"] == 3
            page = Page(read(one, "").body.decode())
            assert str(hold["pid"]) in page.text and "-hold.sh" in page.text
            with open(str(one.cgi / "fifo"), "w") as fifo:
                fifo.write("\n")
            assert second.read().status == 200
        assert first.read().body == b"hold"


def test_sorted_scripts(one):
    one.script(
        "-busy.sh",
        "printf 'Content-Type: a/b\\n\\n'\ni=0\n"
        "while [ $i -lt 60000 ]; do i=$((i+1)); done",
    )
    one.request("/-busy.sh")
    wait_for(lambda: script(numbers(one), "-busy.sh"), "the script")

    def names(query):
        return [
            s["script"]
            for s in json.loads(read(one, "json&sort=" + query).body)["scripts"]
        ]

    assert names("cpu")[0].endswith("-busy.sh")
    assert names("requests")[0].endswith("hello.sh")
    assert sorted(names("memory")) == sorted(names("failures"))


HOSTILE = '<i>"\\x & é\n.sh'


def test_hostile_names(one):
    """A script's name is text in every form."""
    one.script("bad name", "")
    (one.cgi / "bad name").rename(one.cgi / HOSTILE)
    one.script("x", "printf 'Content-Type: a/b\\n\\n'")
    (one.cgi / "x").rename(one.cgi / HOSTILE)
    path = "/%3Ci%3E%22%5Cx%20%26%20%C3%A9%0A.sh"
    reply = one.request("/" + HOSTILE, REQUEST_URI=path)
    assert reply.status == 200, reply
    wait_for(lambda: any("<i>" in s["script"] for s in numbers(one)["scripts"]), "it")
    rows = [s["script"] for s in numbers(one)["scripts"] if "<i>" in s["script"]]
    assert rows[0].encode("latin-1").decode().endswith(HOSTILE)
    body = read(one, "").body.decode("ascii")
    assert "<i>" not in body and "i" not in [t for t, _ in Page(body).tags]
    assert '<i>"' in Page(body).text
    metrics = read(one, "openmetrics").body.decode("ascii")
    assert r'/<i>\"\\x & \\xc3\\xa9\n.sh"}' in metrics
    assert r"\x0a.sh" in read(one, "text").body.decode("ascii")


def metrics(one):
    reply = read(one, "openmetrics")
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert reply.header("Content-Type") == kind
    return reply.body.decode("ascii")


SAMPLE = re.compile(
    r'^(scgid_[a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)+)\} ([0-9.]+)$'
)


def test_openmetrics(one):
    """The grammar, and that it tells what the JSON tells."""
    lines = metrics(one).split("\n")
    assert lines[-2:] == ["# EOF", ""]
    values = {}
    family, seen = None, []
    for line in lines[:-2]:
        if line.startswith("# "):
            name = line.split()[2]
            if name != family:
                assert name not in seen, "%s stands twice" % name
                family = name
                seen.append(name)
            continue
        found = SAMPLE.match(line)
        assert found, line
        assert found.group(1).startswith(family), line
        assert line not in values
        values[found.group(1), found.group(2)] = float(found.group(3))
    now = numbers(one)
    count = values["scgid_request_duration_seconds_count", 'pool="www"']
    assert count == now["requests"]
    assert (
        values["scgid_request_duration_seconds_bucket", 'pool="www",le="+Inf"'] == count
    )
    buckets = [v for (n, l), v in values.items() if n.endswith("_bucket")]
    assert len(buckets) == 17 and buckets == sorted(buckets)
    for name, value in now["failures"].items():
        assert values["scgid_failures_total", 'pool="www",reason="%s"' % name] == value


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="no promtool (Debian: prometheus)"
)
def test_promtool(forks, place):
    forks.probe()
    fork(forks, "hello.sh")
    text = metrics(forks)
    assert "scgid_fork_server_memory_bytes" in text
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0 and not done.stdout, done.stdout.decode()
    # Its OpenMetrics parser is used for a backfill, which wants timestamps.
    stamped = re.sub(r"(?m)^(scgid.*)$", r"\1 1700000000", text)
    (place / "metrics").write_text(stamped)
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
        + [str(place / "metrics"), str(place / "blocks")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()


def test_several_gateways(start):
    """Any of them answers for all; a killed one does not take its totals along."""
    one = start(make(gateways=2, workers=4))
    done = 1 + sum(one.request("/cgi-bin/hello.sh").status == 200 for _ in range(40))
    answered = set()

    def all_of_them():
        found = numbers(one)
        answered.add(found["gateway"])
        assert found["gateways_counted"] == 2 and found["workers_max"] == 4
        return found["requests"] == done and len(answered) == 2

    wait_for(all_of_them, "both gateways to count %d" % done)
    assert "lists of open requests" in read(one, "").body.decode()
    one.expect(text="gateway www was killed")
    one.check_access()  # a line comes after its response
    gateways = one.roles("gateway www")
    os.kill(gateways[0], signal.SIGKILL)
    wait_for(
        lambda: len(one.roles("gateway www")) == 2
        and gateways[0] not in one.roles("gateway www"),
        "the gateway to come back",
    )
    wait_for(lambda: not [w for _, w in one.tree().values() if w == "Z"], "reaped")
    one.baseline = one.settled()
    assert numbers(one)["requests"] >= done


def reload(one):
    one.process.send_signal(signal.SIGHUP)
    one.wait_line(r"supervisor\[\d+\]: reloaded$")
    one.mark = len(one.read_log())


def test_counters_go_on_after_a_reload(start):
    """Also those of a request that began before it; not with more gateways."""
    one = start(make(workers=4))
    place = one.writable("marks")
    one.script("hold.sh", "while [ ! -e %s/go ]; do sleep 0.02; done\n" % place + HEAD)
    for _ in range(5):
        one.request("/cgi-bin/hello.sh")
    with one.start("/cgi-bin/hold.sh") as held:
        wait_for(lambda: numbers(one)["workers"] == 1, "the worker")
        before = numbers(one)
        assert before["requests"] == 6
        reload(one)
        # What the old one still does is not the new one's.
        wait_for(lambda: numbers(one)["workers"] == 0, "the new gateway's answer")
        found = numbers(one)
        assert found["requests"] == 6 and found["started"] == before["started"]
        assert found["workers_max"] == 4
        (place / "go").touch()
        assert held.read().status == 200
    wait_for(lambda: numbers(one)["requests"] == 7, "the old gateway's request")
    wait_for(lambda: len(one.roles("gateway www")) == 1, "the old gateway to end")
    found = numbers(one)
    assert (found["workers"], found["workers_max"]) == (0, 4)
    text = one.configuration.read_text()
    one.configuration.write_text(text.replace("[www]", "[www]\ngateways = 2"))
    reload(one)
    wait_for(lambda: numbers(one)["requests"] == 0, "the new gateways' answer")
    wait_for(lambda: len(one.roles("gateway www")) == 2, "the old gateway to end")
    one.baseline = one.settled()


def maps(pid):
    with open("/proc/%d/maps" % pid) as stream:
        return stream.read()


@pytest.mark.root  # nobody else sees the memory of a role
def test_only_gateways_see_the_counters(one):
    """Root maps no memory that a child can write; nor does a launcher."""
    for pid, (what, _) in one.tree().items():
        has = "scgid-shared" in maps(pid)
        assert has == (what == "scgid: gateway www"), what
        held = []
        for name in os.listdir("/proc/%d/fd" % pid):
            held.append(os.readlink("/proc/%d/fd/%s" % (pid, name)))
        has = any("scgid-shared" in link for link in held)
        assert has == (what == "scgid: supervisor"), what


# Fork servers

FORK_MAPS = {"/fork": {"root": "{cgi}", "start": "fork-server", "idle": "2s"}}
MAIN = """#include <stdio.h>
int main(void){puts("Content-Type: text/plain\\n\\nprogram"); return %d;}
"""


@pytest.fixture
def forks(shared):
    maps = dict(STANDARD_MAPS, **FORK_MAPS)
    return shared.get("forks", lambda: _make({"www": (POOL, maps)}))


def fork(one, name):
    """Ask until a fork server answers."""

    def is_forked():
        return one.entry(one.request("/fork/" + name))["start"] == "fork-server"

    wait_for(is_forked, "a fork server")


def server(found, name, group="fork_servers"):
    rows = [s for s in found[group] if s["program"].endswith("/" + name)]
    return rows[0] if rows else None


def test_fork_server_that_serves(forks):
    forks.compiled("-counts", MAIN % 0)
    before = numbers(forks)["worker_runs"]
    fork(forks, "-counts")
    fork(forks, "-counts")
    row = wait_for(
        lambda: [
            s for s in [server(numbers(forks), "-counts")] if s and s["requests"] > 1
        ],
        "its requests to be told",
    )[0]
    assert row["start"] == "fork-server" and row["memory_kib"] > 100
    assert (
        title(row["pid"]) == "fork server: %s" % (forks.cgi / "-counts")
        and 0 < row["age_seconds"] < 60
    )
    found = numbers(forks)
    assert found["worker_runs"]["fork-server"] >= before["fork-server"] + 2
    assert found["worker_runs"]["exec"] > before["exec"]
    assert found["fork_servers_started"] > 0
    page = Page(read(forks, "").body.decode()).text
    assert "Fork servers" in page and "/-counts" in page and str(row["pid"]) in page
    assert "/-counts" in read(forks, "text").body.decode().split("FORK SERVER\n")[1]
    lines = metrics(forks).splitlines()
    for name in ("s", "_requests", "_memory_bytes"):
        start = 'scgid_fork_server%s{pool="www",program="%s",start="fork-server"} ' % (
            name,
            forks.cgi / "-counts",
        )
        values = [float(l.split()[-1]) for l in lines if l.startswith(start)]
        assert len(values) == 1 and values[0] > 0, name
    assert any(
        l.startswith('scgid_worker_runs_total{pool="www",start="exec"} ') for l in lines
    )


def test_fork_server_that_was_replaced(forks):
    forks.compiled("-changes", MAIN % 0)
    fork(forks, "-changes")
    first = server(numbers(forks), "-changes")
    (forks.cgi / "-changes").unlink()
    forks.compiled("-changes", MAIN % 0)
    fork(forks, "-changes")
    found = numbers(forks)
    rows = [s for s in found["fork_servers_ended"] if s.get("pid") == first["pid"]]
    assert rows and server(found, "-changes")["pid"] != first["pid"]
    row = rows[0]
    assert row["what"] == "ended" and row["why"].endswith("/-changes has changed")
    assert row["requests"] >= 1 and row["ended_seconds_ago"] < 60
    for form in ("", "text"):
        assert "/-changes has changed" in read(forks, form).body.decode()


def test_fork_server_that_was_refused(forks):
    """Also with a name that is text in every form."""
    source = forks.cgi / "x.c"
    source.write_text(MAIN % 0)
    subprocess.run(
        ["cc", "-static", "-o", str(forks.cgi / HOSTILE), str(source)], check=True
    )
    forks.expect(
        text="no fork server for .*, which is served with exec: it is statically"
    )
    path = "/fork/%3Ci%3E%22%5Cx%20%26%20%C3%A9%0A.sh"
    before = numbers(forks)["fork_servers_refused"]
    for _ in range(2):
        reply = forks.request("/fork/" + HOSTILE, REQUEST_URI=path)
        assert reply.status == 200 and forks.entry(reply)["start"] == "exec"
    found = numbers(forks)
    assert found["fork_servers_refused"] == before + 1
    # Another may just have ended, for want of use.
    row = [r for r in found["fork_servers_ended"] if r["what"] == "refused"][0]
    assert row["why"] == "it is statically linked"
    assert '/<i>"\\x & ' in row["program"] and "pid" not in row
    body = read(forks, "").body.decode("ascii")
    assert "<i>" not in body and "it is statically linked" in body
    assert "it is statically linked" in read(forks, "text").body.decode("ascii")


def test_how_an_open_request_was_started(forks):
    forks.script("-sleep.sh", "printf 'Content-Type: a/b\\n\\nx'\nread x <fifo2")
    os.mkfifo(str(forks.cgi / "fifo2"), 0o666)
    os.chmod(str(forks.cgi / "fifo2"), 0o666)
    fork(forks, "hello.sh")
    with forks.start("/fork/-sleep.sh") as held:

        def row():
            rows = [r for r in numbers(forks)["open_requests"] if r["id"] == held.id]
            return rows[0] if rows and rows[0]["pid"] else None

        assert wait_for(row, "its pid")["start"] == "fork-server"
        page = Page(read(forks, "").body.decode()).text
        assert "fork-server" in page.split("How long")[0]
        with open(str(forks.cgi / "fifo2"), "w") as fifo:
            fifo.write("\n")
        assert held.read().status == 200


def test_no_fork_servers_are_not_spoken_of(one):
    assert "Fork servers" not in read(one, "").body.decode()
    found = numbers(one)
    assert found["fork_servers"] == [] and found["fork_servers_ended"] == []


def test_fork_servers_of_several_gateways(start):
    maps = dict(STANDARD_MAPS, **FORK_MAPS)
    one = start({"www": (dict(POOL, gateways=2), maps)})
    assert (
        "of fork servers and of scripts are of this one" in read(one, "").body.decode()
    )


# scgid --status


def show(one, *arguments, target=None):
    return subprocess.run(
        [program("scgid"), "--status", target or one.sockets["www"] + "#" + PATH]
        + list(arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=20,
    )


@pytest.mark.parametrize("form", ["%(path)s", "unix:%(path)s", "127.0.0.1:%(port)d"])
def test_in_a_terminal(one, form):
    where = form % {"path": one.sockets["www"], "port": one.ports["www"]}
    done = show(one, target=where + "#" + PATH)
    text = done.stdout.decode("ascii")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert text.startswith("scgid pool www, gateway 1 of 1, up ")
    assert "hello.sh" in text and "UP TO" in text


def test_in_a_terminal_without_a_page(one, place):
    one.expect(reason="script-not-found")
    done = show(one, target=one.sockets["www"])
    assert done.returncode == 1 and b"no status page at /status" in done.stderr
    done = show(one, target=str(place / "none.sock"))
    assert done.returncode == 1 and b"cannot connect" in done.stderr
    # A page that is not text is not ours, and not shown.
    one.script("-html.sh", "printf 'Content-Type: text/html\\n\\n<i>'")
    done = show(one, target=one.sockets["www"] + "#/-html.sh")
    assert done.returncode == 1 and b"status 200" in done.stderr
    assert done.stdout == b""
    for wrong in ("nothing", one.sockets["www"] + "#status"):
        assert show(one, target=wrong).returncode == 2
    done = subprocess.run([program("scgid"), "--watch"], stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"--watch goes with --status" in done.stderr


def test_what_is_printed_has_no_escapes(one):
    """Whoever answers, the terminal is not his."""
    one.script("-esc.sh", "printf 'Content-Type: text/plain\\n\\na\\033[2Jb\\r\\n'")
    done = show(one, target=one.sockets["www"] + "#/-esc.sh")
    assert done.returncode == 0 and done.stdout == b"a?[2Jb?\n"


def test_watch_until_interrupted(one):
    watcher = subprocess.Popen(
        [program("scgid"), "--status", one.sockets["www"] + "#" + PATH, "--watch"],
        stdout=subprocess.PIPE,
    )
    try:
        heads = 0
        while heads < 2:
            line = watcher.stdout.readline()
            assert line, "it ended by itself"
            heads += line.startswith(b"scgid pool www")
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=10)
        assert watcher.returncode == 0
    finally:
        watcher.kill()
        watcher.wait()
