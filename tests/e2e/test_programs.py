"""Real programs, unmodified from Debian, through real nginx."""

import os
import shutil
import subprocess

import pytest

from conftest import STANDARD_POOL
from harness.daemon import IS_ROOT, POOL_USER, Scgid, user_ids
from harness.servers import Nginx

AWSTATS = "/usr/lib/cgi-bin/awstats.pl"
GIT_BACKEND = "/usr/lib/git-core/git-http-backend"
PHP = "/usr/bin/php-cgi"

MAPS = {
    "/cgi-bin": {"root": "{cgi}"},
    "/stats": {"script": AWSTATS, "env.AWSTATS_ENABLE_CONFIG_DIR": "{dir}/awstats"},
    "/git": {
        "script": GIT_BACKEND,
        "env.GIT_PROJECT_ROOT": "{dir}/repositories",
        "env.GIT_HTTP_EXPORT_ALL": "1",
        # The backend writes as the pool's user into what root made.
        "env.GIT_CONFIG_COUNT": "1",
        "env.GIT_CONFIG_KEY_0": "safe.directory",
        "env.GIT_CONFIG_VALUE_0": "*",
        "env.HOME": "{dir}",
    },
    "/php": {"root": "{cgi}/php", "handler.php": PHP, "index": "index.php"},
}

LOCATIONS = "".join(
    "location %s { include scgi_params; scgi_pass unix:{socket}; }\n" % path
    for path in ("/stats", "/git/", "/php/")
)


@pytest.fixture
def site(shared):
    pool = dict(STANDARD_POOL, script_timeout="60s", idle_timeout="30s")
    return shared.get("site", lambda: Scgid({"www": (pool, MAPS)}, directories=["php"]))


@pytest.fixture
def nginx(servers, site):
    return servers(Nginx, site, LOCATIONS)


def needs(path):
    return pytest.mark.skipif(not os.path.exists(path), reason=path + " is not here")


@pytest.fixture
def php(site):
    def write(name, text):
        return site.script("php/" + name, text, mode=0o644, interpreter=None)

    return write


@needs(PHP)
def test_item_34_php_page(site, nginx, php):
    php(
        "index.php",
        "<?php echo 'php ', PHP_SAPI, '|', $_SERVER['SCRIPT_FILENAME'], '|', "
        "$_SERVER['PATH_INFO'] ?? 'none', '|', $_GET['a'] ?? '', '|', $_SERVER['REDIRECT_STATUS'];",
    )
    page = nginx.get("/php/index.php/info?a=b")
    assert page.status == 200, page
    assert page.body.decode() == "php cgi-fcgi|%s/php/index.php|/info|b|200" % site.cgi
    assert nginx.get("/php/").body.startswith(b"php cgi-fcgi")


@needs(PHP)
def test_item_34_php_with_a_proxy_script_filename(site, php):
    php("index.php", "<?php echo $_SERVER['SCRIPT_FILENAME'];")
    reply = site.request(
        "/php/index.php", SCRIPT_FILENAME="proxy:scgi://localhost/php/index.php"
    )
    assert reply.body.decode() == "%s/php/index.php" % site.cgi


@needs(PHP)
def test_item_34_item_40_php_takes_no_arguments(site, php):
    """CVE-2012-1823, CVE-2024-4577."""
    php("index.php", "<?php echo 'ran';")
    for query in ("-s", "%ADs", "-d+auto_prepend_file%3d/etc/passwd"):
        assert site.request("/php/index.php", query=query).body == b"ran"


@needs(PHP)
def test_item_34_php_interpreter_line(site, nginx):
    site.script("page.php", "#!%s\n<?php echo 'shebang ', 1 + 1;" % PHP)
    assert nginx.get("/cgi-bin/page.php").body == b"shebang 2"


