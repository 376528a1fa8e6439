"""Small disks, made by the filesystems' own tools, without privilege and without a mount.

Each partition holds the same tree: /etc/fstab, a file of 300 kB, odd names, links.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
FSTAB = b"# made by hand\nLABEL=root / xfs defaults 0 0\nLABEL=boot /boot ext4 defaults 1 2\n"
LARGE = b"0123456789abcdef" * 20_000
# mkfs.xfs refuses less than 300 MiB; the file is sparse.
SIZES_MIB = {"ext4": 32, "xfs": 320, "btrfs": 128}
DEVICES = {"ext4": "/dev/sda1", "xfs": "/dev/sda2", "btrfs": "/dev/sda3"}


@dataclass(frozen=True)
class Disk:
    """A raw disk and the same as a compressed qcow2."""

    raw: Path
    qcow2: Path


def make(folder: Path) -> Disk:
    """Make a disk with one partition for each of SIZES_MIB, in `folder`."""
    tree = _tree(folder / "tree")
    raw = folder / "disk.raw"
    with raw.open("wb") as file:
        file.truncate((sum(SIZES_MIB.values()) + 2) * MIB)
    table = "label: dos\n" + "".join(f"size={size}MiB, type=83\n" for size in SIZES_MIB.values())
    _tool("sfdisk", "-q", raw, stdin=table)
    starts = [int(str(p["start"])) * 512 for p in partitions(raw)]
    for kind, start in zip(SIZES_MIB, starts, strict=True):
        part = filesystem(kind, tree, folder / kind)
        put(part, raw, start)
        part.unlink()
    qcow2 = folder / "disk.qcow2"
    _tool("qemu-img", "convert", "-c", "-O", "qcow2", raw, qcow2)
    return Disk(raw, qcow2)


def filesystem(kind: str, tree: Path, image: Path, *options: str) -> Path:
    """A filesystem with the content of `tree`, in the file `image`."""
    with image.open("wb") as file:
        file.truncate(SIZES_MIB[kind] * MIB)
    if kind == "ext4":
        _tool("mkfs.ext4", "-q", "-L", "one two", *options, "-d", tree, image)
    elif kind == "btrfs":
        _tool("mkfs.btrfs", "-q", *options, "--rootdir", tree, image)
    else:
        prototype = image.with_suffix(".proto")
        prototype.write_text(_prototype(tree))
        _tool("mkfs.xfs", "-q", "-f", *options, "-p", prototype, image)
    return image


def put(part: Path, disk: Path, start: int) -> None:
    """Copy a partition's content into a disk, at byte `start`."""
    _tool(
        "dd",
        "status=none",
        f"if={part}",
        f"of={disk}",
        "bs=1M",
        "conv=notrunc,sparse",
        "oflag=seek_bytes",
        f"seek={start}",
    )


def partitions(disk: Path) -> list[dict[str, object]]:
    """The partitions as sfdisk reads them."""
    told = json.loads(_tool("sfdisk", "--json", disk))
    found: list[dict[str, object]] = told["partitiontable"]["partitions"]
    return found


def _tree(tree: Path) -> Path:
    (tree / "etc").mkdir(parents=True)
    (tree / "hollow").mkdir()
    (tree / "etc/fstab").write_bytes(FSTAB)
    (tree / "etc/copy").write_bytes(FSTAB)
    (tree / "etc/empty").write_bytes(b"")
    (tree / "large").write_bytes(LARGE)
    (tree / "link").symlink_to("etc")
    (tree / "dangling").symlink_to("nowhere")
    return tree


def _prototype(folder: Path, name: str = "") -> str:
    """What mkfs.xfs -p takes: each name with its kind, mode and owner; `$` ends a folder."""
    lines = ["/nothing", "0 0"] if not name else []
    lines.append(f"{name} d--755 0 0".strip())
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            lines.append(f"{entry.name} l--777 0 0 {entry.readlink()}")
        elif entry.is_dir():
            lines.append(_prototype(entry, entry.name))
        else:
            lines.append(f"{entry.name} ---644 0 0 {entry}")
    return "\n".join([*lines, "$"]) + ("\n" if not name else "")


def _tool(*argv: str | Path, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout
