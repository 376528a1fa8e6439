"""Files as guestfish tells of them, held against what this machine tells of the same."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from bakery.host.errors import BakeryError
from bakery.image.engines import guestfs_files as files
from bakery.image.engines.base import DirectoryEntry, Item
from bakery.image.engines.guestfish import CommandRefused
from tests.image.engines.stand_in import StandIn


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "folder/inner").mkdir(parents=True)
    (tree / "folder/file").write_bytes(b"12345")
    (tree / "folder/empty").touch()
    (tree / "folder/to a file").symlink_to("file")
    (tree / "folder/to a folder").symlink_to("inner")
    (tree / "folder/to nothing").symlink_to("nowhere")
    os.link(tree / "folder/file", tree / "folder/twin")
    os.mkfifo(tree / "folder/pipe")
    return tree


@pytest.fixture
def fish(tree: Path, tmp_path: Path) -> Any:
    return StandIn(tree, tmp_path / "no disk")


def test_the_status_is_that_of_the_file(fish: Any, tree: Path):
    path = tree / "folder/file"
    path.chmod(0o4751)
    os.utime(path, ns=(5_000_000_007, 6_000_000_008))
    here, found = path.stat(), files.status(fish, "/folder/file")
    assert found == files.Status(
        device=here.st_dev,
        inode=here.st_ino,
        mode=here.st_mode,
        owner=(here.st_uid, here.st_gid),
        size=5,
        accessed=(5, 7),
        modified=(6, 8),
    )
    assert found.identity == files.status(fish, "/folder/twin").identity
    assert found.identity != files.status(fish, "/folder/empty").identity
    assert stat.S_IMODE(found.mode) == 0o4751


def test_names_are_told_with_what_their_links_lead_to(fish: Any, tmp_path: Path):
    found = files.entries(fish, "/folder", tmp_path)
    assert found == sorted(found)
    assert {entry.name for entry in found if entry.is_directory} == {"inner", "to a folder"}
    assert len(found) == 8
    assert not (tmp_path / "listing").exists()


def test_items_are_told_as_they_stand_there_with_their_sizes(fish: Any, tmp_path: Path):
    found = {item.name: item for item in files.items(fish, "/folder", tmp_path)}
    assert found["file"] == Item("file", is_directory=False, size_bytes=5)
    assert found["inner"] == Item("inner", is_directory=True, size_bytes=0)
    assert found["to a file"] == Item("to a file", is_directory=False, size_bytes=5)
    for name in ("to a folder", "to nothing"):
        assert found[name] == Item(name, is_directory=False, size_bytes=0)
    assert list(found) == sorted(found)


def test_only_a_regular_file_is_read(fish: Any):
    assert files.regular(fish, "/folder/to a file").size == 5
    for name in ("pipe", "inner"):
        with pytest.raises(BakeryError, match=f"/folder/{name} is not a regular file"):
            files.regular(fish, f"/folder/{name}")
    with pytest.raises(CommandRefused, match="No such file"):
        files.regular(fish, "/folder/to nothing")


def test_a_folder_may_hold_as_many_names_as_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "ENTRY_LIMIT", 3)
    assert files._names(b"a\0b\0c\0", "/x") == ["a", "b", "c"]
    with pytest.raises(BakeryError, match="/x holds 4 names, more than the 3"):
        files._names(b"a\0b\0c\0d\0", "/x")


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[31m", b"\xff"])
def test_a_name_that_is_not_plain_text_is_refused(name: bytes):
    with pytest.raises(BakeryError, match="not plain text"):
        files._names(b"good\0" + name + b"\0", "/x")
    assert files._names("käse\0".encode(), "/x") == ["käse"]


def test_a_path_begins_at_the_root_and_is_plain_text():
    assert files.inside("/dev/sda") == "/./dev/sda"
    for path in ("relative", "", "/a\nb"):
        with pytest.raises(BakeryError, match="is not a path"):
            files.inside(path)


def test_an_entry_of_a_link_that_leads_nowhere_is_no_folder(fish: Any, tmp_path: Path):
    entry = DirectoryEntry("to nothing", is_directory=False)
    assert entry in files.entries(fish, "/folder", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("st_mode: 33188", "st_mode: 1844674407370", "impossible mode or size"),
        ("st_mode: 33188", "st_mode: -1", "impossible mode or size"),
        ("st_size: 7", "st_size: -7", "impossible mode or size"),
        ("st_size: 7", "st_size: x", "without its 'st_size'"),
        ("st_size: 7", "st_size: " + "9" * 5000, "without its 'st_size'"),
    ],
)
def test_an_impossible_status_is_refused(old: str, new: str, said: str):
    answer = "".join(
        f"st_{name}: {value}\n"
        for name, value in (
            *(("dev", 1), ("ino", 2), ("mode", 33188), ("uid", 0), ("gid", 0), ("size", 7)),
            *(("atime_sec", -3), ("atime_nsec", 4), ("mtime_sec", 5), ("mtime_nsec", 6)),
        )
    )
    assert (files._status(answer).size, files._status(answer).accessed) == (7, (-3, 4))
    assert old in answer
    with pytest.raises(BakeryError, match=said):
        files._status(answer.replace(old, new))
