"""The machine a build is proved on: its disk as a real node would hold it, under an overlay."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bakery.disk import framed
from bakery.errors import BakeryError
from bakery.firmware import need_uefi
from bakery.machine import Disk, Guest, Image, Linux
from bakery.manifest import Build
from bakery.run import run

Firmware = Literal["bios", "uefi"]
SERIAL_CONSOLE = "console=ttyS0"


def compose(
    build: Build, scratch: Path, firmware: Firmware | None, note: Callable[[str], None]
) -> Guest:
    """The guest that boots `build`; its small files are made in the empty folder `scratch`.

    Nothing of the base is copied, and it is only ever opened for reading.
    """
    manifest = build.manifest
    if manifest.layout == "disk":
        size = build.base.stat().st_size
        disk = _overlay(scratch, Image(build.base), size)
        return _by_firmware(disk, scratch, firmware or _first_firmware(build))
    if firmware:
        raise BakeryError(
            f"layout {manifest.layout} is not booted by firmware",
            "leave --firmware out, or build with --layout disk",
        )
    linux = Linux(build.kernel, build.ramdisk, _with_serial(manifest.kernel_args, note))
    kind = framed.LINUX_LVM if manifest.layout == "pv" else framed.LINUX
    whole = framed.frame(build.base, scratch, kind)
    size = framed.START_SECTOR * framed.SECTOR_BYTES + build.base.stat().st_size
    return Guest((_overlay(scratch, Image(whole, "vmdk"), size),), linux)


def _overlay(scratch: Path, backing: Image, size_bytes: int) -> Disk:
    overlay = scratch / "overlay.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, str(size_bytes)])
    below = Image(backing.path.absolute(), backing.format)
    return Disk(Image(overlay, "qcow2"), below, lasting=False)


def _first_firmware(build: Build) -> Firmware:
    known = build.manifest.firmware
    if not known:
        raise BakeryError(
            f"{build.base.name} holds no boot loader that bakery knows",
            "say which firmware to try: --firmware bios or --firmware uefi",
        )
    return "bios" if "bios" in known else "uefi"


def _by_firmware(disk: Disk, scratch: Path, firmware: Firmware) -> Guest:
    if firmware == "bios":
        return Guest((disk,))
    uefi = need_uefi()
    variables = scratch / "variables"
    shutil.copyfile(uefi.variables.path, variables)
    return Guest((disk,), uefi=uefi, variables=variables)


def _with_serial(args: tuple[str, ...], note: Callable[[str], None]) -> tuple[str, ...]:
    """The image's arguments, so that the boot can be watched; what is added is told."""
    if any(re.match(r"console=(?:ttyS0|uart)\b", arg) for arg in args):
        return args
    note(f"the image has no serial console: {SERIAL_CONSOLE} is added for this boot alone")
    return (*args, SERIAL_CONSOLE)
