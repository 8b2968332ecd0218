"""start = fork-server: what programs see, beside start = exec.

/exec and /fork are the same directory; whatever differs between them, but for
that name, is a fault.
"""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from conftest import STANDARD_POOL
from harness.client import wait_for
from harness.daemon import Scgid, title

MAPS = {
    "/exec": {"root": "{cgi}", "handler.tst": "/usr/bin/perl", "index": "no"},
    "/fork": {
        "root": "{cgi}",
        "handler.tst": "/usr/bin/perl",
        "start": "fork-server",
    },
    "/wait": {
        "root": "{cgi}",
        "handler.tst": "/usr/bin/perl",
        "start": "fork-server",
        "spare": 2,
    },
}
MAPS["/exec"].pop("index")

REQUEST_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def field(shared):
    pool = dict(STANDARD_POOL, fork_servers=200)
    return shared.get("field", lambda: Scgid({"www": (pool, MAPS)}))


def is_forked(one, reply):
    return one.entry(reply)["start"] == "fork-server"


def warm(one, path, timeout=8.0, **options):
    """Ask until a fork server answers; returns its reply."""

    def ask():
        reply = one.request(path, **options)
        return reply if is_forked(one, reply) else None

    return wait_for(ask, "a fork server for " + path, timeout, 0.02)


def neutral(data):
    """The bytes of a reply without what no two requests have in common."""
    data = re.sub(rb"/(exec|fork|wait)\b", b"/MAP", data)
    data = re.sub(rb"\b[0-9a-f]{32}\b", b"ID", data)
    data = re.sub(rb"spool/#\d+", b"SPOOL", data)
    return re.sub(rb"\bpid=\d+", b"pid=PID", data)


def first_difference(one, other):
    pairs = enumerate(zip(one.split(b"\n"), other.split(b"\n")))
    return [(n, a, b) for n, (a, b) in pairs if a != b][:3]


def compare(one, name, spare=True, **options):
    """The same from all three maps; returns what it was."""
    options = dict({"QUERY_STRING": "a=1&b=%20"}, **options)
    plain = one.request("/exec/" + name, **options)
    assert one.entry(plain)["start"] == "exec"
    for prefix in ("/fork/", "/wait/") if spare else ("/fork/",):
        forked = warm(one, prefix + name, **options)
        before, after = neutral(plain.raw), neutral(forked.raw)
        assert after == before, first_difference(before, after)
        assert bool(forked.broken) == bool(plain.broken)
    return plain


def refused(one, name, why, **options):
    """Served with exec, and logged once, with the reason."""
    one.expect(text="no fork server for .*%s" % why)
    for _ in range(3):
        reply = one.request("/fork/" + name, **options)
        assert one.entry(reply)["start"] == "exec"
    one.wait_line("no fork server for .*%s" % why, 10.0)
    reply = one.request("/fork/" + name, **options)
    assert one.entry(reply)["start"] == "exec"
    lines = [l for l in one.recent() if "no fork server for" in l.text]
    assert len(lines) == 1, lines
    return reply


# What a program can know of itself.

SEE = r"""
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/auxv.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static void show_file(const char *path)
{
	char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text));

	close(fd);
	printf("%s: ", path);
	for (ssize_t i = 0; i < n; i++)
		putchar(text[i] == 0 ? '|' : text[i]);
	printf("\n");
}

static void show_some(const char *path, const char *const *names)
{
	char line[4096];
	FILE *f = fopen(path, "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		for (int i = 0; names[i] != NULL; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				printf("%s", line);
	fclose(f);
}

int main(int argc, char **argv, char **envp)
{
	static const char *const status[] = {"Name", "State", "Uid", "Gid",
	    "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn",
	    "SigCgt", "Cap", "NoNewPrivs", "Seccomp", "Umask", "TracerPid",
	    "FDSize0", NULL};
	static const char *const limits[] = {"Max", NULL};
	int first_errno = errno;
	char path[300], link[300], **vector = environ;
	struct itimerval timer;
	struct dirent *e;
	DIR *d;

	printf("Content-Type: text/plain\n\n");
	printf("errno %d argc %d same %d\n", first_errno, argc,
	    envp == environ && envp == argv + argc + 1);
	for (int i = 0; i <= argc; i++)
		printf("argv %s\n", argv[i] != NULL ? argv[i] : "NULL");
	for (char **p = envp; *p != NULL; p++)
		printf("env %s\n", *p);
	while (*vector != NULL)
		vector++;
	for (ElfW(auxv_t) *a = (void *)(vector + 1); a->a_type != AT_NULL; a++)
		if (a->a_type == AT_PAGESZ || a->a_type == AT_SECURE)
			printf("aux %lu\n", (unsigned long)a->a_un.a_val);
	printf("names %s %s\n", program_invocation_name,
	    program_invocation_short_name);
	show_file("/proc/self/environ");
	show_file("/proc/self/cmdline");
	show_file("/proc/self/comm");
	show_file("/proc/self/timers");
	show_file("/proc/self/oom_score_adj");
	show_some("/proc/self/status", status);
	show_some("/proc/self/limits", limits);
	printf("cwd %s\n", getcwd(path, sizeof(path)));
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	printf("leader %d %d\n", getpgrp() == getpid(), getsid(0) == getpid());
	printf("thread %d\n", (int)syscall(SYS_gettid) == getpid());
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	getitimer(ITIMER_REAL, &timer);
	printf("timer %ld\n", (long)timer.it_value.tv_sec);
	d = opendir("/proc/self/fd");
	while ((e = readdir(d)) != NULL) {
		int fd = atoi(e->d_name);
		struct stat st;
		ssize_t n;

		if (e->d_name[0] == '.' || fd == dirfd(d))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		if (strchr(link, '[') != NULL)
			*strchr(link, '[') = 0;
		fstat(fd, &st);
		printf("fd %d %s type %o flags %o %d offset %ld size %ld\n", fd,
		    link, st.st_mode, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD),
		    (long)lseek(fd, 0, SEEK_CUR),
		    S_ISREG(st.st_mode) ? (long)st.st_size : 0L);
	}
	for (int s = 1; s < 65; s++) {
		struct sigaction a;

		if (sigaction(s, NULL, &a) == 0 && a.sa_handler != SIG_DFL)
			printf("signal %d\n", s);
	}
	printf("random %ld %d\n", random(), rand());
	for (int c; (c = getchar()) != EOF;)
		putchar(c);
	return 0;
}
"""


