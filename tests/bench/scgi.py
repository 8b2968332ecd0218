"""An SCGI client, as small as it can be."""

import re
import socket

PARAMS = {
    "SCGI": "1",
    "REQUEST_METHOD": "GET",
    "QUERY_STRING": "",
    "CONTENT_TYPE": "",
    "DOCUMENT_ROOT": "/var/www",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REQUEST_SCHEME": "http",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "49152",
    "SERVER_PORT": "80",
    "SERVER_NAME": "localhost",
    "HTTP_HOST": "localhost",
    "HTTP_USER_AGENT": "Mozilla/5.0 " + "x" * 80,
    "HTTP_ACCEPT": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE": "en-US,en;q=0.5",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
    "HTTP_REFERER": "http://localhost/" + "r" * 60,
    "HTTP_COOKIE": "session=" + "c" * 200,
}


def scgi_request(uri, query="", body=b""):
    """A request of the size that a browser's has behind nginx."""
    params = {"CONTENT_LENGTH": str(len(body))}
    params.update(PARAMS, QUERY_STRING=query, DOCUMENT_URI=uri)
    params["REQUEST_URI"] = uri + ("?" + query if query else "")
    if body:
        params["REQUEST_METHOD"] = "POST"
    block = "".join(f"{k}\0{v}\0" for k, v in params.items())
    return f"{len(block)}:{block},".encode() + body


def answer_of(path, request, timeout=10):
    """The status and the body of an answer that is whole."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(timeout)
        one.connect(str(path))
        one.sendall(request)
        data = bytearray()
        while piece := one.recv(65536):
            data += piece
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    match = re.match(rb"Status: (\d+)", head)
    return int(match.group(1)) if match else 0, body
