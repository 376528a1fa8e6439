"""The disk of a partition image, laid out as Ironic lays it out: ephemeral, swap, config drive,
root last, in an MBR (ironic_lib.disk_utils.make_partitions), each beginning at a full MiB.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import msgspec

from bakery.conductor.contents import Piece, base_piece, file_piece
from bakery.host.errors import BakeryError
from bakery.host.run import run
from bakery.manifest.manifest import Build

MIB = 1 << 20
SECTOR_BYTES = 512
CONFIG_DRIVE_BYTES = 64 * MIB
MKFS_SECONDS = 120.0

# Partition types (UEFI 2.10, 5.2.1; the numbers are those of sfdisk --list-types).
LINUX, SWAP, LVM = 0x83, 0x82, 0x8E
# An entry counts sectors in 32 bits; cylinders and heads are past their end.
SECTOR_LIMIT = (1 << 32) - 1
LBA_ONLY = b"\xfe\xff\xff"
SIGNATURE_OFFSET, TABLE_OFFSET = 440, 446

# A swap area's first page (Linux: union swap_header in include/linux/swap.h).
PAGE_BYTES = 4096
SWAP_MAGIC = b"SWAPSPACE2"
SWAP_HEADER_OFFSET = 1024
SWAP_LABEL = b"swap1"
EPHEMERAL_LABEL = "ephemeral0"


class Extras(msgspec.Struct, frozen=True):
    """What a node's disk gets besides the root: sizes in MiB (0: none), a config drive's file."""

    ephemeral_mib: int = 0
    swap_mib: int = 0
    config_drive: Path | None = None


class Partition(msgspec.Struct, frozen=True):
    """A partition: what it is for, its MBR type, where it lies, in bytes."""

    name: str
    type: int
    start: int
    size_bytes: int


def check(build: Build, extras: Extras) -> None:
    """BakeryError where a whole disk leaves no place for extras, or the config drive is none."""
    if build.manifest.layout == "disk" and extras != Extras():
        raise BakeryError(
            "a whole disk has a partition table of its own, and no room for other partitions",
            "leave out --swap, --ephemeral and --config-drive",
        )
    if extras.config_drive:
        _check_config_drive(extras.config_drive)


def pieces(
    build: Build, extras: Extras, disk_bytes: int, identity: UUID, scratch: Path
) -> tuple[Piece, ...]:
    """What goes onto a disk of `disk_bytes`; small files are made in `scratch`.

    `identity` is the deployment's: the disk's signature and the swap area's UUID come of it.
    Layout `disk` is the base itself; the others are the base in a partition. BakeryError where
    the disk is too small, and where `check` finds something.
    """
    check(build, extras)
    if build.manifest.layout == "disk":
        return (base_piece(build, 0),)
    table = partitions(build, extras, disk_bytes)
    made = [_table_piece(table, identity, scratch)]
    made += [_filled(part, build, extras, identity, scratch) for part in table]
    return tuple(made)


def partitions(build: Build, extras: Extras, disk_bytes: int) -> tuple[Partition, ...]:
    """The partitions in the order of the disk; the root, last, takes all that is left."""
    wanted = [
        ("ephemeral", LINUX, extras.ephemeral_mib * MIB),
        ("swap", SWAP, extras.swap_mib * MIB),
        ("config drive", LINUX, CONFIG_DRIVE_BYTES if extras.config_drive else 0),
    ]
    found, start = [], MIB
    for name, kind, size in wanted:
        if size:
            found.append(Partition(name, kind, start, size))
            start += size
    room = min(disk_bytes - start, SECTOR_LIMIT * SECTOR_BYTES) // MIB * MIB
    needed = build.manifest.artifacts["base"].size_bytes
    if room < needed:
        raise BakeryError(
            f"the node's disk has {disk_bytes} bytes, but {start + needed} are needed",
            "choose another disk with root device hints, or a smaller image",
        )
    kind = LVM if build.manifest.layout == "pv" else LINUX
    found.append(Partition("root", kind, start, room))
    if any(part.start // SECTOR_BYTES > SECTOR_LIMIT for part in found):
        raise BakeryError("a partition would start beyond 2 TiB, which an MBR cannot express")
    return tuple(found)


def mbr(table: Iterable[Partition], signature: int) -> bytes:
    """The first sector: the table, no boot code."""
    sector = bytearray(SECTOR_BYTES)
    struct.pack_into("<I", sector, SIGNATURE_OFFSET, signature)
    for number, part in enumerate(table):
        place = TABLE_OFFSET + 16 * number
        start, count = part.start // SECTOR_BYTES, part.size_bytes // SECTOR_BYTES
        words = (0, LBA_ONLY, part.type, LBA_ONLY, start, count)
        struct.pack_into("<B3sB3sII", sector, place, *words)
    sector[-2:] = b"\x55\xaa"
    return bytes(sector)


def swap_header(size_bytes: int, identity: UUID) -> bytes:
    """The first page of a swap area of that size, as mkswap(8) writes it."""
    page = bytearray(PAGE_BYTES)
    last_page = size_bytes // PAGE_BYTES - 1
    words = (1, last_page, 0, identity.bytes, SWAP_LABEL)
    struct.pack_into("<III16s16s", page, SWAP_HEADER_OFFSET, *words)
    page[-len(SWAP_MAGIC) :] = SWAP_MAGIC
    return bytes(page)


def _table_piece(table: Iterable[Partition], identity: UUID, scratch: Path) -> Piece:
    path = scratch / "table"
    path.write_bytes(mbr(table, identity.int >> 96))
    return file_piece("partition table", path, 0)


def _filled(part: Partition, build: Build, extras: Extras, identity: UUID, scratch: Path) -> Piece:
    """What goes into one partition."""
    if part.name == "root":
        return base_piece(build, part.start)
    if part.name == "config drive":
        assert extras.config_drive is not None
        return file_piece(part.name, extras.config_drive, part.start)
    path = scratch / part.name
    if part.name == "swap":
        path.write_bytes(swap_header(part.size_bytes, identity))
    else:
        with path.open("wb") as file:
            file.truncate(part.size_bytes)
        run(["mkfs.ext4", "-q", "-F", "-L", EPHEMERAL_LABEL, path], timeout=MKFS_SECONDS)
    return file_piece(part.name, path, part.start)


def _check_config_drive(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BakeryError(f"the config drive {path} cannot be read: {error.strerror}") from error
    if not 0 < size <= CONFIG_DRIVE_BYTES:
        raise BakeryError(
            f"the config drive {path} has {size} bytes; 1 to {CONFIG_DRIVE_BYTES} are allowed"
        )
