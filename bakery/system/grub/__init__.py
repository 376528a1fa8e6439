"""GRUB's menu: the Linux entries of a grub.cfg, which one starts by itself, and their arguments.

Read are the shapes that grub-mkconfig and OSTree's generator write: `menuentry`, `submenu`,
`linux`, `linux16`, `linuxefi`, `initrd…`, `set default=`. Nothing is run: see `grubscript`.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable, shown
from bakery.system import expansion, grub_script, kargs, menu
from bakery.system.grub_script import Command, Word

ENVIRONMENT_SIGNATURE = b"# GRUB Environment Block\n"
ENVIRONMENT_LIMIT_BYTES = 64 << 10
ENTRY_LIMIT = 1000
SETTINGS_LIMIT_CHARACTERS = 1 << 20
NAME_LIMIT_CHARACTERS = 1024

LINUX = frozenset(("linux", "linux16", "linuxefi"))
INITRD = frozenset(("initrd", "initrd16", "initrdefi"))

_VALUE_OPTIONS = frozenset(("--class", "--users", "--hotkey", "--source"))
_ID_WORDS = frozenset(("--id", "$menuentry_id_option", "${menuentry_id_option}"))
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL | re.ASCII)
_DEVICE = re.compile(r"\([^)]*\)")
_ENVIRONMENT_LINE = re.compile(r"(?:([^#=\n][^=\n]*)=)?((?:[^\\\n]|\\.)*)\n", re.DOTALL)


class MenuEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A menu entry that starts Linux. Paths are as written, without GRUB's device in front."""

    title: str
    linux: str
    id: str = ""
    initrd: tuple[str, ...] = ()
    args: kargs.Args = ()


class _Item(msgspec.Struct, frozen=True):
    """A line of the menu: an entry, or a submenu with lines of its own."""

    title: str
    id: str
    entry: MenuEntry | None = None
    items: "tuple[_Item, ...]" = ()
    problem: str = ""
    """Why it cannot be taken, where it boots Linux and still is no entry."""

    def entries(self) -> list[MenuEntry]:
        """The Linux entries in it, in the menu's order."""
        own = [self.entry] if self.entry else []
        return own + [entry for item in self.items for entry in item.entries()]


def ordered(text: bytes, environment: Mapping[str, str] | None = None) -> list[MenuEntry]:
    """The Linux entries of a grub.cfg, in front what GRUB starts by itself, the others as listed.

    `environment` is what grubenv holds (`parse_environment`); it fills variables, and is asked
    before the values the script itself sets. `next_entry`, a choice for one boot, is left out of
    account. A default that names nothing means the first entry, as in GRUB. BakeryError where
    the default starts no Linux, or the file does not add up or is out of all proportion.
    """
    commands = grub_script.parse(text)
    known, default = _settings(commands, environment or {})
    items = _items(commands, known)
    entries = [entry for item in items for entry in item.entries()]
    if not entries:
        return []
    first = _default_item(items, default)
    if not first.entries():
        raise BakeryError(
            f"GRUB's default menu entry, {shown(first.title)}, "
            + (f"cannot be used: {first.problem}" if first.problem else "does not boot Linux"),
            "give the image another default entry",
        )
    chosen = first.entries()[0]
    return [chosen, *(entry for entry in entries if entry is not chosen)]


def set_args(text: bytes, kernel: str, change: kargs.Change, ostree: str | None = None) -> bytes:
    """`text` with the arguments of each line that boots `kernel` put through `change`.

    With `ostree`, only lines with that `ostree=` value. `change` sees an argument that holds a
    variable (`$vt_handoff`) as it is written, and it stays so; lines it leaves alone keep every
    byte. `text` itself where no line boots `kernel`.
    """
    pieces: list[bytes] = []
    done = 0
    for command in grub_script.walk(grub_script.parse(text)):
        if command.name not in LINUX or len(command.words) < 2:
            continue
        path, *words = command.words[1:]
        if not same_kernel(_path(path.value({})), kernel):
            continue
        written = {_as_seen(word): word.raw for word in words}
        args = tuple(map(_as_seen, words))
        if ostree is not None and kargs.value(args, "ostree") != ostree:
            continue
        new = kargs.validate(change(args))
        if new != args:
            line = "".join(f" {written.get(arg) or spell(arg)}" for arg in new)
            pieces += [text[done : path.end], line.encode("latin-1")]
            done = command.words[-1].end
    return b"".join([*pieces, text[done:]])


def same_kernel(one: str, other: str) -> bool:
    """Whether two paths name one kernel, seen from the root or from /boot."""
    return one.removeprefix("/boot/").lstrip("/") == other.removeprefix("/boot/").lstrip("/")


def spell(arg: str) -> str:
    """A kernel argument as a word of a `linux` line.

    GRUB puts an argument with blanks in double quotes by itself, and a backslash in front of
    every quote and backslash that comes with one; so quotes must not come with it. BakeryError
    for an argument that GRUB cannot hand on as it is (grub-core/lib/cmdline.c).
    """
    plain = arg.replace('"', "")
    if "\\" in plain or "'" in plain:
        raise BakeryError(
            f"the kernel argument {shown(arg)} cannot go through GRUB, "
            "which puts a backslash before every quote and backslash"
        )
    return grub_script.quote(plain)


