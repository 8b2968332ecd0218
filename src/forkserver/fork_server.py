INITIAL = dict(globals())  # `python -x` skips this line, and ends for want of it
"""fork_server: a Python that has compiled a script and waits for requests.

    python [SWITCHES] fork_server.py [--preload=NAME,...] [--wsgi] SCRIPT [ARG...]

The launcher starts it, with a library that takes the place of fork()
(preload.c).  What it says to the launcher is in launcher/fork_protocol.h.

It compiles the script, imports the modules of --preload and calls fork() once,
which returns in workers only.  A worker finds the variables of its request in a
file at the descriptor where the socket was, and runs the script.

The script finds what `python SCRIPT` would give it; scgid-start(7) names what
differs.  So this imports nothing that Python has not imported at its start.

A name in --preload that begins with "-" is one that must not be imported, not
by another module of the list either.  With --wsgi SCRIPT is FILE:CALLABLE.

What keeps it from serving is told on stderr, with a status that is not 0.
"""

import _signal
import _weakref
import io
import os
import stat
import sys
import time

VARIABLE = "SCGID_FORK_SERVER"

# What Python looks at but once, when it starts.
START_VARIABLES = (b"LANG", b"LC_", b"PYTHON", b"HOME")

# What a request has and a fork server has not.
REQUEST_VARIABLES = (b"AUTH_TYPE", b"CONTENT_", b"DOCUMENT_", b"HTTP", b"PATH_INFO")
REQUEST_VARIABLES += (b"PATH_TRANSLATED", b"QUERY_STRING", b"REMOTE_", b"REQUEST_")
REQUEST_VARIABLES += (b"SCRIPT_", b"SERVER_NAME", b"SERVER_PORT", b"SERVER_PROTOCOL")

TRIAL_SECONDS = 60  # then an import that is tried is taken to hang

environ = os.environb._data  # posix.environ: os.environ shows it
job = []  # the function that a worker is to call, and its arguments
learner = []  # what tell_learned needs, in a worker that is to tell
known_modules = set()  # imported before the fork
gc = None  # the module, which is not to be in sys.modules


def main():
    """Returns in a worker, as the script is to begin: the function to run it."""
    socket = int(os.environ.pop(VARIABLE))
    names, is_wsgi, script, arguments = parse(sys.argv[1:])
    command = command_without_us(is_wsgi, script, arguments)
    first = first_variables()
    stand_in(script, arguments)
    warnings = ""
    if not is_wsgi:
        code, warnings = compile_script(script)
    import_ahead(names)
    if is_wsgi:
        load_application(script)
    refuse_threads()
    last = dict(environ)
    files = b"".join(os.fsencode(name) + b"\0" for name in source_files())
    freeze()
    if not is_wsgi:
        job[:] = [exec, code, new_main(script)]
    os.write(socket, b"F" + files)
    os.putenv(VARIABLE, "ready")
    os.fork()
    options, *entries = read_block(socket).split(b"\0")[:-1]
    set_variables(entries)
    if start_variables(first) != start_variables(environ):
        os.execve(sys.executable, command, environ)
    repeat_changes(first, last)
    renew(first)
    if options == b"learn":
        learner[:] = [os.getpid(), socket + 1, identify(socket + 1)]
    sys.stderr.write(warnings)
    return disguise(run, script)


# The command line


def parse(words):
    """(names to import ahead, whether it is WSGI, script, its arguments)"""
    names, is_wsgi = [], False
    while words and words[0].startswith("--"):
        option, _, value = words.pop(0).partition("=")
        if option == "--preload":
            names += value.split(",")
        elif option == "--wsgi":
            is_wsgi = True
    return [name for name in names if name], is_wsgi, words[0], words[1:]


def command_without_us(is_wsgi, script, arguments):
    """What would run the script without a fork server."""
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")[:-1]
    program = [beside_us("inetd_scgi.py")] if is_wsgi else []
    program += [script] + arguments
    return words[: -len(sys.argv)] + [os.fsencode(word) for word in program]


