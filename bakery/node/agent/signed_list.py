"""What the conductor wants on the disk: a signed list of packed images and their places.

The signature in hexadecimal and a newline come first, then the list it is of, JSON:
`{"version": 3, "build": key, "serial": number, "node": UUID, "disk_bytes": number, "expires": Unix
seconds, "encrypted_to": hex, "pieces": [{"place": byte, "frames": URL, "index": {…}}, …]}`, an
index as docs/packed.md tells it. An empty node, or 0 bytes, is any. `encrypted_to` is the node's
half of the key that the list travelled under (exchange.py), empty where it came in the clear. A
piece may have `"key": hex`: at the URL its frames are encrypted (cipher.py); and `"cast": {"port":
number, "key": hex}`: they are multicast there as well, encrypted. In place of a URL there may be
the name of a file beside the list.
"""

import json
import re
import time
from typing import Any, NamedTuple

from . import http, image, signature
from .errors import AgentError
from .write_list import Cast, Piece, WriteList

VERSION = 3
LIMIT = 64 << 20
PIECES_LIMIT = 16
PORT_LIMIT = (1 << 16) - 1  # udpcast takes the next one as well
BESIDE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,254}")
KEY = re.compile(r"[0-9a-f]{64}")
SIGNATURE_TEXT = 2 * signature.SIGNATURE_BYTES


class Here(NamedTuple):
    """Who reads a list: the node, the size of its disk, and the least serial it takes.

    `encrypted_to` is its half of the key the list came under, in hexadecimal.
    """

    node: str
    disk_bytes: int
    serial: int = 0
    encrypted_to: str = ""


def read(content: bytes, key: bytes, here: Here, home: str = "") -> WriteList:
    """The write list that the owner of `key` signed; AgentError for any other.

    So for one that is for another node or disk, has expired, or is older than `here` takes.
    `home` is the list's own URL, where it has one.
    """
    text, newline, listed = content.partition(b"\n")
    try:
        made = (
            bytes.fromhex(text.decode("ascii")) if newline and len(text) == SIGNATURE_TEXT else b""
        )
    except ValueError:
        made = b""
    signature.check(listed, made, key)
    try:
        told = json.loads(listed)
        if told["version"] != VERSION or not 0 < len(told["pieces"]) <= PIECES_LIMIT:
            raise ValueError("unsupported version, or too many pieces")
        _check(told, here)
        return WriteList([_piece(piece, home) for piece in told["pieces"]])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise AgentError(f"the write list cannot be read: {error}") from None


def _check(told: dict[str, object], here: Here) -> None:
    serial, size, expires = (_number(told[name]) for name in ("serial", "disk_bytes", "expires"))
    if told["node"] not in ("", here.node):
        raise AgentError("the write list is for another node")
    if size not in (0, here.disk_bytes):
        raise AgentError(f"the write list is for a disk of {size} bytes, not {here.disk_bytes}")
    if told["encrypted_to"] != here.encrypted_to:
        raise AgentError("the write list was not encrypted to this node")
    if serial < here.serial:
        raise AgentError(f"the write list is an old one: serial {serial}, not {here.serial}")
    if expires < time.time():
        raise AgentError("the write list has expired, or the node's clock is wrong")


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError("a number that is none")
    return value


def _piece(told: dict[str, Any], home: str) -> Piece:
    url, place = told["frames"], told["place"]
    if not isinstance(url, str) or type(place) is not int or place < 0:
        raise ValueError("a piece with no place")
    if home and BESIDE.fullmatch(url):
        url = f"{home.rpartition('/')[0]}/{url}"
    http.parse(url)
    index, key = image.from_json(told["index"]), _key(told["key"]) if "key" in told else b""
    return Piece(url, index, place, key, _cast(told["cast"]) if "cast" in told else None)


def _cast(told: dict[str, Any]) -> Cast:
    port = told["port"]
    if type(port) is not int or not 0 < port < PORT_LIMIT:
        raise ValueError("a multicast with no port")
    return Cast(port, _key(told["key"]))


def _key(told: object) -> bytes:
    if not isinstance(told, str) or not KEY.fullmatch(told):
        raise ValueError("a key that is none")
    return bytes.fromhex(told)
