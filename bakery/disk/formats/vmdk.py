"""VMDK images that are one file: what their header and descriptor may say.

A VMDK names, in a text called the descriptor, the files its data is in; QEMU opens them, and so
gives away any file of the host (CVE-2022-47951). Taken are only the two kinds that hold their
data themselves, monolithicSparse and streamOptimized, and of those only what says nothing else.
Source: VMware, Virtual Disk Format 5.0; QEMU, block/vmdk.c. Integers are little-endian, offsets
in the header count sectors of 512 bytes.
"""

import os
import re
import struct
import sys
from array import array
from collections.abc import Iterator
from typing import BinaryIO

from bakery.disk.findings import Finding

SECTOR_BYTES = 512
DESCRIPTOR_LIMIT_BYTES = 64 << 10
KINDS = ("monolithicsparse", "streamoptimized")
DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF
FOOTER_FROM_END = 1024
NO_PARENT = "ffffffff"

TABLES_LIMIT_BYTES = 256 << 20

_HEADER = struct.Struct("<4sIIQQQQIQQQ")
_PLACE_BYTES = 4
_DIRECTORY_PLACE = slice(56, 64)
_FIELD = re.compile(r'(?P<key>[a-z0-9_.]+)\s*=\s*"?(?P<value>[^"]*)"?\Z')
# ovftool writes RDONLY: the stream is not meant to be written to.
_EXTENT = re.compile(r'(rw|rdonly) [0-9]+ (?P<kind>[a-z]+) "(?P<name>[^"]*)"\Z')
_CVES = ("CVE-2022-47951", "CVE-2024-40767", "CVE-2024-44082")


def truncation(file: BinaryIO) -> list[Finding]:
    """Whether grains lie beyond the end of the file; QEMU reads those of some kinds as zeros."""
    file.seek(0)
    header = file.read(SECTOR_BYTES)
    size = file.seek(0, os.SEEK_END)
    if _HEADER.unpack_from(header)[9] == DIRECTORY_AT_END:
        file.seek(size - FOOTER_FROM_END)
        header = file.read(SECTOR_BYTES)
    try:
        last = max(_grain_places(file, header), default=0)
    except EOFError:
        return [_cut_short("its tables lie beyond the end of the file")]
    if last * SECTOR_BYTES >= size:
        return [_cut_short(f"its tables reach beyond byte {last * SECTOR_BYTES}, it has {size}")]
    return []


def _grain_places(file: BinaryIO, header: bytes) -> Iterator[int]:
    """The last place, in sectors, that each grain table names, and that of the table itself."""
    fields = _HEADER.unpack_from(header)
    capacity, grain, table_entries, directory = (fields[i] for i in (3, 4, 7, 9))
    span = max(1, grain * table_entries)
    length = table_entries * _PLACE_BYTES
    tables = _places(file, directory, -(-capacity // span))
    for place in filter(None, tables):
        yield place + (length - 1) // SECTOR_BYTES
        yield max(_places(file, place, table_entries), default=0)


def _places(file: BinaryIO, sector: int, count: int) -> "array[int]":
    """`count` places of 32 bits from a sector on; EOFError where the file is too short."""
    length = count * _PLACE_BYTES
    if sector * SECTOR_BYTES + length > file.seek(0, os.SEEK_END) or length > TABLES_LIMIT_BYTES:
        raise EOFError
    file.seek(sector * SECTOR_BYTES)
    table = array("I")
    table.frombytes(file.read(length))
    if sys.byteorder == "big":
        table.byteswap()
    return table


def _cut_short(reason: str) -> Finding:
    hint = "fetch the image again"
    return Finding.refuse("truncated", f"the file is cut short: {reason}", hint=hint)


def findings(file: BinaryIO) -> list[Finding]:
    """What speaks against a file that starts as a VMDK does."""
    file.seek(0)
    head = file.read(SECTOR_BYTES)
    if len(head) < SECTOR_BYTES:
        return [_bad("its header is cut short")]
    fields = _HEADER.unpack_from(head)
    capacity, descriptor_at, descriptor_length, directory = (fields[i] for i in (3, 5, 6, 9))
    if capacity == 0:
        return [_outside("its header declares no data, so QEMU would follow its descriptor")]
    if directory == DIRECTORY_AT_END and not _footer_agrees(file, head):
        return [_bad("its footer and its header disagree")]
    start, length = descriptor_at * SECTOR_BYTES, descriptor_length * SECTOR_BYTES
    whole = file.seek(0, os.SEEK_END)
    if not start or not 0 < length <= DESCRIPTOR_LIMIT_BYTES or start + length > whole:
        return [_bad("it has no descriptor")]
    file.seek(start)
    return descriptor_findings(file.read(length))


def descriptor_findings(descriptor: bytes) -> list[Finding]:
    """What speaks against the text of a descriptor: anything not known to be harmless."""
    try:
        text = descriptor.partition(b"\0")[0].decode("ascii").lower()
    except UnicodeDecodeError:
        return [_bad("its descriptor is not text")]
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith("#")]
    extents = [line for line in said if line.startswith(("rw ", "rdonly ", "noaccess "))]
    fields = {m["key"]: m["value"] for line in said if (m := _FIELD.match(line))}
    strange = [line for line in said if line not in extents and not _FIELD.match(line)]
    if strange:
        return [_bad(f"its descriptor has an unknown line: {strange[0][:80]!r}")]
    return [*_field_findings(fields), *_extent_findings(extents)]


def _field_findings(fields: dict[str, str]) -> list[Finding]:
    found: list[Finding] = []
    kind = fields.get("createtype", "")
    if kind not in KINDS:
        found.append(_outside(f"it is of the kind {kind[:40]!r}, whose data is in other files"))
    if fields.get("parentcid", NO_PARENT) != NO_PARENT or "parentfilenamehint" in fields:
        parent = fields.get("parentfilenamehint", "?")[:80]
        text = f"the image reads from another file: VMDK parent {parent!r}"
        found.append(Finding.refuse("backing-file", text, *_CVES[1:]))
    return found


def _extent_findings(extents: list[str]) -> list[Finding]:
    found = []
    for line in extents:
        extent = _EXTENT.match(line)
        if extent is None or extent["kind"] != "sparse" or "/" in extent["name"]:
            found.append(_outside(f"its descriptor names an outside extent: {line[:80]!r}"))
    if len(extents) != 1:
        found.append(_outside(f"its descriptor names {len(extents)} extents instead of one"))
    return found


def _footer_agrees(file: BinaryIO, head: bytes) -> bool:
    """Whether the copy of the header near the end differs in the grain directory's place alone."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - FOOTER_FROM_END))
    footer = file.read(SECTOR_BYTES)
    if len(footer) < SECTOR_BYTES or footer[_DIRECTORY_PLACE] == head[_DIRECTORY_PLACE]:
        return False
    return _without_directory(footer) == _without_directory(head)


def _without_directory(header: bytes) -> bytes:
    return header[: _DIRECTORY_PLACE.start] + header[_DIRECTORY_PLACE.stop :]


def _outside(reason: str) -> Finding:
    hint = "convert it where it was created: qemu-img convert -O qcow2"
    return Finding.refuse(
        "outside-extents", f"the VMDK is not one file: {reason}", *_CVES, hint=hint
    )


def _bad(reason: str) -> Finding:
    return Finding.refuse("bad-header", f"the VMDK is invalid: {reason}", _CVES[0])
