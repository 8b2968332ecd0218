"""The real web servers in front, each private: own prefix, own port.

Owns their processes.  The snippets of contrib/ are used as they are, but for
the path of the socket.
"""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from . import client
from .client import wait_for
from .daemon import IS_ROOT, POOL_USER, free_port, public_directory

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOCKET = "/run/scgid/www.sock"
MODULES = pathlib.Path("/usr/lib/apache2/modules")


class Page:
    """An answer over HTTP."""

    def __init__(self, status, headers, body, phrase):
        self.status = status
        self.headers = headers
        self.body = body
        self.phrase = phrase

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def __repr__(self):
        return "<Page %s %r %r>" % (self.status, self.headers, self.body[:300])


class Server:
    """A web server in front of a Scgid."""

    name = None

    def __init__(self, scgid, extra="", pool=None):
        self.scgid = scgid
        self.pool = pool or next(iter(scgid.sockets))
        self.port = free_port()
        self.directory = public_directory(self.name)
        (self.directory / "htdocs").mkdir()
        (self.directory / "htdocs/static.txt").write_text("static\n")
        self.log = self.directory / "error.log"
        self.extra = scgid.expand(extra)
        command = self.prepare()
        self.output = open(self.directory / "output", "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output
        )
        try:
            wait_for(self.is_up, "%s to listen" % self.name, 15.0)
        except BaseException:
            self.stop()
            raise

    def snippet(self, path):
        text = (ROOT / "contrib" / path).read_text()
        assert SOCKET in text
        return text.replace(SOCKET, self.scgid.sockets[self.pool])

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(
                "%s ended: %s%s"
                % (
                    self.name,
                    (self.directory / "output").read_text(),
                    self.log.read_text() if self.log.exists() else "",
                )
            )
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def get(self, path, method="GET", body=None, headers=None, register=True):
        """One request over HTTP, with a request id that the oracle counts."""
        request_id = client.new_id()
        headers = dict(headers or {})
        if register:
            headers["X-Request-Id"] = request_id
            self.scgid.sent.append(request_id)
        self.scgid.touched = True
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            page = Page(
                answer.status, answer.getheaders(), answer.read(), answer.reason
            )
        finally:
            connection.close()
        page.id = request_id
        return page

    def curl(self, path, *arguments):
        """curl's exit code and output."""
        self.scgid.touched = True
        done = subprocess.run(
            ["curl", "-s", "-S", "--max-time", "30"]
            + list(arguments)
            + [self.url(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return done.returncode, done.stdout

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.output.close()
        if not os.environ.get("SCGID_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)


NGINX = """
daemon off;
worker_processes 1;
%(user)s
pid %(dir)s/pid;
error_log %(dir)s/error.log info;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path %(dir)s/t1;
	proxy_temp_path %(dir)s/t2;
	fastcgi_temp_path %(dir)s/t3;
	uwsgi_temp_path %(dir)s/t4;
	scgi_temp_path %(dir)s/t5;
	scgi_cache_path %(dir)s/cache keys_zone=test:1m;
	client_max_body_size 0;
	default_type text/plain;
	server {
		listen 127.0.0.1:%(port)d;
		server_name localhost;
		root %(dir)s/htdocs;
		%(snippet)s
		%(extra)s
	}
}
"""


class Nginx(Server):
    """`extra` is for the server block; `{tcp}` in it is the pool's TCP port."""

    name = "nginx"

    def prepare(self):
        shutil.copy("/etc/nginx/scgi_params", self.directory / "scgi_params")
        extra = self.extra.replace("{socket}", self.scgid.sockets[self.pool])
        if self.scgid.ports:
            extra = extra.replace("{tcp}", "127.0.0.1:%d" % self.scgid.ports[self.pool])
        configuration = self.directory / "nginx.conf"
        configuration.write_text(
            NGINX
            % {
                "user": "user %s;" % POOL_USER if IS_ROOT else "",
                "dir": self.directory,
                "port": self.port,
                "snippet": self.snippet("nginx/scgid.conf"),
                "extra": extra,
            }
        )
        return [
            "nginx",
            "-e",
            str(self.log),
            "-p",
            str(self.directory),
            "-c",
            str(configuration),
        ]

    def errors(self):
        """What nginx itself complained about."""
        lines = self.log.read_text().splitlines()
        return [l for l in lines if "[error]" in l or "[crit]" in l or "[alert]" in l]


class Lighttpd(Server):
    name = "lighttpd"

    def prepare(self):
        configuration = self.directory / "lighttpd.conf"
        lines = [
            'server.document-root = "%s/htdocs"' % self.directory,
            'server.bind = "127.0.0.1"',
            "server.port = %d" % self.port,
            'server.errorlog = "%s"' % self.log,
            'server.upload-dirs = ( "%s/upload" )' % self.directory,
        ]
        (self.directory / "upload").mkdir()
        (self.directory / "upload").chmod(0o1777)
        if IS_ROOT:
            lines.append('server.username = "%s"' % POOL_USER)
            lines.append('server.groupname = "%s"' % POOL_USER)
            self.log.touch()
            shutil.chown(self.log, POOL_USER)
        lines.append(self.snippet("lighttpd/scgid.conf"))
        lines.append(self.extra)
        configuration.write_text("\n".join(lines) + "\n")
        return ["lighttpd", "-D", "-f", str(configuration)]


class Apache(Server):
    name = "apache"

    def prepare(self):
        lines = [
            "ServerName localhost",
            'ServerRoot "%s"' % self.directory,
            'DefaultRuntimeDir "%s"' % self.directory,
            'PidFile "%s/pid"' % self.directory,
            'ErrorLog "%s"' % self.log,
            "Listen 127.0.0.1:%d" % self.port,
        ]
        if IS_ROOT:
            lines += ["User %s" % POOL_USER, "Group %s" % POOL_USER]
        for module in ("mpm_event", "authz_core", "proxy", "proxy_scgi"):
            path = MODULES / ("mod_%s.so" % module)
            lines.append('LoadModule %s_module "%s"' % (module, path))
        lines += [
            'DocumentRoot "%s/htdocs"' % self.directory,
            self.snippet("apache/scgid.conf"),
            self.extra,
        ]
        configuration = self.directory / "apache.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return ["apache2", "-f", str(configuration), "-D", "FOREGROUND"]


def reload(server):
    """HUP, as `nginx -s reload` does, and a moment for the new workers."""
    before = children(server.process.pid)
    server.process.send_signal(signal.SIGHUP)
    wait_for(
        lambda: set(children(server.process.pid)) - set(before), "new nginx workers"
    )


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as stream:
            return [int(word) for word in stream.read().split()]
    except FileNotFoundError:
        time.sleep(0.05)
        return []
