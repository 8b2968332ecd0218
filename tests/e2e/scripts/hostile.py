#!/usr/bin/python3 -IS
"""A script that attacks: tries everything on the processes it is told of.

QUERY_STRING: pids, separated by commas, then sockets; the spool directory is
in SPOOL.  Prints, as JSON, what succeeded that should not.
"""

import ctypes
import errno
import json
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
done = []
tried = 0


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def attempt(name, function):
    """Record it unless it is refused."""
    global tried
    tried += 1
    try:
        function()
    except (PermissionError, ConnectionError):
        return
    except OSError as error:
        if error.errno in (errno.EBADF, errno.EACCES, errno.EPERM, errno.ENOSYS):
            return
        done.append("%s: %s" % (name, error))
        return
    done.append(name)


def check(n):
    if n == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def read_memory(pid):
    data = ctypes.create_string_buffer(8)
    local = Vector(ctypes.addressof(data), 8)
    remote = Vector(ctypes.addressof(data), 8)
    check(
        libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    )


def write_memory(pid):
    data = ctypes.create_string_buffer(8)
    local = Vector(ctypes.addressof(data), 8)
    remote = Vector(ctypes.addressof(data), 8)
    check(
        libc.process_vm_writev(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    )


def open_descriptors(pid):
    for name in os.listdir("/proc/%d/fd" % pid):
        os.close(os.open("/proc/%d/fd/%s" % (pid, name), os.O_RDONLY))


def steal_descriptor(pid):
    pidfd = libc.syscall(434, pid, 0)
    check(pidfd)
    try:
        check(libc.syscall(438, pidfd, 0, 0))
    finally:
        os.close(pidfd)


def attack(pid):
    attempt(
        "attach %d" % pid, lambda: check(libc.ptrace(PTRACE_ATTACH, pid, None, None))
    )
    attempt("seize %d" % pid, lambda: check(libc.ptrace(PTRACE_SEIZE, pid, None, None)))
    attempt("mem %d" % pid, lambda: open("/proc/%d/mem" % pid, "rb+"))
    attempt("maps %d" % pid, lambda: open("/proc/%d/maps" % pid).read(1))
    attempt("environ %d" % pid, lambda: open("/proc/%d/environ" % pid, "rb").read(1))
    attempt("fd %d" % pid, lambda: open_descriptors(pid))
    attempt("exe %d" % pid, lambda: os.readlink("/proc/%d/exe" % pid))
    attempt("cwd %d" % pid, lambda: os.listdir("/proc/%d/cwd/" % pid))
    attempt("root %d" % pid, lambda: os.listdir("/proc/%d/root/" % pid))
    attempt("readv %d" % pid, lambda: read_memory(pid))
    attempt("writev %d" % pid, lambda: write_memory(pid))
    attempt("getfd %d" % pid, lambda: steal_descriptor(pid))
    for number in (0, 23, 15, 9):
        attempt("kill %d %d" % (pid, number), lambda: os.kill(pid, number))


def connect(path):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(3)
        peer.connect(path)
        peer.sendall(b"70:")
        if not peer.recv(1):
            raise ConnectionError


def open_spool(directory):
    for name in os.listdir(directory):
        done.append("spool: %s" % name)


def become(uid):
    for name in ("setuid", "seteuid"):
        attempt("%s %d" % (name, uid), lambda: getattr(os, name)(uid))
    attempt("setresuid %d" % uid, lambda: os.setresuid(uid, uid, uid))


words = [w for w in os.environ["QUERY_STRING"].split(",") if w]
own = [int(w[4:]) for w in words if w.startswith("own:")]
for word in words:
    if word.isdigit():
        attack(int(word))
    elif word.startswith("/"):
        attempt("connect " + word, lambda: connect(word))
for pid in own:  # its launcher is of the same user: a signal may, no more
    os.kill(pid, 0)
    for name, function in (
        ("attach", lambda: check(libc.ptrace(PTRACE_ATTACH, pid, None, None))),
        ("mem", lambda: open("/proc/%d/mem" % pid, "rb+")),
        ("environ", lambda: open("/proc/%d/environ" % pid, "rb").read(1)),
        ("fd", lambda: open_descriptors(pid)),
        ("readv", lambda: read_memory(pid)),
        ("getfd", lambda: steal_descriptor(pid)),
    ):
        attempt("%s of the launcher" % name, function)
open_spool(os.environ["SPOOL"])
for fd in range(3, 4096):
    attempt("write to %d" % fd, lambda: os.write(fd, b"x"))
become(0)
for uid in [int(w[4:]) for w in words if w.startswith("uid:")]:
    become(uid)
attempt("setgroups", lambda: os.setgroups([0]))
attempt("chroot", lambda: os.chroot("/"))
print("Content-Type: application/json\n")
print(json.dumps({"done": done, "tried": tried}))