@pytest.mark.parametrize(
    "body", [b"", b"four", b"x" * 70000, b"y" * 3000000], ids=lambda b: str(len(b))
)
def test_process_state(field, body):
    """Everything that a C program can see, with bodies of all sizes."""
    if not (field.cgi / "see").exists():
        field.compiled("see", SEE)
    options = {"REQUEST_METHOD": "POST"} if body else {}
    reply = compare(field, "see", body=body, **options)
    assert reply.status == 200 and reply.body.endswith(body), reply
    assert b"SCGID_" not in reply.body and b"LD_PRELOAD" not in reply.body


def test_no_trace_in_memory_but_the_library(field):
    """Its mappings are those of exec, and the library; the first have notes."""
    field.script(
        "maps.pl",
        "#!/usr/bin/perl\nprint qq(Content-Type: a/b\\n\\n); open F, '/proc/self/maps'; while (<F>) { print $1, qq(\\n) if m{(/\\S+)} and !$seen{$1}++ }",
    )
    plain = field.request("/exec/maps.pl").body.split()
    for prefix in ("/fork/", "/wait/"):
        forked = warm(field, prefix + "maps.pl").body.split()
        more = [n for n in forked if n not in plain and n != b"/dev/zero"]
        assert len(more) == 1 and more[0].endswith(b"/preload.so"), more
        assert not [n for n in plain if n not in forked]


def test_children_are_not_preloaded(field):
    field.script(
        "child.sh",
        "printf 'Content-Type: a/b\\n\\n'\nenv | sort\ncat /proc/self/maps | grep -c preload\ncat /proc/self/environ | tr '\\0' '\\n' | grep -c -e SCGID -e PRELOAD\nls /proc/self/fd | wc -l",
    )
    reply = compare(field, "child.sh")
    assert reply.body.endswith(b"\n0\n0\n4\n"), reply.body


# The field of programs.

