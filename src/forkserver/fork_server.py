INITIAL = dict(globals())  # what a script finds; `python -x` skips this line
"""fork_server: a Python that has compiled a script and waits for requests.

    python [SWITCHES] fork_server.py [--preload=NAME,...] [--wsgi] SCRIPT [ARG...]

The launcher starts it, with a library that takes the place of fork()
(preload.c).  What it says to the launcher is in launcher/fork_protocol.h.

It compiles the script, imports the modules of --preload (fork_prepare.py,
fork_imports.py) and calls fork() once, which returns in workers only.  A worker
finds the variables of its request in a file at the descriptor where the socket
was, and runs the script (fork_worker.py).

The script finds what `python SCRIPT` would give it; scgid-start(7) names what
differs.  So nothing is imported here that Python does not import at its start.

A name in --preload that begins with "-" is one that must not be imported, not
by another module of the list either.  With --wsgi SCRIPT is FILE:CALLABLE.

What keeps it from serving is told on stderr, with a status that is not 0.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def import_ours(name, *others):
    """A module from beside this file; the script will not find it, nor others."""
    dont_write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, HERE)
    module = __import__(name)
    del sys.path[0], sys.path_importer_cache[HERE]
    for other in others:
        del sys.modules[other]
    sys.dont_write_bytecode = dont_write_bytecode
    return module


if __name__ == "__main__":
    names = "fork_prepare", "fork_imports", "fork_worker"
    ours = import_ours(*names, names[0])
    # Python calls it once this module has ended and is gone: no worker has to
    # give back its copy of it, and nothing of it is below the script.
    sys.excepthook = ours.prepare(globals().get("INITIAL"), HERE, import_ours)
    raise Exception("the fork server's part is done")
