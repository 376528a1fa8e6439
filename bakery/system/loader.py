"""The files of an image that tell its boot loader the kernel arguments, edited alike."""

import re
from collections.abc import Sequence

from bakery.host.errors import BakeryError
from bakery.system import bls, grub_defaults, kargs
from bakery.system.grub import edit, environment
from bakery.system.grub.menu import File, Place

COMMENT = "#"
_HERE = File("", "grub.cfg")
_KERNEL = re.compile(
    rb"([ \t]*kernel[ \t=]+(?:--\S+[ \t]+)*[^ \t\r]+)((?:[ \t]+[^ \t\r]+)*)([ \t]*\r?)"
)
_APPEND = re.compile(rb"([ \t]*append[ \t]+)(.*?)([ \t]*\r?)", re.IGNORECASE | re.DOTALL)

Span = tuple[int, int]
"""The first byte of a part of a file, and the one behind it."""


def change(delete: tuple[str, ...], append: tuple[str, ...]) -> kargs.Change:
    """The change that takes arguments out and then adds some.

    An argument that one file does not have is passed over there: the files need not agree.
    """

    def apply(args: kargs.Args) -> kargs.Args:
        for pattern in delete:
            try:
                args = kargs.delete(args, pattern)
            except BakeryError:
                continue
        for new in append:
            args = kargs.append(args, new)
        return args

    return apply


def options(text: bytes) -> str:
    """The options of a BLS entry's file as they are written; empty where it is none."""
    try:
        return bls.parse(text, "entry").options
    except BakeryError:
        return ""


def in_entry(text: bytes, change: kargs.Change) -> bytes:
    """A BLS entry's file with its options changed; variables in them stay as they are."""
    literal = kargs.parse(bls.parse(text, "entry").options)
    changed = change(literal)
    return text if changed == literal else bls.replace_options(text, kargs.join(changed))


def in_line(text: bytes, span: Span, change: kargs.Change) -> bytes:
    """A script of GRUB's with the words changed that stand there behind a kernel."""
    return edit.change_args(text, Place(_HERE, *span), change)


def in_value(text: bytes, span: Span, change: kargs.Change) -> bytes:
    """A script of GRUB's with a variable's value changed that is written there."""
    return edit.change_value(text, Place(_HERE, *span), change)


def in_legacy(text: bytes, line: int, change: kargs.Change) -> bytes:
    """A menu of GRUB Legacy's with the words changed behind a kernel, in a line counted from 1.

    A line of another shape is left as it is.
    """
    return _in_numbered(text, line, _KERNEL, change)


def in_syslinux(text: bytes, line: int, change: kargs.Change) -> bytes:
    """A file of syslinux's with the options changed in a line, counted from 1.

    `initrd=` is for the boot loader, and stays where it stands; so does a line of another kind.
    """
    return _in_numbered(text, line, _APPEND, change)


def _in_numbered(text: bytes, line: int, shape: re.Pattern[bytes], change: kargs.Change) -> bytes:
    lines = text.split(b"\n")
    match = shape.fullmatch(lines[line - 1])
    if match is None:
        return text
    old = kargs.parse(match[2].decode("ascii", "replace"))
    new = change(old)
    lines[line - 1] = match[1].rstrip() + b" " + kargs.join(new).encode() + match[3]
    return text if new == old else b"\n".join(lines)


def in_environment(text: bytes, name: str, change: kargs.Change) -> bytes:
    """A grubenv with a variable's value changed; BakeryError where the block is too full."""
    saved = next((one for one in reversed(environment.read(text)) if one.name == name), None)
    if saved is None:
        return text
    old = kargs.parse(saved.value)
    new = kargs.validate(change(old))
    if new == old:
        return text
    return environment.changed(text, name, kargs.join(new))


def sets_arguments(text: bytes) -> bool:
    """Whether a file of update-grub's sets the arguments that every entry gets."""
    return grub_defaults.sets_every(text)


def in_defaults(gone: Sequence[str], added: Sequence[str], text: bytes) -> bytes:
    """A file that update-grub reads, with arguments taken out and added."""
    return grub_defaults.change(text, gone, added)


def in_cmdline(gone: Sequence[str], added: Sequence[str], text: bytes) -> bytes:
    """/etc/kernel/cmdline likewise, which kernel-install(8) reads: words, on lines or not."""
    lines = text.decode("ascii", "replace").splitlines()
    if any(line.startswith(COMMENT) for line in lines):
        raise BakeryError("it holds comments, which nobody can tell from arguments")
    old = kargs.parse(" ".join(lines))
    kept = [arg for arg in old if arg not in gone]
    new = kargs.validate([*kept, *(arg for arg in added if arg not in kept)])
    return text if new == old else (kargs.join(new) + "\n").encode()
