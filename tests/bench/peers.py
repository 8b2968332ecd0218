"""Scgid and its peers, started as tests/peers/ says, each behind its own port.

A peer is one daemon, or an nginx that all of those share that need one and a
daemon behind it.  All of them run at once and only one has a load at a time:
those that wait cost nothing.
"""

import contextlib
import grp
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time

import material
from common import (
    TOP,
    Service,
    accepts,
    free_port,
    known_keys,
    progress,
    run_json,
    raise_descriptor_limit,
    start_scgid,
    wait_for,
)
from processes import family_of, own_cpu_seconds, resident_kib, title
from ratios import alone
from rounds import Failed

TEMPLATES = TOP / "tests" / "peers"
APACHE_MODULES = pathlib.Path("/usr/lib/apache2/modules")
GIT_CORE = pathlib.Path("/usr/lib/git-core")
WORD = re.compile(r"@([A-Z0-9_]+)@")
DESCRIPTORS = 65536
# Nothing of the person who runs this; and no locale, as some peers pass theirs on
# to scripts, and perl starts slower with one.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def program(name):
    """Daemons are in sbin, which not everyone has in the path."""
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


class Peer:
    """One row of the tables."""

    def __init__(self, name, title, needs, direct=False, extra=False):
        self.name = name
        self.title = title
        self.needs = needs
        self.direct = direct  # speaks HTTP itself
        self.extra = extra  # only in the parts that ask for it
        self.is_ours = title.startswith("scgid")
        self.port = None
        self.socket = None  # where silent clients connect to
        self.service = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def pids(self):
        """Of all that stays: for scgid, fork servers too."""
        return family_of(self.service.pid)

    def gateway_pids(self):
        """Of the processes that requests and responses pass through."""
        return [
            pid
            for pid in self.pids()
            if not self.is_ours or title(pid).startswith("scgid: ")
        ]

    def gateway_kib(self):
        """Resident in the gateway; None for others, which have no such thing."""
        if not self.is_ours:
            return None
        pids = [pid for pid in self.pids() if title(pid).startswith("scgid: gateway")]
        return resident_kib(pids)


def all_peers(programs):
    """In the order of the tables; what cannot run here is not among them."""
    peers = [
        Peer("scgid", "scgid", ["nginx"]),
        Peer("fork-server", "scgid fork server", ["nginx"]),
        Peer("fcgiwrap", "fcgiwrap", ["nginx", "fcgiwrap"]),
        Peer("fcgiwrap-32", "fcgiwrap -c 32", ["nginx", "fcgiwrap"], extra=True),
        Peer("uwsgi", "uWSGI", ["nginx", "uwsgi"]),
        Peer("uwsgi-threads", "uWSGI, 20 threads", ["nginx", "uwsgi"], extra=True),
        Peer("uwsgi-scgi", "uWSGI, SCGI", ["nginx", "uwsgi"]),
        Peer("lighttpd", "lighttpd mod_cgi", ["lighttpd"], direct=True),
        Peer("apache", "Apache mod_cgid", ["apache2"], direct=True),
    ]
    out = []
    for peer in peers:
        missing = [name for name in peer.needs if not program(name)]
        if peer.name == "fork-server" and "start" not in known_keys(programs):
            missing.append("the key `start` in this scgid")
        if missing:
            progress(f"left out: {peer.title}, without {', '.join(missing)}")
        else:
            out.append(peer)
    return out


def addresses(peers):
    """{contestant: (peer, where to ask it)}: all over HTTP, ours alone, too, over
    SCGI at their own socket."""
    out = {peer.title: (peer, peer.url) for peer in peers}
    ours = [peer for peer in peers if peer.is_ours]
    return out | {alone(peer.title): (peer, f"unix:{peer.socket}") for peer in ours}


