import errno
import os
from pathlib import Path

import pytest

from bakery.samples import mounts
from bakery.samples.filesystems import make_filesystem
from bakery.samples.mounts import loop_device, mounted, private_mounts
from bakery.samples.variants import MIB

NAMESPACE = Path("/proc/thread-self/ns/mnt")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def test_mounts_are_seen_inside_alone_and_the_directory_stays_the_same(tmp_path):
    made = make_filesystem(tmp_path / "fs", "ext4", 64 * MIB)
    before, outer = Path.cwd(), NAMESPACE.readlink()
    with private_mounts():
        assert NAMESPACE.readlink() != outer
        with mounted(made.path, tmp_path / "here") as directory:
            assert str(directory) in Path("/proc/thread-self/mountinfo").read_text()
            assert str(directory) not in Path("/proc/1/mountinfo").read_text()
            (directory / "file").write_text("kept")
        with mounted(made.path, tmp_path / "here", options="ro") as directory:
            assert (directory / "file").read_text() == "kept"
    assert NAMESPACE.readlink() == outer
    assert Path.cwd() == before


def test_a_loop_device_is_a_window_and_goes_with_its_last_user(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(MIB) + b"window" + bytes(MIB))
    with loop_device(disk, MIB, MIB) as device:
        with Path(device).open("rb") as file:
            assert file.read(6) == b"window"
        name = Path(device).name
        backing = Path(f"/sys/block/{name}/loop/backing_file")
        assert backing.read_text().strip() == str(disk)
    assert not backing.exists() or backing.read_text().strip() != str(disk)


def test_what_is_unmounted_outside_goes_inside_as_well_and_nothing_comes_back(tmp_path):
    made = make_filesystem(tmp_path / "fs", "ext4", 64 * MIB)
    with private_mounts():
        lines = Path("/proc/thread-self/mountinfo").read_text().splitlines()
        options = [line.partition(" - ")[0].split()[6:] for line in lines]
        assert not [words for words in options if any(w.startswith("shared:") for w in words)]
        with pytest.raises(ValueError), mounted(made.path, tmp_path / "here"):
            raise ValueError
        assert "here" not in Path("/proc/thread-self/mountinfo").read_text()


def test_a_machine_that_refuses_a_namespace_says_why(monkeypatch):
    outer = NAMESPACE.readlink()
    monkeypatch.setattr(mounts, "CLONE_NEWNS", -1)
    with pytest.raises(OSError, match="unshare: Invalid argument") as refused, private_mounts():
        pytest.fail("there is no such namespace")
    assert refused.value.errno == errno.EINVAL
    assert NAMESPACE.readlink() == outer
