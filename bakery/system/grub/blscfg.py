"""`blscfg`: BLS entries as Fedora's and RHEL's GRUB lists them (grub-core/commands/blscfg.c).

It has rules of its own. Files are read up to the first line without a value, a blank one
included; of several `options` lines the first counts; the order is that of the file names, by
`compare`; and an entry becomes a script that is run like others, so that quotes, semicolons and
variables count in it.
"""

import re
from collections.abc import Iterator

from bakery.host.errors import BakeryError
from bakery.system import expansion
from bakery.system.grub import status
from bakery.system.grub.machine import BlsFile, Machine, Mistaken, Pending
from bakery.system.grub.menu import File, Place, Variable
from bakery.system.grub.numbers import prefix
from bakery.system.grub.run import Call, Run
from bakery.system.grub.source import decoded, made
from bakery.system.grub.status import Failed
from bakery.system.grub.variables import Argument, Variables, merged

FOLDER = "/loader/entries/"
SUFFIX = ".conf"
FILE_LIMIT = 256
SIZE_LIMIT_BYTES = 256 << 10
LINE_LIMIT = 1000
NAME_LIMIT = 255

_PIECES = re.compile(r"[0-9]+|[A-Za-z]+|~|\+")
BOOT = "($root)"


def blscfg(machine: Machine, call: Call) -> int:
    """`blscfg`, `blscfg default`, `blscfg non-default`, `blscfg (DEVICE)FOLDER`, `blscfg ID`."""
    if machine.shared.flavour == "unknown":
        raise Mistaken
    if not machine.is_fedoras:
        machine.note_unknown(call.name)
        return status.NONE
    word = call.texts[0] if len(call.texts) == 1 else ""
    _load(machine, word if word.startswith("(") else "")
    default = machine.variables.get("default")
    for place, entry in enumerate(machine.bls):
        is_default = _is_default(default, entry, place)
        wanted = {"default": is_default, "non-default": not is_default, "": True}.get(
            "" if word.startswith("(") else word, entry.id == word
        )
        if wanted and not entry.shown:
            shown = BlsFile(entry.id, entry.file, entry.size, entry.values, shown=True)
            machine.bls = (*machine.bls[:place], shown, *machine.bls[place + 1 :])
            _show(machine, entry)
    return status.NONE


COMMANDS: dict[str, Run] = {"blscfg": blscfg, "bls_import": blscfg}


def compare(one: str, other: str) -> int:
    """Which of two file names is newer (`split_cmp`): 1 the first, -1 the second, 0 neither.

    A name is parted at its last two dashes, as an rpm package's is.
    """
    for first, second in zip(_parts(one), _parts(other), strict=True):
        if result := compare_versions(first, second):
            return result
    return 0


def compare_versions(one: str, other: str) -> int:
    """Which of two versions is newer (`vercmp`): rpm's order, with `+` for what comes after."""
    if one == other:
        return 0
    first, second = _PIECES.findall(one), _PIECES.findall(other)
    for left, right in zip(first, second, strict=False):
        if result := _compare_pieces(left, right):
            return result
    if len(first) == len(second):
        return 0
    longer, sign = (first, 1) if len(first) > len(second) else (second, -1)
    # A tilde sorts before the end.
    return -sign if longer[min(len(first), len(second))] == "~" else sign


def expanded(text: str, known: Variables) -> Argument | None:
    """A value with its variables filled in (`expand_val`); None where nothing comes of it.

    A blank goes behind each variable that is set, and one in front of what follows it goes. As in
    GRUB, a last part that is one character long is lost. BakeryError where it grows beyond all
    bounds.
    """
    found: list[str] = []
    groups: list[tuple[Variable, ...]] = []
    start = end = 0
    in_variable = False

    def append() -> None:
        part = text[start : end + 1]
        value = known.get(part) if in_variable else part
        if value is not None:
            found.append(value + " " * in_variable)
            groups.append(known.named(part) if in_variable else ())

    for at, char in enumerate(text):
        if char == "$" and text[end] != "\\":
            if start != end:
                append()
            in_variable, start = True, at + 1
        elif in_variable and not (char == "_" or (char.isascii() and char.isalnum())):
            append()
            in_variable, start = False, at + (char == " ")
        end = at
    if start != end:
        append()
    return Argument(expansion.joined(found), merged(groups)) if found else None


def _load(machine: Machine, folder: str) -> None:
    """Reads the entries of a folder, or of the usual ones on `root`."""
    if folder.endswith(SUFFIX):
        raise BakeryError(f"GRUB's script takes the single entry {decoded(folder)}")
    if folder:
        device, bracket, path = folder.partition(")")
        if not bracket:
            raise Failed(status.BAD_FILENAME, "a ) is missing")
        folders = [f"{device}){path}"]
    else:
        if not machine.variables.get("root"):
            raise Failed(status.FILE_NOT_FOUND, "root is not set")
        blsdir = machine.variables.get("blsdir")
        folders = [blsdir if blsdir is not None else FOLDER, "/boot" + FOLDER]
    for name in folders:
        names = machine.files.names(name)
        if names is not None:
            _read_all(machine, name, names)
            return


