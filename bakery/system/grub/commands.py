"""GRUB's commands: what each changes. `COMMANDS` is all of them, by name."""

import re

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system.grub import (
    conditions,
    entries,
    environment,
    loading,
    numbers,
    options,
    regexp,
    search,
    status,
)
from bakery.system.grub.blscfg import COMMANDS as BLSCFG
from bakery.system.grub.machine import Machine, Pending, Reached
from bakery.system.grub.menu import Place
from bakery.system.grub.options import Option, Options
from bakery.system.grub.run import Call, Run, assign, run_file, run_lines
from bakery.system.grub.source import decoded, made
from bakery.system.grub.status import Failed
from bakery.system.grub.variables import Value

# What changes nothing that is booted: screens, sounds, keys, passwords, modules, devices.
_IDLE = """
    acpi authenticate background_color background_image badram cat clear cls cryptomount cutmem
    date devicetree echo efi-watchdog efiemu_loadcore efiemu_prepare efiemu_unload fdtdump
    gdbstub gettext gfxmenu gptsync hello help hexdump initrd_usb keymap list_env list_trusted
    loadfont loopback ls lsacpi lsapm lscoreboot lsefi lsefimmap lsefisystab lsfonts lsmmap
    lsmod lspci macppcbless mdraid1x module module2 mmap mouse multiboot_module nativedisk
    net_add_addr net_bootp net_dhcp outb outl outw parttool password password_pbkdf2 pcidump
    play ptest rmmod sendkey serial setpci shim_lock sleep stall terminal terminal_input
    terminal_output time tpm trust distrust usb uppermem verify_detached version vbeinfo
    videoinfo videotest write_byte write_dword write_word xen_initrd xen_module xnu_splash
    zfskey kernel_dtb load_font usbtest net_del_addr net_add_route net_add_dns efitextmode
"""
# What asks the machine that GRUB runs on.
_ASKING = """
    cmp cpuid_features crc file getenv hashsum inb inl inw legacy_check_password md5sum probe
    rdmsr read read_byte read_dword read_word sha1sum sha256sum sha512sum smbios testload
    testspeed zfsinfo zfs-bootfs legacy_configfile legacy_source syslinux_configfile
    syslinux_source extract_legacy_entries_configfile extract_legacy_entries_source
    extract_syslinux_entries_configfile extract_syslinux_entries_source blsuki uki
"""
_EXTRACTING = frozenset(("[", "test", "menuentry", "submenu", "search", "set"))
_ENVIRONMENT = (Option("file", "f"), Option("skip-sig", "s", takes_value=False))
_REGEXP = (Option("set", "s"),)


def set_variable(machine: Machine, call: Call) -> int:
    """`set NAME=VALUE`"""
    if not call.args:
        return status.NONE
    if "=" not in call.args[0].text:
        raise Failed(status.BAD_ARGUMENT, "not an assignment")
    assign(machine, call.node, call.args[0])
    return status.NONE


def unset(machine: Machine, call: Call) -> int:
    """`unset NAME`"""
    machine.variables.unset(_first(call))
    return status.NONE


def export(machine: Machine, call: Call) -> int:
    """`export NAME...`"""
    _first(call)
    for name in call.texts:
        machine.variables.export(name)
    return status.NONE


def test(machine: Machine, call: Call) -> int:
    """`test CONDITION`, `[ CONDITION ]`"""
    return status.NONE if conditions.holds(call.texts, machine.files) else status.TEST_FAILURE


def leave_loop(machine: Machine, call: Call) -> int:
    """`break [N]`, `continue [N]`"""
    count = _count(call, 1)
    if count == 0:
        raise Failed(status.BAD_ARGUMENT, "0 loops cannot be left")
    machine.control.continues = call.name == "continue"
    machine.control.breaks = min(count, machine.control.loops)
    return status.NONE


def shift(machine: Machine, call: Call) -> int:
    """`shift [N]`"""
    if machine.scope is None:
        return status.NONE
    count = _count(call, 1)
    if count > len(machine.scope):
        raise Failed(status.BAD_ARGUMENT, "too few parameters")
    machine.scope = machine.scope[count:]
    return status.NONE


def set_parameters(machine: Machine, call: Call) -> int:
    """`setparams VALUE...`"""
    if machine.scope is None:
        raise Failed(status.INVALID_COMMAND, "not in a function")
    machine.scope = call.args
    return status.NONE


