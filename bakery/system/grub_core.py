"""GRUB for BIOS machines: what its boot sector and its core image on a disk say.

Source: GRUB, grub-core/boot/i386/pc/{boot,diskboot,startup_raw}.S, include/grub/offsets.h,
util/mkimage.c and kern/i386/pc/init.c; for what is told from it, GRUB Legacy's stage1.S, and
syslinux's mbr/ and core/diskstart.inc. A boot sector names the first sector of the core image, that
one the places of the rest (the gap behind an MBR, or a BIOS boot partition). Code, modules, prefix
and early configuration are packed behind it by LZMA. BIOS disks have sectors of 512 bytes.
"""

import lzma
import re
import struct
from typing import Literal

import msgspec

from bakery.disk.extents import Extent, ReadAt
from bakery.host.errors import BakeryError
from bakery.system import grub_image

SECTOR_BYTES = 512
PACKED_LIMIT_BYTES = 0xFFFF * SECTOR_BYTES  # grub-mkimage makes none longer
UNPACKED_LIMIT_BYTES = 32 << 20

BootCode = Literal["grub", "grub-legacy", "syslinux", "partition", "none", "other"]

_SIGNATURE_AT, _SIGNATURE = 510, b"\x55\xaa"
_CODE_BYTES = 440
_GRUB_MESSAGE = b"Geom\0Hard Disk\0Read\0 Error"
# boot.S: the address that the core image is loaded to, and where its first sector lies.
_KERNEL_ADDRESS_AT, _KERNEL_ADDRESS, _KERNEL_SECTOR_AT = 0x5A, b"\0\x80", 0x5C
_LEGACY_VERSION_AT, _LEGACY_VERSION = 0x3E, 3
# The boot sector of a volume has the name of who made it; an MBR of syslinux says what it misses.
_VOLUME_NAMES = (b"SYSLINUX", b"EXTLINUX")
_STARTS_A_PARTITION = (b"Missing operating system", b"Missing OS", b"No active partition")

