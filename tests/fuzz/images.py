"""What an image's file and its disk hold: formats, partition tables, LVM, filesystems, a base."""

import io
import os
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from bakery.disk import digest
from bakery.disk.extents import Extent, ReadAt
from bakery.disk.formats import detect, peek, qcow2, qcow2_map, safety, vdi, vhd, vmdk
from bakery.disk.formats import second_opinion as inspector
from bakery.disk.packed import frames, packed_index
from bakery.disk.volumes import (
    btrfs_files,
    ext4,
    filesystem_size,
    gpt,
    lvm,
    lvm_config,
    lvm_label,
    partitions,
    xfs,
)
from bakery.disk.volumes.volumes import Subvolume, Volume
from bakery.image.engines import view
from bakery.image.subvolumes import mounted_with
from bakery.node.agent import bootloader
from bakery.node.agent import image as agent_image
from bakery.node.agent.zstd import Decompressor
from bakery.system import architecture
from tests import tiny
from tests.disk.volumes import btrfses, disks_4k, pvs
from tests.fuzz.target import Target, in_file, text

DISK_BYTES = 6 << 30
MIB = 1 << 20
SECTOR_4K = disks_4k.SECTOR
PAGE_BYTES = 4096
BTRFS_LABEL_AT = 64 << 10
_VOLUME = Volume("/dev/sda1", 1, (), "btrfs", subvolumes=(Subvolume(256, "@/a", False),))
XFS_BYTES = 320 << 20
XFS_LOG_BYTES = 16 << 10
XFS_ROOT, XFS_LEAF = 20, 21
"""Blocks behind what a new one has in use there."""
EXTENDED = (
    b"\0" * 446 + bytes.fromhex("00000000 0f000000 00080000 00100000") + b"\0" * 48 + b"\x55\xaa"
)


def targets(work: Path) -> list[Target]:
    """All of them; `work` is a folder for scratch."""
    image = _image(work, "qcow2", "-c", "-o", "cluster_size=4096")
    return [
        Target("qcow2 header", lambda d: qcow2.findings(qcow2.parse(d)), image[:4096]),
        Target("qcow2 map", lambda d: qcow2_map.allocated(io.BytesIO(d)), image),
        Target("check", lambda d: _check(work, d), image),
        *_other_formats(work),
        Target("partitions", lambda d: partitions.from_sfdisk(d, DISK_BYTES), _sfdisk(work)),
        Target("GPT of 4096-byte sectors", _gpt, _table_4k(work)),
        Target("extended partitions", lambda d: list(peek._extended(d)), EXTENDED),
        *_of_lvm(),
        *_of_filesystems(work),
        *_of_a_base(),
        Target("kernel head", architecture.of_kernel, _kernel_head()),
        Target("kernel head, ELF", architecture.of_kernel, ELF),
        Target(
            "image to be shown", in_file(work / "shown", view._refuse_external_data), image[:80]
        ),
        Target("boot loader, on a node", _loader(work), _table_of_efi()),
    ]


def _other_formats(work: Path) -> list[Target]:
    sparse = _image(work, "vmdk")
    streamed = _image(work, "vmdk", "-o", "subformat=streamOptimized")
    fixed = _image(work, "vpc", "-o", "subformat=fixed")
    descriptor = sparse[512:1536].partition(b"\0")[0]
    return [
        Target("VMDK", lambda d: _vmdk(io.BytesIO(d)), sparse),
        Target("VMDK, streamed", lambda d: _vmdk(io.BytesIO(d)), streamed),
        Target("VMDK descriptor", vmdk.descriptor_findings, descriptor),
        Target("VDI", lambda d: vdi.findings(_ends(d)), _image(work, "vdi")[:8192]),
        Target("VHD", lambda d: vhd.findings(_ends(d)), _image(work, "vpc")[:2048]),
        Target("VHD, fixed", lambda d: vhd.findings(_ends(d)), fixed[-2048:]),
        Target("kind of a file", lambda d: _kinds(_ends(d)), sparse[:2048]),
        Target("second opinion", _opinion, streamed),
    ]


def _vmdk(file: io.BytesIO) -> object:
    """As the check asks: whether it is whole, of a header that nothing speaks against."""
    return vmdk.findings(file) or vmdk.truncation(file)


def _ends(data: bytes) -> detect.Ends:
    return detect.read_ends(io.BytesIO(data))


