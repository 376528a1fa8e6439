"""SYSLINUX and EXTLINUX: their menu, and which of its entries starts by itself.

Source: Syslinux 6, doc/syslinux.txt and doc/menu.txt; where they are silent,
com32/elflink/ldlinux/{readconfig,ldlinux,kernel}.c and core/fs/lib/loadconfig.c. A line is a
keyword, in any case, and the rest. Included files count as if they stood there; names are seen from
the folder of the first file. U-Boot reads files of this kind too (doc/README.distro).
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable, shown
from bakery.system import kargs

ReadFile = Callable[[str], bytes | None]
"""An absolute path within the boot loader's filesystem → the file's bytes; None for no file."""

SIZE_LIMIT_BYTES = 256 << 10
FILE_LIMIT = 64
DEPTH_LIMIT = 16
ENTRY_LIMIT = 512
INITRD_LIMIT = 32
TEXT_LIMIT = 16 << 10

NAMES = ("extlinux.conf", "syslinux.cfg")
FOLDERS = ("/boot/syslinux", "/syslinux", "/")
"""Where the first file is looked for, after the folder that it was installed to."""

Kind = Literal["linux", "com32", "config", "localboot", "other"]

# Keywords that name what a label starts, and the kinds they stand for; `kernel` goes by the name.
_KINDS: dict[str, Kind] = {
    "linux": "linux", "com32": "com32", "config": "config", "localboot": "localboot",
    "boot": "other", "bss": "other", "pxe": "other", "fdimage": "other", "comboot": "other",
}  # fmt: skip
_BY_EXTENSION: dict[str, Kind] = {
    ".c32": "com32", ".com": "other", ".cbt": "other", ".bss": "other", ".bin": "other",
    ".bs": "other", ".0": "other", ".img": "other",
}  # fmt: skip
_MENUS = ("menu.c32", "vesamenu.c32")
_KEYWORD = re.compile(r"[\x00-\x20]*([^\x00-\x20]+)(?:[\x00-\x20]+(.*))?", re.DOTALL)
_BLANKS = re.compile(r"[\x00-\x20]+")
_CONTROL = "".join(map(chr, range(0x21)))
_NUMBER = re.compile(r"[ \t]*([0-9]{1,9})")
_INITRD = "initrd="


class Place(msgspec.Struct, frozen=True):
    """A line of a file, counted from 1."""

    file: str
    line: int


Said = tuple[str, Place]
"""What stands behind a keyword, and where."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A label, and what it starts.

    `kernel` and `initrds` are absolute paths in the boot loader's filesystem; of another kind than
    `linux`, `kernel` is the program, the configuration or what localboot is told. `options` is all
    text behind the kernel's name. `hidden` entries stand in no menu, `disabled` ones start
    nothing. `places` are the lines that `options` come from.
    """

    label: str
    kind: Kind
    kernel: str
    initrds: tuple[str, ...] = ()
    options: str = ""
    title: str = ""
    devicetree: str = ""
    hidden: bool = False
    disabled: bool = False
    places: tuple[Place, ...] = ()

    @property
    def arguments(self) -> kargs.Args:
        """The kernel's arguments, but for `initrd=`, which is for the boot loader; BakeryError as
        `kargs.parse` has it."""
        return tuple(arg for arg in kargs.parse(self.options) if not arg.startswith(_INITRD))


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """All labels, in their order; `chosen` is what starts by itself, or `reason` says why nothing
    does. `waits`: somebody has to press a key first. `files` are all that were read."""

    entries: tuple[Entry, ...]
    chosen: Entry | None
    reason: str = ""
    waits: bool = False
    files: tuple[str, ...] = ()


def first_files(folder: str) -> tuple[str, ...]:
    """Where the first file may be, seen from the folder that the loader was installed to, in the
    order in which it is looked for."""
    folders = dict.fromkeys((*filter(None, [folder]), *FOLDERS))
    return tuple(posixpath.join(place, name) for place in folders for name in NAMES)


def read(path: str, read_file: ReadFile) -> Menu:
    """The menu of the file with that path.

    BakeryError where there is no such file, or where it is beyond the limits.
    """
    return _menu((path,), posixpath.dirname(path), read_file, 0)


def _menu(
    paths: Sequence[str], folder: str, read_file: ReadFile, depth: int, *, in_menu: bool = False
) -> Menu:
    """The menu of these files; `in_menu` where a menu program reads them."""
    if depth > DEPTH_LIMIT:
        raise BakeryError(f"the menu {shown(paths[0])} leads on and on to another one")
    parser = _Parser(_Source(read_file, folder))
    for path in paths:
        if not parser.read(path):
            raise BakeryError(f"there is no boot menu {shown(path)}")
    parser.end()
    found = _choice(parser, in_menu=in_menu)
    chosen = found.chosen
    others = _led_on(chosen, folder) if chosen else ()
    if chosen is None or not others:
        return found
    # A menu program that is given files, or CONFIG: what starts stands there.
    inner_folder = posixpath.dirname(others[0]) if chosen.kind == "config" else folder
    in_menu = chosen.kind != "config"
    inner = _menu(others, inner_folder, read_file, depth + 1, in_menu=in_menu)
    return msgspec.structs.replace(inner, files=(*found.files, *inner.files))


def _led_on(entry: Entry, folder: str) -> tuple[str, ...]:
    """The files that an entry has the boot loader read instead."""
    if entry.kind == "config":
        return (entry.kernel,)
    if _is_menu(entry):
        names = (word for word in entry.options.split() if not word.startswith(("~", _INITRD)))
        return tuple(_absolute(name, folder) for name in names)
    return ()


def _choice(parser: "_Parser", *, in_menu: bool) -> Menu:
    """What starts by itself: `UI` counts before `DEFAULT`, `ONTIMEOUT` where somebody is waited
    for, and a menu program takes its own default."""
    entries = tuple(parser.entries)
    keyword = "ui" if "ui" in parser.said else "default"
    entry = None if in_menu else parser.commanded(keyword)
    asks = parser.number("prompt") > 0 and keyword == "default"
    timeout = parser.number("timeout") or parser.number("totaltimeout")
    leads_on = entry is not None and bool(_led_on(entry, parser.source.folder))
    if in_menu or (entry is not None and _is_menu(entry) and not leads_on):
        entry, asks = parser.of_menu(), True
    if asks and timeout and "ontimeout" in parser.said:
        keyword = "ontimeout"
        entry = parser.commanded(keyword)
    usable = entry is not None and not entry.disabled
    return Menu(
        entries=entries,
        chosen=entry if usable else None,
        reason="" if usable else _reason(parser.text(keyword)),
        waits=asks and not timeout,
        files=tuple(parser.source.files),
    )


def _reason(command: str) -> str:
    if command:
        return f"{shown(printable(command))} starts no entry of the menu"
    return "neither DEFAULT nor UI says what to start"


def _is_menu(entry: Entry) -> bool:
    return entry.kind == "com32" and posixpath.basename(entry.kernel).lower() in _MENUS


class _Source:
    """Statements out of files, within bounds."""

    def __init__(self, read_file: ReadFile, folder: str) -> None:
        self._read_file = read_file
        self.folder = folder
        self.files: list[str] = []

    def statements(self, path: str, depth: int = 0) -> Iterator[tuple[Place, str, str]] | None:
        """Place, keyword in lower case and rest of each line; None where there is no file."""
        if depth > DEPTH_LIMIT or len(self.files) >= FILE_LIMIT:
            raise BakeryError(f"the boot menu includes {shown(path)}, and too many others")
        text = self._read_file(path)
        if text is None:
            return None
        if len(text) > SIZE_LIMIT_BYTES:
            raise BakeryError(f"the boot menu {shown(path)} is over {SIZE_LIMIT_BYTES} bytes long")
        self.files.append(path)
        return self._parsed(path, text, depth)

    def _parsed(self, path: str, text: bytes, depth: int) -> Iterator[tuple[Place, str, str]]:
        in_text = False
        for number, raw in enumerate(text.split(b"\n"), 1):
            line = raw.decode("utf-8", "replace").split("\r")[0]
            match = _KEYWORD.match(line)
            keyword, rest = (match[1].lower(), match[2] or "") if match else ("", "")
            if in_text or keyword == "text":  # help, up to `endtext`
                in_text = keyword != "endtext"
            elif keyword in ("menu", "include"):
                yield from self._of_menu(Place(path, number), keyword, rest, depth)
            elif keyword and not keyword.startswith("#"):
                yield Place(path, number), keyword, rest

    def _of_menu(
        self, place: Place, keyword: str, rest: str, depth: int
    ) -> Iterator[tuple[Place, str, str]]:
        """A line of a menu, whose keyword is two words, or what it includes."""
        if keyword == "menu":
            match = _KEYWORD.match(rest)
            word, rest = (match[1].lower(), match[2] or "") if match else ("", "")
            keyword = f"menu {word}"
        if keyword not in ("include", "menu include"):
            yield place, keyword, rest
            return
        name, tag = _parted(rest)
        inner = self.statements(_absolute(name, self.folder), depth + 1) if name else None
        if inner is None:
            return
        submenu = keyword == "menu include" and tag
        if submenu:
            yield place, "menu begin", tag
        yield from inner
        if submenu:
            yield place, "menu end", ""


class _Submenu:
    """A menu within the menu: what it lists, and the place of what it begins at."""

    def __init__(self, parent: "_Submenu | None" = None) -> None:
        self.parent = parent
        self.items: list[Entry | _Submenu] = []
        self.default = 0

    def first(self) -> Entry | None:
        """What it starts, submenus entered; None where there is nothing to start."""
        items = (one for one in self.items[self.default :] if _is_enabled(one))
        found = next(items, None)
        return found.first() if isinstance(found, _Submenu) else found


def _is_enabled(item: "Entry | _Submenu") -> bool:
    return isinstance(item, _Submenu) or not item.disabled


class _Parser:
    """The state that is carried from line to line."""

    def __init__(self, source: _Source) -> None:
        self.source = source
        self.entries: list[Entry] = []
        self.said: dict[str, Said] = {}
        self._append: Said | None = None
        self._label: dict[str, Said] = {}
        self._menu = self._start = _Submenu()

    def read(self, path: str) -> bool:
        """Take in a file; False where there is none."""
        statements = self.source.statements(path)
        for place, keyword, rest in statements or ():
            self._take(place, keyword, rest)
        return statements is not None

    def end(self) -> None:
        """Take in the last label."""
        self._record()

    def text(self, keyword: str) -> str:
        """What a keyword was given, without blanks round it; empty for nothing."""
        return self.said[keyword][0].strip() if keyword in self.said else ""

    def number(self, keyword: str) -> int:
        """What a keyword was given, 0 for nothing."""
        match = _NUMBER.match(self.text(keyword))
        return int(match[1]) if match else 0

    def commanded(self, keyword: str) -> Entry | None:
        """What a command line starts: a label with more options, or a file; None for nothing."""
        name, more = _parted(self.text(keyword))
        if not name:
            return None
        found = self._labelled(name)
        if found is None:
            return _entry(name, {"kernel": self.said[keyword]}, None, self.source.folder)
        if not more:
            return found
        longer = _with_options(found, f"{found.options} {more}".strip(), self.source.folder)
        places = (*found.places, self.said[keyword][1])
        return msgspec.structs.replace(longer, places=places)

    def of_menu(self) -> Entry | None:
        """What a menu program starts: the default of the menu it begins with; where UI called it,
        the label of DEFAULT."""
        found = self._labelled(_parted(self.text("default"))[0]) if "ui" in self.said else None
        return found if found and not found.hidden else self._start.first()

    def _labelled(self, name: str) -> Entry | None:
        return next((one for one in self.entries if one.label == name), None)

    def _take(self, place: Place, keyword: str, rest: str) -> None:
        if keyword == "label":
            self._record()
            name = _parted(rest)[0]
            self._label = {"label": (name, place), "kernel": (name, place)} if name else {}
        elif keyword == "append" and not self._label:
            self._append = (rest, place)
        elif keyword in _KINDS or keyword == "kernel":
            self._of_label(keyword, rest, place)
        elif self._label and keyword in _OF_A_LABEL:
            self._label[keyword] = (rest, place)
        elif keyword.startswith("menu "):
            self._structure(keyword)
        else:
            self.said[keyword] = (rest, place)

    def _of_label(self, keyword: str, rest: str, place: Place) -> None:
        """What a label starts: the last such line counts."""
        if self._label:
            for other in ("kernel", *_KINDS):
                self._label.pop(other, None)
            self._label[keyword] = (rest, place)

    def _structure(self, keyword: str) -> None:
        """What menus there are, and where each begins."""
        if keyword in ("menu begin", "menu end", "menu separator"):
            self._record()
        parent = self._menu.parent
        if keyword == "menu begin":
            inner = _Submenu(self._menu)
            self._menu.items.append(inner)
            self._menu = inner
        elif keyword == "menu end":
            self._menu = parent or self._menu
        elif keyword == "menu start":
            self._start = self._menu
        elif keyword == "menu default" and parent:
            parent.default = parent.items.index(self._menu)

    def _record(self) -> None:
        """The label that was read so far is whole."""
        label, self._label = self._label, {}
        if not label:
            return
        if len(self.entries) >= ENTRY_LIMIT:
            raise BakeryError(f"the boot menu holds over {ENTRY_LIMIT} entries")
        entry = _entry(label["label"][0], label, self._append, self.source.folder)
        self.entries.append(entry)
        if not entry.hidden:
            self._menu.items.append(entry)
            if "menu default" in label and not entry.disabled:
                self._menu.default = len(self._menu.items) - 1


_OF_A_LABEL = (
    "append", "initrd", "fdt", "devicetree", "menu label", "menu default", "menu hide",
    "menu disable", "menu disabled",
)  # fmt: skip


def _entry(name: str, said: Mapping[str, Said], append: Said | None, folder: str) -> Entry:
    """The entry of a label, or of a command line that is none."""
    keyword = next(key for key in ("kernel", *_KINDS) if key in said)
    file, more = _parted(said[keyword][0])
    kind = _KINDS.get(keyword) or _BY_EXTENSION.get(posixpath.splitext(file)[1].lower(), "linux")
    parts = [(more, said[keyword][1])]
    appended = said.get("append", append)
    if appended and appended[0].strip() != "-":
        parts.append(appended)
    if "initrd" in said:
        parts.append((_INITRD + said["initrd"][0].strip(), said["initrd"][1]))
    tree = next((said[key][0].strip() for key in ("fdt", "devicetree") if key in said), "")
    entry = Entry(
        label=printable(name),
        kind=kind,
        kernel=printable(file) if kind == "localboot" else _absolute(file, folder),
        title=printable(said["menu label"][0]).replace("^", "") if "menu label" in said else "",
        devicetree=_absolute(tree, folder) if tree else "",
        hidden="menu hide" in said,
        disabled="menu disable" in said or "menu disabled" in said,
        places=tuple(place for text, place in parts if text.strip()),
    )
    return _with_options(entry, " ".join(filter(None, (part[0].strip() for part in parts))), folder)


def _parted(text: str) -> tuple[str, str]:
    """The first word of a text, and the rest."""
    word, *rest = _BLANKS.split(text.strip(_CONTROL), maxsplit=1)
    return word, "".join(rest)


def _with_options(entry: Entry, options: str, folder: str) -> Entry:
    """An entry with these options, and the initrds that they name: of `initrd=`, wherever it
    stands, the first counts, with commas between several."""
    if len(options) > TEXT_LIMIT:
        raise BakeryError(f"the options of {shown(entry.label)} are over {TEXT_LIMIT} long")
    _, _, named = options.partition(_INITRD)
    files = [name for name in named.split(" ")[0].split(",") if name]
    if len(files) > INITRD_LIMIT:
        raise BakeryError(f"the boot entry {shown(entry.label)} names {len(files)} initrds")
    initrds = tuple(_absolute(name, folder) for name in files) if entry.kind == "linux" else ()
    return msgspec.structs.replace(entry, options=options, initrds=initrds)


def _absolute(name: str, folder: str) -> str:
    """A name as a path of the boot loader's filesystem; `..` does not lead out of it."""
    return "/" + posixpath.normpath(posixpath.join("/", folder, name)).lstrip("/")
