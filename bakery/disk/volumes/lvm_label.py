"""How LVM2 marks a physical volume and where it keeps its metadata: the binary part.

Source: lvm2, lib/label/label.h and lib/format_text/layout.h; the bytes are drawn in
docs/lvm.md. Integers are little-endian. Offsets on disk are bytes from the start of the
physical volume.
"""

import struct
import zlib

import msgspec

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError

SECTOR_BYTES = 512
LABEL_SECTORS = 4
LABEL_MAGIC = b"LABELONE"
LABEL_TYPE = b"LVM2 001"
AREA_MAGIC = b" LVM2 x[5A%r0N*>"
AREA_VERSION = 1
AREA_HEADER_BYTES = 512
AREA_LIMIT = 16
TEXT_LIMIT_BYTES = 4 << 20
IGNORED = 1
_CRC_START = 0xF597A6CF

_LABEL = struct.Struct("<8sQII8s")
_LOCATION = struct.Struct("<QQ")
_AREA = struct.Struct("<I16sIQQ")
_TEXT = struct.Struct("<QQII")


class Area(msgspec.Struct, frozen=True):
    """A metadata area: `size` bytes from `offset` on."""

    offset: int
    size: int


class Label(msgspec.Struct, frozen=True):
    """What the label of a physical volume says. `uuid` has no hyphens; `areas` hold metadata."""

    uuid: str
    areas: tuple[Area, ...]


class Damaged(BakeryError):
    """One copy of something is not to be believed; the message says why."""


def checksum(data: bytes) -> int:
    """LVM's CRC-32: the usual polynomial, started at 0xf597a6cf, with no inversion at the end."""
    return zlib.crc32(data, _CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def read_label(read_at: ReadAt) -> Label | None:
    """The label in the first four sectors; None where there is none, Damaged where it is broken.

    `read_at` counts from the start of the physical volume, here and below.
    """
    head = read_at(0, LABEL_SECTORS * SECTOR_BYTES)
    damage: Damaged | None = None
    for number in range(len(head) // SECTOR_BYTES):
        sector = head[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES]
        if sector.startswith(LABEL_MAGIC):
            try:
                return _label(sector, number)
            except Damaged as error:
                damage = error
    if damage is not None:
        raise damage
    return None


def read_text(read_at: ReadAt, area: Area) -> bytes | None:
    """The committed metadata text of one area.

    None where the area holds none: no volume group was made, or it is marked as ignored.
    Raises Damaged.
    """
    header = read_at(area.offset, AREA_HEADER_BYTES)
    if len(header) < AREA_HEADER_BYTES:
        raise Damaged("a metadata area lies beyond the end")
    crc, magic, version, start, size = _AREA.unpack_from(header)
    if magic != AREA_MAGIC or version != AREA_VERSION:
        raise Damaged("a metadata area's header has no LVM2 mark")
    if crc != checksum(header[4:]):
        raise Damaged("the checksum of a metadata area's header is wrong")
    if start != area.offset:
        raise Damaged("a metadata area's header belongs elsewhere")
    offset, length, text_crc, flags = _TEXT.unpack_from(header, _AREA.size)
    if offset == 0 or flags & IGNORED:
        return None
    text = _from_ring(read_at, Area(area.offset, size), offset, length)
    if checksum(text) != text_crc:
        raise Damaged("the checksum of a metadata text is wrong")
    return text.rstrip(b"\0")


def _label(sector: bytes, number: int) -> Label:
    _, told_number, crc, offset, kind = _LABEL.unpack_from(sector)
    if crc != checksum(sector[20:]):
        raise Damaged("the checksum of the label is wrong")
    if kind != LABEL_TYPE or told_number != number or offset != _LABEL.size:
        raise Damaged("the label is of an unknown kind")
    uuid = sector[offset : offset + 32]
    if not uuid.isalnum():
        raise Damaged("the label holds no identifier")
    _, after = _locations(sector, offset + 40)
    areas, _ = _locations(sector, after)
    return Label(uuid.decode("ascii"), areas)


def _locations(sector: bytes, at: int) -> tuple[tuple[Area, ...], int]:
    """A list of (offset, size) that ends with a pair of zeros, and the place behind it."""
    found: list[Area] = []
    while at + _LOCATION.size <= len(sector) and len(found) <= AREA_LIMIT:
        area = Area(*_LOCATION.unpack_from(sector, at))
        at += _LOCATION.size
        if area.offset == 0:
            return tuple(found), at
        found.append(area)
    raise Damaged("the label lists too many areas")


def _from_ring(read_at: ReadAt, area: Area, offset: int, length: int) -> bytes:
    """A text in the ring behind an area's header; it may run over the end, to the beginning."""
    room = area.size - AREA_HEADER_BYTES
    if not AREA_HEADER_BYTES <= offset < area.size or not 0 < length <= room:
        raise Damaged("a metadata text lies outside its area")
    if length > TEXT_LIMIT_BYTES:
        raise Damaged(f"a metadata text is longer than {TEXT_LIMIT_BYTES} bytes")
    first = min(length, area.size - offset)
    text = read_at(area.offset + offset, first)
    if first < length:
        text += read_at(area.offset + AREA_HEADER_BYTES, length - first)
    if len(text) != length:
        raise Damaged("a metadata text lies beyond the end")
    return text
