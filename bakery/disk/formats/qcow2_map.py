"""Which parts of a disk a qcow2 file holds itself, and whether they are all in the file.

The two-level table: an L1 entry places an L2 table (one cluster), an L2 entry places one
cluster of the disk. Source: QEMU, docs/interop/qcow2.txt, "Cluster mapping". The walk reads
each table once and refuses tables that are used twice, so its work is bounded by the file.
"""

import sys
from array import array
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from bakery.disk.extents import Extent, merged
from bakery.disk.formats.qcow2 import EXTENDED_L2, HEAD_BYTES, TABLE_ENTRY_BYTES, Header, parse
from bakery.host.errors import BakeryError

SECTOR_BYTES = 512
TABLES_LIMIT_BYTES = 256 << 20
"""L2 tables read at most: they map 2 TiB of data at the usual 64 KiB a cluster."""

_COPIED = 1 << 63
_COMPRESSED = 1 << 62
_ZERO = 1
_PLACE = (1 << 56) - 512
_PLAIN_TOPS = frozenset((0x00, 0x80))


class Truncated(BakeryError):
    """The tables point at clusters the file does not reach."""


class BadMap(BakeryError):
    """The tables make no sense, or are too large to be walked."""


class Cluster(NamedTuple):
    """A cluster the file holds: byte `at` of the disk, and where in the file its bytes are.

    Compressed ones have `length` bytes there, padded; the others a whole cluster, or what of it
    lies on the disk.
    """

    at: int
    place: int
    length: int
    compressed: bool


def allocated(file: BinaryIO) -> tuple[Extent, ...]:
    """The parts of the disk that this file itself holds, be it data, compressed or zeros.

    What it leaves to a backing file is not listed. Raises Truncated, BadMap, BadHeader.
    """
    size = file.seek(0, 2)
    file.seek(0)
    header = parse(file.read(HEAD_BYTES))
    found: list[Extent] = []
    for start, table in _tables(file, header, size):
        for index, entry in enumerate(table):
            if entry & ~_COPIED:
                offset = start + index * header.cluster_bytes
                length = min(header.cluster_bytes, header.virtual_size_bytes - offset)
                found.append(Extent(offset, length))
    return merged(found)


def clusters(file: BinaryIO, header: Header, window: Extent) -> Iterator[Cluster]:
    """The clusters with data that touch `window` of the disk, in their order there.

    Neither those that read as zeros nor those left to a backing file. Raises Truncated, BadMap.
    """
    size = file.seek(0, 2)
    for start, table in _tables(file, header, size, window):
        first = max(0, (window.offset - start) // header.cluster_bytes)
        last = min(len(table), -(-(window.end - start) // header.cluster_bytes))
        for index in range(first, last):
            entry = table[index]
            if entry & _COMPRESSED or (entry & _PLACE and not entry & _ZERO):
                yield _cluster(entry, header, start + index * header.cluster_bytes)


def stored_bytes(file: BinaryIO, header: Header) -> int:
    """How much of the disk the file stores; the rest reads as zero. Raises Truncated or BadMap."""
    size = file.seek(0, 2)
    clusters = 0
    for start, table in _tables(file, header, size):
        stored, end = _stored(table, header, start)
        if end > size:
            raise Truncated(f"the file is cut short: its tables reach to byte {end}, it has {size}")
        clusters += stored
    return clusters * header.cluster_bytes


def _tables(
    file: BinaryIO, header: Header, size: int, window: Extent | None = None
) -> Iterator[tuple[int, "array[int]"]]:
    """(first byte of the disk it maps, L2 entries) for each L2 table, unused ones left out.

    With `window` only tables that map some of it, besides at most two others.
    """
    if header.incompatible & EXTENDED_L2:
        raise BadMap("extended L2 entries are not supported")
    l1 = _entries(file, header.l1_offset, header.l1_entries, size)
    used = header.virtual_size_bytes // header.l2_span_bytes + 1
    seen: set[int] = set()
    first = window.offset // header.l2_span_bytes if window else 0
    last = window.end // header.l2_span_bytes + 1 if window else used
    for index in range(first, min(last, used, len(l1))):
        place = l1[index] & _PLACE
        if not place:
            continue
        if place in seen or place % header.cluster_bytes:
            raise BadMap("its L1 table is broken: an L2 table is used twice or starts nowhere")
        seen.add(place)
        if len(seen) * header.cluster_bytes > TABLES_LIMIT_BYTES:
            raise BadMap(f"its tables are larger than {TABLES_LIMIT_BYTES} bytes")
        start = index * header.l2_span_bytes
        entries = header.cluster_bytes // TABLE_ENTRY_BYTES
        table = _entries(file, place, entries, size)
        left = -(-(header.virtual_size_bytes - start) // header.cluster_bytes)
        yield start, table[:left]


def _entries(file: BinaryIO, offset: int, count: int, size: int) -> "array[int]":
    length = count * TABLE_ENTRY_BYTES
    if offset + length > size:
        raise Truncated(
            f"the file is cut short: a table ends at byte {offset + length}, it has {size}"
        )
    file.seek(offset)
    table = array("Q")
    table.frombytes(file.read(length))
    if sys.byteorder == "little":
        table.byteswap()
    return table


def _stored(table: "array[int]", header: Header, start: int) -> tuple[int, int]:
    """How many clusters a table places in the file, and the byte behind the last of them."""
    if not any(table):
        return 0, 0
    if start + len(table) * header.cluster_bytes <= header.virtual_size_bytes:
        plain = _plain(table, header)
        if plain:
            return plain
    ends = [
        _end(entry, header, start + index * header.cluster_bytes)
        for index, entry in enumerate(table)
        if entry & ~_COPIED
    ]
    return sum(end > 0 for end in ends), max(ends, default=0)


def _plain(table: "array[int]", header: Header) -> tuple[int, int] | None:
    """As `_stored` without a look at each entry, where all are ordinary or unused; else None.

    An ordinary entry has its top bit set, so the largest is the one placed last.
    """
    tops = table.tobytes()[7 if sys.byteorder == "little" else 0 :: TABLE_ENTRY_BYTES]
    unused = table.count(0)
    if not _PLAIN_TOPS.issuperset(tops) or tops.count(0) != unused:
        return None
    return len(table) - unused, (max(table) & _PLACE) + header.cluster_bytes


def _end(entry: int, header: Header, at: int) -> int:
    """The byte of the file behind the cluster that an L2 entry places; 0 where it places none."""
    found = _cluster(entry, header, at)
    if found.compressed:
        # Where in its last sector the data ends is not told; one byte of it there must be.
        return found.place + found.length - SECTOR_BYTES + 1
    return found.place + found.length if found.place else 0


def _cluster(entry: int, header: Header, at: int) -> Cluster:
    """What an L2 entry that is not empty places at byte `at` of the disk."""
    if entry & _COMPRESSED:
        shift = 62 - (header.cluster_bits - 8)
        place = entry & ((1 << shift) - 1)
        sectors = (entry & (_COMPRESSED - 1)) >> shift
        end = (place // SECTOR_BYTES + sectors + 1) * SECTOR_BYTES
        return Cluster(at, place, end - place, compressed=True)
    # The last cluster of a disk of odd size need not be whole in the file.
    needed = min(header.cluster_bytes, header.virtual_size_bytes - at)
    return Cluster(at, entry & _PLACE, needed, compressed=False)
