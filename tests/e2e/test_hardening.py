"""That the sandboxes of the units break no ordinary script: each is run as a
service without one, and again with all that its unit says (harness/sandbox.py)."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading

import pytest

from harness import client, sandbox
from harness.client import wait_for
from harness.daemon import build_directory, free_port, program, user_ids

BUILD = "SCGID_BUILD_RELEASE"  # sanitizers want what a sandbox forbids
PYTHON = "/usr/bin/python3"
UNITS = ["scgid.service", "scgid@.service"]
ALICE = 4711  # a user of the machine in the sandbox only
GIT = "/usr/lib/git-core/git-http-backend"
GITWEB = "/usr/share/gitweb/gitweb.cgi"
AWSTATS = "/usr/lib/cgi-bin/awstats.pl"
NODE = "/usr/bin/node"

MAPS = """
[POOL /git]
script = /usr/lib/git-core/git-http-backend
env.GIT_PROJECT_ROOT = /srv/git
env.GIT_HTTP_EXPORT_ALL = 1
[POOL /gitweb]
script = /usr/share/gitweb/gitweb.cgi
env.GITWEB_CONFIG = /srv/gitweb.conf
[POOL /stats]
script = /usr/lib/cgi-bin/awstats.pl
env.AWSTATS_ENABLE_CONFIG_DIR = /var/lib/stats
[POOL /php]
root = /srv/php
handler.php = /usr/bin/php-cgi
env.PHP_INI_SCAN_DIR = :/srv/php
[POOL /~alice]
root = /home/alice/cgi-bin
"""

MORE_POOLS = """
[setid]
listen = /run/scgid/setid.sock
user = games
no_new_privileges = no
[setid /]
root = /srv
"""

ALONE = """
[POOL]
listen = systemd
[POOL /cgi-bin]
root = /srv
allow_names = *.cgi
"""

HEAD = "printf 'Content-Type: text/plain\\n\\n'\n"
PYTHON_HEAD = "#!/usr/bin/python3\nprint('Content-Type: text/plain\\n', flush=True)\n"

SCRIPTS = {
    "shell": "#!/bin/sh\n"
    + HEAD
    + """
f=$(mktemp) && echo one >"$f" && tr a-z A-Z <"$f" && rm "$f"
echo xay | grep -oP '(?<=x)a(?=y)'
nice -n 5 echo nice
(sleep 0.01; echo child) & wait
id -un; umask; ulimit -c
cp -p /etc/passwd /var/lib/app/copy && stat -c %a /var/lib/app/copy
tar -C /etc -cf - passwd | tar -C /var/lib/app -xf - && echo tar
timeout 5 sort -R /etc/passwd | wc -l
""",
    "files": PYTHON_HEAD
    + """
import fcntl, mmap, os, shutil, sqlite3, tempfile
os.chdir('/var/lib/app')
one = sqlite3.connect('data')
one.execute('pragma journal_mode = wal')
one.execute('create table t (n)')
one.executemany('insert into t values (?)', [(n,) for n in range(100)])
one.commit()
print(one.execute('select sum(n) from t').fetchone())
for name in os.listdir('.'):
    if name.startswith('data'):
        os.unlink(name)
with open('file', 'wb+') as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    file.write(b'x' * 5000)
    file.flush()
    print(mmap.mmap(file.fileno(), 0)[:3], os.pread(file.fileno(), 2, 4990))
shutil.copy2('file', 'other')
os.symlink('file', 'link'), os.link('file', 'hard'), os.rename('other', 'moved')
os.chown('moved', os.getuid(), os.getgid()), os.setuid(os.getuid())
os.chmod('moved', 0o640), os.utime('moved', (1, 1))
print(sorted(os.listdir('.')), os.stat('moved').st_mtime)
with tempfile.TemporaryDirectory() as place:
    print(os.path.dirname(place))
for name in ('file', 'link', 'hard', 'moved'):
    os.unlink(name)
print(len(os.urandom(8)), os.path.exists('/etc/ssl'), os.statvfs('/').f_bsize > 0)
""",
    "processes": PYTHON_HEAD
    + """
