"""What an image file is, told by its content alone; its name is never asked.

The marks are those of QEMU's drivers (block/*.c), of the archive formats' own documents, and of
the filesystems' superblocks.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bakery.host.errors import BakeryError

HEAD_BYTES = 1 << 20
TAIL_BYTES = 512
SUPPORTED = ("qcow2", "raw", "vmdk", "vpc", "vhdx", "vdi")
"""The formats an image may have, by the names of QEMU's drivers."""
CLAIMS = {"vhd": "vpc", "img": "raw", "qcow": "qcow2", **{name: name for name in SUPPORTED}}
"""What `--format` and file name suffixes say, and the driver that is meant."""


class Mark(NamedTuple):
    """`magic` at byte `offset` of the head tells a file of this kind."""

    kind: str
    offset: int
    magic: bytes


IMAGE_MARKS = (
    Mark("qcow2", 0, b"QFI\xfb"),
    Mark("qcow", 0, b"QFI\xfb\0\0\0\1"),
    Mark("qed", 0, b"QED\0"),
    Mark("vmdk", 0, b"KDMV"),
    Mark("vmdk-cowd", 0, b"COWD"),
    Mark("vmdk-descriptor", 0, b"# Disk DescriptorFile"),
    Mark("vpc", 0, b"conectix"),
    Mark("vhdx", 0, b"vhdxfile"),
    Mark("vdi", 0x40, b"\x7f\x10\xda\xbe"),
    Mark("luks", 0, b"LUKS\xba\xbe"),
    Mark("luks", 0, b"SKUL\xba\xbe"),
    Mark("parallels", 0, b"WithoutFreeSpace"),
    Mark("parallels", 0, b"WithouFreSpacExt"),
    Mark("bochs", 0, b"Bochs Virtual HD Image"),
    Mark("cloop", 0, b"#!/bin/sh\n#V2.0 Format"),
    Mark("iso", 0x8001, b"CD001"),
    Mark("iso", 0x8001, b"BEA01"),
)
PACKED_MARKS = {
    Mark("gzip", 0, b"\x1f\x8b\x08"): "gunzip",
    Mark("xz", 0, b"\xfd7zXZ\0"): "unxz",
    Mark("zstd", 0, b"\x28\xb5\x2f\xfd"): "unzstd",
    Mark("bzip2", 0, b"BZh"): "bunzip2",
    Mark("zip", 0, b"PK\x03\x04"): "unzip",
    Mark("7z", 0, b"7z\xbc\xaf\x27\x1c"): "7z x",
    Mark("lz4", 0, b"\x04\x22\x4d\x18"): "unlz4",
    Mark("tar", 257, b"ustar"): "tar xf",
}
"""What a packed file carries, and the program that unpacks it."""
TAR_NAME = slice(0, 100)
OCI_NAMES = ("oci-layout", "index.json", "blobs", "manifest.json", "repositories")
OCI_HINT = (
    "a container image is layers of files, not a disk: a bootable one is made into a disk by "
    "bootc-image-builder, another needs a kernel first"
)
VHD_FOOTER = b"conectix"
DMG_TRAILER = b"koly"
MBR_SIGNATURE = Mark("mbr", 510, b"\x55\xaa")
FILESYSTEM_MARKS = (
    Mark("gpt", 512, b"EFI PART"),
    Mark("gpt", 4096, b"EFI PART"),
    Mark("ext", 1080, b"\x53\xef"),
    Mark("xfs", 0, b"XFSB"),
    Mark("btrfs", 0x10040, b"_BHRfS_M"),
    Mark("squashfs", 0, b"hsqs"),
    Mark("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    *(Mark("lvm", sector * 512, b"LABELONE") for sector in range(4)),
)


# A FAT names itself in its boot sector (Microsoft, FAT32 File System Specification, BS_FilSysType).
BARE_FILESYSTEMS = (
    *(
        mark
        for mark in FILESYSTEM_MARKS
        if mark.kind in ("ext", "xfs", "btrfs", "squashfs", "erofs")
    ),
    *(Mark("vfat", offset, b"FAT") for offset in (54, 82)),
)


class ImageFormat(NamedTuple):
    """The format of an image by the name of QEMU's driver, and its size as a disk in bytes."""

    name: str
    virtual_size_bytes: int


class Ends(NamedTuple):
    """The first HEAD_BYTES and the last TAIL_BYTES of a file, and its size in bytes."""

    head: bytes
    tail: bytes
    size: int


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; BakeryError for anything else a path can lead to.

    Never waits, as opening a FIFO would, and never starts a device.
    """
    hint = "an image is a local file"
    try:
        str(path).encode("utf-8")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (UnicodeEncodeError, ValueError):
        raise BakeryError(f"{str(path)!a} cannot be a file's name", "rename it") from None
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}", hint) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFBLK: "a disk device"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        if stat.S_ISDIR(mode) and os.path.lexists(path / "oci-layout"):
            raise BakeryError(f"{path} is an OCI container image, not a disk", OCI_HINT)
        raise BakeryError(f"{path} is {kind}, not an image file", hint)
    return os.fdopen(descriptor, "rb")


def read_ends(file: BinaryIO) -> Ends:
    """The ends of an open file; the tail may overlap the head."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read(TAIL_BYTES)
    file.seek(0)
    return Ends(file.read(HEAD_BYTES), tail, size)


def sniff(ends: Ends) -> str:
    """The kind of a file: the first that fits of IMAGE_MARKS, of PACKED_MARKS; else `raw`.

    A fixed VHD is a raw disk with a footer; the footer makes it `vpc`.
    """
    kinds = image_kinds(ends)
    if kinds:
        return kinds[0]
    packed = (mark.kind for mark in PACKED_MARKS if _carries(ends.head, mark))
    return next(packed, "raw")


def is_packed(kind: str) -> bool:
    """Whether a kind is that of a packed file."""
    return any(mark.kind == kind for mark in PACKED_MARKS)


def unpacking(kind: str, head: bytes) -> str:
    """What to do with a packed file that begins so, in words."""
    first = head[TAR_NAME].partition(b"\0")[0].decode("utf-8", "replace").removeprefix("./")
    if kind == "tar" and first.lower().endswith(".ovf"):
        return "it is an OVA: unpack it with tar xf IMAGE, and take the .vmdk that is in it"
    if kind == "tar" and first.partition("/")[0] in OCI_NAMES:
        return OCI_HINT
    program = next(program for mark, program in PACKED_MARKS.items() if mark.kind == kind)
    return f"unpack it first: {program} IMAGE"


def image_kinds(ends: Ends) -> list[str]:
    """Every image format whose mark the file carries; more than one makes it a polyglot."""
    found = [mark.kind for mark in IMAGE_MARKS if _carries(ends.head, mark)]
    if ends.tail.startswith(VHD_FOOTER):
        found.append("vpc")
    if ends.tail.startswith(DMG_TRAILER):
        found.append("dmg")
    if "qcow" in found:
        found.remove("qcow2")  # both begin alike
    return list(dict.fromkeys(found))


def looks_like_a_disk(head: bytes) -> bool:
    """Whether the first bytes of a disk carry a partition table, a filesystem or an LVM label."""
    return any(_carries(head, mark) for mark in (MBR_SIGNATURE, *FILESYSTEM_MARKS))


def holds_filesystem(head: bytes) -> bool:
    """Whether the first bytes of a disk are those of a filesystem, which then fills it."""
    return any(_carries(head, mark) for mark in BARE_FILESYSTEMS)


def claimed(name: str) -> str | None:
    """The format that a file's name claims by its suffix, as a driver's name; None: none."""
    suffix = Path(name).suffix.lower().removeprefix(".")
    return CLAIMS.get(suffix) if suffix not in ("img", "qcow") else None


def _carries(head: bytes, mark: Mark) -> bool:
    return head.startswith(mark.magic, mark.offset)
