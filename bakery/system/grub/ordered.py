"""The Linux entries of one grub.cfg that stands alone."""

from collections.abc import Mapping

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system import kargs
from bakery.system.grub.menu import Entry
from bakery.system.grub.start import run
from bakery.system.grub.world import Kind, Platform


class MenuEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A menu entry that starts Linux. Paths are as written, without GRUB's device in front."""

    title: str
    linux: str
    id: str = ""
    initrd: tuple[str, ...] = ()
    args: kargs.Args = ()


class _OneFile:
    """A disk on which all files are that a script asks for; it holds one."""

    platform: Platform = "efi"

    def __init__(self, text: bytes) -> None:
        self.text = text

    def read(self, device: str, path: str) -> bytes | None:
        return self.text if path == "/grub.cfg" else None

    def is_file(self, device: str, path: str) -> bool:
        return True

    def is_directory(self, device: str, path: str) -> bool:
        return False

    def names(self, device: str, path: str) -> tuple[str, ...]:
        return ()

    def find(self, kind: Kind, value: str) -> str | None:
        return "disk"


def ordered(text: bytes, environment: Mapping[str, str] | None = None) -> list[MenuEntry]:
    """The Linux entries of a grub.cfg, in front what GRUB starts by itself, the others as listed.

    `environment` are variables that are set before it runs. BakeryError where the default starts
    no Linux, or the file is out of all proportion.
    """
    start = {"root": "disk", "prefix": "(disk)", **(environment or {})}
    menu = run(_OneFile(text), start, "(disk)/grub.cfg")
    first = menu.first
    if first is not None and (first.linux is None or first.problem):
        raise BakeryError(
            f"GRUB's default menu entry, {shown(first.title)}, "
            f"cannot be used: {first.problem or 'it does not boot Linux'}",
            "give the image another default entry",
        )
    return [_simple(entry) for entry in menu.entries if entry.linux and not entry.problem]


def _simple(entry: Entry) -> MenuEntry:
    assert entry.linux is not None
    return MenuEntry(
        title=entry.title,
        id=entry.id,
        linux=entry.linux.file.path,
        initrd=tuple(file.path for file in entry.initrds),
        args=entry.linux.args,
    )
