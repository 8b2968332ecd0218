"""What a service manager makes of a unit, with the kernel's own means.

For tests of the units, as no systemd may be started for them.  Run as a
program, it makes a machine of its own out of this one (an overlay in a mount
namespace, so nothing outside is changed), applies each directive of a unit as
systemd.exec(5) describes it, and becomes what ExecStart names:

    unshare --mount --uts sandbox.py UNIT [NAME=VALUE ...] <PLAN

A plan is a JSON object: "directory", an empty one for the overlay; "files", a
tree that lies over this machine's; "instance"; "bare", to apply only what
makes the service what it is, and nothing that restricts it.
"""

import ctypes
import errno
import json
import os
import pathlib
import pwd
import resource
import shutil
import stat
import subprocess
import sys

# Directives that no script can notice, and why.
NOT_APPLIED = {
    "Type": "what the manager waits for",
    "ExecReload": "what the manager runs",
    "KillMode": "how the manager ends the service",
    "TimeoutStopSec": "how the manager ends the service",
    "Restart": "what the manager does when the service has ended",
    "RestartPreventExitStatus": "what the manager does when the service has ended",
    "WatchdogSec": "how the manager watches the service",
    "RuntimeDirectoryPreserve": "what the manager does when the service has ended",
    "RemoveIPC": "what the manager does when the service has ended",
    "CPUWeight": "a share, not a limit",
    "IOWeight": "a share, not a limit",
}

# Kept under "bare": without these it is not this service.
IDENTITY = {"User", "ExecStart", "RuntimeDirectory", "LogsDirectory"}

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap "
    "linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock "
    "ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease "
    "audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm "
    "block_suspend audit_read perfmon bpf checkpoint_restore"
).split()

libc = ctypes.CDLL(None, use_errno=True)


def directives(path, instance=""):
    """The [Service] section: name -> values; an empty one forgets earlier."""
    found, section = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif "=" in line and section == "[Service]" and not line.startswith("#"):
            name, _, value = line.partition("=")
            value = value.replace("%i", instance).replace("%n", pathlib.Path(path).name)
            if value:
                found.setdefault(name, []).append(value)
            else:
                found[name] = []
    return found


def known():
    """Every directive that is applied, or need not be."""
    return set(NOT_APPLIED) | set(MOUNTS) | set(PROCESS) | set(FILTERS) | HANDLED


def check(result, what):
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [
        None if text is None else str(text).encode()
        for text in (source, target, kind, data)
    ]
    check(
        libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]),
        "mount %s on %s" % (kind or source, target),
    )


def bind(source, target):
    mount(source, target, flags=MS_BIND | MS_REC)


def tmpfs(target, mode="0755"):
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "mode=" + mode)


def mounts():
    """(path, flags) of each mount, the later and deeper ones last."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        flags = sum(FLAGS.get(word, 0) for word in words[5].split(","))
        found.append((words[4].replace("\\040", " "), flags))
    return found


# The machine


def make_machine(directory, files):
    """Change to a root of our own: an overlay over this machine's."""
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    tmpfs(directory)
    upper, work, root = (directory / name for name in ("upper", "work", "root"))
    for path in (work, root):
        path.mkdir()
    shutil.copytree(files, upper, symlinks=True)
    for top, names, leaves in os.walk(files):
        for name in [""] + names + leaves:
            old = os.lstat(os.path.join(top, name))
            new = os.path.join(upper, os.path.relpath(os.path.join(top, name), files))
            os.chown(new, old.st_uid, old.st_gid, follow_symlinks=False)
            os.chmod(new, old.st_mode & 0o7777)
    mount("o", root, "overlay", 0, "lowerdir=/,upperdir=%s,workdir=%s" % (upper, work))
    for name in ("proc", "sys", "dev"):
        bind("/" + name, root / name)
    os.chdir(root)
    check(libc.syscall(155, b".", b"."), "pivot_root")  # x86-64
    check(libc.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")
    for name, mode in (("run", "0755"), ("tmp", "1777"), ("var/tmp", "1777")):
        tmpfs("/" + name, mode)
    pathlib.Path("/run/user").mkdir()


# File systems.  Each adds to `modes`, path -> "ro", "rw" or "none".


def split_paths(values):
    """The paths that exist; the others have to be optional."""
    found = []
    for word in " ".join(values).split():
        path = word.lstrip("-")
        if os.path.exists(path):
            found.append(os.path.realpath(path))
        elif not word.startswith("-"):
            raise FileNotFoundError(path)
    return found


def is_yes(values):
    if values[-1] not in ("yes", "no"):
        raise ValueError(values)
    return values[-1] == "yes"


def when_yes(function):
    return lambda values, modes: is_yes(values) and function(modes)


def paths(mode, *names):
    def add(modes):
        modes.update({name: mode for name in names if os.path.exists(name)})

    return when_yes(add)


def protect_system(values, modes):
    names = {"full": ("/usr", "/boot", "/efi", "/etc"), "strict": ("/",)}[values[-1]]
    modes.update({name: "ro" for name in names if os.path.exists(name)})
    if values[-1] == "strict":
        modes.update({name: "rw" for name in ("/dev", "/proc", "/sys")})


def private_tmp(modes):
    for name in ("/tmp", "/var/tmp"):
        tmpfs(name, "1777")
        modes[name] = "rw"


def private_devices(modes):
    aside = pathlib.Path("/run/dev-aside")
    aside.mkdir()
    bind("/dev", aside)
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=0755")
    umask = os.umask(0)
    for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx"):
        old = os.lstat(aside / name)
        if stat.S_ISCHR(old.st_mode):
            os.mknod("/dev/" + name, old.st_mode, old.st_rdev)
    os.umask(umask)
    for name in ("pts", "shm", "mqueue", "hugepages"):
        if (aside / name).exists():
            pathlib.Path("/dev", name).mkdir()
            bind(aside / name, "/dev/" + name)
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        if not os.path.exists("/dev/" + name):
            os.symlink(target, "/dev/" + name)
    check(libc.umount2(bytes(aside), MNT_DETACH), "umount")
    aside.rmdir()
    mount(None, "/dev", flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC)
    modes["/dev"] = "rw"  # as it is


def protect_home(values, modes):
    for name in ("/home", "/root", "/run/user"):
        if values[-1] == "tmpfs":
            tmpfs(name)
            modes[name] = "ro"
        elif values[-1] == "yes":
            modes[name] = "none"
        else:
            raise ValueError(values)


def protect_proc(values, modes):
    mount("proc", "/proc", "proc", 0, "hidepid=" + values[-1])


def proc_subset(values, modes):
    mount("proc", "/proc", "proc", 0, "subset=" + values[-1])


TUNABLES = (
    "/proc/acpi /proc/bus /proc/fs /proc/irq /proc/scsi /proc/sys "
    "/proc/sysrq-trigger /sys"
).split()
SECRETS = ("/proc/kallsyms", "/proc/kcore")


def protect_tunables(modes):
    modes.update({name: "ro" for name in TUNABLES if os.path.exists(name)})
    modes.update({name: "none" for name in SECRETS if os.path.exists(name)})
    modes.setdefault("/sys/fs/cgroup", "rw")


# In the order in which they are applied.
MOUNTS = {
    "ProtectProc": protect_proc,
    "ProcSubset": proc_subset,
    "PrivateTmp": when_yes(private_tmp),
    "PrivateDevices": when_yes(private_devices),
    "ProtectHome": protect_home,
    "ProtectSystem": protect_system,
    "ProtectControlGroups": paths("ro", "/sys/fs/cgroup"),
    "ProtectKernelTunables": when_yes(protect_tunables),
    "ProtectKernelModules": paths("none", "/usr/lib/modules"),
    "ProtectKernelLogs": paths("none", "/proc/kmsg", "/dev/kmsg"),
    "PrivateMounts": when_yes(lambda modes: None),  # we are in a namespace
    "ReadWritePaths": lambda values, modes: modes.update(
        {name: "rw" for name in split_paths(values)}
    ),
}


def make_directories(unit, modes, owner):
    for name, top in (("RuntimeDirectory", "/run"), ("LogsDirectory", "/var/log")):
        for word in " ".join(unit.get(name, [])).split():
            path = pathlib.Path(top, word)
            path.mkdir(exist_ok=True)
            os.chown(path, owner.pw_uid, owner.pw_gid)
            modes[str(path)] = "rw"


def bind_paths(values, modes, aside):
    """Binds over what hides the sources, from where they were put aside."""
    for path, place in aside:
        os.makedirs(path, exist_ok=True)
        bind(place, path)
        check(libc.umount2(bytes(place), MNT_DETACH), "umount")
        modes[path] = "rw"


def put_aside(values):
    found = []
    for number, path in enumerate(split_paths(values)):
        place = pathlib.Path("/run/aside.%d" % number)
        place.mkdir()
        bind(path, place)
        found.append((path, place))
    return found


def hide(path):
    nothing = pathlib.Path("/run/nothing")
    if os.path.isdir(path):
        nothing = pathlib.Path("/run/nowhere")
        nothing.mkdir(exist_ok=True)
    else:
        nothing.touch()
    nothing.chmod(0)
    mount(nothing, path, flags=MS_BIND)


def apply_modes(modes):
    """As systemd: the deepest path above a mount decides about it."""
    mounted = {path for path, _ in mounts()}
    for path in sorted(modes, key=len):
        if modes[path] == "none":
            hide(path)
        elif path not in mounted:
            bind(path, path)
    for path, flags in mounts():
        above = [p for p in modes if (path + "/").startswith(p.rstrip("/") + "/")]
        if above and modes[max(above, key=len)] in ("ro", "none"):
            mount(None, path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | flags)


def apply_mounts(unit, owner):
    modes = {}
    aside = put_aside(unit.get("BindPaths", []))
    for name, function in MOUNTS.items():
        if name in unit:
            function(unit[name], modes)
    make_directories(unit, modes, owner)
    bind_paths(unit.get("BindPaths", []), modes, aside)
    apply_modes(modes)


# The process

# What a directive takes from the capabilities, besides what it does.
TAKEN = {
    "PrivateDevices": {"mknod", "sys_rawio"},
    "ProtectClock": {"sys_time", "wake_alarm"},
    "ProtectKernelLogs": {"syslog"},
    "ProtectKernelModules": {"sys_module"},
}


def apply_bounding_set(unit, last):
    keep = set(CAPABILITIES)
    if "CapabilityBoundingSet" in unit:
        words = " ".join(unit["CapabilityBoundingSet"]).split()
        keep = {word.lower().replace("cap_", "", 1) for word in words}
        if keep - set(CAPABILITIES):
            raise ValueError(keep - set(CAPABILITIES))
    for name, taken in TAKEN.items():
        if name in unit and is_yes(unit[name]):
            keep -= taken
    for number, name in enumerate(CAPABILITIES[: last + 1]):
        if name not in keep:
            check(libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "bounding set")


def limit(what):
    """As far as we may."""

    def apply(values):
        wanted = int(values[-1])
        try:
            resource.setrlimit(what, (wanted, wanted))
        except ValueError:
            most = min(wanted, resource.getrlimit(what)[1])
            resource.setrlimit(what, (most, most))

    return apply


def no_new_privileges(values):
    if is_yes(values):
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def no_ambient(values):
    if values:
        raise ValueError(values)
    check(
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
        "ambient capabilities",
    )


PROCESS = {
    "LimitNOFILE": limit(resource.RLIMIT_NOFILE),
    "UMask": lambda values: os.umask(int(values[-1], 8)),
    "AmbientCapabilities": no_ambient,
    "NoNewPrivileges": no_new_privileges,
}

# What is not in a table: it takes more than its own values.  Delegate is the
# test's, as the group has to be there before the file systems are read-only.
HANDLED = IDENTITY | {"CapabilityBoundingSet", "BindPaths", "Delegate"}


# System calls.  Each returns filters, to be loaded in the end.


def new_filter(default):
    found = seccomp.SyscallFilter(default)
    found.set_attr(seccomp.Attr.CTL_NNP, 0)
    return found


def refusing(*rules):
    """A filter of (errno, call, arguments ...)."""
    found = new_filter(seccomp.ALLOW)
    for code, call, *arguments in rules:
        found.add_rule(seccomp.ERRNO(code), call, *arguments)
    return [found]


def members(name, seen=None):
    """The calls of a set of systemd-analyze(1)."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.check_output(["systemd-analyze", "syscall-filter", name])
    found = set()
    for line in text.decode().splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            found |= members(word)
    return found


def exists(call):
    return seccomp.resolve_syscall(seccomp.Arch(), call) >= 0


def refuse_set(name):
    return refusing(
        *((errno.EPERM, call) for call in sorted(members(name)) if exists(call))
    )


def system_call_filter(values, unit):
    allowed = set()
    for number, value in enumerate(values):
        words = value.lstrip("~").split()
        named = set().union(*(members(word) for word in words))
        if value.startswith("~"):
            if number == 0:
                raise ValueError(value)
            allowed -= named
        else:
            allowed |= named
    code = getattr(errno, unit.get("SystemCallErrorNumber", ["EPERM"])[-1])
    found = new_filter(seccomp.ERRNO(code))
    for call in sorted(allowed | members("@default")):
        if exists(call):
            found.add_rule(seccomp.ALLOW, call)
    return [found]


def address_families(values, unit):
    names = values[-1].split()
    allowed = {getattr(__import__("socket"), name) for name in names}
    rules = [
        (errno.EAFNOSUPPORT, "socket", seccomp.Arg(0, seccomp.EQ, family))
        for family in range(64)
        if family not in allowed
    ]
    return refusing(*rules)


def restrict_suid_sgid():
    """seccomp_restrict_suid_sgid of systemd."""
    rules = [(errno.ENOSYS, "openat2")]
    modes = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2}
    modes.update({"mknod": 1, "mknodat": 2, "creat": 1})
    for bit in (0o4000, 0o2000):
        rules += [
            (errno.EPERM, call, seccomp.Arg(place, seccomp.MASKED_EQ, bit, bit))
            for call, place in modes.items()
        ]
        rules += [
            (
                errno.EPERM,
                call,
                seccomp.Arg(place, seccomp.MASKED_EQ, flag, flag),
                seccomp.Arg(place + 1, seccomp.MASKED_EQ, bit, bit),
            )
            for call, place in (("open", 1), ("openat", 2))
            for flag in (os.O_CREAT, os.O_TMPFILE & ~os.O_DIRECTORY)
        ]
    return refusing(*rules)


def restrict_namespaces():
    rules = [(errno.ENOSYS, "clone3"), (errno.EPERM, "setns")]
    for flag in (
        0x20000,
        0x2000000,
        0x4000000,
        0x8000000,
        0x10000000,
        0x20000000,
        0x40000000,
    ):
        for call in ("clone", "unshare"):
            rules.append(
                (errno.EPERM, call, seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
            )
    return refusing(*rules)


def restrict_realtime():
    policies = (os.SCHED_FIFO, os.SCHED_RR, 6)
    return refusing(
        *(
            (errno.EPERM, "sched_setscheduler", seccomp.Arg(1, seccomp.EQ, policy))
            for policy in policies
        )
    )


def deny_write_execute():
    write, execute, shared = 2, 4, 0o100000
    rules = [
        (
            errno.EPERM,
            "mmap",
            seccomp.Arg(2, seccomp.MASKED_EQ, write | execute, write | execute),
        ),
        (errno.EPERM, "shmat", seccomp.Arg(2, seccomp.MASKED_EQ, shared, shared)),
    ]
    for call in ("mprotect", "pkey_mprotect"):
        rules.append(
            (errno.EPERM, call, seccomp.Arg(2, seccomp.MASKED_EQ, execute, execute))
        )
    return refusing(*rules)


def native_only(values, unit):
    if values != ["native"]:
        raise ValueError(values)
    found = new_filter(seccomp.ALLOW)
    found.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    return [found]


def filters_when_yes(function):
    return lambda values, unit: function() if is_yes(values) else []


FILTERS = {
    "RestrictAddressFamilies": address_families,
    "MemoryDenyWriteExecute": filters_when_yes(deny_write_execute),
    "RestrictRealtime": filters_when_yes(restrict_realtime),
    "RestrictSUIDSGID": filters_when_yes(restrict_suid_sgid),
    "RestrictNamespaces": filters_when_yes(restrict_namespaces),
    "ProtectHostname": filters_when_yes(
        lambda: refusing((errno.EPERM, "sethostname"), (errno.EPERM, "setdomainname"))
    ),
    "LockPersonality": filters_when_yes(
        lambda: refusing((errno.EPERM, "personality", seccomp.Arg(0, seccomp.NE, 0)))
    ),
    "ProtectKernelModules": filters_when_yes(lambda: refuse_set("@module")),
    "ProtectKernelLogs": filters_when_yes(lambda: refusing((errno.EPERM, "syslog"))),
    "ProtectClock": filters_when_yes(lambda: refuse_set("@clock")),
    "PrivateDevices": filters_when_yes(lambda: refuse_set("@raw-io")),
    "SystemCallArchitectures": native_only,
    "SystemCallErrorNumber": lambda values, unit: [],  # of the next
    "SystemCallFilter": system_call_filter,
}


def become(name, owner):
    groups = os.getgrouplist(owner.pw_name, owner.pw_gid)
    os.setgroups(groups)
    os.setresgid(owner.pw_gid, owner.pw_gid, owner.pw_gid)
    os.setresuid(owner.pw_uid, owner.pw_uid, owner.pw_uid)


def environment_of(unit, owner):
    found = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
        "LANG": "C.UTF-8",
    }
    if "User" in unit:
        found.update(USER=owner.pw_name, LOGNAME=owner.pw_name)
        found.update(HOME=owner.pw_dir, SHELL=owner.pw_shell)
    if os.environ.get("LISTEN_FDS"):
        found.update(LISTEN_FDS=os.environ["LISTEN_FDS"], LISTEN_PID=str(os.getpid()))
    return found


def main():
    plan = json.load(sys.stdin)
    unit = directives(sys.argv[1], plan["instance"])
    for word in sys.argv[2:]:
        name, _, value = word.partition("=")
        unit.setdefault(name, []).append(value)
    unknown = set(unit) - known()
    if unknown:
        sys.exit("not applied: %s" % ", ".join(sorted(unknown)))
    if plan["bare"]:
        unit = {name: unit[name] for name in unit if name in IDENTITY}
    # Before the file systems change; loading them takes nothing but calls.
    filters = [
        one
        for name, function in FILTERS.items()
        if name in unit
        for one in function(unit[name], unit)
    ]
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    make_machine(pathlib.Path(plan["directory"]), plan["files"])
    owner = pwd.getpwnam(unit.get("User", ["root"])[-1])
    apply_mounts(unit, owner)
    for name, function in PROCESS.items():
        if name in unit:
            function(unit[name])
    apply_bounding_set(unit, last)
    if "User" in unit:
        become(unit["User"][-1], owner)
    for one in filters:
        one.load()
    command = "exec " + unit["ExecStart"][-1]
    sys.stdin.close()
    os.open("/dev/null", os.O_RDONLY)
    environment = environment_of(unit, owner)
    os.execve("/bin/sh", ["sh", "-c", command], environment)


if __name__ == "__main__":
    import seccomp

    main()
