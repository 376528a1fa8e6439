"""An ext4 image scrubbed without an appliance, from a folder without privilege."""

import os
import subprocess
from pathlib import Path

import pytest

from bakery.build.scrub import find, rules, work
from bakery.host.report import silent
from bakery.image.engines.base import CannotServe
from bakery.image.engines.direct import DirectEngine
from bakery.image.inspection import inspect
from bakery.image.reader import Reader
from tests.build.scrub import planted
from tests.conftest import Bakery

KEPT = "what stays"
SWAP_HEADER = b"swap header".ljust(4096, b".")


def marked(name: str) -> bytes:
    """Content that is told from any other, longer than what an inode holds."""
    return (planted.MARK + name.encode().hex().ljust(24, "0")[:24].encode() + b"\n") * 300


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk without partitions: files to remove, empty, blank and keep, and a deleted one."""
    tree = tmp_path / "tree"
    files = {
        "etc/passwd": b"root:x:0:0::/root:/bin/bash\n",
        "etc/fstab": b"/swapfile none swap sw 0 0\n",
        "etc/machine-id": marked("id"),
        "etc/kept": KEPT.encode(),
        "usr/bin/true": b"",
        "root/.ssh/id_rsa": marked("key"),
        "root/.ssh/deep/er/a name": marked("deep"),
        "var/tmp/one": marked("one"),
        "var/log/a.log": marked("log"),
        "gone": marked("gone"),
        "swapfile": SWAP_HEADER + marked("swap"),
    }
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    (tree / "var/tmp/link").symlink_to("/etc/kept")
    (tree / "var/tmp/nowhere").symlink_to("x" * 200)
    (tree / "var/log/link.log").symlink_to("/etc/kept")
    os.link(tree / "var/tmp/one", tree / "var/tmp/two")
    os.link(tree / "etc/kept", tree / "var/tmp/kept too")
    os.mkfifo(tree / "var/tmp/fifo")
    image = tmp_path / "disk.raw"
    argv: list[str | Path] = ["mkfs.ext4", "-q", "-d", tree, image, "24M"]
    subprocess.run(argv, check=True, timeout=60)
    debugfs(image, "rm /gone")
    assert len(planted.marks_in(image)) == 7
    return image


def debugfs(image: Path, *requests: str) -> bytes:
    """What debugfs prints as it runs the requests."""
    printed = b""
    for request in requests:
        argv: list[str | Path] = ["debugfs", "-w", "-R", request, image]
        printed += subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout
    return printed


def test_everything_goes_and_nothing_else(bakery: Bakery, disk: Path, tmp_path: Path):
    before = disk.read_bytes()
    out = tmp_path / "out.raw"
    done = bakery("scrub", disk, "-o", out, "-v")
    assert done.returncode == 0, done.stderr
    assert "without an appliance" in done.stderr
    assert planted.marks_in(out) == set()
    assert disk.read_bytes() == before
    check: list[str | Path] = ["e2fsck", "-fn", out]
    subprocess.run(check, check=True, capture_output=True, timeout=60)
    left = debugfs(out, "ls -p /root", "ls -p /var/tmp", "ls -p /var/log", "ls -p /etc").decode()
    names = {line.split("/")[5] for line in left.splitlines() if line.startswith("/")}
    assert names == {".", "..", "link.log", "a.log", "passwd", "fstab", "machine-id", "kept"}
    assert debugfs(out, "cat /etc/machine-id", "cat /var/log/a.log") == b""
    assert debugfs(out, "cat /etc/kept").decode() == KEPT
    assert debugfs(out, "cat /swapfile") == SWAP_HEADER + bytes(len(marked("swap")))


def test_in_place_the_image_keeps_its_mode_and_a_second_run_finds_nothing(
    bakery: Bakery, disk: Path
):
    disk.chmod(0o640)
    done = bakery("scrub", disk, "--in-place", "-q")
    assert done.returncode == 0, done.stderr
    assert disk.stat().st_mode & 0o777 == 0o640
    assert planted.marks_in(disk) == set()
    again = bakery("scrub", disk, "--dry-run")
    assert "machine-id" not in again.stdout
    assert [path.name for path in disk.parent.glob(".*")] == []


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ("feature quota", "uses quota"),
        ("set_super_value state 0", "was not unmounted"),
        ("set_inode_field /usr/bin size 7", "e2fsck"),
    ],
)
def test_what_is_not_known_or_not_sound_is_left_to_a_kernel(
    disk: Path, tmp_path: Path, spoiled: str, reason: str
):
    debugfs(disk, spoiled)
    with DirectEngine(disk, "raw", tmp_path, silent()) as engine:
        reader = Reader(engine)
        found = find.find(reader, inspect(reader), rules.load())
        removal = work.removal(reader.survey, found)
        with pytest.raises(CannotServe, match=reason):
            engine.scrub(removal)