# diskboot.S: places of the core image behind its first sector, from the end of that downwards.
_BLOCK = struct.Struct("<QHH")
_FIRST_BLOCK_AT = SECTOR_BYTES - _BLOCK.size
_BLOCK_LIMIT = 20
# startup_raw.S: lengths of what is packed, and the device that it was installed to.
_LENGTHS = struct.Struct("<II")
_LENGTHS_AT, _PARTITION_AT, _NO_PARTITION = 0x08, 0x1A, 0xFF
_LOADED_AT = 0x8200
_FAR = 0x9000 - _LOADED_AT  # the unpacker is no longer
# Where it unpacks to and from: movl $0x100000, %edi; movl $decompressor_end, %esi; pushl %edi.
_PACKED_FROM = re.compile(rb"\xbf\0\0\x10\0\xbe(..\0\0)\x57", re.DOTALL)
_LZMA = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """A core image, unpacked.

    Where `embedded.prefix` names no device, GRUB takes the disk that it was read from, or of that
    the `partition` with this number, where the image has one (as none of today's has). `image`
    holds everything: places in `embedded` count from its first byte.
    """

    embedded: grub_image.Embedded
    partition: int | None
    image: bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of `image`, as `grub_memdisk.opened` asks for them."""
        return self.image[offset : offset + length]


def boot_code(sector: bytes) -> BootCode:
    """What the boot sector of a disk or of a volume starts.

    `partition`: an MBR that starts the boot sector of the active partition, or of the one that a
    GPT marks. `none`: no code, or no boot sector.
    """
    if len(sector) < SECTOR_BYTES or sector[_SIGNATURE_AT : _SIGNATURE_AT + 2] != _SIGNATURE:
        return "none"
    if not any(sector[:_CODE_BYTES]):
        return "none"
    if _GRUB_MESSAGE in sector:
        if sector[_KERNEL_ADDRESS_AT : _KERNEL_ADDRESS_AT + 2] == _KERNEL_ADDRESS:
            return "grub"
        return "grub-legacy" if sector[_LEGACY_VERSION_AT] == _LEGACY_VERSION else "other"
    if sector[3:11] in _VOLUME_NAMES:
        return "syslinux"
    return "partition" if any(text in sector for text in _STARTS_A_PARTITION) else "other"


def read(read_at: ReadAt, at: int = 0) -> Core:
    """The core image that GRUB's boot sector at byte `at` of a disk leads to.

    BakeryError where there is no such boot sector, or where what it leads to is no core image, is
    damaged, or is of a GRUB from before 2.0.
    """
    sector = read_at(at, SECTOR_BYTES)
    if boot_code(sector) != "grub":
        raise BakeryError(f"there is no GRUB in the boot sector at byte {at}")
    first = int.from_bytes(sector[_KERNEL_SECTOR_AT : _KERNEL_SECTOR_AT + 8], "little")
    head = _whole(read_at, Extent(first * SECTOR_BYTES, SECTOR_BYTES))
    return parse(b"".join(_whole(read_at, block) for block in _blocks(head)))


def parse(packed: bytes) -> Core:
    """A core image without its first sector; BakeryError as above."""
    image = _unpacked(packed)
    place = _area(image)
    partition = packed[_PARTITION_AT]
    return Core(
        embedded=grub_image.read(lambda at, length: image[at : at + length], place, 4),
        partition=None if partition == _NO_PARTITION else partition + 1,
        image=image,
    )


def _blocks(head: bytes) -> list[Extent]:
    """The places of all sectors but the first."""
    blocks: list[Extent] = []
    for number in range(_BLOCK_LIMIT):
        start, count, _ = _BLOCK.unpack_from(head, _FIRST_BLOCK_AT - number * _BLOCK.size)
        if not count:
            break
        blocks.append(Extent(start * SECTOR_BYTES, count * SECTOR_BYTES))
    else:
        raise BakeryError(f"GRUB's core image lies in over {_BLOCK_LIMIT} places")
    if not 0 < sum(block.length for block in blocks) <= PACKED_LIMIT_BYTES:
        raise BakeryError("the first sector of GRUB's core image does not say where the rest is")
    return blocks


def _unpacked(packed: bytes) -> bytes:
    match = _PACKED_FROM.search(packed, 0, _FAR)
    if match is None:
        raise _damaged("it is not packed as that of GRUB 2.0 and later")
    start = int.from_bytes(match[1], "little") - _LOADED_AT
    packed_bytes, unpacked_bytes = _LENGTHS.unpack_from(packed, _LENGTHS_AT)
    if not 0 < start <= start + packed_bytes <= len(packed):
        raise _damaged(f"it says that it is {packed_bytes} bytes long")
    if not 0 < unpacked_bytes <= UNPACKED_LIMIT_BYTES:
        raise _damaged(f"it says that it unpacks to {unpacked_bytes} bytes")
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA)
        image = unpacker.decompress(packed[start : start + packed_bytes], unpacked_bytes)
    except lzma.LZMAError as error:
        raise _damaged("it cannot be unpacked") from error
    if len(image) < unpacked_bytes:
        raise _damaged(f"only {len(image)} of {unpacked_bytes} bytes can be unpacked")
    return image


def _area(image: bytes) -> Extent:
    """Where the objects begin, behind the code: the header says how long all is, to the end."""
    at = image.find(grub_image.MAGIC)
    while at >= 0:
        first, length = _LENGTHS.unpack_from(image[at + 4 : at + 12].ljust(8, b"\0"))
        if first == 12 and at + length == len(image):
            return Extent(at, length)
        at = image.find(grub_image.MAGIC, at + 1)
    raise _damaged("it brings neither a prefix nor modules along")


def _whole(read_at: ReadAt, place: Extent) -> bytes:
    data = read_at(place.offset, place.length)
    if len(data) < place.length:
        raise _damaged(f"it ends before byte {place.end} of the disk")
    return data


def _damaged(reason: str) -> BakeryError:
    return BakeryError(
        f"GRUB's core image cannot be read: {reason}",
        "use the whole disk: --layout disk",
    )
