"""The files for service managers: units, the rc.d script, log rotation.

The units are judged, never run: a systemd that is started here, in whatever
namespace, works on this machine's own files.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness.client import wait_for
from harness.daemon import build_directory, program

ROOT = pathlib.Path(__file__).resolve().parents[2]
ANALYZE = shutil.which("systemd-analyze")
LOGROTATE = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
SERVICES = ["scgid.service", "scgid@.service"]
SOCKETS = ["scgid.socket", "scgid@.socket"]

analyze = pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze")


def unit(name):
    """The text of a unit as it is installed."""
    built = build_directory() / "systemd" / name
    text = (built if built.exists() else ROOT / "systemd" / name).read_text()
    assert not re.search(r"@[A-Z_]+@", text), "not configured"
    return text


def settings(name):
    """The assignments of a unit: name -> values."""
    found = {}
    for line in unit(name).splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@analyze
@pytest.mark.parametrize(
    "name, most", [("scgid.service", 3.5), ("scgid@.service", 1.5)]
)
def test_exposure(tmp_path, name, most):
    (tmp_path / name).write_text(unit(name))
    done = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--no-pager"]
        + ["--threshold=%d" % (most * 10), str(tmp_path / name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = done.stdout.decode()
    if "unrecognized option" in text:
        pytest.skip("systemd-analyze without --offline")
    assert done.returncode == 0, text
    found = float(re.search(r"Overall exposure level.*: ([0-9.]+)", text).group(1))
    assert 0 < found <= most


@analyze
def test_units_are_valid(tmp_path):
    """Every directive is known, and what they start exists."""
    for name in SERVICES + SOCKETS:
        text = re.sub(
            r"(?m)^(Exec\w+=)/\S*/scgid ", r"\1%s " % program("scgid"), unit(name)
        )
        (tmp_path / name).write_text(text)
        (tmp_path / name.replace("@.", "@daemon.")).write_text(text)
    names = [n.replace("@.", "@daemon.") for n in SERVICES + SOCKETS]
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", "--no-pager"]
        + [str(tmp_path / n) for n in names],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = done.stdout.decode()
    wrong = [l for l in text.splitlines() if "scgid" in l]
    assert done.returncode == 0 and not wrong, text


@pytest.mark.parametrize("name", SERVICES)
def test_the_sandbox_leaves_what_scripts_need(name):
    """What would break ordinary scripts is not there, and the file says why."""
    text = unit(name)
    found = settings(name)
    for key in (
        "MemoryDenyWriteExecute",
        "ProcSubset",
        "PrivateNetwork",
        "IPAddressDeny",
    ):
        assert key not in found, key
        assert re.search(r"# Not here:(.|\n)*%s" % key, text), key
    families = found["RestrictAddressFamilies"][0].split()
    assert {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"} <= set(families)
    assert found["SystemCallFilter"][0].split()[0] == "@system-service"
    assert found["SystemCallErrorNumber"] == ["EPERM"]
    if name == "scgid.service":
        # Homes hold scripts; pools decide about new privileges themselves.
        for key in (
            "ProtectHome",
            "NoNewPrivileges",
            "RestrictSUIDSGID",
            "ProtectProc",
        ):
            assert key not in found, key
    else:
        assert found["NoNewPrivileges"] == ["yes"] and found["User"] == ["%i"]
        assert found["CapabilityBoundingSet"] == [""]
        # A listener's "allow" has to see the users of its peers.
        assert "PrivateUsers" not in found


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_fits_the_daemon(name):
    found = settings(name)
    assert found["Type"] == ["notify"]
    assert found["KillMode"] == ["mixed"] and int(found["WatchdogSec"][0]) > 0
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    # It drains for 30 seconds, and then takes 5 to stop.
    assert int(found["TimeoutStopSec"][0]) > 35
    # A bad configuration is 78, and final: that of ExecStart alone is (see
    # systemd.service(5)), so no other may judge it first.
    assert found["RestartPreventExitStatus"] == ["78"]
    assert "ExecStartPre" not in found
    done = subprocess.run(
        [program("scgid"), "-t", "-c", "/nonexistent"], stderr=subprocess.DEVNULL
    )
    assert done.returncode == 78
    if name == "scgid.service":
        # Or the sockets of the template would go when this service stops.
        assert found["RuntimeDirectoryPreserve"] == ["yes"]


@pytest.mark.parametrize("name", SOCKETS)
def test_the_sockets_are_private(name):
    found = settings(name)
    assert found["SocketMode"] == ["0660"] and found["Accept"] == ["no"]
    assert found["ListenStream"][0].startswith("/run/scgid/")


# rc.subr, as far as the script knows it: it writes down what it is told.
RC_SUBR = """
load_rc_config() { echo "load_rc_config $1" >>"$RECORD"; . "$RC_CONF"; }
run_rc_command()
{
	{
		echo "run_rc_command $1"
		for v in name rcvar command command_args pidfile required_files \\
		    extra_commands sig_reload scgid_enable scgid_flags scgid_user; do
			eval "echo \\"$v=\\$$v\\""
		done
	} >>"$RECORD"
	case " start stop restart status poll rcvar $extra_commands " in
	*" $1 "*) ;;
	*) echo "unknown: $1"; return 1 ;;
	esac
	eval "pre=\\${$1_precmd:-} cmd=\\${$1_cmd:-}"
	if [ -n "$pre" ]; then $pre || return 1; fi
	if [ -n "$cmd" ]; then $cmd; fi
}
"""


class Rc:
    """The rc.d script, with a stand-in for what surrounds it."""

    def __init__(self, place):
        self.place = place
        self.record = place / "record"
        self.conf = place / "rc.conf"
        for name in ("etc/rc.d", "sbin", "run"):
            (place / name).mkdir(parents=True)
        (place / "rc.subr").write_text(RC_SUBR)
        text = (ROOT / "contrib/freebsd/scgid").read_text()
        text = text.replace("/etc/rc.subr", str(place / "rc.subr"))
        text = text.replace("/usr/local", str(place)).replace(
            "/var/run", str(place / "run")
        )
        self.script = place / "etc/rc.d/scgid"
        self.script.write_text(text)
        self.script.chmod(0o755)
        self.daemon = place / "sbin/scgid"
        self.daemon.write_text(
            '#!/bin/sh\necho "scgid $*" >>"$RECORD"\ncase $* in *bad.conf*) exit 78 ;; esac\n'
        )
        self.daemon.chmod(0o755)

    def run(self, *arguments, **variables):
        self.conf.write_text("".join('%s="%s"\n' % pair for pair in variables.items()))
        self.record.write_text("")
        env = dict(os.environ, RECORD=str(self.record), RC_CONF=str(self.conf))
        self.code = subprocess.run(
            [str(self.script)] + list(arguments), env=env
        ).returncode
        return self.record.read_text().splitlines()


@pytest.fixture
def rc(tmp_path):
    return Rc(tmp_path)


def test_rc_start(rc):
    lines = rc.run("start", scgid_enable="YES")
    assert rc.code == 0
    assert lines[0] == "load_rc_config scgid"
    conf = "%s/etc/scgid.conf" % rc.place
    pid = "%s/run/scgid/scgid.pid" % rc.place
    for line in (
        "run_rc_command start",
        "name=scgid",
        "rcvar=scgid_enable",
        "command=%s/sbin/scgid" % rc.place,
        "pidfile=" + pid,
        "required_files=" + conf,
        "command_args=-d -p %s -c %s" % (pid, conf),
        "extra_commands=reload configtest",
        "sig_reload=HUP",
    ):
        assert line in lines, (line, lines)
    # The configuration is checked first, and the pid's directory made.
    assert lines[-2:] == ["scgid -t -c " + conf, "scgid -T -c " + conf]
    assert (rc.place / "run/scgid").is_dir()


def test_rc_default_is_off(rc):
    assert "scgid_enable=NO" in rc.run("start")


@pytest.mark.parametrize("what", ["start", "restart", "reload", "configtest"])
def test_rc_bad_configuration(rc, what):
    """Nothing is started, stopped or signalled for it."""
    lines = rc.run(what, scgid_enable="YES", scgid_config="/etc/bad.conf")
    assert rc.code != 0
    assert lines[-1] == "scgid -t -c /etc/bad.conf"
    assert not (rc.place / "run/scgid").exists()


def test_rc_checks_as_the_user_that_reads_it(rc):
    """As root it would miss a user in each pool."""
    (rc.place / "su").write_text('#!/bin/sh\necho "su $*" >>"$RECORD"\nsh -c "$4"\n')
    (rc.place / "su").chmod(0o755)
    path = "%s:%s" % (rc.place, os.environ["PATH"])
    lines = rc.run("configtest", PATH=path, scgid_enable="YES", scgid_user="alice")
    command = "%s/sbin/scgid -t -c %s/etc/scgid.conf" % (rc.place, rc.place)
    assert "su -m alice -c " + command in lines, lines
    assert rc.code == 0


@pytest.mark.root
@pytest.mark.parametrize("what", ["start", "restart", "reload", "configtest"])
def test_rc_a_log_that_does_not_go_with_the_background(rc, what):
    """Or a restart would stop what it cannot start again."""
    rc.daemon.unlink()
    rc.daemon.symlink_to(program("scgid"))
    conf = rc.place / "scgid.conf"
    text = "[scgid]\nlog = %s\n[www]\nlisten = /run/x.sock\nuser = root\n"
    text += "[www /]\nroot = /usr/lib\n"
    for log, code in (("stderr", 1), ("syslog", 0)):
        conf.write_text(text % log)
        rc.run(what, scgid_enable="YES", scgid_config=str(conf))
        assert rc.code == code, log


@pytest.mark.parametrize("what", ["stop", "status", "reload", "configtest"])
def test_rc_other_commands(rc, what):
    assert "run_rc_command " + what in rc.run(what, scgid_enable="YES")
    assert rc.code == 0


def test_rc_profiles(rc):
    variables = {
        "scgid_enable": "YES",
        "scgid_profiles": "a b_1",
        "scgid_flags": "--debug",
        "scgid_a_config": "/etc/a.conf",
        "scgid_b_1_enable": "NO",
        "scgid_b_1_flags": "--x",
    }
    lines = rc.run("start", "b_1", **variables)
    assert rc.code == 0
    assert "scgid_enable=NO" in lines and "scgid_flags=--x" in lines
    assert "pidfile=%s/run/scgid/b_1/scgid.pid" % rc.place in lines
    conf = "%s/etc/scgid.d/b_1.conf" % rc.place
    assert lines[-2:] == ["scgid -t -c " + conf, "scgid -T -c " + conf]
    assert (rc.place / "run/scgid/b_1").is_dir()
    # Without a name: all of them, in order.
    lines = rc.run("reload", **variables)
    assert rc.code == 0
    assert lines.count("run_rc_command reload") == 2
    assert [l for l in lines if l.startswith("scgid -t")] == [
        "scgid -t -c /etc/a.conf",
        "scgid -t -c %s/etc/scgid.d/b_1.conf" % rc.place,
    ]
    assert "scgid_flags=--debug" in lines
    # One that fails does not keep the others from their turn.
    lines = rc.run("start", **dict(variables, scgid_a_config="/etc/bad.conf"))
    assert rc.code != 0
    assert lines.count("run_rc_command start") == 2
    rc.run("start", "c", **variables)
    assert rc.code == 1


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
def test_rc_lint():
    # SC2034: what is set there is read by rc.subr.
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "-e", "SC2034", str(ROOT / "contrib/freebsd/scgid")],
        stdout=subprocess.PIPE,
    )
    assert done.returncode == 0, done.stdout.decode()
    text = (ROOT / "contrib/freebsd/scgid").read_text()
    for word in ("# PROVIDE: scgid\n", "# REQUIRE: ", "# KEYWORD: shutdown\n"):
        assert word in text
    assert os.access(ROOT / "contrib/freebsd/scgid", os.X_OK)


@pytest.mark.skipif(not LOGROTATE, reason="no logrotate")
def test_logrotate(start, place):
    """It rotates; the daemon is told and goes on in a new file."""
    log = place / "scgid.log"
    one = start(
        {"www": ({}, {"/cgi-bin": {"root": "{cgi}"}})},
        {"log": log},
        ready=False,
        arguments=("-f", "-p", str(place / "pid")),
    )
    one.log_follower.path = log
    one.wait_ready()
    text = (ROOT / "contrib/logrotate/scgid").read_text()
    text = text.replace("/var/log/scgid", str(place)).replace(
        "/run/scgid.pid", str(place / "pid")
    )
    text = text.replace("/run/systemd/system", str(place / "none"))
    configuration = place / "logrotate.conf"
    configuration.write_text(text)
    done = subprocess.run(
        [LOGROTATE, "--force", "--state", str(place / "state"), str(configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()
    wait_for(lambda: log.exists() and "logs reopened" in log.read_text(), "the new log")
    assert " ready" in (place / "scgid.log.1").read_text()
    one.stop()


def test_newsyslog():
    """The fields of newsyslog.conf(5), and what scgid wants of them."""
    text = (ROOT / "contrib/freebsd/newsyslog.conf.d/scgid.conf").read_text()
    lines = [l.split() for l in text.splitlines() if l and not l.startswith("#")]
    assert lines
    for name, mode, _, _, _, flags, pid, number in lines:
        assert name.startswith("/var/log/scgid/") and mode == "640"
        assert "G" in flags and "C" not in flags
        assert number == "30", "SIGUSR1 of FreeBSD"
        assert pid in (ROOT / "contrib/freebsd/scgid").read_text()


def test_migration_examples_are_valid(tmp_path):
    """Each of our configurations in the README."""
    text = (ROOT / "README.md").read_text().partition("## Coming from")[2]
    blocks = re.findall(r"(?m)(?:^(?:    .*)?\n)+", text)
    blocks = [
        re.sub(r"(?m)^    ", "", b) for b in blocks if b.strip().startswith("[www]")
    ]
    assert len(blocks) == 4
    cgi = tmp_path / "cgi"
    cgi.mkdir()
    tmp_path.chmod(0o755)
    (cgi / "awstats.pl").write_text("#!/bin/sh\n")
    (cgi / "awstats.pl").chmod(0o755)
    for block in blocks:
        block = block.replace("/usr/lib/cgi-bin", str(cgi)).replace(
            "/run/scgid", str(tmp_path)
        )
        if os.getuid() != 0:
            block = re.sub(r"(?m)^(user|listen_group|group) .*\n", "", block)
        path = tmp_path / "scgid.conf"
        path.write_text(block)
        done = subprocess.run(
            [program("scgid"), "-t", "-c", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout.decode() + block
