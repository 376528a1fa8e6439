"""GRUB from its start to its menu: what a configuration leads to, and what starts by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bakery.host.errors import BakeryError
from bakery.host.printable import printable
from bakery.system.grub import choice
from bakery.system.grub.commands import COMMANDS
from bakery.system.grub.files import Disk
from bakery.system.grub.machine import (
    Booted,
    Control,
    Flavour,
    Left,
    Loaded,
    Machine,
    Mistaken,
    Pending,
    Reached,
    Shared,
)
from bakery.system.grub.menu import Entry, File, Item, Menu, Submenu
from bakery.system.grub.run import run_file, run_lines
from bakery.system.grub.source import decoded, encoded, of_file
from bakery.system.grub.variables import Value, Variables, merged
from bakery.system.grub.world import World

NAME_LIMIT_CHARACTERS = 1024
MENU_DEPTH_LIMIT = 8
_FEATURES = """
    chainloader_bpb ntldr platform_search_hint default_font_path all_video_module menuentry_id
    menuentry_options 200_final nativedisk_cmd timeout_style
"""
CPUS = {"efi": "x86_64", "pc": "i386"}


@dataclass(frozen=True, slots=True)
class _Run:
    """A line of a menu, run: what it is, the places inside it, and whether GRUB stays with it."""

    item: Item
    inside: tuple[int, ...]
    starts: bool


@dataclass(frozen=True, slots=True)
class _Built:
    """A menu, the places of what starts by itself, and whether that starts."""

    items: tuple[Item, ...]
    chosen: tuple[int, ...]
    starts: bool


def run(
    world: World,
    variables: Mapping[str, str],
    name: str | None = None,
    *,
    early: bytes = b"",
    flavour: Flavour = "unknown",
    has_wildcards: bool = False,
) -> Menu:
    """What GRUB shows and starts in this world.

    `variables` are those it begins with: `root`, `prefix`, `cmdpath`, perhaps `fw_path`, over
    `grub_platform`, `grub_cpu` and the `feature_…` that every GRUB has. `early` is the
    configuration inside its own image, which runs first. `name` is the configuration's name
    (`(hd0,gpt2)/boot/grub/grub.cfg`); without one it is grub.cfg in `fw_path` or `prefix` as
    they are then. `flavour` is whose GRUB it is: "unknown" is "fedora" where a script runs `blscfg`.
    `has_wildcards`: its image holds the module `regexp`.

    A menu without items is what a configuration comes to that is not there or makes none.
    BakeryError where the scripts are out of all proportion, or ask what cannot be known.
    """
    first = _first_variables(world, variables)
    machine = Machine(Shared(Disk(world), flavour), first.copy(), has_wildcards=has_wildcards)
    try:
        return _run(machine, name, early)
    except Mistaken:
        shared = Shared(machine.shared.disk, "fedora")
        return _run(Machine(shared, first, has_wildcards=has_wildcards), name, early)


def _run(machine: Machine, name: str | None, early: bytes) -> Menu:
    try:
        if early:
            source = of_file(early, File("", "the image's own configuration"))
            run_lines(machine, source, COMMANDS, stop_at_error=False)
        _run_first(machine, name)
    except Reached as reached:
        machine = reached.machine
    except Booted:
        return _started_at_once(machine)
    except Left as left:
        machine.shared.note(f"GRUB's script leaves GRUB, by {left.name}")
        machine.items = []
    built = _built(machine, 0)
    return _menu(machine, built.items, built.chosen)


def _first_variables(world: World, given: Mapping[str, str]) -> Variables:
    own = {
        "grub_platform": world.platform,
        "grub_cpu": CPUS[world.platform],
        **{f"feature_{name}": "y" for name in _FEATURES.split()},
        **given,
    }
    variables = Variables({})
    for name, text in own.items():
        variables.set(name, Value(encoded(text)))
        variables.export(name)
    return variables


def _run_first(machine: Machine, name: str | None) -> None:
    if name is not None:
        run_file(machine, encoded(name), COMMANDS)
        return
    for folder in ("fw_path", "prefix"):
        text = machine.variables.get(folder)
        if text and run_file(machine, f"{text}/grub.cfg", COMMANDS):
            return


def _started_at_once(machine: Machine) -> Menu:
    """A configuration that boots without a menu: what it boots is its one entry."""
    item = _entry(machine, Pending("", "", (), of_file(b"", machine.config)), machine.config)
    return _menu(machine, (item,), (0,))


def _menu(machine: Machine, items: tuple[Item, ...], chosen: tuple[int, ...]) -> Menu:
    shared = machine.shared
    return Menu(
        items=items, chosen=chosen, configs=tuple(shared.configs), notes=tuple(shared.notes)
    )


def _built(machine: Machine, depth: int) -> _Built:
    """Every line of the menu as it would be run, and which of them starts by itself."""
    pending = machine.items or []
    if depth >= MENU_DEPTH_LIMIT:
        raise BakeryError(f"GRUB's menus nest deeper than {MENU_DEPTH_LIMIT}")
    if not pending:
        return _Built((), (), starts=False)
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
    chosen = (started, *tried[started].inside)
    return _Built(tuple(one.item for one in lines), chosen, tried[started].starts)


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
    config = pending.body.file
    machine.variables.put("?", "0")
    try:
        run_lines(machine, pending.body, COMMANDS, stop_at_error=True)
    except Booted:
        machine.items = None
    except Left as left:
        machine.loaded = Loaded(problem=f"it leaves GRUB, by {left.name}")
        return _Run(_entry(machine, pending, config), (), starts=True)
    except Reached as reached:  # GRUB stays in that menu, whatever comes of it
        return replace(_submenu(reached.machine, pending, depth), starts=True)
    if machine.loaded is None and pending.is_submenu and machine.items is not None:
        return _submenu(machine, pending, depth)
    return _Run(_entry(machine, pending, config), (), starts=machine.loaded is not None)


def _submenu(machine: Machine, pending: Pending, depth: int) -> _Run:
    built = _built(machine, depth + 1)
    item = Submenu(
        title=_shown(pending.title),
        id=_shown(pending.id),
        config=pending.body.file,
        items=built.items,
    )
    return _Run(item, built.chosen, built.starts)


def _entry(machine: Machine, pending: Pending, config: File) -> Entry:
    loaded = machine.loaded or Loaded(problem=machine.failure or "it starts nothing")
    linux = loaded.linux
    if linux is not None and pending.fed_by:
        fed_by = merged([pending.fed_by, linux.variables])
        linux = type(linux)(file=linux.file, args=linux.args, place=linux.place, variables=fed_by)
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
