"""The trees of a btrfs, read where they lie: superblock, chunks, and the search for an item.

All numbers are little-endian; a tree's bytes are at a *logical* address, which the chunks map to
the device. Sources: Linux, include/uapi/linux/btrfs_tree.h, fs/btrfs/{disk-io,volumes,ctree}.c;
btrfs.readthedocs.io, "On-disk Format". Checksums are not computed: a block is taken for what it is
by its own address and level. The log of an unclean filesystem is left alone, as GRUB leaves it.
"""

import bisect
import itertools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError

TYPE = "btrfs"
SUPERBLOCK_OFFSET = 0x10000
SUPERBLOCK_BYTES = 4096
MAGIC = b"_BHRfS_M"
NODE_BYTES = (4096, 65536)
HEADER_BYTES = 101
ITEM_BYTES = 25
POINTER_BYTES = 33
LEVEL_LIMIT = 8
CHUNK_LIMIT = 100_000
"""A chunk maps 256 MiB or more of a filesystem that is not small."""
ITEM_LIMIT = 1_000_000
CACHED_NODES = 512

CHUNK_TREE = 256
CHUNK_ITEM = 228
ROOT_ITEM = 132
# RAID0, RAID10, RAID5, RAID6: a block lies on several devices.
STRIPED = 1 << 3 | 1 << 6 | 1 << 7 | 1 << 8
LAST = (1 << 64) - 1

_KEY = struct.Struct("<QBQ")
_ITEM = struct.Struct("<QBQII")
_POINTER = struct.Struct("<QBQQQ")


class Key(NamedTuple):
    """What an item is found by; keys are sorted as tuples."""

    object: int
    type: int
    offset: int


class Chunk(NamedTuple):
    """`length` bytes of the logical addresses from `logical` on, at `physical` of the device."""

    logical: int
    length: int
    physical: int


class Root(NamedTuple):
    """Where a tree begins, and how many levels lie below that."""

    logical: int
    level: int


class _Node(NamedTuple):
    """A block of a tree: its keys, and what each leads to: a block below, or bytes of `data`."""

    level: int
    keys: list[Key]
    places: list[tuple[int, int]]
    data: bytes