def return_(machine: Machine, call: Call) -> int:
    """`return [N]`"""
    if machine.scope is None or len(call.args) > 1:
        raise Failed(status.BAD_ARGUMENT, "not in a function")
    if not call.args:
        result = numbers.unsigned(machine.variables.get("?") or "0")
    else:
        result = _count(call, 0)
    machine.control.returning = True
    return result


def evaluate(machine: Machine, call: Call) -> int:
    """`eval TEXT...`"""
    if not call.args:
        return status.NONE
    words = call.node.words
    place = words[0].source.place(words[0].start, words[-1].end)
    source = made(" ".join(call.texts), place)
    machine.depth += 1
    result = run_lines(machine, source, call.commands, stop_at_error=True)
    machine.depth -= 1
    return result


def source(machine: Machine, call: Call) -> int:
    """`source FILE`, `. FILE`: in this context. A file that is not there changes nothing."""
    _one(call)
    if not run_file(machine, call.texts[0], call.commands):
        machine.shared.note(f"GRUB's script sources {shown(decoded(call.texts[0]))} in vain")
    return status.NONE


def configfile(machine: Machine, call: Call) -> int:
    """`configfile FILE`: in a context of its own, whose menu GRUB then shows."""
    _one(call)
    outer = (machine.variables, machine.items)
    machine.variables = machine.variables.inner(everything=machine.is_fedoras)
    machine.items = None
    found = run_file(machine, call.texts[0], call.commands)
    if machine.items:
        raise Reached(machine)
    machine.variables, machine.items = outer
    if not found:
        machine.shared.note(f"GRUB's script leads to {shown(decoded(call.texts[0]))} in vain")
    return status.NONE


def normal(machine: Machine, call: Call) -> int:
    """`normal [FILE]`: in this context; without a file, grub.cfg in `fw_path` or `prefix`."""
    folders = [machine.variables.get(name) for name in ("fw_path", "prefix")]
    names = [f"{folder}/grub.cfg" for folder in folders if folder] if not call.args else call.texts
    for name in names:
        if run_file(machine, name, call.commands):
            break
    raise Reached(machine)


def extract(machine: Machine, call: Call) -> int:
    """`extract_entries_source FILE` takes the file's menu entries alone, and so does `…configfile`,
    which then shows them as a menu."""
    _one(call)
    in_place = call.name.endswith("source")
    outer = (machine.variables, machine.items)
    machine.variables = machine.variables.inner(everything=in_place)
    found: list[Pending] = []
    machine.items = found
    run_file(machine, call.texts[0], _only_extracting(call))
    if found and not in_place:
        raise Reached(machine)
    machine.variables, machine.items = outer[0], [*(outer[1] or []), *found]
    return status.NONE


def load_env(machine: Machine, call: Call) -> int:
    """`load_env [-f FILE] [NAME...]`"""
    given = options.parse(_ENVIRONMENT, call.args)
    name = _environment_file(machine, given)
    file, data = machine.files.named(name), machine.files.read(name)
    if file is None or data is None:
        raise Failed(status.FILE_NOT_FOUND, "no environment block")
    try:
        saved = environment.read(data)
    except BakeryError as error:
        machine.shared.note(f"{file}: {error.message}")
        raise Failed(status.BAD_FILE_TYPE, error.message) from None
    allowed = {arg.text for arg in given.rest}
    since = machine.saved.get(file, {})
    for one in saved:
        if (not allowed or one.name in allowed) and one.name not in since:
            place = Place(file, one.start, one.end, "environment")
            machine.variables.set(one.name, Value(one.value, place))
    for variable, value in since.items():
        if value is not None and (not allowed or variable in allowed):
            machine.variables.put(variable, value)
    return status.NONE


def save_env(machine: Machine, call: Call) -> int:
    """`save_env [-f FILE] NAME...`: no file changes, but `load_env` sees it."""
    given = options.parse(_ENVIRONMENT, call.args)
    if not given.rest:
        raise Failed(status.BAD_ARGUMENT, "no variable is named")
    name = _environment_file(machine, given)
    file = machine.files.named(name)
    if file is None or not machine.files.is_file(name):
        raise Failed(status.FILE_NOT_FOUND, "no environment block")
    kept = machine.saved.setdefault(file, {})
    for arg in given.rest:
        kept[arg.text] = machine.variables.get(arg.text)
    return status.NONE


def count(machine: Machine, call: Call) -> int:
    """`increment NAME`, `decrement NAME`, as Fedora's GRUB has them."""
    _one(call)
    old = machine.variables.get(call.texts[0])
    if old is None:
        raise Failed(status.FILE_NOT_FOUND, "no such variable")
    negative, digits = old.startswith("-"), old.removeprefix("-")
    found = numbers.prefix(digits)
    if found is None:
        raise Failed(status.BAD_NUMBER, "no number")
    value = (-found[0] if negative else found[0]) + (1 if call.name == "increment" else -1)
    machine.variables.put(call.texts[0], str(value))
    return status.NONE


