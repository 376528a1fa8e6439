"""What is the guestfs engine's own; what it shares with the other stands in contract.py."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Volume
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.image.engines import guestfs, guestfs_files, guestfs_scrub
from bakery.image.engines.base import FileMissing, Removal
from bakery.image.engines.guestfs import GuestfsEngine
from tests import processes
from tests.disk.volumes import disks_4k
from tests.image.engines.conftest import TEXT
from tests.image.engines.stand_in import StandIn


def test_a_session_that_is_asked_nothing_starts_no_appliance(disk: Path, work: Path):
    events: list[Event] = []
    with GuestfsEngine(disk, "raw", work, Report(events.append)) as engine:
        assert processes.started_with(str(work)) == []
    assert events == []
    assert list(work.iterdir()) == [engine.overlay]
    subprocess.run(["qemu-img", "compare", "-q", "-F", "raw", engine.overlay, disk], check=True)


def test_the_overlay_names_its_backing_format_so_that_nothing_is_probed(disk: Path, work: Path):
    engine = GuestfsEngine(disk, "raw", work, silent())
    info = subprocess.run(["qemu-img", "info", engine.overlay], capture_output=True, check=True)
    assert b"backing file format: raw" in info.stdout
    engine.close()


@pytest.mark.parametrize("source_format", ["qcow2", "vmdk"])
def test_a_source_that_is_not_of_its_format_is_refused_at_once(
    disk: Path, work: Path, source_format: str
):
    with pytest.raises(BakeryError, match=rf"disk\.raw cannot be opened as {source_format}"):
        GuestfsEngine(disk, source_format, work, silent())
    assert list(work.iterdir()) == []


def test_without_guestfish_the_package_is_named(
    disk: Path, work: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tools, "missing", list)
    with (
        GuestfsEngine(disk, "raw", work, silent()) as engine,
        pytest.raises(BakeryError, match="guestfish is not installed") as caught,
    ):
        engine.survey()
    assert "guestfs" in caught.value.hint


@pytest.mark.parametrize("path", ["etc", "", "/a\nb", "/a\0b", "/\x1b[2J", "/\udcff"])
def test_a_path_that_is_not_plain_text_from_the_root_is_refused(path: str):
    with pytest.raises(BakeryError):
        guestfs_files.inside(path)


def test_a_path_is_never_taken_for_a_device_of_the_appliance():
    assert guestfs_files.inside("/dev/sda1") == "/./dev/sda1"


VOLUME = Volume("/dev/sda", 1 << 20, (Extent(0, 1 << 20),), "ext4")
LIMITS = "nodev,nosuid,noexec"


@pytest.fixture
def fish(tree: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The appliance of every session: it answers from `tree`."""
    fish = StandIn(tree, disk)
    monkeypatch.setattr(guestfs, "Guestfish", lambda *_argv: fish)
    monkeypatch.setattr(guestfs, "acceleration", lambda: "tcg")
    return fish


@pytest.fixture
def engine(fish: StandIn, disk: Path, work: Path) -> Iterator[GuestfsEngine]:
    engine = GuestfsEngine(disk, "raw", work, silent())
    yield engine
    engine.close()


def test_an_appliance_is_started_once_with_the_overlay_as_its_only_disk(
    fish: StandIn, disk: Path, work: Path
):
    events: list[Event] = []
    with GuestfsEngine(disk, "raw", work, Report(events.append)) as engine:
        assert engine.survey() == engine.survey()
        assert engine.read_file(VOLUME, "/etc/fstab") == TEXT
        assert [(words[1], words[-1]) for words in fish.commands("add-drive")] == [
            ("overlay.qcow2", "blocksize:512")
        ]
        assert len(fish.commands("launch")) == 1
        assert len(fish.commands("blockdev-getsize64")) == 1
        assert (work / "guestfs").is_dir()
    assert [event.kind for event in events] == ["started", "finished"]
    assert fish.asked[-2:] == [("umount-all",), ("shutdown",)]
    assert fish.fate == "ended"
    assert [path.name for path in work.iterdir()] == ["overlay.qcow2"]


def test_a_volume_is_mounted_once_and_read_only_until_it_is_written_to(
    fish: StandIn, engine: GuestfsEngine
):
    def mounts() -> list[tuple[str, ...]]:
        return [words[1:] for words in fish.commands("mount-options")]

    reading = (f"ro,{LIMITS},noload", "/dev/sda", "/")
    engine.read_file(VOLUME, "/etc/fstab")
    engine.list_directory(VOLUME, "/etc")
    assert mounts() == [reading]
    engine.replace(VOLUME, "/etc/fstab", TEXT, TEXT)
    assert mounts() == [reading, (LIMITS, "/dev/sda", "/"), reading]
    assert len(fish.commands("umount-all")) == 3
    other = msgspec.structs.replace(VOLUME, device="/dev/sda2", type="btrfs")
    engine.items(other, "/etc")
    assert mounts()[3:] == [(f"ro,{LIMITS},rescue=nologreplay,subvolid=5", "/dev/sda2", "/")]


