"""GRUB's menu as a script leaves it: entries, submenus, and the one that starts by itself."""

from typing import Literal

import msgspec

from bakery.system import kargs


class File(msgspec.Struct, frozen=True):
    """A file as GRUB names it: its device without brackets, and the path from that one's top."""

    device: str
    path: str

    def __str__(self) -> str:
        return f"({self.device}){self.path}"


class Place(msgspec.Struct, frozen=True):
    """Where a text is written: the bytes `start` to `end` of a file.

    `kind` says what that file is, so how the text is to be changed: a `script` (grub.cfg and what
    it sources), an `environment` block (grubenv), or a `bls` entry.
    """

    file: File
    start: int
    end: int
    kind: Literal["script", "environment", "bls"] = "script"


class Variable(msgspec.Struct, frozen=True):
    """A variable that fed kernel arguments: its value then, and where that was written.

    `place` is the whole value as written: behind `set name=`, a grubenv's value behind `name=`.
    It is None where no file says the value: GRUB's own variables, and a loop's or a function's.
    """

    name: str
    value: str
    place: Place | None = None


class Linux(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that would be started.

    `place` is where its arguments are written: in a script, from behind the kernel's path to the
    end of the command (it may be empty); of a BLS entry, the whole file. `variables` fed them,
    those that fed these variables included, each once.
    """

    file: File
    args: kargs.Args
    place: Place
    variables: tuple[Variable, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What GRUB would run for a line of the menu.

    `problem` says why it cannot be taken: GRUB does not start it, or starts something that is not
    read here, or a Linux of which a part is missing (`linux` is set then as well). Without one,
    either `linux` or `chainloader` is set. `config` is the file that the entry is written in.
    `asks_password`: it does not start by itself. `with_initrd` is the same line by other branches
    of its script, where those taken start a kernel without an initrd and others with: Ubuntu's
    entries for a root by PARTUUID try without, and take it when that has failed.
    """

    title: str
    id: str
    config: File
    linux: Linux | None = None
    initrds: tuple[File, ...] = ()
    chainloader: File | None = None
    problem: str = ""
    asks_password: bool = False
    with_initrd: "Entry | None" = None


class Submenu(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the menu that opens another one: by `submenu`, or by `configfile` in an entry."""

    title: str
    id: str
    config: File
    items: "tuple[Entry | Submenu, ...]" = ()


Item = Entry | Submenu


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """What a script leads to.

    `chosen` are the places, from 0, of the entry that starts by itself: one of `items`, then one
    in that submenu, and so on. Where GRUB can start neither the default nor a fallback, it leads
    to the default, whose `problem` says why. It is empty where there is no menu.
    `configs` are the scripts that were run, in their order. `notes` say what was passed over.
    """

    items: tuple[Item, ...]
    chosen: tuple[int, ...] = ()
    configs: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Entry | None:
        """The entry that starts by itself."""
        items: tuple[Item, ...] = self.items
        for place in self.chosen:
            item = items[place]
            if isinstance(item, Entry):
                return item
            items = item.items
        return None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry, in front the one that starts by itself, the others as listed."""
        listed = _flat(self.items)
        first = self.first
        return tuple(listed) if first is None else (first, *(e for e in listed if e is not first))


def _flat(items: tuple[Item, ...]) -> list[Entry]:
    found: list[Entry] = []
    for item in items:
        found += [item] if isinstance(item, Entry) else _flat(item.items)
    return found
