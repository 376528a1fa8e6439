"""Menus where they lie by convention: what there is, whether firmware comes to it or not.

Where the bytes of a loader do not tell what it reads, or nothing is there to read them, these
menus are all that can be known.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot import grub, legacy, syslinux, systemd
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.boot.world import ImageWorld
from bakery.image.reader import Reader
from bakery.system import bls, grub_legacy, kargs, systemd_boot
from bakery.system.grub import parse_environment
from bakery.system.syslinux import NAMES as SYSLINUX_NAMES

GRUB_FOLDERS = ("grub2", "grub")
SYSLINUX_FOLDERS = ("extlinux", "syslinux")
PREFIXES = ("", "/boot")
"""Where the content of /boot lies in a tree: of a filesystem of its own comes first."""
EFI = "/EFI"
FOLDERS_LIMIT = 64
LOADER_ENTRIES = "loader/entries"


class Candidate(NamedTuple):
    """A menu that may be one, by the file it begins with; `read` reads it."""

    file: ImageFile
    read: Callable[[], Reading]


def on_esp(
    reader: Reader, world: ImageWorld, asked: systemd.Asked, first: str
) -> Iterator[Candidate]:
    """The menus on an ESP: GRUB's in `first` and the vendors' folders, systemd-boot's."""
    volume = asked.esp
    top = reader.spelled(volume, EFI)
    own = reader.spelled(volume, first)
    folders = [own, *(f"{top}/{name}" for name in _folders(reader, volume, top))]
    yield from _grub_in(reader, world, volume, dict.fromkeys(folders))
    if systemd.is_there(reader, volume):
        file = ImageFile(volume.name, systemd_boot.CONFIGURATION)
        yield Candidate(file, functools.partial(systemd.read, reader, asked))


def of_boot(reader: Reader, world: ImageWorld, tree: Volume, prefix: str) -> Iterator[Candidate]:
    """The menus of a /boot, which lies under `prefix` of a tree."""
    yield from _grub_in(reader, world, tree, [f"{prefix}/{name}" for name in GRUB_FOLDERS])
    yield from _syslinux_in(reader, tree, prefix)
    for name in grub_legacy.NAMES:
        path = f"{prefix}/grub/{name}"
        if _stands(reader, tree, path):
            read = functools.partial(legacy.read, reader, world, tree, path)
            yield Candidate(ImageFile(tree.name, path), read)
    if _has_loader_entries(reader, tree, prefix):
        file = ImageFile(tree.name, f"{prefix}/{LOADER_ENTRIES}")
        yield Candidate(file, functools.partial(_loader_entries, reader, tree, prefix))


def _grub_in(
    reader: Reader, world: ImageWorld, volume: Volume, folders: Iterable[str]
) -> Iterator[Candidate]:
    for folder in folders:
        path = f"{folder}/{grub.CONFIG}"
        if _stands(reader, volume, path):
            read = functools.partial(_read_grub, world, volume, folder)
            yield Candidate(ImageFile(volume.name, path), read)


def _read_grub(world: ImageWorld, volume: Volume, folder: str) -> Reading:
    """A menu of GRUB's, of which nothing tells what was set before it: see `ImageWorld`."""
    found = grub.in_folder(world, volume, folder)
    if any(not entry.problem for entry in found.entries):
        return found
    other = grub.in_folder(world.leniently(), volume, folder)
    return other if any(not entry.problem for entry in other.entries) else found


def _syslinux_in(reader: Reader, tree: Volume, prefix: str) -> Iterator[Candidate]:
    for folder in SYSLINUX_FOLDERS:
        for name in SYSLINUX_NAMES:
            path = f"{prefix}/{folder}/{name}"
            if _stands(reader, tree, path):
                read = functools.partial(syslinux.read, reader, tree, path)
                yield Candidate(ImageFile(tree.name, path), read)


def find_boot(reader: Reader, trees: Sequence[Volume]) -> tuple[Volume, str] | None:
    """The tree with a menu of its /boot, and where in it that lies; None where none has one.

    Where several subvolumes have one, as after a snapshot, the first is taken, and that is noted.
    """
    found = [
        (tree, prefix) for prefix in PREFIXES for tree in trees if _has_any(reader, tree, prefix)
    ]
    if not found:
        return None
    tree, prefix = found[0]
    others = [other.name for other, _ in found[1:] if other.device == tree.device != other.name]
    if others:
        reader.notes.append(
            f"boot entries are read from {tree.name}; there are others in {', '.join(others)}"
        )
    return tree, prefix


