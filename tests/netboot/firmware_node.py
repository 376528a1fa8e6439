"""A virtual machine whose firmware boots over the network, and a system for it that only speaks."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bakery.vm.board import TCG_CPU
from bakery.vm.firmware import need_uefi
from tests.netboot.wire import Network, mac

SPOKEN = "THE NODE SPEAKS:"
INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
echo "{SPOKEN} $(/bin/busybox cat /proc/cmdline)"
/bin/busybox poweroff -f
"""
ARGS = ("console=ttyS0", "panic=-1", "quiet", 'note="two words"')


def kernel() -> Path:
    return sorted(Path("/boot").glob("vmlinuz-*"))[-1]


def ramdisk(folder: Path) -> Path:
    """An initramfs of busybox and a shell script (cpio, newc)."""
    tree = folder / "initramfs"
    for name in ("bin", "dev"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "busybox", tree / "bin/busybox")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    names = b"".join(os.fsencode(p.relative_to(tree)) + b"\n" for p in sorted(tree.rglob("*")))
    packed = folder / "ramdisk"
    with packed.open("wb") as out:
        words = ("cpio", "--create", "--format=newc", "--quiet")
        subprocess.run(words, cwd=tree, input=names, stdout=out, check=True)
    return packed


@contextlib.contextmanager
def booting(
    network: Network, folder: Path, *, uefi: bool, card: str, rom: bool
) -> Iterator["subprocess.Popen[bytes]"]:
    """The node with the first address, powered on; its console goes to `folder/console`.

    Without `rom` the card has no iPXE of its own, and UEFI's PXE drives it.
    """
    wire = f"tap,id=wire,ifname={network.tap(1)},script=no,downscript=no"
    words = ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", TCG_CPU, "-m", "512M"]
    words += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-serial", f"file:{folder / 'console'}", "-netdev", wire]
    words += ["-device", f"{card},netdev=wire,mac={mac(1)},bootindex=1"]
    words[-1] += "" if rom else ",romfile="
    words += ["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng"]
    if uefi:
        firmware = need_uefi()
        shutil.copy(firmware.variables.path, folder / "variables")
        words += ["-drive", f"if=pflash,format=raw,readonly=on,file={firmware.code.path}"]
        words += ["-drive", f"if=pflash,format=raw,file={folder / 'variables'}"]
    with subprocess.Popen([*network.servers.words, *words], stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
