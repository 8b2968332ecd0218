"""fork_imports: imports modules ahead of the script that will want them.

Only those of which the script could not tell that.  Whether a module is one
shows when it is imported, so a child tries it first, and what it may not do is
in Trial.find_fault.
"""
import _signal
import os
import stat
import sys

TRIAL_SECONDS = 60  # then an import is taken to hang

MAIN_NAMES = {"__main__", "__mp_main__"}  # the latter is multiprocessing's

# What a request has and a fork server has not.
REQUEST_VARIABLES = (
    b"AUTH_TYPE",
    b"CONTENT_",
    b"DOCUMENT_",
    b"HTTP",
    b"PATH_INFO",
    b"PATH_TRANSLATED",
    b"QUERY_STRING",
    b"REMOTE_",
    b"REQUEST_",
    b"SCRIPT_",
    b"SERVER_NAME",
    b"SERVER_PORT",
    b"SERVER_PROTOCOL",
)


def find_learned(known, path):
    """Modules to import ahead from now on: those not in `known`.

    Only what is found with the sys.path that was: the script may have changed it.
    """
    path, sys.path = sys.path, path
    try:
        names = [n for n in sys.modules if n not in known and n not in MAIN_NAMES]
        tops = {name.partition(".")[0] for name in names}
        tops = {name for name in tops if is_found(name, sys.modules.get(name))}
        return [n for n in names if n.partition(".")[0] in tops and is_name_of(n)]
    except Exception:
        return []  # something is wrong with what the script made of its modules
    finally:
        sys.path = path


def is_found(name, module):
    """Whether an import by the name finds this module."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None:
            return place_of(spec) == place_of(module.__spec__)
    return False


def place_of(spec):
    return spec.origin, list(spec.submodule_search_locations or ())


def is_name_of(name):
    """Whether it can be in a list, and is not that of another module too."""
    spec = getattr(sys.modules[name], "__spec__", None)
    is_valid = all(part.isidentifier() for part in name.split("."))
    return is_valid and getattr(spec, "name", None) == name


def import_ahead(names):
    """Import them; "-NAME" is one that must not be, with what is below it."""
    banned = [name[1:] for name in names if name.startswith("-")]
    names = [name for name in names if not name.startswith("-")]
    while names:
        verdicts = try_imports(names, banned)
        for name, verdict in zip(names, verdicts):
            if verdict == ord("+"):
                __import__(name)
        names = names[len(verdicts) + 1 :]


def try_imports(names, banned):
    """Verdicts on the first names, up to one that must not be imported.

    "+": it can be imported; "-": it cannot, and the script will see to that.
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
    """What the launcher logs, once."""
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
        self.descriptors = open_descriptors()
        self.directory = os.getcwd()
        self.path = list(sys.path)
        self.main_count = count_holders_of_main()
        self.variables = dict(os.environb._data)
        self.watched = Watched(self.variables)
        os.environ._data = os.environb._data = self.watched

    def run(self, names):
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
        _signal.alarm(TRIAL_SECONDS)
        for name in names:
            error = None
            try:
                # As __main__: it is shown what is deprecated, others are not.
                exec("import " + name, {"__name__": "__main__"})
            except BaseException as caught:
                error = "raises %s: %s" % (type(caught).__name__, caught)
            fault = self.find_fault()
            if fault or error:
                say(self.log, name, fault or error)
            if fault:
                return
            os.write(self.answers, b"-" if error else b"+")

    def find_fault(self):
        """What the imports did that a script could tell, or None."""
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fstat(1).st_size or os.fstat(2).st_size:
            return "writes to stdout or stderr"
        if os.lseek(0, 0, os.SEEK_CUR):
            return "reads stdin"
        if self.watched.is_read or self.watched != self.variables:
            return "reads or changes the variables of the request"
        if count_threads() > 1:
            return "starts threads"
        if os.getcwd() != self.directory or sys.path != self.path:
            return "changes the working directory, or sys.path"
        if count_holders_of_main() != self.main_count:
            return "keeps or changes the module __main__"
        return self.find_descriptor() or self.find_banned()

    def find_descriptor(self):
        for number, status in open_descriptors().items():
            # Each worker opens a file again, for itself.
            is_file = stat.S_ISREG(status.st_mode) and status.st_nlink > 0
            if number not in self.descriptors and not (
                is_file or stat.S_ISCHR(status.st_mode)
            ):
                return "keeps open what requests must not share"

    def find_banned(self):
        for name in self.banned:
            if any((module + ".").startswith(name + ".") for module in sys.modules):
                return "imports %s" % name


def open_descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.fstat(int(name))
        except OSError:
            pass  # it was that of the list
    return found


def count_threads():
    return len(os.listdir("/proc/self/task"))


def count_holders_of_main():
    """How many hold the module __main__, besides sys.modules; and its names."""
    main = sys.modules["__main__"]
    names = MAIN_NAMES & sys.modules.keys()
    return sys.getrefcount(main) - len(names), len(vars(main))


class Watched(dict):
    """What os.environ shows, that knows whether a request's part was read."""

    is_read = False

    def __getitem__(self, key):
        self.is_read = self.is_read or key.startswith(REQUEST_VARIABLES)
        return dict.__getitem__(self, key)

    def __iter__(self):
        self.is_read = True
        return dict.__iter__(self)
