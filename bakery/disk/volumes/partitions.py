"""Partition tables, from what `sfdisk --json` prints, and whether they can be believed.

sfdisk(8) of util-linux prints `start` and `size` in sectors of `sectorsize` bytes. It follows a
table that points beyond the disk without a word, so that is looked at here. Nothing here starts
a process: whoever runs sfdisk hands its bytes over.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from bakery.disk.findings import Finding
from bakery.disk.formats import detect
from bakery.disk.volumes.volumes import Partition, PartitionTable
from bakery.host.errors import BakeryError

TEXT_LIMIT_BYTES = 4 << 20
PARTITION_LIMIT = 1024
SECTOR_SIZES = (512, 1024, 2048, 4096)
# MBR types that hold logical partitions; the UEFI specification 2.10, 5.2.3, for `ee`.
EXTENDED_TYPES = ("5", "05", "f", "0f", "85")
PROTECTIVE_TYPE = "ee"
# A GPT's mark for what a BIOS starts, as sfdisk names it (UEFI, 5.3.3, attribute bit 2).
LEGACY_BOOTABLE = "LegacyBIOSBootable"
FIRST_LOGICAL_NUMBER = 5


class _SfdiskPartition(msgspec.Struct):
    node: str
    start: int
    size: int
    type: str
    name: str = ""
    uuid: str = ""
    bootable: bool = False
    attrs: str = ""


class _SfdiskTable(msgspec.Struct):
    label: str
    id: str = ""
    sectorsize: int = 512
    partitions: list[_SfdiskPartition] = []


class _SfdiskOutput(msgspec.Struct):
    partitiontable: _SfdiskTable


def from_sfdisk(json_text: bytes, disk_size_bytes: int, head: bytes = b"") -> PartitionTable | None:
    """The partition table `sfdisk --json` told of; None where it found none (empty output).

    `head` are the first bytes of the disk, by which a filesystem that fills it is known. Raises
    BakeryError, with the partition named, for a table that cannot be believed.
    """
    table = parse(json_text)
    if table is None or is_boot_sector(table, disk_size_bytes, head):
        return None
    return believed(table, disk_size_bytes)


def is_boot_sector(table: PartitionTable, disk_size_bytes: int, head: bytes) -> bool:
    """Whether sfdisk saw a table in the boot sector of a filesystem that fills the disk.

    Such a sector ends as an MBR does, and has code where that has its partitions.
    """
    is_dos = table.label == "dos"
    return is_dos and bool(problems(table, disk_size_bytes)) and detect.holds_filesystem(head)


def believed(table: PartitionTable, disk_size_bytes: int) -> PartitionTable:
    """The table; BakeryError, with the partition named, where it cannot be believed."""
    for problem in problems(table, disk_size_bytes):
        raise BakeryError(
            f"the partition table is broken: {problem.message}",
            "the image may be cut short or damaged; see: bakery check IMAGE",
        )
    return table


def parse(json_text: bytes) -> PartitionTable | None:
    """As `from_sfdisk`, taking the table at its word; BakeryError where it is no table at all."""
    if not json_text.strip():
        return None
    # What sfdisk wants to mend in an extended partition it says on standard output, in front.
    json_text = json_text[max(0, json_text.find(b"{")) :]
    if len(json_text) > TEXT_LIMIT_BYTES:
        raise BakeryError(f"the partition table is longer than {TEXT_LIMIT_BYTES} bytes of text")
    try:
        # A GPT name is whatever sixteen-bit values the image holds; it need not be Unicode.
        text = json_text.decode("utf-8", "replace")
        told = msgspec.json.decode(text, type=_SfdiskOutput).partitiontable
    except (msgspec.DecodeError, RecursionError) as error:
        raise BakeryError(f"unexpected output of sfdisk: {error}") from error
    if told.label not in ("dos", "gpt"):
        raise BakeryError(
            f"the disk has a partition table of kind {told.label!r}; MBR and GPT are supported"
        )
    if told.sectorsize not in SECTOR_SIZES or len(told.partitions) > PARTITION_LIMIT:
        raise BakeryError(
            f"the partition table lists {len(told.partitions)} partitions "
            f"in sectors of {told.sectorsize} bytes"
        )
    found = sorted(
        (_partition(entry, told.sectorsize) for entry in told.partitions), key=lambda p: p.number
    )
    return PartitionTable(told.label, told.id, tuple(found), told.sectorsize)


def problems(table: PartitionTable, disk_size_bytes: int) -> list[Finding]:
    """Every reason not to believe `table` on a disk of that size; each names the partition."""
    return [
        *_damaged_gpt(table),
        *_wrong_sizes(table, disk_size_bytes),
        *_overlaps(table),
        *_strays(table),
    ]


def is_extended(partition: Partition, label: str) -> bool:
    """Whether a partition is the MBR container of the logical ones."""
    return label == "dos" and partition.type.lower() in EXTENDED_TYPES


def _partition(entry: _SfdiskPartition, sector_bytes: int) -> Partition:
    number = re.search(r"[0-9]{1,5}\Z", entry.node)
    if number is None or int(number[0]) == 0:
        raise BakeryError(f"sfdisk named a partition {entry.node!r}, which has no number")
    return Partition(
        number=int(number[0]),
        start_bytes=entry.start * sector_bytes,
        size_bytes=entry.size * sector_bytes,
        type=entry.type,
        name=entry.name,
        uuid=entry.uuid,
        bootable=entry.bootable or LEGACY_BOOTABLE in entry.attrs.split(),
    )


def _damaged_gpt(table: PartitionTable) -> list[Finding]:
    """A protective MBR seen as an MBR: sfdisk could believe neither copy of the GPT."""
    if table.label == "dos" and any(p.type.lower() == PROTECTIVE_TYPE for p in table.partitions):
        text = "the GPT is damaged or cut off: only its protective MBR can be read"
        return [Finding.refuse("gpt-damaged", text)]
    return []


def _wrong_sizes(table: PartitionTable, disk_size_bytes: int) -> list[Finding]:
    found: list[Finding] = []
    for p in table.partitions:
        end = p.start_bytes + p.size_bytes
        if p.type.lower() == PROTECTIVE_TYPE and table.label == "dos":
            continue
        if p.size_bytes <= 0 or p.start_bytes < 0:
            text = f"partition {p.number} starts at byte {p.start_bytes}, {p.size_bytes} bytes long"
            found.append(Finding.refuse("partition-size", text))
        elif end > disk_size_bytes:
            text = (
                f"partition {p.number} ends at byte {end}, "
                f"{end - disk_size_bytes} bytes beyond the end of the disk ({disk_size_bytes})"
            )
            found.append(Finding.refuse("partition-beyond-disk", text))
    return found


def _overlaps(table: PartitionTable) -> list[Finding]:
    """Partitions that share bytes; a container and the logical ones inside it may."""
    extended = [p for p in table.partitions if is_extended(p, table.label)]
    plain = [p for p in table.partitions if p not in extended]
    primary = [p for p in plain if not _is_logical(p, table.label)]
    found = _shared(plain)
    for container in extended:
        found += [pair for p in primary for pair in _shared([container, p])]
    return found


def _shared(partitions: Sequence[Partition]) -> list[Finding]:
    real = (p for p in partitions if p.size_bytes > 0)
    ordered = sorted(real, key=lambda p: (p.start_bytes, p.number))
    return [
        Finding.refuse("partitions-overlap", f"partitions {a.number} and {b.number} share bytes")
        for a, b in pairwise(ordered)
        if b.start_bytes < a.start_bytes + a.size_bytes
    ]


def _strays(table: PartitionTable) -> list[Finding]:
    """Logical partitions that lie in no container."""
    containers = [p for p in table.partitions if is_extended(p, table.label)]
    return [
        Finding.refuse(
            "partitions-overlap",
            f"partition {p.number} is logical but lies outside the extended partition",
        )
        for p in table.partitions
        if _is_logical(p, table.label)
        and not any(
            c.start_bytes <= p.start_bytes
            and p.start_bytes + p.size_bytes <= c.start_bytes + c.size_bytes
            for c in containers
        )
    ]


def _is_logical(partition: Partition, label: str) -> bool:
    return label == "dos" and partition.number >= FIRST_LOGICAL_NUMBER
