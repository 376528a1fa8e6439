"""Whose processor an image is for, as its kernels and its boot programs tell."""

from collections.abc import Iterable

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot_entries import BootEntry
from bakery.image.reader import Reader
from bakery.system import architecture

EFI_FOLDER = "/EFI/BOOT"


def find(
    reader: Reader, boot: Volume | None, entries: Iterable[BootEntry], esps: Iterable[Volume]
) -> str:
    """The processor as uname(1) names it; empty where nothing tells it.

    The first kernel that tells counts, in the boot loader's order; where none can be had apart,
    the name of the program that firmware starts.
    """
    for entry in entries:
        if boot and (found := architecture.of_kernel(_head(reader, boot, entry.kernel))):
            return found
    for esp in esps:
        if found := of_boot_program(reader, esp):
            return found
    return ""


def of_boot_program(reader: Reader, esp: Volume) -> str:
    """The processor for which firmware finds a program on this EFI system partition, or nothing."""
    return architecture.of_efi_names(reader.names(esp, EFI_FOLDER))


def _head(reader: Reader, boot: Volume, kernel: str) -> bytes:
    try:
        return reader.engine.piece(boot, kernel, 0, architecture.HEAD_BYTES)
    except BakeryError:  # the entry, or the build, says so
        return b""
