"""The processor that a kernel was made for, told by the head of its file."""

HEAD_BYTES = 64 << 10
"""So much of a file is enough."""

# Linux, Documentation/arch/x86/boot.rst: the setup header's magic, and bit 0 of xloadflags.
X86_MAGIC, X86_MAGIC_AT, X86_FLAGS_AT, X86_64_BIT = b"HdrS", 0x202, 0x236, 1
# Linux, Documentation/arch/arm64/booting.rst and riscv/boot-image-header.rst.
MAGIC_AT = 0x38
MAGICS = {b"ARM\x64": "aarch64", b"RSC\x05": "riscv64"}
# An EFI application, such as a kernel with a boot stub (PE format, "COFF file header"; UEFI, 2.3).
PE_AT_AT = 0x3C
MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64", 0x14C: "i686", 0x5064: "riscv64"}

SAME = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "x86": "i686"}


def of_kernel(head: bytes) -> str:
    """The processor as uname(1) names it; empty where the head does not tell."""
    if head[X86_MAGIC_AT : X86_MAGIC_AT + 4] == X86_MAGIC:
        return "x86_64" if _number(head, X86_FLAGS_AT, 2) & X86_64_BIT else "i686"
    found = MAGICS.get(head[MAGIC_AT : MAGIC_AT + 4], "")
    at = _number(head, PE_AT_AT, 4)
    if not found and head[:2] == b"MZ" and head[at : at + 4] == b"PE\0\0":
        found = MACHINES.get(_number(head, at + 4, 2), "")
    return found


def runs(kernel: str, machine: str) -> bool:
    """Whether a machine can run such a kernel, as far as both are known."""
    kernel, machine = (SAME.get(word.lower(), word.lower()) for word in (kernel, machine))
    return not kernel or not machine or kernel == machine or (kernel, machine) == ("i686", "x86_64")


def _number(head: bytes, at: int, length: int) -> int:
    return int.from_bytes(head[at : at + length], "little")
