"""Large bodies in both directions, and a clone of a repository."""

import filecmp
import os
import shutil
import socket
import subprocess
import threading
import time

import material
from processes import peak_kib, reset_peak
from rounds import Failed, Workload

POST_BYTES = 100000000


def curl(site, url, *options, limit=60):
    """(seconds, status, bytes of the response); Failed if curl says so."""
    command = ["curl", "-sS", "--max-time", str(limit), "-H", "Expect:"]
    command += ["-w", "%{http_code} %{size_download} %{time_total}", *options, url]
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(done.stderr.strip().replace("curl: ", "curl "))
    status, size, seconds = done.stdout.split()[-3:]
    if status not in ("200", "000"):
        raise Failed(f"status {status}")
    return float(seconds), int(size)


def timed(site, peer, transfer):
    """Seconds, the CPU time of front end and gateway meanwhile, and the most
    that a process of the gateway had in memory."""
    pids = peer.gateway_pids()
    reset_peak(pids)
    before = site.cpu_seconds(peer)
    seconds = transfer()
    return {
        "seconds": seconds,
        "cpu_seconds": site.cpu_seconds(peer) - before,
        "peak_kib": peak_kib(pids),
    }


def check_size(size, wanted):
    if size != wanted:
        raise Failed(f"{size} bytes of {wanted}, and no error")


def measure_big(site, peer):
    def transfer():
        seconds, size = curl(site, f"{peer.url}/cgi/big.sh", "-o", os.devnull)
        check_size(size, material.BIG_BYTES)
        return seconds

    return timed(site, peer, transfer)


def measure_big_socket(site):
    """The limit: the same script, with the client's socket as its stdout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection = listener.accept()[0]
            with connection:
                connection.recv(65536)
                subprocess.run(
                    [str(site.dir / "www/cgi/big.sh")],
                    stdin=subprocess.DEVNULL,
                    stdout=connection,
                    check=False,
                )
                connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        seconds, size = curl(site, url, "--http0.9", "-o", os.devnull)
        thread.join()
    if size < material.BIG_BYTES:
        raise Failed(f"{size} bytes")
    return {"seconds": seconds}


def make_body(site, size):
    path = site.dir / "body"
    with open(path, "wb") as out:
        for _ in range(size // 1000000):
            out.write(os.urandom(1000000))
    return path


def measure_echo(site, peer, body, limit):
    """A large POST to a program that sends back what it reads."""

    def transfer():
        answer = site.dir / "answer"
        seconds, _ = curl(
            site,
            f"{peer.url}/cgi/cat.sh",
            "--data-binary",
            f"@{body}",
            "-o",
            answer,
            limit=limit,
        )
        same = filecmp.cmp(body, answer, shallow=False)
        answer.unlink()
        if not same:
            raise Failed("not what was sent came back, and no error")
        return seconds

    return timed(site, peer, transfer)


def measure_ignored(site, peer, body, limit):
    """A large POST to a program that does not read it."""

    def transfer():
        seconds, size = curl(
            site,
            f"{peer.url}/cgi/hello.sh",
            "--data-binary",
            f"@{body}",
            "-o",
            os.devnull,
            limit=limit,
        )
        check_size(size, len("hello\n"))
        return seconds

    return timed(site, peer, transfer)


def measure_clone(site, peer):
    def transfer():
        copy = site.dir / "clone"
        start = time.monotonic()
        done = subprocess.run(
            ["git", "clone", "-q", "--bare", f"{peer.url}/git/repo.git", str(copy)],
            env=material.git_environment(site.dir),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
        same = done.returncode == 0 and material.head_of(copy) == site.there["git"]
        shutil.rmtree(copy, ignore_errors=True)
        if not same:
            raise Failed(done.stdout.strip() or "another commit")
        return seconds

    return timed(site, peer, transfer)


def workloads(site, peers, limit):
    """Each may take `limit` seconds."""
    body = make_body(site, POST_BYTES)
    measures = {
        "1 GiB response": lambda p: measure_big(site, p),
        "100 MB echoed": lambda p: measure_echo(site, p, body, limit),
        "100 MB ignored": lambda p: measure_ignored(site, p, body, limit),
    }
    if "git" in site.there:
        measures["git clone"] = lambda p: measure_clone(site, p)
    out = [
        Workload(name, {peer.title: lambda p=peer, m=measure: m(p) for peer in peers})
        for name, measure in measures.items()
    ]
    out[0].measures["into a socket"] = lambda: measure_big_socket(site)
    return out
