"""Changing kernel arguments where an image's own boot loader reads them.

A whole disk boots by itself, so its arguments live in its BLS entry, in grub.cfg, and in
/etc/default/grub, from which the next update-grub writes grub.cfg anew.
"""

from collections.abc import Sequence

from bakery.system import bls, grub, grubdefaults, kargs

GRUB_CONFIGS = ("/grub2/grub.cfg", "/grub/grub.cfg", "/loader/grub.cfg")
DEFAULTS_SUFFIX = "/default/grub"


def config_files(prefix: str) -> list[str]:
    """The boot loader's files that may tell arguments; `prefix` is where /boot's content lies."""
    return [prefix + path for path in GRUB_CONFIGS]


def with_args(path: str, text: bytes, kernel: str, old: Sequence[str], new: Sequence[str]) -> bytes:
    """The file at `path` with the arguments of the entry that boots `kernel` changed.

    The change is what leads from `old` to `new`: an argument only in `old` goes, one only in
    `new` is added at the end. Every line that boots the same kernel and OSTree deployment gets
    it, a recovery entry among them, and keeps what is its own. `text` itself where the file says
    nothing of this kernel, or says it already.
    """
    remove = frozenset(old) - frozenset(new)
    add = tuple(dict.fromkeys(arg for arg in new if arg not in old))

    def change(args: kargs.Args) -> kargs.Args:
        kept = tuple(arg for arg in args if arg not in remove)
        for arg in add:
            kept = kept if arg in kept else kargs.append(kept, arg)
        return kept

    if path.endswith(DEFAULTS_SUFFIX):
        return grubdefaults.change(text, remove, add)
    if not path.endswith(bls.SUFFIX):
        return grub.set_args(text, kernel, change, kargs.value(tuple(old), "ostree"))
    return _with_entry_args(path, text, change, old, new)


def _with_entry_args(
    path: str, text: bytes, change: grub.Change, old: Sequence[str], new: Sequence[str]
) -> bytes:
    entry = bls.parse(text, path)
    written = kargs.parse(entry.options)
    # What a variable brings can only go by writing out what the variable stands for.
    hidden = frozenset(old) - frozenset(new) - frozenset(written)
    args = tuple(new) if hidden else change(written)
    return text if args == written else bls.replace_options(text, kargs.join(args))
