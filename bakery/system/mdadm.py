"""mdadm.conf(5): the MD arrays that it names, by the UUID that their members bear.

A line begins with a keyword, and goes on where the next begins with a blank; `ARRAY` is followed by
the array's device and by `KEY=value` words. mdadm writes a UUID as four numbers, blkid(8) the same
digits as every other UUID.
"""

import re
from collections.abc import Iterator

from bakery.system import fstab
from bakery.system.mention import Mention

_ARRAY = re.compile(rb"[Aa][Rr][Rr][Aa][Yy][ \t]+([^ \t\r]+)(?:[ \t]|$)")
_UUID = re.compile(rb"[ \t][Uu][Uu][Ii][Dd]=([0-9a-fA-F:-]+)")


def mentions(text: bytes) -> tuple[Mention, ...]:
    """The arrays, each by its members; BakeryError where the file is out of proportion."""
    fstab.bounded(text, "mdadm.conf")
    return tuple(_arrays(text))


def as_uuid(text: str) -> str:
    """A UUID of mdadm's as blkid has it: `3749f528:5d5a…` is `3749f528-5d5a-…`."""
    digits = re.sub("[:-]", "", text.lower())
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts) if len(digits) == 32 else text


def _arrays(text: bytes) -> Iterator[Mention]:
    for number, row in enumerate(text.split(b"\n"), 1):
        array, uuid = _ARRAY.match(row), _UUID.search(row)
        if array and uuid:
            yield Mention(
                device=f"UUID={as_uuid(uuid[1].decode())}",
                use="array",
                optional=True,
                line=number,
                line_bytes=len(row.removesuffix(b"\r")),
                makes=array[1].decode("utf-8", "backslashreplace"),
            )
