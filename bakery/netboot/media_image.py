"""The ISO of a medium: a kernel and a ramdisk, with GRUB for BIOS and for UEFI.

It is made once for each kernel and ramdisk, without root and without a time in it: the same files
give the same bytes. Kernel and ramdisk are read and written once.

Sources: ECMA-119 (ISO 9660), El Torito Bootable CD-ROM Format 1.0.
"""

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.plain_file import Seal, seal
from bakery.host.report import Report, Step
from bakery.netboot import media_programs
from bakery.netboot.media import KERNEL, MENU_BYTES, OWN, OWN_BYTES, RAMDISK, Medium
from bakery.system import architecture

if TYPE_CHECKING:
    from pycdlib import PyCdlib

FORMAT = 1  # of what is made of the same files: it counts up where that changes
LABEL = "BAKERY"
BLOCK_BYTES = 2048
READ_BYTES = 1 << 20
CATALOG, BIOS, ESP = "/boot/boot.cat", "/boot/bios.img", "/boot/esp.img"
MENU = f"{media_programs.PREFIX}/grub.cfg"
# A BIOS reads more than it is asked for, and at a medium's end other bytes than are there: the last
# file is one that nobody reads, as long as what mkisofs(8) puts there (-pad).
END, END_BYTES = f"{media_programs.PREFIX}/zeros.img", 150 * BLOCK_BYTES
UEFI_PLATFORM = 0xEF
BIOS_LOAD_SECTORS = 4  # GRUB reads the rest of itself, by the boot information table
# ECMA-119, 9.1.5: years since 1900, month, day, hour, minute, second, quarters from UTC.
RECORD_DATE = bytes([80, 1, 1, 0, 0, 0, 0])
# ECMA-119, 8.4: the volume descriptor's record of the root folder, and its four dates (8.4.26.1):
# when it was made, changed, ends, and holds.
DESCRIPTOR_AT = 16 * BLOCK_BYTES
ROOT_DATE_AT, VOLUME_DATES_AT = DESCRIPTOR_AT + 156 + 18, DESCRIPTOR_AT + 813
VOLUME_DATE, NO_DATE = b"1980010100000000\0", b"0" * 16 + b"\0"
FILE_LIMIT_BYTES = (1 << 32) - 1  # ECMA-119, 9.1.4: an extent's length


def medium(
    folder: Path, kernel: Path, ramdisk: Path, report: Report, root: Path = Path("/")
) -> Medium:
    """The medium of these files, made in `folder` where it is not there yet.

    GRUB is taken from the system below `root`. Raises BakeryError where the kernel is for no
    processor that media are made for, a program is missing, or the folder cannot be written.
    """
    contents = {KERNEL: seal(kernel), RAMDISK: seal(ramdisk)}
    with contents[KERNEL].open() as file:
        processor = architecture.of_kernel(file.read(architecture.HEAD_BYTES))
    uefi = media_programs.of_processor(processor).find(root)
    try:
        with (
            report.step("media") as step,
            tempfile.TemporaryDirectory(prefix="bakery-media-") as scratch,
        ):
            boot = {ESP: media_programs.esp(Path(scratch), uefi)}
            if processor == media_programs.WITH_BIOS:
                boot = {BIOS: media_programs.bios(Path(scratch), root), **boot}
            contents |= {place: seal(path) for place, path in boot.items()}
            path = folder / f"media-{_key(contents)}.iso"
            if not path.is_file():
                folders.make(folder)
                _write(path, contents, step)
            made = _found(path, secure_boot=len(uefi) > 1)
            step.summary(f"{path.name}, {made.size_bytes / (1 << 20):.1f} MiB")
            return made
    except OSError as error:
        raise BakeryError(
            f"a medium cannot be made in {folder}: {error.strerror or error}",
            "it takes a folder of yours, with room for kernel and ramdisk",
        ) from error


