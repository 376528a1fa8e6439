"""What the appliance is told to take out, and the tar of it on its way through a FIFO."""

import io
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Subvolume, Volume
from bakery.host.errors import BakeryError
from bakery.image.engines import guestfs_scrub
from bakery.image.engines.base import Removal, Taking

MIB = 1 << 20
ROOT = Volume("/dev/sda2", 2 * MIB, (Extent(MIB, 2 * MIB),), "ext4", "1111")
DATA = Volume("/dev/vg/data", 4096, (Extent(4 * MIB, 2048), Extent(512, 2048)), "btrfs", "2222")
OLD = Volume("/dev/sda3", MIB, (Extent(MIB, MIB),), "vfat")


class Fish:
    """What is asked of an appliance; `said` is what a phase of the script prints."""

    def __init__(self, **said: str) -> None:
        self.said = said
        self.sent: dict[str, bytes] = {}
        self.asked: list[tuple[str, ...]] = []
        self.seconds: list[float] = []
        self.tar = b""
        self.failure: Exception | None = None

    def ask(self, *words: str, timeout: float = 0) -> str:
        self.asked.append(words)
        self.seconds.append(timeout)
        if self.failure and words[0].startswith("tar"):
            raise self.failure
        if words[0] == "debug-upload":
            self.sent[words[2]] = Path(words[1]).read_bytes()
        elif words[0] == "tar-out":
            Path(words[2]).write_bytes(self.tar)
        elif words[0] == "tar-in":
            self.tar = Path(words[1]).read_bytes()
        elif words[0] == "debug":
            return self.said.get(words[2].split()[2], "")
        return ""

    def phases(self) -> list[list[str]]:
        return [words[2].split()[2:] for words in self.asked if words[0] == "debug"]


