"""Hostile images: how each is made, and what a check must say of it.

`HOSTILE` is the list. `finding` is the id of the refusal that must be among the findings (see
docs/check.md), or empty where the image is odd but harmless and must pass. Whatever a check
says, `inspect` and `build` must answer within bounds and leave nothing behind.
"""

import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bakery.disk.formats import qcow2
from tests.disk.volumes.pvs import edit
from tests.hostile.kitchen import MIB, PV_AT, Kitchen, patched, sparse

FINE = ""
Make = Callable[[Kitchen, Path], Path]


@dataclass(frozen=True)
class Specimen:
    """One hostile image; `make` writes it into an empty folder and returns its path."""

    name: str
    finding: str
    make: Make
    cve: str = ""


def whole(name: str) -> Make:
    """A real image as it is, under its own name."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        return Path(shutil.copyfile(kitchen.real(name), folder / name))

    return make


def bent(name: str, *changes: tuple[int, bytes], called: str = "") -> Make:
    """A real image with bytes written over."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        path = folder / (called or name)
        path.write_bytes(patched(kitchen.bytes_of(name), *changes))
        return path

    return make


def cut(name: str, length: int, called: str = "") -> Make:
    """The first `length` bytes of a real image; less than 0: so many fewer than it has."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        path = folder / (called or name)
        path.write_bytes(kitchen.bytes_of(name)[:length])
        return path

    return make


def written(called: str, content: bytes, size: int = 0) -> Make:
    """A file of these bytes, then a hole up to `size`."""

    def make(_kitchen: Kitchen, folder: Path) -> Path:
        path = folder / called
        path.write_bytes(content)
        if size:
            os.truncate(path, size)
        return path

    return make


def renamed(name: str, called: str) -> Make:
    """A real image under another name."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        return Path(shutil.copyfile(kitchen.real(name), folder / called))

    return make


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)


def le32(value: int) -> bytes:
    return struct.pack("<I", value)


def le64(value: int) -> bytes:
    return struct.pack("<Q", value)


V3 = "v3.qcow2"
BAD = "bad-header"
ALL_ONES = (1 << 64) - 1

