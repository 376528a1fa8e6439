"""Whose processor an image is for, as its kernels and its boot programs tell."""

from collections.abc import Iterable

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.boot.menus import FOLDER
from bakery.image.reader import Reader
from bakery.system import architecture


def find(reader: Reader, entries: Iterable[BootEntry], esps: Iterable[Volume]) -> str:
    """The processor as uname(1) names it; empty where nothing tells it.

    The first kernel that tells counts, in the boot loader's order; where none can be had apart,
    the name of the program that firmware starts.
    """
    for entry in entries:
        if found := architecture.of_kernel(_head(reader, entry.kernel)):
            return found
    for esp in esps:
        if found := of_boot_program(reader, esp):
            return found
    return ""


def of_boot_program(reader: Reader, esp: Volume) -> str:
    """The processor for which firmware finds a program on this EFI system partition, or nothing."""
    return architecture.of_efi_names(reader.names(esp, reader.spelled(esp, FOLDER)))


def _head(reader: Reader, kernel: ImageFile) -> bytes:
    volume = reader.survey.volume(kernel.volume)
    length = min(kernel.length or architecture.HEAD_BYTES, architecture.HEAD_BYTES)
    try:
        return reader.engine.piece(volume, kernel.path, kernel.offset, length) if volume else b""
    except BakeryError:  # the entry, or the build, says so
        return b""
