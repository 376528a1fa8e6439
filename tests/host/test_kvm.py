"""KVM: a trial guest, what it speaks for, and how long its verdict holds."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from bakery.host import kvm
from bakery.host.errors import BakeryError, UsageError
from bakery.host.run import Completed

SOURCE = Path(kvm.__file__).with_name("kvm_trial.S")
PLENTY_SECONDS = 60


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of the test's own, and no override."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(kvm.OVERRIDE, raising=False)
    return tmp_path


@pytest.fixture
def device(tmp_path):
    """A file that passes for /dev/kvm."""
    file = tmp_path / "kvm"
    file.touch()
    return file


class Trials(list[kvm.Accel]):
    """Stands for the trial guest, which always hangs; remembers what it was tried under."""

    def __call__(self, accel: kvm.Accel) -> kvm.Acceleration:
        self.append(accel)
        return kvm.Acceleration("tcg", "it hung")


@pytest.fixture
def trials() -> Trials:
    return Trials()


def test_the_trial_guest_comes_through_where_guests_run():
    found = kvm.try_guest("tcg", PLENTY_SECONDS)
    assert found == kvm.Acceleration("tcg", "a trial guest ran under tcg")


def test_a_guest_that_does_not_come_through_is_told_with_the_reason():
    idle = b"\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"  # hlt; jmp to it
    found = kvm.try_guest("tcg", 1, idle)
    assert found.kind == "tcg"
    assert "a trial guest under tcg failed" in found.reason
    assert "did not finish within 1 s" in found.reason


def test_kvm_is_never_taken_when_the_device_is_no_kvm(home, device):
    found = kvm.examine(device=device)
    assert found.kind == "tcg"
    assert "a trial guest under kvm failed" in found.reason or "not installed" in found.reason


def test_a_device_that_is_not_there_is_not_tried(home, trials, tmp_path):
    found = kvm.examine(device=tmp_path / "nothing", trial=trials)
    assert "there is no" in found.reason
    assert trials == []


def test_one_trial_serves_until_the_machine_is_booted_anew(home, device, trials):
    first = kvm.examine(device=device, trial=trials)
    assert kvm.examine(device=device, trial=trials) == first
    assert trials == ["kvm"]
    boot = home / "boot_id"
    boot.write_text("another boot")
    kvm.examine(device=device, boot_id=boot, trial=trials)
    assert trials == ["kvm", "kvm"]


def test_a_fresh_look_tries_again(home, device, trials):
    kvm.examine(device=device, trial=trials)
    kvm.examine(fresh=True, device=device, trial=trials)
    assert trials == ["kvm", "kvm"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff"])
def test_a_spoiled_cache_means_a_trial(home, device, trials, content):
    (home / "bakery").mkdir()
    (home / "bakery" / "acceleration.json").write_bytes(content)
    assert kvm.examine(device=device, trial=trials).reason == "it hung"
    assert trials == ["kvm"]


def test_a_cache_that_cannot_be_written_is_no_failure(home, device, trials):
    (home / "bakery").write_text("a file where the folder would be")
    assert kvm.examine(device=device, trial=trials).kind == "tcg"


@pytest.mark.parametrize("kind", ["kvm", "tcg"])
def test_the_environment_overrides_the_trial(home, trials, monkeypatch, kind):
    monkeypatch.setenv(kvm.OVERRIDE, kind)
    assert kvm.acceleration() == kind
    assert kvm.examine(trial=trials).kind == kind
    assert trials == []


def test_an_override_that_means_nothing_is_refused(home, monkeypatch):
    monkeypatch.setenv(kvm.OVERRIDE, "hvf")
    with pytest.raises(UsageError, match="'kvm' or 'tcg'"):
        kvm.acceleration()


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (
            b"qemu-system-x86_64: error: failed to set MSR 0x10a\nAssertion",
            "failed to set MSR 0x10a",
        ),
        (b"qemu-system-x86_64: Could not access KVM\n", "Could not access KVM"),
        (b"", ""),
    ],
)
def test_the_reason_is_the_line_that_tells_most(stderr, words):
    assert kvm._complaint(stderr) == words


@pytest.mark.skipif(not (shutil.which("as") and shutil.which("ld")), reason="needs binutils")
def test_the_boot_sector_is_what_its_source_says(tmp_path):
    obj, binary = tmp_path / "t.o", tmp_path / "t.bin"
    subprocess.run(["as", "--64", SOURCE, "-o", obj], check=True)
    words = ["-m", "elf_x86_64", "-Ttext", "0x7c00", "--oformat", "binary"]
    subprocess.run(["ld", *words, obj, "-o", binary], check=True)
    assert binary.read_bytes() == kvm.BOOT_SECTOR


@pytest.fixture
def ran(monkeypatch):
    """What would have run in place of the trial guest; `ends` is how."""
    made = SimpleNamespace(calls=[], ends=(kvm.TRIAL_EXIT_CODE, b""))

    def run(argv, *, timeout, check, cwd):
        disk = cwd / "trial.raw"
        made.calls.append((argv, timeout, check, disk.read_bytes()))
        if isinstance(made.ends, BakeryError):
            raise made.ends
        return Completed(made.ends[0], b"", made.ends[1])

    monkeypatch.setattr(kvm, "run", run)
    return made


@pytest.mark.parametrize(("accel", "cpu"), [("kvm", "host"), ("tcg", "Nehalem")])
def test_a_guest_that_came_through_speaks_for_what_it_ran_under(ran, accel, cpu):
    assert kvm.try_guest(accel) == kvm.Acceleration(accel, f"a trial guest ran under {accel}")
    ((argv, timeout, check, disk),) = ran.calls
    assert f"q35,accel={accel}" in argv and argv[argv.index("-cpu") + 1] == cpu
    assert (timeout, check) == (3.0, False)
    assert len(disk) == 1 << 20 and disk[:512] == kvm.BOOT_SECTOR and not any(disk[512:])


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ((1, b"qemu-system-x86_64: no\n"), "qemu-system-x86_64 failed with exit code 1: no"),
        ((32, b""), "qemu-system-x86_64 failed with exit code 32"),
        ((-6, b""), "qemu-system-x86_64 was ended by SIGABRT"),
        (BakeryError("it is not there"), "it is not there"),
    ],
)
def test_any_other_end_speaks_against_it(ran, ends, reason):
    ran.ends = ends
    found = kvm.try_guest("kvm")
    assert found == kvm.Acceleration("tcg", f"a trial guest under kvm failed: {reason}")


def test_the_drive_is_named_whatever_is_in_its_path():
    argv = kvm._trial_argv("tcg", Path("/a,b/trial.raw"))
    assert "if=none,id=d,format=raw,read-only=on,file=/a,,b/trial.raw" in argv


def test_the_kind_alone_is_what_most_ask_for(home, monkeypatch):
    monkeypatch.setenv(kvm.OVERRIDE, "kvm")
    assert kvm.acceleration() == "kvm"
    monkeypatch.setenv(kvm.OVERRIDE, "tcg")
    assert kvm.acceleration() == "tcg"


def test_without_qemu_or_a_device_that_opens_nothing_is_tried(home, device, trials, monkeypatch):
    monkeypatch.setattr("bakery.host.kvm.os.access", lambda _path, mode: mode != os.R_OK | os.W_OK)
    found = kvm.examine(device=device, trial=trials)
    assert found.kind == "tcg" and "usermod -aG kvm" in found.reason
    monkeypatch.setattr("bakery.host.kvm.tools.find", lambda _program: None)
    found = kvm.examine(device=device, trial=trials)
    assert found == kvm.Acceleration("tcg", "qemu-system-x86_64 is not installed")
    assert trials == []


def test_another_qemu_means_a_trial(home, device, trials, monkeypatch, tmp_path):
    program = tmp_path / "qemu"
    program.write_bytes(b"1")
    other = tmp_path / "qemu2"
    monkeypatch.setattr("bakery.host.kvm.tools.find", lambda _program: program)
    kvm.examine(device=device, trial=trials)
    kvm.examine(device=device, trial=trials)
    assert len(trials) == 1
    stat = program.stat()
    os.utime(program, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    kvm.examine(device=device, trial=trials)
    program.write_bytes(b"22")
    os.utime(program, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    kvm.examine(device=device, trial=trials)
    assert len(trials) == 3
    other.write_bytes(b"22")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    monkeypatch.setattr("bakery.host.kvm.tools.find", lambda _program: other)
    kvm.examine(device=device, trial=trials)
    assert len(trials) == 4


def test_a_verdict_is_kept_whole_and_no_draft_stays(home, device, trials):
    found = kvm.examine(device=device, trial=trials, boot_id=home / "none")
    assert [path.name for path in (home / "bakery").iterdir()] == ["acceleration.json"]
    assert kvm.examine(device=device, trial=trials, boot_id=home / "none") == found
    assert trials == ["kvm"]


@pytest.mark.parametrize(
    ("base", "folder"),
    [("/var/cache/x", "/var/cache/x/bakery"), ("relative", ".cache"), ("", ".cache")],
)
def test_the_cache_is_where_the_environment_says_if_that_is_absolute(monkeypatch, base, folder):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/me")
    expected = folder if folder[0] == "/" else f"/home/me/{folder}/bakery"
    assert str(kvm.cache_folder()) == expected
