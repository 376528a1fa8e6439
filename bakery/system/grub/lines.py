"""GRUB's menus, each line run as GRUB would: grub-core/normal/menu.c."""

from dataclasses import dataclass, replace

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable
from bakery.system.grub import choice
from bakery.system.grub.commands import COMMANDS
from bakery.system.grub.loading import INITRD
from bakery.system.grub.machine import (
    Booted,
    Control,
    Left,
    Loaded,
    Machine,
    Pending,
    Reached,
)
from bakery.system.grub.menu import Entry, File, Item, Submenu
from bakery.system.grub.parse import lines, ways
from bakery.system.grub.run import run_lines
from bakery.system.grub.source import decoded
from bakery.system.grub.variables import merged

NAME_LIMIT_CHARACTERS = 1024
MENU_DEPTH_LIMIT = 8
WAY_LIMIT = 8


@dataclass(frozen=True, slots=True)
class _Run:
    """A line of a menu, run: what it is, the places inside it, and whether GRUB stays with it."""

    item: Item
    inside: tuple[int, ...] = ()
    starts: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    """A menu, the places of what starts by itself, and whether that starts."""

    items: tuple[Item, ...] = ()
    chosen: tuple[int, ...] = ()
    starts: bool = False


def built(machine: Machine, depth: int) -> Built:
    """Every line of the menu as it would be run, and which of them starts by itself."""
    pending = machine.items or []
    if depth >= MENU_DEPTH_LIMIT:
        raise BakeryError(f"GRUB's menus nest deeper than {MENU_DEPTH_LIMIT}")
    if not pending:
        return Built()
    machine = replace(machine, depth=0, control=Control(), items=list(pending))
    names = [(one.id, one.title) for one in pending]
    ids_first = machine.is_fedoras
    first = choice.default(machine.variables.get("default"), names, ids_first=ids_first)
    others = choice.fallbacks(machine.variables.get("fallback"), names, ids_first=ids_first)
    # What an entry sets that does not start stays set for the next.
    goes_on = machine.fork()
    tried: dict[int, _Run] = {}
    for place in (first, *others):
        tried[place] = _run_line(goes_on, pending[place], depth)
        if tried[place].starts:
            break
    started = place if tried[place].starts else first
    lines = [
        tried.get(place) or _run_line(machine.fork(), one, depth)
        for place, one in enumerate(pending)
    ]
    return Built(
        items=tuple(one.item for one in lines),
        chosen=(started, *tried[started].inside),
        starts=tried[started].starts,
    )


def _run_line(machine: Machine, pending: Pending, depth: int) -> _Run:
    """A line of the menu, run.

    The machine goes on from there (`grub_menu_execute_entry`).
    """
    known, items, scope = machine.variables, machine.items, machine.scope
    old = {name: known.values.get(name) for name in ("chosen", "default")}
    if pending.is_submenu:
        machine.variables, machine.items = known.inner(everything=machine.is_fedoras), []
    machine.scope, machine.failure, machine.control = pending.args, "", Control()
    _set_chosen(machine, pending, known.get("chosen"), known.get("default"))
    try:
        return _run_body(machine, pending, depth)
    finally:
        machine.variables, machine.items, machine.scope = known, items, scope
        for name, value in old.items():
            if value is None:
                known.unset(name)
            else:
                known.set(name, value)


def _run_body(machine: Machine, pending: Pending, depth: int) -> _Run:
    config, before = pending.body.file, machine.fork()
    machine.variables.put("?", "0")
    try:
        run_lines(machine, pending.body, COMMANDS, stop_at_error=True)
    except Booted:
        machine.items = None
    except Left as left:
        machine.loaded = Loaded(problem=f"it leaves GRUB, by {left.name}")
        return _Run(entry_of(machine, pending, config))
    except BakeryError as error:  # nobody can say what comes of it
        machine.loaded = Loaded(problem=error.message)
        return _Run(entry_of(machine, pending, config))
    except Reached as reached:  # GRUB stays in that menu, whatever comes of it
        return replace(_submenu(reached.machine, pending, depth), starts=True)
    if machine.loaded is None and pending.is_submenu and machine.items is not None:
        return _submenu(machine, pending, depth)
    entry = entry_of(machine, pending, config)
    if entry.linux is not None and not entry.initrds and not entry.problem and not machine.forced:
        entry = msgspec.structs.replace(entry, with_initrd=_with_initrd(before, pending, entry))
    return _Run(entry, starts=machine.loaded is not None)


def _with_initrd(before: Machine, pending: Pending, taken: Entry) -> Entry | None:
    """What the line comes to by the branches that lead to an `initrd`; None where none does.

    Only the same kernel counts.
    """
    script = [node for line in lines(pending.body) for node in line.nodes]
    for branches in ways(tuple(script), INITRD)[:WAY_LIMIT]:
        machine = before.fork()
        machine.forced = branches
        found = _run_body(machine, pending, 0).item
        assert taken.linux is not None
        if isinstance(found, Entry) and found.initrds and not found.problem:
            assert found.linux is not None
            if found.linux.file == taken.linux.file:
                return found
    return None


def _submenu(machine: Machine, pending: Pending, depth: int) -> _Run:
    menu = built(machine, depth + 1)
    item = Submenu(
        title=_shown(pending.title),
        id=_shown(pending.id),
        config=pending.body.file,
        items=menu.items,
    )
    return _Run(item, menu.chosen, menu.starts)


def entry_of(machine: Machine, pending: Pending, config: File) -> Entry:
    """What has been loaded, as an entry of the menu."""
    loaded = machine.loaded or Loaded(problem=machine.failure or "it starts nothing")
    linux = loaded.linux
    if linux is not None and pending.fed_by:
        fed_by = merged([pending.fed_by, linux.variables])
        linux = msgspec.structs.replace(linux, variables=fed_by)
    return Entry(
        title=_shown(pending.title),
        id=_shown(pending.id),
        config=config,
        linux=linux,
        initrds=loaded.initrds,
        chainloader=loaded.chainloader,
        problem=loaded.problem,
        asks_password=pending.locked and bool(machine.variables.get("superusers")),
    )


def _set_chosen(machine: Machine, pending: Pending, outer: str | None, default: str | None) -> None:
    """The variables that GRUB sets while a line of the menu runs."""
    known = machine.variables
    own = pending.id.replace(">", ">>")
    known.put("chosen", own if outer is None else f"{outer}>{own}")
    known.export("chosen")
    rest = choice.inside(default)
    if rest is not None:
        known.put("default", rest)
    elif not machine.is_fedoras:
        known.unset("default")


def _shown(chars: str) -> str:
    return printable(decoded(chars), NAME_LIMIT_CHARACTERS)
