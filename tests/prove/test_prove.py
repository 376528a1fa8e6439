import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from bakery.errors import BakeryError
from bakery.machine import Machine
from bakery.prove import Options, prove
from bakery.report import Event, Report, silent
from tests.bootsector import saying
from tests.conftest import BAKERY
from tests.leftovers import alive
from tests.prove.builds import make

LONG_SECONDS = 120.0
SMALL = Machine(memory_mib=128)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """A temporary folder of the test's own, to see what is left in it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def tried(build, tmp_path, seconds=LONG_SECONDS, report=None, **options):
    chosen = Options(timeout_seconds=seconds, machine=SMALL, **options)
    return prove(build, chosen, console_path=tmp_path / "console", report=report or silent())


@pytest.mark.parametrize(
    ("said", "reached"),
    [
        (b"tiny login: ", "login"),
        (b"Give root password for maintenance\r\n", "emergency"),
        (b"Kernel panic - not syncing: No init\r\n", "panic"),
        (b"Warning: /dev/sda9 does not exist\r\nEntering emergency mode.\r\n", "no-root"),
        (b"error: unknown filesystem.\r\ngrub rescue> ", "no-boot"),
    ],
)
def test_a_boot_is_told_by_what_its_console_says(tmp_path, scratch, said, reached):
    build = make(tmp_path / "build", saying(said))
    verdict = tried(build, tmp_path)
    assert verdict.reached == reached
    assert verdict.proved == (reached == "login")
    # The line is known by its words; what follows them may still be on its way.
    assert said.strip() in Path(verdict.console).read_bytes()
    assert list(scratch.iterdir()) == []


def test_the_base_is_the_same_after_the_guest_wrote_to_its_disk(tmp_path):
    build = make(tmp_path / "build", saying(b"tiny login: "))
    before = hashlib.sha256(build.base.read_bytes()).digest()
    build.base.chmod(0o444)
    stamp = build.base.stat().st_mtime_ns
    assert tried(build, tmp_path).proved
    assert hashlib.sha256(build.base.read_bytes()).digest() == before
    assert build.base.stat().st_mtime_ns == stamp


def test_a_disk_without_a_boot_loader_has_nothing_to_boot(tmp_path):
    verdict = tried(make(tmp_path / "build", b""), tmp_path)
    assert verdict.reached == "no-boot"
    assert "not a bootable disk" in verdict.reason


def test_a_guest_that_restarts_is_told_so(tmp_path):
    verdict = tried(make(tmp_path / "build", saying(b"bye\r\n", "reset")), tmp_path)
    assert verdict.reached == "stopped"
    assert "the last line was: bye" in verdict.reason


def test_a_guest_that_says_nothing_useful_ends_at_the_timeout(tmp_path):
    verdict = tried(make(tmp_path / "build", saying(b"hello\r\n")), tmp_path, seconds=2)
    assert verdict.reached == "timeout"
    assert "the last line was: hello" in verdict.reason


def test_a_timeout_while_the_root_is_sought_is_named_for_it(tmp_path):
    said = b"Starting dracut initqueue hook...\r\n"
    verdict = tried(make(tmp_path / "build", saying(said)), tmp_path, seconds=2)
    assert verdict.reached == "no-root"


def test_a_kernel_that_is_none_is_qemus_failure(tmp_path):
    build = make(tmp_path / "build", b"", layout="pv", firmware=())
    build.kernel.unlink()
    build.kernel.mkdir()
    verdict = tried(build, tmp_path)
    assert verdict.reached == "qemu-failed"
    assert "exit code 1" in verdict.reason


def test_escape_sequences_of_a_hostile_guest_reach_the_console_file_alone(tmp_path):
    said = b"\x1b]0;owned\x07\x1b[2J\x1b[31mhello\x1b[0m\r\n"
    events: list[Event] = []
    build = make(tmp_path / "build", saying(said))
    verdict = tried(build, tmp_path, seconds=2, report=Report(events.append))
    # The line is known by its words; what follows them may still be on its way.
    assert said.strip() in Path(verdict.console).read_bytes()
    assert verdict.reason.endswith("the last line was: hello")
    told = [text for event in events for text in (event.text, event.step)]
    assert all(text.isprintable() for text in told)


def test_the_step_ends_as_the_boot_does(tmp_path):
    ends: list[str] = []
    for name, sector in (("a", saying(b"tiny login: ")), ("b", saying(b"x", "reset"))):
        events: list[Event] = []
        tried(make(tmp_path / name, sector), tmp_path, report=Report(events.append))
        ends.append(events[-1].kind)
    assert ends == ["finished", "failed"]


def test_a_serial_console_is_added_only_where_there_is_none(tmp_path):
    told = {}
    for arg in ("quiet", "console=ttyS0,115200n8"):
        events: list[Event] = []
        build = make(tmp_path / arg, b"", layout="pv", firmware=(), kernel_args=(arg,))
        build.kernel.unlink()
        build.kernel.mkdir()
        tried(build, tmp_path, report=Report(events.append))
        told[arg] = [event.text for event in events if "console=ttyS0 is added" in event.text]
    assert len(told["quiet"]) == 1
    assert told["console=ttyS0,115200n8"] == []


@pytest.mark.parametrize(
    ("fields", "options", "words"),
    [
        ({"firmware": ()}, {}, "no boot loader"),
        ({"layout": "pv", "firmware": ()}, {"firmware": "bios"}, "not booted by firmware"),
        ({"layout": "pv", "kernel_args": ("a\nb",)}, {}, "control characters"),
        ({}, {"command": "x" * 5000}, "longer than"),
    ],
)
def test_what_cannot_be_tried_is_refused(tmp_path, fields, options, words):
    build = make(tmp_path / "build", b"", **fields)
    with pytest.raises(BakeryError, match=words):
        tried(build, tmp_path, **options)


def test_a_console_file_that_cannot_be_written_is_refused(tmp_path):
    build = make(tmp_path / "build", b"")
    with pytest.raises(BakeryError, match="console cannot be kept"):
        prove(build, Options(), console_path=tmp_path / "no" / "such", report=silent())


def test_the_command_answers_with_one_document(tmp_path, bakery):
    make(tmp_path / "build", saying(b"tiny login: "))
    done = bakery("prove", tmp_path / "build", "--json", "--memory", "128")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["reached"] == "login"
    assert Path(document["console"]).is_file()
    assert all(json.loads(line)["step"] == "prove" for line in done.stderr.splitlines())


def test_the_command_names_the_failure_and_the_console(tmp_path, bakery):
    make(tmp_path / "build", saying(b"Kernel panic - not syncing: No init\r\n"))
    done = bakery("prove", tmp_path / "build", "--memory", "128")
    assert done.returncode == 1
    assert "kernel panic" in done.stdout
    assert "No init" in done.stdout
    assert "tiny-console.log" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_machine_and_no_file_outlives_the_command(tmp_path, scratch, number):
    folder = tmp_path / "build"
    make(folder, saying(b"still here\r\n"))
    process = subprocess.Popen(
        [BAKERY, "prove", folder, "--memory", "128", "--timeout", "600"],
        env=os.environ | {"TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    console = folder / "tiny-console.log"
    wait_for(lambda: console.is_file() and b"still here" in console.read_bytes())
    machines = qemu_children(process.pid)
    assert machines
    process.send_signal(number)
    assert process.wait(LONG_SECONDS) != 0
    wait_for(lambda: not any(alive(pid) for pid in machines))
    assert list(scratch.iterdir()) == []


def qemu_children(parent: int) -> list[int]:
    """The processes `parent` started that still run."""
    task = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(word) for word in task.read_text().split()]


def wait_for(condition) -> None:
    """Until `condition` holds; fails after two minutes."""
    limit = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
