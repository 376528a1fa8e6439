"""Kernel arguments as a list: split, checked, joined, changed.

An argument is kept as it is written, quotes and all. The rules are the kernel's own
(lib/cmdline.c, next_arg; Documentation/admin-guide/kernel-parameters.rst): blanks part
arguments, a double quote anywhere in one switches the protection of blanks on or off, there is
no escape, and of two arguments with one key the later wins. What stands behind `--` belongs to
init, not to the kernel.

Arguments are printable ASCII. Everything else is refused: a line break in one becomes a command
in the boot scripts they are copied into, and the kernel takes the byte 0xa0 for a blank, so that
text in UTF-8 can fall apart.
"""

from collections.abc import Callable

from bakery.host.errors import BakeryError
from bakery.host.printable import shown

# x86, arm64, riscv and powerpc keep 2048 bytes with the closing NUL (COMMAND_LINE_SIZE); what is
# longer is cut off in silence.
LIMIT_BYTES = 2047

END_OF_KERNEL_ARGS = "--"

Args = tuple[str, ...]
Change = Callable[[Args], Args]


def parse(text: str) -> Args:
    """The arguments of a kernel command line; BakeryError where `validate` would refuse one."""
    if len(text) > LIMIT_BYTES * 4:
        raise _too_long(len(text))
    args: list[str] = []
    word, quoted = "", False
    for char in text:
        quoted ^= char == '"'
        if char in " \t" and not quoted:
            args += [word] if word else []
            word = ""
        else:
            word += char
    args += [word] if word else []
    return validate(args)


def validate(args: tuple[str, ...] | list[str]) -> Args:
    """The same arguments, each one checked: printable ASCII, whole, quotes in pairs.

    BakeryError names the argument and what is wrong with it, or says that the line is longer
    than the `LIMIT_BYTES` a kernel keeps.
    """
    for arg in args:
        reason = _fault(arg)
        if reason:
            raise BakeryError(
                f"the kernel argument {shown(arg)} {reason}",
                "kernel arguments are printable ASCII, one word each; "
                'blanks are kept by double quotes: key="a b"',
            )
    length = sum(map(len, args)) + max(0, len(args) - 1)
    if length > LIMIT_BYTES:
        raise _too_long(length)
    return tuple(args)


def join(args: tuple[str, ...] | list[str]) -> str:
    """The command line of `args`, checked: `parse` of it gives `args` again."""
    return " ".join(validate(args))


def key(arg: str) -> str:
    """An argument's name: what stands before the first `=`, without quotes."""
    return halves(arg)[0]


def value(args: Args, wanted: str) -> str | None:
    """The value of the last `wanted=…`, without the quotes around it; None where there is none.

    A bare `wanted` has the value "".
    """
    for arg in reversed(kernels_own(args)):
        name, text = halves(arg)
        if name == wanted:
            return text
    return None


def append(args: Args, new: str) -> Args:
    """`args` and `new` (one argument, or several in one text), in front of a closing `--`."""
    added = parse(new)
    if not added:
        raise BakeryError("an empty kernel argument cannot be added")
    own = kernels_own(args)
    return validate(own + added + args[len(own) :])


def delete(args: Args, pattern: str) -> Args:
    """`args` without `pattern`.

    `key=value` takes away every argument that is exactly that; a bare `key` every `key` and every
    `key=…`. BakeryError where nothing matches.
    """
    bare = "=" not in pattern
    kept = tuple(arg for arg in args if arg != pattern and not (bare and key(arg) == pattern))
    if len(kept) == len(args):
        raise BakeryError(
            f"there is no kernel argument {shown(pattern)} to delete",
            f"the arguments are: {' '.join(args) or '(none)'}",
        )
    return kept


def kernels_own(args: Args) -> Args:
    """The arguments in front of `--`, behind which stand init's."""
    return args[: args.index(END_OF_KERNEL_ARGS)] if END_OF_KERNEL_ARGS in args else args


def halves(arg: str) -> tuple[str, str]:
    """Name and value as next_arg takes them: quotes around the whole, or around the value."""
    if arg.startswith('"'):
        arg = arg[1:].removesuffix('"')
    name, _, text = arg.partition("=")
    if text.startswith('"'):
        text = text[1:].removesuffix('"')
    return name, text


def _fault(arg: str) -> str:
    """What is wrong with an argument, as the end of a sentence; empty where nothing is."""
    if not arg:
        return "is empty"
    if not all(" " <= char <= "~" for char in arg):
        return "holds a character that is not printable ASCII"
    if arg.count('"') % 2:
        return "has an unmatched double quote"
    if any(" " in part for part in arg.split('"')[::2]):
        return "holds a blank outside double quotes"
    return ""


def _too_long(length: int) -> BakeryError:
    return BakeryError(
        f"the kernel command line is {length} bytes long, but kernels keep only {LIMIT_BYTES}",
        "delete arguments: --karg-delete KEY",
    )