@pytest.mark.parametrize(
    ("kind", "reading", "writing"),
    [
        ("ext2", f"ro,{LIMITS}", LIMITS),
        ("ext3", f"ro,{LIMITS},noload", LIMITS),
        ("xfs", f"ro,{LIMITS},norecovery", LIMITS),
        ("vfat", f"ro,{LIMITS},utf8,shortname=lower", f"{LIMITS},utf8,shortname=lower"),
    ],
)
def test_no_journal_is_replayed_for_a_look(kind: str, reading: str, writing: str):
    volume = msgspec.structs.replace(VOLUME, type=kind)
    assert guestfs_files.mount_options(volume, write=False) == reading
    assert guestfs_files.mount_options(volume, write=True) == writing


def test_what_cannot_be_mounted_is_told_with_the_kernels_reason(
    fish: StandIn, engine: GuestfsEngine
):
    fish.refused["mount-options"] = "mount: /sysroot: wrong fs type, bad superblock. / dmesg(1)"
    with pytest.raises(BakeryError, match="/dev/sda cannot be mounted: wrong fs type, bad super"):
        engine.read_file(VOLUME, "/etc/fstab")
    with pytest.raises(BakeryError, match="no filesystem is recognised on it"):
        engine.read_file(msgspec.structs.replace(VOLUME, type=""), "/etc/fstab")
    with pytest.raises(BakeryError, match=r"encrypted \(LUKS\)"):
        engine.read_file(msgspec.structs.replace(VOLUME, type="crypto_LUKS"), "/etc/fstab")
    del fish.refused["mount-options"]
    assert engine.read_file(VOLUME, "/etc/fstab") == TEXT


def test_a_file_is_read_up_to_the_limit(engine: GuestfsEngine):
    assert engine.read_file(VOLUME, "/etc/fstab", len(TEXT)) == TEXT
    with pytest.raises(BakeryError, match="/etc/fstab in /dev/sda holds more than 30 bytes"):
        engine.read_file(VOLUME, "/etc/fstab", len(TEXT) - 1)


def test_a_copy_is_as_large_as_the_limit_at_most(engine: GuestfsEngine, work: Path):
    target = work / "target"
    engine.copy_out(VOLUME, "/etc/fstab", target, len(TEXT))
    assert target.read_bytes() == TEXT
    with pytest.raises(BakeryError, match="holds more than 30 bytes"):
        engine.copy_out(VOLUME, "/etc/fstab", target, len(TEXT) - 1)


def test_what_is_not_there_is_told_from_what_fails(fish: StandIn, engine: GuestfsEngine):
    with pytest.raises(FileMissing, match="there is no /etc/nothing in /dev/sda"):
        engine.read_file(VOLUME, "/etc/nothing")
    with pytest.raises(FileMissing):
        engine.list_directory(VOLUME, "/etc/fstab/x")
    fish.refused["statns"] = "statns: Input/output error"
    with pytest.raises(BakeryError, match="/etc/fstab in /dev/sda: statns: Input") as caught:
        engine.read_file(VOLUME, "/etc/fstab")
    assert not isinstance(caught.value, FileMissing)
    fish.refused["blockdev-getsize64"] = "no"
    with pytest.raises(BakeryError, match="the image: no"):
        engine.survey()


def test_two_names_of_one_file_are_told_from_two_files(tree: Path, engine: GuestfsEngine):
    os.link(tree / "etc/fstab", tree / "twin")
    shutil.copy(tree / "etc/fstab", tree / "copy")
    assert engine.same_file(VOLUME, "/etc/fstab", "/twin")
    assert not engine.same_file(VOLUME, "/etc/fstab", "/copy")


@pytest.mark.parametrize("new", [b"short", TEXT[::-1], TEXT * 3])
def test_a_new_text_of_any_length_is_written_in_place(
    tree: Path, engine: GuestfsEngine, work: Path, new: bytes
):
    file = tree / "etc/fstab"
    os.utime(file, ns=(5_000_000_001, 7_000_000_002))
    before = file.stat()
    engine.replace(VOLUME, "/etc/fstab", TEXT, new)
    assert file.read_bytes() == new
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list((work / "guestfs").iterdir()) == []


def test_a_file_that_holds_something_else_is_not_written(
    tree: Path, fish: StandIn, engine: GuestfsEngine
):
    with pytest.raises(BakeryError, match="does not hold what was read"):
        engine.replace(VOLUME, "/etc/fstab", TEXT[:-1], b"new")
    assert (tree / "etc/fstab").read_bytes() == TEXT
    assert fish.commands("upload-offset") == []


