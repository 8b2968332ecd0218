"""inetd_scgi: serve one request with a WSGI application (PEP 3333), then end.

A CGI script that is a WSGI application ends with

    from inetd_scgi import run_app
    run_app(application)

The same script serves one SCGI request on stdin, as inetd, launchd and systemd
(Accept=yes) start it.  An application that knows nothing of either is named on
the command line, as FILE:CALLABLE:

    python3 inetd_scgi.py /srv/app/app.py:application

Owns the descriptors of the request from receive() to the end of the process:
nothing but the response can reach the server.  The invariant: a response that
is not whole never looks like one that is.  What goes wrong is told on stderr,
never to the visitor: an application that fails before its first byte leaves no
output and a status that is not 0, and every CGI server has an error page for
that.

Each request under `start = exec` imports this module, so it imports only what
Python has loaded anyway; the rest is imported where it is needed.
"""

import os
import sys
from io import BufferedRandom, BufferedReader, BytesIO, FileIO, RawIOBase, TextIOBase

__all__ = ["load_app", "run_app"]

BLOCK = 64 * 1024
MAX_HEADER = 128 * 1024  # of an SCGI request
BODY_MEMORY = 256 * 1024  # of an SCGI request; a larger one goes to a file
REQUEST_TIMEOUT = 30  # seconds in which some of an SCGI request has to come

TOKEN = frozenset(
    "!#$%&'*+-.^_`|~0123456789" "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
CONTROLS = bytes(range(32)) + b"\x7f"
HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection"
    " te trailer trailers transfer-encoding upgrade".split()
)


class BadRequest(Exception):
    """The request breaks the rule that the text names."""


class ClientGone(ConnectionError):
    """Nobody takes the response any more."""


def say(text):
    print("inetd_scgi: " + text, file=sys.stderr, flush=True)


# The response


def encode_status(status):
    """b"200 OK" of "200 OK"; TypeError or ValueError if it is no final status."""
    if not isinstance(status, str):
        raise TypeError("the status is %s, not str" % type_name(status))
    code = status[:3]
    if not (code.isascii() and code.isdigit() and code >= "200" and status[3:4] == " "):
        raise ValueError("status %r has not the form '200 OK'" % status)
    return encode_text("the status", status)


