"""XFS as mkfs.xfs and the kernel write it: a clean log and a torn one, shared blocks and own."""

import contextlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes import xfs
from bakery.host.errors import BakeryError
from bakery.samples import mounts

SIZE_BYTES = 320 << 20
BLOCK = 1024
FILES = 400  # more shared ranges than one block of reference counts holds
HAS_LOOP = os.geteuid() == 0 and Path("/dev/loop-control").exists()
needs_mount = pytest.mark.skipif(not HAS_LOOP, reason="mounting needs root and loop devices")


def made(folder: Path, *options: str) -> Path:
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    subprocess.run(["mkfs.xfs", "-q", "-f", *options, image], check=True)
    return image


@contextlib.contextmanager
def mounted(image: Path) -> Iterator[Path]:
    with mounts.private_mounts(), mounts.mounted(image, image.with_name("mounted")) as folder:
        yield folder


class Volume:
    """An image as the functions under test read it."""

    def __init__(self, image: Path) -> None:
        self.file = image.open("rb")
        self.superblock = xfs.read(self.read_at)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self.file.fileno(), length, offset)

    def is_clean(self) -> bool:
        return xfs.is_clean(self.read_at, self.superblock)

    def shared(self, piece: Extent) -> bool:
        return xfs.shared(self.read_at, self.superblock, piece)


def place(file: Path) -> Extent:
    """Where the first block of a file lies, as the kernel maps it (xfs_io: bmap, sectors)."""
    told = subprocess.run(
        ["xfs_io", "-r", "-c", "bmap", file], capture_output=True, text=True, check=True
    ).stdout
    start = told.splitlines()[1].split(": ")[2].split("..")[0]
    return Extent(int(start) * 512, BLOCK)


@pytest.mark.parametrize("options", [(), ("-l", "su=256k"), ("-m", "reflink=0", "-b", "size=1024")])
def test_a_new_filesystem_is_clean(options, tmp_path: Path):
    volume = Volume(made(tmp_path, *options))
    assert volume.is_clean()
    assert volume.superblock.shares == ("reflink=0" not in options)
    assert volume.superblock.log.offset % volume.superblock.block_bytes == 0


@needs_mount
def test_only_what_was_unmounted_is_clean(tmp_path: Path):
    image, torn = made(tmp_path), tmp_path / "torn"
    for number in range(3):
        with mounted(image) as folder:
            for name in range(50):
                (folder / f"{number}-{name}").write_bytes(bytes(BLOCK))
            os.sync()
            shutil.copy(image, torn)
        assert not Volume(torn).is_clean(), number
        assert Volume(image).is_clean(), number


