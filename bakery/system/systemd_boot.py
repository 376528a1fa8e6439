"""systemd-boot: loader.conf, and which entry of its menu starts by itself.

Source: loader.conf(5); UAPI.1 ("The Boot Loader Specification", "Sorting"); where those are
silent, systemd, src/boot/boot.c. What firmware's variables would change (an entry that somebody
chose before) is not in an image: a node that it is written to has none of them.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from bakery.host.errors import BakeryError
from bakery.system import architecture, efi_pattern, loader_lines, versions
from bakery.system.systemd_entry import Entry

CONFIGURATION = "/loader/loader.conf"
"""Always on the ESP: one on the XBOOTLDR partition is not looked at."""
ENTRY_LIMIT = 512
SORTED_LIMIT = 1024
"""The longest name, version or key that entries are sorted by, in characters."""
PATTERN_LIMIT = 1024
SORT_KEYS_SINCE = 250
"""The first systemd-boot that knew sort-key (NEWS of 250)."""

_TRUE = frozenset(("1", "yes", "y", "true", "t", "on"))
_FALSE = frozenset(("0", "no", "n", "false", "f", "off"))
_MAJOR = re.compile(r"systemd-boot ([0-9]{1,6})\b")


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What loader.conf says of the choice.

    `default` is a pattern over ids, in lower case; empty where there is none. `saved`: the entry
    of the last boot is asked for, which no image knows. `waits`: the menu waits until somebody
    presses a key. `auto_entries`: programs of other systems are looked for.
    """

    default: str = ""
    saved: bool = False
    waits: bool = False
    auto_entries: bool = True


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """The entries in systemd-boot's order; `chosen` is the place of the one that it starts, None
    where there is none. `waits`: somebody has to press a key first.
    """

    entries: tuple[Entry, ...]
    chosen: int | None
    waits: bool = False


def parse(text: bytes) -> Configuration:
    """loader.conf; of a key that stands twice the later counts, and a value that is none is
    passed over. BakeryError beyond the limits of `loader_lines`."""
    default, timeout, auto_entries = "", "", True
    for key, value in loader_lines.pairs(text, "loader.conf"):
        if key == "default" and (not value.startswith("@") or value.lower() == "@saved"):
            default = value.lower()
        elif key == "timeout":
            timeout = value
        elif key == "auto-entries" and value in _TRUE | _FALSE:
            auto_entries = value in _TRUE
    saved = default == "@saved"
    if len(default) > PATTERN_LIMIT:
        raise BakeryError(f"the default of loader.conf is {len(default)} characters long")
    return Configuration(
        default="" if saved else default,
        saved=saved,
        waits=timeout == "menu-force",
        auto_entries=auto_entries,
    )


def menu(
    configuration: Configuration,
    entries: Iterable[Entry],
    *,
    auto: Sequence[Entry] = (),
    loader: str = "",
) -> Menu:
    """The menu of these entries, whose programs all exist.

    They are given as systemd-boot finds them: of the ESP and then of the XBOOTLDR partition,
    images before files of type 1; of two that compare alike the first stays in front. `auto` are
    the programs it found of AUTO_PROGRAMS. `loader` is what it says that it is (`uki.magic`).

    BakeryError where there are more than ENTRY_LIMIT, or where what they are sorted by is longer
    than SORTED_LIMIT.
    """
    listed = [*_sorted(list(entries), loader), *(auto if configuration.auto_entries else ())]
    pattern = configuration.default
    matching = (n for n, one in enumerate(listed) if efi_pattern.matches(pattern, one.id))
    usual = (n for n, one in enumerate(listed) if one.kind != "auto")
    chosen = next(matching, None) if pattern else None
    chosen = next(usual, None) if chosen is None else chosen
    return Menu(entries=tuple(listed), chosen=chosen, waits=configuration.waits)


def auto_programs(machine: str) -> tuple[tuple[str, str, str], ...]:
    """Id, title and path of each program that systemd-boot looks for on its own ESP.

    The last one is left out where it is systemd-boot itself, as is for the caller to see.
    """
    suffix = architecture.EFI_SUFFIXES.get(machine, "")
    return (
        ("auto-osx", "macOS", "/System/Library/CoreServices/boot.efi"),
        ("auto-windows", "Windows Boot Manager", "/EFI/Microsoft/Boot/bootmgfw.efi"),
        ("auto-efi-shell", "EFI Shell", f"/shell{suffix}.efi"),
        ("auto-efi-default", "EFI Default Loader", f"/EFI/BOOT/BOOT{suffix.upper()}.EFI"),
    )


def _sorted(entries: list[Entry], loader: str) -> list[Entry]:
    """By UAPI.1: entries that are given up last, then by sort-key, machine-id and version, and
    by id. Before there were sort keys the id alone counted."""
    if len(entries) > ENTRY_LIMIT:
        raise BakeryError(f"there are {len(entries)} boot entries, more than {ENTRY_LIMIT}")
    for entry in entries:
        _bounded(entry)
    # Sorting is stable: the rule that weighs least comes first.
    entries.sort(key=lambda one: (-(one.tries_left or 0), one.tries_done))
    entries.sort(key=lambda one: one.profile)
    entries.sort(key=lambda one: versions.uapi_key(_base(one)), reverse=True)
    if _knows_sort_keys(loader):
        entries.sort(key=_version_key, reverse=True)
        entries.sort(key=lambda one: (one.sort_key is None, one.sort_key or "", *_machine(one)))
    entries.sort(key=lambda one: one.tries_left == 0)
    return entries


def _version_key(entry: Entry) -> versions.UapiKey:
    """A version counts among entries with a sort key alone, as a machine does."""
    return versions.uapi_key(entry.version if entry.sort_key is not None else "")


def _machine(entry: Entry) -> tuple[bool, str]:
    counts = entry.sort_key is not None and entry.machine_id is not None
    return counts, (entry.machine_id or "") if counts else ""


def _base(entry: Entry) -> str:
    """An id without the profile in it: those of one image stay together."""
    name = entry.path.rpartition("/")[2]
    in_front = entry.id[: len(name)]
    return in_front if in_front.lower() == name.lower() and entry.profile else entry.id


def _knows_sort_keys(loader: str) -> bool:
    match = _MAJOR.match(loader)
    return match is None or int(match[1]) >= SORT_KEYS_SINCE


def _bounded(entry: Entry) -> None:
    texts = (entry.id, entry.version, entry.sort_key or "", entry.machine_id or "")
    longest = max(map(len, texts))
    if longest > SORTED_LIMIT:
        raise BakeryError(
            f"a boot entry is sorted by a text of {longest} characters, more than {SORTED_LIMIT}"
        )
