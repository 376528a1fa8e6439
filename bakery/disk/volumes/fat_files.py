"""Files of a FAT, read from the bytes themselves: GRUB's memory disk in an EFI program is one.

Source: Microsoft, "FAT: General Overview of On-Disk Format", 1.03; integers are little-endian.
Names compare without case, as FAT has them. The time and the memory are bounded by what is read.
"""

import struct
from collections.abc import Iterator

import msgspec

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError
from bakery.host.printable import shown

HEAD_BYTES = 64
CLUSTER_LIMIT_BYTES = 1 << 20
ENTRY_LIMIT = 20_000
FAT12_CLUSTERS, FAT16_CLUSTERS = 4085, 65525
"""With fewer clusters than these a filesystem is FAT12, with fewer than those FAT16."""

_BPB = struct.Struct("<11xHBHBHHxH8xII4xI")
_ENTRY_BYTES = 32
_ENTRY = struct.Struct("<11sBB7xH4xHI")
_FREE, _END = 0xE5, 0
_READ_ONLY_TO_LABEL, _LABEL, _DIRECTORY = 0x0F, 0x08, 0x10
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
_NAME_PARTS = ((1, 11), (14, 26), (28, 32))
_LAST_PART, _PART_MASK, _PART_LIMIT = 0x40, 0x1F, 20


class Entry(msgspec.Struct, frozen=True):
    """A name in a directory: its first cluster, its length, and whether it is a directory."""

    name: str
    cluster: int
    size_bytes: int
    is_directory: bool


class _Shape(msgspec.Struct, frozen=True):
    """Where what lies, in bytes; `bits` of an entry in the table."""

    cluster_bytes: int
    table_at: int
    root_at: int
    root_bytes: int
    data_at: int
    clusters: int
    bits: int
    root_cluster: int


