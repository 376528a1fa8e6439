"""EFI programs as files: what a PE header says, and the bytes of their sections.

Source: Microsoft's PE/COFF specification ("MS-DOS Stub", "COFF File Header", "Optional Header",
"Section Table"), in the form that firmware and systemd's stub read it. Integers are little-endian.
A program may be as long as a kernel with its initrd: only headers and the sections that are asked
for are read.
"""

import struct
from collections.abc import Sequence

import msgspec

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system import architecture

SECTION_LIMIT = 512
"""The most sections of one program: a unified kernel image of 256 profiles has no more."""

_DOS_HEADER_BYTES, _PE_AT_AT = 64, 0x3C
_SIGNATURE = b"PE\0\0"
_COFF = struct.Struct("<4sHHIIIHH")
_MAGIC = struct.Struct("<H")
_SECTION = struct.Struct("<8sIIII16x")
# Where the optional header counts its data directories, by its magic: PE32 and PE32+.
_DIRECTORIES_AT = {0x10B: 92, 0x20B: 108}
_DIRECTORY = struct.Struct("<II")
_CERTIFICATES = 4  # the place of the certificate table among the data directories


class Section(msgspec.Struct, frozen=True):
    """A section of a program: `size_bytes` from byte `offset` of the file on."""

    name: str
    offset: int
    size_bytes: int


class Program(msgspec.Struct, frozen=True):
    """What the headers of a program say.

    `machine` is the processor as `architecture` names it, empty for one that it does not know.
    `sections` stand in the order of the table; several may have one name. `signed`: there is a
    table of certificates, as a program signed for Secure Boot has. Whose, and whether it is
    right, is not looked at.
    """

    machine: str
    sections: tuple[Section, ...]
    signed: bool


def read(read_at: ReadAt) -> Program:
    """The headers of a program; BakeryError where the file is none or is cut short."""
    dos = read_at(0, _DOS_HEADER_BYTES)
    if len(dos) < _DOS_HEADER_BYTES or not dos.startswith(b"MZ"):
        raise _no_program("it does not begin as one")
    at = int.from_bytes(dos[_PE_AT_AT : _PE_AT_AT + 4], "little")
    coff = _whole(read_at, at, _COFF.size, "its header")
    signature, machine, count, _, _, _, optional_bytes, _ = _COFF.unpack(coff)
    if signature != _SIGNATURE:
        raise _no_program("it has no PE header")
    if not 0 < count <= SECTION_LIMIT:
        raise _no_program(f"its header counts {count} sections")
    optional = _whole(read_at, at + _COFF.size, optional_bytes, "its optional header")
    table_at = at + _COFF.size + optional_bytes
    table = _whole(read_at, table_at, count * _SECTION.size, "its section table")
    return Program(
        machine=architecture.MACHINES.get(machine, ""),
        sections=tuple(map(_section, _SECTION.iter_unpack(table))),
        signed=_is_signed(optional),
    )


def named(sections: Sequence[Section], name: str) -> Section | None:
    """The first section of that name, which is the one that counts; None where there is none.

    A name is no longer than the eight bytes that the table keeps of it.
    """
    return next((section for section in sections if section.name == name[:8]), None)


def content(read_at: ReadAt, section: Section, limit_bytes: int) -> bytes:
    """The bytes of a section; BakeryError where they are more than that, or cut short."""
    if section.size_bytes > limit_bytes:
        raise BakeryError(
            f"the section {shown(section.name)} of an EFI program holds {section.size_bytes} "
            f"bytes, more than {limit_bytes}"
        )
    return _whole(read_at, section.offset, section.size_bytes, f"section {shown(section.name)}")


def _section(fields: tuple[bytes, int, int, int, int]) -> Section:
    """A line of the section table.

    What lies in the file is the smaller of two sizes: that on the disk is rounded up, that in
    memory may go on with zeros.
    """
    name, memory_bytes, _, disk_bytes, offset = fields
    text = name.split(b"\0")[0].decode("ascii", "replace")
    return Section(text, offset, min(memory_bytes, disk_bytes))


def _is_signed(optional: bytes) -> bool:
    magic = _MAGIC.unpack_from(optional)[0] if len(optional) >= _MAGIC.size else 0
    count_at = _DIRECTORIES_AT.get(magic)
    if count_at is None:
        raise _no_program("its optional header is of no kind that is known")
    at = count_at + 4 + _CERTIFICATES * _DIRECTORY.size
    count = int.from_bytes(optional[count_at : count_at + 4], "little")
    if count <= _CERTIFICATES or len(optional) < at + _DIRECTORY.size:
        return False
    place, length = _DIRECTORY.unpack_from(optional, at)
    return bool(place and length)


def _whole(read_at: ReadAt, offset: int, length: int, what: str) -> bytes:
    data = read_at(offset, length)
    if len(data) < length:
        raise _no_program(f"the file ends within {what}")
    return data


def _no_program(reason: str) -> BakeryError:
    return BakeryError(f"the file is no EFI program: {reason}")