def first_variables():
    """Those that Python was started with."""
    with open("/proc/self/environ", "rb") as file:
        entries = file.read().split(b"\0")
    return {n: v for n, found, v in (e.partition(b"=") for e in entries) if found}


def beside_us(name):
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)


# The place of the script


def stand_in(script, arguments):
    """Make all that tells what Python was started with tell of the script."""
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[-len(sys.argv) :] = [script] + arguments
    sys.argv = [script] + arguments
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    new_main(script)


def new_main(script):
    """A new module __main__, as a script finds it; returns its names."""
    module = sys.modules["__main__"] = type(sys)("__main__")
    namespace = vars(module)
    namespace.clear()
    namespace.update(INITIAL, __doc__=None, __file__=script)
    namespace["__loader__"] = type(INITIAL["__loader__"])("__main__", script)
    if "__annotations__" in namespace:
        namespace["__annotations__"] = {}
    return namespace


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


def load_application(spec):
    """Make the application of FILE:CALLABLE the job of workers."""
    sys.path.insert(0, beside_us(""))
    import inetd_scgi

    del sys.path[0]
    stdout = os.dup(1)
    os.dup2(2, 1)  # where an application's prints go, from the first
    try:
        job[:] = [inetd_scgi.run_app, inetd_scgi.load_app(spec)]
        sys.stdout.flush()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def refuse_threads():
    """Only the thread that forks is in the child; the others would be missed."""
    if count_threads() == 1:
        return
    threading = sys.modules.get("threading")
    names = [thread.name for thread in threading.enumerate()] if threading else []
    raise SystemExit(
        "fork_server: the imports started threads, which a fork does not take over"
        " (%d; Python's: %s); let them start with the first request, or leave out"
        " what starts them, with preload" % (count_threads() - 1, names[1:])
    )


def count_threads():
    return len(os.listdir("/proc/self/task"))


def source_files():
    """The files that the modules came from."""
    found = set()
    for module in list(sys.modules.values()):
        try:
            # vars() would have a lazy module load itself.
            name = object.__getattribute__(module, "__dict__").get("__file__")
            name = os.path.abspath(name)
        except (AttributeError, TypeError, ValueError):
            continue
        while not os.path.exists(name):  # it is in an archive
            name = os.path.dirname(name)
        if os.path.dirname(name) != beside_us("")[:-1]:
            found.add(name)
    return found


def freeze():
    """What is here now is older than any garbage: keep it out of collections."""
    global gc
    known = "gc" in sys.modules
    import gc

    if not known:
        del sys.modules["gc"]
    known_modules.update(sys.modules)
    known_modules.remove("__main__")
    gc.collect()
    gc.freeze()


# Imports ahead
#
# A module is imported ahead if nobody could tell.  Whether that is so shows
# when it is imported, so a child tries it first.


def import_ahead(names):
    banned = [name[1:] for name in names if name.startswith("-")]
    names = [name for name in names if not name.startswith("-")]
    while names:
        verdicts = try_imports(names, banned)
        for name, verdict in zip(names, verdicts):
            if verdict == ord("+"):
                __import__(name)
        names = names[len(verdicts) + 1 :]