import asyncio, multiprocessing, os, pty, signal, subprocess, threading, time

def square(n):
    return n * n

async def run():
    one = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)
    return await one.communicate(b'through cat')

if __name__ == '__main__':
    print(subprocess.run(['echo', 'child'], capture_output=True).stdout)
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(5)))
    print(asyncio.run(run()))
    signal.signal(signal.SIGALRM, lambda *_: print('alarm'))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    one = threading.Thread(target=print, args=('thread',))
    one.start(), one.join()
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    print(os.nice(3), os.getpriority(os.PRIO_PROCESS, 0), os.getloadavg() > (-1,))
    print(os.isatty(pty.openpty()[1]))
""",
    "net": PYTHON_HEAD
    + """
import os, socket
port = int(os.environ['QUERY_STRING'])
for family, *_, address in socket.getaddrinfo('127.0.0.1', port, 0, socket.SOCK_STREAM):
    with socket.create_connection(address) as one:
        one.sendall(b'MAIL from python\\r\\n')
        print(one.makefile().readline())
print(socket.gethostbyname('localhost'), len(socket.if_nameindex()) > 0)
left, right = socket.socketpair()
left.send(b'pair')
print(right.recv(9))
with socket.create_server(('127.0.0.1', 0)) as one:
    print(socket.create_connection(one.getsockname()) is not None)
""",
    "mail": "#!/bin/sh\n"
    + HEAD
    + 'printf "To: a@b\\nSubject: c\\n\\ntext\\n" | /usr/local/bin/sendmail -t\n',
    "form": """#!/usr/bin/perl -T
use strict;
use CGI;
my $q = CGI->new;
my $handle = $q->upload('file');
local $/;
my $data = <$handle>;
print $q->header('text/plain'), join '|', length $data, $q->param('a'), $q->url(-absolute => 1);
""",
    "node": "#!/usr/bin/node\n"
    "console.log('Content-Type: text/plain\\n');\n"
    "let n = 0; for (let i = 0; i < 1e6; i++) n += i % 7; console.log(n);\n"
    "require('child_process').exec('echo child', (e, out) => console.log(e, out));\n"
    "require('fs').promises.readFile('/etc/hostname').then(d => console.log(d.length));\n",
    # For scgid.service alone: scgid@.service says that it takes these away.
    "state": "#!/bin/sh\n" + HEAD + "ps -o pid= -p 1; wc -w </proc/loadavg; nproc\n",
    "setgid": "#!/bin/sh\n"
    + HEAD
    + "d=/var/lib/app/shared; mkdir -p $d && chmod 2775 $d; stat -c %a $d; rmdir $d\n",
    "setuid": "#!/bin/sh\n" + HEAD + "/srv/id -u\n",
}

PHP = """<?php
for ($n = 0, $i = 0; $i < 1000000; $i++) $n += $i % 7;
session_start();
echo $n, '|', opcache_get_status()['jit']['on'] ? 'jit' : 'no jit', '|',
    preg_replace('/(?<=x)a+/', 'b', 'xaaay'), '|', file_put_contents('/var/lib/app/php', 'php'),
    '|', trim(shell_exec('echo shell')), '|', strlen(session_id()) > 0, '|',
    date('Y', 0), '|', extension_loaded('Zend OPcache');
"""

# In place of a mail transfer agent: it talks to one on this machine.
SENDMAIL = """#!/usr/bin/perl
use IO::Socket::INET;
my $to = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{QUERY_STRING}) or die;
local $/;
my $text = <STDIN>;
print $to 'MAIL of ', length $text, "\\r\\n";
$/ = "\\n";
print scalar <$to>;
"""

# What a user may do that the sandboxes forbid; prints what worked.
FORBIDDEN = (
    PYTHON_HEAD
    + """
import ctypes, os
libc = ctypes.CDLL(None)
place = '/var/lib/app/forbidden'
os.mkdir(place)
try:
    os.chmod(place, 0o2775)
    print('set-group-id')
except PermissionError:
    pass
os.rmdir(place)
if os.path.exists('/proc/1'):
    print('processes')