JSON_DATA_FILE = (
    u32(qcow2.DATA_FILE_NAME) + u32(25) + b'json:{"driver":"null-co"}'.ljust(32, b"\0") + bytes(8)
)
# (what, offset in the header, bytes, finding): docs/interop/qcow2.txt, field by field.
QCOW2_FIELDS = [
    ("version-0", 4, u32(0), BAD),
    ("version-1", 4, u32(1), "unsupported-format"),
    ("version-4", 4, u32(4), BAD),
    ("version-max", 4, u32(0xFFFFFFFF), BAD),
    ("backing-offset-1", 8, u64(1), "backing-file"),
    ("backing-offset-in-header", 8, u64(72) + u32(8), "backing-file"),
    ("backing-offset-huge", 8, u64(ALL_ONES) + u32(1023), "backing-file"),
    ("backing-length-huge", 8, u64(512) + u32(0xFFFFFFFF), "backing-file"),
    ("backing-length-without-offset", 16, u32(9), FINE),
    ("cluster-bits-0", 20, u32(0), BAD),
    ("cluster-bits-8", 20, u32(8), BAD),
    ("cluster-bits-22", 20, u32(22), BAD),
    ("cluster-bits-63", 20, u32(63), BAD),
    ("cluster-bits-max", 20, u32(0xFFFFFFFF), BAD),
    ("cluster-bits-9", 20, u32(9), BAD),
    ("cluster-bits-21", 20, u32(21), BAD),
    ("size-0", 24, u64(0), "empty"),
    ("size-1", 24, u64(1), "empty"),
    ("size-511", 24, u64(511), "empty"),
    ("size-odd", 24, u64(24 * MIB - 1), FINE),
    ("size-cut", 24, u64(8 * MIB), "partition-beyond-disk"),
    ("size-beyond-l1", 24, u64(1 << 30), BAD),
    ("size-2^63", 24, u64(1 << 63), BAD),
    ("size-max", 24, u64(ALL_ONES), BAD),
    ("crypt-1", 32, u32(1), "encrypted"),
    ("crypt-2", 32, u32(2), "encrypted"),
    ("crypt-max", 32, u32(0xFFFFFFFF), "encrypted"),
    ("l1-size-0", 36, u32(0), BAD),
    ("l1-size-2", 36, u32(2), FINE),
    ("l1-size-32MiB", 36, u32(4 << 20), "truncated"),
    ("l1-size-beyond-32MiB", 36, u32((4 << 20) + 1), BAD),
    ("l1-size-max", 36, u32(0xFFFFFFFF), BAD),
    ("l1-offset-0", 40, u64(0), "truncated"),
    ("l1-offset-unaligned", 40, u64(513), BAD),
    ("l1-offset-beyond", 40, u64(1 << 40), "truncated"),
    ("l1-offset-2^62", 40, u64(1 << 62), "truncated"),
    ("l1-offset-max", 40, u64(ALL_ONES & ~0xFFFF), "truncated"),
    ("refcounts-offset-unaligned", 48, u64(513), BAD),
    ("refcounts-clusters-0", 56, u32(0), BAD),
    ("refcounts-clusters-max", 56, u32(0xFFFFFFFF), BAD),
    ("snapshots-1-nowhere", 60, u32(1), FINE),
    ("snapshots-65537", 60, u32(65537), BAD),
    ("snapshots-max", 60, u32(0xFFFFFFFF), BAD),
    ("snapshots-offset-unaligned", 60, u32(1) + u64(77), BAD),
    ("feature-dirty", 72, u64(1), FINE),
    ("feature-corrupt", 72, u64(2), "corrupt"),
    ("feature-data-file", 72, u64(4), "data-file"),
    ("feature-compression-without-type", 72, u64(8), BAD),
    ("feature-extended-l2", 72, u64(16), "unknown-features"),
    *((f"feature-{bit}", 72, u64(1 << bit), "unknown-features") for bit in (5, 8, 31, 32, 62, 63)),
    ("feature-all", 72, u64(ALL_ONES), BAD),
    ("feature-data-file-and-corrupt", 72, u64(6), "data-file"),
    ("compatible-all", 80, u64(ALL_ONES), FINE),
    ("autoclear-all", 88, u64(ALL_ONES), "unreadable-by-qemu"),
    ("refcount-order-7", 96, u32(7), BAD),
    ("refcount-order-max", 96, u32(0xFFFFFFFF), BAD),
    ("header-length-0", 100, u32(0), BAD),
    ("header-length-72", 100, u32(72), BAD),
    ("header-length-105", 100, u32(105), BAD),
    ("header-length-65536", 100, u32(65536), FINE),
    ("header-length-max", 100, u32(0xFFFFFFF8), BAD),
    ("compression-type-1-without-feature", 104, b"\1", BAD),
    ("compression-type-9", 72, u64(8) + u64(0) + u64(0) + u32(4) + u32(112) + b"\x09", BAD),
    ("extension-longer-than-file", 112, u32(0x12345678) + u32(0xFFFFFFF0), BAD),
    ("extension-longer-than-cluster", 112, u32(0x12345678) + u32(0x10000), BAD),
    ("extensions-without-end", 112, (u32(0x12345678) + u32(0)) * 4096, BAD),
    ("extension-encryption", 112, u32(qcow2.ENCRYPTION_HEADER) + u32(16) + bytes(16), "encrypted"),
    (
        "extension-data-file",
        112,
        u32(qcow2.DATA_FILE_NAME) + u32(11) + b"/etc/passwd\0\0\0\0\0" + bytes(8),
        "data-file",
    ),
    (
        "extension-data-file-json",
        112,
        JSON_DATA_FILE,
        "data-file",
    ),
    ("magic-lost", 0, b"QFI\xfa", "format-mismatch"),
]  # fmt: skip
# The L1 table of the small images lies at 0x30000, its one L2 table at 0x40000.
L1_AT, L2_AT = 0x30000, 0x40000
COPIED, COMPRESSED = 1 << 63, 1 << 62
QCOW2_TABLES = [
    ("l2-place-beyond-file", L1_AT, u64(COPIED | 1 << 40), "truncated"),
    ("l2-place-at-end", L1_AT, u64(COPIED | 0x90000), "truncated"),
    ("l2-place-unaligned", L1_AT, u64(COPIED | 0x40200), "bad-tables"),
    ("l2-place-max", L1_AT, u64(ALL_ONES), "bad-tables"),
    ("l2-place-0", L1_AT, u64(0), FINE),
    ("l2-is-l1", L1_AT, u64(COPIED | L1_AT), FINE),
    ("l2-is-header", L1_AT, u64(COPIED | 0x10000), FINE),
    ("data-beyond-file", L2_AT, u64(COPIED | 1 << 40), "truncated"),
    ("data-at-end", L2_AT, u64(COPIED | 0x90000), "truncated"),
    ("data-place-max", L2_AT + 8, u64(COPIED | ((1 << 56) - 512)), "truncated"),
    ("data-unaligned", L2_AT, u64(COPIED | 0x50200), "unreadable-by-qemu"),
    ("data-is-l2", L2_AT, u64(COPIED | L2_AT), FINE),
    ("data-shared", L2_AT, u64(COPIED | 0x50000) * 384, FINE),
    ("compressed-beyond-file", L2_AT, u64(COMPRESSED | 1 << 40), "truncated"),
    ("compressed-garbage", L2_AT, u64(COMPRESSED | 0x50000), "unreadable-by-qemu"),
    ("compressed-longest", L2_AT, u64(COMPRESSED | 0xFF << 54 | 0x50000), "unreadable-by-qemu"),
    ("zeros", L2_AT, u64(1), FINE),
    ("zeros-beyond-file", L2_AT, u64(COPIED | 1 << 40 | 1), "truncated"),
    ("entries-not-copied", L2_AT, u64(0x50000), FINE),
]