def try_imports(names, banned):
    """Verdicts on the first of the names, up to one that must not be imported.

    "+" for one to import, "-" for one that cannot be.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            Trial(os.dup(2), writer, banned).run(names)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        verdicts = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        say(2, names[len(verdicts)], "ends the process (%d)" % status)
    return verdicts


def say(fd, name, fault):
    text = "fork_server: %s is not imported ahead: it %s\n" % (name, fault)
    os.write(fd, text.encode("utf-8", "backslashreplace"))


class Trial:
    """The child's part.  `log` and `answers` are descriptors."""

    def __init__(self, log, answers, banned):
        self.log = log
        self.answers = answers
        self.banned = banned
        for fd, text in ((0, b"x"), (1, b""), (2, b"")):
            file = os.memfd_create("trial")
            os.pwrite(file, text, 0)
            os.dup2(file, fd)
            os.close(file)
        self.descriptors = set(os.listdir("/proc/self/fd"))
        self.directory = os.getcwd()
        self.main_count = sys.getrefcount(sys.modules["__main__"])
        self.variables = dict(environ)
        os.environ._data = os.environb._data = Watched(environ)

    def run(self, names):
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
        _signal.alarm(TRIAL_SECONDS)
        for name in names:
            try:
                __import__(name)
                verdict = b"+"
            except BaseException:
                verdict = b"-"  # the script will meet it, if it does
            fault = self.find_fault()
            if fault:
                return say(self.log, name, fault)
            os.write(self.answers, verdict)

    def find_fault(self):
        """What the import did that a script could tell, or None."""
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fstat(1).st_size or os.fstat(2).st_size:
            return "prints"
        if os.lseek(0, 0, os.SEEK_CUR):
            return "reads its standard input"
        if count_threads() > 1:
            return "starts threads"
        if os.environ._data.is_read or os.environ._data != self.variables:
            return "reads or changes the request's variables"
        if os.getcwd() != self.directory:
            return "changes the working directory"
        if sys.getrefcount(sys.modules["__main__"]) != self.main_count:
            return "holds the module __main__"
        return self.find_descriptor() or self.find_banned()

    def find_descriptor(self):
        for name in set(os.listdir("/proc/self/fd")) - self.descriptors:
            try:
                mode = os.fstat(int(name)).st_mode
            except OSError:  # it was that of the list
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
                return "keeps open what requests must not share"

    def find_banned(self):
        for name in self.banned:
            if any((module + ".").startswith(name + ".") for module in sys.modules):
                return "imports %s" % name


class Watched(dict):
    """What os.environ shows, that knows whether a request's part was read."""

    is_read = False

    def __getitem__(self, key):
        self.is_read = self.is_read or key.startswith(REQUEST_VARIABLES)
        return dict.__getitem__(self, key)

    def __iter__(self):
        self.is_read = True
        return dict.__iter__(self)


# A worker begins


def read_block(fd):
    with open(fd, "rb", buffering=0) as file:
        return file.read()


def set_variables(entries):
    """What os.environ shows.  That of C is so already."""
    environ.clear()
    for entry in entries:
        name, found, value = entry.partition(b"=")
        if found:
            environ.setdefault(name, value)


def start_variables(variables):
    return {n: v for n, v in variables.items() if n.startswith(START_VARIABLES)}


def repeat_changes(first, last):
    """Change the variables as Python did when it started, and the application.

    Not one that the request has of its own.
    """
    for name in {**first, **last}:
        before, after = first.get(name), last.get(name)
        if after == before or environ.get(name) != before:
            continue
        if after is None:
            del os.environb[name]
        else:
            os.environb[name] = after


def renew(first):
    """Forget what a process must not have in common with another.

    Module random sees to itself.
    """
    numpy = sys.modules.get("numpy.random")
    if numpy:
        numpy.seed()
    threading = sys.modules.get("threading")
    if threading:
        threading.main_thread()._set_native_id()
    process = sys.modules.get("multiprocessing.process")
    if process:
        process.current_process().authkey = os.urandom(32)
    if environ.get(b"TZ") != first.get(b"TZ"):
        time.tzset()
    # Directories may have changed, within the resolution of their clock too.
    finders = sys.path_importer_cache
    for path, finder in list(finders.items()):
        if finder is None:
            del finders[path]
        elif hasattr(finder, "_path_mtime"):
            finder.invalidate_caches()


# A worker works, and ends


def disguise(function, script):
    """As the bottom of the stack it is to look like the script's."""
    names = {"co_filename": script, "co_name": "<module>", "co_firstlineno": 1}
    if sys.version_info >= (3, 11):
        names["co_qualname"] = "<module>"
    return type(function)(function.__code__.replace(**names), globals())


def run(*_):
    failure = []
    try:
        begin()[0](*job[1:])
    except BaseException as error:
        failure.append(error)
    tracers = sys.gettrace(), sys.getprofile()
    sys.settrace(None)
    sys.setprofile(None)
    finish(failure, *tracers)