def encode_field(name, value):
    """b"Name: value"; TypeError or ValueError if a server must refuse it."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(
            "header %r: %s and %s, not str and str"
            % (name, type_name(name), type_name(value))
        )
    if not name or not TOKEN.issuperset(name):
        raise ValueError("%r is not the name of a header" % name)
    if name.lower() in HOP_BY_HOP:
        raise ValueError("header %s is for the server to set" % name)
    if name.lower() == "status":
        raise ValueError("a header Status is CGI's; give the status by itself")
    return name.encode() + b": " + encode_text("header " + name, value)


def encode_text(what, text):
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("%s: %r is not latin-1" % (what, text)) from None
    if len(data.translate(None, CONTROLS)) < len(data):
        raise ValueError("%s: %r has a control character" % (what, text))
    return data


def announced_length(headers):
    """What Content-Length says; None if there is none."""
    given = [value for name, value in headers if name.lower() == "content-length"]
    if not given:
        return None
    if len(given) > 1 or not (given[0].isascii() and given[0].isdigit()):
        raise ValueError("Content-Length: %s is not one length" % ", ".join(given))
    return int(given[0])


def type_name(thing):
    return type(thing).__name__


class Response:
    """One response, from start_response to its last byte, for descriptor `fd`.

    Nothing is written before the first byte of the body, or its end.
    """

    def __init__(self, fd, method):
        self.fd = fd
        self.is_head = method == "HEAD"
        self.status = None  # bytes, once the application has said it
        self.fields = []
        self.length = None  # of the body; None while nobody knows it
        self.sent = 0
        self.has_begun = False  # something of it may have left
        self.has_ended = False

    # What the application calls

    def start(self, status, headers, exc_info=None):
        """start_response."""
        if exc_info:
            try:
                if self.has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response was called twice, without exc_info")
        if not isinstance(headers, list):
            raise TypeError("the headers are %s, not list" % type_name(headers))
        encoded = encode_status(status)
        self.fields = [encode_field(name, value) for name, value in headers]
        self.length = announced_length(headers)
        self.status = encoded
        return self.write

    def write(self, data):
        """The callable that start_response returns, for old applications."""
        excess = self.send(data)
        if excess:
            raise ValueError(self.excess_text(excess))

    # What the server calls

    def send_all(self, result):
        """Send what the application returned, each chunk as it comes."""
        if self.status and isinstance(result, FileWrapper):
            if self.send_file(result.file):
                return self.end()
        if isinstance(result, (list, tuple)):
            self.suggest_length(sum(len(c) for c in result if type(c) is bytes))
        for chunk in result:
            excess = self.send(chunk)
            if excess:
                say(self.excess_text(excess) + "; they are cut off")
            if self.is_full():
                break
        self.end()

    def send(self, data):
        """Send what fits in the announced length; return how much does not."""
        if type(data) is not bytes:
            raise TypeError(
                "the application gave a chunk that is %s, not bytes" % type_name(data)
            )
        if not data:
            return 0
        if self.status is None:
            raise AssertionError("a body, and start_response was not called")
        excess = 0
        if not self.has_body():
            data = b""
        elif self.length is not None:
            excess = max(0, len(data) - (self.length - self.sent))
            data = data[: len(data) - excess]
        if not self.has_begun:
            write_all(self.fd, self.begin(), data)
        elif data:
            write_all(self.fd, data)
        self.sent += len(data)
        return excess

    def send_file(self, file):
        """Send the rest of a plain file by sendfile.

        False if that is no plain file, or if the system can't; then what is
        left is to be had from file.read().
        """
        # gzip and its like have the descriptor of something else.
        plain = (BufferedReader, BufferedRandom, FileIO)
        if type(file) not in plain or type(getattr(file, "raw", file)) is not FileIO:
            return False
        from stat import S_ISREG

        file.flush()
        source = file.fileno()
        found = os.fstat(source)
        if not S_ISREG(found.st_mode) or not hasattr(os, "sendfile"):
            return False
        offset = file.tell()
        left = found.st_size - offset
        if left <= 0:  # files of /proc have no size, and yet something in them
            return False
        self.suggest_length(left)
        if self.length is not None:
            left = min(left, self.length - self.sent)
        if left and self.has_body() and not self.has_begun:
            write_all(self.fd, self.begin())
        while left and self.has_body():
            try:
                count = os.sendfile(self.fd, source, offset, min(left, 1 << 30))
            except (BrokenPipeError, ConnectionResetError):
                raise ClientGone("the client is gone") from None
            except OSError:
                file.seek(offset)
                return False
            if count == 0:
                break
            offset += count
            left -= count
            self.sent += count
        return True

    def end(self):
        """The application has given all."""
        if self.status is None:
            raise AssertionError("the application did not call start_response")
        self.suggest_length(0)
        if self.has_body() and self.length is not None and self.sent < self.length:
            raise ValueError(
                "the application sent %d bytes; its Content-Length is %d"
                % (self.sent, self.length)
            )
        if not self.has_begun:
            write_all(self.fd, self.begin())
        self.has_ended = True

    # Its state

    def has_body(self):
        return not self.is_head and self.status[:3] not in (b"204", b"304")

    def is_full(self):
        """Whether no byte of the body can follow."""
        return self.has_begun and (not self.has_body() or self.sent == self.length)

    def is_whole(self):
        return self.has_ended or self.is_full()

    def is_broken(self):
        """Whether some of it is out, the rest is not, and no length tells."""
        return self.has_begun and not self.is_whole() and self.length is None

    def suggest_length(self, length):
        """The application announced none, and this is what it will be.

        Of HEAD the body may be missing, so an empty one tells nothing.
        """
        if self.has_begun or self.length is not None:
            return
        if self.status is None or self.status[:3] in (b"204", b"304"):
            return
        if length or not self.is_head:
            self.length = length
            self.fields.append(b"Content-Length: %d" % length)

    def begin(self):
        """The head of it, which is sent now."""
        self.has_begun = True
        fields = self.fields
        if self.status[:3] == b"204":  # RFC 9110, 8.6
            fields = [f for f in fields if not f.lower().startswith(b"content-length:")]
        return b"\r\n".join([b"Status: " + self.status, *fields, b"", b""])

    def excess_text(self, excess):
        return "the application sent %d bytes more than its Content-Length, %d" % (
            excess,
            self.length,
        )


def write_all(fd, *parts):
    """Write it all at once, or as soon as it is taken; ClientGone."""
    left = [memoryview(part) for part in parts if part]
    try:
        while left:
            try:
                count = os.writev(fd, left)
            except BlockingIOError:
                os.set_blocking(fd, True)
                continue
            while left and count >= len(left[0]):
                count -= len(left.pop(0))
            if left:
                left[0] = left[0][count:]
    except (BrokenPipeError, ConnectionResetError):
        raise ClientGone("the client is gone") from None


class FileWrapper:
    """wsgi.file_wrapper: an iterable of blocks, or a file for sendfile."""

    def __init__(self, file, block_size=BLOCK):
        self.file = file
        self.block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.file.read(self.block_size)
        if data:
            return data
        raise StopIteration


# The request


class Body(RawIOBase):
    """The `length` bytes that descriptor `fd` has for us, and not one more."""

    def __init__(self, fd, length):
        self.fd = fd
        self.length = self.left = length

    def readable(self):
        return True

    def readinto(self, buffer):
        room = memoryview(buffer)[: self.left]
        if not room:
            return 0
        count = os.readv(self.fd, [room])
        if count == 0:
            raise ConnectionError(
                "the request's body ended after %d of %d bytes"
                % (self.length - self.left, self.length)
            )
        self.left -= count
        return count


class CgiRequest:
    """A request in the environment and on stdin (RFC 3875)."""

    def __init__(self):
        """Takes descriptor 1: what is printed from now on goes to stderr."""
        self.output = os.dup(1)
        redirect_stdout()
        self.environ = process_environ()
        self.body = BytesIO()

    def receive(self):
        length = parse_length(self.environ.get("CONTENT_LENGTH") or "0")
        if length:
            self.body = BufferedReader(Body(0, length), BLOCK)

    def finish(self):
        """The response is whole: let the server know."""
        os.close(self.output)

    finish_refused = finish

    def break_off(self):
        """What was sent is not the whole response: let the server know.

        CGI has only one way to say so, if no Content-Length says it, and that
        is a death by a signal.  Never returns.
        """
        import atexit
        import resource

        sys.excepthook(*sys.exc_info())
        say("the response had begun: ending by SIGABRT, so that it is broken off")
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        finally:
            os.abort()


class ScgiRequest:
    """An SCGI request on the socket at stdin, the response to the same.

    The last byte of the request is looked at and left unread until the
    response is whole: a socket that is closed with input unread makes the
    front end see an error, however this process ends.
    """

    def __init__(self):
        """Takes descriptors 0, 1 and, if it is the socket too, 2."""
        import socket

        self.socket = socket.socket(fileno=os.dup(0))
        self.output = self.socket.fileno()
        self.peek = socket.MSG_PEEK
        if os.path.sameopenfile(0, 2):
            redirect_stderr_to_syslog()
        redirect_stdout()
        redirect_to_null(0)
        self.environ = process_environ()
        self.body = BytesIO()

    def set_linger(self, on):
        """On TCP, whether closing is a reset; Linux needs no telling, others do."""
        from socket import SO_LINGER, SOL_SOCKET
        from struct import pack

        self.socket.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", on, 0))

    def receive(self):
        self.socket.settimeout(REQUEST_TIMEOUT)
        try:
            params = parse_params(self.receive_block())
            length = parse_length(params["CONTENT_LENGTH"])
            if self.receive_bytes(1, is_last=length == 0) != b",":
                raise BadRequest("the netstring does not end with a comma")
            self.receive_body(length)
        except OSError as error:
            raise BadRequest("it did not arrive: %s" % error) from None
        self.socket.settimeout(None)
        self.set_linger(1)
        add_path(params)
        self.environ.update(params)

    def receive_block(self):
        """What is between the ':' and the ',' of the netstring."""
        digits = b""
        while not digits.endswith(b":"):
            byte = self.socket.recv(1)
            if not byte and not digits:
                raise SystemExit(0)  # somebody looked whether we are there
            digits += byte
            if not byte or not digits.rstrip(b":").isdigit() or len(digits) > 9:
                raise BadRequest("it does not begin with the length of a netstring")
        size = int(digits[:-1])
        if size > MAX_HEADER:
            raise BadRequest("a header of %d bytes is too large" % size)
        return self.receive_bytes(size)

    def receive_bytes(self, size, is_last=False):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data), self.peek if is_last else 0)
            if not part:
                raise BadRequest("it ends too early")
            data += part
        return data

    def receive_body(self, length):
        if length > BODY_MEMORY:
            from tempfile import TemporaryFile

            self.body = TemporaryFile()
        left = length
        while left > 1:
            part = self.receive_bytes(min(left - 1, BLOCK))
            self.body.write(part)
            left -= len(part)
        if left:
            self.body.write(self.receive_bytes(1, is_last=True))
        self.body.seek(0)

    def finish(self):
        self.socket.recv(1)
        self.set_linger(0)
        self.socket.close()

    def finish_refused(self):
        """Take what still comes, for a moment: unread, it would undo the answer."""
        try:
            self.socket.shutdown(1)
            self.socket.settimeout(1)
            for _ in range(1000):
                if not self.socket.recv(BLOCK):
                    break
        except OSError:
            pass
        self.socket.close()

    def break_off(self):
        """The byte that is still unread says it."""


def redirect_stdout():
    try:
        os.dup2(2, 1)
    except OSError:
        redirect_to_null(1)


def redirect_to_null(fd):
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)


def redirect_stderr_to_syslog():
    """inetd gives its socket as descriptor 2 as well; errors are not for it."""
    import syslog

    class Syslog(TextIOBase):
        rest = ""

        def writable(self):
            return True

        def write(self, text):
            *lines, self.rest = (self.rest + text).split("\n")
            for line in filter(None, lines):
                line = line.replace("\0", "\\0").encode(errors="backslashreplace")
                syslog.syslog(syslog.LOG_ERR, line.decode())
            return len(text)

    syslog.openlog(os.path.basename(sys.argv[0]), syslog.LOG_PID, syslog.LOG_DAEMON)
    redirect_to_null(2)
    sys.stderr = sys.stdout = Syslog()


def process_environ():
    """The environment as a WSGI application has it: bytes as latin-1."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in os.environb.items()
    }