def field(name: str, offset: int, new: bytes, finding: str, image: str) -> Specimen:
    return Specimen(name, finding, bent(image, (offset, new)))


def grown(
    what: str, size: int, l1: list[int], tables: bytes = b"", file_size: int = 0
) -> Callable[[Kitchen, Path], Path]:
    """v3.qcow2 with a larger disk: its L1 table and L2 tables of its own at 0x100000."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        table = b"".join(u64(entry) for entry in l1)
        changes = [(24, u64(size)), (36, u32(len(l1)) + u64(0x100000)), (0x100000, table)]
        place = 0x100000 + -(-len(table) // 0x10000) * 0x10000
        path = folder / f"{what}.qcow2"
        path.write_bytes(patched(kitchen.bytes_of(V3), *changes, (place, tables)))
        if file_size:
            os.truncate(path, file_size)
        return path

    return make


GIB, TIB = 1 << 30, 1 << 40
FIRST_L2 = 0x110000


def l2_places(count: int, start: int = FIRST_L2) -> list[int]:
    return [COPIED | start + 0x10000 * n for n in range(count)]


BOMBS = [
    Specimen("bomb-6-gib-of-nothing", FINE, whole("empty.qcow2")),
    Specimen("bomb-15-tib-of-nothing", FINE, grown("b", 15 * TIB, [0] * (15 * 2048))),
    Specimen("bomb-16-tib", "virtual-size", grown("b", 16 * TIB, [0] * (16 * 2048)),
             "CVE-2015-5162"),
    Specimen("bomb-1-pib", "virtual-size", grown("b", 1 << 50, [0] * (1 << 21)), "CVE-2015-5162"),
    Specimen("bomb-one-cluster-for-all", "bomb",
             grown("b", 2 * GIB, l2_places(4), u64(COPIED | 0x50000) * 32768), "CVE-2015-5162"),
    Specimen("bomb-one-compressed-cluster-for-all", "bomb",
             grown("b", 2 * GIB, l2_places(4), u64(COMPRESSED | 0x50000) * 32768)),
    Specimen("bomb-one-table-for-all", "bad-tables",
             grown("b", 2 * GIB, l2_places(1) * 4, bytes(0x10000))),
    Specimen("bomb-l1-in-a-hole", FINE,
             grown("b", 24 * MIB, [COPIED | L2_AT] + [0] * ((4 << 20) - 1), file_size=GIB)),
    Specimen("bomb-tables-in-a-hole", "bad-tables",
             grown("b", 4 * TIB, l2_places(8192, 1 << 30), file_size=TIB)),
    Specimen("bomb-raw-hole-of-8-tib", "no-image", written("b.raw", b"", 8 * TIB)),
    Specimen("bomb-vmdk-capacity", "unreadable-by-qemu",
             bent("sparse.vmdk", (12, le64(1 << 42)))),
]  # fmt: skip


def descriptor(kind: str = "monolithicSparse", extra: str = "", extents: str = "") -> bytes:
    listed = extents or 'RW 49152 SPARSE "x.vmdk"'
    lines = (
        "# Disk DescriptorFile", "version=1", "CID=7763bef9", "parentCID=ffffffff", extra,
        f'createType="{kind}"', "# Extent description", listed, "# DDB", 'ddb.adapterType = "ide"',
    )  # fmt: skip
    return "\n".join(lines).encode() + b"\n"


def vmdk(name: str, finding: str, text: bytes, cve: str = "") -> Specimen:
    make = bent("sparse.vmdk", (512, text.ljust(10240, b"\0")))
    return Specimen(f"vmdk-{name}", finding, make, cve)


OUTSIDE = "outside-extents"
VMDK = [
    vmdk("harmless-descriptor", FINE, descriptor()),
    vmdk("flat-extent", OUTSIDE, descriptor(extents='RW 1 FLAT "/etc/passwd" 0'), "CVE-2022-47951"),
    vmdk("flat-kind", OUTSIDE, descriptor("monolithicFlat", extents='RW 1 FLAT "/etc/passwd" 0')),
    vmdk("sparse-extent-elsewhere", OUTSIDE, descriptor(extents='RW 1 SPARSE "../../x.vmdk"')),
    vmdk("two-extents", OUTSIDE,
         descriptor(extents='RW 1 SPARSE "x.vmdk"\nRW 1 SPARSE "y.vmdk"')),
    vmdk("no-extent", OUTSIDE, descriptor(extents="# none")),
    vmdk("read-only-extent", FINE, descriptor(extents='RDONLY 1 SPARSE "x.vmdk"')),
    vmdk("device-extent", OUTSIDE, descriptor(extents='RW 1 VMFSRDM "/dev/sda"')),
    vmdk("extent-tabs", BAD, descriptor(extents='RW\t1\tFLAT\t"/etc/passwd"\t0')),
    vmdk("two-gb-extents", OUTSIDE, descriptor("twoGbMaxExtentSparse")),
    vmdk("no-kind", OUTSIDE, descriptor("")),
    vmdk("parent", "backing-file", descriptor(extra='parentFileNameHint="/etc/passwd"')),
    vmdk("parent-cid", "backing-file",
         descriptor().replace(b"parentCID=ffffffff", b"parentCID=7763bef9")),
    vmdk("strange-line", BAD, descriptor(extra="include /etc/passwd")),
    vmdk("not-text", BAD, b"\xff\xfe" + descriptor()),
    vmdk("empty-descriptor", OUTSIDE, b""),
    Specimen("vmdk-child", "backing-file", whole("child.vmdk")),
    Specimen("vmdk-flat", OUTSIDE, whole("flat.vmdk"), "CVE-2022-47951"),
    Specimen("vmdk-descriptor-alone", OUTSIDE, written("x.vmdk", descriptor()), "CVE-2022-47951"),
    Specimen("vmdk-descriptor-named-raw", OUTSIDE,
             written("x.raw", descriptor(extents='RW 1 FLAT "/etc/shadow" 0')), "CVE-2024-40767"),
    Specimen("vmdk-cowd", "unsupported-format", written("x.vmdk", b"COWD".ljust(2048, b"\0"))),
    field("vmdk-capacity-0", 12, le64(0), OUTSIDE, "sparse.vmdk"),
    field("vmdk-descriptor-nowhere", 28, le64(0), BAD, "sparse.vmdk"),
    field("vmdk-descriptor-beyond", 28, le64(1 << 60), BAD, "sparse.vmdk"),
    field("vmdk-descriptor-huge", 36, le64(1 << 40), BAD, "sparse.vmdk"),
    field("vmdk-grain-0", 20, le64(0), "unreadable-by-qemu", "sparse.vmdk"),
    field("vmdk-grain-huge", 20, le64(1 << 40), "unreadable-by-qemu", "sparse.vmdk"),
    field("vmdk-table-entries-0", 44, le32(0), "unreadable-by-qemu", "sparse.vmdk"),
    field("vmdk-table-entries-max", 44, le32(0xFFFFFFFF), "unreadable-by-qemu", "sparse.vmdk"),
    field("vmdk-directory-beyond", 56, le64(1 << 50), "truncated", "sparse.vmdk"),
    field("vmdk-directory-at-end-without-footer", 56, le64(ALL_ONES), BAD, "sparse.vmdk"),
    field("vmdk-version-99", 4, le32(99), "unreadable-by-qemu", "sparse.vmdk"),
    *(Specimen(f"vmdk-cut-{n}", finding, cut("sparse.vmdk", n)) for n, finding in (
        (4, BAD), (100, BAD), (511, BAD), (512, BAD), (600, BAD), (20000, "unreadable-by-qemu"),
        (-65536, "truncated"))),
    Specimen("vmdk-stream-cut", "truncated", cut("stream.vmdk", 66000)),
]  # fmt: skip

VIRTUAL_PC = [
    field("vhd-differencing", 60, u32(4), "backing-file", "dynamic.vhd"),
    field("vhd-type-0", 60, u32(0), BAD, "dynamic.vhd"),
    field("vhd-type-max", 60, u32(0xFFFFFFFF), BAD, "dynamic.vhd"),
    field("vhd-head-differs", 40, u64(1 << 20), "truncated", "dynamic.vhd"),
    field("vhd-sparse-header-lost", 512, bytes(1024), "unreadable-by-qemu", "dynamic.vhd"),
    field("vhd-block-size-0", 512 + 32, u32(0), "unreadable-by-qemu", "dynamic.vhd"),
    field("vhd-table-huge", 512 + 28, u32(0xFFFFFFFF), "unreadable-by-qemu", "dynamic.vhd"),
    field("vhd-table-beyond", 512 + 16, u64(1 << 60), "unreadable-by-qemu", "dynamic.vhd"),
    Specimen("vhd-fixed-differencing", "backing-file", bent("fixed.vhd", (-512 + 60, u32(4)))),
    Specimen("vhd-cut", "truncated", cut("dynamic.vhd", -512)),
    Specimen("vhd-cut-100", BAD, cut("dynamic.vhd", 100)),
    Specimen("vhd-fixed-cut", "format-mismatch", cut("fixed.vhd", -512)),
    Specimen("vhd-fixed-named-raw", "format-mismatch", renamed("fixed.vhd", "x.raw")),
    Specimen("vhdx-cut", "unreadable-by-qemu", cut("disk.vhdx", 100000)),
    Specimen("vhdx-cut-8", "unreadable-by-qemu", cut("disk.vhdx", 8)),
    Specimen("vhdx-headers-lost", "unreadable-by-qemu", bent("disk.vhdx", (65536, bytes(131072)))),
    Specimen("vhdx-regions-lost", "unreadable-by-qemu", bent("disk.vhdx", (196608, bytes(131072)))),
    field("vdi-differencing", 0x4C, le32(4), "backing-file", "disk.vdi"),
    field("vdi-version-9", 0x44, le32(9 << 16), "unreadable-by-qemu", "disk.vdi"),
    field("vdi-size-huge", 0x170, le64(1 << 62), "unreadable-by-qemu", "disk.vdi"),
    field("vdi-size-0", 0x170, le64(0), "empty", "disk.vdi"),
    field("vdi-block-size-0", 0x178, le32(0), "unreadable-by-qemu", "disk.vdi"),
    field("vdi-blocks-max", 0x180, le32(0xFFFFFFFF), "unreadable-by-qemu", "disk.vdi"),
    field("vdi-map-beyond", 0x154, le32(0xFFFFFE00), "bad-tables", "disk.vdi"),
    Specimen("vdi-cut", "truncated", cut("disk.vdi", 1 << 20)),
    Specimen("vdi-cut-600", "truncated", cut("disk.vdi", 600)),
]  # fmt: skip

FORMATS = [
    *(Specimen(f"whole-{name}", FINE, whole(name)) for name in (
        "v3.qcow2", "v2.qcow2", "packed.qcow2", "zstd.qcow2", "tiny-clusters.qcow2",
        "huge-clusters.qcow2", "sparse.vmdk", "stream.vmdk", "dynamic.vhd", "fixed.vhd",
        "disk.vhdx", "disk.vdi", "mbr.raw", "gpt.raw", "logical.raw", "logical.qcow2",
        "gpt.qcow2", "bare.raw", "snapshot.qcow2")),
    Specimen("qcow2-extended-l2", "unknown-features", whole("extended-l2.qcow2")),
    Specimen("qcow2-backing-file", "backing-file", whole("backed.qcow2"), "CVE-2015-5163"),
    Specimen("qcow2-backing-file-named-raw", "backing-file", renamed("backed.qcow2", "x.raw"),
             "CVE-2024-40767"),
    Specimen("qcow2-backing-file-without-suffix", "backing-file", renamed("backed.qcow2", "x"),
             "CVE-2024-44082"),
    Specimen("qcow2-data-file", "data-file", whole("outside.qcow2"), "CVE-2024-32498"),
    Specimen("qcow2-luks", "encrypted", whole("luks.qcow2")),
    Specimen("qcow2-aes", "encrypted", whole("aes.qcow2")),
    Specimen("luks", "encrypted", whole("luks.raw")),
    Specimen("luks-within-qcow2", "encrypted", whole("luks-within.qcow2")),
    Specimen("qcow2-within-qcow2", "image-within", whole("image-within.qcow2"), "CVE-2026-24708"),
    Specimen("qcow1", "unsupported-format", renamed("disk.qcow", "disk.qcow2")),
    Specimen("qed", "unsupported-format", whole("disk.qed")),
    Specimen("parallels", "unsupported-format", whole("disk.parallels")),
    Specimen("bochs", "unsupported-format",
             written("x.img", b"Bochs Virtual HD Image".ljust(512, b"\0"))),
    Specimen("cloop", "unsupported-format", written("x.img", b"#!/bin/sh\n#V2.0 Format\nmod\n")),
    Specimen("dmg", "unsupported-format", written("x.dmg", bytes(8192) + b"koly" + bytes(508))),
    Specimen("qcow2-named-raw", "format-mismatch", renamed(V3, "x.raw"), "CVE-2024-40767"),
    Specimen("qcow2-named-vmdk", "format-mismatch", renamed(V3, "x.vmdk")),
    Specimen("raw-named-qcow2", "format-mismatch", renamed("mbr.raw", "x.qcow2")),
    Specimen("qcow2-named-img", FINE, renamed(V3, "x.img")),
    Specimen("vhd-named-vhd", FINE, renamed("dynamic.vhd", "x.vhd")),
    *(Specimen(f"packed-{kind}", "packed", written(f"x.qcow2.{kind}", magic + bytes(600)))
      for kind, magic in (("gz", b"\x1f\x8b\x08"), ("xz", b"\xfd7zXZ\0"), ("zst", b"(\xb5/\xfd"),
                          ("bz2", b"BZh9"), ("zip", b"PK\3\4"), ("7z", b"7z\xbc\xaf'\x1c"))),
    Specimen("text", "no-image", written("x.img", b"this is no image\n" * 100)),
    Specimen("html", "no-image", written("x.img", b"<!DOCTYPE html><html>404</html>")),
    Specimen("json", "no-image", written("x.img", b'json:{"driver":"nbd","host":"::1"}')),
    Specimen("qcow2-data-file-json", "data-file",
             bent(V3, (72, u64(4)), (112, JSON_DATA_FILE)), "CVE-2024-4467"),
    Specimen("qcow2-cluster-bits-for-a-buffer-overflow", BAD, bent(V3, (20, u32(31))),
             "CVE-2014-0143"),
    Specimen("qcow2-refcount-order-for-a-crash", BAD, bent(V3, (96, u32(64))), "CVE-2014-0144"),
    Specimen("one-byte", "no-image", written("x.img", b"Q")),
    Specimen("empty-file", "empty", written("x.img", b"")),
    Specimen("empty-file-named-qcow2", "empty", written("x.qcow2", b"")),
    Specimen("zeros", "no-image", written("x.img", bytes(MIB))),
    Specimen("only-the-mark", BAD, written("x.qcow2", b"QFI\xfb")),
    *(Specimen(f"qcow2-cut-{n}", finding, cut(V3, n)) for n, finding in (
        (8, BAD), (71, BAD), (72, BAD), (103, BAD), (104, BAD), (112, "truncated"),
        (0x10000, "truncated"), (0x30000, "truncated"), (0x30008, "truncated"),
        (0x40000, "truncated"), (0x48000, "truncated"), (0x50000, "truncated"),
        (-65536, "truncated"), (-1, "truncated"))),
    Specimen("packed-qcow2-cut", "truncated", cut("packed.qcow2", -4096)),
    Specimen("zstd-qcow2-cut", "truncated", cut("zstd.qcow2", -4096)),
]  # fmt: skip

ISO = b"\1CD001\1\0"
POLYGLOTS = [
    Specimen("polyglot-qcow2-iso", "polyglot", bent(V3, (0x8000, ISO)), "CVE-2024-40767"),
    Specimen("polyglot-qcow2-vhd", "polyglot", bent(V3, (-512, b"conectix"))),
    Specimen("polyglot-qcow2-dmg", "polyglot", bent(V3, (-512, b"koly"))),
    Specimen("polyglot-qcow2-vdi", "polyglot", bent(V3, (0x40, b"\x7f\x10\xda\xbe"))),
    Specimen("polyglot-qcow2-mbr", "polyglot", bent(V3, (510, b"\x55\xaa"))),
    Specimen("polyglot-raw-iso", "unsupported-format", bent("mbr.raw", (0x8000, ISO))),
    Specimen("polyglot-raw-udf", "unsupported-format",
             bent("mbr.raw", (0x8000, b"\0BEA01\1"))),
    Specimen("polyglot-gpt-iso", "unsupported-format", bent("gpt.raw", (0x8000, ISO))),
    Specimen("polyglot-raw-vdi", "format-mismatch", bent("mbr.raw", (0x40, b"\x7f\x10\xda\xbe"))),
    Specimen("polyglot-raw-vmdk", "format-mismatch", bent("mbr.raw", (0, b"KDMV"))),
    Specimen("polyglot-raw-qcow2-mark", "format-mismatch", bent("mbr.raw", (0, b"QFI\xfb"))),
    Specimen("polyglot-vmdk-iso", "polyglot", bent("sparse.vmdk", (0x8000, ISO))),
    Specimen("polyglot-vdi-luks", "polyglot", bent("disk.vdi", (0, b"LUKS\xba\xbe"))),
    Specimen("polyglot-vhdx-mbr", "polyglot", bent("disk.vhdx", (510, b"\x55\xaa"))),
]  # fmt: skip


def entry(kind: int, start: int, size: int, flag: int = 0) -> bytes:
    """One MBR entry; start and size in sectors."""
    return struct.pack("<B3xB3xII", flag, kind, start, size)


FIRST, SECOND, THIRD = 446, 462, 478
BEYOND, OVERLAP = "partition-beyond-disk", "partitions-overlap"
# (what, offset, bytes, finding) on a raw disk with an MBR; the disk has 49152 sectors.
MBR_FIELDS = [
    ("no-signature", 510, b"\0\0", "no-image"),
    ("beyond-by-one", SECOND, entry(0x8E, 8192, 40961), BEYOND),
    ("to-the-end", SECOND, entry(0x8E, 8192, 40960), FINE),
    ("start-beyond", SECOND, entry(0x8E, 1 << 20, 8), BEYOND),
    ("start-max", SECOND, entry(0x8E, 0xFFFFFFFF, 0xFFFFFFFF), BEYOND),
    ("size-max", SECOND, entry(0x83, 2048, 0xFFFFFFFF), BEYOND),
    ("overlap", SECOND, entry(0x8E, 6143, 1000), OVERLAP),
    ("same-twice", SECOND, entry(0x83, 2048, 4096), OVERLAP),
    ("inside", SECOND, entry(0x83, 3000, 10), OVERLAP),
    ("three-overlap", THIRD, entry(0x83, 2048, 49000), OVERLAP),
    ("flag-wrong", FIRST, entry(0x83, 2048, 4096, 0x7F), "openstack-refuses"),
    ("all-entries-empty", FIRST, bytes(64), "openstack-refuses"),
    ("starts-at-0", THIRD, entry(0x83, 0, 2048), FINE),
    ("protective-without-gpt", FIRST, entry(0xEE, 1, 49151) + bytes(48), "openstack-refuses"),
    ("extended-beyond", THIRD, entry(0x0F, 1 << 24, 100), BEYOND),
    ("extended-empty", THIRD, entry(0x0F, 41000, 100), FINE),
    ("extended-on-itself", THIRD, entry(0x05, 0, 49152), OVERLAP),
]  # fmt: skip
EBR = 8192 * 512
# The first extended boot record of logical.raw lies where its extended partition starts.
EBR_FIELDS = [
    ("loop", EBR + SECOND, entry(0x05, 0, 8192), OVERLAP),
    ("loop-to-second", EBR + SECOND, entry(0x05, 6144, 8192), FINE),
    ("beyond", EBR + SECOND, entry(0x05, 1 << 28, 8192), FINE),
    ("logical-beyond", EBR + FIRST, entry(0x83, 2048, 1 << 28), BEYOND),
    ("logical-overlap", EBR + FIRST, entry(0x83, 2048, 10000), OVERLAP),
    ("no-signature", EBR + 510, b"\0\0", FINE),
]
GPT_HEADER, GPT_ENTRIES = 512, 1024
GPT_FIELDS = [
    ("primary-header-flipped", [(GPT_HEADER + 40, b"\xff")], FINE),
    ("primary-entries-flipped", [(GPT_ENTRIES, b"\xff")], FINE),
    ("backup-header-flipped", [(-512, b"XX")], FINE),
    ("both-headers-flipped", [(GPT_HEADER, b"XX"), (-512, b"XX")], "gpt-damaged"),
    ("both-headers-zero", [(GPT_HEADER, bytes(512)), (-512, bytes(512))], "gpt-damaged"),
    ("entries-count-max", [(592, b"\xff" * 4), (-432, b"\xff" * 4)], "gpt-damaged"),
    ("entry-size-0", [(596, bytes(4)), (-428, bytes(4))], "gpt-damaged"),
    ("protective-start", [(FIRST + 8, le32(2))], "openstack-refuses"),
    ("hybrid", [(SECOND, entry(0x83, 2048, 4096))], "openstack-refuses"),
]  # fmt: skip


def forged_gpt(first_lba: int, last_lba: int) -> Make:
    """gpt.raw with its first partition elsewhere, and every checksum right."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        import zlib

        disk = bytearray(kitchen.bytes_of("gpt.raw"))
        for header_at, entries_at in ((512, 1024), (len(disk) - 512, len(disk) - 512 * 33)):
            disk[entries_at + 32 : entries_at + 48] = le64(first_lba) + le64(last_lba)
            entries = bytes(disk[entries_at : entries_at + 128 * 128])
            header = bytearray(disk[header_at : header_at + 92])
            header[88:92] = le32(zlib.crc32(entries))
            header[16:20] = bytes(4)
            header[16:20] = le32(zlib.crc32(bytes(header)))
            disk[header_at : header_at + 92] = header
        path = folder / "gpt.raw"
        path.write_bytes(disk)
        return path

    return make


