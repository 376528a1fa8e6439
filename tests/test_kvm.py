import shutil
import subprocess
from pathlib import Path

import pytest

from bakery import kvm
from bakery.errors import UsageError

SOURCE = Path(kvm.__file__).with_name("kvm_trial.S")
PLENTY_SECONDS = 60


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of the test's own, and no override."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(kvm.OVERRIDE, raising=False)
    return tmp_path


@pytest.fixture
def device(tmp_path, monkeypatch):
    """A file that passes for /dev/kvm."""
    file = tmp_path / "kvm"
    file.touch()
    monkeypatch.setattr(kvm, "DEVICE", file)
    return file


@pytest.fixture
def trials(monkeypatch):
    """Counts trials, which all fail."""
    made = []

    def trial(accel):
        made.append(accel)
        return kvm.Acceleration("tcg", "it hung")

    monkeypatch.setattr(kvm, "try_guest", trial)
    return made


def test_the_trial_guest_comes_through_where_guests_run():
    found = kvm.try_guest("tcg", PLENTY_SECONDS)
    assert found == kvm.Acceleration("tcg", "a trial guest ran under tcg")


def test_a_guest_that_does_not_come_through_is_told_with_the_reason(monkeypatch):
    idle = b"\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"  # hlt; jmp to it
    monkeypatch.setattr(kvm, "BOOT_SECTOR", idle)
    found = kvm.try_guest("tcg", 1)
    assert found.kind == "tcg"
    assert "a trial guest under tcg failed" in found.reason
    assert "gave no end within 1 s" in found.reason


def test_kvm_is_never_taken_when_the_device_is_no_kvm(home, device):
    found = kvm.examine()
    assert found.kind == "tcg"
    assert "a trial guest under kvm failed" in found.reason or "not installed" in found.reason


def test_a_device_that_is_not_there_is_not_tried(home, monkeypatch, trials, tmp_path):
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "nothing")
    assert "there is no" in kvm.examine().reason
    assert trials == []


def test_one_trial_serves_until_the_machine_is_booted_anew(home, device, trials, monkeypatch):
    first = kvm.examine()
    assert kvm.examine() == first
    assert kvm.acceleration() == "tcg"
    assert trials == ["kvm"]
    boot = home / "boot_id"
    boot.write_text("another boot")
    monkeypatch.setattr(kvm, "BOOT_ID", boot)
    kvm.examine()
    assert trials == ["kvm", "kvm"]


def test_a_fresh_look_tries_again(home, device, trials):
    kvm.examine()
    kvm.examine(fresh=True)
    assert trials == ["kvm", "kvm"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff"])
def test_a_spoiled_cache_means_a_trial(home, device, trials, content):
    (home / "bakery").mkdir()
    (home / "bakery" / "acceleration.json").write_bytes(content)
    assert kvm.examine().reason == "it hung"
    assert trials == ["kvm"]


def test_a_cache_that_cannot_be_written_is_no_failure(home, device, trials):
    (home / "bakery").write_text("a file where the folder would be")
    assert kvm.examine().kind == "tcg"


@pytest.mark.parametrize("kind", ["kvm", "tcg"])
def test_the_environment_overrides_the_trial(home, trials, monkeypatch, kind):
    monkeypatch.setenv(kvm.OVERRIDE, kind)
    assert kvm.acceleration() == kind
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