if os.path.exists('/home/bob'):
    print('homes')
if libc.personality(0x40000) != -1:
    print('personality')
if libc.unshare(0x10000000) != -1:
    print('namespaces')
"""
)

LOG = (
    '192.0.2.%d - - [15/Jan/2024:10:%02d:00 +0000] "GET /p%d.html HTTP/1.1" 200 9 '
    '"-" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"\n'
)


def git(*arguments):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    for what in ("AUTHOR", "COMMITTER"):
        environment["GIT_%s_NAME" % what] = "a"
        environment["GIT_%s_EMAIL" % what] = "a@b"
        environment["GIT_%s_DATE" % what] = "2020-01-01T00:00:00Z"
    done = subprocess.run(
        ["git"] + list(arguments),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()


class Tree:
    """The files that lie over this machine's: scgid, installed, and a site."""

    def __init__(self, top, unit):
        self.top, self.unit = top, unit
        top.chmod(0o755)
        self.owner = ALICE if unit == "scgid@.service" else user_ids("www-data")[0]
        subprocess.run(
            ["cmake", "--install", build_directory(BUILD)],
            env=dict(os.environ, DESTDIR=str(top)),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        passwd = pathlib.Path("/etc/passwd").read_text()
        self.write(
            "etc/passwd", passwd + "alice:x:%d:65534::/home/alice:/bin/sh\n" % ALICE
        )
        self.write_configuration()
        self.write_scripts()
        self.make_site()

    def path(self, name):
        path = self.top / name
        for parent in reversed(path.relative_to(self.top).parents):
            if not (self.top / parent).exists():
                (self.top / parent).mkdir()
                (self.top / parent).chmod(0o755)
        return path

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.write_text(text)
        path.chmod(mode)
        return path

    def own(self, name, mode=0o755):
        """A directory for the scripts to write to, and all that is in it."""
        path = self.path(name)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        for top, _, names in os.walk(path):
            for one in [""] + names:
                os.chown(os.path.join(top, one), self.owner, 65534)
        return path

    def write_configuration(self):
        if self.unit == "scgid.service":
            # The sample, with a user that every machine has, and more.
            sample = next(self.top.rglob("examples/scgid.conf")).read_text()
            sample = sample.replace("user = cgi\n", "user = www-data\n")
            text = sample + MAPS.replace("POOL", "www") + MORE_POOLS
            self.write("usr/local/etc/scgid.conf", text)
        else:
            text = (ALONE + MAPS).replace("POOL", "alice")
            self.write("usr/local/etc/scgid/alice.conf", text)

    def write_scripts(self):
        for name, text in SCRIPTS.items():
            self.write("srv/%s.cgi" % name, text, 0o755)
        self.write("srv/forbidden.cgi", FORBIDDEN, 0o755)
        self.write("srv/php/page.php", PHP)
        ini = "opcache.jit = tracing\nopcache.jit_buffer_size = 8M\n"
        self.write("srv/php/jit.ini", ini)
        self.write("usr/local/bin/sendmail", SENDMAIL, 0o755)
        self.write("home/alice/cgi-bin/home.cgi", SCRIPTS["shell"], 0o755)
        self.write("home/bob/file", "")
        shutil.copy("/usr/bin/id", self.path("srv/id"))
        (self.top / "srv/id").chmod(0o4755)

    def make_site(self):
        self.own("home/alice")
        self.own("var/lib/app")
        self.write("var/lib/stats/log", "".join(LOG % (n, n, n) for n in range(50)))
        self.write(
            "var/lib/stats/awstats.test.conf",
            'LogFile="/var/lib/stats/log"\nLogType=W\nLogFormat=1\nSiteDomain="test"\n'
            'DirData="/var/lib/stats"\nDNSLookup=0\nAllowToUpdateStatsFromBrowser=1\n',
        )
        self.own("var/lib/stats")
        self.write("srv/gitweb.conf", '$projectroot = "/srv/git";\n')
        bare = str(self.path("srv/git/p.git"))
        git("init", "-q", "--bare", "-b", "main", bare)
        git("-C", bare, "config", "http.receivepack", "true")
        self.own("srv/git")


class Service:
    """The service of a unit, on a machine of its own, until stop()."""

    def __init__(self, tree, place, extra=(), bare=False, group=None):
        self.unit = tree.unit
        self.log = place / "log"
        over = place / "machine"
        over.mkdir()
        plan = {
            "directory": str(over),
            "files": str(tree.top),
            "instance": "alice",
            "bare": bare,
        }
        environment, listener = dict(os.environ), None
        if tree.unit == "scgid@.service":
            self.socket = str(place / "socket")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.socket)
            listener.listen(64)
            environment["LISTEN_FDS"] = "1"

        def prepare():
            if group:
                (group / "cgroup.procs").write_text("0")
            if listener:
                os.dup2(listener.fileno(), 3)

        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--uts", PYTHON, "-B", sandbox.__file__]
                + [str(tree.top / "usr/local/lib/systemd/system" / tree.unit)]
                + list(extra),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=prepare,
                pass_fds=(3,) if listener else (),
            )
        if listener:
            listener.close()
        self.pid = self.process.pid
        self.process.stdin.write(json.dumps(plan).encode())
        self.process.stdin.close()
        wait_for(self.is_ready, lambda_of(self.log), 20.0)

    def is_ready(self):
        text = self.log.read_text()
        if self.process.poll() is not None:
            raise AssertionError("it ended:\n" + text)
        return ": ready" in text

    def address(self, pool="www"):
        if self.unit == "scgid@.service":
            return self.socket
        return "/proc/%d/root/run/scgid/%s.sock" % (self.pid, pool)

    def request(self, path, body=b"", pool="www", **options):
        params = client.nginx_params(path, body=body, **options)
        with client.Connection(self.address(pool)) as connection:
            reply = connection.exchange(client.encode(params, body))
        assert not reply.broken, (reply, self.log.read_text())
        return reply

    def status(self, name):
        text = pathlib.Path("/proc/%d/status" % self.pid).read_text()
        return re.search(r"(?m)^%s:\s*(\S+)" % name, text).group(1)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log.read_text()
        text = self.log.read_text()
        wrong = [
            l for l in text.splitlines() if re.search(r"Z (warn|error) gateway", l)
        ]
        return wrong


