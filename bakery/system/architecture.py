"""The processor that a kernel or a boot program was made for, told by its head or its name."""

import zlib
from collections.abc import Collection
from typing import Literal

Order = Literal["little", "big"]

HEAD_BYTES = 64 << 10
"""So much of a file is enough."""

# Linux, Documentation/arch/x86/boot.rst: the setup header's magic, and bit 0 of xloadflags.
X86_MAGIC, X86_MAGIC_AT, X86_FLAGS_AT, X86_64_BIT = b"HdrS", 0x202, 0x236, 1
# Linux, Documentation/arch/arm64/booting.rst and riscv/boot-image-header.rst.
MAGIC_AT = 0x38
MAGICS = {b"ARM\x64": "aarch64", b"RSC\x05": "riscv64"}
# An EFI application, such as a kernel with a boot stub or one that unpacks itself (PE format, "COFF
# file header"; UEFI, 2.3; Linux, drivers/firmware/efi/libstub/zboot-header.S).
PE_AT_AT = 0x3C
MACHINES = {
    0x8664: "x86_64", 0xAA64: "aarch64", 0x14C: "i686", 0x5064: "riscv64", 0x1C2: "armv7l",
}  # fmt: skip
# An ELF file, as a kernel for POWER is (gABI, "ELF header"): e_machine, and its byte order.
ELF_MAGIC, ELF_ORDER_AT, ELF_MACHINE_AT = b"\x7fELF", 5, 18
ELF_MACHINES = {
    (21, "little"): "ppc64le", (21, "big"): "ppc64", (22, "big"): "s390x",
    (62, "little"): "x86_64", (183, "little"): "aarch64", (243, "little"): "riscv64",
}  # fmt: skip
ZBOOT_MAGIC, ZBOOT_MAGIC_AT = b"zimg", 4
GZIP_MAGIC, GZIP_WINDOW = b"\x1f\x8b", 31  # RFC 1952; zlib's own number for such a stream

# How UEFI writes a processor in the names of programs: BOOTX64.EFI (UEFI, 3.5.1.1).
EFI_SUFFIXES = {
    "x86_64": "x64", "aarch64": "aa64", "i686": "ia32", "riscv64": "riscv64", "armv7l": "arm",
}  # fmt: skip
# Boot programs by the names that firmware looks for, in lower case.
EFI_PROGRAMS = {f"boot{suffix}.efi": processor for processor, suffix in EFI_SUFFIXES.items()}

SAME = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "x86": "i686"}


def of_kernel(head: bytes) -> str:
    """The processor as uname(1) names it; empty where the head does not tell.

    A kernel packed by gzip, as arm64's may be, is looked into.
    """
    if head.startswith(GZIP_MAGIC):
        head = _unpacked(head)
    if head[X86_MAGIC_AT : X86_MAGIC_AT + 4] == X86_MAGIC:
        return "x86_64" if _number(head, X86_FLAGS_AT, 2) & X86_64_BIT else "i686"
    found = MAGICS.get(head[MAGIC_AT : MAGIC_AT + 4], "")
    return found or of_program(head) or _of_elf(head)


def of_program(head: bytes) -> str:
    """The processor of an EFI program; empty where it is none, or for none that is known."""
    at = _number(head, PE_AT_AT, 4)
    if head[:2] != b"MZ" or head[at : at + 4] != b"PE\0\0":
        return ""
    return MACHINES.get(_number(head, at + 4, 2), "")


def unpacks_itself(head: bytes) -> bool:
    """Whether it is a kernel packed in an EFI program: nothing but UEFI firmware can start it."""
    return head[:2] == b"MZ" and head[ZBOOT_MAGIC_AT:].startswith(ZBOOT_MAGIC)


def of_efi_names(names: Collection[str]) -> str:
    """The processor for which firmware finds a boot program among these; empty where there is none.

    Beside a program of 64 bits one of 32 is for the firmware of the same machines.
    """
    lower = {name.lower() for name in names}
    return next((processor for name, processor in EFI_PROGRAMS.items() if name in lower), "")


def runs(kernel: str, machine: str) -> bool:
    """Whether a machine can run such a kernel, as far as both are known."""
    kernel, machine = (SAME.get(word.lower(), word.lower()) for word in (kernel, machine))
    return not kernel or not machine or kernel == machine or (kernel, machine) == ("i686", "x86_64")


def _of_elf(head: bytes) -> str:
    if not head.startswith(ELF_MAGIC):
        return ""
    order: Order = "big" if head[ELF_ORDER_AT : ELF_ORDER_AT + 1] == b"\2" else "little"
    machine = int.from_bytes(head[ELF_MACHINE_AT : ELF_MACHINE_AT + 2], order)
    return ELF_MACHINES.get((machine, order), "")


def _unpacked(head: bytes) -> bytes:
    """The first HEAD_BYTES of what a gzip stream, or its beginning, holds; or nothing."""
    try:
        return zlib.decompressobj(GZIP_WINDOW).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _number(head: bytes, at: int, length: int) -> int:
    return int.from_bytes(head[at : at + length], "little")
