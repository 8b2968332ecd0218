"""Without any framework.  The path says what to do."""

import hashlib
import json
import os
import sys
import time

STARTED = os.getpid()


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0] or "hello"
    return globals()["on_" + name](environ, start_response)


def answer(start_response, body, *headers, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain"), *headers])
    return [body]


def on_hello(environ, start_response):
    return answer(start_response, b"hello\n")


def on_tell(environ, start_response):
    seen = {n: v for n, v in environ.items() if isinstance(v, (str, bool))}
    seen["argv"] = sys.argv
    seen["path"] = sys.path
    seen["prefix"] = sys.prefix
    seen["cwd"] = os.getcwd()
    seen["name"] = __name__
    seen["descriptors"] = [
        n for n in range(50) if os.path.exists("/proc/self/fd/%d" % n)
    ]
    seen["process"] = dict(os.environ)
    return answer(start_response, json.dumps(seen).encode())


def on_digest(environ, start_response):
    digest = hashlib.sha256()
    for part in iter(lambda: environ["wsgi.input"].read(65536), b""):
        digest.update(part)
    return answer(start_response, digest.hexdigest().encode())


def on_length(environ, start_response):
    """As many bytes as the query says, without a length."""
    size = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (b"x" * min(65536, size - at) for at in range(0, size, 65536))


def on_file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/x-python")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def on_print(environ, start_response):
    print("printed")
    os.system("echo by a child")
    return answer(start_response, b"clean")


def on_raise(environ, start_response):
    raise KeyError("before the first byte")


def on_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"part\n" * 1000
    time.sleep(0.1)
    raise KeyError("after the first byte")


def on_short(environ, start_response):
    start_response("200 OK", [("Content-Type", "a/b"), ("Content-Length", "10")])
    yield b"12345"
    time.sleep(0.1)  # or there is an error page, as nothing is sent yet


def on_connection(environ, start_response):
    return answer(start_response, b"", ("Connection", "close"))


def on_empty(environ, start_response):
    start_response("204 No Content", [("Content-Length", "0")])
    return []


def on_unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return [b"never seen"]


def on_local(environ, start_response):
    """CGI would take this for a local redirect, if it had no status."""
    start_response("302 Found", [("Location", "/elsewhere")])
    return []


def on_slow(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(3):
        yield b"%.3f\n" % time.time()
        time.sleep(0.3)


class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(0.01)
        return b"x" * 10000

    def close(self):
        sys.stderr.write("closed\n")


def on_endless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Endless()


not_callable = "text"