def _read_all(machine: Machine, folder: str, names: tuple[str, ...]) -> None:
    names = tuple(
        name
        for name in names
        if name.endswith(SUFFIX) and len(name) > len(SUFFIX) and not name.startswith(".")
    )
    if len(names) > FILE_LIMIT or any(len(name) > NAME_LIMIT for name in names):
        raise BakeryError(f"{decoded(folder)} holds more than {FILE_LIMIT} boot entries")
    for name in names:
        file = machine.files.named(f"{folder}/{name}")
        data = machine.shared.disk.read(file) if file else None
        if file is not None and data is not None:
            _insert(machine, _parsed(data, name.removesuffix(SUFFIX), file))


def _parsed(data: bytes, identity: str, file: File) -> BlsFile:
    if len(data) > SIZE_LIMIT_BYTES or data.count(b"\n") > LINE_LIMIT:
        raise BakeryError(f"the boot entry {file} is out of all proportion")
    return BlsFile(identity, file, len(data), tuple(_values(data.decode("latin-1"))))


def _values(text: str) -> Iterator[tuple[str, str]]:
    for written in text.replace("\r", "").split("\n"):
        line = written.partition("\0")[0].lstrip(" \t")
        if line.startswith("#"):
            continue
        separator = " " if " " in line else "\t"
        key, found, value = line.partition(separator)
        if not found or not value:
            return
        yield key, value.lstrip(" \t")


def _insert(machine: Machine, entry: BlsFile) -> None:
    """Newest first; of two that compare as equal, the one that was read first stays alone."""
    for place, other in enumerate(machine.bls):
        order = compare(entry.id, other.id)
        if order == 0:
            return
        if order > 0:
            machine.bls = (*machine.bls[:place], entry, *machine.bls[place:])
            return
    machine.bls = (*machine.bls, entry)


def _is_default(default: str | None, entry: BlsFile, place: int) -> bool:
    if default is None:
        return False
    if default in (entry.id, _first(entry, "title")):
        return True
    number = prefix(default)
    return number is not None and number[0] == place


def _show(machine: Machine, entry: BlsFile) -> None:
    """Makes the entry's script, and puts it into the menu."""
    linux = _first(entry, "linux")
    if linux is None:
        machine.shared.note(f"GRUB passes over {entry.file}, which has no 'linux' line")
        return
    known = machine.variables
    options = expanded(_first(entry, "options") or "", known)
    if options is None:
        options = expanded(known.get("default_kernelopts") or "", known)
        fed = known.named("default_kernelopts")
        options = options and Argument(options.text, merged([fed, options.fed_by]))
    title = _first(entry, "title") or linux
    place = Place(entry.file, 0, entry.size, "bls")
    save = "savedefault\n" if known.get("save_default") == "true" else ""
    line = f"{BOOT}{linux}" + (f" {options.text}" if options else "")
    body = f"{save}load_video\nset gfxpayload=keep\ninsmod gzio\nlinux {line}\n"
    users = expanded(_first(entry, "grub_users") or "", known)
    machine.add(
        Pending(
            title=title,
            id=entry.id,
            args=(Argument(title), *(Argument(v) for k, v in entry.values if k == "grub_arg")),
            body=made(body + _initrds(entry, linux, known), place),
            locked=users is not None,
            fed_by=options.fed_by if options else (),
        )
    )


def _initrds(entry: BlsFile, linux: str, known: Variables) -> str:
    """The `initrd` line; `early_initrd` names files that lie beside the entry's own."""
    own = [value for key, value in entry.values if key == "initrd"]
    early = known.get("early_initrd")
    if early is None and not own:
        return ""
    folder = (own[0] if own else linux).rpartition("/")[0] + "/"
    names = [folder + name for name in early.split(" ")] if early is not None else []
    return "initrd" + "".join(f" {BOOT}{name}" for name in [*names, *own]) + "\n"


def _first(entry: BlsFile, key: str) -> str | None:
    return next((value for name, value in entry.values if name == key), None)


def _parts(name: str) -> tuple[str, str, str]:
    """Name, version and release (`split_package_string`)."""
    head, dash, release = name.rpartition("-")
    if not dash:
        return name, "", ""
    first, dash, version = head.rpartition("-")
    return (first, version, release) if dash else (head, release, "")


def _compare_pieces(one: str, other: str) -> int:
    if one == other:
        return 0
    for mark, first in (("~", -1), ("+", -1)):
        if mark in (one, other):
            return first if one == mark else -first
    if one[0].isdigit() != other[0].isdigit():
        return 1 if one[0].isdigit() else -1
    if one[0].isdigit():
        one, other = one.lstrip("0"), other.lstrip("0")
        if len(one) != len(other):
            return 1 if len(one) > len(other) else -1
    return (one > other) - (one < other)