def match(machine: Machine, call: Call) -> int:
    """`regexp --set N:NAME PATTERN TEXT`"""
    machine.has_wildcards = True
    given = options.parse(_REGEXP, call.args)
    if len(given.rest) != 2:
        raise Failed(status.BAD_ARGUMENT, "a pattern and a text are expected")
    pattern, text = given.rest
    groups = regexp.match(pattern.text, text.text, machine.shared.steps)
    if groups is None:
        return status.TEST_FAILURE
    for wanted in given.all("set"):
        number, colon, name = wanted.partition(":")
        if colon and not re.fullmatch("[0-9]{1,4}", number):
            raise Failed(status.BAD_ARGUMENT, "the group is no number")
        place = int(number) if colon else 1
        found = groups[place] if place < len(groups) else None
        if found is None:
            machine.variables.unset(name if colon else wanted)
        else:
            machine.variables.set(name if colon else wanted, Value(found, None, text.fed_by))
    return status.NONE


def insmod(machine: Machine, call: Call) -> int:
    """`insmod NAME`: only the module of `regexp` changes how scripts are read."""
    if not call.args:
        raise Failed(status.BAD_ARGUMENT, "no module is named")
    machine.has_wildcards |= "regexp" in call.texts
    return status.NONE


def cpuid(machine: Machine, call: Call) -> int:
    """`cpuid -l`: whether the processor is a 64-bit one, as all are that run what is built."""
    if call.texts in (("-l",), ("--long-mode",)):
        cpu = machine.variables.get("grub_cpu")
        return status.NONE if cpu == "x86_64" else status.TEST_FAILURE
    return ask(machine, call)


def ask(_machine: Machine, call: Call) -> int:
    """What depends on the machine, or on files that are read in another way."""
    raise BakeryError(f"GRUB's script runs {call.name}, which bakery does not know how to answer")


def idle(_machine: Machine, _call: Call) -> int:
    """A command without consequences."""
    return status.NONE


def fail(_machine: Machine, _call: Call) -> int:
    """`false`; and `keystatus`, as nobody holds a key."""
    return status.TEST_FAILURE


COMMANDS: dict[str, Run] = {
    **dict.fromkeys(_IDLE.split(), idle),
    **dict.fromkeys(_ASKING.split(), ask),
    **loading.COMMANDS,
    **search.COMMANDS,
    **entries.COMMANDS,
    **BLSCFG,
    "true": idle,
    "false": fail,
    "keystatus": fail,
    "set": set_variable,
    "unset": unset,
    "export": export,
    "test": test,
    "[": test,
    "break": leave_loop,
    "continue": leave_loop,
    "shift": shift,
    "setparams": set_parameters,
    "return": return_,
    "eval": evaluate,
    "source": source,
    ".": source,
    "configfile": configfile,
    "normal": normal,
    "extract_entries_source": extract,
    "extract_entries_configfile": extract,
    "load_env": load_env,
    "save_env": save_env,
    "increment": count,
    "decrement": count,
    "regexp": match,
    "insmod": insmod,
    "cpuid": cpuid,
}


def _first(call: Call) -> str:
    if not call.args:
        raise Failed(status.BAD_ARGUMENT, "one argument is expected")
    return call.texts[0]


def _one(call: Call) -> None:
    if len(call.args) != 1:
        raise Failed(status.BAD_ARGUMENT, "one argument is expected")


def _count(call: Call, default: int) -> int:
    """The number that is the only argument."""
    if not call.args:
        return default
    found = numbers.prefix(call.texts[0], 10)
    if len(call.args) > 1 or found is None or found[1]:
        raise Failed(status.BAD_ARGUMENT, "one number is expected")
    return found[0]


def _environment_file(machine: Machine, given: Options) -> str:
    prefix = machine.variables.get("prefix")
    name = given.last("file")
    if name is None and prefix is None:
        raise Failed(status.FILE_NOT_FOUND, "prefix is not set")
    return name if name is not None else f"{prefix}/grubenv"


def _only_extracting(call: Call) -> dict[str, Run]:
    """The commands that run while entries are extracted; the others are errors."""

    def refuse(_machine: Machine, _call: Call) -> int:
        raise Failed(status.EXTRACTOR, "not allowed here")

    return {name: run if name in _EXTRACTING else refuse for name, run in call.commands.items()}