def lambda_of(path):
    class Text:
        def __str__(self):
            return "ready:\n" + path.read_text()

    return Text()


@pytest.fixture(scope="module", autouse=True)
def can_be_done():
    if os.getuid() != 0:
        pytest.skip("needs root")
    if (
        os.uname().machine != "x86_64"
        or "overlay" not in open("/proc/filesystems").read()
    ):
        pytest.skip("needs overlays, on x86-64")
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze, which knows the sets of system calls")
    if subprocess.run(
        [PYTHON, "-c", "import seccomp"], stderr=subprocess.DEVNULL
    ).returncode:
        pytest.skip("no python3-seccomp")
    if subprocess.run(
        ["unshare", "--mount", "true"], stderr=subprocess.DEVNULL
    ).returncode:
        pytest.skip("no mount namespaces here")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """trees(UNIT): made once."""
    made = {}

    def get(unit):
        if unit not in made:
            made[unit] = Tree(tmp_path_factory.mktemp("tree"), unit)
        return made[unit]

    return get


@pytest.fixture
def services(tmp_path_factory):
    """services(tree, ...): a service that ends with the test."""
    live = []

    def start(tree, **options):
        place = tmp_path_factory.mktemp("service")
        live.append(Service(tree, place, **options))
        return live[-1]

    yield start
    for one in live:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(scope="module")
