"""The commands that load what `boot` starts: linux, initrd, chainloader, and what is not read."""

import re

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system import kargs
from bakery.system.grub import options, status
from bakery.system.grub.machine import Booted, Left, Loaded, Machine
from bakery.system.grub.menu import File, Linux
from bakery.system.grub.options import Option
from bakery.system.grub.run import Call, Run
from bakery.system.grub.source import decoded
from bakery.system.grub.status import Failed
from bakery.system.grub.variables import merged

INITRD_LIMIT = 32
LINUX = ("linux", "linux16", "linuxefi")
INITRD = ("initrd", "initrd16", "initrdefi")
_OTHERS = """
    multiboot multiboot2 xen_hypervisor xen_linux kfreebsd knetbsd kopenbsd ntldr freedos
    pxechainloader plan9 truecrypt xnu_kernel xnu_kernel64 xnu_resume legacy_kernel appleloader
"""
LEAVING = ("exit", "reboot", "halt", "fwsetup", "normal_exit")
_BLOCKS = re.compile(r"(?:\(([^)]*)\))?(\d*\+\d+(?:,\d*\+\d+)*)", re.ASCII)
_CHAINLOADER = (Option("force", takes_value=False), Option("bpb", takes_value=False))


def linux(machine: Machine, call: Call) -> int:
    """`linux FILE ARG...`"""
    if not call.args:
        raise Failed(status.BAD_ARGUMENT, "no kernel is named")
    machine.loaded = None
    first, *others = call.args
    file = _present(machine, first.text, "kernel")
    words = call.node.words
    start, end = words[first.word].end, words[-1].end
    try:
        args = kargs.validate([handed_on(decoded(arg.text)) for arg in others if arg.text])
        problem = ""
    except BakeryError as error:
        args, problem = (), error.message
    machine.loaded = Loaded(
        linux=Linux(
            file=file,
            args=args,
            place=words[0].source.place(start, max(start, end)),
            variables=merged(arg.fed_by for arg in others),
        ),
        problem=problem,
    )
    return status.NONE


def initrd(machine: Machine, call: Call) -> int:
    """`initrd FILE...`: the last one counts. GRUB goes on without those that are not there."""
    loaded = machine.loaded
    if loaded is None or loaded.linux is None or not call.args:
        raise Failed(status.BAD_ARGUMENT, "no kernel is loaded")
    if len(call.args) > INITRD_LIMIT:
        raise BakeryError(f"GRUB's script loads {len(call.args)} initrds at once")
    problem, files = loaded.problem, []
    for name in call.texts:
        file = machine.files.named(name)
        if name.startswith("newc:"):
            problem = problem or f"GRUB packs {shown(decoded(name))} into an initrd itself"
        elif file is None or not machine.files.is_file(name):
            problem = problem or f"its initrd, {shown(decoded(name))}, is not there"
            machine.loaded = Loaded(loaded.linux, (), None, problem)
            raise Failed(status.FILE_NOT_FOUND, problem)
        else:
            files.append(file)
    machine.loaded = Loaded(loaded.linux, tuple(files), None, problem)
    return status.NONE


def chainloader(machine: Machine, call: Call) -> int:
    """`chainloader FILE`, or a list of blocks such as `+1` or `(hd0)+1`."""
    given = options.parse(_CHAINLOADER, call.args)
    if not given.rest:
        raise Failed(status.BAD_ARGUMENT, "no file is named")
    machine.loaded = None
    name = given.rest[0].text
    blocks = _BLOCKS.fullmatch(name)
    if blocks:
        device = blocks[1] if blocks[1] is not None else machine.variables.get("root") or ""
        file = File(decoded(device), blocks[2])
    else:
        file = _present(machine, name, "program")
    machine.loaded = Loaded(chainloader=file)
    return status.NONE


def other(machine: Machine, call: Call) -> int:
    """What boots something else than Linux, or in another way."""
    machine.loaded = Loaded(problem=f"it is started by {call.name}, not as a Linux kernel")
    return status.NONE


def boot(machine: Machine, _call: Call) -> int:
    """`boot`"""
    if machine.loaded is None:
        raise Failed(status.NO_KERNEL, "no kernel is loaded")
    raise Booted


def leave(_machine: Machine, call: Call) -> int:
    """What ends GRUB."""
    raise Left(call.name)


COMMANDS: dict[str, Run] = {
    **dict.fromkeys(LINUX, linux),
    **dict.fromkeys(INITRD, initrd),
    **dict.fromkeys(_OTHERS.split(), other),
    **dict.fromkeys(LEAVING, leave),
    "chainloader": chainloader,
    "boot": boot,
}


def _present(machine: Machine, name: str, what: str) -> File:
    file = machine.files.named(name)
    if file is None or not machine.files.is_file(name):
        reason = f"its {what}, {shown(decoded(name))}, is not there"
        machine.failure = reason
        raise Failed(status.FILE_NOT_FOUND, reason)
    return file


def handed_on(arg: str) -> str:
    """A word as GRUB hands it to the kernel, quotes set in the usual place: key="a b".

    GRUB's own are round the whole of it, which the kernel takes for the same (lib/cmdline.c).
    """
    for mark in ("\\", "'", '"'):
        arg = arg.replace(mark, "\\" + mark)
    if " " not in arg:
        return arg
    name, equals, text = arg.partition("=")
    return f'{name}="{text}"' if equals and " " not in name else f'"{arg}"'