def _kinds(ends: detect.Ends) -> object:
    return detect.sniff(ends), detect.image_kinds(ends), detect.looks_like_a_disk(ends.head)


def _opinion(data: bytes) -> object:
    file = io.BytesIO(data)
    return inspector.findings(file, detect.sniff(detect.read_ends(file)))


def _of_lvm() -> list[Target]:
    volume = pvs.load("split")
    read_at = _inside(volume)
    label = lvm_label.read_label(read_at)
    assert label is not None
    area = label.areas[0]
    metadata = lvm_label.read_text(read_at, area)
    assert metadata is not None
    return [
        Target("LVM", lambda d: lvm.read(_inside(d), _PLACES), volume),
        Target("LVM metadata", lambda d: lvm.read(_metadata(volume, d), _PLACES), metadata),
        Target("LVM configuration", lvm_config.parse, metadata),
    ]


_PLACES = [(2, Extent(0, pvs.SIZE_BYTES))]


def _inside(data: bytes, size: int = pvs.SIZE_BYTES) -> ReadAt:
    """A volume of `size` bytes that begins with `data`."""

    def read_at(offset: int, length: int) -> bytes:
        inside = max(0, min(length, size - offset))
        return data[offset : offset + inside].ljust(inside, b"\0")

    return read_at


def _metadata(volume: bytes, words: bytes) -> ReadAt:
    """A physical volume whose metadata are `words`, its checksums right."""
    label = lvm_label.read_label(_inside(volume))
    assert label is not None
    made = bytearray(volume)
    for area in label.areas:
        at = area.offset
        place = at + lvm_label.AREA_HEADER_BYTES
        words = words[: area.size - 2 * lvm_label.AREA_HEADER_BYTES]
        told = (lvm_label.AREA_HEADER_BYTES, len(words), lvm_label.checksum(words), 0)
        if at + lvm_label.AREA_HEADER_BYTES > len(made):
            continue
        lvm_label._TEXT.pack_into(made, at + lvm_label._AREA.size, *told)
        made[place : place + len(words)] = words
        header = made[at + 4 : at + lvm_label.AREA_HEADER_BYTES]
        made[at : at + 4] = lvm_label.checksum(bytes(header)).to_bytes(4, "little")
    return _inside(bytes(made))