def mail_port():
    """A server that says what it was told."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                with one:
                    line = one.makefile("rb").readline()
                    one.sendall(b"250 " + line)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    + b"z" * 700000
    + b"\r\n--x--\r\n"
)


def ask_all(one, port):
    """name -> (status, body) of what both units promise to run."""
    found = {}

    def ask(name, path, body=b"", expect=b"", **options):
        reply = one.request(path, body, **options)
        assert reply.status == 200 and expect in reply.body, (
            name,
            reply,
            one.log.read_text(),
        )
        found[name] = reply.body

    ask("shell", "/cgi-bin/shell.cgi", expect=b"ONE\na\nnice\nchild\n")
    ask("files", "/cgi-bin/files.cgi", expect=b"(4950,)")
    ask("processes", "/cgi-bin/processes.cgi", expect=b"[0, 1, 4, 9, 16]")
    ask("net", "/cgi-bin/net.cgi", query=str(port), expect=b"250 MAIL from python")
    ask("mail", "/cgi-bin/mail.cgi", query=str(port), expect=b"250 MAIL of ")
    ask("home", "/~alice/home.cgi", expect=b"ONE\n")
    ask(
        "form",
        "/cgi-bin/form.cgi",
        FORM,
        method="POST",
        CONTENT_TYPE="multipart/form-data; boundary=x",
        expect=b"700000|b|/cgi-bin/form.cgi",
    )
    if os.path.exists("/usr/bin/php-cgi"):
        ask("php", "/php/page.php", expect=b"|xby|3|shell|1|1970|")
    if os.path.exists(NODE):
        ask("node", "/cgi-bin/node.cgi", expect=b"child")
    if os.path.exists(AWSTATS):
        ask("update", "/stats", query="config=test&configdir=/var/lib/stats&update=1")
        query = "config=test&configdir=/var/lib/stats&framename=mainright&year=2024&month=01"
        ask("stats", "/stats", query=query, expect=b"Statistics for")
    return found


def push_and_clone(one, place):
    """What a clone has, after a push, through the pool's git-http-backend."""
    port = free_port()
    front = subprocess.Popen(
        [program("scgi-http"), "-l", "127.0.0.1:%d" % port, "unix:" + one.address()],
        stdout=subprocess.PIPE,
    )
    try:
        front.stdout.readline()
        first, second = str(place / "first"), str(place / "second")
        git("init", "-q", "-b", "main", first)
        (place / "first/file").write_text("pushed\n" * 100000)
        git("-C", first, "add", "file")
        git("-C", first, "commit", "-q", "-m", "a file")
        url = "http://127.0.0.1:%d/git/p.git" % port
        git("-C", first, "push", "-q", url, "main")
        git("clone", "-q", url, second)
        return (place / "second/file").read_text()
    finally:
        front.kill()
        front.wait()
        front.stdout.close()


@contextlib.contextmanager
def control_group(unit):
    """The group that systemd would make, where none can be in the way."""
    top = pathlib.Path("/sys/fs/cgroup/cpu/system.slice")
    made = None
    if unit == "scgid.service" and os.access(top.parent, os.W_OK):
        with contextlib.suppress(OSError):
            top.mkdir()
            made = top / unit
            made.mkdir()
    yield made
    for path in sorted(top.rglob("cgroup.procs"), reverse=True) if made else ():
        for pid in path.read_text().split():
            (top.parent / "cgroup.procs").write_text(pid)
        path.parent.rmdir()


@pytest.mark.parametrize("unit", UNITS)
def test_every_directive_is_thought_of(trees, unit):
    """A new one is applied here, or stands in the list of those that no script
    can notice."""
    found = sandbox.directives(
        trees(unit).top / "usr/local/lib/systemd/system" / unit, "alice"
    )
    assert len(found) > 30
    assert set(found) <= sandbox.known()


@pytest.mark.parametrize("unit", UNITS)
def test_ordinary_scripts(trees, services, mail_port, tmp_path, unit):
    """They do the same within the sandbox as without it."""
    if unit == "scgid@.service" and not has_libsystemd():
        pytest.skip("built without libsystemd")
    tree = trees(unit)
    found = []
    for bare in (True, False):
        with control_group(unit) as group:
            one = services(tree, bare=bare, group=None if bare else group)
            answers = ask_all(one, mail_port)
            place = tmp_path / ("bare" if bare else "boxed")
            place.mkdir()
            answers["git"] = push_and_clone(one, place)
            if os.path.exists(GITWEB):
                reply = one.request("/gitweb", query="p=p.git;a=tree;hb=HEAD")
                assert reply.status == 200 and b"file" in reply.body, reply
                answers["gitweb"] = reply.body
            log = one.log.read_text()
            shares = "each pool has its share of the processors" in log
            assert shares == bool(group and not bare)
            assert one.stop() == []
            found.append(answers)
    without, within = found
    assert set(without) == set(within)
    for name, answer in without.items():
        assert within[name] == answer, name


