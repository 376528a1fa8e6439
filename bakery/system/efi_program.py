"""What an EFI program is, told by its bytes: GRUB, shim, systemd-boot, a kernel, an image of one.

Sources: GRUB (its section `mods`, util/mkimage.c); systemd (`.sdmagic`, src/boot/boot.c); shim
(SBAT.md; Make.defaults, DEFAULT_LOADER; fallback.c); UAPI.5; Linux
(Documentation/arch/x86/boot.rst, arm64/booting.rst). Names of files and folders say nothing.
"""

import re
from typing import Literal

import msgspec

from bakery.disk.extents import Extent, ReadAt
from bakery.host.printable import printable
from bakery.system import architecture, grub_image, pe, uki

SCAN_LIMIT_BYTES = 4 << 20
"""So much of a program is looked through for what shim and old systemd-boots say of themselves."""
SBAT_LIMIT_BYTES = 64 << 10

Kind = Literal["grub", "shim", "shim-fallback", "systemd-boot", "uki", "kernel", "other"]

_NARROW = ("i686", "armv7l")  # with addresses of four bytes
_SYSTEMD_BOOT = re.compile(rb"#### LoaderInfo: (systemd-boot [ -~]{1,100}?) ####")
_GRUB_NAME, _SHIM_NAME = "grub", "shim"
_SHIM_BANNER = b"UEFI SHIM\n"
# As UTF-16: what the fallback looks for, and the names of programs.
_FALLBACK_FILE = "boot.csv".encode("utf-16-le")
_PROGRAM_NAME = re.compile(rb"(?:[!-~]\0){1,200}?\.\0e\0f\0i\0", re.IGNORECASE)
# What shim starts beside the next program: its own helpers, and what revokes or adds keys.
_HELPERS = re.compile(r"(?:fb|mm|boot|fallback|mokmanager|revocations|shim)[^\\]*", re.IGNORECASE)


class EfiProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A program: what it is, and for which processor (empty for none that is known).

    `version` is what it says of itself: `systemd-boot 252.39`, `systemd-stub 252.39`, or the
    version in GRUB's SBAT entry; empty where it says nothing. `signed`: it is made for Secure Boot,
    so no byte of it can be changed.

    `grub` is what a GRUB brings along; of a GRUB that is damaged there, reading it is refused.
    `next_program` is the file that a shim starts, in its own folder; empty where that is not
    known. In `/EFI/BOOT` it starts `fb*.efi` there instead, if there is one (`efi_fallback`).
    """

    kind: Kind
    machine: str
    signed: bool
    version: str = ""
    grub: grub_image.Embedded | None = None
    next_program: str = ""


def read(read_at: ReadAt) -> EfiProgram:
    """What the program in a file is; BakeryError where there is none, or a damaged one."""
    program = pe.read(read_at)
    told = EfiProgram(kind="other", machine=program.machine, signed=program.signed)
    if uki.is_uki(program):
        version = uki.magic(read_at, program.sections)
        return msgspec.structs.replace(told, kind="uki", version=version)
    if _is_kernel(read_at(0, architecture.HEAD_BYTES)):
        return msgspec.structs.replace(told, kind="kernel")
    sbat = _sbat(read_at, program)
    modules = pe.named(program.sections, "mods")
    if modules:
        embedded = grub_image.read(
            read_at,
            Extent(modules.offset, modules.size_bytes),
            4 if program.machine in _NARROW else 8,
        )
        version = sbat.get(_GRUB_NAME, "")
        return msgspec.structs.replace(told, kind="grub", version=version, grub=embedded)
    magic = uki.magic(read_at, program.sections)
    if magic.startswith("systemd-boot "):
        return msgspec.structs.replace(told, kind="systemd-boot", version=magic)
    return _scanned(told, read_at(0, SCAN_LIMIT_BYTES), is_shim=_SHIM_NAME in sbat)


def _scanned(told: EfiProgram, data: bytes, *, is_shim: bool) -> EfiProgram:
    """What no section tells, and the bytes do."""
    match = _SYSTEMD_BOOT.search(data)
    if match:
        return msgspec.structs.replace(told, kind="systemd-boot", version=match[1].decode())
    # shim and its helpers have one SBAT in common.
    if not is_shim and _SHIM_BANNER not in data:
        return told
    if _FALLBACK_FILE in data.lower():
        return msgspec.structs.replace(told, kind="shim-fallback")
    name = _next_program(data)
    # A shim that names no program is one of its helpers, which starts no system.
    is_known = name is not None
    return msgspec.structs.replace(
        told, kind="shim" if is_known else "other", next_program=name or ""
    )


def _next_program(data: bytes) -> str | None:
    """The file that a shim starts unless it is told otherwise, a name without a folder.

    Empty where several come into question; None where none does.
    """
    found = {match[0].decode("utf-16-le") for match in _PROGRAM_NAME.finditer(data)}
    names = {name.lstrip("\\") for name in found if name.startswith("\\")}
    likely = {one for one in names if "\\" not in one and not _HELPERS.fullmatch(one)}
    if not likely:
        return None
    return likely.pop() if len(likely) == 1 else ""


def _is_kernel(head: bytes) -> bool:
    x86 = head[architecture.X86_MAGIC_AT :].startswith(architecture.X86_MAGIC)
    other = head[architecture.MAGIC_AT : architecture.MAGIC_AT + 4] in architecture.MAGICS
    return x86 or other or architecture.unpacks_itself(head)


def _sbat(read_at: ReadAt, program: pe.Program) -> dict[str, str]:
    """The components that a program says it is made of, and the version of each (shim, SBAT.md)."""
    section = pe.named(program.sections, ".sbat")
    if section is None:
        return {}
    text = pe.content(read_at, section, SBAT_LIMIT_BYTES).split(b"\0")[0]
    rows = (line.split(",") for line in text.decode("utf-8", "replace").splitlines())
    return {row[0].strip(): printable(row[4].strip()) if len(row) > 4 else "" for row in rows}