def parse_length(text):
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("CONTENT_LENGTH %r is not a length" % text)
    return int(text)


def parse_params(block):
    """The parameters of an SCGI request, by the rules of its specification.

    A parameter that front ends were told twice counts once, as the first says;
    a header field that comes twice was made to deceive.
    """
    words = block.decode("latin-1").split("\0")
    if words.pop():
        raise BadRequest("the header does not end with a NUL")
    if len(words) % 2:
        raise BadRequest("a parameter has no value")
    names, params = words[::2], {}
    if names[:1] != ["CONTENT_LENGTH"]:
        raise BadRequest("the first parameter is not CONTENT_LENGTH")
    for name, value in zip(names, words[1::2]):
        if not name:
            raise BadRequest("a parameter has an empty name")
        if name in params and name.startswith("HTTP_"):
            raise BadRequest("a header field occurs twice")
        params.setdefault(name, value)
    if params.pop("SCGI", None) != "1":
        raise BadRequest("parameter SCGI is not 1")
    return params


def add_path(params):
    """PATH_INFO for a front end that gives none (nginx's stock scgi_params).

    It is the path of the request behind SCRIPT_NAME, if that was given.
    """
    if "PATH_INFO" in params:
        return
    path = params.get("DOCUMENT_URI")
    if not path:
        from urllib.parse import unquote_to_bytes

        uri = params.get("REQUEST_URI", "").partition("?")[0]
        path = unquote_to_bytes(uri.encode("latin-1")).decode("latin-1")
    name = params.get("SCRIPT_NAME", "").rstrip("/")
    if path == name or path.startswith(name + "/"):
        params["PATH_INFO"] = path[len(name) :]


