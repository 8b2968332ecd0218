"""Scripts that are run twice, under exec and by a fork server, and compared.

A table is a file of sections: "=== NAME WORD..." and the script below it,
"--- FILE" and a file that stands beside the script.  The words, as a shell
would split them, with escapes as in Python:

whole           print no header before it
option=WORD     of the interpreter, on the #! line
arg=WORD        of the script
env.NAME=VALUE  a parameter of the request;  map.NAME=VALUE: of the map
stdin=TEXT      the body;  append=TEXT: at the end of the script;
                TEXT*NUMBER is so many of them
name=FILE       what the script is called;  symlink: through a link
bom, encoding=, newline=
                how it is written
preload=NAME    of the map
after=FILE      what is in it at the end is compared
gone=FILE       what it names must be gone at the end
loose           digits are not compared
refused         no fork server takes it
"""

import os
import pathlib
import re
import shlex
import shutil

from .client import wait_for
from .daemon import IS_ROOT, POOL_USER

TABLES = pathlib.Path(__file__).resolve().parent.parent / "runners"

HEADERS = {
    "python": 'print("Content-Type: text/plain\\n")\n',
    "perl": 'print "Content-Type: text/plain\\n\\n";\n',
}
PROGRAMS = {"python": "/usr/bin/python3", "perl": "/usr/bin/perl"}
EXTENSIONS = {"python": ".py", "perl": ".pl"}


def unescape(text):
    """The bytes that a word stands for."""
    found = re.fullmatch(r"(.*)\*(\d+)", text, re.S)
    if found:
        return unescape(found.group(1)) * int(found.group(2))
    return text.encode().decode("unicode_escape").encode("latin-1")


class Case:
    def __init__(self, kind, text):
        head, _, rest = text.partition("\n")
        script, *files = re.split(r"(?m)^--- ", rest)
        words = shlex.split(head.replace("\\", "\\\\"))
        self.kind = kind
        self.name = words[0]
        self.flags = {word for word in words if "=" not in word}
        self.values = {"option": [], "arg": []}
        for word in words:
            key, found, value = word.partition("=")
            if key in ("option", "arg"):
                self.values[key].append(value)
            elif found:
                self.values[key] = unescape(value)
        self.files = dict(file.split("\n", 1) for file in files)
        self.files[self.file_name()] = self.render(script)

    def of(self, prefix):
        """The values whose keys begin so."""
        return {
            k[len(prefix) :]: v for k, v in self.values.items() if k.startswith(prefix)
        }

    def text_of(self, key, default=""):
        return self.values.get(key, default.encode()).decode()

    def file_name(self):
        # With an option on its #! line it must not have a handler.
        is_plain = not self.values["option"] and "name" not in self.values
        return self.text_of(
            "name", "script" + (EXTENSIONS[self.kind] if is_plain else "")
        )

    def render(self, script):
        text = script if "whole" in self.flags else HEADERS[self.kind] + script
        if not self.file_name().endswith(EXTENSIONS[self.kind]):
            options = "".join(" " + word for word in self.values["option"])
            text = "#!%s%s\n%s" % (PROGRAMS[self.kind], options, text)
        text = text.replace("\n", self.text_of("newline", "\n"))
        data = text.encode(self.text_of("encoding", "utf-8"))
        bom = b"\xef\xbb\xbf" if "bom" in self.flags else b""
        return bom + data + self.values.get("append", b"")

    def map_keys(self):
        """What its map has, besides the root."""
        keys = {
            "env." + name: value.decode() for name, value in self.of("map.").items()
        }
        if self.values["arg"]:
            keys["args"] = " ".join(unescape(a).decode() for a in self.values["arg"])
        if "preload" in self.values:
            keys["preload"] = self.text_of("preload")
        return keys

    def write(self, directory):
        """Put its files there; returns the script's path."""
        directory.mkdir(parents=True)
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            path.chmod(0o755)
        path = directory / self.file_name()
        if "symlink" in self.flags:
            (directory / "real").mkdir()
            for name in self.files:
                (directory / name).rename(directory / "real" / name)
            path.symlink_to(os.path.join("real", path.name))
        for path in (directory, *directory.rglob("*")):
            if IS_ROOT:
                shutil.chown(path, POOL_USER)
        return path


def read_table(kind):
    text = (TABLES / (kind + ".txt")).read_text()
    return [Case(kind, part) for part in re.split(r"(?m)^=== ", text)[1:]]


class Side:
    """One way to start the scripts: a pool of an instance."""

    def __init__(self, one, pool, cases):
        self.one = one
        self.pool = pool
        self.prefixes = prefixes(cases)

    def ask(self, case):
        """(the result, how it was started)"""
        one = self.one
        path = "%s/%s/%s/%s" % (
            self.prefixes[case.name],
            case.kind,
            case.name,
            case.file_name(),
        )
        parameters = {name: value for name, value in case.of("env.").items()}
        body = case.values.get("stdin", b"")
        method = "POST" if body else "GET"
        reply = one.request(
            path, body, pool=self.pool, **dict({"method": method}, **parameters)
        )
        entry = one.entry(reply)
        told = [
            line.message.partition(" stderr: ")[2]
            for line in one.recent()
            if line.fields.get("request") == reply.id and " stderr: " in line.message
        ]
        result = {
            "status": reply.status,
            "end": (entry.get("exit"), entry.get("signal"), entry["reason"]),
            "broken": reply.broken is not None,
            "head": clean(case, reply.raw[: -len(reply.body) or None], reply.id),
            "body": clean(case, reply.body, reply.id),
            "stderr": clean(case, "\n".join(told).encode(), reply.id),
            "files": self.collect(case),
        }
        return result, entry["start"]

    def collect(self, case):
        """What it left in files; takes them away."""
        directory = self.one.cgi / case.kind / case.name
        found = []
        if "after" in case.values:
            path = directory / case.text_of("after")
            found.append(path.read_bytes() if path.exists() else None)
        if "gone" in case.values:
            path = directory / case.text_of("gone")
            names = path.read_text().splitlines() if path.exists() else [path]
            found += [os.path.exists(name) for name in names]
        for key in ("after", "gone"):
            if key in case.values:
                (directory / case.text_of(key)).unlink(missing_ok=True)
        return found

    def ask_forked(self, case):
        """The result of a worker that was forked."""

        def ask():
            result, start = self.ask(case)
            return result if start == case.kind else None

        return wait_for(ask, "a fork server for " + case.name, 10.0, 0.05)


def clean(case, text, request_id):
    text = text.replace(request_id.encode(), b"ID")
    text = re.sub(rb"0x[0-9a-f]{6,}", b"ADDRESS", text)
    return re.sub(rb"\d+", b"N", text) if "loose" in case.flags else text


def prefixes(cases):
    """The prefix of each one's map: those with the same keys share it."""
    found = {}
    for case in cases:
        found.setdefault(repr(sorted(case.map_keys().items())), "/m%d" % len(found))
    return {c.name: found[repr(sorted(c.map_keys().items()))] for c in cases}


def maps(cases, start):
    """The maps of a pool in which the cases are started so."""
    found = {}
    for case in cases:
        keys = {"root": "{cgi}", "start": start, "idle": "2s"}
        keys.update({"handler" + EXTENSIONS[k]: PROGRAMS[k] for k in PROGRAMS})
        keys.update(case.map_keys())
        if start == "exec":
            keys = {k: v for k, v in keys.items() if k not in ("idle", "preload")}
        found[prefixes(cases)[case.name]] = keys
    return found
