"""What the direct engine tells of a system in a subvolume; tests/disk/volumes/btrfses has it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines import direct
from bakery.image.engines.base import CannotServe, DirectoryEntry, FileMissing, Item
from bakery.image.engines.direct import DirectEngine
from tests.disk.volumes import btrfses

pytestmark = [
    pytest.mark.skipif(direct.why_not() is not None, reason=str(direct.why_not())),
    pytest.mark.xdist_group("direct"),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectEngine]:
    folder = tmp_path_factory.mktemp("btrfs")
    image = folder / "disk.raw"
    image.write_bytes(btrfses.load("system"))
    work = folder / "work"
    work.mkdir()
    with DirectEngine(image, "raw", work, silent()) as engine:
        yield engine


@pytest.fixture
def whole(engine: DirectEngine) -> Volume:
    (found,) = engine.survey().volumes
    return found


@pytest.fixture
def system(whole: Volume) -> Volume:
    return whole.at(btrfses.SUBVOLUMES[0])


def test_the_survey_tells_the_subvolumes(whole: Volume):
    assert (whole.type, whole.label, whole.unreadable) == ("btrfs", "the system", "")
    assert whole.subvolumes == btrfses.SUBVOLUMES
    assert whole.mounted.subvolume == btrfses.ROLLED


def test_files_of_a_subvolume_are_read_however_they_are_kept(engine: DirectEngine, system: Volume):
    for name, data in btrfses.FILES.items():
        assert engine.read_file(system, f"/{name}") == data, name


def test_files_are_read_from_the_top_level_and_from_a_snapshot(engine: DirectEngine, whole: Volume):
    assert engine.read_file(whole, "/@/etc/fstab") == btrfses.FSTAB
    assert engine.read_file(whole.mounted, "/large/zstd") == btrfses.LARGE
    assert engine.list_directory(whole.mounted, "/nested") == []
    with pytest.raises(FileMissing):
        engine.read_file(whole, "/etc/fstab")


def test_links_stay_in_their_subvolume(engine: DirectEngine, system: Volume, whole: Volume):
    for name in ("absolute", "above", "chain", "hard"):
        assert engine.read_file(system, f"/etc/{name}") == btrfses.FSTAB
        assert engine.same_file(system, f"/etc/{name}", "/etc/fstab")
    assert engine.read_file(system, "/etc/into") == btrfses.FILES["nested/inside"]
    with pytest.raises(FileMissing):  # from the top level on, the same link leads nowhere
        engine.read_file(whole, "/@/etc/absolute")


def test_a_copy_is_the_file_behind_the_link(engine: DirectEngine, system: Volume, tmp_path: Path):
    target = tmp_path / "copy"
    engine.copy_out(system, "/etc/folder/zlib", target, 1 << 30)
    assert target.read_bytes() == btrfses.LARGE


def test_names_are_told_with_what_they_lead_to(engine: DirectEngine, system: Volume):
    entries = engine.list_directory(system, "/etc")
    assert entries == sorted(entries)
    kinds = {entry.name: entry.is_directory for entry in entries}
    assert kinds["folder"]
    assert not any(kinds[name] for name in ("fstab", "absolute", "dangling", "loop", "pipe"))
    assert DirectoryEntry("nested", is_directory=True) in engine.list_directory(system, "/")


def test_items_are_told_with_the_sizes_of_files(engine: DirectEngine, system: Volume):
    sizes = {item.name: item.size_bytes for item in engine.items(system, "/etc")}
    size = len(btrfses.FSTAB)
    assert (sizes["fstab"], sizes["hard"], sizes["chain"]) == (size, size, size)
    assert [sizes[name] for name in ("folder", "dangling", "loop", "pipe", "empty")] == [0] * 5
    assert Item("etc", is_directory=True, size_bytes=0) in engine.items(system, "/")
    assert Item("folder", is_directory=False, size_bytes=0) in engine.items(system, "/etc")


def test_what_is_not_there_or_no_directory_is_missing(engine: DirectEngine, system: Volume):
    for path in ("/nothing", "/etc/loop", "/@/etc/fstab", "/etc/fstab/"):
        with pytest.raises(FileMissing, match=r"/dev/sda\[/@\]"):
            engine.read_file(system, path)
    for path in ("/etc/fstab", "/etc/absolute", "/nothing"):
        with pytest.raises(FileMissing, match=r"/dev/sda\[/@\]"):
            engine.list_directory(system, path)
        with pytest.raises(FileMissing):
            engine.items(system, path)


def test_what_cannot_be_read_is_refused(engine: DirectEngine, system: Volume, whole: Volume):
    for path in ("/etc/pipe", "/etc", "etc/fstab", "/etc/a\nb"):
        with pytest.raises(BakeryError):
            engine.read_file(system, path)
    for ask in (engine.list_directory, engine.items):
        with pytest.raises(BakeryError, match="not plain text"):
            ask(whole, "/strange")


def test_two_files_of_the_same_content_are_two(engine: DirectEngine, system: Volume):
    assert not engine.same_file(system, "/large/plain", "/large/zlib")
    assert engine.same_file(system, "/large/zlib", "/etc/folder/zlib")


def test_no_file_is_edited_in_place(engine: DirectEngine, system: Volume):
    assert "checksums" in (engine.cannot_edit(system, "/etc/absolute") or "")
    with pytest.raises(CannotServe):
        engine.replace(system, "/etc/fstab", btrfses.FSTAB, btrfses.FSTAB)
    with pytest.raises(FileMissing):
        engine.cannot_edit(system, "/etc/nothing")


def test_subvolumes_that_cannot_be_told_are_said_to_be_so(tmp_path: Path):
    image, work = tmp_path / "disk.raw", tmp_path / "work"
    image.write_bytes(btrfses.load("pair"))
    work.mkdir()
    with DirectEngine(image, "raw", work, silent()) as engine:
        (volume,) = engine.survey().volumes
        assert "lies on 2 devices" in volume.unreadable
        with pytest.raises(BakeryError, match="lies on 2 devices"):
            engine.list_directory(volume, "/")