TABLES = [
    *(field(f"mbr-{what}", at, new, finding, "mbr.raw") for what, at, new, finding in MBR_FIELDS),
    *(field(f"ebr-{what}", at, new, finding, "logical.raw")
      for what, at, new, finding in EBR_FIELDS),
    *(Specimen(f"gpt-{what}", finding, bent("gpt.raw", *changes))
      for what, changes, finding in GPT_FIELDS),
    Specimen("gpt-beyond", BEYOND, forged_gpt(2048, 60000)),
    Specimen("gpt-overlap", OVERLAP, forged_gpt(2048, 9000)),
    Specimen("gpt-backwards", "partition-size", forged_gpt(4096, 2048)),
    Specimen("gpt-last-lba-max", BEYOND, forged_gpt(2048, ALL_ONES - 1)),
    Specimen("gpt-starts-at-0", FINE, forged_gpt(0, 4096)),
    *(Specimen(f"mbr-cut-{n}", finding, cut("mbr.raw", n)) for n, finding in (
        (511, "no-image"), (512, BEYOND), (MIB, BEYOND), (PV_AT, BEYOND),
        (20 * MIB - 512, BEYOND))),
    Specimen("mbr-cut-behind-the-last", FINE, cut("mbr.raw", 20 * MIB)),
    Specimen("gpt-cut", "gpt-damaged", cut("gpt.raw", 10 * MIB)),
    Specimen("gpt-cut-512", "gpt-damaged", cut("gpt.raw", 512)),
]  # fmt: skip


