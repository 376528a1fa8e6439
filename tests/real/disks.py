"""A disk of another project's layout: its partition table, and filesystems put into partitions."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakery.host.run import Arg, run
from bakery.samples import assemble
from bakery.samples.mounts import loop_device

MIB = 1 << 20
SECTOR_BYTES = 512
TAIL_BYTES = MIB  # behind the last partition: the backup table of a GPT

# GPT partition types: the Discoverable Partitions Specification's, and GRUB's for its core image.
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT_X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
# MBR ids.
MBR_LINUX, MBR_LVM, MBR_SWAP = "83", "8e", "82"


@dataclass(frozen=True)
class Partition:
    """A partition of the table: its number, its type as sfdisk takes it, its place in bytes."""

    number: int
    type: str
    start: int
    size: int
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def place(self) -> tuple[int, int]:
        """(offset, length) in the disk."""
        return self.start, self.size


@dataclass(frozen=True)
class Volume:
    """A filesystem, or swap, in a file of its own until the disk is written."""

    path: Path
    uuid: str

    @property
    def spec(self) -> str:
        """How fstab and kernel arguments name it."""
        return f"UUID={self.uuid}"


class Disk:
    """The raw disk in the file `path`; its volumes are kept in `scratch` until `write`."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path = path
        self.scratch = scratch
        self._volumes: list[tuple[Volume, list[tuple[int, int]]]] = []

    def table(
        self, label: str, *wanted: tuple[int, str, int], sector_bytes: int = SECTOR_BYTES
    ) -> list[Partition]:
        """Make the disk, just large enough, with a table of the kind `label` (dos, gpt).

        The partitions lie one behind the other from 1 MiB on, each (number, type, size in MiB).
        """
        start, partitions = MIB, []
        for number, type_, size_mib in wanted:
            partitions.append(Partition(number, type_, start, size_mib * MIB))
            start += size_mib * MIB
        assemble.make_sparse(self.path, start + TAIL_BYTES)
        self._write_table(_script(label, partitions, sector_bytes), sector_bytes)
        return partitions

    def _write_table(self, script: bytes, sector_bytes: int) -> None:
        words = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel")
        if sector_bytes == SECTOR_BYTES:
            run([*words, self.path], stdin=script)
            return
        # sfdisk takes the size of a sector from its device alone.
        with loop_device(self.path, 0, self.path.stat().st_size) as device:
            run(["losetup", "--sector-size", str(sector_bytes), device])
            run([*words, device], stdin=script)

    def ext4(self, partition: Partition, *options: Arg) -> Volume:
        """An empty ext4."""
        return self.volume([partition.place], "mkfs.ext4", "-q", *options)

    def btrfs(self, partition: Partition) -> Volume:
        """An empty btrfs."""
        return self.volume([partition.place], "mkfs.btrfs", "-q")

    def swap(self, partition: Partition) -> Volume:
        """Swap."""
        return self.volume([partition.place], "mkswap", "--quiet")

    def vfat(self, partition: Partition, files: Mapping[str, Path], *options: Arg) -> Volume:
        """A FAT32 of `files` by their paths; mtools write it: not every kernel has vfat."""
        made = self.volume([partition.place], "mkfs.vfat", "-F", "32", *options)
        folders = {str(folder) for name in files for folder in Path(name).parents} - {"."}
        for folder in sorted(folders):
            run(["mmd", "-i", made.path, f"::{folder}"])
        for name, source in files.items():
            run(["mcopy", "-i", made.path, source, f"::{name}"], timeout=120)
        return made

    def volume(self, pieces: list[tuple[int, int]], *maker: Arg) -> Volume:
        """What `maker`, a mkfs program with its options, makes for these pieces of the disk."""
        path = self.scratch / f"volume-{len(self._volumes)}"
        assemble.make_sparse(path, sum(length for _, length in pieces))
        run([*maker, path], timeout=120)
        identity = run(["blkid", "-p", "-o", "value", "-s", "UUID", path]).text.strip()
        assert identity
        volume = Volume(path, identity)
        self._volumes.append((volume, pieces))
        return volume

    def write(self) -> None:
        """Copy every volume's data into the disk; zeros are left out."""
        for volume, pieces in self._volumes:
            assemble.copy_into(volume.path, self.path, pieces)


def _script(label: str, partitions: list[Partition], sector_bytes: int) -> bytes:
    """The table in sfdisk's own language."""
    lines = [f"label: {label}"]
    for partition in partitions:
        words = [
            f"{partition.number} : start={partition.start // sector_bytes}",
            f"size={partition.size // sector_bytes}",
            f"type={partition.type}",
        ]
        if label == "gpt":
            words.append(f"uuid={partition.uuid}")
        elif partition == partitions[0]:
            words.append("bootable")
        lines.append(", ".join(words))
    return "".join(f"{line}\n" for line in lines).encode()
