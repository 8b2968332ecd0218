#!/usr/bin/env python3
"""A form that is posted to itself."""

import html
import os
import sys
import urllib.parse

PAGE = """<!DOCTYPE html>
<title>A form</title>
<h1>A form</h1>
<p>{greeting}</p>
<form method="post" accept-charset="utf-8">
<label>Your name: <input name="name" value="{name}"></label>
<button>Greet me</button>
</form>
"""


def read_form():
    """The fields of the body: exactly CONTENT_LENGTH bytes on stdin."""
    length = int(os.environ.get("CONTENT_LENGTH") or 0)
    body = sys.stdin.buffer.read(length)
    return dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace")))


def main():
    name = read_form().get("name", "")
    greeting = f"Hello, {name}!" if name else "We have not met."
    page = PAGE.format(greeting=html.escape(greeting), name=html.escape(name))
    sys.stdout.buffer.write(
        b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page.encode())


if __name__ == "__main__":
    main()