@needs_mount
def test_shared_blocks_are_told_from_own_ones(tmp_path: Path):
    image = made(tmp_path, "-b", f"size={BLOCK}")
    with mounted(image) as folder:
        pieces = {}
        for number in range(FILES):
            file = folder / f"{number}"
            file.write_bytes(number.to_bytes(2, "big") * (BLOCK // 2))
            if number % 2:
                subprocess.run(["cp", "--reflink=always", file, f"{file}.copy"], check=True)
        os.sync()
        for number in range(FILES):
            pieces[number] = place(folder / f"{number}")
    volume = Volume(image)
    for number, piece in pieces.items():
        assert volume.read_at(piece.offset, 2) == number.to_bytes(2, "big")
        assert volume.shared(piece) == bool(number % 2), number
    assert volume.shared(Extent(pieces[0].offset, 2 * BLOCK)) == (pieces[1].offset == pieces[0].end)


def test_a_filesystem_without_sharing_is_not_searched(tmp_path: Path):
    volume = Volume(made(tmp_path, "-m", "reflink=0"))
    assert not volume.shared(Extent(1 << 40, BLOCK))


def test_damaged_reference_counts_are_refused(tmp_path: Path):
    image = made(tmp_path)
    with image.open("r+b") as file:
        file.seek(512 + 88)
        file.write(struct.pack(">II", 3, 1))
    with pytest.raises(BakeryError, match="reference counts of allocation group 0"):
        Volume(image).shared(Extent(0, BLOCK))
    with pytest.raises(BakeryError, match="allocation group"):
        Volume(image).shared(Extent(SIZE_BYTES * 8, BLOCK))


def test_a_damaged_log_is_not_clean(tmp_path: Path):
    image = made(tmp_path)
    log = Volume(image).superblock.log
    with image.open("r+b") as file:
        file.seek(log.offset)
        file.write(bytes(4096))
    assert not Volume(image).is_clean()


@pytest.mark.parametrize("cut", [8, 512 + 95])
def test_a_volume_that_ends_before_what_it_names_is_damage(cut, tmp_path: Path):
    volume = Volume(made(tmp_path))
    os.truncate(tmp_path / "image", cut)
    with pytest.raises(BakeryError, match="names bytes beyond its end"):
        volume.is_clean()
    with pytest.raises(BakeryError, match="allocation group 0 of the XFS is damaged"):
        volume.shared(Extent(0, BLOCK))


@pytest.mark.parametrize(
    "data",
    [b"", bytes(512), b"XFSB" + bytes(508), b"XFSB" + b"\xff" * 508],
    ids=["empty", "zeros", "only-magic", "ones"],
)
def test_what_is_no_superblock_is_refused(data):
    with pytest.raises(BakeryError):
        xfs.read(lambda offset, length: data[offset : offset + length])


GEOMETRY = xfs.Superblock(
    block_bytes=512,
    sector_bytes=512,
    group_blocks=64,
    group_count=2,
    log=Extent(0, 0),
    log_unit_bytes=0,
    shares=True,
)
LEAF_ROOM, NODE_ROOM = 38, 57  # records of 12 bytes, keys and pointers of 8, behind 56 bytes


def leaf(*records: tuple[int, int, int], count: int | None = None, level: int = 0) -> bytes:
    """A block of reference counts: (first block, blocks, owners)."""
    told = len(records) if count is None else count
    head = (b"R3FC" + struct.pack(">HH", level, told)).ljust(56, b"\0")
    return (head + b"".join(struct.pack(">III", *one) for one in records)).ljust(512, b"\0")


def inner(level: int, *children: tuple[int, int]) -> bytes:
    """A block of keys and the blocks below them."""
    head = (b"R3FC" + struct.pack(">HH", level, len(children))).ljust(56, b"\0")
    keys = b"".join(struct.pack(">I", key) for key, _ in children).ljust(4 * NODE_ROOM, b"\0")
    return (head + keys + b"".join(struct.pack(">I", at) for _, at in children)).ljust(512, b"\0")


def is_shared(
    block: int, levels: int, *nodes: bytes, blocks: int = 1, group: int = 0, mark: bytes = b"XAGF"
) -> bool:
    """Asked of a group whose tree of counts begins at its block 2 and goes on in those behind."""
    disk = bytearray(2 * 64 * 512)
    start = group * 64 * 512
    disk[start + 512 : start + 516] = mark
    disk[start + 512 + 88 : start + 512 + 96] = struct.pack(">II", 2, levels)
    for number, node in enumerate(nodes, 2):
        disk[start + number * 512 : start + (number + 1) * 512] = node
    piece = Extent(start + block * 512, blocks * 512)
    return xfs.shared(lambda offset, size: bytes(disk[offset : offset + size]), GEOMETRY, piece)


@pytest.mark.parametrize("group", [0, 1])
def test_a_block_is_shared_where_a_record_covers_it_that_has_several_owners(group):
    node = leaf((5, 1, 1), (10, 3, 2), (20, 2, 7), ((1 << 31) + 30, 4, 9))
    shared = {block for block in range(64) if is_shared(block, 1, node, group=group)}
    assert shared == {10, 11, 12, 20, 21}


def test_every_block_that_a_piece_touches_counts():
    node = leaf((10, 1, 2))
    assert [is_shared(block, 1, node, blocks=2) for block in (8, 9, 10, 11)] == [
        False,
        True,
        True,
        False,
    ]
    disk = bytearray(64 * 512)
    disk[512:516], disk[600:608] = b"XAGF", struct.pack(">II", 2, 1)
    disk[1024:1536] = leaf((10, 1, 2))

    def touched(offset: int, length: int) -> bool:
        piece = Extent(offset, length)
        return xfs.shared(lambda at, size: bytes(disk[at : at + size]), GEOMETRY, piece)

    assert [touched(5119, 1), touched(5119, 2), touched(5631, 5), touched(5632, 5)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_child_that_is_searched_is_that_of_the_last_key_not_above():
    tree = (inner(1, (5, 3), (20, 4)), leaf((5, 1, 2), (20, 1, 2)), leaf((19, 1, 2), (21, 2, 2)))
    shared = {block for block in range(64) if is_shared(block, 2, *tree)}
    assert shared == {5, 21, 22}


def test_as_many_records_are_read_as_there_are_and_as_fit():
    many = [(number, 1, 2) for number in range(1, LEAF_ROOM + 1)]
    assert is_shared(LEAF_ROOM, 1, leaf(*many))
    assert not is_shared(LEAF_ROOM, 1, leaf(*many, count=LEAF_ROOM - 1))
    with pytest.raises(BakeryError, match="reference counts of allocation group 0 are damaged"):
        is_shared(1, 1, leaf(*many, count=LEAF_ROOM + 1))
    keys = [(number, 3) for number in range(1, NODE_ROOM + 1)]
    assert is_shared(60, 2, inner(1, *keys), leaf((60, 1, 2)))


def test_the_search_goes_as_deep_as_the_limit_and_no_deeper():
    def tree(levels: int) -> list[bytes]:
        nodes = [inner(level, (0, levels - level + 2)) for level in range(levels - 1, 0, -1)]
        return [*nodes, leaf((7, 1, 2))]

    for levels in (1, 2, xfs.DEPTH_LIMIT):
        assert is_shared(7, levels, *tree(levels))
        assert not is_shared(8, levels, *tree(levels))
    deeper = xfs.DEPTH_LIMIT + 1
    with pytest.raises(BakeryError, match="damaged"):
        is_shared(7, deeper, *tree(deeper))
    with pytest.raises(BakeryError, match="damaged"):
        is_shared(7, 0, leaf((7, 1, 2)))


@pytest.mark.parametrize(
    ("levels", "node"),
    [(1, leaf((7, 1, 2), level=1)), (2, leaf((7, 1, 2))), (1, bytes(512))],
    ids=["a level too high", "a level too low", "no mark"],
)
def test_a_block_that_is_no_part_of_the_tree_is_damage(levels, node):
    with pytest.raises(BakeryError, match="reference counts"):
        is_shared(7, levels, node)


def test_a_group_that_is_none_is_damage():
    with pytest.raises(BakeryError, match="allocation group 1 of the XFS is damaged"):
        is_shared(7, 1, leaf((7, 1, 2)), group=1, mark=b"none")
    with pytest.raises(BakeryError, match="allocation group 2 of the XFS"):
        is_shared(64, 1, leaf((7, 1, 2)), group=1)


LOG_AT = 4096


def log_is_clean(
    head: int,
    blocks: int = 300,
    *,
    length: int = 512,
    operations: int = 1,
    flag: int = 0x20,
    headers: int = 1,
    unit: int = 0,
    behind: int = 0,
) -> bool:
    """Of a log that is in its second round up to block `head`, `behind` blocks after a record."""
    log = bytearray(blocks * 512)
    for block in range(blocks):
        log[block * 512 : block * 512 + 4] = struct.pack(">I", 2 if block < head else 1)
    data = head - behind - -(-length // 512)
    first = data - headers
    cycle = 2 if first >= 0 else 1
    record = struct.pack(">IIII", 0xFEEDBABE, cycle, 2 if headers > 1 else 1, length)
    record = record.ljust(40, b"\0") + struct.pack(">I", operations)
    size = (headers - 1) * (32 << 10) + 1
    at = first % blocks * 512
    log[at : at + 324] = record.ljust(320, b"\0") + struct.pack(">I", size)
    log[data % blocks * 512 + 9] = flag
    disk = bytes(LOG_AT) + bytes(log) + b"\xff" * 4096
    superblock = xfs.Superblock(512, 512, 64, 1, Extent(LOG_AT, len(log)), unit, shares=False)
    return xfs.is_clean(lambda offset, size: disk[offset : offset + size], superblock)


@pytest.mark.parametrize("head", [1, 2, 3, 127, 128, 129, 150, 299, 300])
def test_a_log_is_clean_that_ends_in_the_record_of_an_unmount_wherever_that_lies(head):
    assert log_is_clean(head)
    assert not log_is_clean(head, flag=0)
    assert not log_is_clean(head, flag=0x40)
    assert log_is_clean(head, flag=0xFF)


@pytest.mark.parametrize(
    "odd",
    [{"operations": 2}, {"operations": 0}, {"behind": 1}, {"behind": 2}],
    ids=str,
)
def test_a_log_that_ends_in_anything_else_is_not_clean(odd):
    assert not log_is_clean(150, **odd)


def test_a_record_may_take_several_blocks_and_have_several_headers():
    assert log_is_clean(200, length=513)
    assert log_is_clean(200, length=40 << 10, headers=2)
    assert log_is_clean(2, length=513)


def test_a_record_is_looked_for_as_far_back_as_one_may_be_long():
    assert log_is_clean(900, 1000, length=200 << 10, unit=256 << 10)
    assert not log_is_clean(900, 1000, length=200 << 10)
    assert log_is_clean(20, 30, length=1024, unit=256 << 10)


def test_a_log_that_is_kept_elsewhere_is_not_clean():
    superblock = xfs.Superblock(512, 512, 64, 1, Extent(0, 0), 0, shares=False)
    assert not xfs.is_clean(lambda _offset, _length: b"", superblock)


def superblock_of(**changed: int) -> xfs.Superblock:
    fields = {
        "block": 4096, "start": (2 << 10) | 5, "blocks": 1000, "count": 4, "log": 30, "version": 5,
        "sector": 512, "bits": 10, "unit": 7, "features": 4,
    } | changed  # fmt: skip
    data = bytearray(264)
    data[0:4] = b"XFSB"
    struct.pack_into(">I", data, 4, fields["block"])
    struct.pack_into(">Q", data, 48, fields["start"])
    struct.pack_into(">IIII", data, 84, fields["blocks"], fields["count"], 9, fields["log"])
    struct.pack_into(">HH", data, 100, fields["version"], fields["sector"])
    data[124] = fields["bits"]
    struct.pack_into(">I", data, 196, fields["unit"])
    struct.pack_into(">I", data, 212, fields["features"])
    return xfs.read(lambda offset, length: bytes(data[offset : offset + length]))


def test_a_superblock_says_where_groups_and_log_lie():
    found = superblock_of()
    assert found == xfs.Superblock(
        4096, 512, 1000, 4, Extent((2 * 1000 + 5) * 4096, 30 * 4096), 7, shares=True
    )
    assert found.group_bytes == 4096000
    assert superblock_of(start=0).log == Extent(0, 0)


@pytest.mark.parametrize(
    ("changed", "shares"),
    [
        ({"version": 0xB4B5}, True),
        ({"version": 0xB4B4}, False),
        ({"features": 3}, False),
        ({"features": 0xFF}, True),
    ],
    ids=str,
)
def test_only_version_five_with_the_feature_shares_blocks(changed, shares):
    assert superblock_of(**changed).shares == shares


@pytest.mark.parametrize("field", ["block", "sector"])
def test_blocks_and_sectors_are_powers_of_two_in_bounds(field):
    for size in (512, 1024, 65536 if field == "block" else 32768):
        superblock_of(**{field: size})
    for size in (0, 256, 511, 768, 131072 if field == "block" else 65535):
        with pytest.raises(BakeryError, match="damaged"):
            superblock_of(**{field: size})


def test_groups_have_blocks():
    with pytest.raises(BakeryError, match="damaged"):
        superblock_of(blocks=0)


def test_a_superblock_cut_short_is_none():
    data = b"XFSB" + bytes(259)
    with pytest.raises(BakeryError, match="no XFS superblock"):
        xfs.read(lambda offset, length: data[offset : offset + length])
