"""A tiny SCGI client: every byte that goes out is the test's to choose.

Owns the wire format of the tests.  It knows nothing of the daemon under test.
"""

import fcntl
import select
import socket
import struct
import termios
import threading
import time
import uuid

TIMEOUT = 20.0


def wait_for(condition, what, timeout=5.0, step=0.01):
    """Poll until condition() is true; return its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited %.1f s for %s" % (timeout, what))
        time.sleep(step)


def run_threads(functions):
    """Run them at the same time; the first failure of any is ours."""
    failures = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Background:
    """A function that is called again and again until the block ends."""

    def __init__(self, function):
        self.function = function
        self.failure = None
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        try:
            while not self.end.is_set():
                self.function()
        except BaseException as error:
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.end.set()
        self.thread.join()
        if self.failure and kind is None:
            raise self.failure


def to_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def block(params):
    """NAME NUL VALUE NUL, repeated."""
    return b"".join(
        to_bytes(name) + b"\0" + to_bytes(value) + b"\0" for name, value in params
    )


def netstring(data):
    return b"%d:%s," % (len(data), data)


def new_id():
    return uuid.uuid4().hex


def nginx_params(path, query="", method="GET", body=b"", headers=None, **more):
    """What nginx sends with its stock scgi_params; `more` replaces or adds.

    A value of None leaves a parameter out.
    """
    uri = more.pop("REQUEST_URI", path + ("?" + query if query else ""))
    params = {
        "CONTENT_LENGTH": len(body),
        "REQUEST_METHOD": method,
        "REQUEST_URI": uri,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "",
        "DOCUMENT_URI": path,
        "DOCUMENT_ROOT": "/usr/share/nginx/html",
        "SCGI": "1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "40000",
        "SERVER_PORT": "80",
        "SERVER_NAME": "www.example.org",
        "HTTP_HOST": "www.example.org",
    }
    for name, value in (headers or {}).items():
        params["HTTP_" + name.upper().replace("-", "_")] = value
    params.update(more)
    return [(n, v) for n, v in params.items() if v is not None]


def encode(params, body=b""):
    return netstring(block(params)) + body


class Reply:
    """What came back.  `broken` is the error that ended it, or None."""

    def __init__(self, raw, broken=None, request_id=None):
        self.raw = raw
        self.broken = broken
        self.id = request_id
        head, gap, self.body = raw.partition(b"\r\n\r\n")
        self.complete_head = bool(gap)
        self.headers = []
        self.status = None
        self.phrase = None
        for line in head.split(b"\r\n") if gap else []:
            name, _, value = line.partition(b": ")
            self.headers.append((name.decode("latin-1"), value.decode("latin-1")))
        if self.headers and self.headers[0][0] == "Status":
            code, _, self.phrase = self.headers[0][1].partition(" ")
            self.status = int(code)

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return "<Reply %s broken=%r %r>" % (self.status, self.broken, self.raw[:300])


class Connection:
    """One connection to a listener: a path, or a (host, port) pair."""

    def __init__(self, address, timeout=TIMEOUT):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Without a timeout: it waits for room in a full backlog.
            self.socket.connect(address)
            self.socket.settimeout(timeout)
        except BaseException:
            self.socket.close()
            raise
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def abort(self):
        """Close so that the peer sees a reset (TCP) or a hang-up (Unix)."""
        self.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def unread(self):
        """Bytes that we sent and the peer has not read (0 or not, on Unix)."""
        answer = fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4)
        return struct.unpack("i", answer)[0]

    def read_some(self, size=65536):
        return self.socket.recv(size)

    def read(self, request_id=None, start=b""):
        """Read to the end of the connection."""
        parts = [start]
        broken = None
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionError as error:
                broken = error
                break
            if not data:
                break
            parts.append(data)
        return Reply(b"".join(parts), broken, request_id)

    def exchange(self, data, request_id=None):
        """Send and read at the same time, so that neither side can block."""
        self.socket.setblocking(False)
        left = memoryview(data)
        parts = []
        broken = None
        deadline = time.monotonic() + TIMEOUT
        while True:
            if time.monotonic() > deadline:
                raise AssertionError("no end of the reply: %r" % b"".join(parts)[:500])
            readable, writable, _ = select.select(
                [self.socket], [self.socket] if left else [], [], 1.0
            )
            if writable:
                try:
                    left = left[self.socket.send(left[: 1 << 20]) :]
                except BlockingIOError:
                    pass
                except ConnectionError as error:
                    left = left[:0]
                    # The kernel says ECONNRESET once, and has said it here.
                    if isinstance(error, ConnectionResetError):
                        broken = error
            if readable:
                try:
                    got = self.socket.recv(1 << 20)
                except BlockingIOError:
                    continue
                except ConnectionError as error:
                    broken = error
                    break
                if not got:
                    break
                parts.append(got)
        return Reply(b"".join(parts), broken, request_id)
