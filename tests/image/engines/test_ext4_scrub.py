"""What e2fsprogs' programs are told and what their words mean, word by word."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Survey, Volume, VolumeGroup
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.image.engines import ext4_scrub
from bakery.image.engines.base import CannotServe, Removal, Taking
from bakery.image.engines.cell import Command, Output

START, BLOCK = 1 << 20, 1024
VOLUME = Volume("/dev/sda1", 100 * BLOCK, (Extent(START, 100 * BLOCK),), "ext4")
HEAD = """Filesystem features:      has_journal ext_attr extent
Filesystem state:         clean
Block size:               1024
"""
BANNER = b"debugfs 1.47.0 (5-Feb-2023)\n"


class View:
    """Programs that print what a test says; `told` has what each was asked."""

    size_bytes = 1 << 30

    def __init__(self, folder: Path, head: str = HEAD) -> None:
        self.folder, self.cell = folder, self
        self.told: list[list[str]] = []
        self.scripts: list[list[str]] = []
        self.codes: dict[str, int] = {}
        self.complaints = BANNER
        self.printed = {"dumpe2fs": head}

    def make(self) -> tuple[str, int]:
        path = self.folder / f"script-{len(self.scripts)}"
        return str(path), os.open(path, os.O_CREAT | os.O_RDWR)

    def run(self, command: Command) -> Output:
        words = list(command.argv)
        self.told.append(words)
        name, said = words[0], self.printed.get(words[0], "")
        if name == "debugfs":
            lines = Path(words[words.index("-f") + 1]).read_text().splitlines()
            self.scripts.append(lines)
            said = "".join(self.printed.get(line, "") for line in lines)
        return Output(
            self.codes.get(name, 0), said.encode("utf-8", "surrogateescape"), self.complaints
        )


@pytest.fixture
def view(tmp_path: Path) -> Any:
    return View(tmp_path)


def filesystem(view: Any, volume: Volume = VOLUME) -> ext4_scrub._Filesystem:
    return ext4_scrub._Filesystem(view, "/disk", volume)


def listing(*entries: tuple[int, int, str]) -> str:
    dots = ((2, 0o040755, "."), (2, 0o040755, ".."))
    lines = (f"/{inode}/{mode:06o}/0/0/{name}//\n" for inode, mode, name in (*dots, *entries))
    return "debugfs: ls -p\n" + "".join(lines)


def blocks(first: int, last: int) -> Extent:
    return Extent(START + first * BLOCK, (last - first + 1) * BLOCK)


def test_every_program_looks_at_the_partition_alone(view: Any):
    found = filesystem(view)
    found.check()
    found.mend()
    name = f"/disk?offset={START}"
    assert view.told == [
        ["dumpe2fs", "-h", name],
        ["e2fsck", "-fn", name],
        ["e2fsck", "-fp", name],
    ]


def test_free_blocks_are_ranges_of_the_disk(view: Any):
    found = filesystem(view)
    view.printed["dumpe2fs"] = "  Free blocks: 10-12, 20\n  Free blocks: \n  Free blocks: 99\n"
    assert found.free() == [blocks(10, 12), blocks(20, 20), blocks(99, 99)]
    view.printed["dumpe2fs"] = "  Free blocks: 99-100\n"
    with pytest.raises(BakeryError, match="blocks beyond its end"):
        found.free()
    view.codes["dumpe2fs"], view.complaints = 1, b"torn\n"
    with pytest.raises(CannotServe, match="dumpe2fs, on /dev/sda1: torn"):
        found.free()


LONG = "9" * 5000  # more digits than int() takes


@pytest.mark.parametrize("number", [LONG, "9" * 16, "\u0664"])
def test_a_number_out_of_all_proportion_is_no_number(view: Any, number: str):
    found = filesystem(view)
    view.printed |= {
        "dumpe2fs": f"  Free blocks: 1-{number}\n",
        "dump_extents -l <12>": f" 1/ 1   1/  2  0 -   0  50 - {number}  1\n",
        'ls -p "/"': listing().replace("/2/", f"/{number}/"),
        "stat <12>": f"Inode: 12   Type: regular\nLinks: {number}   Blockcount: 8\n",
    }
    asked = (found.free, lambda: found._extents(12, 0), lambda: found._listed("/"))
    for call in (*asked, lambda: list(found._nameless([12]))):
        if number.isascii():
            with pytest.raises(CannotServe, match="is no number of an inode or a block"):
                call()
        else:
            with contextlib.suppress(CannotServe):
                assert call() == [], "a digit of another script is none"


EXTENTS = """Level Entries       Logical          Physical Length Flags
 0/ 1   1/  1     0 -    30    70             31
 1/ 1   1/  2     0 -     0    50 -    50      1
 1/ 1   2/  2     1 -     9    60 -    68      9
