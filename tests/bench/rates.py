"""How many requests a second: program by program, and by number of clients."""

import os

import material
from common import run_json
from peers import addresses
from rounds import Failed, Workload, demand_good

CLIENTS = 16
CLIENT_COUNTS = (1, 16, 128, 1024)

# An environment of the size that a CGI program gets.
CGI_ENVIRONMENT = dict(
    {f"HTTP_X_HEADER_{n}": "some value of a header" for n in range(12)},
    PATH="/usr/local/bin:/usr/bin:/bin",
    GATEWAY_INTERFACE="CGI/1.1",
    SERVER_PROTOCOL="HTTP/1.1",
    REQUEST_METHOD="GET",
    SCRIPT_NAME="/cgi/hello",
    SERVER_NAME="localhost",
    SERVER_PORT="80",
)


def measure_load(site, target, uri, clients, seconds):
    result = site.load(target, uri, "-c", clients, "-d", seconds)
    demand_good(result)
    return {
        key: result[key] for key in ("rate", "p50_ms", "p90_ms", "p99_ms", "errors")
    }


def measure_spawn(site, uri, seconds):
    """The limit: the same program in a bare posix_spawn loop."""
    path, _, query = uri.partition("?")
    program = site.dir / "www" / path.lstrip("/")
    result = run_json(
        [site.tools / "spawn-loop", "-c", os.cpu_count(), "-d", seconds, program],
        env=dict(CGI_ENVIRONMENT, QUERY_STRING=query),
    )
    if result["errors"] or not result["runs"]:
        raise Failed(f"{result['errors']} of {result['runs']} runs")
    return {"rate": result["rate"]}


def program_workloads(site, peers, seconds):
    out = []
    for name, uri, need in material.PROGRAMS:
        if need and need not in site.there:
            continue
        measures = {
            title: lambda a=address, u=uri: measure_load(site, a, u, CLIENTS, seconds)
            for title, (_, address) in addresses(peers).items()
        }
        measures["posix_spawn loop"] = lambda u=uri: measure_spawn(site, u, seconds)
        out.append(Workload(name, measures))
    return out


def client_workloads(site, peers, seconds):
    """The C program, for few clients and for many."""
    uri = material.PROGRAMS[0][1]
    return [
        Workload(
            str(count),
            {
                peer.title: lambda p=peer, n=count: measure_load(
                    site, p.url, uri, n, seconds
                )
                for peer in peers
            },
        )
        for count in CLIENT_COUNTS
    ]
