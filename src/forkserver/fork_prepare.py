"""fork_prepare: what a Python does before it waits for requests.

See fork_server.py.
"""
import io
import os
import sys

import fork_imports
import fork_worker

VARIABLE = "SCGID_FORK_SERVER"

FILES_AT_ONCE = 100  # as there is a limit to the size of a message


def prepare(initial, directory, import_ours):
    """The function to call when nothing else is left to do: it waits.

    `initial`: what is in a script's module before its first line; `directory`
    and `import_ours`: where our modules are, and a function to import one.
    """
    if initial is None or sys.flags.inspect:
        raise SystemExit("fork_server: not with python -x or -i")
    socket = int(os.environ.pop(VARIABLE))
    names, is_wsgi, program, arguments = parse(sys.argv[1:])
    script = program[-1]
    place = os.path.dirname(os.path.realpath(script))
    if is_wsgi:
        inetd_scgi = import_ours("inetd_scgi")
        script = inetd_scgi.split_spec(program[-1])[0]
        place = inetd_scgi.find_module(os.path.realpath(script))[0]
        program.insert(0, os.path.join(directory, "run_wsgi.py"))
    command = command_of(program + arguments)
    worker = fork_worker.Worker(socket, command, initial_variables())
    stand_in(initial, script, arguments, place)
    if not is_wsgi:
        code, worker.warnings = compile_script(script)
    fork_imports.import_ahead(names)
    if is_wsgi:
        worker.job = load_application(inetd_scgi, program[-1])
    refuse_threads()
    files = [os.fsencode(name) + b"\0" for name in source_files(directory)]
    worker.freeze()
    if not is_wsgi:
        worker.job = [exec, code, new_main(initial, script)]
    work = disguise(worker, script)
    for n in range(0, len(files), FILES_AT_ONCE):
        os.write(socket, b"F" + b"".join(files[n : n + FILES_AT_ONCE]))
    os.putenv(VARIABLE, "ready")
    return work


# The command line


def parse(words):
    """(names to import ahead, whether it is WSGI, [script], its arguments)"""
    names, is_wsgi = [], False
    while words and words[0].startswith("--"):
        option, _, value = words.pop(0).partition("=")
        if option == "--preload":
            names += value.split(",")
        elif option == "--wsgi":
            is_wsgi = True
    return [name for name in names if name], is_wsgi, words[:1], words[1:]


def command_of(program):
    """What runs the program by this interpreter, with its switches."""
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")[:-1]
    return words[: -len(sys.argv)] + [os.fsencode(word) for word in program]


def initial_variables():
    """Those that Python was started with; it may have set one since."""
    with open("/proc/self/environ", "rb") as file:
        entries = file.read().split(b"\0")
    return {n: v for n, found, v in (e.partition(b"=") for e in entries) if found}


# In the place of the script


def stand_in(initial, script, arguments, place):
    """Make all that tells what Python was started with tell of the script.

    `place`: the directory that its imports begin in.
    """
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[-len(sys.argv) :] = [script] + arguments
    sys.argv = [script] + arguments
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = place
    new_main(initial, script)


def new_main(initial, script):
    """A new module __main__, as a script finds it; returns its names."""
    module = type(sys)("__main__")
    for name in fork_imports.MAIN_NAMES & sys.modules.keys():
        sys.modules[name] = module
    namespace = vars(module)
    namespace.clear()
    namespace.update(initial, __file__=script)
    namespace["__loader__"] = type(initial["__loader__"])("__main__", script)
    if "__annotations__" in namespace:
        namespace["__annotations__"] = {}
    return namespace


def disguise(worker, script):
    """worker.run, looking like the script's: it is at the bottom of the stack."""
    function = fork_worker.Worker.run
    names = {"co_filename": script, "co_name": "<module>", "co_firstlineno": 1}
    if sys.version_info >= (3, 11):
        names["co_qualname"] = "<module>"
    code = function.__code__.replace(**names)
    return type(worker.run)(type(function)(code, vars(fork_worker)), worker)


# What it is to do


def compile_script(script):
    """The script's code, and what Python says on stderr about it."""
    with open(script, "rb") as file:
        source = file.read()
    stderr, sys.stderr = sys.stderr, io.StringIO()
    error = None
    try:
        code = compile(source, script, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as caught:
        error = caught.with_traceback(None)
    finally:
        text, sys.stderr = sys.stderr.getvalue(), stderr
    if error is not None:
        sys.excepthook(type(error), error, None)
        raise SystemExit(1)
    return code, text


def load_application(inetd_scgi, spec):
    """What serves a request with the application of FILE:CALLABLE."""
    stdout = os.dup(1)
    os.dup2(2, 1)  # where an application's prints go, from the first
    try:
        app = inetd_scgi.load_app(spec)
        sys.stdout.flush()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    return [inetd_scgi.run_app, app]


def refuse_threads():
    """A fork takes over the thread that forks; others would be missed."""
    count = fork_imports.count_threads() - 1
    if count == 0:
        return
    threading = sys.modules.get("threading")
    names = [thread.name for thread in threading.enumerate()[1:]] if threading else []
    raise SystemExit(
        "fork_server: %d threads have been started, which workers would not have"
        " (those of Python: %s); start them with the first request, or leave out"
        " with preload = -NAME what does" % (count, ", ".join(names) or "none")
    )


def source_files(directory):
    """The files that the modules came from, but for those in `directory`."""
    found = set()
    for module in list(sys.modules.values()):
        try:
            # vars() would make a lazy module load itself.
            name = object.__getattribute__(module, "__dict__").get("__file__")
            name = os.path.abspath(name)
        except (AttributeError, TypeError, ValueError):
            continue
        while not os.path.exists(name):  # it is in an archive
            name = os.path.dirname(name)
        if os.path.dirname(name) != directory:
            found.add(name)
    return found
