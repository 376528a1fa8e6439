"""GUID partition tables of disks whose sectors have 4096 bytes, read from the bytes themselves.

sfdisk takes the sectors of a file for 512 bytes, and finds no table there. Source: UEFI 2.10, 5.3;
integers are little-endian, places count sectors.
"""

import struct
import uuid
import zlib

import msgspec

from bakery.disk.extents import ReadAt
from bakery.disk.volumes.volumes import Partition, PartitionTable
from bakery.host.errors import BakeryError

SIGNATURE = b"EFI PART"
USUAL_SECTOR_BYTES = 512
SECTOR_SIZES = (USUAL_SECTOR_BYTES, 4096)
HEADER_BYTES = 92
ENTRY_BYTES = 128
ENTRIES_LIMIT_BYTES = 1024 * ENTRY_BYTES

_HEADER = struct.Struct("<8sIIII QQQQ 16s QIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_CHECKSUM = slice(16, 20)
_UNUSED = bytes(16)


class _Copy(msgspec.Struct, frozen=True):
    """One copy of the table: the disk's identifier, the bytes of its entries, an entry's length."""

    id: str
    entries: bytes
    entry_bytes: int


def sector_bytes(read_at: ReadAt, disk_size_bytes: int) -> int:
    """The size of a disk's sectors, which its GPT tells by where it lies.

    512 where there is no GPT: an MBR says nothing of its sectors.
    """
    for size in SECTOR_SIZES:
        places = (size, (disk_size_bytes // size - 1) * size)
        if any(place > 0 and read_at(place, len(SIGNATURE)) == SIGNATURE for place in places):
            return size
    return USUAL_SECTOR_BYTES


def read(read_at: ReadAt, disk_size_bytes: int, sector: int) -> PartitionTable:
    """The table of a disk of such sectors: its first copy that can be believed.

    BakeryError where neither can.
    """
    last = disk_size_bytes // sector - 1
    reasons = []
    for place in (1, last):
        try:
            return _table(_copy(read_at, place, sector), sector)
        except BakeryError as error:
            reasons.append(f"the copy in sector {place}: {error.message}")
    raise BakeryError(
        f"the GPT is damaged ({'; '.join(reasons)})",
        "the image may be cut short or damaged; see: bakery check IMAGE",
    )


def _copy(read_at: ReadAt, place: int, sector: int) -> _Copy:
    """The copy whose header lies in that sector; BakeryError says what is wrong with it."""
    header = read_at(place * sector, HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(SIGNATURE):
        raise BakeryError("there is no header")
    (_, _, length, checksum, _, own, _, _, _, guid, first, count, entry, entries_checksum) = (
        _HEADER.unpack_from(header)
    )
    if not HEADER_BYTES <= length <= sector:
        raise BakeryError(f"its header declares {length} bytes")
    header = read_at(place * sector, length)
    blank = header[: _CHECKSUM.start] + bytes(4) + header[_CHECKSUM.stop :]
    if zlib.crc32(blank) != checksum or own != place:
        raise BakeryError("the checksum of its header is wrong")
    if entry < ENTRY_BYTES or entry % 8 or count * entry > ENTRIES_LIMIT_BYTES:
        raise BakeryError(f"it has {count} entries of {entry} bytes")
    entries = read_at(first * sector, count * entry)
    if len(entries) < count * entry or zlib.crc32(entries) != entries_checksum:
        raise BakeryError("the checksum of its entries is wrong")
    return _Copy(_guid(guid), entries, entry)


def _table(copy: _Copy, sector: int) -> PartitionTable:
    found = []
    for at in range(0, len(copy.entries), copy.entry_bytes):
        kind, own, first, last, _, name = _ENTRY.unpack_from(copy.entries, at)
        if kind == _UNUSED:
            continue
        found.append(
            Partition(
                number=at // copy.entry_bytes + 1,
                start_bytes=first * sector,
                size_bytes=(last - first + 1) * sector,
                type=_guid(kind),
                name=name.decode("utf-16-le", "replace").partition("\0")[0],
                uuid=_guid(own),
            )
        )
    return PartitionTable("gpt", copy.id, tuple(found), sector)


def _guid(data: bytes) -> str:
    return str(uuid.UUID(bytes_le=data)).upper()
