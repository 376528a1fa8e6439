"""UEFI firmware for guests: found by the descriptors its packages install.

Source: QEMU's docs/interop/firmware.json. Every distribution that packages OVMF installs one
JSON descriptor per build of it; the folders are read in the order of precedence given there,
and a file in an earlier folder hides the one of the same name in a later one.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.vm.board import X86_64, Board

FOLDERS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
# Secure Boot needs SMM and enrolled keys; the others need hardware that a guest seldom has.
UNWANTED = frozenset({"secure-boot", "enrolled-keys", "requires-smm", "amd-sev-snp", "intel-tdx"})
DESCRIPTOR_LIMIT_BYTES = 64 << 10


class FlashFile(msgspec.Struct, frozen=True):
    """A firmware file and its image format."""

    filename: str
    format: Literal["raw", "qcow2"] = "raw"

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(self.filename)


class Uefi(msgspec.Struct, frozen=True):
    """A UEFI firmware: its code, and the template of the variable store each guest copies."""

    code: FlashFile
    variables: FlashFile


class _Mapping(msgspec.Struct, frozen=True, rename="kebab"):
    device: str
    executable: FlashFile | None = None
    nvram_template: FlashFile | None = None


class _Target(msgspec.Struct, frozen=True):
    architecture: str
    machines: tuple[str, ...] = ()


class _Descriptor(msgspec.Struct, frozen=True, rename="kebab"):
    interface_types: tuple[str, ...]
    mapping: _Mapping
    targets: tuple[_Target, ...]
    features: tuple[str, ...] = ()


def find_uefi(folders: tuple[Path, ...] = FOLDERS, board: Board = X86_64) -> Uefi | None:
    """The UEFI firmware for guests on `board` that is on this machine, without Secure Boot."""
    chosen: dict[str, Path] = {}
    for folder in reversed(folders):
        chosen |= {path.name: path for path in folder.glob("*.json")}
    return next(filter(None, (_usable(chosen[name], board) for name in sorted(chosen))), None)


def need_uefi(folders: tuple[Path, ...] = FOLDERS, board: Board = X86_64) -> Uefi:
    """As `find_uefi`; BakeryError with the line that installs it when there is none."""
    uefi = find_uefi(folders, board)
    if uefi is None:
        raise BakeryError(
            f"UEFI firmware for {board.processor} guests is not installed", board.firmware_hint
        )
    return uefi


def _usable(path: Path, board: Board) -> Uefi | None:
    try:
        with path.open("rb") as file:
            text = file.read(DESCRIPTOR_LIMIT_BYTES)
        descriptor = msgspec.json.decode(text, type=_Descriptor)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None  # an empty file hides a descriptor; one we cannot read is not for us
    code, variables = descriptor.mapping.executable, descriptor.mapping.nvram_template
    if not _suits(descriptor, board) or code is None or variables is None:
        return None
    here = code.path.is_file() and variables.path.is_file()
    return Uefi(code, variables) if here else None


def _suits(descriptor: _Descriptor, board: Board) -> bool:
    machine = any(
        target.architecture == board.processor
        and any(fnmatchcase(board.chipset_release, pattern) for pattern in target.machines)
        for target in descriptor.targets
    )
    flash = descriptor.mapping.device == "flash" and "uefi" in descriptor.interface_types
    return machine and flash and UNWANTED.isdisjoint(descriptor.features)
