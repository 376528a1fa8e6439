"""What of an XFS matters to an edit in place: whether its log is clean, and which bytes it shares.

All numbers are big-endian. Sources: "XFS Algorithms & Data Structures" (Superblocks, AG Free
Space Management, Reference Count B+tree, Journaling Log) and Linux, fs/xfs/libxfs/xfs_format.h,
xfs_log_format.h.
"""

import struct

import msgspec

from bakery.disk.extents import Extent, ReadAt
from bakery.host.errors import BakeryError

SUPERBLOCK_BYTES = 264
SUPERBLOCK_MAGIC = b"XFSB"
VERSION_5 = 5
REFLINK = 1 << 2

AGF_MAGIC, AGF_BYTES = b"XAGF", 96
REFCOUNT_MAGIC = b"R3FC"
BTREE_HEADER_BYTES = 56
RECORD_BYTES = 12
KEY_AND_POINTER_BYTES = 8
DEPTH_LIMIT = 8
# Records from here up are blocks set aside for a copy in progress, not shared ones.
STAGING = 1 << 31

LOG_BLOCK_BYTES = 512
RECORD_MAGIC = 0xFEEDBABE
HEADER_CYCLES_BYTES = 32 << 10
"""What one header block can keep the cycle words of; larger records have more header blocks."""
UNMOUNT = 0x20
TAIL_BYTES = 64 << 10
TAIL_LIMIT_BYTES = 1 << 20


class Superblock(msgspec.Struct, frozen=True):
    """The geometry an edit has to know; offsets and sizes in bytes."""

    block_bytes: int
    sector_bytes: int
    group_blocks: int
    group_count: int
    log: Extent
    log_unit_bytes: int
    shares: bool

    @property
    def group_bytes(self) -> int:
        """The size of an allocation group."""
        return self.group_blocks * self.block_bytes


class _Record(msgspec.Struct, frozen=True):
    """The header of a log record, at block `block` of what was read."""

    block: int
    length: int
    operations: int
    header_blocks: int


def read(read_at: ReadAt) -> Superblock:
    """The superblock of a volume; BakeryError where there is none, or one that cannot be."""
    data = read_at(0, SUPERBLOCK_BYTES)
    if len(data) < SUPERBLOCK_BYTES or data[:4] != SUPERBLOCK_MAGIC:
        raise BakeryError("there is no XFS superblock")
    (block_bytes,) = struct.unpack_from(">I", data, 4)
    (log_start,) = struct.unpack_from(">Q", data, 48)
    group_blocks, group_count, _, log_blocks = struct.unpack_from(">IIII", data, 84)
    version, sector_bytes = struct.unpack_from(">HH", data, 100)
    group_bits = data[124]
    (log_unit,) = struct.unpack_from(">I", data, 196)
    (read_only_features,) = struct.unpack_from(">I", data, 212)
    powers = (block_bytes, sector_bytes)
    if any(not 512 <= n <= 65536 or n & (n - 1) for n in powers) or not group_blocks:
        raise BakeryError("the XFS superblock is damaged")
    group, inside = log_start >> group_bits, log_start & ((1 << group_bits) - 1)
    return Superblock(
        block_bytes=block_bytes,
        sector_bytes=sector_bytes,
        group_blocks=group_blocks,
        group_count=group_count,
        log=Extent((group * group_blocks + inside) * block_bytes, log_blocks * block_bytes)
        if log_start
        else Extent(0, 0),
        log_unit_bytes=log_unit,
        shares=version & 0xF == VERSION_5 and bool(read_only_features & REFLINK),
    )


