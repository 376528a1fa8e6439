"""A disk with two partitions that both GRUB and a test read."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bakery.system.grub import Kind
from tests.system.grub.worlds import Disks

SECTOR = 512
STARTS = (2048, 8192)
SIZE_SECTORS = 4096
UUIDS = ("11111111-2222-3333-4444-555555555501", "11111111-2222-3333-4444-555555555502")
LABELS = ("FIRST", "SECOND")
FILES: tuple[dict[str, bytes], ...] = (
    {
        name: name.encode()
        for name in ("/vmlinuz-1", "/vmlinuz-2", "/initrd-1", "/initrd-2", "/boot/vmlinuz-3")
    }
    | {"/boot/initrd-3": b"x", "/only-first": b"x", "/empty": b""},
    {"/vmlinuz-4": b"k", "/initrd-4": b"i", "/vmlinuz-1": b"other"},
)


class Disk(NamedTuple):
    """The map that names a disk hd0 to GRUB; and what is on its partitions, in a folder's order."""

    device_map: Path
    partitions: tuple[dict[str, bytes], ...]

    def world(self, host: Mapping[str, bytes]) -> Disks:
        """The same for bakery's reader, with the files of the machine that GRUB runs on."""
        names = [f"hd0,msdos{number + 1}" for number in range(len(FILES))]
        found: dict[tuple[Kind, str], str] = {}
        for name, uuid, label in zip(names, UUIDS, LABELS, strict=True):
            found |= {("fs-uuid", uuid): name, ("label", label): name}
        return Disks(dict(zip(names, self.partitions, strict=True)) | {"host": host}, found)


def make(folder: Path) -> Disk:
    """The disk."""
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate((STARTS[1] + SIZE_SECTORS + 2048) * SECTOR)
    table = "".join(f"start={start},size={SIZE_SECTORS},type=83\n" for start in STARTS)
    run("sfdisk", str(image), given=f"label: dos\n{table}")
    partitions = []
    for number, start in enumerate(STARTS):
        part = partition(folder, number)
        partitions.append(in_order(part, FILES[number]))
        with image.open("r+b") as file:
            file.seek(start * SECTOR)
            file.write(part.read_bytes())
    devices = folder / "device.map"
    devices.write_text(f"(hd0) {image}\n")
    return Disk(devices, tuple(partitions))


def partition(folder: Path, number: int) -> Path:
    """A filesystem with the files of that partition."""
    tree = folder / f"tree{number}"
    for name, data in FILES[number].items():
        (tree / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tree / name[1:]).write_bytes(data)
    part = folder / f"part{number}.img"
    with part.open("wb") as file:
        file.truncate(SIZE_SECTORS * SECTOR)
    options = ["-U", UUIDS[number], "-L", LABELS[number], "-O", "^metadata_csum,^dir_index"]
    run("mke2fs", "-q", "-t", "ext2", *options, "-d", str(tree), str(part))
    return part


def in_order(part: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files in the order in which the filesystem lists their folders, which wildcards keep."""
    listed: list[str] = []
    for folder in dict.fromkeys(name.rpartition("/")[0] for name in files):
        lines = run("debugfs", "-R", f"ls -p {folder or '/'}", str(part)).splitlines()
        listed += [f"{folder}/{line.split('/')[5]}" for line in lines if line.count("/") > 5]
    return {name: files[name] for name in listed if name in files}


def run(*command: str, given: str = "") -> str:
    """A program's output."""
    done = subprocess.run(command, input=given, check=True, capture_output=True, text=True)
    return done.stdout
