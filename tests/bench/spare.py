"""What it gains in latency that workers have been forked ahead (`spare`)."""

import time

from common import start_scgid
from rates import measure_load
from rounds import Workload

SPARES = (0, 2, 8)
CLIENTS = (1, 4)
PROGRAMS = (("C", "hello"), ("shell", "hello.sh"))

CONF = """[scgid]
log = {log}
[bench]
listen = unix:{socket}
listen_mode = 0666
{user}
"""
MAP = """[bench /{spare}]
root = {root}
start = fork-server
spare = {spare}
"""


def start(site):
    """A scgid with a map for each number of spare workers; its SCGI socket."""
    directory = site.own_directory("spare")
    log, socket, conf = (directory / name for name in ("log", "socket", "conf"))
    text = CONF.format(log=log, socket=socket, user=site.values()["SCGID_USER"])
    for spare in SPARES:
        text += MAP.format(spare=spare, root=site.dir / "www" / "cgi")
    conf.write_text(text)
    site.services.append(start_scgid(site.programs, conf, log, directory / "out"))
    return f"unix:{socket}"


def workloads(site, seconds):
    target = start(site)
    for spare in SPARES:
        for _, name in PROGRAMS:
            site.sizes[f"/{spare}/{name}"] = len("hello\n")
            site.load(target, f"/{spare}/{name}", "-n", 4, "-c", 1)
    time.sleep(1)

    def measure(spare, name, clients):
        return measure_load(site, target, f"/{spare}/{name}", clients, seconds)

    return [
        Workload(
            f"{program}, {clients} client" + "s" * (clients > 1),
            {
                f"spare = {spare}": lambda s=spare, n=name, c=clients: measure(s, n, c)
                for spare in SPARES
            },
        )
        for program, name in PROGRAMS
        for clients in CLIENTS
    ]
