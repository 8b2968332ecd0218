"""What is served: the programs, a month for awstats, a repository for git.

Everything is made anew below one directory, and always the same.
"""

import calendar
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

from common import HERE, say

AWSTATS = pathlib.Path("/usr/lib/cgi-bin/awstats.pl")
AWSTATS_CONF = pathlib.Path("/etc/awstats/awstats.conf")
AWSTATS_YEAR, AWSTATS_MONTH = 2025, 10
BIG_BYTES = 8192 * 128 * 1024

# What a query of awstats asks for; the frame page has no framename.
AWSTATS_QUERY = f"config=bench&year={AWSTATS_YEAR}&month={AWSTATS_MONTH:02}"

# Name, URI, and what has to be there.
PROGRAMS = (
    ("C", "/cgi/hello", None),
    ("C, static", "/cgi/hello-static", "static"),
    ("shell", "/cgi/hello.sh", None),
    ("perl", "/cgi/hello.pl", None),
    ("Python", "/cgi/hello.py", None),
    ("Flask", "/cgi/flask.cgi/", "flask"),
    ("awstats, frame", f"/cgi/awstats.pl?{AWSTATS_QUERY}", "awstats"),
    (
        "awstats, report",
        f"/cgi/awstats.pl?{AWSTATS_QUERY}&framename=mainright",
        "awstats",
    ),
)

BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/118.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/118.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Wget/1.21.3",
)
REFERERS = (
    "-",
    "http://www.example.org/",
    "http://www.google.com/search?q=cgi+gateway",
    "https://duckduckgo.com/?q=scgi+daemon",
    "http://blog.example.net/2025/10/links.html",
)
STATUSES = ("200",) * 18 + ("304", "404")


def account_ids(account):
    return (account.pw_uid, account.pw_gid) if account else (-1, -1)


def run(command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def copy_programs(cgi, tools):
    """The programs of tests/bench/cgi, and those that were built."""
    cgi.mkdir(parents=True)
    for path in (HERE / "cgi").iterdir():
        if path.suffix not in (".c", "") and path.is_file():
            shutil.copy(path, cgi / path.name)
    shutil.copy(tools / "bench-hello", cgi / "hello")
    if (tools / "bench-hello-static").exists():
        shutil.copy(tools / "bench-hello-static", cgi / "hello-static")
    if AWSTATS.exists():
        shutil.copy(AWSTATS, cgi / AWSTATS.name)
    for path in (cgi.parent, cgi, *cgi.iterdir()):
        path.chmod(0o755)
    run(["/usr/bin/python3", "-m", "compileall", "-q", cgi / "app.py"])


# awstats


def log_lines(hits_a_day):
    """A month of a site with some visitors, robots and mistakes."""
    chance = random.Random(1)
    hosts = [f"198.51.{n // 250}.{n % 250 + 1}" for n in range(800)]
    pages = [f"/docs/{n % 12}/page-{n}.html" for n in range(300)]
    pages += [f"/images/{n}.png" for n in range(100)] + ["/", "/download/a.tar.gz"]
    month = calendar.month_abbr[AWSTATS_MONTH]
    for day in range(1, calendar.monthrange(AWSTATS_YEAR, AWSTATS_MONTH)[1] + 1):
        for second in sorted(chance.randrange(86400) for _ in range(hits_a_day)):
            clock = time.strftime("%H:%M:%S", time.gmtime(second))
            yield (
                f"{chance.choice(hosts)} - - "
                f"[{day:02}/{month}/{AWSTATS_YEAR}:{clock} +0000] "
                f'"GET {chance.choice(pages)} HTTP/1.1" {chance.choice(STATUSES)} '
                f"{chance.randrange(200, 60000)} "
                f'"{chance.choice(REFERERS)}" "{chance.choice(BROWSERS)}"\n'
            )


def write_awstats_conf(directory, conf):
    """Debian's file, with what an administrator has to fill in."""
    values = {
        "LogFile": directory / "access.log",
        "LogFormat": "1",
        "SiteDomain": "www.example.org",
        "HostAliases": "example.org",
        "DNSLookup": "0",
        "DirData": directory,
    }
    text = AWSTATS_CONF.read_text()
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name} *=.*$", f'{name}="{value}"', text)
        if count == 0:
            raise SystemExit(f"bench: {AWSTATS_CONF} has no {name}")
    conf.write_text(text)
    conf.chmod(0o644)


def make_awstats(directory, cgi, account, hits_a_day):
    """The history that the report pages are made of, as cron would make it."""
    say(f"a month of log for awstats, {hits_a_day} hits a day")
    directory.mkdir(mode=0o755)
    with open(directory / "access.log", "w") as out:
        out.writelines(log_lines(hits_a_day))
    write_awstats_conf(directory, cgi / "awstats.bench.conf")
    os.chown(directory, *account_ids(account))
    run(
        [cgi / AWSTATS.name, "-config=bench", "-update"],
        stdout=subprocess.DEVNULL,
        **as_account(account),
    )


def as_account(account):
    """The options of subprocess that make a program run as an account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


# git


def make_repository(directory, account, commits=60):
    """A bare repository; returns its HEAD, which is the same each time."""
    work, chance = directory / "work", random.Random(2)
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (
            ("NAME", "A U Thor"),
            ("EMAIL", "author@example.org"),
            ("DATE", "2025-10-01T00:00:00Z"),
        )
    }
    environment = dict(git_environment(directory), **identity)
    run(["git", "init", "-q", "-b", "main", work], env=environment)
    for number in range(commits):
        for _ in range(4):
            path = work / f"file-{chance.randrange(100)}.txt"
            words = (f"{chance.getrandbits(64):x}" for _ in range(600))
            path.write_text("\n".join(words) + "\n")
        for words in (["add", "."], ["commit", "-q", "-m", f"change {number}"]):
            run(["git", "-C", work, *words], env=environment)
    bare = directory / "repo.git"
    run(["git", "clone", "-q", "--bare", work, bare], env=environment)
    shutil.rmtree(work)
    head = head_of(bare)
    for path in (bare, *bare.rglob("*")):
        os.chown(path, *account_ids(account))
    return head


def head_of(repository):
    return subprocess.check_output(
        ["git", "-C", str(repository), "rev-parse", "HEAD"],
        env=git_environment(repository.parent),
    )


def git_environment(home):
    """Nothing of the person who runs this."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def uris(there):
    """Of the programs that could be made."""
    return [uri for _, uri, need in PROGRAMS if not need or need in there]


def make(directory, tools, account, quick):
    """All of it; what could be made: {"awstats", "flask", "git", "static"}.

    The value of "git" is the commit that a clone has to have.
    """
    cgi = directory / "www" / "cgi"
    copy_programs(cgi, tools)
    there = {}
    if (cgi / "hello-static").exists():
        there["static"] = True
    if AWSTATS.exists() and AWSTATS_CONF.exists():
        make_awstats(directory / "awstats", cgi, account, 300 if quick else 2000)
        there["awstats"] = True
    flask = ["/usr/bin/python3", "-c", "import flask"]
    if subprocess.run(flask, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        there["flask"] = True
    if shutil.which("git"):
        (directory / "git").mkdir(mode=0o755)
        there["git"] = make_repository(directory / "git", account)
    return there