def _key(contents: Mapping[str, Seal]) -> str:
    """What the ISO depends on."""
    total = hashlib.sha256(b"%d" % FORMAT)
    for place, sealed in contents.items():
        with sealed.open() as file:
            total.update(f"{place}:{os.fstat(file.fileno()).st_size}:".encode())
            while content := file.read(READ_BYTES):
                total.update(content)
    return total.hexdigest()[:16]


def _write(path: Path, contents: Mapping[str, Seal], step: Step) -> None:
    """Write the ISO, in a draft that becomes it."""

    def progress(done: int, total: int, _opaque: object) -> None:
        step.progress(done, total)

    with (
        contextlib.ExitStack() as held,
        folders.writing(path, mode=0o600) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as out,
        _image() as image,
    ):
        image.add_directory("/BOOT")
        image.add_directory("/BOOT/GRUB")
        for place, sealed in contents.items():
            file = held.enter_context(sealed.open())
            _add(image, place, file, os.fstat(file.fileno()).st_size)
        _add(image, MENU, io.BytesIO(b"\n" * MENU_BYTES), MENU_BYTES)
        _add(image, OWN, io.BytesIO(bytes(OWN_BYTES)), OWN_BYTES)
        _add(image, END, io.BytesIO(bytes(END_BYTES)), END_BYTES)
        _make_bootable(image, bios=BIOS in contents)
        _fix_dates(image)
        image.write_fp(out, READ_BYTES, progress)
        out.flush()
        os.pwrite(descriptor, RECORD_DATE, ROOT_DATE_AT)
        os.pwrite(descriptor, VOLUME_DATE * 2 + NO_DATE + VOLUME_DATE, VOLUME_DATES_AT)


@contextlib.contextmanager
def _image() -> Iterator["PyCdlib"]:
    """An empty ISO with the shortest names, which every firmware reads."""
    from pycdlib import PyCdlib

    image = PyCdlib()
    image.new(interchange_level=1, vol_ident=LABEL, app_ident_str=LABEL)
    try:
        yield image
    finally:
        image.close()


def _add(image: "PyCdlib", place: str, file: BinaryIO, size: int) -> None:
    if size > FILE_LIMIT_BYTES:
        raise BakeryError(f"a file of {size} bytes is too large for a medium: {place}")
    image.add_fp(file, size, _iso(place))


def _iso(place: str) -> str:
    """A place as ISO 9660 has it, where GRUB finds it without regard to case."""
    return f"{place.upper()};1"


def _make_bootable(image: "PyCdlib", *, bios: bool) -> None:
    """BIOS finds the catalog's first entry, UEFI the one of its platform."""
    if bios:
        image.add_eltorito(
            _iso(BIOS), _iso(CATALOG), boot_load_size=BIOS_LOAD_SECTORS, boot_info_table=True
        )
        image.add_eltorito(_iso(ESP), efi=True)
    else:
        image.add_eltorito(_iso(ESP), _iso(CATALOG), platform_id=UEFI_PLATFORM)


def _fix_dates(image: "PyCdlib") -> None:
    """Take the present out of the directory; the volume's own dates follow when it is written."""
    from pycdlib.dates import DirectoryRecordDate

    for folder, _, _ in image.walk(iso_path="/"):
        for record in image.list_children(iso_path=folder):
            date = DirectoryRecordDate()
            date.parse(RECORD_DATE)
            record.date = date


def _found(path: Path, *, secure_boot: bool) -> Medium:
    """The medium that is there, as its own directory tells it."""
    from pycdlib import PyCdlib
    from pycdlib.pycdlibexception import PyCdlibException

    sealed, image = seal(path), PyCdlib()
    with sealed.open() as file:
        try:
            image.open_fp(file)
            menu, own = (image.get_record(iso_path=_iso(place)) for place in (MENU, OWN))
        except PyCdlibException as error:
            raise BakeryError(f"{path} is no medium of bakery's: {error}", "remove it") from error
        menu_at, own_at = (found.extent_location() * BLOCK_BYTES for found in (menu, own))
        image.close()
        size = os.fstat(file.fileno()).st_size
    return Medium(sealed, size, menu_at, own_at, secure_boot)