def lvm(what: str, change: Callable[[bytes], bytes]) -> Specimen:
    """A disk whose LVM is forged: a check does not read so far, `inspect` and `build` do."""

    def make(kitchen: Kitchen, folder: Path) -> Path:
        disk = kitchen.bytes_of("mbr.raw")
        path = folder / "mbr.raw"
        path.write_bytes(patched(disk, (PV_AT, change(disk[PV_AT : PV_AT + 16 * MIB]))))
        return path

    return Specimen(f"lvm-{what}", FINE, make)


def text(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda pv: edit.replace_text(pv, old, new)


LVM = [
    lvm("label-flipped", lambda pv: edit.flipped(pv, 600)),
    lvm("header-flipped", lambda pv: edit.flipped(pv, 4100)),
    lvm("text-lost", lambda pv: edit.with_text(pv, b"")),
    lvm("text-deep", lambda pv: edit.with_text(pv, b"a {" * 5000)),
    lvm("text-long", lambda pv: edit.with_text(pv, b"# " + b"x" * 900000)),
    lvm("overlap", text(b'"pv0", 6', b'"pv0", 1')),
    lvm("beyond", text(b'"pv0", 6', b'"pv0", 99999')),
    lvm("thin", text(b'"striped"', b'"thin"')),
    lvm("other-disk", text(b'"pv0", 6', b'"pv7", 6')),
    lvm("no-extents", text(b"extent_size = 2048", b"extent_size = 0")),
    lvm("huge-extents", text(b"extent_size = 2048", b"extent_size = 9223372036854775807")),
    lvm("name-path", text(b"docker-pool {", b"../../etc {")),
    lvm("name-dots", text(b"docker-pool {", b".. {")),
    lvm("name-option", text(b"docker-pool {", b"--help {")),
    lvm("group-name-long", text(b"atomicos {", b"a" * 4000 + b" {")),
]


def link(target: str) -> Make:
    def make(_kitchen: Kitchen, folder: Path) -> Path:
        path = folder / "x.qcow2"
        path.symlink_to(target)
        return path

    return make


def good_link(kitchen: Kitchen, folder: Path) -> Path:
    path = folder / "x.qcow2"
    path.symlink_to(kitchen.real(V3))
    return path


def fifo(_kitchen: Kitchen, folder: Path) -> Path:
    os.mkfifo(folder / "x.qcow2")
    return folder / "x.qcow2"


def socket(_kitchen: Kitchen, folder: Path) -> Path:
    os.mknod(folder / "x.qcow2", 0o140600)
    return folder / "x.qcow2"


def directory(_kitchen: Kitchen, folder: Path) -> Path:
    (folder / "x.qcow2").mkdir()
    return folder / "x.qcow2"


def absent(name: str) -> Make:
    return lambda _kitchen, folder: folder / name


def huge_hole(_kitchen: Kitchen, folder: Path) -> Path:
    path = folder / "x.raw"
    sparse(path, 1 << 43)
    return path


NO = "unreadable"
PLACES = [
    Specimen("place-absent", NO, absent("x.qcow2")),
    Specimen("place-under-a-file", NO, lambda _k, _f: Path("/etc/passwd/x.qcow2")),
    Specimen("place-folder", NO, directory),
    Specimen("place-pipe", NO, fifo),
    Specimen("place-socket", NO, socket),
    Specimen("place-link-to-zero", NO, link("/dev/zero")),
    Specimen("place-link-to-null", NO, link("/dev/null")),
    Specimen("place-link-to-random", NO, link("/dev/urandom")),
    Specimen("place-link-to-terminal", NO, link("/dev/tty")),
    Specimen("place-link-to-itself", NO, link("x.qcow2")),
    Specimen("place-link-to-nothing", NO, link("nowhere")),
    Specimen("place-link-to-passwd", "format-mismatch", link("/etc/passwd")),
    Specimen("place-link-to-kernel-memory", NO, link("/proc/self/mem")),
    Specimen("place-link-to-image", FINE, good_link),
    Specimen("place-null-device", NO, lambda _k, _f: Path("/dev/null")),
    Specimen("place-long-name", NO, absent("x" * 300)),
    *(Specimen(f"place-protocol-{name.partition(':')[0]}", NO, absent(name)) for name in (
        "nbd:localhost:10809", "fat:rw:etc", "http:x", "ssh:x", "json:{}", "blkdebug:x:y",
        "iscsi:x", "gluster:x", "rbd:x", "file:x", "null-co:x", "fd:0")),
    *(Specimen(f"name-{what}", FINE, renamed(V3, name)) for what, name in (
        ("newline", "a\nb.qcow2"), ("space", " a b .qcow2"), ("dash", "-o.qcow2"),
        ("dashes", "--help"), ("quote", "a'b\"c.qcow2"), ("comma", "a,b=c,,d.qcow2"),
        ("percent", "%s%n.qcow2"), ("dollar", "$(id)`id`;id.qcow2"), ("unicode", "ünï☃.qcow2"),
        ("colon", "nbd:localhost:1.qcow2"), ("json", 'json:{"driver":"null-co"}'),
        ("fat", "fat:rw:."), ("escape", "\x1b[31m.qcow2"), ("backslash", "a\\n.qcow2"),
        ("braces", "{}.qcow2"), ("glob", "*?[].qcow2"), ("tilde", "~.qcow2"),
        ("data-url", "data:,x"), ("long", "x" * 200 + ".qcow2"))),
    Specimen("name-not-unicode", NO, renamed(V3, os.fsdecode(b"\xff\xfe.qcow2"))),
    Specimen("name-not-unicode-latin", NO, renamed(V3, os.fsdecode(b"caf\xe9.qcow2"))),
]  # fmt: skip


def qcow2_fields() -> Iterator[Specimen]:
    for what, at, new, finding in (*QCOW2_FIELDS, *QCOW2_TABLES):
        yield field(f"qcow2-{what}", at, new, finding, V3)


HOSTILE: tuple[Specimen, ...] = (
    *qcow2_fields(), *FORMATS, *POLYGLOTS, *VMDK, *VIRTUAL_PC, *TABLES, *LVM, *BOMBS, *PLACES,
)  # fmt: skip
"""Every hostile image; the names are unique."""