def parse_environment(text: bytes) -> dict[str, str]:
    """The variables of a grubenv file: `name=value` lines, `\\` escapes, `#` fills the rest.

    The file is a block of 1024 bytes (grub-core/lib/envblk.c); other sizes are read as well, up
    to `ENVIRONMENT_LIMIT_BYTES`. BakeryError where it is none. A last line cut short is ignored.
    """
    if len(text) > ENVIRONMENT_LIMIT_BYTES or not text.startswith(ENVIRONMENT_SIGNATURE):
        raise BakeryError(
            "grubenv is not a GRUB environment block",
            "recreate it in the image: grub-editenv /boot/grub/grubenv create",
        )
    content = text.decode("utf-8", "replace")
    variables: dict[str, str] = {}
    position = len(ENVIRONMENT_SIGNATURE)
    while match := _ENVIRONMENT_LINE.match(content, position):
        if match[1] is not None:
            variables[match[1]] = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)
        position = match.end()
    return variables


def _settings(commands: list[Command], saved: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    """The variables at the menu, and what `default` says."""
    known: dict[str, str] = dict(saved)
    defaults: list[Word] = []
    room = SETTINGS_LIMIT_CHARACTERS
    for command in _outside_entries(commands):
        word = command.words[-1]
        match = _ASSIGNMENT.fullmatch(word.raw)
        if match is None or len(command.words) != 1 + (command.name == "set"):
            continue
        value = Word(word.start, match[2])
        if match[1] == "default":
            defaults.append(value)
        elif match[1] not in saved:
            known[match[1]] = value.value(known)
            room -= len(known[match[1]])
        if room < 0:
            raise BakeryError("grub.cfg sets variables out of all proportion")
    known["next_entry"] = ""
    named = [value.value(known) for value in defaults]
    return known, next((name for name in reversed(named) if name), "")


def _outside_entries(commands: list[Command]) -> Iterable[Command]:
    """The commands GRUB meets on its way to the menu; a function's body is not among them."""
    for command in commands:
        if command.name in ("menuentry", "submenu", "function"):
            continue
        if command.words:
            yield command
        yield from _outside_entries(command.block or [])


def _items(commands: list[Command], known: Mapping[str, str]) -> tuple[_Item, ...]:
    items: list[_Item] = []
    for command in commands:
        if command.name == "function":
            continue
        if command.name in ("menuentry", "submenu"):
            items.append(_item(command, known))
        elif command.block:
            items += _items(command.block, known)
        if len(items) > ENTRY_LIMIT:
            raise BakeryError(f"grub.cfg holds more than {ENTRY_LIMIT} menu entries")
    return tuple(items)


def _item(command: Command, known: Mapping[str, str]) -> _Item:
    title, identity = _names(command.words[1:], known)
    if command.name == "submenu":
        return _Item(title, identity, items=_items(command.block or [], known))
    try:
        return _Item(title, identity, _entry(command.block or [], title, identity, known))
    except BakeryError as error:
        return _Item(title, identity, problem=error.message)


def _names(words: tuple[Word, ...], known: Mapping[str, str]) -> tuple[str, str]:
    """Title and id from the words behind `menuentry`."""
    titles: list[str] = []
    identity, option = "", ""
    for word in words:
        if option:
            identity = word.value(known) if option == "id" else identity
            option = ""
        elif word.raw in _ID_WORDS or word.raw in _VALUE_OPTIONS:
            option = "id" if word.raw in _ID_WORDS else "other"
        elif word.raw.startswith("--"):
            name, _, text = word.value(known).partition("=")
            identity = text if name == "--id" else identity
        else:
            titles.append(word.value(known))
    title = titles[0] if titles else ""
    return printable(title, NAME_LIMIT_CHARACTERS), printable(identity, NAME_LIMIT_CHARACTERS)


def _entry(
    body: list[Command], title: str, identity: str, known: Mapping[str, str]
) -> MenuEntry | None:
    """The Linux entry in a menu entry's body, or None. Of two such commands the later holds."""
    commands = list(grub_script.walk(body))
    linux = [c for c in commands if c.name in LINUX and len(c.words) > 1]
    initrd = [c for c in commands if c.name in INITRD]
    path = _path(linux[-1].words[1].value(known)) if linux else ""
    if not path:
        return None
    args = _values(linux[-1].words[2:], known)
    files = _values(initrd[-1].words[1:], known) if initrd else []
    return MenuEntry(
        title=title,
        id=identity,
        linux=path,
        initrd=tuple(_path(name) for name in files if not name.startswith("--")),
        args=kargs.validate([_handed_on(arg) for arg in args if arg]),
    )


def _values(words: tuple[Word, ...], known: Mapping[str, str]) -> list[str]:
    """The words that GRUB makes of several, within the bounds of one text."""
    return list(expansion.within(value for word in words for value in word.values(known)))


def _default_item(items: tuple[_Item, ...], default: str) -> _Item:
    """The line `default` names; `A>B` is B in submenu A. The first where nothing fits."""
    names = [(item.id, item.title) for item in items]
    place = menu.index(names, default)
    head, _, rest = default.partition(">")
    if place is None and rest:
        place = menu.index(names, head)
        if place is not None and items[place].items:
            return _default_item(items[place].items, rest)
    return items[place or 0]


def _path(text: str) -> str:
    """A path without GRUB's device, tidied; as it is where it is none, or leads elsewhere."""
    path = _DEVICE.sub("", text, count=1) if text.startswith("(") else text
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or not parts or ".." in parts or not path.isprintable():
        return path
    return "/" + "/".join(parts)


def _as_seen(word: Word) -> str:
    """A word of a `linux` line as `change` sees it."""
    return word.raw if word.has_variable else _handed_on(word.value({}))


def _handed_on(arg: str) -> str:
    """A word as GRUB hands it to the kernel, quotes set in the usual place: key="a b"."""
    for mark in ("\\", "'", '"'):
        arg = arg.replace(mark, "\\" + mark)
    if " " not in arg:
        return arg
    name, equals, text = arg.partition("=")
    return f'{name}="{text}"' if equals and " " not in name else f'"{arg}"'
