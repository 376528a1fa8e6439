"""/etc/default/grub: the arguments update-grub writes into every menu entry.

The file is read by a shell. Edited are only its plain assignments of two variables, as
grub-mkconfig(8) documents them: `GRUB_CMDLINE_LINUX`, for every Linux entry, and
`GRUB_CMDLINE_LINUX_DEFAULT`, for all but the recovery ones.
"""

import re
from collections.abc import Collection, Sequence

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system import kargs

SIZE_LIMIT_BYTES = 256 << 10
EVERY = "GRUB_CMDLINE_LINUX"
NORMAL = "GRUB_CMDLINE_LINUX_DEFAULT"

_LINE = re.compile(
    rb"^([ \t]*(?:export[ \t]+)?(" + NORMAL.encode() + rb"|" + EVERY.encode() + rb")=)"
    rb"(\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s\"'#;\\]*)(?=[ \t]*(?:#.*)?\r?$)",
    re.MULTILINE,
)
_ANY = re.compile(
    rb"^[ \t]*(?:export[ \t]+)?(?:" + NORMAL.encode() + rb"|" + EVERY.encode() + rb")\+?=",
    re.MULTILINE,
)
# What neither the shell nor grub.cfg takes for anything but itself.
_PLAIN = re.compile(r"[A-Za-z0-9_./:,=+@%^-]+")


def change(text: bytes, remove: Collection[str], add: Sequence[str]) -> bytes:
    """`text` with the arguments of `remove` gone from both variables, and `add` in the first.

    An argument to add that is there already is not added again. Every byte outside the two
    values stays; without an assignment of `GRUB_CMDLINE_LINUX` one is put at the end. BakeryError
    where a value is more than plain words, and for an argument to add that would need quoting.
    """
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"/etc/default/grub is over {SIZE_LIMIT_BYTES} bytes long")
    for arg in add:
        if not _PLAIN.fullmatch(arg):
            raise BakeryError(
                f"the kernel argument {shown(arg)} needs quoting that /etc/default/grub "
                "does not carry through update-grub"
            )
    matches = list(_LINE.finditer(text))
    if len(matches) != len(_ANY.findall(text)):
        raise BakeryError(
            "/etc/default/grub computes its kernel arguments, so they cannot be edited in it",
            f"make the values of {EVERY} and {NORMAL} plain text in the image",
        )
    values = [_words(match[3]) for match in matches]
    present = {word for words in values for word in words}
    fresh = [arg for arg in add if arg not in present]
    # The last assignment is the one that holds.
    targets = [i for i, match in enumerate(matches) if match[2].decode() == EVERY]
    for i in reversed(range(len(matches))):
        kept = [word for word in values[i] if word not in remove]
        kept += fresh if targets[-1:] == [i] else []
        if kept != values[i]:
            start, end = matches[i].span(3)
            text = text[:start] + _quoted(kept, matches[i][3]) + text[end:]
    if fresh and not targets:
        text += b"" if text.endswith(b"\n") or not text else b"\n"
        text += f'{EVERY}="{" ".join(fresh)}"\n'.encode()
    return text


def sets_every(text: bytes) -> bool:
    """Whether `GRUB_CMDLINE_LINUX` is assigned in it."""
    return any(match[2].decode() == EVERY for match in _LINE.finditer(text))


def _words(value: bytes) -> list[str]:
    """The words of a value; BakeryError where the shell would do more than take off its quotes."""
    inner = value[1:-1] if value[:1] in (b'"', b"'") else value
    try:
        text = inner.decode("ascii")
    except UnicodeDecodeError:
        text = "\\"
    if any(mark in text for mark in '\\`"') or ("$" in text and value[:1] != b"'"):
        raise BakeryError(
            f"/etc/default/grub holds {shown(value)}, which only a shell can parse",
            f"make the values of {EVERY} and {NORMAL} plain text in the image",
        )
    return list(kargs.parse(text))


def _quoted(words: list[str], old: bytes) -> bytes:
    mark = b"'" if old.startswith(b"'") else b'"'
    return mark + " ".join(words).encode() + mark
