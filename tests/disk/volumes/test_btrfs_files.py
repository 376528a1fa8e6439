"""Names of a btrfs that the kernel wrote; tests/disk/volumes/btrfses tells what is in it."""

import stat
import struct

import pytest

from bakery.disk.volumes import btrfs_files
from bakery.disk.volumes.btrfs_files import DIRECTORY, Files, Found
from bakery.disk.volumes.volumes import TOP_LEVEL
from bakery.host.errors import BakeryError
from tests.disk.volumes import btrfses

SYSTEM, HOME, NESTED, SNAPSHOTS, ROLLED = (one.id for one in btrfses.SUBVOLUMES)


@pytest.fixture(scope="module")
def files() -> Files:
    return Files(btrfses.reader(btrfses.load("system")))


def found(files: Files, path: str, subvolume: int = SYSTEM) -> Found:
    told = files.find(files.top(subvolume), path.encode())
    assert told is not None, path
    return told


def plain(files: Files, path: str) -> str:
    return b"/".join(found(files, path).names).decode()


def test_subvolumes_are_told_with_their_paths_and_the_default(files: Files):
    assert files.subvolumes() == btrfses.SUBVOLUMES


def test_every_file_is_found_with_its_size(files: Files):
    for name, data in btrfses.FILES.items():
        size, mode = files.status(found(files, f"/{name}").node)
        assert (size, stat.S_ISREG(mode)) == (len(data), True), name
        assert plain(files, f"//./{name}") == name


def test_links_are_followed_inside_the_subvolume(files: Files):
    for name in ("absolute", "above", "chain"):
        assert plain(files, f"/etc/{name}") == "etc/fstab", name
    assert plain(files, "/etc/os-release") == "usr/lib/os-release"
    assert plain(files, "/etc/into") == "nested/inside"
    assert plain(files, "/etc/folder/zstd") == "large/zstd"
    assert plain(files, "/../etc/../../etc/fstab") == "etc/fstab"
    assert plain(files, "/nested/../etc/fstab") == "etc/fstab"


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/etc/nothing/at/all", "/etc/fstab/below", "/etc/fstab/.."),
        *("/etc/dangling", "/etc/loop", "/" + "x" * 300, "/@/etc/fstab"),
    ],
)
def test_what_leads_nowhere_is_not_found(files: Files, path: str):
    assert files.find(files.top(SYSTEM), path.encode()) is None


def test_two_names_of_one_file_are_one_and_a_snapshots_is_another(files: Files):
    one = found(files, "/etc/fstab").node
    assert found(files, "/etc/hard").node == one
    assert found(files, "/etc/empty").node != one
    assert found(files, "/etc/fstab", ROLLED).node == one._replace(tree=ROLLED)


def test_a_directory_holds_its_names_and_their_kinds(files: Files):
    told = {name.decode(): node for name, node in files.directory(files.top(SYSTEM).node)}
    assert set(told) == {"nested", ".snapshots", "etc", "usr", "large", "many", "hollow"}
    assert {node.kind for node in told.values()} == {DIRECTORY}
    assert (told["nested"].tree, told[".snapshots"].tree) == (NESTED, SNAPSHOTS)
    assert files.directory(told["hollow"]) == []


def test_a_directory_of_many_names_is_told_of_whole(files: Files):
    many = files.directory(found(files, "/many").node)
    assert {name for name, _ in many} == {b"name-%d" % number for number in range(btrfses.MANY)}
    assert found(files, f"/many/name-{btrfses.MANY - 1}").node in [node for _, node in many]


def test_a_subvolume_is_reached_through_its_name_in_another(files: Files):
    assert found(files, "/nested/inside").node.tree == NESTED
    assert found(files, "/@/nested/inside", TOP_LEVEL).node.tree == NESTED
    assert found(files, "/@home", TOP_LEVEL).node.tree == HOME


def test_a_snapshot_shows_an_empty_directory_for_a_subvolume_it_left_out(files: Files):
    assert found(files, "/etc/fstab", ROLLED).node.tree == ROLLED
    nested = found(files, "/nested", ROLLED)
    assert nested.node.kind == DIRECTORY
    assert files.directory(nested.node) == []
    assert files.find(files.top(ROLLED), b"/nested/inside") is None
    size, mode = files.status(nested.node)
    assert (size, stat.S_ISDIR(mode)) == (0, True)


def test_what_is_no_subvolume_has_no_root(files: Files):
    with pytest.raises(BakeryError, match="no subvolume 999"):
        files.top(999)


def test_a_name_is_looked_up_by_the_hash_the_kernel_gives_it():
    assert btrfs_files._name_hash(b"default") == 2378154706  # btrfs-progs, check/main.c


def test_more_names_than_are_told_apart_are_refused():
    device = btrfses.reader(btrfses.load("system"))
    enough = Files(device, entry_limit=btrfses.MANY)
    assert len(enough.directory(found(enough, "/many").node)) == btrfses.MANY
    few = Files(device, entry_limit=btrfses.MANY - 1)
    with pytest.raises(BakeryError, match=f"more than {btrfses.MANY - 1} names"):
        few.directory(found(few, "/many").node)


def test_more_subvolumes_than_are_told_apart_are_refused():
    device, count = btrfses.reader(btrfses.load("system")), len(btrfses.SUBVOLUMES)
    assert len(Files(device, subvolume_limit=count).subvolumes()) == count
    with pytest.raises(BakeryError, match=f"more than {count - 1} subvolumes"):
        Files(device, subvolume_limit=count - 1).subvolumes()


def changed(old: bytes, new: bytes) -> Files:
    """The filesystem with `old` replaced wherever it stands."""
    data = btrfses.load("system")
    assert len(old) == len(new)
    assert old in data
    return Files(btrfses.reader(data.replace(old, new)))


def test_a_name_that_cannot_be_one_is_damage():
    files = changed(b"os-release", b"os/release")
    with pytest.raises(BakeryError, match="cannot be a name"):
        files.directory(found(files, "/etc").node)


def test_a_subvolume_whose_name_is_no_text_is_refused():
    files = changed(b"@home", b"@\xffome")
    with pytest.raises(BakeryError, match="not plain text"):
        files.subvolumes()


def test_a_subvolume_that_hangs_on_itself_has_no_path():
    """The reference of @home says that it stands in @home."""
    key = struct.Struct("<QBQ")
    files = changed(key.pack(HOME, 144, TOP_LEVEL), key.pack(HOME, 144, HOME))
    assert HOME not in [one.id for one in files.subvolumes()]


def test_a_link_ends_at_a_nul_which_mkfs_writes_behind_it():
    above = b"../../../../../../etc/fstab"
    files = changed(above, b"../etc/fstab".ljust(len(above), b"\0"))
    assert plain(files, "/etc/above") == "etc/fstab"