def tar(*members: tarfile.TarInfo, **content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        for member in members:
            data = content.get(member.name.rpartition("/")[2], b"")
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def listed(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        return {one.name: one for one in file}


def scrub(fish: Any, scratch: Path, removal: Removal, keep: Any = None) -> set[str]:
    return guestfs_scrub.scrub(fish, scratch, removal, keep)


TAKINGS = (
    Taking(ROOT, "/root/.ssh", "remove"),
    Taking(ROOT, "/root/.ssh/id_rsa", "remove"),
    Taking(ROOT, "/etc/machine-id", "empty"),
)
REMOVAL = Removal(TAKINGS, (ROOT, DATA), (OLD,), (Extent(512, 1024),))


def test_the_script_is_told_all_of_it_and_runs_in_its_order(tmp_path: Path):
    fish = Fish(prepare="left 1111 /etc/link\nfixed 1111 /ostree\n", stage="left 1111 /b c\n")
    assert scrub(fish, tmp_path, REMOVAL) == {"/etc/link", "/b c"}
    assert fish.sent["/tmp/list"] == (
        b"empty\x001111\0/etc/machine-id\0remove\x001111\0/root/.ssh\0"
    )
    mount = "nodev,nosuid,noexec,noatime"
    assert fish.sent["/tmp/mounts"].decode().split("\0") == [
        *("1111", "/dev/disk/guestfs/image2", "ext4", mount, "trim"),
        *("2222", "/dev/vg/data", "btrfs", f"{mount},subvolid=5", "fill"),
        "",
    ]
    assert fish.sent["/tmp/filesystems"] == fish.sent["/tmp/mounts"]
    assert fish.sent["/tmp/swaps"] == b"/dev/disk/guestfs/image3\0\0\0"
    assert fish.sent["/tmp/gaps"] == b"512\x001024\0"
    assert fish.sent["/tmp/scrub.sh"] == guestfs_scrub.SCRIPT.read_bytes()
    assert fish.phases() == [
        ["prepare", "/tmp/mounts", "/tmp/list"],
        ["stage", "/tmp/mounts", "/tmp/list"],
        ["destroy", "/tmp/mounts"],
        ["clear", "/tmp/filesystems", "/tmp/swaps", "/tmp/gaps"],
    ]
    renames = [words for words in fish.asked if words[0] == "rename"]
    top = "/volumes/1111"
    assert renames == [("rename", f"{top}/root/.ssh", f"{top}/.bakery-scrub/root/.ssh")]
    assert list(tmp_path.iterdir()) == []


def test_what_lies_in_a_subvolume_is_taken_within_it(tmp_path: Path):
    """Nothing is renamed from one subvolume to another; in the tar it has its name of the whole."""
    subvolumes = (Subvolume(256, "@"), Subvolume(257, "@/inner"), Subvolume(258, "@home"))
    whole = msgspec.structs.replace(DATA, subvolumes=subvolumes)
    system = whole.at(subvolumes[0])
    takings = (
        Taking(system, "/etc/key", "remove"),
        Taking(system, "/inner/x/key", "remove"),
        Taking(system, "/inner/log", "empty"),
        Taking(whole, "/@home/key", "remove"),
        Taking(whole, "/key", "remove"),
    )
    fish = Fish(prepare="fixed 2222@256 /etc\nleft 2222@257 /log\n")
    fish.tar = tar(
        member("./2222@256/etc", tarfile.DIRTYPE),
        member("./2222@256/etc/key"),
        member("./2222@257/x/key"),
        member("./2222@257/twin", tarfile.LNKTYPE, linkname="./2222@257/x/key"),
        member("./2222/key"),
    )
    keep = io.BytesIO()
    assert scrub(fish, tmp_path, Removal(takings, (whole,), (), ()), keep) == {"/inner/log"}
    assert fish.sent["/tmp/list"].decode().split("\0") == [
        *("remove", "2222@256", "/etc/key", "empty", "2222@257", "/log"),
        *("remove", "2222@257", "/x/key", "remove", "2222@258", "/key"),
        *("remove", "2222", "/key", ""),
    ]
    mounts = fish.sent["/tmp/mounts"].decode().split("\0")
    assert mounts[::5] == ["2222", "2222@256", "2222@257", "2222@258", ""]
    assert [options.rpartition(",")[2] for options in mounts[3::5]] == [
        *("subvolid=5", "subvolid=256", "subvolid=257", "subvolid=258")
    ]
    assert mounts[4::5] == ["fill", "part", "part", "part"]
    assert fish.sent["/tmp/filesystems"].decode().split("\0")[::5] == ["2222", ""]
    found = listed(keep.getvalue())
    assert list(found) == ["2222/@/etc/key", "2222/@/inner/x/key", "2222/@/inner/twin", "2222/key"]
    assert found["2222/@/inner/twin"].linkname == "2222/@/inner/x/key"


def test_a_subvolume_that_is_taken_is_a_folder_with_all_in_it(tmp_path: Path):
    subvolumes = (Subvolume(256, "@"), Subvolume(257, "@/inner"))
    whole = msgspec.structs.replace(DATA, subvolumes=subvolumes)
    system, inner = map(whole.at, subvolumes)
    takings = (Taking(inner, "/key", "remove"), Taking(system, "/inner", "remove"))
    fish = Fish()
    scrub(fish, tmp_path, Removal(takings, (whole,), (), ()))
    assert fish.sent["/tmp/list"] == b"remove\x002222@256\0/inner\0"


def test_a_large_filesystem_is_waited_for_longer(tmp_path: Path):
    small, large = Fish(), Fish()
    scrub(small, tmp_path, REMOVAL)
    size = 40 << 30
    big = Volume("/dev/sda2", size, (Extent(0, size),), "ext4", "1111")
    scrub(large, tmp_path, Removal((), (big,), (), ()))
    assert max(small.seconds) < 601
    assert max(large.seconds) == 600 + size / (4 << 20)


def test_what_is_taken_is_kept_under_plain_names_and_fixed_folders_are_not(tmp_path: Path):
    fish = Fish(prepare="fixed 1111 /ostree\n")
    fish.tar = tar(
        member("./", tarfile.DIRTYPE),
        member("./1111/ostree", tarfile.DIRTYPE),
        member("./1111/key", uid=12, gid=34, mtime=5, pax_headers={"SCHILY.xattr.user.a": "b"}),
        member("./1111/twin", tarfile.LNKTYPE, linkname="./1111/key"),
        member("./1111/link", tarfile.SYMTYPE, linkname="./key"),
        key=b"secret",
    )
    keep = io.BytesIO()
    scrub(fish, tmp_path, REMOVAL, keep)
    found = listed(keep.getvalue())
    assert list(found) == ["1111/key", "1111/twin", "1111/link"]
    assert (found["1111/twin"].linkname, found["1111/link"].linkname) == ("1111/key", "./key")
    key = found["1111/key"]
    assert (key.uid, key.gid, key.mtime, key.size) == (12, 34, 5, 6)
    assert key.pax_headers["SCHILY.xattr.user.a"] == "b"
    with tarfile.open(fileobj=io.BytesIO(keep.getvalue())) as file:
        content = file.extractfile("1111/key")
        assert content is not None
        assert content.read() == b"secret"
    (words,) = [words for words in fish.asked if words[0] == "tar-out"]
    assert words[1:2] + words[3:] == ("/kept", "xattrs:true", "numericowner:true")
    assert fish.asked.index(words) < next(
        place for place, one in enumerate(fish.asked) if one[-1].endswith("destroy /tmp/mounts")
    )
    assert list(tmp_path.iterdir()) == []


def test_without_anything_taken_no_tar_is_asked_for(tmp_path: Path):
    fish, keep = Fish(), io.BytesIO()
    scrub(fish, tmp_path, Removal((), (ROOT,), (), ()), keep)
    assert [words for words in fish.asked if words[0] == "tar-out"] == []
    assert keep.getvalue() == b""


def test_an_appliance_that_fails_is_told_and_nobody_waits(tmp_path: Path):
    fish = Fish()
    fish.failure = BakeryError("no appliance")
    with pytest.raises(BakeryError, match="no appliance"):
        scrub(fish, tmp_path, REMOVAL, io.BytesIO())
    assert not (tmp_path / "fifo").exists()


@pytest.mark.parametrize("other_end", [os.O_RDONLY, os.O_WRONLY])
def test_nobody_waits_who_comes_late_to_a_fifo_that_was_given_up(tmp_path: Path, other_end: int):
    def late(fifo: Path) -> None:
        time.sleep(0.1)
        fifo.open("wb" if other_end == os.O_RDONLY else "rb").close()

    with (
        pytest.raises(BakeryError, match="given up"),
        guestfs_scrub._fifo(tmp_path, late, other_end),
    ):
        raise BakeryError("given up")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_to_be_kept_is_told_before_what_follows_of_it(tmp_path: Path):
    class Full(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise BakeryError("the archive is full")

    fish = Fish()
    fish.tar = tar(member("./1111/key"), key=b"x" * (1 << 20))
    with pytest.raises(BakeryError, match="the archive is full"):
        scrub(fish, tmp_path, REMOVAL, Full())


def test_another_failure_of_the_thread_is_told_where_the_block_had_none(tmp_path: Path):
    class Torn(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise OSError(5, "torn")

    fish = Fish()
    fish.tar = tar(member("./1111/key"))
    with pytest.raises(OSError, match="torn"):
        scrub(fish, tmp_path, REMOVAL, Torn())


def test_a_tar_is_put_in_as_it_is(tmp_path: Path):
    fish: Any = Fish()
    data = os.urandom(3 * MIB + 5)
    guestfs_scrub.restore(fish, tmp_path, io.BytesIO(data), (ROOT,))
    assert fish.tar == data
    assert fish.phases() == [["mount", "/tmp/mounts"], ["unmount", "/tmp/mounts"]]
    assert next(words for words in fish.asked if words[0] == "tar-in")[2:] == (
        "/kept",
        "xattrs:true",
    )
    assert list(tmp_path.iterdir()) == []


def test_volumes_that_share_a_name_are_refused_before_anything_is_asked(tmp_path: Path):
    fish: Any = Fish()
    twin = Volume("/dev/sda9", MIB, (Extent(9 * MIB, MIB),), "xfs", "1111")
    with pytest.raises(BakeryError, match="/dev/sda2 and /dev/sda9 have the same UUID") as caught:
        scrub(fish, tmp_path, Removal((), (ROOT, DATA, twin), (), ()))
    assert caught.value.hint
    with pytest.raises(BakeryError, match="same UUID"):
        guestfs_scrub.restore(fish, tmp_path, io.BytesIO(), (ROOT, twin))
    assert fish.asked == []


@pytest.mark.parametrize(
    ("place", "kind", "how"),
    [
        ((Extent(4096, 8192),), "xfs", "trim"),
        ((Extent(4096, 8192),), "vfat", "fill"),
        ((Extent(512, 8192),), "xfs", "fill"),
        ((Extent(4096, 8704),), "xfs", "fill"),
        ((Extent(4096, 4096), Extent(9216, 4096)), "xfs", "fill"),
        ((Extent(4096, 4096), Extent(16384, 4096)), "ext2", "trim"),
    ],
)
def test_only_blocks_that_lie_on_clusters_are_trimmed(place, kind: str, how: str):
    volume = Volume("/dev/sda1", 8192, place, kind, "u")
    assert guestfs_scrub._mount(volume)[-1] == how
