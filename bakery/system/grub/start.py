"""GRUB from its start to its menu: what a configuration leads to, and what starts by itself."""

from collections.abc import Mapping

from bakery.system.grub.commands import COMMANDS
from bakery.system.grub.files import Disk
from bakery.system.grub.lines import Built, built, entry_of
from bakery.system.grub.machine import (
    Booted,
    Flavour,
    Left,
    Machine,
    Mistaken,
    Pending,
    Reached,
    Shared,
)
from bakery.system.grub.menu import File, Menu
from bakery.system.grub.run import run_file, run_lines
from bakery.system.grub.source import encoded, of_file
from bakery.system.grub.variables import Value, Variables
from bakery.system.grub.world import World

_FEATURES = """
    chainloader_bpb ntldr platform_search_hint default_font_path all_video_module menuentry_id
    menuentry_options 200_final nativedisk_cmd timeout_style
"""
CPUS = {"efi": "x86_64", "pc": "i386"}

# What grub-mkconfig's scripts set where next_entry is the default (util/grub.d/00_header.in).
FOR_ONE_BOOT = "boot_once"


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
    they are then. `flavour` is whose GRUB it is: "unknown" is "fedora" where a script runs
    `blscfg`, else "gnu".
    `has_wildcards`: its image holds the module `regexp`.

    A menu without items is what a configuration comes to that is not there or makes none.
    BakeryError where the scripts are out of all proportion, or ask what cannot be known.
    """
    disk = Disk(world)
    first = _first_variables(world, variables)

    def once(shared: Shared) -> Menu:
        machine = Machine(shared, first.copy(), has_wildcards=has_wildcards)
        menu = _run(machine, name, early)
        notes = tuple(shared.notes)
        return Menu(
            items=menu.items, chosen=menu.chosen, configs=tuple(shared.configs), notes=notes
        )

    try:
        return once(Shared(disk, flavour))
    except Mistaken:
        return once(Shared(disk, "fedora"))


def _run(machine: Machine, name: str | None, early: bytes) -> Built:
    try:
        if early:
            source = of_file(early, File("", "the image's own configuration"))
            run_lines(machine, source, COMMANDS, stop_at_error=False)
        _run_first(machine, name)
    except Reached as reached:
        machine = reached.machine
    except Booted:  # without a menu: what is booted is its one entry
        nameless = Pending("", "", (), of_file(b"", machine.config))
        return Built((entry_of(machine, nameless, machine.config),), (0,), starts=True)
    except Left as left:
        machine.shared.note(f"GRUB's script leaves GRUB, by {left.name}")
        machine.items = []
    if machine.variables.get(FOR_ONE_BOOT) == "true":
        machine.shared.note("GRUB starts its first entry once: its environment has a next_entry")
    return built(machine, 0)


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