class Files:
    """The files of one FAT; BakeryError where what it holds cannot be believed."""

    def __init__(self, read_at: ReadAt) -> None:
        """`read_at` reads the filesystem from its first byte on."""
        self._read_at = read_at
        self._shape = _shape(read_at(0, HEAD_BYTES))

    def find(self, path: str) -> Entry | None:
        """What a path from the root leads to; None where there is nothing."""
        shape = self._shape
        found = Entry("", shape.root_cluster, 0, is_directory=True)
        for name in filter(None, path.split("/")):
            if not found.is_directory:
                return None
            here = (one for one in self.entries(found) if one.name.lower() == name.lower())
            entry = next(here, None)
            if entry is None:
                return None
            found = entry
        return found

    def entries(self, directory: Entry) -> Iterator[Entry]:
        """What a directory holds, but for `.` and `..`."""
        parts: list[bytes] = []
        for count, raw in enumerate(self._raw_entries(directory.cluster)):
            if count >= ENTRY_LIMIT:
                raise BakeryError(f"a directory of the FAT holds over {ENTRY_LIMIT} entries")
            attributes = raw[11]
            if raw[0] == _FREE:
                parts = []
            elif attributes & 0x3F == _READ_ONLY_TO_LABEL:
                parts = [raw] if raw[0] & _LAST_PART else [*parts, raw]
            else:
                entry = _entry(raw, parts)
                parts = []
                if not attributes & _LABEL and entry.name not in (".", ".."):
                    yield entry

    def read(self, entry: Entry, limit_bytes: int) -> bytes:
        """The bytes of a file; BakeryError where they are more than that, or cut short."""
        if entry.size_bytes > limit_bytes:
            raise BakeryError(
                f"the file {shown(entry.name)} of the FAT holds {entry.size_bytes} bytes, "
                f"more than {limit_bytes}"
            )
        pieces: list[bytes] = []
        left = entry.size_bytes
        for cluster in self._chain(entry.cluster) if left else ():
            pieces.append(self._cluster(cluster)[:left])
            left -= len(pieces[-1])
            if not left:
                break
        if left:
            raise BakeryError(f"the file {shown(entry.name)} of the FAT is cut short")
        return b"".join(pieces)

    def _raw_entries(self, cluster: int) -> Iterator[bytes]:
        for block in self._blocks(cluster):
            for at in range(0, len(block) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
                if block[at] == _END:
                    return
                yield block[at : at + _ENTRY_BYTES]

    def _blocks(self, cluster: int) -> Iterator[bytes]:
        """A directory piece by piece: the root of FAT12 and FAT16 has a place of its own."""
        if cluster == 0:
            yield self._whole(self._shape.root_at, self._shape.root_bytes)
            return
        for one in self._chain(cluster):
            yield self._cluster(one)

    def _chain(self, cluster: int) -> Iterator[int]:
        """The clusters of a file in their order; BakeryError where they go round or outside."""
        shape = self._shape
        for _ in range(shape.clusters):
            if not 2 <= cluster < shape.clusters + 2:
                raise BakeryError(f"the table of the FAT leads to cluster {cluster}")
            yield cluster
            cluster = self._next(cluster)
            if cluster >= (1 << min(shape.bits, 28)) - 8:
                return
        raise BakeryError("the table of the FAT leads round in a circle")

    def _next(self, cluster: int) -> int:
        bits = self._shape.bits
        place, length = cluster * bits // 8, 4 if bits == 32 else 2
        value = int.from_bytes(self._whole(self._shape.table_at + place, length), "little")
        if bits == 12 and cluster % 2:
            value >>= 4
        return value & ((1 << min(bits, 28)) - 1)

    def _cluster(self, cluster: int) -> bytes:
        shape = self._shape
        return self._whole(shape.data_at + (cluster - 2) * shape.cluster_bytes, shape.cluster_bytes)

    def _whole(self, offset: int, length: int) -> bytes:
        data = self._read_at(offset, length)
        if len(data) < length:
            raise BakeryError(f"the FAT is cut short: it ends before byte {offset + length}")
        return data


def _shape(head: bytes) -> _Shape:
    if len(head) < HEAD_BYTES or head[0] not in (0xEB, 0xE9):
        raise BakeryError("there is no FAT: it does not begin as one")
    (sector, per_cluster, reserved, tables, roots, small, table, large, table32, root) = (
        _BPB.unpack_from(head)
    )
    cluster_bytes, sectors, table = sector * per_cluster, small or large, table or table32
    if sector not in (512, 1024, 2048, 4096) or per_cluster.bit_count() != 1:
        raise BakeryError(f"the FAT has clusters of {per_cluster} sectors of {sector} bytes")
    if cluster_bytes > CLUSTER_LIMIT_BYTES or not (reserved and tables and table and sectors):
        raise BakeryError("the head of the FAT does not add up")
    root_sectors = (roots * _ENTRY_BYTES + sector - 1) // sector
    data = reserved + tables * table + root_sectors
    clusters = (sectors - data) // per_cluster
    bits = 12 if clusters < FAT12_CLUSTERS else 16 if clusters < FAT16_CLUSTERS else 32
    if clusters < 1 or (clusters + 2) * bits > table * sector * 8 or (bits == 32) != (not roots):
        raise BakeryError("the head of the FAT does not add up")
    return _Shape(
        cluster_bytes=cluster_bytes,
        table_at=reserved * sector,
        root_at=(reserved + tables * table) * sector,
        root_bytes=roots * _ENTRY_BYTES,
        data_at=data * sector,
        clusters=clusters,
        bits=bits,
        root_cluster=root if bits == 32 else 0,
    )


def _entry(raw: bytes, parts: list[bytes]) -> Entry:
    short, attributes, case, high, low, size = _ENTRY.unpack(raw)
    return Entry(
        name=_long(parts, short) or _short(short, case),
        cluster=high << 16 | low,
        size_bytes=size,
        is_directory=bool(attributes & _DIRECTORY),
    )


def _long(parts: list[bytes], short: bytes) -> str:
    """The long name in front of a short one; empty where it is not whole or of another file."""
    numbers = [part[0] & _PART_MASK for part in parts]
    if not parts or len(parts) > _PART_LIMIT or numbers != [*range(len(parts), 0, -1)]:
        return ""
    if any(part[13] != _checksum(short) for part in parts):
        return ""
    raw = b"".join(part[a:b] for part in reversed(parts) for a, b in _NAME_PARTS)
    return raw.decode("utf-16-le", "replace").split("\0")[0]


def _short(short: bytes, case: int) -> str:
    if short[0] == 0x05:  # stands for a letter that would mean: free
        short = b"\xe5" + short[1:]
    text = short.decode("latin-1")
    base, extension = text[:8].rstrip(" "), text[8:].rstrip(" ")
    base = base.lower() if case & _LOWER_BASE else base
    extension = extension.lower() if case & _LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def _checksum(short: bytes) -> int:
    value = 0
    for byte in short:
        value = ((value >> 1 | value << 7) + byte) & 0xFF
    return value
