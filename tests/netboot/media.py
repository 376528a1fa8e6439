"""Media for tests: small files instead of a kernel and a ramdisk, and what may be on a medium."""

import struct
from pathlib import Path

from bakery.host.report import silent
from bakery.netboot.media import Medium
from bakery.netboot.media_image import medium
from bakery.netboot.overlaid import Overlaid, OverlaidFile
from bakery.system import architecture

SECTOR = 2048


def kernel(path: Path, processor: str = "x86_64") -> Path:
    """A file with the head of a kernel for that processor, and nothing that would start."""
    head = bytearray(b"kernel " * 10_000)
    if processor == "x86_64":
        at = architecture.X86_MAGIC_AT
        head[at : at + 4] = architecture.X86_MAGIC
        struct.pack_into("<H", head, architecture.X86_FLAGS_AT, architecture.X86_64_BIT)
    else:
        magic = {name: magic for magic, name in architecture.MAGICS.items()}[processor]
        head[architecture.MAGIC_AT : architecture.MAGIC_AT + 4] = magic
    path.write_bytes(head)
    return path


def small(folder: Path, processor: str = "x86_64", root: Path = Path("/")) -> Medium:
    """A medium of small files, in `folder`."""
    (folder / "ramdisk").write_bytes(b"ramdisk " * 100_001)
    return medium(
        folder / "media", kernel(folder / "kernel", processor), folder / "ramdisk", silent(), root
    )


def written(overlaid: Overlaid, path: Path) -> Path:
    """A node's medium as a file, for programs that read files."""
    with OverlaidFile(overlaid, overlaid.base.open()) as file, path.open("wb") as out:
        while piece := file.read(1 << 20):
            out.write(piece)
    return path


def foreign(folder: Path) -> Path:
    """A system in `folder` whose GRUB for arm64 is a file with the head of such a program."""
    place = folder / "usr/lib/grub/arm64-efi/monolithic/gcdaa64.efi"
    place.parent.mkdir(parents=True)
    program = bytearray(b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40))
    program += b"PE\0\0" + struct.pack("<H", 0xAA64)
    place.write_bytes(bytes(program).ljust(300_000, b"g"))
    return folder
