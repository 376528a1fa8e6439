import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.kvm import Acceleration
from bakery.host.report import Event, Report, silent
from bakery.samples import bootloader
from bakery.vm.machine import Machine
from bakery.vm.prove import prove as prove_module
from bakery.vm.prove.prove import Options, prove
from bakery.vm.prove.shell import Command, Login
from tests.bootsector import saying
from tests.conftest import BAKERY
from tests.leftovers import alive
from tests.vm.prove.builds import make

LONG_SECONDS = 120.0
SMALL = Machine(memory_mib=128)
NOTHING = "nothing was printed on the serial console (do the kernel arguments name console=ttyS0?)"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """A temporary folder of the test's own, to see what is left in it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(prove_module, "LAST_WORDS_SECONDS", 0.1)
    return folder


def tried(build, tmp_path, seconds=LONG_SECONDS, report=None, **options):
    chosen = Options(timeout_seconds=seconds, machine=SMALL, **options)
    return prove(build, chosen, console_path=tmp_path / "console", report=report or silent())


@pytest.fixture
def machine(monkeypatch):
    """Has a shell script run in QEMU's place."""

    def runs(script):
        monkeypatch.setattr(prove_module, "argv", lambda *_: ["sh", "-c", script])

    return runs


def test_a_command_is_run_where_the_login_is(tmp_path, machine):
    machine(f"exec {sys.executable} {Path(__file__).with_name('fake_login.py')} 3 3<&0")
    build = make(tmp_path / "build", b"")
    verdict = tried(build, tmp_path, command="echo hello; exit 4", login=Login("root", "secret"))
    assert verdict.command == Command("echo hello; exit 4", 4, "hello\n")
    assert (verdict.reached, verdict.proved) == ("login", False)


def test_a_boot_that_does_not_arrive_runs_no_command_and_is_heard_out(
    tmp_path, machine, monkeypatch
):
    monkeypatch.setattr(prove_module, "LAST_WORDS_SECONDS", 1.0)
    machine("echo 'Kernel panic - not syncing: x'; sleep 0.2; echo behind it; sleep 60")
    verdict = tried(make(tmp_path / "build", b""), tmp_path, command="true")
    assert (verdict.reached, verdict.command) == ("panic", None)
    assert b"behind it" in Path(verdict.console).read_bytes()


def test_a_login_ends_a_boot_where_nothing_is_to_be_run(tmp_path, machine):
    machine("printf 'tiny login: '; sleep 60")
    verdict = tried(make(tmp_path / "build", b""), tmp_path)
    assert (verdict.reached, verdict.command, verdict.proved) == ("login", None, True)
    assert verdict.accel in ("kvm", "tcg")
    assert verdict.console == str(tmp_path / "console")
    assert 0 < verdict.seconds < LONG_SECONDS


@pytest.mark.parametrize(
    ("script", "reached", "reason"),
    [
        ("exit 0", "stopped", f"it restarted or powered off; {NOTHING}"),
        ("echo a; exit 0", "stopped", "it restarted or powered off; the last line was: a"),
        ("exit 3", "qemu-failed", "QEMU failed with exit code 3"),
        (
            *("for n in 1 2 3 4; do echo $n >&2; done; exit 3", "qemu-failed"),
            "QEMU failed with exit code 3: 2 / 3 / 4",
        ),
        ("kill -9 $$", "qemu-failed", "QEMU was ended by SIGKILL"),
        ("exec <&- >&-; exec sleep 60", "qemu-failed", "QEMU closed the console"),
        (
            *("echo 'Warning: /dev/sda9 does not exist'; exit 0", "stopped"),
            "it restarted or powered off; the console said: /dev/sda9 does not exist",
        ),
    ],
)
def test_a_machine_that_ends_is_told_with_what_it_said(
    tmp_path, scratch, machine, monkeypatch, script, reached, reason
):
    monkeypatch.setattr(prove_module, "QUIT_SECONDS", 0.3)
    machine(script)
    verdict = tried(make(tmp_path / "build", b""), tmp_path)
    assert (verdict.reached, verdict.reason) == (reached, reason)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("accel", "asked", "seconds", "notes"),
    [
        ("tcg", None, "600", ["no KVM, so the guest is slow: for a reason"]),
        ("kvm", None, "180", []),
        ("kvm", 7.5, "7.5", []),
    ],
)
def test_a_guest_has_the_time_it_needs(
    tmp_path, machine, monkeypatch, accel, asked, seconds, notes
):
    told = Acceleration(accel, "for a reason")
    monkeypatch.setattr(prove_module, "acceleration_of", lambda _board: told)
    machine("printf 'tiny login: '; sleep 60")
    events: list[Event] = []
    tried(make(tmp_path / "build", b""), tmp_path, asked, Report(events.append))
    assert events[0].text == f"x86_64 boots under {accel.upper()}, at most {seconds} s"
    assert [event.text for event in events if event.kind == "note"] == notes
    assert (events[-1].kind, events[-1].text) == ("finished", "login reached")


def test_a_guest_that_talks_has_no_files_any_more(tmp_path, scratch, machine):
    seen = tmp_path / "seen"
    machine(f"ls {scratch}/*/ > {seen}; echo hello; sleep 0.5; ls -A {scratch} >> {seen}; exit 0")
    tried(make(tmp_path / "build", b""), tmp_path)
    assert seen.read_text() == "overlay.qcow2\n"


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


def test_grub_without_its_files_has_nothing_to_boot(tmp_path):
    """GRUB itself: boot code and core image, on a disk without the partition they ask for."""
    disk = tmp_path / "disk"
    disk.write_bytes((bytes(510) + b"\x55\xaa").ljust(2 << 20, b"\0"))
    bootloader.install_bios(disk, "(hd0,msdos1)/grub2", tmp_path)
    verdict = tried(make(tmp_path / "build", disk.read_bytes()), tmp_path)
    assert (verdict.reached, verdict.reason[:7]) == ("no-boot", "error: "), verdict.reason


def test_a_guest_that_restarts_is_told_so(tmp_path):
    verdict = tried(make(tmp_path / "build", saying(b"bye\r\n", "reset")), tmp_path)
    assert verdict.reached == "stopped"
    assert "the last line was: bye" in verdict.reason


def test_a_guest_that_says_nothing_useful_ends_at_the_timeout(tmp_path, machine):
    machine("echo hello; exec sleep 60")
    verdict = tried(make(tmp_path / "build", b""), tmp_path, seconds=0.4)
    assert verdict.reached == "timeout"
    assert verdict.reason == "no login prompt within 0.4 s; the last line was: hello"


def test_a_timeout_while_the_root_is_sought_is_named_for_it(tmp_path, machine):
    machine("echo 'Starting dracut initqueue hook...'; exec sleep 60")
    verdict = tried(make(tmp_path / "build", b""), tmp_path, seconds=0.4)
    assert verdict.reached == "no-root"
    assert verdict.reason.startswith("still sought after 0.4 s; the last line was: Starting")


def test_a_kernel_that_is_none_is_qemus_failure(tmp_path):
    build = make(tmp_path / "build", b"", layout="pv", firmware=())
    build.kernel.write_bytes(b"no kernel")
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
        build.kernel.write_bytes(b"no kernel")
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
