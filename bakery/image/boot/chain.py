"""From firmware down: which program each kind of firmware starts, and what that one comes to.

UEFI without a variable of its own, as on a node that an image was just written to, starts
\\EFI\\BOOT\\BOOT….EFI of an ESP (UEFI, 3.5.1.1). A BIOS runs the code in the first sector. What an
entry starts that neither comes to is kept, and bears no firmware: a node can be given its kernel
over the network all the same.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.image.boot import bios, efi
from bakery.image.boot.conventional import Candidate
from bakery.image.boot.entry import BootEntry, Firmware, Loader, Way
from bakery.image.boot.menus import Menus, Reached
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.reader import Reader

T = TypeVar("T")
UNREAD: Loader = "boot loader entries"


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """What firmware comes to. `entries` stand in the order of the firmware that counts first.

    That is UEFI, and BIOS where there is nothing for UEFI; then come the other's, then those that
    no firmware comes to. Entries that start the same are one, with all its firmware.
    """

    entries: tuple[BootEntry, ...] = ()
    ways: tuple[Way, ...] = ()


def read(reader: Reader, opened: Sequence[Volume], trees: Sequence[Volume]) -> Chain:
    """The chain of an image: `opened` are the volumes that can be read, `trees` all in them."""
    menus = Menus(reader, opened, trees)
    ways = [*efi.ways(menus), *bios.ways(menus)]
    rest = [candidate.read() for candidate in menus.everywhere() if not _is_read(candidate, ways)]
    read_of = [(reached.way.firmware, reached.reading) for reached in ways]
    entries = _merged([*read_of, *((None, reading) for reading in rest)])
    reader.notes.extend(dict.fromkeys(note for one in ways for note in one.reading.notes))
    _note_difference(reader, ways)
    if entries and not entries[0].firmware:
        reader.notes.append(
            f"no firmware comes to {entries[0].title} by way of the image itself: "
            "what is built of it starts over the network"
        )
    return Chain(
        entries=tuple(entries[:ENTRIES_LIMIT]),
        ways=tuple(reached.way for reached in ways),
    )


def _is_read(candidate: Candidate, ways: Sequence[Reached]) -> bool:
    return any(candidate.file in reached.reading.menus for reached in ways)


def _merged(readings: Iterable[tuple[Firmware | None, Reading]]) -> list[BootEntry]:
    """The entries, those that start the same made one."""
    found: dict[object, BootEntry] = {}
    for firmware, reading in readings:
        listed = {entry.config for entry in found.values()}
        for position, entry in enumerate(reading.entries):
            if reading.loader == UNREAD and entry.config in listed:
                continue  # a loader reads it, in its own way
            key: object = entry.what if entry.args else (entry.config, entry.id)
            starts = position == 0 and not reading.problem
            found[key] = _joined(found.get(key), entry, firmware, starts=starts)
    return list(found.values())


def _joined(
    old: BootEntry | None, entry: BootEntry, firmware: Firmware | None, *, starts: bool
) -> BootEntry:
    """An entry that a firmware comes to, and what was known of it before."""
    known = old or msgspec.structs.replace(entry, places=())
    own = (firmware,) if firmware else ()
    return msgspec.structs.replace(
        known,
        id=entry.id if known.id == known.title else known.id,  # GRUB's id is the title, by default
        firmware=_union(known.firmware, own),
        default_for=_union(known.default_for, own if starts else ()),
        places=_union(known.places, entry.places),
    )


def _union(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _note_difference(reader: Reader, ways: Sequence[Reached]) -> None:
    """Says so where UEFI and BIOS would not start the same."""
    first = {r.way.firmware: r.reading.entries[0] for r in ways if r.reading.entries}
    if len(first) == 2 and first["uefi"].what != first["bios"].what:
        uefi, other = first["uefi"], first["bios"]
        reader.notes.append(
            f"UEFI would start {uefi.title} ({uefi.config}), BIOS {other.title} "
            f"({other.config}): UEFI's is taken"
        )
