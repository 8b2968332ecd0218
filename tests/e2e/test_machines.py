"""Several machines: network namespaces, one front end and three of scgid.

One machine is cut off and one is killed under load.  Every GET is answered; no
POST runs twice.
"""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from conftest import STANDARD_POOL
from harness.client import wait_for
from harness.daemon import POOL_USER, program

ROOT = pathlib.Path(__file__).resolve().parents[2]
IP = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
MACHINES = 3

# Asks as fast as it can until it is told to end; says what came of it.
CLIENT = r"""
import http.client, json, os, sys, threading, uuid
end = sys.argv[1]
lock = threading.Lock()
results = []
def work(method):
    while not os.path.exists(end):
        name = uuid.uuid4().hex
        connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
        try:
            body = b"x" * 1000 if method == "POST" else None
            connection.request(method, "/cgi-bin/note.sh?" + name, body=body)
            answer = connection.getresponse()
            outcome = (answer.status, answer.read().decode("latin-1"))
        except Exception as error:
            outcome = (0, repr(error))
        connection.close()
        with lock:
            results.append((method, name, outcome[0], outcome[1]))
threads = [threading.Thread(target=work, args=(m,)) for m in ["GET"] * 4 + ["POST"] * 4]
for t in threads: t.start()
for t in threads: t.join()
json.dump(results, sys.stdout)
"""

NGINX = """
daemon off;
user %(user)s;
worker_processes 1;
pid %(dir)s/pid;
error_log %(dir)s/error.log info;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %(dir)s/t1;
	proxy_temp_path %(dir)s/t2;
	fastcgi_temp_path %(dir)s/t3;
	uwsgi_temp_path %(dir)s/t4;
	scgi_temp_path %(dir)s/t5;
	%(upstream)s
	server {
		listen 127.0.0.1:8080;
		location /cgi-bin/ { include scgi_params; scgi_pass scgid; }
	}
}
"""


