"""What SYSLINUX or EXTLINUX would start of an image."""

import posixpath

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot import plain
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.reader import Reader
from bakery.system import syslinux
from bakery.system.syslinux import Entry, Menu

# Where extlinux(1) is installed to; U-Boot looks for a file of this kind in the first two.
FOLDERS = ("/boot/extlinux", "/extlinux", *syslinux.FOLDERS, "/boot")
INSTALLED = "ldlinux.sys"


def installed_to(reader: Reader, volume: Volume) -> str | None:
    """The folder that the loader itself lies in; None where there is none in a usual place."""
    for folder in FOLDERS:
        if _stands(reader, volume, posixpath.join(folder, INSTALLED)):
            return folder
    return None


def config(reader: Reader, volume: Volume, folder: str) -> str | None:
    """The first file of a loader that was installed to that folder; None where there is none."""
    return next((f for f in syslinux.first_files(folder) if _stands(reader, volume, f)), None)


def read(reader: Reader, volume: Volume, path: str) -> Reading:
    """The menu of that file, in front what starts by itself."""

    def read_file(name: str) -> bytes | None:
        return reader.text(volume, reader.spelled(volume, name))

    try:
        menu = syslinux.read(path, read_file)
    except BakeryError as error:
        return Reading(loader="syslinux", problem=error.message)
    chosen = menu.chosen
    others = [one for one in menu.entries if one.kind == "linux" and one is not chosen]
    listed = [*([chosen] if chosen else []), *others]
    return Reading(
        loader="syslinux",
        menus=tuple(ImageFile(volume.name, name) for name in menu.files),
        entries=tuple(_entry(reader, volume, path, one) for one in listed[:ENTRIES_LIMIT]),
        problem=_problem(menu),
    )


def _problem(menu: Menu) -> str:
    if menu.chosen is None:
        return f"syslinux starts nothing: {menu.reason}"
    return "syslinux waits for somebody to press a key" if menu.waits else ""


def _entry(reader: Reader, volume: Volume, path: str, entry: Entry) -> BootEntry:
    return plain.read(
        reader,
        volume,
        entry,
        name=entry.label,
        identity=entry.label,
        program=entry.kernel,
        config=ImageFile(volume.name, entry.places[0].file if entry.places else path),
        loader="syslinux",
        places=tuple(
            ArgPlace(file=ImageFile(volume.name, place.file), kind="syslinux", start=place.line)
            for place in entry.places
        ),
    )


def _stands(reader: Reader, volume: Volume, path: str) -> bool:
    item = reader.item(volume, reader.spelled(volume, path))
    return item is not None and not item.is_directory
