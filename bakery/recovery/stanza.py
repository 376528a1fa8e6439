"""The header of an age file: how the file's key is wrapped (https://c2sp.org/age)."""

import base64
import binascii
import hmac
import re
from typing import BinaryIO, NamedTuple

from bakery.errors import BakeryError

VERSION = b"age-encryption.org/v1"
ANY_VERSION = b"age-encryption.org/"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
FILE_KEY_BYTES = 16
COLUMNS = 64
# The format sets no bounds. Each stanza may cost a private key's work before anything is known to
# be authentic, and all of it is read before that.
STANZAS_LIMIT = 32
LINE_LIMIT_BYTES = 1024
LINES_LIMIT = 2000

ANOTHER_COPY = "take another copy of it: of this one nothing can be trusted"
_ARGUMENT = re.compile(rb"[!-~]+")


class Stanza(NamedTuple):
    """The file's key, wrapped for one recipient: the words of its first line, and the bytes."""

    words: tuple[str, ...]
    body: bytes


class Header(NamedTuple):
    """What stands before the payload; `authentic` is the text that `mac` is about."""

    stanzas: tuple[Stanza, ...]
    authentic: bytes
    mac: bytes


def encoded(stanza: Stanza, file_key: bytes) -> bytes:
    """A whole header with one stanza, authenticated."""
    body = text_of(stanza.body)
    lines = [body[at : at + COLUMNS] for at in range(0, len(body) + 1, COLUMNS)]
    words = "\n".join([" ".join(("->", *stanza.words)), *lines])
    authentic = VERSION + b"\n" + words.encode() + b"\n---"
    return authentic + b" " + text_of(_mac(file_key, authentic)).encode() + b"\n"


def read(file: BinaryIO) -> Header:
    """The header `file` begins with, which is not known to be authentic yet.

    Leaves the file at the payload. Raises BakeryError for what is no header.
    """
    first = file.readline(LINE_LIMIT_BYTES)
    if first != VERSION + b"\n":
        raise _damaged() if VERSION.startswith(first) else _no_version(first)
    lines = [VERSION]
    stanzas: list[Stanza] = []
    line = _next(file, lines)
    while not line.startswith(b"---"):
        if len(stanzas) == STANZAS_LIMIT:
            raise BakeryError(f"its key is wrapped more than {STANZAS_LIMIT} times", ANOTHER_COPY)
        stanzas.append(_stanza(file, lines, line))
        line = _next(file, lines)
    if not stanzas or not line.startswith(b"--- "):
        raise _damaged()
    mac = bytes_of(line[4:].decode("latin-1"))
    return Header(tuple(stanzas), b"\n".join([*lines[:-1], b"---"]), mac)


def authenticate(header: Header, file_key: bytes) -> None:
    """BakeryError unless the header was written by who knew the file's key."""
    if not hmac.compare_digest(_mac(file_key, header.authentic), header.mac):
        raise BakeryError("its header was altered", ANOTHER_COPY)


def text_of(content: bytes) -> str:
    """Base64 as age writes it, without padding."""
    return base64.b64encode(content).decode().rstrip("=")


def bytes_of(text: str) -> bytes:
    """The bytes of `text`, which must be the one way to write them; BakeryError otherwise."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise _damaged() from None
    if text_of(content) != text:
        raise _damaged()
    return content


def derived(secret: bytes, salt: bytes | None, purpose: bytes) -> bytes:
    """HKDF-SHA-256, 32 bytes."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length=32, salt=salt, info=purpose).derive(secret)


def _mac(file_key: bytes, authentic: bytes) -> bytes:
    return hmac.digest(derived(file_key, None, b"header"), authentic, "sha256")


def _stanza(file: BinaryIO, lines: list[bytes], first: bytes) -> Stanza:
    words = first.split(b" ")
    if words[0] != b"->" or len(words) < 2 or not all(map(_ARGUMENT.fullmatch, words)):
        raise _damaged()
    body = b""
    while len(line := _next(file, lines)) == COLUMNS:
        body += line
    if len(line) > COLUMNS:
        raise _damaged()
    return Stanza(
        tuple(word.decode("ascii") for word in words[1:]),
        bytes_of((body + line).decode("latin-1")),
    )


def _next(file: BinaryIO, lines: list[bytes]) -> bytes:
    if len(lines) > LINES_LIMIT:
        raise BakeryError(f"its header is longer than {LINES_LIMIT} lines", ANOTHER_COPY)
    line = file.readline(LINE_LIMIT_BYTES)
    if not line.endswith(b"\n"):
        raise _damaged()
    lines.append(line[:-1])
    return lines[-1]


def _no_version(line: bytes) -> BakeryError:
    if line.startswith(ARMOR):
        return BakeryError(
            "it is an age file in letters (armor); a recovery archive is in bytes",
            "turn it back with a program that knows age's armor, or take the original",
        )
    if line.startswith(ANY_VERSION):
        version = line[len(ANY_VERSION) :].strip().decode("ascii", "replace")[:40]
        return BakeryError(
            f"it is an age file of version {version!r}, and v1 is the one that is known",
            "open it with a newer bakery, or with the program that made it",
        )
    return BakeryError(
        "it is no age file: it does not begin with 'age-encryption.org/v1'",
        "name the file that --recovery wrote",
    )


def _damaged() -> BakeryError:
    return BakeryError("its header is damaged or cut short", ANOTHER_COPY)
