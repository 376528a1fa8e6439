"""Where the kernel arguments of a boot entry are written in an image, each place with its change.

There are two kinds: what a boot loader reads them from, in every menu that starts this kernel, and
what the next kernel update writes them from. On a whole disk all of them change alike, or it is
said which does not.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile
from bakery.image.reader import Reader
from bakery.system import kargs, loader

Edit = Callable[[bytes], bytes]
GRUB_DEFAULTS = "/default/grub"
GRUB_DEFAULTS_FOLDER = "/default/grub.d"
# kernel-install(8): the first of these that there is gives the arguments of a new kernel.
CMDLINE_FILES = ("/kernel/cmdline", "/usr/lib/kernel/cmdline")
# What others write a new kernel's arguments from, each in a language of its own: mkinitcpio(8),
# u-boot-menu(8), ukify(1), kernelstub, sdboot-manage, update-extlinux.
OTHER_SOURCES = (
    "/cmdline.d",
    "/default/u-boot",
    "/kernel/uki.conf",
    "/kernelstub/configuration",
    "/sdboot-manage.conf",
    "/update-extlinux.conf",
)
_VARIABLES = re.compile(r"(?:\s*\"?\$(?:\w+|\{\w+\})\"?)+\s*")
_NAME = re.compile(r"\$\{?(\w+)")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change: patterns that go, arguments that come, all of them before and after."""

    delete: tuple[str, ...]
    append: tuple[str, ...]
    old: kargs.Args
    new: kargs.Args

    @property
    def gone(self) -> list[str]:
        """The arguments that are not there afterwards."""
        return [arg for arg in self.old if arg not in self.new]

    @property
    def added(self) -> list[str]:
        """The arguments that are there only afterwards."""
        return [arg for arg in self.new if arg not in self.old]


class Change(NamedTuple):
    """How a file of the image changes; BakeryError of `edit` says why it cannot."""

    volume: Volume
    path: str
    edit: Edit


def same_system(entries: Iterable[BootEntry], entry: BootEntry) -> list[BootEntry]:
    """The entries that start the kernel of this one, of the same deployment where it is one.

    What starts by itself is one for every firmware: a copy of the kernel that another firmware
    starts of the same root belongs to it.
    """
    return [other for other in entries if _is_same(other, entry)]


def _is_same(other: BootEntry, entry: BootEntry) -> bool:
    deployment = kargs.value(entry.args, "ostree")
    if other.kernel == entry.kernel and kargs.value(other.args, "ostree") == deployment:
        return True
    both_start = bool(other.default_for and entry.default_for)
    return both_start and (other.root, other.etc) == (entry.root, entry.etc) != ("", "/etc")


def sealed(entries: Iterable[BootEntry], entry: BootEntry) -> tuple[ImageFile, ...]:
    """The programs that carry the arguments of this kernel inside, where nothing changes them."""
    places = [place for other in same_system(entries, entry) for place in other.places]
    return tuple(dict.fromkeys(place.file for place in places if place.kind == "sealed"))


def changes(
    reader: Reader, entries: Iterable[BootEntry], entry: BootEntry, asked: Asked
) -> Iterator[Change]:
    """Every file that tells the arguments of `entry`, with its change."""
    yield from _of_menus(reader, entries, entry, asked)
    root = reader.survey.volume(entry.root)
    if root is not None:
        yield from _of_updates(reader, root, entry.etc, asked)


def _of_menus(
    reader: Reader, entries: Iterable[BootEntry], entry: BootEntry, asked: Asked
) -> Iterator[Change]:
    takes: dict[ArgPlace, bool] = {}
    for other in same_system(entries, entry):
        for place, appends in _spots(reader, other):
            takes[place] = takes.get(place, False) or appends
    files = dict.fromkeys(place.file for place in takes)
    for file in files:
        volume = reader.survey.volume(file.volume)
        if volume is not None:
            spots = {place: appends for place, appends in takes.items() if place.file == file}
            yield Change(volume, file.path, functools.partial(_changed, spots, asked))


def _spots(reader: Reader, entry: BootEntry) -> Iterator[tuple[ArgPlace, bool]]:
    """The places of an entry that can change, and whether new arguments are to come there.

    Arguments that are variables and nothing else get theirs in the first of these: so a system
    that keeps them in one variable for all its kernels (`$kernelopts`) gets them for the next, too.
    """
    variables = {place.variable: place for place in entry.places if place.variable}
    for place in entry.places:
        if place.variable:
            yield place, False
        elif place.kind != "sealed":
            feeding = _feeding(_written(reader, place), variables)
            yield place, feeding is None
            if feeding is not None:
                yield feeding, True