@needs(PHP)
def test_item_34_php_post(nginx, php):
    php("post.php", "<?php echo strlen($_POST['text']), $_POST['text'][0];")
    page = nginx.get(
        "/php/post.php",
        "POST",
        "text=" + "y" * 300000,
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert page.body == b"300000y"


@needs(PHP)
def test_item_34_php_upload(nginx, php, tmp_path):
    php(
        "upload.php",
        "<?php $f = $_FILES['file']; echo $f['error'], '|', $f['size'], '|', sha1_file($f['tmp_name']);",
    )
    file = tmp_path / "upload.bin"
    file.write_bytes(os.urandom(1500000))
    code, output = nginx.curl("/php/upload.php", "-F", "file=@%s" % file)
    digest = subprocess.check_output(["sha1sum", file]).split()[0].decode()
    assert (code, output.decode()) == (0, "0|1500000|" + digest)


LOG = (
    '192.0.2.%d - - [%s:10:%02d:00 +0000] "GET /page%d.html HTTP/1.1" 200 %d '
    '"-" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"\n'
)


@pytest.fixture
def awstats(site):
    return write_awstats(site)


def write_awstats(site):
    """A month of a small log, as awstats' own update makes it."""
    data = site.writable("awstats")
    if not (data / "awstats.test.conf").exists():
        log = data / "access.log"
        log.write_text(
            "".join(LOG % (n % 50, "15/Jan/2024", n % 60, n % 9, n) for n in range(500))
        )
        (data / "awstats.test.conf").write_text(
            'LogFile="%s"\nLogType=W\nLogFormat=1\nSiteDomain="test"\nHostAliases="localhost"\n'
            'DirData="%s"\nDirIcons="/icon"\nDNSLookup=0\nAllowFullYearView=3\n'
            % (log, data)
        )
        for path in data.iterdir():
            path.chmod(0o644)
        subprocess.run(
            ["perl", AWSTATS, "-config=test", "-configdir=%s" % data, "-update"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for path in data.iterdir():
            path.chmod(0o644)
    return data


@needs(AWSTATS)
def test_awstats(nginx, awstats):
    """Prints no Status line."""
    base = "/stats?config=test&configdir=%s" % awstats
    page = nginx.get(base + "&framename=index")
    assert page.status == 200, page
    assert b"frame" in page.body.lower()
    page = nginx.get(base + "&framename=mainright&year=2024&month=01")
    assert page.status == 200
    assert page.header("Content-Type").startswith("text/html")
    assert b"Statistics for" in page.body and b"500" in page.body


def git(*arguments, **options):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
        "GIT_TERMINAL_PROMPT": "0",
    }
    done = subprocess.run(
        ["git"] + list(arguments),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        **options
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout


@needs(GIT_BACKEND)
def test_git_clone_push_clone(site, nginx, tmp_path):
    """A push of 50 MB, and what a second clone gets is what was pushed."""
    repositories = site.writable("repositories")
    bare = repositories / "p.git"
    git("init", "-q", "--bare", "-b", "main", str(bare))
    git("-C", str(bare), "config", "http.receivepack", "true")
    if IS_ROOT:
        uid, gid = user_ids(POOL_USER)
        for top, _, files in os.walk(bare):
            os.chown(top, uid, gid)
            for name in files:
                os.chown(os.path.join(top, name), uid, gid)
    url = nginx.url("/git/p.git")
    site.touched = True
    first = tmp_path / "first"
    git("clone", "-q", url, str(first))
    big = os.urandom(50 << 20)
    (first / "big").write_bytes(big)
    git("-C", str(first), "checkout", "-q", "-B", "main")
    git("-C", str(first), "add", "big")
    git("-C", str(first), "commit", "-q", "-m", "fifty megabytes")
    git(
        "-C",
        str(first),
        "-c",
        "http.postBuffer=100000000",
        "push",
        "-q",
        "origin",
        "main",
    )
    second = tmp_path / "second"
    git("clone", "-q", url, str(second))
    assert (second / "big").read_bytes() == big
    # And once without the buffer: chunked, as git does by default.
    (second / "small").write_bytes(os.urandom(3 << 20))
    git("-C", str(second), "add", "small")
    git("-C", str(second), "commit", "-q", "-m", "three more")
    git("-C", str(second), "push", "-q", "origin", "main")
    git("-C", str(first), "pull", "-q", "origin", "main")
    assert (first / "small").read_bytes() == (second / "small").read_bytes()
    shutil.rmtree(bare)


CGI_PM = """#!/usr/bin/perl -T
use strict;
use CGI;
my $q = CGI->new;
if (my $handle = $q->upload('file')) {
	binmode $handle;
	local $/;
	my $data = <$handle>;
	print $q->header('text/plain'), length $data;
	exit;
}
print $q->header(-type => 'text/plain', -status => '201 Made', -cookie =>
    $q->cookie(-name => 'n', -value => 'v'));
print join '|', $q->request_method, $q->param('a') // '', $q->path_info,
    $q->script_name, $q->url(-absolute => 1);
"""


def test_perl_with_cgi_pm(site, nginx, tmp_path):
    if subprocess.run(
        ["perl", "-MCGI", "-e", "1"], stderr=subprocess.DEVNULL
    ).returncode:
        pytest.skip("libcgi-pm-perl is not here")
    site.script("form.pl", CGI_PM, interpreter=None)
    page = nginx.get("/cgi-bin/form.pl/in/fo?a=b%20c")
    assert (page.status, page.phrase) == (201, "Made")
    assert page.header("Set-Cookie").startswith("n=v")
    assert page.body == b"GET|b c|/in/fo|/cgi-bin/form.pl|/cgi-bin/form.pl"
    page = nginx.get(
        "/cgi-bin/form.pl",
        "POST",
        "a=posted",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert page.body.startswith(b"POST|posted||")
    file = tmp_path / "f"
    file.write_bytes(os.urandom(700000))
    assert nginx.curl("/cgi-bin/form.pl", "-F", "file=@%s" % file) == (0, b"700000")


def test_shell_script(site, nginx):
    site.script(
        "date.sh",
        'echo Content-type: text/plain\necho\necho "$REQUEST_METHOD $PATH_INFO"',
    )
    assert nginx.get("/cgi-bin/date.sh/x").body == b"GET /x\n"


def test_python_script(site, nginx):
    site.script(
        "form.py",
        "#!/usr/bin/python3\nimport sys, urllib.parse\n"
        "form = urllib.parse.parse_qs(sys.stdin.read())\n"
        "print('Content-Type: text/plain; charset=utf-8')\nprint()\nprint(form['a'][0])\n",
    )
    assert nginx.get("/cgi-bin/form.py", "POST", "a=hello+you").body == b"hello you\n"


def test_python_traceback(site, nginx):
    """A script that dies before its header: the log has the last lines."""
    site.script(
        "broken.py",
        "#!/usr/bin/python3\nimport sys\nraise ValueError('what is wrong')\n",
    )
    site.expect(reason="exit-status")
    page = nginx.get("/cgi-bin/broken.py")
    assert page.status == 502
    assert "ValueError: what is wrong" in site.failure(page.id)["stderr"]
