"""What grub-mkimage puts into a GRUB beside its code: prefix, early configuration, memory disk.

Source: GRUB, include/grub/kernel.h (the headers), grub-core/kern/main.c (what is done with them)
and util/mkimage.c. The objects stand one behind the other, each with its type and length;
integers are little-endian, addresses as wide as the processor's.
"""

import struct
from collections.abc import Iterator

import msgspec

from bakery.disk.extents import Extent, ReadAt
from bakery.host.errors import BakeryError

MAGIC = b"mimg"
OBJECT_LIMIT = 2000
TEXT_LIMIT_BYTES = 1 << 20
PREFIX_LIMIT_BYTES = 4096

_ELF, _MEMDISK, _CONFIG, _PREFIX = range(4)
# Magic, offset of the first object, length of all with this header; by the width of an address.
_INFO = {4: struct.Struct("<4sII"), 8: struct.Struct("<4s4xQQ")}
_HEADER = struct.Struct("<II")


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """What a GRUB brings along.

    `prefix` is where it looks for its files: `(hd0,gpt2)/boot/grub`; a device that begins with a
    comma is a partition of the disk, one that is missing the partition, that GRUB was read from.
    None where there is none: GRUB then takes the folder that it was read from.

    `config` runs before anything else, in the plain parser of GRUB's rescue mode; None where
    there is none. Then GRUB runs `normal`, which reads `$prefix/grub.cfg`. `memdisk` is the place
    of the disk `(memdisk)`. `modules` counts those that need not be loaded.
    """

    prefix: str | None
    config: str | None
    memdisk: Extent | None
    modules: int


def read(read_at: ReadAt, place: Extent, address_bytes: int) -> Embedded:
    """What the objects in that place say, the header in front; BakeryError where none are there.

    Of two prefixes the last counts, of two configurations or memory disks the first, as in GRUB.
    """
    objects = list(_objects(read_at, place, address_bytes))
    prefixes = [extent for kind, extent in objects if kind == _PREFIX]
    configs = [extent for kind, extent in objects if kind == _CONFIG]
    return Embedded(
        prefix=_text(read_at, prefixes[-1], PREFIX_LIMIT_BYTES) if prefixes else None,
        config=_text(read_at, configs[0], TEXT_LIMIT_BYTES) if configs else None,
        memdisk=next((extent for kind, extent in objects if kind == _MEMDISK), None),
        modules=sum(kind == _ELF for kind, _ in objects),
    )


def _objects(read_at: ReadAt, place: Extent, address_bytes: int) -> Iterator[tuple[int, Extent]]:
    """Type and place of each object."""
    info = _INFO[address_bytes]
    head = read_at(place.offset, info.size)
    if len(head) < info.size or not head.startswith(MAGIC):
        raise BakeryError("what a GRUB should bring along is not there: it has no header")
    _, first, length = info.unpack(head)
    at, end = place.offset + first, place.offset + length
    if not info.size <= first <= length <= place.length:
        raise BakeryError(f"what a GRUB brings along does not add up: it holds {length} bytes")
    for _ in range(OBJECT_LIMIT):
        if at >= end:
            return
        kind, size = _HEADER.unpack(_whole(read_at, Extent(at, _HEADER.size)))
        if not _HEADER.size <= size <= end - at:
            raise BakeryError(f"an object that a GRUB brings along is {size} bytes long")
        yield kind, Extent(at + _HEADER.size, size - _HEADER.size)
        at += (size + address_bytes - 1) // address_bytes * address_bytes
    raise BakeryError(f"a GRUB brings along over {OBJECT_LIMIT} objects")


def _text(read_at: ReadAt, extent: Extent, limit_bytes: int) -> str:
    """A text up to its first NUL."""
    if extent.length > limit_bytes:
        raise BakeryError(f"a text that a GRUB brings along is {extent.length} bytes long")
    return _whole(read_at, extent).split(b"\0")[0].decode("utf-8", "replace")


def _whole(read_at: ReadAt, extent: Extent) -> bytes:
    data = read_at(extent.offset, extent.length)
    if len(data) < extent.length:
        raise BakeryError("a GRUB is cut short within what it brings along")
    return data
