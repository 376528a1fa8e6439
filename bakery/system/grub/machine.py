"""GRUB at one moment of a run: its variables, functions, menu, and what it has loaded."""

from dataclasses import dataclass, field, replace
from typing import Literal

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system.grub.expand import Scope
from bakery.system.grub.files import Disk, Files
from bakery.system.grub.menu import File, Linux, Variable
from bakery.system.grub.parse import Branches, Function
from bakery.system.grub.regexp import Steps
from bakery.system.grub.source import Source
from bakery.system.grub.variables import Argument, Value, Variables
from bakery.system.grub.world import World

COMMAND_LIMIT = 30_000
TEXT_LIMIT_CHARACTERS = 4 << 20
"""Of all that commands are given in one run."""
PATTERN_LIMIT = 1000
"""How often paths are searched by a pattern in one run."""
PATTERN_STEP_LIMIT = 300_000
ENTRY_LIMIT = 1000
NOTE_LIMIT = 50
FUNCTION_LIMIT = 1000
NO_FILE = File("", "")

Saves = dict[File, dict[str, str | None]]
"""What `save_env` put into environment blocks; None: it took the variable out."""

Flavour = Literal["gnu", "fedora", "unknown"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A line of the menu that has not been run: a title, an id, and a script.

    `args` are what $1, $2… are in it. `place` holds where a BLS entry comes from. `locked`: with
    `superusers` set, it asks for a password.
    """

    title: str
    id: str
    args: tuple[Argument, ...]
    body: Source
    is_submenu: bool = False
    locked: bool = False
    fed_by: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class BlsFile:
    """A BLS entry that `blscfg` has read: its file's name without `.conf`, its keys and values.

    `shown`: it is in a menu already.
    """

    id: str
    file: File
    size: int
    values: tuple[tuple[str, str], ...]
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `boot` would start: a kernel, an EFI program or boot sector, or something else."""

    linux: Linux | None = None
    initrds: tuple[File, ...] = ()
    chainloader: File | None = None
    problem: str = ""


@dataclass(slots=True)
class Shared:
    """What all moments of one run have in common.

    `flavour` is whose GRUB runs: GNU's, as in Debian, Ubuntu and SUSE, or Fedora's and RHEL's. With
    "unknown" it is GNU's until a script runs `blscfg`, which only the other has: see `Mistaken`.
    """

    disk: Disk
    flavour: Flavour = "unknown"
    notes: dict[str, None] = field(default_factory=dict)
    configs: dict[File, None] = field(default_factory=dict)
    commands: int = 0
    entries: int = 0
    characters: int = 0
    patterns: int = 0
    steps: Steps = field(default_factory=lambda: Steps(PATTERN_STEP_LIMIT))

    def note(self, text: str) -> None:
        """Keeps what was passed over, each once."""
        if len(self.notes) < NOTE_LIMIT:
            self.notes[text] = None

    def count_command(self) -> None:
        """BakeryError where a run does not end in good time."""
        self.commands += 1
        if self.commands > COMMAND_LIMIT:
            raise BakeryError(
                f"GRUB's scripts run more than {COMMAND_LIMIT} commands, and may never end"
            )

    def count_text(self, characters: int) -> None:
        """BakeryError where commands are given too much text, all together."""
        self.characters += characters
        if self.characters > TEXT_LIMIT_CHARACTERS:
            raise BakeryError(
                f"GRUB's scripts give their commands more than {TEXT_LIMIT_CHARACTERS} characters"
            )

    def count_pattern(self) -> None:
        """BakeryError where paths are searched by patterns too often."""
        self.patterns += 1
        if self.patterns > PATTERN_LIMIT:
            raise BakeryError(f"GRUB's scripts search paths more than {PATTERN_LIMIT} times")

    def count_entry(self) -> None:
        """BakeryError where a run comes to too many lines of menus."""
        self.entries += 1
        if self.entries > ENTRY_LIMIT:
            raise BakeryError(f"GRUB's scripts make more than {ENTRY_LIMIT} menu entries")


@dataclass(slots=True)
class Control:
    """Which loops and functions are to be left (the static flags of script/execute.c)."""

    loops: int = 0
    breaks: int = 0
    continues: bool = False
    returning: bool = False


@dataclass(slots=True)
class Machine:
    """One moment. `items` is the menu of the context, None where it has none yet."""

    shared: Shared
    variables: Variables
    functions: dict[str, Function] = field(default_factory=dict)
    executing: tuple[str, ...] = ()
    scope: Scope = None
    items: list[Pending] | None = None
    loaded: Loaded | None = None
    control: Control = field(default_factory=Control)
    bls: tuple[BlsFile, ...] = ()
    saved: Saves = field(default_factory=dict)
    failure: str = ""
    """Why what was to be loaded last is not."""
    has_wildcards: bool = False
    forced: Branches = field(default_factory=dict)
    """Branches that are taken whatever their conditions say."""
    config: File = NO_FILE
    depth: int = 0
    files_open: int = 0

    @property
    def world(self) -> World:
        """The machine's disks."""
        return self.shared.disk.world

    @property
    def files(self) -> Files:
        """The files as the variables name them now."""
        return Files(self.shared.disk, self.variables)

    @property
    def is_fedoras(self) -> bool:
        """Whether Fedora's and RHEL's additions hold."""
        return self.shared.flavour == "fedora"

    @property
    def is_leaving(self) -> bool:
        """Whether a loop or a function is being left."""
        return self.control.returning or bool(self.control.breaks)

    def fork(self) -> "Machine":
        """The same moment, to go on from without changing this one."""
        return replace(
            self,
            variables=self.variables.copy(),
            functions=dict(self.functions),
            items=None if self.items is None else list(self.items),
            control=replace(self.control),
            saved={file: dict(values) for file, values in self.saved.items()},
        )

    def define(self, function: Function) -> None:
        """Defines a function, unless it is running."""
        if function.name in self.executing:
            return
        self.functions[function.name] = function
        if len(self.functions) > FUNCTION_LIMIT:
            raise BakeryError(f"GRUB's scripts define more than {FUNCTION_LIMIT} functions")

    def add(self, item: Pending) -> None:
        """Puts a line at the end of the menu."""
        if self.items is None:
            self.items = []
        self.shared.count_entry()
        self.items.append(item)

    def note_unknown(self, name: str) -> None:
        """Keeps that a command was passed over."""
        self.shared.note(f"GRUB's script runs {shown(name[:80])}, which is no command known here")


class Reached(Exception):
    """GRUB shows the menu of this moment, and does not come back."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("a menu")
        self.machine = machine


class Mistaken(Exception):
    """The flavour was unknown, and is Fedora's."""


class Booted(Exception):
    """`boot` starts what was loaded."""


class Left(Exception):
    """GRUB is left by this command."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def value_of(argument: Argument) -> Value:
    """An argument as a variable's value, that no file holds as it is."""
    return Value(argument.text, None, argument.fed_by)
