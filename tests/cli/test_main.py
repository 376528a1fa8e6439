"""The command's frame: exit codes, errors as output, and a quick start."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from bakery import __version__
from bakery.cli import main as frame
from bakery.host.errors import BakeryError, UsageError
from tests.cli.inside import ask, told
from tests.conftest import BAKERY
from tests.leftovers import alive

SOON_SECONDS = 10  # of which 2 are given to a program that is asked to end

HEAVY = ("openstack", "oslo_utils", "pexpect", "rich")
HARNESS = """
import sys, types, click
from bakery.cli import main as frame
module = types.ModuleType("fake")
@click.command()
def command():
{body}
module.command = command
sys.modules["fake"] = module
frame.COMMANDS["fake"] = "fake"
sys.argv = ["bakery", "fake", *sys.argv[1:]]
frame.main()
"""


def end_of(body: str, *args: str) -> subprocess.CompletedProcess[str]:
    """How the command ends when it does `body` (lines of Python)."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    script = HARNESS.format(body=indented)
    return subprocess.run(
        [sys.executable, "-c", script, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_command_of_the_table_has_a_module():
    missing = [name for name in frame.COMMANDS.values() if importlib.util.find_spec(name) is None]
    assert missing == []


@pytest.mark.parametrize("name", sorted(frame.COMMANDS))
def test_every_command_explains_itself(bakery, name):
    done = bakery(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: bakery" in done.stdout
    assert done.stderr == ""


def test_help_lists_every_command(bakery):
    done = bakery("--help")
    assert done.returncode == 0
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert set(frame.COMMANDS) <= listed


def test_help_loads_nothing_heavy():
    script = f"""
import sys
from pathlib import Path
from bakery.cli.main import main
sys.argv = ["bakery", "--help"]
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


def test_version_is_told(bakery):
    assert bakery("--version").stdout == f"bakery, version {__version__}\n"


def test_it_also_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "bakery", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout


def test_done_is_0():
    done = end_of("click.echo('result')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "")


def test_a_command_can_give_an_exit_code():
    assert end_of("raise click.exceptions.Exit(3)").returncode == 3


def test_a_refusal_is_1_with_its_reason_and_the_way_out_on_standard_error():
    done = end_of(
        "from bakery.host.errors import BakeryError\nraise BakeryError('it is empty', 'fill it')"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bakery: it is empty\n  fill it\n"


def test_wrong_usage_is_2(bakery):
    for args in (["no-such-command"], ["--no-such-option"], ["inspect"]):
        done = bakery(*args)
        assert done.returncode == 2, args
        assert done.stdout == ""
        assert "Usage: bakery" in done.stderr


def test_wrong_usage_is_told_with_the_usage_and_ends_with_its_line(bakery):
    said = bakery("check", "--no-such-option").stderr
    assert said.startswith("Usage: bakery check [OPTIONS] IMAGE\n")
    assert said.splitlines()[-1].startswith("Error: No such option")
    assert said == said.rstrip() + "\n"


def test_usage_that_can_mean_nothing_is_2():
    done = end_of("from bakery.host.errors import UsageError\nraise UsageError('either or')")
    assert (done.returncode, done.stderr) == (2, "bakery: either or\n")


def test_with_json_a_failure_is_one_document_on_standard_output():
    body = "from bakery.host.errors import BakeryError\nraise BakeryError('ist leer: ä', 'fill it')"
    done = end_of(body.replace("raise", "sys.argv.append('--json')\nraise"))
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "ist leer: ä", "hint": "fill it"}
    assert "ist leer" in done.stderr


def test_an_error_and_its_hint_stay_one_harmless_line_each():
    hostile = r"'a\nb\x1b[31mc\u202ed\udcff'"
    body = "from bakery.host.errors import BakeryError\n"
    done = end_of(f"{body}raise BakeryError({hostile}, 'hint ' + {hostile})")
    seen = r"a\nb\x1b[31mc\u202ed\udcff"
    assert done.stderr.splitlines() == [f"bakery: {seen}", f"  hint {seen}"]


def test_a_usage_error_quotes_the_command_line_harmlessly(bakery, tmp_path):
    for words in (["no\x1b[31m\u202ecommand"], ["check", "--no\x1b]0;PWN\x07"]):
        told = bakery(*words).stderr
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert r"\x1b" in told


def test_commands_print_through_the_one_place_that_cleans():
    folder = Path(frame.__file__).parent
    calls = ("click.echo", "print(", "click.secho", "sys.stdout.write", "sys.stderr.write")
    found = {
        f"{file.name}: {call}"
        for file in folder.glob("*.py")
        for call in calls
        if re.search(rf"(?<![\w.])(?<!def ){re.escape(call)}", file.read_text())
    }
    assert found == {"main.py: click.echo", "options.py: click.echo"}


def test_a_defect_of_bakery_is_not_dressed_up():
    done = end_of("raise ZeroDivisionError('a defect')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_what_was_started_and_has_its_code(number, code, tmp_path):
    pid = tmp_path / "pid"
    body = f"""
import os, signal
from bakery.host.run import run
def interrupt(piece):
    os.kill(os.getpid(), {int(number)})
run(["sh", "-c", "echo $$ >{pid}; echo ready; exec sleep 1000"], on_stdout=interrupt, timeout=50)
"""
    done = end_of(body.strip())
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    # timeout(1) that is interrupted before its fork has returned does not wait for its child, whom
    # this process adopts; but the child has ended.
    assert not alive(int(pid.read_text()))


LINGERS = """#!/bin/sh
trap '' TERM INT
echo $$ >"$HOME/pid"
while :; do sleep 0.1; done
"""


def started(*words, **env):
    return subprocess.Popen(
        [BAKERY, *words], env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def interrupted(command):
    """What a command says that is interrupted now; it has a few seconds to end."""
    command.send_signal(signal.SIGINT)
    try:
        _, said = command.communicate(timeout=SOON_SECONDS)
    finally:
        command.kill()
    assert command.returncode == 130
    assert said.endswith(b"bakery: interrupted\n") and b"Traceback" not in said


def test_an_interrupt_soon_ends_a_command_whose_program_ignores_it(tmp_path):
    """`ldd` is the first program of those that a ramdisk is made with; this one stays for ever."""
    (tmp_path / "ldd").write_text(LINGERS)
    (tmp_path / "ldd").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    with started("ramdisk", "-o", tmp_path / "out", PATH=path, HOME=str(tmp_path)) as command:
        pid = written(tmp_path / "pid", command)
        interrupted(command)
    assert not alive(pid)


def written(path, command):
    """The number in a file, as soon as it is there."""
    until = time.monotonic() + 60
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until and command.poll() is None
        time.sleep(0.01)
    return int(path.read_text())


def test_an_interrupt_soon_ends_a_command_that_waits_for_a_cloud():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        cloud = {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": where, "OS_CLIENT_CONFIG_FILE": "/dev/null"}
        with started("nodes", "list", **cloud) as command:
            silent.settimeout(60)
            link, _ = silent.accept()
            with link:
                assert link.recv(4)
                interrupted(command)


def test_a_reader_that_goes_away_is_no_traceback():
    script = "import sys; sys.argv = ['bakery', '--help']; from bakery.cli.main import main; main()"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == 1


def test_an_unknown_command_loads_nothing():
    group = frame.Commands()
    assert group.get_command(click.Context(group), "no-such-command") is None


def test_errors_know_their_exit_codes():
    assert (BakeryError("x").exit_code, UsageError("x").exit_code) == (1, 2)


def test_help_has_two_names_and_tells_what_is_usual():
    assert told("-h") == told("--help")
    assert "[default: 2048; 128<=x<=1048576]" in told("prove", "--help", terminal_width=100)


def test_commands_are_listed_as_a_day_goes():
    listed = [line.split()[0] for line in told("--help").splitlines() if line.startswith("  ")]
    assert [name for name in listed if name in frame.COMMANDS] == list(frame.COMMANDS)


def test_every_command_of_a_group_is_reached():
    for group, names in {
        "nodes": {"enroll", "list", "show", "power", "boot-device", "deploy", "undeploy",
                  "apply-image-args"},
        "lab": {"up", "status", "console", "run", "down", "image"},
        "images": {"prune"},
        "devstack": {"local.conf", "localrc", "check", "run"},
    }.items():  # fmt: skip
        listed = {
            line.split()[0] for line in told(group, "--help").splitlines() if line[:2] == "  "
        }
        assert names <= listed
        for name in names:
            assert ask(group, name, "--help").exception is None