class Site:
    """The directory, the material and the daemons of one run."""

    def __init__(self, programs, tools, quick=False):
        self.programs, self.tools = programs, tools
        self.descriptors = raise_descriptor_limit(DESCRIPTORS)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="scgid-bench."))
        self.dir.chmod(0o711)
        self.services = []
        self.account = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self.ports = {name: free_port() for name in STARTERS}
        self.nginx = None
        self.peers = []
        self.sizes = {}
        self.there = material.make(self.dir, tools, self.account, quick)

    def own_directory(self, name):
        """Private to the daemon `name`, but for who knows the names in it."""
        path = self.dir / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o711)
        os.chown(path, *material.account_ids(self.account))
        return path

    def values(self):
        user = self.account.pw_name if self.account else None
        group = grp.getgrgid(self.account.pw_gid).gr_name if user else None
        return {
            "DIR": self.dir,
            "USER_LINE": f"user {user} {group};" if user else "",
            "SCGID_USER": f"user = {user}" if user else "",
            "DESCRIPTORS": min(self.descriptors, 32768),
            "CONNECTIONS": min(self.descriptors, 32768) // 2,
            "CORES": os.cpu_count(),
            "CHILDREN": 2 * os.cpu_count(),
            "GIT": GIT_CORE,
            "MODULES": APACHE_MODULES,
            **{
                f"PORT_{name.upper().replace('-', '_')}": port
                for name, port in self.ports.items()
            },
        }

    def fill(self, template, name, **more):
        """A template of tests/peers with its @WORDS@ replaced."""
        values = dict(self.values(), **more)
        text = (TEMPLATES / template).read_text()
        while WORD.search(text):
            text = WORD.sub(lambda match: str(values[match.group(1)]), text)
        path = self.dir / name / template
        path.write_text(text)
        return path

    def start(self, peer, command, **options):
        """A daemon that never was root, in the foreground."""
        options.update(material.as_account(self.account), env=ENVIRONMENT)
        self.adopt(peer, Service(command, self.dir / peer.name / "out", **options))

    def adopt(self, peer, service):
        peer.service = service
        self.services.append(service)

    def start_peers(self, peers):
        """One that does not come up is left out, with what it said."""
        self.peers = []
        started = []
        for peer in peers:
            peer.port = self.ports[peer.name]
            self.own_directory(peer.name)
            try:
                STARTERS[peer.name](self, peer)
            except SystemExit as error:
                progress(f"left out: {peer.title}: {error}")
            else:
                started.append(peer)
        if any(not peer.direct for peer in peers):
            self.start_nginx()
        for peer in started:
            if self.comes_up(peer):
                self.peers.append(peer)
            else:
                said = (self.dir / peer.name / "out").read_text()[-500:]
                progress(f"left out: {peer.title}, which does not start: {said}")
        for peer in self.peers:
            if peer.name == "fork-server":
                self.warm_up(peer)

    def warm_up(self, peer):
        """Fork servers start with the first request, and learn from it."""
        for _ in range(2):
            for uri in material.uris(self.there):
                with contextlib.suppress(Failed):
                    self.load(peer.url, uri, "-n", 2, "-c", 1)
            time.sleep(1)

    def comes_up(self, peer):
        def is_over():
            if not peer.direct and self.nginx.process.poll() is not None:
                said = (self.dir / "nginx" / "out").read_text()
                sys.exit(f"bench: nginx does not start: {said[-500:]}")
            ended = peer.service.process.poll() is not None
            return ended or (accepts(peer.port) and accepts(peer.socket))

        wait_for(is_over, peer.title)
        return peer.service.process.poll() is None

    def start_nginx(self):
        self.own_directory("nginx")
        conf = self.fill("nginx.conf", "nginx", NGINX=nginx_directory())
        log = self.dir / "nginx" / "error.log"
        self.nginx = Service(
            [program("nginx"), "-p", self.dir, "-e", log, "-c", conf],
            self.dir / "nginx" / "out",
        )
        self.services.append(self.nginx)

    def cpu_seconds(self, peer):
        """Of the gateway and its front end, without the scripts."""
        front = [] if peer.direct else family_of(self.nginx.pid)
        return own_cpu_seconds(peer.pids() + front)

    def load(self, target, uri, *options):
        """What `load` reports; Failed if it was told something else."""
        result = run_json([self.tools / "load", *options, target, uri])
        if result["good"] and result["bytes"] != self.expected(uri):
            raise Failed(f"{result['bytes']} bytes, not {self.expected(uri)}")
        return result

    def expected(self, uri):
        """The bytes of the body; what the first peer says when it is asked."""
        if uri not in self.sizes:
            command = [self.tools / "load", "-n", 1, "-c", 1, self.peers[0].url, uri]
            result = run_json(command)
            if not result["good"] or not result["bytes"]:
                sys.exit(f"bench: {self.peers[0].title} does not serve {uri}: {result}")
            self.sizes[uri] = result["bytes"]
        return self.sizes[uri]

    def settle(self, peer, seconds=20):
        """Wait until it has done with what its clients no longer wait for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            before = self.cpu_seconds(peer)
            time.sleep(0.25)
            if self.cpu_seconds(peer) - before <= 0.02:
                return

    def stop_peers(self):
        while self.services:
            self.services.pop().stop()

    def close(self):
        self.stop_peers()
        shutil.rmtree(self.dir)


def nginx_directory():
    """Where the stock parameter files are."""
    done = subprocess.run(
        [program("nginx"), "-V"], stderr=subprocess.PIPE, text=True, check=True
    )
    found = re.search(r"--conf-path=(\S+)", done.stderr)
    return pathlib.Path(found.group(1)).parent if found else "/etc/nginx"


def start_our(template):
    def start(site, peer):
        peer.socket = site.dir / peer.name / "socket"
        conf = site.fill(template, peer.name)
        directory = site.dir / peer.name
        service = start_scgid(site.programs, conf, directory / "log", directory / "out")
        site.adopt(peer, service)

    return start


def start_fcgiwrap(children=None):
    def start(site, peer):
        peer.socket = site.dir / peer.name / "socket"
        more = {"CHILDREN": children} if children else {}
        path = site.fill("fcgiwrap.args", peer.name, NAME=peer.name, **more)
        lines = path.read_text().splitlines()
        words = [w for l in lines if not l.startswith("#") for w in l.split()]
        site.start(peer, [program("fcgiwrap"), *words])

    return start


def start_uwsgi(protocol="", modifier="", concurrency="processes = @CHILDREN@"):
    def start(site, peer):
        peer.socket = site.dir / peer.name / "socket"
        path = site.fill(
            "uwsgi.ini",
            peer.name,
            NAME=peer.name,
            PROTOCOL=protocol,
            MODIFIER=modifier,
            CONCURRENCY=concurrency,
        )
        site.start(peer, [program("uwsgi"), "--ini", path])

    return start


def start_lighttpd(site, peer):
    peer.socket = peer.port
    path = site.fill("lighttpd.conf", peer.name)
    upload = site.dir / peer.name / "upload"
    upload.mkdir()
    os.chown(upload, *material.account_ids(site.account))
    site.start(peer, [program("lighttpd"), "-D", "-f", path])


def start_apache(site, peer):
    peer.socket = peer.port
    path = site.fill("apache.conf", peer.name)
    # SIGTERM to the parent of all; it ends cgid, too.
    site.start(peer, [program("apache2"), "-f", path, "-D", "FOREGROUND"])


STARTERS = {
    "scgid": start_our("scgid.conf"),
    "fork-server": start_our("scgid-fork-server.conf"),
    "fcgiwrap": start_fcgiwrap(),
    "fcgiwrap-32": start_fcgiwrap(16 * os.cpu_count()),
    "uwsgi": start_uwsgi(),
    "uwsgi-threads": start_uwsgi(concurrency="processes = @CORES@\nthreads = 20"),
    "uwsgi-scgi": start_uwsgi("scgi-", "scgi-modifier1 = 9"),
    "lighttpd": start_lighttpd,
    "apache": start_apache,
}