class Trees:
    """The trees of the btrfs that `read_at` reads; BakeryError where it cannot be believed.

    One range of keys may hold `item_limit` items: more asks for the machine. `cached_nodes` blocks
    are kept.
    """

    def __init__(
        self, read_at: ReadAt, item_limit: int = ITEM_LIMIT, cached_nodes: int = CACHED_NODES
    ) -> None:
        self._read_at = read_at
        self._item_limit = item_limit
        self._cached_nodes = cached_nodes
        self._nodes: dict[Root, _Node] = {}
        block = read_at(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES)
        if len(block) < SUPERBLOCK_BYTES or block[0x40:0x48] != MAGIC:
            raise BakeryError("there is no btrfs superblock")
        (devices,) = struct.unpack_from("<Q", block, 0x88)
        if devices != 1:
            raise BakeryError(f"the btrfs lies on {devices} devices, of which this is one")
        (self._node_bytes,) = struct.unpack_from("<I", block, 0x94)
        (self._device,) = struct.unpack_from("<Q", block, 0xC9)
        low, high = NODE_BYTES
        if not low <= self._node_bytes <= high or self._node_bytes & (self._node_bytes - 1):
            raise _damaged("its blocks have no possible size")
        (self.root_directory,) = struct.unpack_from("<Q", block, 0x80)
        """The object of the tree of trees that names the default subvolume."""
        self.root, chunks = (
            Root(struct.unpack_from("<Q", block, at)[0], block[level])
            for at, level in ((0x50, 0xC6), (0x58, 0xC7))
        )
        (length,) = struct.unpack_from("<I", block, 0xA0)
        self._chunks = sorted(self._first_chunks(block[0x32B : 0x32B + min(length, 2048)]))
        self._chunks = sorted(self._all_chunks(chunks))

    def items(self, root: Root, first: Key, last: Key) -> Iterator[tuple[Key, bytes]]:
        """The items of a tree whose keys lie from `first` to `last`, both included, in order."""
        for count, found in enumerate(self._below(self._node(root), first, last)):
            if count == self._item_limit:
                raise BakeryError(f"a part of the btrfs holds more than {self._item_limit} items")
            yield found

    def item(self, root: Root, key: Key) -> bytes | None:
        """One item, or None."""
        return next((data for _, data in self.items(root, key, key)), None)

    def tree(self, number: int) -> Root | None:
        """The tree of that number, or None."""
        first, last = Key(number, ROOT_ITEM, 0), Key(number, ROOT_ITEM, LAST)
        # Of several the last is in use: a snapshot is kept by when it was made.
        item = b"".join(data for _, data in list(self.items(self.root, first, last))[-1:])
        if len(item) < 239:
            return None
        logical, references = struct.unpack_from("<Q32xI", item, 176)
        return Root(logical, item[238]) if references else None

    def _first_chunks(self, array: bytes) -> Iterator[Chunk]:
        """The chunks that the superblock tells of: those of the chunk tree."""
        while array:
            if len(array) < _KEY.size + 0x30:
                raise _damaged("its first chunks are torn")
            key = Key(*_KEY.unpack_from(array))
            (stripes,) = struct.unpack_from("<H", array, _KEY.size + 0x2C)
            end = _KEY.size + 0x30 + 32 * stripes
            yield self._chunk(key, array[_KEY.size : end])
            array = array[end:]

    def _all_chunks(self, root: Root) -> Iterator[Chunk]:
        first, last = Key(CHUNK_TREE, CHUNK_ITEM, 0), Key(CHUNK_TREE, CHUNK_ITEM, LAST)
        for count, (key, item) in enumerate(self.items(root, first, last)):
            if count == CHUNK_LIMIT:
                raise BakeryError(f"the btrfs has more than {CHUNK_LIMIT} chunks")
            yield self._chunk(key, item)

    def _chunk(self, key: Key, item: bytes) -> Chunk:
        if len(item) < 0x50:
            raise _damaged("a chunk is torn")
        length, kind, stripes = struct.unpack_from("<Q16xQ12xH", item)
        if kind & STRIPED:
            raise BakeryError("the btrfs is striped over several devices")
        for number in range(min(stripes, (len(item) - 0x30) // 32)):
            device, physical = struct.unpack_from("<QQ", item, 0x30 + 32 * number)
            if device == self._device:
                return Chunk(key.offset, length, physical)
        raise BakeryError("a part of the btrfs lies on another device")

    def _below(self, node: _Node, first: Key, last: Key) -> Iterator[tuple[Key, bytes]]:
        start = bisect.bisect_left(node.keys, first)
        if node.level and (start == len(node.keys) or node.keys[start] > first):
            start = max(0, start - 1)
        for number in range(start, len(node.keys)):
            if node.keys[number] > last:
                return
            if node.level:
                yield from self._below(self._child(node, number), first, last)
                continue
            offset, size = node.places[number]
            if offset + size > len(node.data):
                raise _damaged("an item lies outside its block")
            yield node.keys[number], node.data[offset : offset + size]

    def _child(self, node: _Node, number: int) -> _Node:
        """The block that a pointer leads to; one whose keys are not its own ends the search.

        So the whole tree is in order, and no range of keys leads through a block twice.
        """
        child = self._node(Root(node.places[number][0], node.level - 1))
        bound = node.keys[number + 1] if number + 1 < len(node.keys) else None
        if child.keys[:1] != [node.keys[number]] or (bound and child.keys[-1] >= bound):
            raise _damaged("a block holds other keys than those it is to hold")
        return child

    def _node(self, root: Root) -> _Node:
        node = self._nodes.pop(root, None) or self._read(root)
        self._nodes[root] = node  # the last one used comes last
        if len(self._nodes) > self._cached_nodes:
            del self._nodes[next(iter(self._nodes))]
        return node

    def _read(self, root: Root) -> _Node:
        data = self._read_at(self._physical(root.logical), self._node_bytes)
        if len(data) < self._node_bytes:
            raise _damaged(f"the block at {root.logical} lies beyond the device")
        (logical,) = struct.unpack_from("<Q", data, 0x30)
        (count,) = struct.unpack_from("<I", data, 0x60)
        level = data[0x64]
        size = POINTER_BYTES if level else ITEM_BYTES
        room = (self._node_bytes - HEADER_BYTES) // size
        if logical != root.logical or level != root.level or level >= LEVEL_LIMIT or count > room:
            raise _damaged(f"what lies at {root.logical} is not the block of a tree")
        table = memoryview(data)[HEADER_BYTES : HEADER_BYTES + count * size]
        if level:
            rows = [(Key(*row[:3]), (row[3], 0)) for row in _POINTER.iter_unpack(table)]
        else:
            rows = [
                (Key(*row[:3]), (row[3] + HEADER_BYTES, row[4])) for row in _ITEM.iter_unpack(table)
            ]
        keys = [key for key, _ in rows]
        if any(one >= other for one, other in itertools.pairwise(keys)):
            raise _damaged(f"the keys of the block at {root.logical} are not in order")
        return _Node(level, keys, [place for _, place in rows], data)

    def _physical(self, logical: int) -> int:
        number = bisect.bisect_right(self._chunks, (logical, LAST, LAST)) - 1
        chunk = self._chunks[number] if number >= 0 else Chunk(0, 0, 0)
        if not chunk.logical <= logical <= chunk.logical + chunk.length - self._node_bytes:
            raise _damaged(f"no chunk maps the block at {logical}")
        return chunk.physical + logical - chunk.logical


def _damaged(what: str) -> BakeryError:
    return BakeryError(f"the btrfs is damaged: {what}")
