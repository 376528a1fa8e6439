"""Disks of 4096-byte sectors: a GPT laid down byte by byte after UEFI 2.10, 5.3.

No tool here makes one in a file: fdisk and sfdisk ask the device. What is written was compared with
what `sfdisk --json` says of such a device (a QEMU disk with logical_block_size=4096).
"""

import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

SECTOR = 4096
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
DISK_ID = "11111111-2222-4333-8444-555555555555"
ENTRIES_SECTORS = 4
ENTRIES = 128

Part = tuple[int, int, str]
"""Start and size in bytes, and a name."""


def write_table(disk: Path, parts: Sequence[Part]) -> None:
    """Both copies of the table, and the protective MBR, into a file of the disk's size."""
    size = disk.stat().st_size
    last = size // SECTOR - 1
    entries = b"".join(_entry(number, *part) for number, part in enumerate(parts, 1))
    entries = entries.ljust(ENTRIES * 128, b"\0")
    with disk.open("r+b") as file:
        protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, last)
        os.pwrite(file.fileno(), protective, 446)
        os.pwrite(file.fileno(), b"\x55\xaa", 510)
        for own, other, at in ((1, last, 2), (last, 1, last - ENTRIES_SECTORS)):
            os.pwrite(file.fileno(), entries, at * SECTOR)
            os.pwrite(file.fileno(), header(own, other, at, last, entries), own * SECTOR)


def header(own: int, other: int, at: int, last: int, entries: bytes) -> bytes:
    """One copy's header, with its checksum."""
    fields = (b"EFI PART", 0x10000, 92, 0, 0, own, other, 6, last - 6)
    told = struct.pack("<8sIIIIQQQQ", *fields) + uuid.UUID(DISK_ID).bytes_le
    told += struct.pack("<QIII", at, ENTRIES, 128, zlib.crc32(entries))
    return told[:16] + struct.pack("<I", zlib.crc32(told)) + told[20:]


def _entry(number: int, start: int, size: int, name: str) -> bytes:
    own = uuid.UUID(int=number)
    places = struct.pack("<QQQ", start // SECTOR, (start + size) // SECTOR - 1, 0)
    text = name.encode("utf-16-le").ljust(72, b"\0")
    return uuid.UUID(LINUX).bytes_le + own.bytes_le + places + text