def begin():
    """Hide that Python believes to be in sys.excepthook."""
    sys.excepthook = sys.__excepthook__
    forget_last_error()
    return job


def forget_last_error():
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)


def finish(failure, tracer, profiler):
    """The script has ended.  What is left to do is Python's, if this returns."""
    for name in ("stderr", "stdout"):
        try:
            flush(name)
        except BaseException:
            pass  # it is tried again at the end, and told then
    if learner:
        tell_learned(*learner)
    job.clear()
    error = failure.pop() if failure else SystemExit(0)
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
        if isinstance(code, int) and not (tracer or profiler):
            error = None
            end(code)
            error = SystemExit(code)
    gc.unfreeze()
    sys.settrace(tracer)
    sys.setprofile(profiler)
    if isinstance(error, SystemExit):
        raise error
    show(error, error.__traceback__.tb_next)


def flush(name):
    stream = getattr(sys, name, None)
    if stream is not None and not stream.closed:
        stream.flush()


def identify(fd):
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def tell_learned(pid, fd, identity):
    """Send the names of the modules that the script imported."""
    try:
        # The script may have forked, or taken our descriptor for its own.
        if os.getpid() != pid or identify(fd) != identity:
            return
        names = [name for name in sys.modules if name not in known_modules]
        names = [n for n in names if all(map(str.isidentifier, n.split(".")))]
        text = "".join(name + "\0" for name in names if name != "__main__")
        os.write(fd, b"L" + text.encode())
        os.close(fd)
    except OSError:
        pass


def show(error, trace):
    """As Python shows an exception that nobody caught, without our frame."""
    error.__traceback__ = trace
    told = type(error), error, trace
    sys.last_type, sys.last_value, sys.last_traceback = told
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    if not hasattr(sys, "excepthook"):
        sys.stderr.write("sys.excepthook is missing\n")
        sys.excepthook = sys.__excepthook__
    sys.audit("sys.excepthook", sys.excepthook, *told)
    second = None
    try:
        sys.excepthook(*told)
    except SystemExit:
        raise
    except BaseException as caught:
        second = caught.with_traceback(caught.__traceback__.tb_next)
    if second is not None:
        sys.stderr.write("Error in sys.excepthook:\n")
        sys.__excepthook__(type(second), second, second.__traceback__)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(*told)
    if type(error) is KeyboardInterrupt:
        try:
            exec("raise KeyboardInterrupt")  # it is this that Python dies of
        except KeyboardInterrupt:
            pass


def end(status):
    """End the process as Python does.  Returns if only Python itself can.

    Python would take apart every module.  This does so with what the script
    made: all else is frozen, and goes with the process.
    """
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        if "atexit" in sys.modules:
            sys.modules["atexit"]._run_exitfuncs()
        flush("stdout")
        flush("stderr")
    except BaseException:
        return
    kinds = {type(thing).__name__ for thing in gc.get_objects()}
    if sys.warnoptions or sys.flags.dev_mode or "coroutine" in kinds:
        return  # warnings would name the line that we are at
    if len(sys._current_frames()) > 1:
        return  # a daemon would go on while its modules go
    forget_last_error()
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    clear_modules()
    flush("stdout")
    flush("stderr")
    if not has_finalizers():
        os._exit(status & 0xFF)


def clear_modules():
    if gc.isenabled():
        gc.collect()  # so that files come before those that they stand on
    names = [name for name in sys.modules if name not in known_modules]
    references = [(name, _weakref.ref(sys.modules[name])) for name in names]
    for name in names:
        del sys.modules[name]
    gc.collect()
    for name, reference in references:
        if reference():
            sys.modules[name] = reference()


def has_finalizers():
    """Whether an object is left for which something is to be done at the end."""
    types = {type(thing) for thing in gc.get_objects()}
    return any(["__del__" in vars(base) for kind in types for base in kind.__mro__])


if __name__ == "__main__":
    sys.excepthook = main()
    raise Exception("the end of this module, and of its frame")
