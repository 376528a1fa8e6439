"""A disk with two partitions that both GRUB and a test read."""

import subprocess
from pathlib import Path

from tests.system.grub.worlds import Disks

SECTOR = 512
STARTS = (2048, 8192)
SIZE_SECTORS = 4096
UUIDS = ("11111111-2222-3333-4444-555555555501", "11111111-2222-3333-4444-555555555502")
LABELS = ("FIRST", "SECOND")
FILES = (
    {
        name: name.encode()
        for name in ("/vmlinuz-1", "/vmlinuz-2", "/initrd-1", "/initrd-2", "/boot/vmlinuz-3")
    }
    | {"/boot/initrd-3": b"x", "/only-first": b"x", "/empty": b""},
    {"/vmlinuz-4": b"k", "/initrd-4": b"i", "/vmlinuz-1": b"other"},
)


def make(folder: Path) -> Path:
    """The disk, and the map that names it hd0 to GRUB."""
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate((STARTS[1] + SIZE_SECTORS + 2048) * SECTOR)
    table = "".join(f"start={start},size={SIZE_SECTORS},type=83\n" for start in STARTS)
    run = {"check": True, "capture_output": True}
    subprocess.run(["sfdisk", str(image)], input=f"label: dos\n{table}".encode(), **run)  # type: ignore[call-overload]
    for number, files in enumerate(FILES):
        tree = folder / f"tree{number}"
        for name, data in files.items():
            (tree / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            (tree / name[1:]).write_bytes(data)
        part = folder / f"part{number}.img"
        with part.open("wb") as file:
            file.truncate(SIZE_SECTORS * SECTOR)
        options = ["-U", UUIDS[number], "-L", LABELS[number], "-O", "^metadata_csum,^dir_index"]
        subprocess.run(["mke2fs", "-q", "-t", "ext2", *options, "-d", str(tree), str(part)], **run)  # type: ignore[call-overload]
        with image.open("r+b") as file:
            file.seek(STARTS[number] * SECTOR)
            file.write(part.read_bytes())
    devices = folder / "device.map"
    devices.write_text(f"(hd0) {image}\n")
    return devices


def world(host: dict[str, bytes]) -> Disks:
    """The same disk for bakery's reader, and the files of the machine that GRUB runs on."""
    found = {("fs-uuid", uuid): f"hd0,msdos{n + 1}" for n, uuid in enumerate(UUIDS)}
    found |= {("label", label): f"hd0,msdos{n + 1}" for n, label in enumerate(LABELS)}
    return Disks({"hd0,msdos1": FILES[0], "hd0,msdos2": FILES[1], "host": host}, found)  # type: ignore[arg-type]