"""


@pytest.mark.parametrize(
    ("skip", "left"),
    [
        (0, [blocks(50, 50), blocks(60, 68)]),
        (1, [blocks(60, 68)]),
        (4, [blocks(63, 68)]),
        (9, [blocks(68, 68)]),
        (10, []),
    ],
)
def test_the_first_blocks_of_a_file_are_left_where_that_is_asked(view: Any, skip: int, left: Any):
    view.printed["dump_extents -l <12>"] = EXTENTS
    assert filesystem(view)._extents(12, skip) == left
    with pytest.raises(CannotServe, match="inode 13 of /dev/sda1 has extents"):
        filesystem(view)._extents(13, skip)


def test_the_journal_is_cleared_behind_its_superblock_where_there_is_one(view: Any, tmp_path: Path):
    view.printed["dump_extents -l <8>"] = EXTENTS
    assert filesystem(view).journal() == [blocks(60, 68)]
    without: Any = View(tmp_path, HEAD.replace("has_journal ", ""))
    assert filesystem(without).journal() == []
    assert without.scripts == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("ext_attr", "ext_attr quota zoned", "uses quota, zoned"),
        ("clean", "not clean", "was not unmounted"),
        ("1024", "0", "was not unmounted"),
        ("Filesystem features", "Other", "uses unknown"),
    ],
)
def test_what_is_in_use_and_not_known_is_refused(tmp_path: Path, old: str, new: str, reason: str):
    odd: Any = View(tmp_path, HEAD.replace(old, new))
    with pytest.raises(CannotServe, match=f"/dev/sda1 {reason}"):
        filesystem(odd).refuse_unknown()


def test_what_is_known_passes(view: Any):
    filesystem(view).refuse_unknown()


@pytest.mark.parametrize(
    ("code", "mends", "passes"), [(0, True, True), (1, True, False), (4, False, False)]
)
def test_a_check_finds_nothing_and_a_mending_leaves_nothing(
    view: Any, code: int, mends: bool, passes: bool
):
    found = filesystem(view)
    view.codes["e2fsck"] = code
    for call, good, words in (
        (found.mend, mends, "cannot mend"),
        (found.check, passes, "still finds errors"),
    ):
        if good:
            call()
        else:
            with pytest.raises(CannotServe, match=words):
                call()


def statuses(*told: tuple[int, str, int]) -> dict[str, str]:
    shape = "Inode: {}   Type: {}    Mode: 0644\nLinks: {}   Blockcount: 8\n"
    return {f"stat <{one[0]}>": shape.format(*one) for one in told}


def test_a_folder_goes_with_all_below_it_and_only_nameless_inodes_are_cleared(view: Any):
    view.printed |= {
        'ls -p "/"': listing((11, 0o040755, "a")),
        'ls -p "/a"': listing((12, 0o100644, "one"), (13, 0o040755, "b"), (14, 0o120777, "link")),
        'ls -p "/a/b"': listing((12, 0o100644, "two words"), (15, 0o100644, "kept")),
    }
    view.printed |= statuses(
        (11, "directory", 2), (12, "regular", 2), (13, "directory", 5), (14, "symlink", 1),
        (15, "regular", 2),
    )  # fmt: skip
    assert filesystem(view).take([Taking(VOLUME, "/a", "remove")]) == set()
    assert view.scripts[-1] == [
        'rm "/a/one"',
        'rm "/a/b/two words"',
        'rm "/a/b/kept"',
        'rmdir "/a/b"',
        'rm "/a/link"',
        'rmdir "/a"',
        "clri <11>",
        "clri <12>",
        "clri <13>",
        "clri <14>",
    ]
    assert "-w" in view.told[-1]
    assert ["-w" in words for words in view.told if words[0] == "debugfs"].count(True) == 1


def test_a_file_is_emptied_a_link_is_left_and_a_swap_file_keeps_its_header(view: Any):
    view.printed['ls -p "/"'] = listing(
        (12, 0o100644, "file"),
        (14, 0o120777, "link"),
        (16, 0o100600, "swap"),
        (17, 0o040755, "dir"),
    )
    view.printed["dump_extents -l <16>"] = EXTENTS
    found = filesystem(view)
    empty = [Taking(VOLUME, f"/{name}", "empty") for name in ("file", "link", "dir")]
    assert found.take(empty) == {"/link", "/dir"}
    assert view.scripts[-1] == ["punch <12> 0", "set_inode_field <12> size 0"]
    assert found.blanks(Taking(VOLUME, "/swap", "blank")) == [blocks(63, 68)]
    assert found.blanks(Taking(VOLUME, "/dir", "blank")) == []
    assert found.blanks(Taking(VOLUME, "/swap", "empty")) == []
    with pytest.raises(CannotServe, match="debugfs does not find /other"):
        found.take([Taking(VOLUME, "/other", "remove")])


def test_nothing_to_take_changes_nothing(view: Any):
    assert filesystem(view).take([]) == set()
    assert not any("-w" in words for words in view.told)


@pytest.mark.parametrize(
    ("complaints", "code", "reason"),
    [
        (BANNER + b"rm: File not found\nmore\n", 0, "rm: File not found"),
        (BANNER + b"\n", 1, "failed"),
    ],
)
def test_a_complaint_of_debugfs_ends_it(view: Any, complaints: bytes, code: int, reason: str):
    found = filesystem(view)
    view.complaints, view.codes["debugfs"] = complaints, code
    with pytest.raises(CannotServe, match=f"debugfs, on /dev/sda1: {reason}"):
        found._edit(["rm x"])


@pytest.mark.parametrize("path", ['/a"b', "/a\nb"])
def test_a_name_that_debugfs_cannot_be_told_is_refused(view: Any, path: str):
    with pytest.raises(CannotServe, match="not a name that debugfs can be given"):
        filesystem(view)._listed(path)


@pytest.mark.parametrize("name", ['a" "b', "\udce9t\udce9", "a\x1bb"])
def test_a_file_whose_name_debugfs_cannot_be_told_is_not_removed(view: Any, name: str):
    told = {'ls -p "/"': (11, 0o040755, "a"), 'ls -p "/a"': (12, 0o100644, name)}
    view.printed |= {line: listing(entry) for line, entry in told.items()}
    with pytest.raises(CannotServe, match="not a name that debugfs can be given"):
        filesystem(view).take([Taking(VOLUME, "/a", "remove")])
    assert not any("-w" in words for words in view.told)


def test_a_directory_is_listed_once_and_as_a_whole(view: Any):
    view.printed['ls -p "/"'] = listing((12, 0o100644, "file"))
    found = filesystem(view)
    assert found._listed("/") == found._listed("/") == [("file", 12, 0o100644)]
    assert len(view.scripts) == 1
    view.printed['ls -p "/odd"'] = listing((12, 0o100644, "a/b"))
    with pytest.raises(CannotServe, match="/odd in /dev/sda1 holds an ambiguous name"):
        found._listed("/odd")


def refuse(groups: Any = (), filesystems: Any = (), swaps: Any = ()) -> None:
    survey = Survey(1, None, tuple(groups), ())
    ext4_scrub._refuse(survey, Removal((), tuple(filesystems), tuple(swaps), ()))


def test_what_takes_a_kernel_is_refused_before_anything_is_changed(monkeypatch: pytest.MonkeyPatch):
    swap = Volume("/dev/sda3", 1, (), "swap")
    refuse(filesystems=[VOLUME], swaps=[swap])
    with pytest.raises(CannotServe, match="volume group"):
        refuse(groups=[VolumeGroup("vg", "", 1, (1,), ())])
    with pytest.raises(CannotServe, match="/dev/sda2 is xfs"):
        refuse(filesystems=[VOLUME, Volume("/dev/sda2", 1, (), "xfs")])
    with pytest.raises(CannotServe, match="holds a suspended system"):
        refuse(swaps=[swap, Volume("/dev/sda4", 1, (), "swsuspend")])
    monkeypatch.setattr(tools, "missing", lambda _names: ["debugfs"])
    with pytest.raises(CannotServe, match="debugfs not installed"):
        refuse()


def test_zeros_that_cannot_be_made_are_told(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 8192)
    with (
        path.open("rb") as file,
        pytest.raises(CannotServe, match="zeros cannot be written to the overlay: Bad file"),
    ):
        ext4_scrub._zero(file.fileno(), [Extent(0, 4096)])
    assert ext4_scrub._behind(Extent(100, 50), 8) == Extent(108, 42)


def test_a_folder_that_would_have_no_end_is_refused(view: Any):
    class Endless(dict[str, str]):
        def get(self, line: str, other: str = "") -> str:  # type: ignore[override]
            folder = listing((11, 0o040755, "a"))
            return folder if line.startswith("ls") else super().get(line, other)

    view.printed = Endless(view.printed)
    with pytest.raises(CannotServe, match="too deep, or too many"):
        filesystem(view).take([Taking(VOLUME, "/a", "remove")])
