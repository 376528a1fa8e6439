"""The records of a pax extended header: what a tar member has beyond its 512 bytes.

`LENGTH KEY=VALUE\\n`, LENGTH counting all of it:
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_03
"""

import re

from bakery.host.errors import BakeryError

LIMIT_BYTES = 1 << 20
"""An extended header's size: Linux gives an inode's attributes 64 KiB each."""

NOT_OURS = "it was not written by bakery: do not restore from it"

NAME = re.compile(rb"[^\0]+", re.DOTALL)
NUMBER = re.compile(rb"[0-9]{1,19}")
TIME = re.compile(rb"-?[0-9]{1,12}(\.[0-9]{1,30})?")
TEXT = re.compile(rb"[^\0]{0,256}", re.DOTALL)
# Whatever another reader of tars acts upon (GNU.sparse.*, a character set) has no place here.
# hdrcharset is what Python's tarfile writes beside a name that is no UTF-8.
KNOWN = {
    b"path": NAME,
    b"linkpath": NAME,
    b"size": NUMBER,
    b"uid": NUMBER,
    b"gid": NUMBER,
    b"mtime": TIME,
    b"atime": TIME,
    b"ctime": TIME,
    b"uname": TEXT,
    b"gname": TEXT,
    b"hdrcharset": re.compile(rb"BINARY"),
}
# Extended attributes as GNU tar and bsdtar write them, and what bakery adds of its own.
OPEN_PREFIXES = (b"SCHILY.xattr.", b"BAKERY.")

_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n\0]{1,300})=")


def parse(content: bytes) -> dict[bytes, bytes]:
    """The records by key; BakeryError for what is none, is there twice, or has no place."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        match = _RECORD.match(content, at)
        if match is None:
            raise BakeryError("an extended header in its tar is malformed", NOT_OURS)
        end = at + int(match[1])
        if end > len(content) or end <= match.end() or content[end - 1 : end] != b"\n":
            raise BakeryError("an extended header in its tar has a wrong length", NOT_OURS)
        _take(found, match[2], content[match.end() : end - 1])
        at = end
    return found


def _take(found: dict[bytes, bytes], key: bytes, value: bytes) -> None:
    known = KNOWN.get(key)
    shown = key.decode("utf-8", "replace")[:80]
    if known is None and not key.startswith(OPEN_PREFIXES):
        raise BakeryError(f"a tar member has an extended header {shown!r}", NOT_OURS)
    if known is not None and not known.fullmatch(value):
        raise BakeryError(f"a tar member has a senseless extended header {shown!r}", NOT_OURS)
    if key in found:
        raise BakeryError(f"a tar member has the extended header {shown!r} twice", NOT_OURS)
    found[key] = value
