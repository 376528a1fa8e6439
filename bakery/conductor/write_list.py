"""What a node is to write, as it is told: a signed list; node/agent/signed_list.py reads it.

The signature covers whom it is for and until when as well: a list that was right once, or for
another node, is not right for ever and for all.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bakery.conductor.packed_base import base_index, packed_base
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = 3
DAY_SECONDS = 86400
TRY_DAYS = 2
"""What a try's list is good for: clocks of nodes may be wrong by half a day."""
MAKE_KEY = "openssl genpkey -algorithm ed25519 -out FILE makes one"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is of, and whom it is for.

    `build` is the build's key. `serial` grows: who knows of a later one refuses this. An empty
    `node` and a disk of 0 bytes mean any. `expires` is in seconds since the epoch. `encrypted_to`
    is the X25519 key, in hexadecimal, of who can decrypt it; empty: it travels in the clear.
    """

    build: str
    serial: int
    node: str = ""
    disk_bytes: int = 0
    expires: int
    encrypted_to: str = ""


def terms(
    build: Build,
    node: str = "",
    disk_bytes: int = 0,
    days: int = TRY_DAYS,
    encrypted_to: bytes = b"",
) -> Terms:
    """Those of a list that is made now: the milliseconds since the epoch are its serial.

    Of two lists that are made in one second the later one has to be known, too.
    """
    now = time.time()
    return Terms(
        build=build.manifest.key,
        serial=int(now * 1000),
        node=node,
        disk_bytes=disk_bytes,
        expires=int(now) + days * DAY_SECONDS,
        encrypted_to=encrypted_to.hex(),
    )


def signed(
    pieces: Sequence[Mapping[str, object]], terms: Terms, sign: Callable[[bytes], bytes]
) -> bytes:
    """The write list of `pieces`, behind its signature in hexadecimal."""
    told = {"version": VERSION, **msgspec.structs.asdict(terms), "pieces": pieces}
    content = msgspec.json.encode(told)
    return sign(content).hex().encode() + b"\n" + content


def of_whole_disk(build: Build, terms: Terms, key: "Ed25519PrivateKey") -> bytes:
    """The list of `build` as one piece; the frames are beside it, wherever it is served.

    Raises BakeryError for a build that is not a whole disk: such a disk boots by what is on it.
    """
    if build.manifest.layout != "disk":
        raise BakeryError(
            f"the build in {build.directory} has layout {build.manifest.layout}: "
            "its nodes boot over the network, and a write list alone does not bring them there",
            "bakery build IMAGE --layout disk --compress zstd",
        )
    index = base_index(build)
    piece = {"place": 0, "frames": packed_base(build).name, "index": index}
    return signed([piece], terms, key.sign)


def read_key(path: Path) -> "Ed25519PrivateKey":
    """A private key in a PEM file without a password; BakeryError for whatever else it is."""
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}", MAKE_KEY) from None
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        reason = "it is damaged" if isinstance(error, InternalError) else error
        raise BakeryError(f"{path} is not an unencrypted private key: {reason}", MAKE_KEY) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BakeryError(f"{path} is not an Ed25519 key", MAKE_KEY)
    return key
