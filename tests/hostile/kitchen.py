"""Small real images, made once by real tools, from which the hostile ones are cut."""

import functools
import lzma
import os
import shutil
import struct
from pathlib import Path

from bakery.host.run import run
from tests.disk.volumes import pvs

MIB = 1 << 20
DISK_BYTES = 24 * MIB
BOOT_AT, BOOT_BYTES = 1 * MIB, 2 * MIB
PV_AT = 4 * MIB
MBR = "label: dos\nstart=2048,size=4096,type=83,bootable\nstart=8192,size=32768,type=8e\n"
GPT = "label: gpt\nstart=2048,size=4096,type=linux\nstart=8192,size=32768,type=lvm\n"
LOGICAL = (
    "label: dos\nstart=2048,size=4096,type=83\nstart=8192,size=36864,type=f\n"
    "start=10240,size=4096,type=83\nstart=16384,size=4096,type=8e\n"
)
LUKS_HEADER = Path(__file__).with_name("luks-header.xz")

# name of an image → (its format, options of qemu-img convert)
CONVERTED = {
    "v3.qcow2": ("qcow2", ()),
    "v2.qcow2": ("qcow2", ("-o", "compat=0.10")),
    "packed.qcow2": ("qcow2", ("-c",)),
    "zstd.qcow2": ("qcow2", ("-c", "-o", "compression_type=zstd")),
    "tiny-clusters.qcow2": ("qcow2", ("-o", "cluster_size=512")),
    "huge-clusters.qcow2": ("qcow2", ("-o", "cluster_size=2M")),
    "extended-l2.qcow2": ("qcow2", ("-o", "extended_l2=on")),
    "sparse.vmdk": ("vmdk", ("-o", "subformat=monolithicSparse")),
    "stream.vmdk": ("vmdk", ("-o", "subformat=streamOptimized")),
    "flat.vmdk": ("vmdk", ("-o", "subformat=monolithicFlat")),
    "dynamic.vhd": ("vpc", ("-o", "subformat=dynamic,force_size=on")),
    "fixed.vhd": ("vpc", ("-o", "subformat=fixed,force_size=on")),
    "disk.vhdx": ("vhdx", ()),
    "disk.vdi": ("vdi", ()),
    "disk.qed": ("qed", ()),
    "disk.qcow": ("qcow", ()),
    "disk.parallels": ("parallels", ()),
}


class Kitchen:
    """Makes and keeps the real images; `folder` is emptied by nobody but its owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cache  # noqa: B019 - one kitchen a test run
    def real(self, name: str) -> Path:
        """A real image by its name: a key of CONVERTED, or one of those made here."""
        path = self.folder / name
        if name in CONVERTED:
            image_format, options = CONVERTED[name]
            disk = self.real("mbr.raw")
            words = ["qemu-img", "convert", "-f", "raw", "-O", image_format, *options]
            run([*words, disk, path])
        else:
            getattr(self, "_" + name.replace(".", "_").replace("-", "_"))(path)
        return path

    def bytes_of(self, name: str) -> bytes:
        """The content of a real image."""
        return self.real(name).read_bytes()

    def _mbr_raw(self, path: Path) -> None:
        self._disk(path, MBR)

    def _gpt_raw(self, path: Path) -> None:
        self._disk(path, GPT)

    def _logical_raw(self, path: Path) -> None:
        self._disk(path, LOGICAL)

    def _logical_qcow2(self, path: Path) -> None:
        self._to_qcow2("logical.raw", path)

    def _gpt_qcow2(self, path: Path) -> None:
        self._to_qcow2("gpt.raw", path)

    def _bare_raw(self, path: Path) -> None:
        """A filesystem on a disk without a partition table."""
        self._filesystem(path, 8 * MIB)

    def _luks_qcow2(self, path: Path) -> None:
        """An encrypted qcow2: its mark in a plain header, for LUKS itself takes long to make."""
        path.write_bytes(patched(self.bytes_of("v3.qcow2"), (32, struct.pack(">I", 2))))

    def _aes_qcow2(self, path: Path) -> None:
        """The old encryption, which qemu-img no longer makes: its mark in a plain header."""
        path.write_bytes(patched(self.bytes_of("v3.qcow2"), (32, struct.pack(">I", 1))))

    def _luks_raw(self, path: Path) -> None:
        """A LUKS header that qemu-img made (4096 bytes are kept), on a disk without content."""
        path.write_bytes(lzma.decompress(LUKS_HEADER.read_bytes()))
        os.truncate(path, 4 * MIB)

    def _luks_within_qcow2(self, path: Path) -> None:
        self._to_qcow2("luks.raw", path)

    def _image_within_qcow2(self, path: Path) -> None:
        self._to_qcow2("v3.qcow2", path)

    def _snapshot_qcow2(self, path: Path) -> None:
        shutil.copyfile(self.real("v3.qcow2"), path)
        run(["qemu-img", "snapshot", "-c", "before", path])

    def _backed_qcow2(self, path: Path) -> None:
        back = ["-F", "qcow2", "-b", str(self.real("v3.qcow2"))]
        run(["qemu-img", "create", "-q", "-f", "qcow2", *back, path])

    def _outside_qcow2(self, path: Path) -> None:
        data = path.with_name("outside.data")
        option = f"data_file={data},data_file_raw=on"
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", option, path, str(DISK_BYTES)])

    def _empty_qcow2(self, path: Path) -> None:
        run(["qemu-img", "create", "-q", "-f", "qcow2", path, "6G"])

    def _child_vmdk(self, path: Path) -> None:
        back = ["-F", "vmdk", "-b", str(self.real("sparse.vmdk"))]
        run(["qemu-img", "create", "-q", "-f", "vmdk", *back, path])

    def _disk(self, path: Path, table: str) -> None:
        filesystem = self.folder / "boot.ext4"
        if not filesystem.exists():
            self._filesystem(filesystem, BOOT_BYTES)
        sparse(path, DISK_BYTES)
        run(["sfdisk", "-q", path], stdin=table.encode())
        with path.open("r+b") as disk:
            disk.seek(BOOT_AT)
            disk.write(filesystem.read_bytes())
            if table is not LOGICAL:  # its extended partition starts where the others have LVM
                disk.seek(PV_AT)
                disk.write(pvs.load("split"))

    def _to_qcow2(self, name: str, path: Path) -> None:
        """The bytes of another image as the content of a qcow2."""
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.real(name), path])

    def _filesystem(self, path: Path, size: int) -> None:
        sparse(path, size)
        run(["mke2fs", "-q", "-t", "ext4", path])


def sparse(path: Path, size: int) -> None:
    """A file of `size` bytes that holds nothing."""
    path.touch()
    os.truncate(path, size)


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """`data` with bytes written over it at the offsets given; negative ones count from the end."""
    result = bytearray(data)
    for at, new in changes:
        start = at if at >= 0 else len(result) + at
        if start + len(new) > len(result):
            result.extend(bytes(start + len(new) - len(result)))
        result[start : start + len(new)] = new
    return bytes(result)
