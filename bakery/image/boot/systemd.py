"""What systemd-boot would start of an image: loader.conf, files of type 1, and images of type 2."""

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot import plain, unified
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.reader import Reader
from bakery.system import efi_program, systemd_boot, systemd_entry, uki
from bakery.system.systemd_boot import Menu
from bakery.system.systemd_entry import ENTRIES_FOLDER, IMAGES_FOLDER, Entry, LeftOut

FILES_LIMIT = 256


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The systemd-boot that reads: on which ESP, what it says that it is, and for which machine.

    `extended` is the XBOOTLDR partition, where there is one.
    """

    esp: Volume
    extended: Volume | None = None
    machine: str = ""
    loader: str = ""
    own_path: str = ""


def is_there(reader: Reader, esp: Volume) -> bool:
    """Whether something lies on this ESP that systemd-boot would list."""
    folders = (ENTRIES_FOLDER, IMAGES_FOLDER)
    return any(reader.names(esp, reader.spelled(esp, folder)) for folder in folders)


def read(reader: Reader, asked: Asked) -> Reading:
    """The menu as systemd-boot lists it, in front the entry that starts by itself."""
    try:
        text = reader.text(asked.esp, reader.spelled(asked.esp, systemd_boot.CONFIGURATION))
        configuration = systemd_boot.parse(text or b"")
        found = _found(reader, asked)
        auto = _auto(reader, asked)
        menu = systemd_boot.menu(configuration, found, auto=tuple(auto), loader=asked.loader)
    except BakeryError as error:
        return Reading(loader="systemd-boot", problem=error.message)
    files = found | auto
    listed = list(menu.entries)
    first = [listed.pop(menu.chosen)] if menu.chosen is not None else []
    # Of the programs that it looks for by itself the one alone counts that it starts.
    listed = first + [one for one in listed if one.kind != "auto"]
    return Reading(
        loader="systemd-boot",
        menus=(ImageFile(asked.esp.name, systemd_boot.CONFIGURATION),) if text is not None else (),
        entries=tuple(_entry(reader, asked, files[one], one) for one in listed[:ENTRIES_LIMIT]),
        problem=_problem(menu),
        goes_on=_goes_on(reader, asked, first[0]) if first else None,
    )


def _goes_on(reader: Reader, asked: Asked, first: Entry) -> ImageFile | None:
    """The program that the first entry starts, where that is another boot program."""
    if first.kind not in ("efi", "auto"):
        return None
    volume = next(v for v in (asked.esp, asked.extended) if v and v.name == first.place)
    path = reader.spelled(volume, first.path)
    return None if unified.is_image(reader.bytes_of(volume, path)) else ImageFile(volume.name, path)


def _problem(menu: Menu) -> str:
    if menu.chosen is None:
        return "systemd-boot finds no entry"
    return "systemd-boot shows its menu and waits for somebody" if menu.waits else ""


def _found(reader: Reader, asked: Asked) -> dict[Entry, ImageFile]:
    """The entries with the file that each is from, in the order systemd-boot finds them."""
    found: dict[Entry, ImageFile] = {}
    for volume in filter(None, (asked.esp, asked.extended)):
        for entry, file in _of_volume(reader, asked, volume):
            if isinstance(entry, LeftOut):
                reader.notes.append(f"systemd-boot passes over {file}: {entry.reason}")
            elif entry.kind == "uki-url" or _stands(reader, volume, entry.path):
                found[entry] = file
    return found


def _auto(reader: Reader, asked: Asked) -> dict[Entry, ImageFile]:
    """The programs of others that it looks for by itself, each with its file; never systemd-boot.

    Source: systemd, src/boot/boot.c, config_entry_add_loader_auto.
    """
    found: dict[Entry, ImageFile] = {}
    for identity, title, path in systemd_boot.auto_programs(asked.machine):
        spelled = reader.spelled(asked.esp, path)
        if not _stands(reader, asked.esp, path) or spelled.lower() == asked.own_path.lower():
            continue
        if _is_systemd_boot(reader, asked.esp, spelled):
            continue
        one = Entry(id=identity, kind="auto", place=asked.esp.name, path=spelled, title=title)
        found[one] = ImageFile(asked.esp.name, spelled)
    return found


def _is_systemd_boot(reader: Reader, volume: Volume, path: str) -> bool:
    try:
        return efi_program.read(reader.bytes_of(volume, path)).kind == "systemd-boot"
    except BakeryError:
        return False


def _of_volume(
    reader: Reader, asked: Asked, volume: Volume
) -> list[tuple[Entry | LeftOut, ImageFile]]:
    found: list[tuple[Entry | LeftOut, ImageFile]] = []
    for name, path in _files(reader, volume, IMAGES_FOLDER):
        if systemd_entry.is_image(name):
            file = ImageFile(volume.name, path)
            found += [(one, file) for one in _of_image(reader, volume, name, path)]
    for name, path in _files(reader, volume, ENTRIES_FOLDER):
        text = reader.text(volume, path) if systemd_entry.is_entry(name) else None
        if text is not None:
            one = systemd_entry.of_type_1(
                text, name, place=volume.name, machine=asked.machine, own_path=asked.own_path
            )
            found.append((one, ImageFile(volume.name, path)))
    return found


def _of_image(reader: Reader, volume: Volume, name: str, path: str) -> tuple[Entry | LeftOut, ...]:
    try:
        image = uki.read(reader.bytes_of(volume, path))
    except BakeryError as error:
        return (LeftOut(name, error.message),)
    return systemd_entry.of_type_2(image, name, place=volume.name)


def _files(reader: Reader, volume: Volume, folder: str) -> list[tuple[str, str]]:
    """The names in a folder, in FAT's order of them, with their paths."""
    folder = reader.spelled(volume, folder)
    names = sorted(reader.names(volume, folder))
    if len(names) > FILES_LIMIT:
        raise BakeryError(f"{folder} on {volume.device} holds more than {FILES_LIMIT} entries")
    return [(name, f"{folder}/{name}") for name in names]


def _stands(reader: Reader, volume: Volume, path: str) -> bool:
    item = reader.item(volume, reader.spelled(volume, path))
    return item is not None and not item.is_directory


def _entry(reader: Reader, asked: Asked, file: ImageFile, entry: Entry) -> BootEntry:
    volume = next(v for v in (asked.esp, asked.extended) if v and v.name == entry.place)
    path = reader.spelled(volume, entry.path)
    if entry.kind in ("efi", "uki", "auto") and unified.is_image(reader.bytes_of(volume, path)):
        found = unified.entry(
            reader,
            volume,
            path,
            identity=entry.id,
            title=entry.title,
            number=entry.profile,
            options=entry.options,
            loader="systemd-boot",
        )
        return msgspec.structs.replace(found, config=file, places=_places(file, entry))
    return plain.read(
        reader,
        volume,
        entry,
        name=entry.id,
        identity=entry.id.removesuffix(systemd_entry.ENTRY_SUFFIX),
        program=entry.path,
        config=file,
        loader="systemd-boot",
        places=_places(file, entry),
    )


def _places(file: ImageFile, entry: Entry) -> tuple[ArgPlace, ...]:
    """Where the arguments are written: in the entry's file, or in an image's own section."""
    is_text = entry.options is not None or entry.kind == "linux"
    return (ArgPlace(file=file, kind="bls" if is_text else "sealed"),)