def _of_filesystems(work: Path) -> list[Target]:
    plain, head = work / "seed.ext4", 4096
    with plain.open("wb") as file:
        file.truncate(8 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", plain], check=True)
    superblock, log = _xfs(work)
    of_btrfs = _Btrfs()
    return [
        Target("btrfs", of_btrfs.read, of_btrfs.seed),
        Target(
            "subvolumes",
            lambda d: mounted_with(_VOLUME, text(d).split(",")),
            b"rw,subvol=@/a,subvolid=256",
        ),
        Target("ext4 superblock", lambda d: ext4.read(_inside(d)), plain.read_bytes()[:head]),
        Target("size of a filesystem", _sizes, plain.read_bytes()[:head]),
        Target(
            "XFS", lambda d: _of_xfs(d[: len(superblock)], d[len(superblock) :]), superblock + log
        ),
        Target(
            "XFS, a tree of two levels", lambda d: _counted(superblock, d), _tree_of_two_levels()
        ),
    ]


def _sizes(data: bytes) -> object:
    return [filesystem_size.read(kind, _inside(data)) for kind in ("ext4", "xfs", "btrfs", "vfat")]


def _gpt(data: bytes) -> object:
    """A table whose checksums are right, whatever it says."""
    disk = bytearray(data[: 6 * SECTOR_4K])
    size = MIB
    entries = zlib.crc32(disk[2 * SECTOR_4K :])
    disk[SECTOR_4K + 88 : SECTOR_4K + 92] = entries.to_bytes(4, "little")
    header = disk[SECTOR_4K : SECTOR_4K + 92]
    header[16:20] = bytes(4)
    disk[SECTOR_4K + 16 : SECTOR_4K + 20] = zlib.crc32(header).to_bytes(4, "little")
    read_at = _inside(bytes(disk), size)
    table = gpt.read(read_at, size, gpt.sector_bytes(read_at, size))
    return partitions.problems(table, size)


def _table_4k(work: Path) -> bytes:
    disk = work / "table-4k.raw"
    disk.write_bytes(bytes(MIB))
    disks_4k.write_table(disk, [(64 << 10, 128 << 10, "boot"), (256 << 10, 128 << 10, "root")])
    return disk.read_bytes()[: 6 * SECTOR_4K]


class _Btrfs:
    """The pages of a btrfs that lead to its files: where each lies, and what they are joined."""

    def __init__(self) -> None:
        device = btrfses.load("system")
        label = device[BTRFS_LABEL_AT + 32 : BTRFS_LABEL_AT + 48]
        pages: list[bytes] = []
        self._places: dict[int, int] = {}
        for place in range(0, btrfses.SIZE_BYTES, PAGE_BYTES):
            page = device[place : place + PAGE_BYTES]
            if page[32:48] == label:
                self._places[place // PAGE_BYTES] = len(pages)
                pages.append(page)
        self.seed = b"".join(pages)

    def read(self, data: bytes) -> object:
        """Look through all of it, as both engines' users do."""

        def read_at(offset: int, length: int) -> bytes:
            first, last = offset // PAGE_BYTES, -(-(offset + length) // PAGE_BYTES)
            got = b"".join(self._page(data, number) for number in range(first, last))
            start = offset - first * PAGE_BYTES
            return got[start : start + max(0, min(length, btrfses.SIZE_BYTES - offset))]

        files = btrfs_files.Files(read_at)
        top = files.top(btrfses.SUBVOLUMES[0].id)
        found = files.find(top, b"/etc/into")
        names = files.directory(top.node)
        return files.subvolumes(), names, found and files.status(found.node)

    def _page(self, data: bytes, number: int) -> bytes:
        at = self._places.get(number, -1) * PAGE_BYTES
        return data[at : at + PAGE_BYTES].ljust(PAGE_BYTES, b"\0") if at >= 0 else bytes(PAGE_BYTES)


def _xfs(work: Path) -> tuple[bytes, bytes]:
    """The first sectors of an XFS with reference counts, and the beginning of its log."""
    image = work / "seed.xfs"
    with image.open("wb") as file:
        file.truncate(XFS_BYTES)
    subprocess.run(["mkfs.xfs", "-q", "-f", image], check=True)
    with image.open("rb") as file:
        told = xfs.read(lambda offset, length: os.pread(file.fileno(), length, offset))
        return os.pread(file.fileno(), 64 << 10, 0), os.pread(
            file.fileno(), XFS_LOG_BYTES, told.log.offset
        )


def _of_xfs(head: bytes, log: bytes) -> object:
    superblock = xfs.read(_inside(head, XFS_BYTES))

    def read_at(offset: int, length: int) -> bytes:
        inside = max(0, min(length, XFS_BYTES - offset))
        place = superblock.log.offset
        if place <= offset < place + len(log):
            return log[offset - place : offset - place + inside].ljust(inside, b"\0")
        return head[offset : offset + inside].ljust(inside, b"\0")

    clean = xfs.is_clean(read_at, superblock)
    return clean, xfs.shared(read_at, superblock, Extent(64 << 10, 4096))


def _tree_of_two_levels() -> bytes:
    """The counts of an XFS's first group: the root, and the leaf it leads to."""
    room = (PAGE_BYTES - xfs.BTREE_HEADER_BYTES) // xfs.KEY_AND_POINTER_BYTES
    root = xfs.REFCOUNT_MAGIC + struct.pack(">HH", 1, 1)
    root = root.ljust(xfs.BTREE_HEADER_BYTES, b"\0") + struct.pack(">I", 0)
    root = root.ljust(xfs.BTREE_HEADER_BYTES + 4 * room, b"\0") + struct.pack(">I", XFS_LEAF)
    leaf = xfs.REFCOUNT_MAGIC + struct.pack(">HH", 0, 1)
    leaf = leaf.ljust(xfs.BTREE_HEADER_BYTES, b"\0") + struct.pack(">III", 16, 1, 2)
    return root.ljust(PAGE_BYTES, b"\0") + leaf.ljust(PAGE_BYTES, b"\0")


def _counted(head: bytes, tree: bytes) -> bool:
    """Whether the 17th block is shared, by the superblock of `head` and the counts in `tree`."""
    told = bytearray(head.ljust((XFS_LEAF + 1) * PAGE_BYTES, b"\0"))
    superblock = xfs.read(_inside(head, XFS_BYTES))
    struct.pack_into(">II", told, superblock.sector_bytes + 88, XFS_ROOT, 2)
    root = XFS_ROOT * PAGE_BYTES
    told[root : root + 2 * PAGE_BYTES] = tree[: 2 * PAGE_BYTES].ljust(2 * PAGE_BYTES, b"\0")
    return xfs.shared(_inside(bytes(told), XFS_BYTES), superblock, Extent(64 << 10, PAGE_BYTES))


def _of_a_base() -> list[Target]:
    inflate, room = Decompressor().into, _room()
    frame = frames.pack(b"bakery " * 500)
    return [
        Target("packed index", lambda d: packed_index.decode(d, "index"), _index()),
        Target("packed index, on a node", agent_image.parse, _index()),
        Target("frame", _unpacked, frame),
        Target("frame, on a node", lambda d: inflate(d, room, 3500), frame),
    ]


def _room():
    import mmap

    return mmap.mmap(-1, MIB)


def _unpacked(data: bytes) -> object:
    try:
        return frames.unpack(data)
    except ValueError:  # as its docstring has it
        return None


def _index() -> bytes:
    """Two chunks of three, of which the last is short."""
    size = 2 * digest.CHUNK_BYTES + 100
    sums = {0: "11" * 32, 2: "22" * 32}
    known = ((number, bytes.fromhex(text)) for number, text in sums.items())
    chunks = tuple(
        packed_index.PackedChunk(n, n * 500, 400, text, text) for n, text in sums.items()
    )
    whole = digest.of_chunks(size, known)
    return packed_index.encode(
        packed_index.Index(size_bytes=size, digest=whole, packed_bytes=2000, chunks=chunks)
    )


def _kernel_head() -> bytes:
    """A Linux kernel for x86-64 with a boot stub, as far as its head tells."""
    head = bytearray(1024)
    head[0:2], head[0x3C:0x40] = b"MZ", (0x240).to_bytes(4, "little")
    head[0x202:0x206], head[0x236:0x238] = b"HdrS", b"\x01\0"
    head[0x240:0x246] = b"PE\0\0" + (0x8664).to_bytes(2, "little")
    return bytes(head)


# As far as it tells the processor: arm64's, of 64 bits and little-endian (elf(5)).
ELF = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x02\0\xb7\0" + bytes(44)


def _table_of_efi() -> bytes:
    """A disk that no BIOS starts from, with a GPT of one EFI system partition."""
    disk = bytearray(4 * 512)
    disk[450], disk[510:512] = 0xEE, b"\x55\xaa"
    disk[512:520] = bootloader.GPT_SIGNATURE
    struct.pack_into("<QII", disk, 512 + 72, 2, 4, 128)
    disk[1024 + 128 : 1024 + 144] = bootloader.ESP_GUID
    return bytes(disk)


def _loader(work: Path) -> Callable[[bytes], object]:
    """As of a disk, which has more than its first sectors."""
    there = in_file(work / "disk", lambda path: bootloader.is_there(str(path)))
    return lambda data: there(data.ljust(4 * 512, b"\0"))


def _check(work: Path, data: bytes) -> object:
    with tempfile.NamedTemporaryFile(dir=work, suffix=".qcow2") as file:
        file.write(data)
        file.flush()
        # Without the programs: they would be fuzzed, at a hundredth of the speed.
        return safety.check(Path(file.name), with_partitions=False, with_openstack=False)


def _image(work: Path, kind: str, *options: str) -> bytes:
    raw, image = work / "seed.raw", work / f"seed.{kind}"
    with raw.open("wb") as file:
        file.truncate(MIB)
        file.write(b"data" * 5000)
    words: list[str | Path] = ["qemu-img", "convert", "-O", kind, *options, raw, image]
    subprocess.run(words, check=True)
    return image.read_bytes()


def _sfdisk(work: Path) -> bytes:
    raw = work / "table.raw"
    with raw.open("wb") as file:
        file.truncate(64 << 20)
    tiny.run("sfdisk", "-q", raw, stdin="label: gpt\nsize=8M,name=boot\nsize=16M\n")
    argv: list[str | Path] = ["/usr/sbin/sfdisk", "--json", raw]
    return subprocess.run(argv, check=True, capture_output=True).stdout
