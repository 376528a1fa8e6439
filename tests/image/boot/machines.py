"""Images of a few files for tests of what firmware comes to: an ESP, a /boot and a root."""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Partition, PartitionTable, Survey, Volume
from bakery.image import trees
from bakery.image.boot import chain
from bakery.image.boot.chain import Chain
from bakery.image.boot.entry import BootEntry
from bakery.image.boot.esp import ESP_TYPES, XBOOTLDR_TYPES
from bakery.image.reader import Reader
from bakery.samples import bootloader
from tests.image.test_boot_entries import Files
from tests.system import programs

MIB = 1 << 20
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
PARTITIONS = (
    Partition(1, MIB, MIB, ESP_TYPES[0]),
    Partition(2, 2 * MIB, MIB, LINUX),
    Partition(3, 3 * MIB, MIB, LINUX),
    Partition(4, 4 * MIB, MIB, XBOOTLDR_TYPES[0]),
)
ESP = Volume("/dev/sda1", MIB, (Extent(MIB, MIB),), "vfat", "7B77-95E7", "EFI")
BOOT = Volume("/dev/sda2", MIB, (Extent(2 * MIB, MIB),), "ext4", "b007-02", "boot")
ROOT = Volume("/dev/sda3", MIB, (Extent(3 * MIB, MIB),), "ext4", "2007-03", "the root")
EXTENDED = Volume("/dev/sda4", MIB, (Extent(4 * MIB, MIB),), "vfat", "EEEE-0004", "XBOOTLDR")
PROGRAM = "EFI/BOOT/BOOTX64.EFI"
KERNELS = {f"{kind}-{n}": kind for kind in ("vmlinuz", "initrd") for n in range(1, 4)}

Tree = Mapping[str, str | bytes]


class Machine(Files):
    """An engine on such an image; `disk` are its first bytes, which a BIOS reads."""

    label = "gpt"
    partitions: tuple[Partition, ...] = PARTITIONS

    def survey(self) -> Survey:
        table = PartitionTable(self.label, "", self.partitions)
        return Survey(9 * MIB, table, (), self.volumes, boot_code=any(self.disk[:440]))


def machine(files: Mapping[Volume, Tree], *, disk: bytes = b"", **more: object) -> Reader:
    engine = Machine({volume.name: tree for volume, tree in files.items()})
    engine.volumes = tuple(dict.fromkeys(volume.at(None) for volume in files))
    engine.disk = disk
    for name, value in more.items():
        setattr(engine, name, value)
    asked: Any = engine  # as much of an engine as is asked
    return Reader(asked)


def read(reader: Reader) -> Chain:
    opened = trees.opened(reader)
    return chain.read(reader, opened, trees.of(reader, opened))


def first(files: Mapping[Volume, Tree], **more: object) -> BootEntry:
    """What starts by itself."""
    disk = more.pop("disk", b"")
    assert isinstance(disk, bytes)
    return read(machine(files, disk=disk, **more)).entries[0]


def entry(mark: str, number: int = 1, title: str = "", folder: str = "") -> str:
    """A menu entry whose arguments say which one it is."""
    return (
        f"menuentry '{title or mark}' {{\n linux {folder}/vmlinuz-{number} root=/dev/sda3 {mark}\n"
        f" initrd {folder}/initrd-{number}\n}}\n"
    )


def loader_entry(mark: str, number: int = 1, **more: str) -> str:
    """A file of the Boot Loader Specification likewise."""
    fields = {
        "title": mark,
        "linux": f"/vmlinuz-{number}",
        "initrd": f"/initrd-{number}",
        "options": f"root=/dev/sda3 {mark}",
    } | more
    return "".join(f"{key} {value}\n" for key, value in fields.items())


@functools.cache
def grub(prefix: str = "/EFI/test", config: str | None = None) -> bytes:
    """GRUB's program for UEFI as grub-mkimage makes it."""
    with tempfile.TemporaryDirectory() as folder:
        return programs.grub_program(
            Path(folder), prefix=prefix, config=config, modules=("normal",)
        )


@functools.cache
def grub_of_bios(prefix: str) -> bytes:
    """The first bytes of a disk that a BIOS starts GRUB from, as grub-install lays it out."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk"
        disk.write_bytes(bytes(MIB))
        bootloader.install_bios(disk, prefix, Path(folder))
        data = disk.read_bytes()
    return data[:510] + b"\x55\xaa" + data[512:]


@functools.cache
def unified(cmdline: str, title: str = "Debian") -> bytes:
    """A unified kernel image as objcopy makes it of systemd's stub."""
    release = f'ID=debian\nPRETTY_NAME="{title}"\n'
    sections = [
        (".osrel", release.encode()),
        (".cmdline", cmdline.encode()),
        (".uname", b"6.1.0-9"),
        (".initrd", b"the initrd"),
        (".linux", b"the kernel"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        return programs.uki(Path(folder), sections)