def ip(*arguments):
    return subprocess.run(
        [IP] + list(arguments),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def has_allow():
    output = subprocess.check_output([program("scgid"), "--list-keys"]).decode()
    return "\tallow\t" in output


@pytest.fixture
def network():
    """Namespaces, each with a link to the first, as name and address."""
    if not IP:
        pytest.skip("no ip (iproute2)")
    if not has_allow():
        pytest.skip("this scgid has no key allow")
    names = ["scgid-%d-%d" % (os.getpid(), i) for i in range(MACHINES + 1)]
    made = []
    try:
        try:
            for name in names:
                ip("netns", "add", name)
                made.append(name)
        except subprocess.CalledProcessError as error:
            pytest.skip("no network namespaces: %s" % error.stderr.decode().strip())
        front = names[0]
        ip("-n", front, "link", "set", "lo", "up")
        for i, name in enumerate(names[1:], 1):
            ip(
                "-n",
                front,
                "link",
                "add",
                "to%d" % i,
                "type",
                "veth",
                "peer",
                "eth0",
                "netns",
                name,
            )
            ip("-n", front, "address", "add", "10.77.%d.1/24" % i, "dev", "to%d" % i)
            ip("-n", front, "link", "set", "to%d" % i, "up")
            ip("-n", name, "address", "add", "10.77.%d.2/24" % i, "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in made:
            subprocess.run([IP, "netns", "delete", name])


def upstream():
    """contrib/nginx/upstream.conf, with our addresses and less patience."""
    text = (ROOT / "contrib/nginx/upstream.conf").read_text()
    for i in range(1, MACHINES + 1):
        assert "server 10.0.0.1%d:4000" % i in text
        text = text.replace("server 10.0.0.1%d:4000" % i, "server 10.77.%d.2:4000" % i)
    assert "scgi_read_timeout 60s" in text
    return text.replace("scgi_read_timeout 60s", "scgi_read_timeout 3s")


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx")
def test_one_machine_cut_off_and_one_killed(network, start, place):
    notes = place / "notes"
    notes.mkdir()
    notes.chmod(0o1777)
    machines = []
    for i, name in enumerate(network[1:], 1):
        pool = dict(
            STANDARD_POOL,
            listen=["10.77.%d.2:4000" % i, "{dir}/www.sock"],
            allow=["10.77.%d.1" % i, POOL_USER, "root"],
        )
        one = start(
            {"www": (pool, {"/cgi-bin": {"root": "{cgi}"}})},
            prefix=[IP, "netns", "exec", name],
        )
        # The id is a file of its own for each run: two runs make two lines.
        # A length, so that an answer is whole with its last byte, and not only
        # with the end of a machine that is killed.
        one.script(
            "note.sh",
            "cat >/dev/null\necho %d >>%s/$REQUEST_METHOD-$QUERY_STRING\n"
            "printf 'Content-Type: text/plain\\nContent-Length: 10\\n\\nmachine %d\\n'"
            % (i, notes, i),
        )
        one.expect(text=".", optional=True)
        machines.append(one)
    shutil.copy("/etc/nginx/scgi_params", place / "scgi_params")
    (place / "nginx.conf").write_text(
        NGINX % {"user": POOL_USER, "dir": place, "upstream": upstream()}
    )
    inside = [IP, "netns", "exec", network[0]]
    nginx = subprocess.Popen(
        inside
        + [
            "nginx",
            "-e",
            str(place / "error.log"),
            "-p",
            str(place),
            "-c",
            str(place / "nginx.conf"),
        ]
    )
    client = None
    try:
        wait_for(
            lambda: (place / "pid").exists() and (place / "pid").read_text(),
            "nginx",
            10.0,
        )
        client = subprocess.Popen(
            inside + ["/usr/bin/python3", "-IS", "-c", CLIENT, str(place / "end")],
            stdout=subprocess.PIPE,
        )

        def seen():
            return collections.Counter(
                line
                for path in list(notes.iterdir())[-400:]
                for line in path.read_text().split()
            )

        def count():
            return len(os.listdir(notes))

        wait_for(
            lambda: len(seen()) == MACHINES, "every machine to take part", 20.0, 0.1
        )
        # Cut off: it runs, and nothing reaches it or leaves it.
        ip("-n", network[1], "link", "set", "eth0", "down")
        before = count()
        wait_for(lambda: count() > before + 100, "the others to go on", 30.0, 0.1)
        # The supervisor first; the others follow it, if they have not yet.
        for pid in [machines[1].pid] + list(machines[1].tree()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        before = count()
        wait_for(lambda: count() > before + 100, "the last to go on", 30.0, 0.1)
        # The first one comes back.
        ip("-n", network[1], "link", "set", "eth0", "up")
        mark = time.time()
        wait_for(
            lambda: any(
                p.stat().st_mtime > mark + 1 and "1" in p.read_text().split()
                for p in list(notes.iterdir())
            ),
            "the first to take part again",
            40.0,
            0.3,
        )
        (place / "end").touch()
        results = json.loads(client.communicate(timeout=60)[0])
    finally:
        (place / "end").touch()
        for process in (client, nginx):
            if process and process.poll() is None:
                process.terminate()
                process.wait(30)
        machines[1].process.wait(10)
        machines[1].kill()
        for one in machines:
            one.touched = False
    gets = [r for r in results if r[0] == "GET"]
    posts = [r for r in results if r[0] == "POST"]
    assert len(gets) > 50 and len(posts) > 50
    wrong = [r for r in gets if r[2] != 200 or not r[3].startswith("machine ")]
    assert not wrong, (len(wrong), wrong[:5])
    runs = {p.name: len(p.read_text().split()) for p in notes.iterdir()}
    twice = [name for name, n in runs.items() if name.startswith("POST-") and n > 1]
    assert not twice, twice
    # A POST that was answered has run; one that was lost is a visible failure.
    for _, name, status, text in posts:
        if status == 200:
            assert runs.get("POST-" + name) == 1
        else:
            assert status in (0, 502, 503, 504), (status, text)
    assert sum(1 for r in posts if r[2] == 200) > len(posts) * 0.5
    for one in (machines[0], machines[2]):
        one.stop()