def test_what_was_written_is_read_again_and_held_against_what_was_meant(
    fish: StandIn, engine: GuestfsEngine
):
    fish.written = lambda path: path.chmod(0o400)
    with pytest.raises(BakeryError, match="changed its owner or its mode"):
        engine.replace(VOLUME, "/etc/fstab", TEXT, b"new")
    fish.written = lambda path: path.write_bytes(b"not")
    with pytest.raises(BakeryError, match="was written, but reads back differently"):
        engine.replace(VOLUME, "/etc/fstab", b"new", b"old")


def test_a_session_that_fails_leaves_no_overlay(fish: StandIn, disk: Path, work: Path):
    def fail() -> None:
        with GuestfsEngine(disk, "raw", work, silent()) as engine:
            engine.survey()
            raise BakeryError("no more")

    with pytest.raises(BakeryError, match="no more"):
        fail()
    assert fish.fate == "killed"
    assert list(work.iterdir()) == []


def test_an_appliance_that_does_not_shut_down_leaves_no_overlay(
    fish: StandIn, disk: Path, work: Path
):
    engine = GuestfsEngine(disk, "raw", work, silent())
    engine.survey()
    fish.refused["shutdown"] = "stuck"
    with pytest.raises(BakeryError, match="did not shut down: stuck"):
        engine.close()
    assert fish.fate == "killed"
    assert list(work.iterdir()) == []
    engine.close()


def test_after_its_appliance_has_ended_a_session_is_over(
    fish: StandIn, engine: GuestfsEngine, work: Path
):
    engine.survey()
    fish.ended = True
    with pytest.raises(FileMissing):
        engine.read_file(VOLUME, "/nothing")
    assert not (work / "overlay.qcow2").exists()
    with pytest.raises(BakeryError, match="session on the image is over"):
        engine.read_file(VOLUME, "/etc/fstab")


def test_an_appliance_that_cannot_be_launched_is_ended(fish: StandIn, engine: GuestfsEngine):
    fish.refused["launch"] = "no room"
    with pytest.raises(BakeryError, match="appliance did not start: no room") as caught:
        engine.survey()
    assert "libguestfs-test-tool" in caught.value.hint
    assert fish.fate == "killed"


def test_a_scrub_finds_nothing_mounted_and_a_look_mounts_again(
    fish: StandIn, engine: GuestfsEngine, monkeypatch: pytest.MonkeyPatch
):
    engine.read_file(VOLUME, "/etc/fstab")
    monkeypatch.setattr(guestfs_scrub, "scrub", lambda *_words: {fish.asked[-1][0]})
    assert engine.scrub(Removal((), (), (), ())) == {"umount-all"}
    engine.read_file(VOLUME, "/etc/fstab")
    assert len(fish.commands("mount-options")) == 2


@pytest.mark.parametrize(("size", "grain"), [(8 << 40, 4096), ((8 << 40) + 1, 64 << 10)])
def test_an_overlay_has_the_grain_with_which_its_tables_fit(
    disk: Path, work: Path, size: int, grain: int
):
    with GuestfsEngine(disk, "raw", work, silent(), size) as engine:
        head = engine.overlay.read_bytes()[:104]
    assert 1 << int.from_bytes(head[20:24], "big") == grain


def test_the_appliance_is_told_the_sectors_that_the_disk_is_made_for(
    fish: StandIn, disk: Path, work: Path
):
    """Its kernel finds a partition table by them alone."""
    disks_4k.write_table(disk, [(1 << 20, 1 << 20, "root")])
    with GuestfsEngine(disk, "raw", work, silent(), disk.stat().st_size) as engine:
        survey = engine.survey()
    assert fish.commands("add-drive")[0][-1] == "blocksize:4096"
    assert survey.sector_bytes == 4096
    assert survey.table is not None
    assert [p.start_bytes for p in survey.table.partitions] == [1 << 20]


def test_a_large_file_is_waited_for_longer(tree: Path, fish: StandIn, engine: GuestfsEngine):
    engine.read_file(VOLUME, "/etc/fstab")
    assert 120 <= fish.timeouts["download"] < 121
    with (tree / "large").open("wb") as file:
        file.truncate(8 << 20)
    engine.read_file(VOLUME, "/large", 8 << 20)
    assert fish.timeouts["download"] == 128


def test_a_closed_session_is_over(engine: GuestfsEngine, fish: StandIn):
    engine.survey()
    engine.close()
    asked = len(fish.asked)
    with pytest.raises(BakeryError, match="session on the image is over"):
        engine.survey() and engine.read_file(VOLUME, "/etc/fstab")
    assert len(fish.asked) == asked


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tools, "missing", list)
    assert guestfs.why_not() == "guestfish, qemu-img not installed"
    monkeypatch.setattr(tools, "missing", lambda _names: [])
    assert guestfs.why_not() is None
