"""fork_worker: a worker, from the fork to the end of its process.

See fork_server.py.  Between the fork and the script each step costs every
request, and so does each object that is touched, as its page is copied then.
"""
import os
import sys
import time
from _weakref import ref

from fork_imports import MAIN_NAMES, find_learned

# Of launcher/fork_protocol.h.
LEARN, RESTART = b"l", b"r"
EXIT = 0x5C610000


class Worker:
    """`socket`: the number of the descriptor that has the variables after fork();
    `command` runs the script without us; `variables`: Python's at its start.
    """

    def __init__(self, socket, command, variables):
        self.socket = socket
        self.command = command
        self.variables = variables
        self.place = os.getcwd()  # where each worker begins
        self.job = None  # a function and its arguments
        self.warnings = ""  # to be shown before it is called
        self.environ = os.environb._data  # posix.environ: os.environ shows it
        self.learner = None  # the arguments of tell_learned, if it is to tell

    # Before the fork

    def freeze(self):
        """The last before the fork: what is here now is here for all workers."""
        known = "gc" in sys.modules
        import gc

        if not known:
            del sys.modules["gc"]
        self.gc = gc
        self.modules = sys.modules.keys() - MAIN_NAMES
        self.modules_end = find_end(sys.modules)
        self.path = list(sys.path)
        place = os.getcwd()
        self.move = place if place != self.place else None
        self.excepthook = sys.excepthook
        self.changes = []
        for name in {**self.variables, **self.environ}:
            change = name, self.variables.get(name), self.environ.get(name)
            if change[1] != change[2]:
                self.changes.append(change)
        # A directory may change within the resolution of its clock.
        for path, finder in list(sys.path_importer_cache.items()):
            if finder is None:
                del sys.path_importer_cache[path]
            elif hasattr(finder, "_path_mtime"):
                finder.invalidate_caches()
        gc.collect()
        gc.freeze()  # out of collections: they are for what workers make

    # After it

    def begin(self):
        """Be the process of the request whose variables are there now."""
        data = os.pread(self.socket, os.lseek(self.socket, 0, os.SEEK_END), 0)
        os.close(self.socket)
        words = iter(data.split(b"\0"))
        option = next(words)
        self.environ.update(zip(words, words))
        if option == RESTART:
            os.execve(sys.executable, self.command, self.environ)
        self.repeat_changes()
        if self.move is not None:
            os.chdir(self.move)
        self.renew()
        if option == LEARN:
            fd = self.socket + 1
            self.learner = os.getpid(), fd, identify(fd)
        if self.warnings:
            sys.stderr.write(self.warnings)

    def repeat_changes(self):
        """Change the variables as Python did at its start, and the application.

        Not one that the request has of its own.
        """
        for name, before, after in self.changes:
            if self.environ.get(name) != before:
                continue
            if after is None:
                os.unsetenv(name)
                del self.environ[name]
            else:
                os.putenv(name, after)
                self.environ[name] = after

    def renew(self):
        """What two processes must not have in common; random sees to itself."""
        modules = sys.modules
        if "numpy.random" in modules:
            modules["numpy.random"].seed()
        if "threading" in modules:
            modules["threading"].main_thread()._set_native_id()
        if "multiprocessing.process" in modules:
            process = modules["multiprocessing.process"].current_process()
            process.authkey = os.urandom(32)
        if self.environ.get(b"TZ") != self.variables.get(b"TZ"):
            time.tzset()

    # The script, in the function that waits

    def run(self, *_):
        self.environ.clear()  # here it costs nothing
        os.fork()
        self.begin()
        failure = []
        try:
            self.start()[0](*self.job[1:])
        except BaseException as error:
            failure.append(error)
        tracers = sys.gettrace(), sys.getprofile()
        sys.settrace(None)
        sys.setprofile(None)
        self.finish(failure, *tracers)

    def start(self):
        """Hide that Python believes to be in sys.excepthook."""
        sys.excepthook = self.excepthook
        forget_last_error()
        return self.job

    # The end

    def finish(self, failure, tracer, profiler):
        """The script has ended.  What is left to do is Python's, if we return."""
        for name in ("stderr", "stdout"):
            try:
                flush(name)
            except BaseException:
                pass  # it is tried again at the end, and told then
        if self.learner:
            self.tell_learned(*self.learner)
        self.job = None
        error = failure.pop() if failure else SystemExit(0)
        if isinstance(error, SystemExit):
            code = 0 if error.code is None else error.code
            if isinstance(code, int) and not (tracer or profiler):
                error = None
                self.end(code)
                error = SystemExit(code)
        self.gc.unfreeze()
        sys.settrace(tracer)
        sys.setprofile(profiler)
        if isinstance(error, SystemExit):
            raise error
        show(error, error.__traceback__.tb_next)

    def tell_learned(self, pid, fd, identity):
        """Send the names of modules that the script imported."""
        try:
            # The script may have forked, or taken our descriptor for its own.
            if os.getpid() != pid or identify(fd) != identity:
                return
            names = find_learned(self.modules, self.path)
            os.write(fd, b"L" + "".join([name + "\0" for name in names]).encode())
            os.close(fd)
        except OSError:
            pass

    def end(self, status):
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
        kinds = {type(thing).__name__ for thing in self.gc.get_objects()}
        if sys.warnoptions or sys.flags.dev_mode or "coroutine" in kinds:
            return  # warnings would name the line that we are at
        if len(sys._current_frames()) > 1:
            return  # a daemon would go on while its modules go
        forget_last_error()
        for name in ("stdin", "stdout", "stderr"):
            setattr(sys, name, getattr(sys, "__%s__" % name))
        self.clear_modules()
        flush("stdout")
        flush("stderr")
        if not self.has_finalizers():
            os._exit(EXIT + (status & 0xFF))

    def clear_modules(self):
        if self.gc.isenabled():
            self.gc.collect()  # puts a file before those that it stands on
        names = []
        if find_end(sys.modules) != self.modules_end:  # to look at all costs a lot
            names = [name for name in sys.modules if name not in self.modules]
        references = [(name, ref(sys.modules[name])) for name in names]
        for name in names:
            del sys.modules[name]
        self.gc.collect()
        for name, reference in references:
            if reference():
                sys.modules[name] = reference()

    def has_finalizers(self):
        """Whether an object is left that wants something done at the end."""
        for kind in {type(thing) for thing in self.gc.get_objects()}:
            for base in kind.__mro__:
                if "__del__" in vars(base):
                    return True
        return False


def find_end(table):
    """Not the same once there is a name more; a dict keeps their order."""
    return len(table), next(reversed(table), None)


def forget_last_error():
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)


def flush(name):
    stream = getattr(sys, name, None)
    if stream is not None and not stream.closed:
        stream.flush()


def identify(fd):
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


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
