"""The machine a build is proved on: its disk as a real node would hold it, under an overlay."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bakery.disk.packed import framed
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened
from bakery.host.run import run
from bakery.manifest.manifest import Build
from bakery.system import architecture
from bakery.vm.board import X86_64, Board, board_for
from bakery.vm.firmware import need_uefi
from bakery.vm.machine import Disk, Guest, Image, Linux

Firmware = Literal["bios", "uefi"]
USUAL_SECTOR_BYTES = 512


def board_of(build: Build, note: Callable[[str], None]) -> Board:
    """The machine that a build is for; BakeryError where there is none here."""
    processor = build.manifest.architecture
    if not processor and "kernel" in build.manifest.artifacts:
        processor = architecture.of_kernel(_head_of_kernel(build))
    if not processor:
        note(f"nothing tells which processor it is for: it is tried as {X86_64.processor}")
    return board_for(processor)


def compose(
    build: Build,
    board: Board,
    scratch: Path,
    firmware: Firmware | None,
    note: Callable[[str], None],
) -> Guest:
    """The guest that boots `build`; its small files are made in the empty folder `scratch`.

    Nothing of the base is copied, and it is only ever opened for reading.
    """
    manifest = build.manifest
    if manifest.layout == "disk":
        size = build.base.stat().st_size
        disk = replace(
            _overlay(scratch, Image(build.base), size), sector_bytes=manifest.sector_bytes
        )
        return _by_firmware(disk, board, scratch, firmware or _first_firmware(build, board))
    if firmware:
        raise BakeryError(
            f"layout {manifest.layout} is not booted by firmware",
            "leave --firmware out, or build with --layout disk",
        )
    linux = Linux(build.kernel, build.ramdisk, _with_serial(manifest.kernel_args, board, note))
    kind = framed.LINUX_LVM if manifest.layout == "pv" else framed.LINUX
    whole = framed.frame(build.base, scratch, kind)
    size = framed.START_SECTOR * framed.SECTOR_BYTES + build.base.stat().st_size
    guest = Guest((_overlay(scratch, Image(whole, "vmdk"), size),), linux)
    if architecture.unpacks_itself(_head_of_kernel(build)):
        return _with_uefi(guest, board, scratch)
    return guest


def _overlay(scratch: Path, backing: Image, size_bytes: int) -> Disk:
    overlay = scratch / "overlay.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, str(size_bytes)])
    below = Image(backing.path.absolute(), backing.format)
    return Disk(Image(overlay, "qcow2"), below, lasting=False)


def _first_firmware(build: Build, board: Board) -> Firmware:
    known = build.manifest.firmware
    if not board.has_bios:
        return "uefi"
    if not known:
        raise BakeryError(
            f"{build.base.name} holds no boot loader that bakery knows",
            "choose the firmware: --firmware bios or --firmware uefi",
        )
    large = build.manifest.sector_bytes != USUAL_SECTOR_BYTES
    return "uefi" if "bios" not in known or (large and "uefi" in known) else "bios"


def _by_firmware(disk: Disk, board: Board, scratch: Path, firmware: Firmware) -> Guest:
    if firmware == "bios" and not board.has_bios:
        raise BakeryError(
            f"{board.processor} machines have no BIOS", "leave --firmware out, or choose uefi"
        )
    if firmware == "bios" and disk.sector_bytes != USUAL_SECTOR_BYTES:
        raise BakeryError(
            f"a BIOS reads sectors of {USUAL_SECTOR_BYTES} bytes, and boots no disk of "
            f"{disk.sector_bytes}-byte sectors",
            "by UEFI it may boot: --firmware uefi",
        )
    if firmware == "bios":
        return Guest((disk,))
    return _with_uefi(Guest((disk,)), board, scratch)


def _with_uefi(guest: Guest, board: Board, scratch: Path) -> Guest:
    uefi = need_uefi(board=board)
    variables = scratch / "variables"
    shutil.copyfile(uefi.variables.path, variables)
    return replace(guest, uefi=uefi, variables=variables)


def _head_of_kernel(build: Build) -> bytes:
    with opened(build.kernel) as kernel:
        return kernel.read(architecture.HEAD_BYTES)


def _with_serial(
    args: tuple[str, ...], board: Board, note: Callable[[str], None]
) -> tuple[str, ...]:
    """The image's arguments, so that the boot can be watched; what is added is told."""
    if any(re.match(rf"console=(?:{board.console}|uart(?:8250)?)\b", arg) for arg in args):
        return args
    added = f"console={board.console}"
    note(f"the image has no serial console: {added} is added for this boot only")
    return (*args, added)
