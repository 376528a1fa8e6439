"""Small whole-disk images, made in a second by real tools: MBR, an ext4 /boot, an ext4 root."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

MIB = 1 << 20
BOOT_START, BOOT_SIZE = 1 * MIB, 16 * MIB
ROOT_START, ROOT_SIZE = 17 * MIB, 24 * MIB
DISK_SIZE = 42 * MIB
ROOT_UUID = "2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11"

KERNEL = b"kernel" * 1000
INITRD = b"initrd" * 3000
FSTAB = b"""# static file system information
UUID=2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11 / ext4 errors=remount-ro 0 1
UUID=5a3e6a1c-0000-4000-8000-000000000001 /boot ext4 defaults 0 2
tmpfs /var/lib/tftpboot tmpfs defaults 0 0
"""
ENTRY = f"""title Tiny
version 1
linux /vmlinuz-6.1
initrd /initrd-6.1
options root=UUID={ROOT_UUID} ro console=ttyS0
"""
BOOT: Mapping[str, bytes] = {
    "vmlinuz-6.1": KERNEL,
    "initrd-6.1": INITRD,
    "loader/entries/tiny.conf": ENTRY.encode(),
}
ROOT: Mapping[str, bytes] = {
    "etc/fstab": FSTAB,
    "etc/os-release": b'ID=tiny\nPRETTY_NAME="Tiny Linux 1"\n',
    "usr/bin/true": b"#!/bin/sh\n",
}


def make(
    folder: Path,
    *,
    boot: Mapping[str, bytes] = BOOT,
    root: Mapping[str, bytes] = ROOT,
    second_root: bool = False,
    boot_type: str = "83",
    name: str = "tiny",
) -> Path:
    """A qcow2 image in `folder`, `NAME.qcow2`, with these files in /boot and in the root.

    With `second_root` the root partition is there twice, the same bytes under the same UUID.
    `boot_type` is what the table says of /boot, true or not.
    """
    raw = folder / f"{name}.raw"
    with raw.open("wb") as file:
        file.truncate(DISK_SIZE + (ROOT_SIZE if second_root else 0))
    lines = [(BOOT_START, BOOT_SIZE), (ROOT_START, ROOT_SIZE)]
    lines += [(ROOT_START + ROOT_SIZE, ROOT_SIZE)] if second_root else []
    types = [boot_type, "83", "83"]
    table = "label: dos\n" + "".join(
        f"start={s // 512},size={z // 512},type={kind}\n"
        for (s, z), kind in zip(lines, types, strict=False)
    )
    run("sfdisk", "-q", raw, stdin=table)
    filesystem(folder, raw, BOOT_START, BOOT_SIZE, boot)
    for start, size in lines[1:]:
        filesystem(folder, raw, start, size, root, "-U", ROOT_UUID)
    return qcow2(raw)


def filesystem(
    folder: Path, raw: Path, start: int, size: int, files: Mapping[str, bytes], *options: str
) -> None:
    """An ext4 filesystem with `files` at byte `start` of `raw`."""
    tree = folder / f"tree-{start}"
    tree.mkdir()
    for path, content in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    run(
        "mkfs.ext4",
        "-q",
        "-F",
        "-d",
        tree,
        "-E",
        f"offset={start}",
        *options,
        raw,
        f"{size // 1024}k",
    )


def qcow2(raw: Path) -> Path:
    """The raw image as qcow2 beside it; the raw one goes."""
    image = raw.with_suffix(".qcow2")
    run("qemu-img", "convert", "-q", "-O", "qcow2", raw, image)
    raw.unlink()
    return image


def run(*argv: str | Path, stdin: str = "") -> None:
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    subprocess.run(
        argv, input=stdin, text=True, check=True, env={"PATH": path}, capture_output=True
    )


def content(filesystem: Path, path: str) -> bytes:
    """A file of an ext4 filesystem, as debugfs reads it."""
    argv = ["/usr/sbin/debugfs", "-R", f"cat /{path}", str(filesystem)]
    return subprocess.run(argv, check=True, capture_output=True).stdout