SCRIPTS = {
    "dash.sh": "#!/bin/dash\nprintf 'Content-Type: a/b\\n\\n'\necho \"$0 $# $*\"; pwd; umask; env; trap; ls -l /dev/fd/ | sed 's/.* \\([0-9]* ->\\)/\\1/;s/[0-9]*\\]//;/proc/d;s/pipe.*//'; cat /proc/$$/comm; cat; ulimit -a",
    "bash.sh": "#!/bin/bash\nprintf 'Content-Type: a/b\\n\\n'\necho \"$0 $# $* ${BASH_SOURCE[0]}\"; pwd; umask; set | grep -v -e ^BASHPID -e ^PPID -e ^RANDOM -e ^SRANDOM -e ^EPOCH -e ^SECONDS; shopt; trap; cat /proc/$$/comm; cat; exit 0",
    "bash-e.sh": "#!/bin/bash -e\nprintf 'Content-Type: a/b\\n\\n'\necho $-\nfalse\necho not\n",
    "perl.pl": "#!/usr/bin/perl -w\nuse strict; print qq(Content-Type: a/b\\n\\n$0 @ARGV\\n); print map {qq($_=$ENV{$_}\\n)} sort keys %ENV; print <STDIN>; print while <DATA>; $0 = 'other'; open F, '/proc/self/cmdline'; print <F>; system 'echo system'; exit 0;\n__DATA__\nsome data\n",
    "python.py": "#!/usr/bin/python3 -I\nimport os, sys, signal\nprint('Content-Type: a/b\\n')\nprint(sys.argv, sys.executable, sys.path, sys.flags, sys.stdin.encoding, sys.orig_argv)\nfor n in sorted(os.environ): print(n, os.environ[n])\nprint([(s, signal.getsignal(s)) for s in (2, 13, 15, 17)])\nprint(sys.stdin.read(), os.getcwd(), open('/proc/self/comm').read())",
    "awk.awk": '#!/usr/bin/awk -f\nBEGIN { print "Content-Type: a/b\\n"; for (i = 0; i < ARGC; i++) print ARGV[i]; print ENVIRON["SCRIPT_NAME"]; while ((getline line < "-") > 0) print line }',
    "env.pl": "#!/usr/bin/env perl\nprint qq(Content-Type: a/b\\n\\n$0 @ARGV $^X\\n); print map {qq($_=$ENV{$_}\\n)} sort keys %ENV; open F, '/proc/self/comm'; print <F>; open F, '/proc/self/cmdline'; print <F>",
    "env.sh": "#!/usr/bin/env bash\nprintf 'Content-Type: a/b\\n\\n'; echo $0; cat /proc/$$/comm",
    "handled.tst": "print qq(Content-Type: a/b\\n\\n$0 @ARGV $^X\\n); open F, '/proc/self/comm'; print <F>; open F, '/proc/self/cmdline'; print <F>",
    "status.sh": "#!/bin/sh\nprintf 'Status: 404 no\\nContent-Type: a/b\\n\\nnot found\\n'; exit 3",
    "nothing.sh": "#!/bin/sh\nexit 0",
    "silent-exit.sh": "#!/bin/sh\necho oops >&2\nexit 7",
    "dies.sh": "#!/bin/sh\nkill -SEGV $$",
    "dies-later.sh": "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\nsome'\nkill -KILL $$",
    "no-header.sh": "#!/bin/sh\nprintf 'what is this'",
    "redirect.sh": "#!/bin/sh\nprintf 'Location: http://example.org/x\\n\\n'",
    "exec.sh": "#!/bin/sh\nexec ./see",
    "big.sh": "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\nexec head -c 5000000 /dev/zero",
    "group.sh": "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\n(sleep 0.2; echo late) &\necho soon",
}
FAILING = {
    "nothing.sh": "empty-output",
    "silent-exit.sh": "exit-status",
    "dies.sh": "killed-by-signal",
    "dies-later.sh": "killed-by-signal",
    "no-header.sh": "no-header",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(field, name):
    """The same bytes and the same end as with exec."""
    field.compiled("see", SEE)
    field.script(name, SCRIPTS[name], mode=0o755, interpreter=None)
    if name in FAILING:
        field.expect(reason=FAILING[name])
    body = b"one\ntwo\n"
    reply = compare(field, name, body=body, REQUEST_METHOD="POST")
    if name not in FAILING:
        assert not reply.broken and reply.status in (200, 302, 404)


CPP = r"""
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
struct Table {
	std::map<std::string, int> m;
	Table() { m["one"] = 1; std::cout << "Content-Type: a/b\n\n"; }
	~Table() { std::cout << "destroyed " << m["one"] << std::endl; }
};
static Table table;
static thread_local std::string local = "local";
int main(int argc, char **argv)
{
	table.m["one"]++;
	try { throw std::string("thrown"); } catch (std::string &s) { std::cout << s << local << "\n"; }
	std::cout << argv[0] << std::cin.rdbuf();
	return 0;
}
"""

RUST = r"""
use std::io::Read;
fn main() {
    println!("Content-Type: a/b\n");
    println!("{:?}", std::env::args().collect::<Vec<_>>());
    let mut v: Vec<_> = std::env::vars().filter(|(n, _)| n.starts_with("SCRIPT") || n.starts_with("QUERY")).collect();
    v.sort();
    println!("{:?} {:?}", v, std::env::current_exe());
    let mut s = String::new();
    std::io::stdin().read_to_string(&mut s).unwrap();
    println!("{}", s);
    let t = std::thread::spawn(|| println!("from a thread"));
    t.join().unwrap();
    println!("{:?}", std::process::Command::new("/bin/echo").arg("child").output());
    let r = std::panic::catch_unwind(|| panic!("caught"));
    println!("{}", r.is_err());
}
"""


def build(command, source, path):
    if shutil.which(command[0]) is None:
        pytest.skip("there is no " + command[0])
    file = path.with_suffix(".source")
    file.write_text(source)
    done = subprocess.run(command + ["-o", str(path), str(file)], capture_output=True)
    file.unlink()
    if done.returncode:
        pytest.skip("%s cannot: %s" % (command[0], done.stderr.decode()[-300:]))
    path.chmod(0o755)


def test_cplusplus(field):
    build(["g++", "-x", "c++"], CPP, field.cgi / "cpp")
    reply = compare(field, "cpp", body=b"body", REQUEST_METHOD="POST")
    assert b"destroyed 2" in reply.body


def test_rust(field):
    build(["rustc", "--edition=2021"], RUST, field.cgi / "rust")
    assert (
        b"from a thread"
        in compare(field, "rust", body=b"body", REQUEST_METHOD="POST").body
    )


def test_go(field):
    """With cgo: it begins in the C library.  Without, it is static."""
    if shutil.which("go") is None:
        pytest.skip("there is no go")
    source = field.cgi / "go.go"
    source.write_text(
        'package main\nimport "C"\nimport ("fmt"; "os")\nfunc main() { fmt.Print("Content-Type: a/b\\n\\n", os.Args, os.Getenv("QUERY_STRING")) }\n'
    )
    subprocess.run(
        ["go", "build", "-o", str(field.cgi / "go"), str(source)], check=True
    )
    compare(field, "go")


@pytest.mark.skipif(not shutil.which("php-cgi"), reason="there is no php-cgi")
def test_php(field):
    field.script(
        "page.php",
        "<?php echo $_SERVER['SCRIPT_NAME'], php_sapi_name(), file_get_contents('php://input'), getcwd(); foreach (['QUERY_STRING', 'REQUEST_METHOD'] as $n) echo getenv($n); var_dump($_GET, $argv ?? null);",
        mode=0o644,
        interpreter=None,
    )
    field.script("php", "#!/usr/bin/php-cgi\n", interpreter=None)
    pool = {"/exec": {"root": "{cgi}", "handler.php": "/usr/bin/php-cgi"}}
    one = Scgid(
        {
            "www": (
                STANDARD_POOL,
                {
                    "/exec": pool["/exec"],
                    "/fork": dict(pool["/exec"], start="fork-server"),
                    "/wait": dict(pool["/exec"], start="fork-server", spare=1),
                },
            )
        }
    )
    try:
        shutil.copy(field.cgi / "page.php", one.cgi)
        reply = compare(one, "page.php", body=b"body", REQUEST_METHOD="POST")
        assert reply.status == 200 and b"cgi-fcgi" in reply.body, reply
        one.check()
    finally:
        one.stop()


def test_git(start, place):
    """git-http-backend: a clone and a push are the same through both."""
    backend = (
        shutil.which("git")
        and subprocess.run(
            ["git", "--exec-path"], capture_output=True, text=True
        ).stdout.strip()
        + "/git-http-backend"
    )
    if not backend or not os.path.exists(backend):
        pytest.skip("there is no git-http-backend")
    keys = {
        "script": backend,
        "env.GIT_PROJECT_ROOT": place,
        "env.GIT_HTTP_EXPORT_ALL": "1",
        "env.HOME": "/",
    }
    one = start(
        {
            "www": (
                STANDARD_POOL,
                {
                    "/exec": keys,
                    "/fork": dict(keys, start="fork-server"),
                    "/wait": dict(keys, start="fork-server", spare=1),
                },
            )
        }
    )
    one.expect(text="no Content-Type", optional=True)
    repository = place / "r.git"
    quiet = {"check": True, "capture_output": True}
    subprocess.run(["git", "init", "--bare", str(repository)], **quiet)
    subprocess.run(
        ["git", "config", "--system", "--get-all", "safe.directory"],
        capture_output=True,
    )
    subprocess.run(["chown", "-R", "www-data", str(repository)], capture_output=True)
    for path in ("info/refs?service=git-upload-pack", "HEAD", "nothing"):
        name, _, query = path.partition("?")
        replies = [
            warm(one, p + "/r.git/" + name, QUERY_STRING=query)
            if p != "/exec"
            else one.request(p + "/r.git/" + name, QUERY_STRING=query)
            for p in ("/exec", "/fork", "/wait")
        ]
        assert (
            neutral(replies[0].raw)
            == neutral(replies[1].raw)
            == neutral(replies[2].raw)
        )


# Programs that cannot be fork servers.

HEADER = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
MAIN = (
    HEADER + 'int main(void) { printf("Content-Type: a/b\\n\\nmain\\n"); return 0; }\n'
)
REFUSED = {
    "thread": (
        "has 2 threads",
        "#include <pthread.h>\nstatic void *f(void *a) { pause(); return a; }\n__attribute__((constructor)) static void c(void) { pthread_t t; pthread_create(&t, NULL, f, NULL); }",
    ),
    "socket": (
        "holds descriptor",
        "#include <sys/socket.h>\n__attribute__((constructor)) static void c(void) { socket(AF_INET, SOCK_STREAM, 0); }",
    ),
    "pipe": (
        "holds descriptor",
        "__attribute__((constructor)) static void c(void) { int p[2]; if (pipe(p)) _exit(1); }",
    ),
    "prints": (
        "prints before there is a request",
        '__attribute__((constructor)) static void c(void) { if (write(1, "B: c\\n", 5) != 5) _exit(1); }',
    ),
    "reads": (
        "reads its input",
        "__attribute__((constructor)) static void c(void) { char b; if (read(0, &b, 1) < 0) _exit(1); }",
    ),
    "exits": (
        "exited with status 4",
        '__attribute__((constructor)) static void c(void) { fputs("not today\\n", stderr); if (!getenv("HTTP_HOST")) _exit(4); }',
    ),
    "crashes": (
        "was killed by signal 11",
        '#include <signal.h>\n__attribute__((constructor)) static void c(void) { if (!getenv("HTTP_HOST")) raise(SIGSEGV); }',
    ),
    "hangs": (
        "does not come to its work in time",
        '__attribute__((constructor)) static void c(void) { if (!getenv("HTTP_HOST")) pause(); }',
    ),
    "floods": (
        "does not come to its work in time",
        '__attribute__((constructor)) static void c(void) { while (!getenv("HTTP_HOST")) fputs("flood\\n", stderr); }',
    ),
    "shares": (
        "memory that requests would share",
        "#include <sys/mman.h>\n__attribute__((constructor)) static void c(void) { mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }",
    ),
    "alarm": (
        "has a timer",
        "__attribute__((constructor)) static void c(void) { alarm(100); }",
    ),
    "profiler": (
        "has a timer",
        "#include <sys/time.h>\n__attribute__((constructor)) static void c(void) { struct itimerval t = {{0, 0}, {100, 0}}; setitimer(ITIMER_PROF, &t, NULL); }",
    ),
    "child": (
        "has children",
        "__attribute__((constructor)) static void c(void) { if (fork() == 0) _exit(0); }",
    ),
    "setenv": (
        "changes its environment",
        '__attribute__((constructor)) static void c(void) { setenv("X", "1", 1); }',
    ),
    "lock": (
        "holds a lock on",
        '#include <fcntl.h>\n#include <sys/file.h>\n__attribute__((constructor)) static void c(void) { flock(open("/dev/null" + 0 * sizeof(int), O_RDONLY), LOCK_EX); flock(open("/etc/passwd", O_RDONLY), LOCK_SH); }',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(field, name):
    why, source = REFUSED[name]
    field.compiled(name, HEADER + source + MAIN.replace(HEADER, ""))
    reply = refused(field, name, why)
    assert reply.status == 200 and reply.body == b"main\n", reply


def test_refused_text_has_stderr(field):
    field.compiled(
        "says",
        HEADER
        + '__attribute__((constructor)) static void c(void) { if (!getenv("HTTP_HOST")) { fputs("not \\"today\\"\\n", stderr); _exit(4); } }'
        + MAIN.replace(HEADER, ""),
    )
    refused(field, "says", 'exited with status 4: not "today"')


def test_file_that_cannot_be_opened_again(field):
    """Written to by all workers it would have one offset for all."""
    source = (
        "#include <fcntl.h>\n__attribute__((constructor)) static void c(void)"
        ' { char name[300]; sprintf(name, "%s/%%d", getpid());'
        " if (open(name, O_CREAT | O_RDWR, 0) == -1) _exit(1); }"
    )
    field.compiled(
        "opens", HEADER + source % field.writable("shut") + MAIN.replace(HEADER, "")
    )
    assert refused(field, "opens", "cannot open for itself").body == b"main\n"


def test_static(field):
    build(["cc", "-static", "-x", "c"], MAIN, field.cgi / "static")
    assert refused(field, "static", "is statically linked").body == b"main\n"


def test_musl(field):
    build(["musl-gcc", "-x", "c"], MAIN, field.cgi / "musl")
    assert refused(field, "musl", "is linked with another C library").body == b"main\n"


def test_other_machine(field):
    """A 32-bit program, which runs if there are the libraries for it."""
    build(["cc", "-m32", "-x", "c"], MAIN, field.cgi / "small")
    refused(field, "small", "is not a program of this machine")


@pytest.mark.root
def test_other_privileges(field):
    """Set-uid, set-gid and with capabilities."""
    for name, mode in (("setuid", 0o4755), ("setgid", 0o2755)):
        field.compiled(name, MAIN, mode)
        refused(field, name, "runs with other privileges")
        field.check()
    field.compiled("capable", MAIN)
    if shutil.which("setcap"):
        subprocess.run(
            ["setcap", "cap_net_raw+p", str(field.cgi / "capable")], check=True
        )
        refused(field, "capable", "runs with other privileges")


def test_no_permission(field):
    """What exec refuses, a fork server does not run either."""
    path = field.script("shut.sh", "printf 'Content-Type: a/b\\n\\n'")
    warm(field, "/fork/shut.sh")
    path.chmod(0o644)
    field.expect(reason="script-not-executable")
    reply = field.request("/fork/shut.sh")
    assert reply.status >= 400, reply
    path.chmod(0o755)
    assert warm(field, "/fork/shut.sh").status == 200


def test_few_descriptors(start):
    """A launcher that may open 16 has not enough for one more process."""
    maps = {
        "/exec": {"root": "{cgi}"},
        "/fork": {"root": "{cgi}", "start": "fork-server"},
    }
    one = start({"www": (dict(STANDARD_POOL, limit_files=16), maps)})
    one.compiled("plain", MAIN)
    reply = refused(one, "plain", "cannot be started: Too many open files")
    assert reply.body == b"main\n"


def test_no_descriptors_left(start):
    """A program that itself leaves too few of them is refused."""
    maps = {
        "/exec": {"root": "{cgi}"},
        "/fork": {"root": "{cgi}", "start": "fork-server"},
    }
    one = start({"www": (dict(STANDARD_POOL, limit_files=40), maps)})
    one.compiled("see", SEE)
    compare(one, "see", spare=False)
    one.compiled(
        "opens",
        HEADER
        + "#include <fcntl.h>\n"
        + "__attribute__((constructor)) static void c(void) {"
        + ' for (int i = 0; i < 30; i++) open("/etc/passwd", O_RDONLY); }'
        + MAIN.replace(HEADER, ""),
    )
    assert refused(one, "opens", "may not open enough files").body == b"main\n"


# What a constructor leaves for main.


def test_files_of_constructors(field):
    """Opened again for each worker: what one reads, the next reads too."""
    field.script("data", "0123456789", interpreter=None)
    field.compiled(
        "reads",
        HEADER
        + '#include <fcntl.h>\n#include <dirent.h>\nstatic int fd; static DIR *d;\n__attribute__((constructor)) static void c(void) { char b[3]; fd = open("data", O_RDONLY | O_CLOEXEC); if (read(fd, b, 3) != 3) _exit(1); d = opendir("/etc"); readdir(d); }\n'
        'int main(void) { char b[4] = ""; int n = 0; printf("Content-Type: a/b\\n\\n"); if (read(fd, b, 3) != 3) return 1; while (readdir(d)) n++; printf("%s %d %d %d\\n", b, n, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL)); return 0; }',
    )
    for _ in range(3):
        reply = compare(field, "reads")
        assert reply.body.startswith(b"345 "), reply.body


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_constructor_closes(field, fd):
    """One of 0-2 is closed before main: requests still get theirs."""
    field.compiled(
        "closes%d" % fd,
        HEADER
        + '__attribute__((constructor)) static void c(void) { if (!getenv("HTTP_HOST")) close(%d); }'
        % fd
        + 'int main(void) { char b[100]; printf("Content-Type: a/b\\n\\n"); size_t n = fread(b, 1, 100, stdin); printf("%zu\\n", n); return 0; }',
    )
    for _ in range(3):
        reply = compare(field, "closes%d" % fd, body=b"four", REQUEST_METHOD="POST")
        assert reply.body == b"4\n", reply


def test_atfork_handlers_and_destructors(field):
    """Handlers run, a program's own fork works, atexit runs once."""
    field.compiled(
        "handlers",
        HEADER
        + '#include <pthread.h>\n#include <sys/wait.h>\nstatic int n;\nstatic void p(void) { n += 100; }\nstatic void h(void) { n++; }\nstatic void bye(void) { printf("bye %d\\n", (int)(getpid() == getpgrp())); }\n'
        "__attribute__((constructor)) static void c(void) { pthread_atfork(p, h, h); atexit(bye); }\n"
        'int main(void) { int before = n; printf("Content-Type: a/b\\n\\n"); fflush(stdout); if (fork() == 0) { printf("child %d\\n", n - before); fflush(stdout); _exit(0); } wait(NULL); printf("parent %d\\n", n - before); return 0; }',
    )
    reply = compare(field, "handlers")
    assert reply.body == b"child 101\nparent 101\nbye 1\n", reply.body


# What is called at the end.

LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
%(needs)s
static void handler(void) { dprintf(1, "handler of %(name)s\\n"); }
__attribute__((constructor)) static void c(void) { if (%(early)d) atexit(handler); }
__attribute__((destructor)) static void d(void) { if (%(busy)d) dprintf(1, "end of %(name)s\\n"); }
int %(name)s(void) { return 1 + %(call)s; }
"""

ENDING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int first(void);
static void handler(void) { dprintf(1, "handler\\n"); }
static void *wait_long(void *unused) { sleep(100); return unused; }
%s static void d(void) { dprintf(1, "end of the program\\n"); }
int main(void)
{
	void *opened = NULL;
	pthread_t thread;

	printf("Content-Type: text/plain\\n\\n");
	if (atexit(handler) != 0) return 1;
	%s
	printf("%%d %%d %%d\\n", opened != NULL, (int)sizeof(thread), first());
	fflush(stdout);
	return 3;
}
"""


def ending(one, name, libraries, own="", work=""):
    """A program; each of `libraries` needs the next: (busy, early)."""
    names = ["first", "second", "third"][: len(libraries)]
    link = []
    for n in reversed(range(len(libraries))):
        busy, early = libraries[n]
        following = names[n + 1] if n + 1 < len(names) else None
        text = LIBRARY % {
            "name": names[n],
            "busy": busy,
            "early": early,
            "needs": "int %s(void);" % following if following else "",
            "call": "%s()" % following if following else "0",
        }
        if not busy:
            text = text.replace("__attribute__((destructor))", "__attribute__((used))")
        path = one.cgi / ("lib-%s-%s.so" % (name, names[n]))
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-x", "c", "-o", str(path), "-"]
            + ["-x", "none", *link],
            input=text.encode(),
            check=True,
        )
        link = [str(path)]
    subprocess.run(
        ["cc", "-pthread", "-x", "c", "-o", str(one.cgi / name), "-"]
        + ["-x", "none", *link, "-ldl"],
        input=(ENDING % (own, work)).encode(),
        check=True,
    )


OWN = "__attribute__((destructor))"
UNUSED = "__attribute__((used))"
PLAIN, BUSY, EARLY = (0, 0), (1, 0), (0, 1)
OPEN = 'opened = %s "%s/lib-busy-first.so", RTLD_NOW);'


@pytest.mark.parametrize(
    "name, libraries, own, ends",
    [
        ("idle", [PLAIN], UNUSED, []),
        ("own", [PLAIN, PLAIN], OWN, ["end of the program"]),
        ("busy", [BUSY], UNUSED, ["end of first"]),
        (
            "all",
            [BUSY, BUSY, BUSY],
            OWN,
            ["end of the program", "end of first", "end of second", "end of third"],
        ),
        ("early", [EARLY, BUSY], UNUSED, ["handler of first", "end of second"]),
    ],
)
def test_what_is_called_at_the_end(field, name, libraries, own, ends):
    ending(field, name, libraries, own)
    reply = compare(field, name)
    assert reply.body.decode().split("\n")[1:-1] == ["handler"] + ends


@pytest.mark.parametrize("how", ["dlopen(", "dlmopen(LM_ID_NEWLM,"])
def test_end_of_what_was_loaded_later(field, how):
    """By the worker; the fork server does not know of it."""
    name = "loads" + how[2]
    ending(field, "busy", [BUSY], UNUSED)
    ending(field, name, [PLAIN], OWN, OPEN % (how, field.cgi))
    reply = compare(field, name)
    assert b"end of first\n" in reply.body and b"end of the program" in reply.body


def test_end_with_a_thread(field):
    """Which runs on; what it may load meanwhile is not looked for."""
    ending(
        field,
        "thread",
        [PLAIN],
        OWN,
        "if (pthread_create(&thread, NULL, wait_long, NULL) != 0) return 2;",
    )
    assert compare(field, "thread").body.endswith(b"handler\nend of the program\n")


# Pages of program text.

ENOUGH = 10  # requests: then it is known what workers touch
AT_MOST = 70  # though hardly any tells


def texts_of(pid):
    """What smaps says of each mapping that is only read: (path, fields)."""
    out = []
    with open("/proc/%d/smaps" % pid) as smaps:
        for line in smaps:
            if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
                parts = line.split()
                is_text = parts[1][1] == "-" and parts[-1].startswith("/")
                fields = {"access": parts[1]}
                if is_text:
                    out.append((parts[-1], fields))
            else:
                name, _, value = line.partition(":")
                fields[name] = value.split()
    return out


def server_of(one, name):
    (pid,) = [p for p in one.fork_servers() if title(p).endswith("/" + name)]
    return pid


def split_texts(pid):
    return [path for path, fields in texts_of(pid) if "dd" in fields["VmFlags"]]


def is_mapped_ahead(pid):
    """The code of the C library: a private page, and others that were touched."""
    code = [
        fields
        for path, fields in texts_of(pid)
        if "/libc" in path and fields["access"] == "r-xp"
    ]
    return (
        len(code) == 1
        and int(code[0]["Anonymous"][0]) > 0
        and int(code[0]["Rss"][0]) < 400
    )


@pytest.mark.parametrize("prefix", ["/fork/", "/wait/"])
def test_pages_that_workers_touch(field, prefix):
    """And no others are present in a fork server that knows them."""
    name = "pages%s" % prefix[1:-1]
    field.compiled(name, MAIN)
    assert warm(field, prefix + name).body == b"main\n"
    pid = server_of(field, name)
    assert split_texts(pid) and not is_mapped_ahead(pid)
    for _ in range(ENOUGH):
        assert field.request(prefix + name).body == b"main\n"
    wait_for(lambda: is_mapped_ahead(pid), "the pages", 5.0)
    assert not split_texts(pid)
    for _ in range(ENOUGH):
        assert field.request(prefix + name).body == b"main\n"


SMALL_STACK = (
    HEADER
    + r"""
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
static void on_signal(int number) { (void)number; _exit(0); }
int main(void)
{
	size_t size = getauxval(AT_MINSIGSTKSZ) + 2048, guard = 1 << 16;
	char *at = mmap(NULL, 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = at + guard, .ss_size = size};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

	mprotect(at + guard, guard, PROT_READ | PROT_WRITE);
	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	puts("Content-Type: a/b\n\nmain");
	fflush(stdout);
	raise(SIGUSR1);
	return 1;
}
"""
)


def test_pages_noted_on_a_small_stack(field):
    """A signal handler may end the process, and have little room for it."""
    build(
        ["cc", "-Wl,-z,now", "-D_GNU_SOURCE", "-x", "c"],
        SMALL_STACK,
        field.cgi / "stack",
    )
    compare(field, "stack")


def test_pages_of_what_never_tells(field):
    """It ends without the C library: what is split becomes whole again."""
    field.compiled(
        "untold",
        HEADER
        + "#include <sys/syscall.h>\n"
        + MAIN.replace("return 0", "fflush(stdout); syscall(SYS_exit_group, 0)"),
    )
    warm(field, "/fork/untold")
    pid = server_of(field, "untold")
    assert split_texts(pid)
    for _ in range(AT_MOST):
        assert field.request("/fork/untold").body == b"main\n"
    assert not split_texts(pid) and not is_mapped_ahead(pid)


@pytest.mark.parametrize("when", ["before", "between"])
def test_text_that_was_written_to(field, when):
    """By a constructor, or by a debugger between two requests."""
    name = "written-%s" % when
    field.compiled(
        name,
        HEADER
        + "#include <stdint.h>\n#include <sys/mman.h>\n"
        + "static const int value = 1;\n"
        + "__attribute__((constructor)) static void c(void) { if (%d) {"
        % (when == "before")
        + " char *page = (char *)((uintptr_t)&value & ~4095UL);"
        + " if (mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0) _exit(1);"
        + " *(int *)(uintptr_t)&value = 2; mprotect(page, 4096, PROT_READ); } }\n"
        + 'int main(void) { printf("Content-Type: a/b\\n\\n%d %p\\n", *(const volatile int *)&value, (void *)&value); return 0; }',
    )
    number, address = warm(field, "/fork/" + name).body.split()
    assert number == (b"2" if when == "before" else b"1")
    if when == "between":
        pid = server_of(field, name)
        with open("/proc/%d/mem" % pid, "r+b", buffering=0) as memory:
            memory.seek(int(address, 16))
            memory.write((2).to_bytes(4, sys.byteorder))
    for _ in range(2 * ENOUGH):
        assert field.request("/fork/" + name).body.split()[0] == b"2"


def test_end_while_a_thread_holds_stdout(field):
    """Which exit does not wait for, so we must not either."""
    field.compiled(
        "holds",
        HEADER
        + "#include <pthread.h>\n"
        + "static int held[2];\n"
        + 'static void *hold(void *unused) { flockfile(stdout); if (write(held[1], "x", 1) == 1) pause(); return unused; }\n'
        + "int main(void) { pthread_t t; char b; if (pipe(held) != 0) return 1;"
        + ' puts("Content-Type: a/b\\n\\nmain"); if (pthread_create(&t, NULL, hold, NULL) != 0 || read(held[0], &b, 1) != 1) return 1; return 0; }',
    )
    for _ in range(3):
        assert compare(field, "holds").body == b"main\n"


def test_constructor_that_runs_a_program(field):
    """What it starts is no fork server, and does not speak for one."""
    field.compiled(
        "runs",
        HEADER
        + '#include <sys/wait.h>\n__attribute__((constructor)) static void c(void) { char b[100] = ""; FILE *f = popen("echo $SCGID_FORK_LIBRARY $LD_PRELOAD; exec /bin/true", "r"); if (f == NULL) _exit(1); while (fgets(b, 100, f)) continue; pclose(f); }'
        + MAIN.replace(HEADER, ""),
    )
    assert compare(field, "runs").body == b"main\n"
