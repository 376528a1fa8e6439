"""The manifest as image properties: zlib, base64, cut into pieces.

A build whose local folder is gone can be had back from Glance alone, byte for byte. Glance keeps
a property's value in a TEXT column, 65,535 bytes in MySQL, and allows 128 properties an image
(`image_property_quota`): so a piece holds PIECE_CHARACTERS and there are at most PIECES_LIMIT.

- `bakery_manifest`: `zlib:<bytes of the manifest>:<pieces>`
- `bakery_manifest_1`, `bakery_manifest_2` …: base64 (RFC 4648) of the zlib stream (RFC 1950)
- `bakery_manifest_sha256`: of the manifest's bytes, in hexadecimal
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping

from bakery.host.errors import BakeryError
from bakery.manifest import manifest

HEAD = "bakery_manifest"
SHA256 = "bakery_manifest_sha256"
PIECE_CHARACTERS = 60_000
PIECES_LIMIT = 64

_HEAD_FORMAT = re.compile(r"zlib:([0-9]{1,9}):([0-9]{1,3})", re.ASCII)
_PIECE_NAME = re.compile(rf"{HEAD}_[0-9]+", re.ASCII)


def pack(manifest_bytes: bytes) -> dict[str, str]:
    """The properties that hold a manifest; BakeryError where it is too large for that.

    What zlib makes of the same bytes may differ from machine to machine: whether an image holds
    this manifest is told by the sha256 property alone.
    """
    stream = base64.b64encode(zlib.compress(manifest_bytes, 9)).decode("ascii")
    pieces = [
        stream[start : start + PIECE_CHARACTERS]
        for start in range(0, len(stream), PIECE_CHARACTERS)
    ]
    if len(manifest_bytes) > manifest.SIZE_LIMIT_BYTES or len(pieces) > PIECES_LIMIT:
        raise BakeryError(
            f"the manifest is too large to travel with an image: {len(manifest_bytes)} bytes",
            "its base lies in very many extents: write it anew without holes, then build again",
        )
    head = {
        HEAD: f"zlib:{len(manifest_bytes)}:{len(pieces)}",
        SHA256: hashlib.sha256(manifest_bytes).hexdigest(),
    }
    return head | {f"{HEAD}_{number}": piece for number, piece in enumerate(pieces, 1)}


def names(properties: Iterable[str]) -> set[str]:
    """Those of the property names that belong to an embedded manifest."""
    return {name for name in properties if name in (HEAD, SHA256) or _PIECE_NAME.fullmatch(name)}


def unpack(properties: Mapping[str, str]) -> bytes:
    """The manifest's bytes, exactly those that were packed.

    Never holds more than the head says and manifest.SIZE_LIMIT_BYTES allow, whatever the pieces
    expand to. Raises BakeryError where properties are missing, damaged or not as `pack` writes.
    """
    size, count = _head(properties)
    stream = "".join(_piece(properties, number) for number in range(1, count + 1))
    try:
        packed = base64.b64decode(stream, validate=True)
        content = _expanded(packed, size)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise _damaged("its pieces do not decode") from error
    if hashlib.sha256(content).hexdigest() != properties.get(SHA256):
        raise _damaged(f"it does not have the digest that {SHA256} names")
    return content


def _head(properties: Mapping[str, str]) -> tuple[int, int]:
    text = properties.get(HEAD)
    if text is None:
        raise BakeryError(
            f"it carries no manifest: the property {HEAD} is missing",
            "only what bakery upload published can be downloaded as a build",
        )
    found = _HEAD_FORMAT.fullmatch(text)
    if found is None:
        raise _damaged(f"{HEAD} is {text[:60]!r}")
    size, count = int(found[1]), int(found[2])
    if size > manifest.SIZE_LIMIT_BYTES or not 1 <= count <= PIECES_LIMIT:
        raise _damaged(f"{HEAD} announces {size} bytes in {count} pieces")
    return size, count


def _piece(properties: Mapping[str, str], number: int) -> str:
    piece = properties.get(f"{HEAD}_{number}")
    if piece is None:
        raise _damaged(f"{HEAD}_{number} is missing")
    if len(piece) > PIECE_CHARACTERS:
        raise _damaged(f"{HEAD}_{number} has {len(piece)} characters")
    return piece


def _expanded(packed: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or ValueError; one byte more than that is never made."""
    stream = zlib.decompressobj()
    content = stream.decompress(packed, size + 1)
    if len(content) != size or not stream.eof or stream.unused_data:
        raise ValueError("not the announced size")
    return content


def _damaged(why: str) -> BakeryError:
    return BakeryError(
        f"its manifest is damaged: {why}",
        "upload the build again from its folder: what was sent already is used again",
    )
