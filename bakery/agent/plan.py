"""What the conductor wants on the disk: a signed list of packed images and their places.

The signature in hexadecimal and a newline come first, then the list it is of, JSON:
`{"version": 1, "pieces": [{"place": byte, "frames": URL, "index": {…}}, …]}`, an index as
docs/packed.md tells it. A piece may have `"cast": port`: its frames are multicast there as well.
In place of a URL there may be the name of a file beside the plan.
"""

import json
import re

from . import http, image, signature
from .errors import AgentError
from .order import Order, Piece

VERSION = 1
LIMIT = 64 << 20
PIECES_LIMIT = 16
PORT_LIMIT = (1 << 16) - 1  # udpcast takes the next one as well
BESIDE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,254}")
SIGNATURE_TEXT = 2 * signature.SIGNATURE_BYTES


def read(content: bytes, key: bytes, home: str = "") -> Order:
    """The order in a plan that the owner of `key` signed; AgentError for any other.

    `home` is the plan's own URL, where it has one.
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
            raise ValueError("another version, or too many pieces")
        return Order([_piece(piece, home) for piece in told["pieces"]])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise AgentError(f"the plan is none: {error}") from None


def _piece(told: dict[str, object], home: str) -> Piece:
    url, place, cast = told["frames"], told["place"], told.get("cast", 0)
    if not isinstance(url, str) or type(place) is not int or place < 0:
        raise ValueError("a piece without a place")
    if type(cast) is not int or not 0 <= cast < PORT_LIMIT:
        raise ValueError("a multicast without a port")
    if home and BESIDE.fullmatch(url):
        url = f"{home.rpartition('/')[0]}/{url}"
    http.parse(url)
    return Piece(url, image.from_json(told["index"]), place, cast)
