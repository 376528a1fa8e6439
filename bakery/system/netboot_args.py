"""Kernel arguments as network boot programs take them: pxelinux, iPXE and GRUB.

Each function gives the arguments in that program's own spelling, so that the kernel gets exactly
these, or refuses the one that cannot be said by name. Arguments are a way in: a line break in one
is a new command in a boot script (CVE-2026-46447).
"""

import shlex
from collections.abc import Sequence

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system import grub, kargs

_IPXE_TERMINATORS = frozenset(("||", "&&", ";"))


def for_pxelinux(args: Sequence[str]) -> list[str]:
    """Words of a pxelinux APPEND line, which takes all but line breaks as it is."""
    checked = kargs.validate(tuple(args))
    refuse_own_initrd(checked)
    return list(checked)


def for_ipxe(args: Sequence[str]) -> list[str]:
    """Words of an iPXE `kernel` command.

    iPXE parts words at blanks and knows neither quotes nor escapes: `${` starts a setting, a word
    that starts with `#` a comment, and `||`, `&&`, `;` end the command (ipxe: src/core/exec.c).
    """
    checked = kargs.validate(tuple(args))
    refuse_own_initrd(checked)
    refuse(checked, "${", "iPXE would replace it by a setting, and has no escape")
    refuse(checked, "  ", "iPXE joins blanks")
    for arg in checked:
        for word in arg.split(" "):
            if word.startswith("#") or word in _IPXE_TERMINATORS:
                raise cannot(arg, f"iPXE ends the command at {word!r}")
    if checked and checked[-1].endswith("\\"):
        raise cannot(checked[-1], "iPXE joins the next line to a closing backslash")
    return list(checked)


def for_grub(args: Sequence[str]) -> list[str]:
    """Words of a GRUB `linux` command, quoted for its shell where they need it."""
    return [grub.spell(arg) for arg in kargs.validate(tuple(args))]


def refuse(args: Sequence[str], mark: str, reason: str) -> None:
    """Raise for the first argument that holds `mark`."""
    for arg in args:
        if mark in arg:
            raise cannot(arg, reason)


def refuse_own_initrd(args: Sequence[str]) -> None:
    """Raise for an `initrd=`: the boot program's own stands there."""
    for arg in args:
        if kargs.key(arg) == "initrd":
            raise cannot(arg, "the boot loader's own initrd= stands there")


def cannot(arg: str, reason: str) -> BakeryError:
    """The error for an argument that a form has no way to say."""
    return BakeryError(
        f"the kernel argument {shown(arg)} cannot be expressed in this form: {reason}",
        f"build without it: --karg-delete {shlex.quote(arg)}" if arg.isprintable() else "",
    )


def check_length(line: str, loader: str) -> None:
    """Raise where a line, with what `loader` adds, is longer than a kernel keeps."""
    if len(line) > kargs.LIMIT_BYTES:
        raise BakeryError(
            f"with what {loader} adds, the command line is {len(line)} bytes long, "
            f"and kernels keep {kargs.LIMIT_BYTES}",
            "delete arguments: bakery build --karg-delete KEY",
        )
