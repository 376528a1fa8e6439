"""`search`: which device has a file, a label or a UUID (commands/search_wrap.c)."""

from bakery.host.printable import shown
from bakery.system.grub import options, status
from bakery.system.grub.files import tidied
from bakery.system.grub.machine import Machine
from bakery.system.grub.options import Option
from bakery.system.grub.run import Call, Run
from bakery.system.grub.source import decoded, encoded
from bakery.system.grub.status import Failed
from bakery.system.grub.world import Kind

_HINTS = ("hint", "hint-ieee1275", "hint-bios", "hint-baremetal", "hint-efi", "hint-arc")
_OPTIONS = (
    Option("file", "f", takes_value=False),
    Option("label", "l", takes_value=False),
    Option("fs-uuid", "u", takes_value=False),
    Option("set", "s", optional=True),
    Option("no-floppy", "n", takes_value=False),
    Option("efidisk-only", takes_value=False),
    Option("cryptodisk-only", takes_value=False),
    Option("root-dev-only", "r", takes_value=False),
    *(Option(name, "h" if name == "hint" else "") for name in _HINTS),
)
_KINDS: tuple[Kind, ...] = ("label", "fs-uuid", "file")
"""In this order GRUB looks whether the option was given."""
_USED_HINTS = {"efi": ("hint", "hint-efi"), "pc": ("hint", "hint-bios")}
# The commands of single modules, that a core image's own configuration uses.
_SINGLE: dict[str, Kind] = {
    "search.file": "file",
    "search.fs_label": "label",
    "search.fs_uuid": "fs-uuid",
}


def search(machine: Machine, call: Call) -> int:
    """`search --fs-uuid --set=root --hint… NAME`"""
    given = options.parse(_OPTIONS, call.args, dash=True)
    rest = [arg.text for arg in given.rest]
    while rest and rest[0].startswith("--hint-"):  # of a platform to come
        del rest[0]
    variable = (given.last("set") or "root") if given.has("set") else ""
    if rest:
        wanted = rest[0]
    elif given.last("set"):
        wanted, variable = given.last("set") or "", "root"
    else:
        raise Failed(status.BAD_ARGUMENT, "nothing is searched for")
    kind = next((kind for kind in _KINDS if given.has(kind)), None)
    if kind is None:
        raise Failed(status.INVALID_COMMAND, "nothing is searched for")
    names = (*_USED_HINTS[machine.world.platform], "hint-baremetal")
    hints = [hint for name in names for hint in given.all(name)]
    return _found(machine, kind, wanted, variable, hints)


def single(machine: Machine, call: Call) -> int:
    """`search.fs_uuid NAME [VARIABLE [HINT...]]`"""
    if not call.texts:
        raise Failed(status.BAD_ARGUMENT, "nothing is searched for")
    wanted, *others = call.texts
    variable = others[0] if others else ""
    return _found(machine, _SINGLE[call.name], wanted, variable, others[1:])


COMMANDS: dict[str, Run] = {"search": search, **dict.fromkeys(_SINGLE, single)}


def _found(machine: Machine, kind: Kind, wanted: str, variable: str, hints: list[str]) -> int:
    device = _hinted(machine, wanted, hints) if kind == "file" else None
    device = device or machine.world.find(kind, decoded(wanted))
    if device is None:
        machine.shared.note(f"GRUB's script searches {kind} {shown(decoded(wanted))} in vain")
        raise Failed(status.FILE_NOT_FOUND, "no such device")
    if variable:
        machine.variables.put(variable, encoded(device))
    return status.NONE


def _hinted(machine: Machine, path: str, hints: list[str]) -> str | None:
    """The first hint that has the file: of several devices with it, that one is taken."""
    for hint in hints:
        device = decoded(hint.removeprefix("(").removesuffix(")"))
        if not device.endswith(",") and machine.world.is_file(device, decoded(tidied(path) or "/")):
            return device
    return None