def complete_environ(environ, body):
    """Add what PEP 3333 asks for, remove what is not the application's."""
    for name in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_PROXY"):
        environ.pop(name, None)
    environ.setdefault("REQUEST_METHOD", "GET")
    environ.setdefault("SERVER_NAME", "localhost")
    environ.setdefault("SERVER_PORT", "80")
    environ.setdefault("SERVER_PROTOCOL", "HTTP/1.0")
    environ.setdefault("QUERY_STRING", "")
    environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "").rstrip("/")
    if not environ.get("PATH_INFO"):
        environ["PATH_INFO"] = "" if environ["SCRIPT_NAME"] else "/"
    environ["wsgi.version"] = (1, 0)
    environ["wsgi.url_scheme"] = "https" if is_https(environ) else "http"
    environ["wsgi.input"] = body
    environ["wsgi.errors"] = sys.stderr
    environ["wsgi.multithread"] = False
    environ["wsgi.multiprocess"] = True
    environ["wsgi.run_once"] = True
    environ["wsgi.file_wrapper"] = FileWrapper


def is_https(environ):
    https = environ.get("HTTPS")
    if https:
        return https.lower() != "off"
    return environ.get("REQUEST_SCHEME", "").lower() == "https"


# Both together


def receive():
    """The request that this process was started for, whole.

    A request that breaks the rules is answered with status 400; then, and if
    there is none, SystemExit.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    if "REQUEST_METHOD" in os.environ or "GATEWAY_INTERFACE" in os.environ:
        request = CgiRequest()
    elif is_socket(0):
        request = ScgiRequest()
    else:
        raise SystemExit(
            "inetd_scgi: there is no request: neither CGI (no REQUEST_METHOD in the "
            "environment) nor SCGI (stdin is not a socket)"
        )
    try:
        request.receive()
    except BadRequest as error:
        say("bad request: %s" % error)
        text = b"Bad request\n"
        head = b"Status: 400 Bad Request\r\nContent-Type: text/plain\r\n"
        head += b"Content-Length: %d\r\n\r\n" % len(text)
        write_all(request.output, head, text)
        request.finish_refused()
        raise SystemExit(0)
    return request


def is_socket(fd):
    from stat import S_ISSOCK

    try:
        return S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def serve(app, request):
    """Have `app` answer `request`.

    Returns when the response is whole.  Otherwise the application's exception,
    SystemExit(1) if the client went away, or the end by a signal (break_off).
    """
    complete_environ(request.environ, request.body)
    response = Response(request.output, request.environ["REQUEST_METHOD"])
    try:
        result = app(request.environ, response.start)
        try:
            response.send_all(result)
        finally:
            if hasattr(result, "close"):
                result.close()
    except ClientGone:
        raise SystemExit(1) from None
    except BaseException:
        if response.is_whole():
            request.finish()
        elif response.is_broken():
            request.break_off()
        raise
    request.finish()


def run_app(app):
    """Answer the request that this process was started for with `app`.

    The request is CGI if REQUEST_METHOD or GATEWAY_INTERFACE is in the
    environment, else SCGI on the socket at stdin.  Descriptor 1, and sys.stdout
    with it, is stderr from now on: what is printed cannot spoil the response.

    Returns when the response is whole and the application's close() was called.
    An exception of the application is raised again, as an error of its own
    making is; nothing was sent then, or the response is seen to be incomplete.
    SystemExit(0): it was no valid request (answered with 400), or none at all;
    SystemExit(1): the client went away.  Call it once in a process.
    """
    serve(app, receive())


# The application


def load_app(spec):
    """The WSGI application that FILE:CALLABLE names.

    CALLABLE is a name in FILE, or names with dots between them; without it,
    `application`.  FILE is imported as a module whose name is its own without
    the extension ('_' for what no name can have), and its directory is put at
    the front of sys.path.  If FILE is part of a package (its directory has an
    __init__.py), it is imported as that part, and the directory of the package
    is what is put there.

    What FILE raises is raised; if there is no such file or callable, SystemExit
    with a text that says what is there instead.
    """
    path, name = split_spec(spec)
    if not os.path.isfile(path):
        problem = "is not a file" if os.path.exists(path) else "does not exist"
        raise SystemExit("inetd_scgi: %s %s" % (path, problem))
    found = module = import_file(os.path.realpath(path))
    for part in name.split("."):
        if not hasattr(found, part):
            raise SystemExit(
                "inetd_scgi: %s has no %r; it has %s"
                % (path, name, describe_callables(module))
            )
        found = getattr(found, part)
    if not callable(found):
        raise SystemExit(
            "inetd_scgi: %s: %r is %s, not a callable" % (path, name, type_name(found))
        )
    return found


def split_spec(spec):
    """(FILE, CALLABLE); a ':' with a '/' behind it is part of FILE."""
    path, colon, name = spec.rpartition(":")
    if colon and "/" not in name:
        return path, name
    return spec, "application"


def import_file(path):
    """The module that the file is; `path` has no symbolic links."""
    # As in importlib.util, which takes milliseconds to import.
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

    directory, name = find_module(path)
    if sys.path[:1] != [directory]:
        sys.path.insert(0, directory)
    if directory != os.path.dirname(path):
        __import__(name)
        return sys.modules[name]
    while name in sys.modules:
        if getattr(sys.modules[name], "__file__", None) == path:
            return sys.modules[name]
        name += "_"
    loader = SourceFileLoader(name, path)
    module = module_from_spec(spec_from_file_location(name, path, loader=loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def find_module(path):
    """(directory for sys.path, name) of the module that a file is."""
    directory, base = os.path.split(path)
    stem, extension = os.path.splitext(base)
    parts = [stem] if stem != "__init__" else []
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory, part = os.path.split(directory)
        parts.insert(0, part)
    if all(part.isidentifier() for part in parts) and extension == ".py":
        return directory, ".".join(parts)
    name = "".join(c if c.isalnum() else "_" for c in stem)
    return os.path.dirname(path), name


def describe_callables(module):
    """What of a module could be meant: "app (Flask), main (function)"."""
    found = []
    for name, value in vars(module).items():
        # An instance has the module of its class, a function its own.
        origin = getattr(value, "__module__", None)
        is_own = origin in (module.__name__, type(value).__module__)
        if callable(value) and is_own and not name.startswith("_"):
            found.append("%s (%s)" % (name, type_name(value)))
    return ", ".join(found[:8]) or "nothing that can be called"


def main():
    """The command: inetd_scgi FILE:CALLABLE [ARG...]"""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print("usage: inetd_scgi FILE:CALLABLE [ARG...]", file=sys.stderr)
        raise SystemExit(2)
    # As `python3 FILE ARG...` would have it, but for this module's name.
    spec = sys.argv[1]
    sys.argv = [split_spec(spec)[0]] + sys.argv[2:]
    own = os.path.dirname(os.path.realpath(__file__))
    if os.path.realpath(sys.path[0]) == own:
        del sys.path[0]
    sys.modules["inetd_scgi"] = sys.modules[__name__]
    # First, as what the application prints when it is imported must not reach
    # the server.
    request = receive()
    serve(load_app(spec), request)


if __name__ == "__main__":
    main()