def _feeding(text: str, variables: dict[str, ArgPlace]) -> ArgPlace | None:
    if not _VARIABLES.fullmatch(text):
        return None
    return next((variables[name] for name in _NAME.findall(text) if name in variables), None)


def _written(reader: Reader, place: ArgPlace) -> str:
    """The arguments of an entry as they are written, variables and all."""
    volume = reader.survey.volume(place.file.volume)
    text = reader.text(volume, place.file.path) if volume else None
    if place.kind == "bls":
        return loader.options(text or b"")
    return (text or b"")[place.start : place.end].decode("latin-1")


def _changed(spots: dict[ArgPlace, bool], asked: Asked, text: bytes) -> bytes:
    """A file with all places in it changed; the last first, so that those before stay in place."""
    for place in sorted(spots, key=lambda place: place.start, reverse=True):
        change = loader.change(asked.delete, asked.append if spots[place] else ())
        text = _CHANGES[place.kind](text, place, change)
    return text


def _in_script(text: bytes, place: ArgPlace, change: kargs.Change) -> bytes:
    span = (place.start, place.end)
    if place.variable:
        return loader.in_value(text, span, change)
    return loader.in_line(text, span, change)


def _in_environment(text: bytes, place: ArgPlace, change: kargs.Change) -> bytes:
    return loader.in_environment(text, place.variable, change)


def _in_entry(text: bytes, _place: ArgPlace, change: kargs.Change) -> bytes:
    return loader.in_entry(text, change)


def _in_legacy(text: bytes, place: ArgPlace, change: kargs.Change) -> bytes:
    return loader.in_legacy(text, place.start, change)


def _in_syslinux(text: bytes, place: ArgPlace, change: kargs.Change) -> bytes:
    return loader.in_syslinux(text, place.start, change)


_CHANGES: dict[str, Callable[[bytes, ArgPlace, kargs.Change], bytes]] = {
    "script": _in_script,
    "environment": _in_environment,
    "bls": _in_entry,
    "legacy": _in_legacy,
    "syslinux": _in_syslinux,
}


def _of_updates(reader: Reader, root: Volume, etc: str, asked: Asked) -> Iterator[Change]:
    files = [path for path in _defaults(reader, root, etc) if reader.exists(root, path)]
    texts = {path: reader.text(root, path) or b"" for path in files}
    # The file that is read last has the word.
    last = [path for path in files if loader.sets_arguments(texts[path])][-1:] or files[:1]
    for path in files:
        added = asked.added if path in last else []
        yield Change(root, path, functools.partial(loader.in_defaults, asked.gone, added))
    own, vendor = CMDLINE_FILES
    candidates = (etc + own, etc.removesuffix("/etc") + vendor)
    for path in [path for path in candidates if reader.exists(root, path)][:1]:
        yield Change(root, path, functools.partial(loader.in_cmdline, asked.gone, asked.added))


def _defaults(reader: Reader, root: Volume, etc: str) -> list[str]:
    """What update-grub reads, in its order (grub-mkconfig(8); Debian, update-grub(8))."""
    folder = etc + GRUB_DEFAULTS_FOLDER
    is_there = reader.exists(root, folder)
    names = sorted(name for name in reader.names(root, folder) if name.endswith(".cfg"))
    return [etc + GRUB_DEFAULTS, *(f"{folder}/{name}" for name in (names if is_there else ()))]


def not_read(reader: Reader, entry: BootEntry) -> Iterator[str]:
    """What is said of each file that the next kernel's arguments may come from all the same."""
    root = reader.survey.volume(entry.root)
    for path in (entry.etc + source for source in OTHER_SOURCES):
        if root is not None and reader.exists(root, path):
            yield f"{root.name}:{path} is not changed: what an update writes of it is not known"


def unchanged(entries: Iterable[BootEntry], entry: BootEntry, asked: Asked) -> Iterator[BootEntry]:
    """Of the entries as they are read after the change: those that still start the old way."""
    for other in same_system(entries, entry):
        has_all = set(asked.added) <= set(other.args)
        if not has_all or set(asked.gone) & set(other.args):
            yield other


def refuse_unchanged(
    entries: Iterable[BootEntry], entry: BootEntry, asked: Asked, why: Iterable[str]
) -> None:
    """BakeryError where the entry that was asked for does not come out with its new arguments."""
    wanted = sorted(asked.new)
    found = [other for other in same_system(entries, entry) if sorted(other.args) == wanted]
    if not any(set(entry.firmware) <= set(other.firmware) for other in found):
        reasons = "; ".join(why) or "no file of the image tells its boot loader them"
        raise BakeryError(
            f"the kernel arguments of {entry.title} cannot be changed: {reasons}",
            "bakery inspect shows which loader reads which file",
        )
