"""The command's frame: exit codes, errors as output, and a quick start."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import click
import pytest

from bakery import __version__
from bakery.cli import main as frame
from bakery.errors import BakeryError, UsageError
from tests.leftovers import alive

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
        "from bakery.errors import BakeryError\nraise BakeryError('it is empty', 'fill it')"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bakery: it is empty\n  fill it\n"


def test_wrong_usage_is_2(bakery):
    for args in (["no-such-command"], ["--no-such-option"], ["inspect"]):
        done = bakery(*args)
        assert done.returncode == 2, args
        assert done.stdout == ""
        assert "Usage: bakery" in done.stderr


def test_usage_that_can_mean_nothing_is_2():
    done = end_of("from bakery.errors import UsageError\nraise UsageError('either or')")
    assert (done.returncode, done.stderr) == (2, "bakery: either or\n")


def test_with_json_a_failure_is_one_document_on_standard_output():
    body = "from bakery.errors import BakeryError\nraise BakeryError('ist leer: ä', 'fill it')"
    done = end_of(body.replace("raise", "sys.argv.append('--json')\nraise"))
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "ist leer: ä", "hint": "fill it"}
    assert "ist leer" in done.stderr


def test_an_error_with_control_characters_stays_one_harmless_line():
    done = end_of(
        "from bakery.errors import BakeryError\nraise BakeryError('a\\nb\\x1b[31mc\\u202ed')"
    )
    first, *rest = done.stderr.splitlines()
    assert rest == []
    assert first.isprintable()


def test_a_defect_of_bakery_is_not_dressed_up():
    done = end_of("raise ZeroDivisionError('a defect')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_what_was_started_and_has_its_code(number, code, tmp_path):
    pid = tmp_path / "pid"
    body = f"""
import os, signal
from bakery.run import run
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