def has_libsystemd():
    cache = (build_directory(BUILD) / "CMakeCache.txt").read_text()
    return bool(re.search(r"(?m)^pkgcfg_lib_SYSTEMD_systemd:\w+=/", cache))


ATTEMPTS = {"set-group-id", "processes", "homes", "personality", "namespaces"}


@pytest.mark.parametrize(
    "unit, works",
    [
        ("scgid.service", {"set-group-id", "processes", "homes"}),
        ("scgid@.service", set()),
    ],
)
def test_the_sandbox_is_there(trees, services, unit, works):
    """Or all of the above would say nothing."""
    if unit == "scgid@.service" and not has_libsystemd():
        pytest.skip("built without libsystemd")
    tree = trees(unit)
    bare = services(tree, bare=True)
    assert bare.status("Seccomp") == "0"
    reply = bare.request("/cgi-bin/forbidden.cgi")
    # In a chroot the kernel itself refuses a user namespace.
    assert set(reply.body.decode().split()) | {"namespaces"} == ATTEMPTS
    bare.stop()
    one = services(tree)
    assert one.status("Seccomp") == "2" and int(one.status("Seccomp_filters")) > 8
    capabilities = int(one.status("CapBnd"), 16)
    assert bin(capabilities).count("1") == (8 if unit == "scgid.service" else 0)
    assert one.status("NoNewPrivs") == ("0" if unit == "scgid.service" else "1")
    reply = one.request("/cgi-bin/forbidden.cgi")
    assert set(reply.body.decode().split()) == works
    modes = {}
    for line in pathlib.Path("/proc/%d/mountinfo" % one.pid).read_text().splitlines():
        words = line.split()
        modes[words[4]] = words[5].split(",")[0]
    assert modes["/proc/sys"] == modes["/sys"] == modes["/sys/fs/cgroup"] == "ro"
    if unit == "scgid.service":
        assert (modes["/"], modes["/usr"], modes["/etc"]) == ("rw", "ro", "ro")
    else:
        assert (modes["/"], modes["/srv"], modes["/home"]) == ("ro", "rw", "ro")
        assert modes["/home/alice"] == "rw"
    one.stop()


CASES = {
    "MemoryDenyWriteExecute=yes": ("/php/page.php", "www", b"|jit|"),
    "NoNewPrivileges=yes": ("/setuid.cgi", "setid", b"0\n"),
    "RestrictSUIDSGID=yes": ("/cgi-bin/setgid.cgi", "www", b"2775\n"),
    "ProtectProc=invisible": ("/cgi-bin/state.cgi", "www", b"1\n"),
    "ProcSubset=pid": ("/cgi-bin/state.cgi", "www", b"5\n"),
    "ProtectHome=yes": ("/~alice/home.cgi", "www", b"ONE\n"),
}


def outcome(one, path, pool, expected):
    if path.startswith("/php") and not os.path.exists("/usr/bin/php-cgi"):
        pytest.skip("no php-cgi")
    reply = one.request(path, pool=pool)
    return reply.status == 200 and expected in reply.body


def test_what_works_without_what_is_not_in_the_unit(trees, services):
    one = services(trees("scgid.service"))
    for case in CASES.values():
        assert outcome(one, *case), (case, one.log.read_text())
    one.stop()


@pytest.mark.parametrize("directive", CASES)
def test_what_is_not_in_the_unit(trees, services, directive):
    """scgid.service says why it does without: it would break these."""
    try:
        one = services(trees("scgid.service"), extra=[directive])
    except AssertionError as error:
        assert "the configuration is bad" in str(error)
        return
    assert not outcome(one, *CASES[directive]), one.log.read_text()
    one.stop()
