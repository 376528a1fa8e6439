"""The files of an image that tell its boot loader the kernel arguments, edited alike."""

from collections.abc import Callable

from bakery.errors import BakeryError
from bakery.system import bls, grub, grubdefaults, kargs

Change = Callable[[kargs.Args], kargs.Args]

# OSTree's own grub.cfg, /boot/loader/grub.cfg, is what its grub2/grub.cfg links to: editing both
# would add an argument twice.
GRUB_FILES = ("grub2/grub.cfg", "grub/grub.cfg")


def grub_files(prefix: str) -> tuple[str, ...]:
    """Where GRUB's menu may stand, under `prefix` of the boot volume."""
    return tuple(f"{prefix}/{name}" for name in GRUB_FILES)


def change(delete: tuple[str, ...], append: tuple[str, ...]) -> Change:
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


def in_entry(text: bytes, file_name: str, edit: Change, old: kargs.Args, new: kargs.Args) -> bytes:
    """A BLS entry's file with its options changed; variables in them stay as they are.

    `old` and `new` are the entry's arguments with all variables filled in. Where one that goes
    comes out of a variable, the options are written out as `new`.
    """
    literal = kargs.parse(bls.parse(text, file_name).options)
    hidden = set(old) - set(new) - set(literal)
    changed = new if hidden else edit(literal)
    return text if changed == literal else bls.replace_options(text, kargs.join(changed))


def in_menu(text: bytes, kernel: str, ostree: str | None, edit: Change) -> bytes:
    """A grub.cfg with the lines changed that boot `kernel` (and this `ostree=`, where given)."""
    return grub.set_args(text, kernel, edit, ostree)


def in_defaults(text: bytes, old: kargs.Args, new: kargs.Args) -> bytes:
    """/etc/default/grub with what differs between two lists changed, for update-grub to keep."""
    gone = [arg for arg in old if arg not in new]
    added = [arg for arg in new if arg not in old]
    return grubdefaults.change(text, gone, added)