def is_clean(read_at: ReadAt, superblock: Superblock) -> bool:
    """Whether the log ends in the record that an orderly unmount leaves.

    False where that cannot be told: the log is kept outside, or is damaged.
    """
    blocks = superblock.log.length // LOG_BLOCK_BYTES
    if not blocks:
        return False
    head = _head(read_at, superblock.log, blocks)
    wanted = TAIL_BYTES + 2 * min(superblock.log_unit_bytes, TAIL_LIMIT_BYTES)
    count = min(wanted // LOG_BLOCK_BYTES, blocks)
    tail = _log_read(read_at, superblock.log, head - count, count)
    record = _last_record(tail)
    if record is None:
        return False
    data = record.block + record.header_blocks
    ends = data + -(-record.length // LOG_BLOCK_BYTES) == count
    flags = tail[data * LOG_BLOCK_BYTES + 9 : data * LOG_BLOCK_BYTES + 10]
    return ends and record.operations == 1 and bool(flags and flags[0] & UNMOUNT)


def shared(read_at: ReadAt, superblock: Superblock, piece: Extent) -> bool:
    """Whether any block of `piece`, a range of the volume, belongs to more than one file.

    Raises BakeryError where the reference counts are damaged.
    """
    if not superblock.shares:
        return False
    first = piece.offset // superblock.block_bytes
    last = (piece.end - 1) // superblock.block_bytes
    return any(_is_shared(read_at, superblock, block) for block in range(first, last + 1))


def _head(read_at: ReadAt, log: Extent, blocks: int) -> int:
    """The block the next record goes to: the first of another cycle than block 0's.

    Each block starts with the cycle it was last written in; the log is written round and
    round, so one search by halves finds the place.
    """
    cycle = _cycle(read_at, log, 0)
    low, high = 0, blocks
    while high - low > 1:
        middle = (low + high) // 2
        if _cycle(read_at, log, middle) == cycle:
            low = middle
        else:
            high = middle
    return high


def _cycle(read_at: ReadAt, log: Extent, block: int) -> int:
    place = log.offset + block * LOG_BLOCK_BYTES
    first, second = struct.unpack(">II", _exactly(read_at, place, 8))
    return int(second if first == RECORD_MAGIC else first)


def _log_read(read_at: ReadAt, log: Extent, start: int, count: int) -> bytes:
    """`count` blocks of the log from `start` on, which may lie before its beginning."""
    wrapped = min(count, max(0, -start))
    end = log.offset + log.length
    before = _exactly(read_at, end + start * LOG_BLOCK_BYTES, wrapped * LOG_BLOCK_BYTES)
    offset = log.offset + max(0, start) * LOG_BLOCK_BYTES
    return before + _exactly(read_at, offset, (count - wrapped) * LOG_BLOCK_BYTES)


def _exactly(read_at: ReadAt, offset: int, length: int) -> bytes:
    """So many bytes; BakeryError where the volume ends before."""
    data = read_at(offset, length) if length else b""
    if len(data) != length:
        raise BakeryError("the XFS is damaged: it names bytes beyond its end")
    return data


def _last_record(tail: bytes) -> _Record | None:
    for offset in range(len(tail) - LOG_BLOCK_BYTES, -1, -LOG_BLOCK_BYTES):
        magic, _, version, length = struct.unpack_from(">IIII", tail, offset)
        if magic == RECORD_MAGIC:
            (operations,) = struct.unpack_from(">I", tail, offset + 40)
            (size,) = struct.unpack_from(">I", tail, offset + 320)
            more = -(-size // HEADER_CYCLES_BYTES) if version & 2 else 1
            return _Record(offset // LOG_BLOCK_BYTES, length, operations, max(1, more))
    return None


def _is_shared(read_at: ReadAt, superblock: Superblock, block: int) -> bool:
    group, wanted = divmod(block, superblock.group_blocks)
    start = group * superblock.group_bytes
    agf = read_at(start + superblock.sector_bytes, AGF_BYTES)
    if group >= superblock.group_count or len(agf) < AGF_BYTES or agf[:4] != AGF_MAGIC:
        raise BakeryError(f"allocation group {group} of the XFS is damaged")
    root, levels = struct.unpack_from(">II", agf, 88)
    for level in range(min(levels, DEPTH_LIMIT) - 1, -1, -1):
        node = read_at(start + root * superblock.block_bytes, superblock.block_bytes)
        if len(node) < superblock.block_bytes:
            break
        told_level, count = struct.unpack_from(">HH", node, 4)
        room = (superblock.block_bytes - BTREE_HEADER_BYTES) // (
            RECORD_BYTES if level == 0 else KEY_AND_POINTER_BYTES
        )
        if node[:4] != REFCOUNT_MAGIC or told_level != level or count > room:
            break
        if level == 0:
            return _leaf_holds(node, count, wanted)
        child = _child(node, count, room, wanted)
        if child is None:
            return False
        root = child
    raise BakeryError(f"the reference counts of allocation group {group} are damaged")


def _leaf_holds(node: bytes, count: int, wanted: int) -> bool:
    for number in range(count):
        at = BTREE_HEADER_BYTES + number * RECORD_BYTES
        start, length, owners = struct.unpack_from(">III", node, at)
        if start < STAGING and start <= wanted < start + length and owners > 1:
            return True
    return False


def _child(node: bytes, count: int, room: int, wanted: int) -> int | None:
    """The block below that the record covering `wanted` would be in: the last key not above it."""
    keys = struct.unpack_from(f">{count}I", node, BTREE_HEADER_BYTES)
    pointers = struct.unpack_from(f">{count}I", node, BTREE_HEADER_BYTES + room * 4)
    below = [pointer for key, pointer in zip(keys, pointers, strict=True) if key <= wanted]
    return int(below[-1]) if below else None