def _has_any(reader: Reader, tree: Volume, prefix: str) -> bool:
    if prefix and "boot" not in reader.names(tree, "/"):
        return False
    if _has_loader_entries(reader, tree, prefix):
        return True
    files = [f"{name}/{grub.CONFIG}" for name in GRUB_FOLDERS]
    files += [f"{folder}/{name}" for folder in SYSLINUX_FOLDERS for name in SYSLINUX_NAMES]
    files += [f"grub/{name}" for name in grub_legacy.NAMES]
    return any(_stands(reader, tree, f"{prefix}/{file}") for file in files)


def _has_loader_entries(reader: Reader, tree: Volume, prefix: str) -> bool:
    has_loader = "loader" in reader.names(tree, prefix or "/")
    return has_loader and bool(reader.directory(tree, f"{prefix}/{LOADER_ENTRIES}"))


def _stands(reader: Reader, tree: Volume, path: str) -> bool:
    """Whether there is a file, in a folder that is asked about only where its own has it."""
    folder, _, name = path.rpartition("/")
    above, _, own = folder.rpartition("/")
    if own and own not in reader.names(tree, above or "/"):
        return False
    return name in reader.names(tree, folder)


def _folders(reader: Reader, esp: Volume, top: str) -> list[str]:
    names = sorted(entry.name for entry in reader.directory(esp, top) if entry.is_directory)
    if len(names) > FOLDERS_LIMIT:
        raise BakeryError(f"{top} on {esp.device} holds more than {FOLDERS_LIMIT} folders")
    return names


def _loader_entries(reader: Reader, tree: Volume, prefix: str) -> Reading:
    """Files of the Boot Loader Specification, in OSTree's order: see `bls.order`."""
    folder = f"{prefix}/{LOADER_ENTRIES}"
    names = sorted(name for name in reader.names(tree, folder) if name.endswith(bls.SUFFIX))
    if len(names) > ENTRIES_LIMIT:
        raise BakeryError(f"{folder} on {tree.device} holds more than {ENTRIES_LIMIT} entries")
    environment = _environment(reader, tree, prefix)
    entries = []
    for name in names:
        try:
            entries.append(
                bls.parse(reader.text(tree, f"{folder}/{name}") or b"", name, environment)
            )
        except BakeryError as error:  # a boot loader passes over what it cannot read, so do we
            reader.notes.append(error.message)
    ordered = bls.order(entries, environment.get("saved_entry", ""))
    return Reading(
        loader="boot loader entries",
        entries=tuple(_entry(reader, tree, prefix, one, environment) for one in ordered),
    )


def _environment(reader: Reader, tree: Volume, prefix: str) -> dict[str, str]:
    """GRUB's saved variables, which options may refer to."""
    for name in GRUB_FOLDERS:
        path = f"{prefix}/{name}/grubenv"
        if _stands(reader, tree, path):
            text = reader.text(tree, path)
            return dict(parse_environment(text)) if text else {}
    return {}


def _entry(
    reader: Reader, tree: Volume, prefix: str, entry: bls.BlsEntry, environment: dict[str, str]
) -> BootEntry:
    config = ImageFile(tree.name, f"{prefix}/{LOADER_ENTRIES}/{entry.id}{bls.SUFFIX}")
    args: kargs.Args = ()
    problem = ""
    try:
        args = bls.arguments(entry, environment)
    except BakeryError as error:
        problem = error.message
    return BootEntry(
        id=entry.id,
        title=entry.title or entry.id,
        kernel=_located(reader, tree, prefix, entry.linux),
        initrds=tuple(_located(reader, tree, prefix, path) for path in entry.initrd),
        args=args,
        config=config,
        loader="boot loader entries",
        places=(ArgPlace(file=config, kind="bls"),),
        problem=problem,
    )


def _located(reader: Reader, tree: Volume, prefix: str, path: str) -> ImageFile:
    """The file inside the tree: entries name it from /boot or from the volume's root."""
    candidates = [prefix + path, path] if prefix else [path, path.removeprefix("/boot")]
    if tree.subvolume:  # GRUB names a file from the top level on, unless it was told otherwise
        candidates.append(path.removeprefix(f"/{tree.subvolume}"))
    found = next((one for one in dict.fromkeys(candidates) if reader.exists(tree, one)), path)
    return ImageFile(tree.name, found)
