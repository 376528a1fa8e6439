"""What the direct engine tells of a directory, of a file and of two names, on a small ext4."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines import direct, grubfs
from bakery.image.engines.base import CannotServe, DirectoryEntry, FileMissing, Item, Removal
from bakery.image.engines.direct import DirectEngine

pytestmark = [
    pytest.mark.skipif(direct.why_not() is not None, reason=str(direct.why_not())),
    pytest.mark.xdist_group("direct"),
]

TEXT = b"the same text\n" * 300


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looks")
    tree = folder / "tree"
    (tree / "etc/inner").mkdir(parents=True)
    for name in ("file", "copy", "two words"):
        (tree / "etc" / name).write_bytes(TEXT)
    (tree / "etc/empty").touch()
    (tree / "etc/other empty").touch()
    os.link(tree / "etc/file", tree / "etc/twin")
    (tree / "etc/to a file").symlink_to("file")
    (tree / "etc/to a folder").symlink_to("inner")
    (tree / "etc/nowhere").symlink_to("nothing")
    path = folder / "disk.raw"
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, path, "16M"], check=True)
    return path


@pytest.fixture
def engine(image: Path, tmp_path: Path) -> Iterator[DirectEngine]:
    with DirectEngine(image, "raw", tmp_path, silent()) as engine:
        yield engine


@pytest.fixture
def root(engine: DirectEngine) -> Volume:
    (found,) = engine.survey().volumes
    return found


def test_a_directory_is_told_with_what_links_lead_to(engine: DirectEngine, root: Volume):
    found = engine.list_directory(root, "/etc")
    assert found == sorted(found)
    folders = {entry.name for entry in found if entry.is_directory}
    assert folders >= {"inner"}
    assert DirectoryEntry("two words", is_directory=False) in found
    assert DirectoryEntry("nowhere", is_directory=False) in found
    assert engine.list_directory(root, "/etc/inner") == []


def test_items_have_sizes_and_links_are_no_folders(engine: DirectEngine, root: Volume):
    found = {item.name: item for item in engine.items(root, "/etc")}
    assert found["file"] == Item("file", is_directory=False, size_bytes=len(TEXT))
    assert found["inner"] == Item("inner", is_directory=True, size_bytes=0)
    assert found["empty"] == Item("empty", is_directory=False, size_bytes=0)
    assert list(found) == sorted(found)


def test_a_directory_that_is_none_is_missing(engine: DirectEngine, root: Volume):
    for path in ("/etc/nothing", "/nothing/x"):
        with pytest.raises(FileMissing):
            engine.list_directory(root, path)
    with pytest.raises(FileMissing, match="there is no /etc/nothing in /dev/sda"):
        engine.read_file(root, "/etc/nothing")


@pytest.mark.parametrize("limit", ["ENTRY_LIMIT", "LINK_LIMIT"])
def test_a_directory_holds_no_more_than_can_be_told_apart(
    engine: DirectEngine, root: Volume, limit: str, monkeypatch: pytest.MonkeyPatch
):
    found = grubfs.names(*engine._listings(root, "/etc"))
    unknown = [name for name, known in found if known is None]
    assert unknown
    allowed = len(unknown if limit == "LINK_LIMIT" else found)
    monkeypatch.setattr(direct, limit, allowed)
    assert len(engine.list_directory(root, "/etc")) == len(found)
    monkeypatch.setattr(direct, limit, allowed - 1)
    with pytest.raises(CannotServe, match="/etc in /dev/sda holds too many names"):
        engine.list_directory(root, "/etc")


def test_a_file_is_read_up_to_the_limit(engine: DirectEngine, root: Volume):
    assert engine.read_file(root, "/etc/file", len(TEXT)) == TEXT
    with pytest.raises(BakeryError, match=f"holds more than {len(TEXT) - 1} bytes"):
        engine.read_file(root, "/etc/file", len(TEXT) - 1)
    with pytest.raises(BakeryError, match="not a regular file"):
        engine.read_file(root, "/etc")


def test_two_names_of_one_file_are_told_from_two_that_read_alike(
    engine: DirectEngine, root: Volume
):
    assert engine.same_file(root, "/etc/file", "/etc/file")
    assert engine.same_file(root, "/etc/file", "/etc/twin")
    assert engine.same_file(root, "/etc/file", "/etc/to a file")
    assert not engine.same_file(root, "/etc/file", "/etc/copy")
    assert not engine.same_file(root, "/etc/file", "/etc/empty")
    with pytest.raises(CannotServe, match="no known place"):
        engine.same_file(root, "/etc/empty", "/etc/other empty")


def test_a_copy_replaces_what_was_there(engine: DirectEngine, root: Volume, tmp_path: Path):
    target = tmp_path / "target"
    target.write_bytes(b"before")
    engine.copy_out(root, "/etc/file", target, len(TEXT))
    assert target.read_bytes() == TEXT
    with pytest.raises(BakeryError, match="holds more than"):
        engine.copy_out(root, "/etc/file", target, len(TEXT) - 1)
    assert not list(tmp_path.glob(".*"))


def test_an_empty_file_is_no_obstacle_as_there_is_nothing_in_it_to_change(
    engine: DirectEngine, root: Volume
):
    assert engine.cannot_edit(root, "/etc/empty") is None
    engine.replace(root, "/etc/empty", b"", b"")
    assert engine.written == []
    with pytest.raises(CannotServe, match="would change its length"):
        engine.replace(root, "/etc/empty", b"", b"x")
    assert engine.cannot_edit(root, "/etc/file") is None
    with pytest.raises(BakeryError, match="does not hold what was read"):
        engine.replace(root, "/etc/file", TEXT[::-1], TEXT)
    assert engine.written == []


def test_what_takes_a_kernel_is_refused(engine: DirectEngine, tmp_path: Path):
    with (tmp_path / "tar").open("w+b") as tar:
        with pytest.raises(CannotServe):
            engine.restore(tar, ())
        with pytest.raises(CannotServe):
            engine.scrub(Removal((), (), (), ()), tar)
        assert tar.tell() == 0


def test_a_closed_session_is_over_and_closes_once(image: Path, tmp_path: Path):
    engine = DirectEngine(image, "raw", tmp_path, silent())
    engine.close()
    engine.close()
    with pytest.raises(BakeryError, match="session on the image is over"):
        engine.survey()
    assert engine.overlay.exists()


def test_the_bytes_to_write_are_those_that_differ_where_they_lie():
    places = [Extent(100, 4), Extent(50, 4)]
    assert direct._differing(places, b"abcdefgh", b"aXYdefZh") == [
        (Extent(101, 2), b"XY"),
        (Extent(52, 1), b"Z"),
    ]
    assert direct._differing(places, b"abcdefgh", b"abcdefgh") == []


def test_a_file_is_edited_only_where_its_own_bytes_lie(
    engine: DirectEngine, root: Volume, monkeypatch: pytest.MonkeyPatch
):
    """As of a compressed file, whose place on the disk holds something else."""
    assert engine.cannot_edit(root, "/etc/file") is None
    monkeypatch.setattr(grubfs, "extents", lambda _printed: [Extent(8192, len(TEXT))])
    assert "kept in another form than it reads" in str(engine.cannot_edit(root, "/etc/file"))
    monkeypatch.setattr(grubfs, "extents", lambda _printed: [Extent(8192, len(TEXT) - 1)])
    assert "no bytes of its own" in str(engine.cannot_edit(root, "/etc/file"))
