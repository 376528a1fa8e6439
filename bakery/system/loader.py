"""The files of an image that tell its boot loader the kernel arguments, edited alike."""

from bakery.host.errors import BakeryError
from bakery.system import bls, grub_defaults, kargs

# Where GRUB's menu may stand, seen from /boot.
# OSTree's own grub.cfg, /boot/loader/grub.cfg, is what its grub2/grub.cfg links to: editing both
# would add an argument twice.
GRUB_FILES = ("grub2/grub.cfg", "grub/grub.cfg")


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


def in_entry(
    text: bytes, file_name: str, edit: kargs.Change, old: kargs.Args, new: kargs.Args
) -> bytes:
    """A BLS entry's file with its options changed; variables in them stay as they are.

    `old` and `new` are the entry's arguments with all variables filled in. Where one that goes
    comes out of a variable, the options are written out as `new`.
    """
    literal = kargs.parse(bls.parse(text, file_name).options)
    hidden = set(old) - set(new) - set(literal)
    changed = new if hidden else edit(literal)
    return text if changed == literal else bls.replace_options(text, kargs.join(changed))


def in_defaults(text: bytes, old: kargs.Args, new: kargs.Args) -> bytes:
    """/etc/default/grub with what differs between two lists changed, for update-grub to keep."""
    gone = [arg for arg in old if arg not in new]
    added = [arg for arg in new if arg not in old]
    return grub_defaults.change(text, gone, added)
