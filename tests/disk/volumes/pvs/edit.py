"""Changes to a physical volume that leave every checksum right: what only a forger would write."""

import struct

from bakery.disk.volumes import lvm_label
from bakery.disk.volumes.lvm_label import Area

HEADER_BYTES = 512
TEXT_PLACE = struct.Struct("<QQII")
TEXT_PLACE_AT = 40


def areas(pv: bytes) -> tuple[Area, ...]:
    label = lvm_label.read_label(lambda offset, length: pv[offset : offset + length])
    assert label is not None
    return label.areas


def text_of(pv: bytes) -> bytes:
    text = lvm_label.read_text(lambda offset, length: pv[offset : offset + length], areas(pv)[0])
    assert text is not None
    return text


def replace_text(pv: bytes, old: bytes, new: bytes) -> bytes:
    """The volume with `old` in its metadata text replaced, in every copy."""
    text = text_of(pv)
    assert old in text
    return with_text(pv, text.replace(old, new))


def with_text(pv: bytes, text: bytes) -> bytes:
    """The volume with another metadata text in every copy."""
    result = bytearray(pv)
    whole = text + b"\0"
    for area in areas(pv):
        place = area.offset + HEADER_BYTES
        assert len(whole) <= area.size - HEADER_BYTES
        result[place : place + len(whole)] = whole
        entry = TEXT_PLACE.pack(HEADER_BYTES, len(whole), lvm_label.checksum(whole), 0)
        header = bytearray(result[area.offset : area.offset + HEADER_BYTES])
        header[TEXT_PLACE_AT : TEXT_PLACE_AT + len(entry)] = entry
        result[area.offset : area.offset + HEADER_BYTES] = sealed_area(header)
    return bytes(result)


def sealed_area(header: bytes | bytearray) -> bytes:
    """A metadata area's header with the right checksum."""
    return struct.pack("<I", lvm_label.checksum(bytes(header[4:]))) + bytes(header[4:])


def sealed_label(sector: bytes | bytearray) -> bytes:
    """A label sector with the right checksum."""
    crc = lvm_label.checksum(bytes(sector[20:]))
    return bytes(sector[:16]) + struct.pack("<I", crc) + bytes(sector[20:])


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    """One bit turned over."""
    result = bytearray(data)
    result[at] ^= 1 << bit
    return bytes(result)
