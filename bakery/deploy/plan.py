"""What a node is to write, as it is told: a signed list; bakery/agent/plan.py reads it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bakery.deploy.packed_base import base_index, packed_base
from bakery.errors import BakeryError
from bakery.manifest import Build

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = 1
MAKE_KEY = "openssl genpkey -algorithm ed25519 -out FILE makes one"


def signed(pieces: Sequence[Mapping[str, object]], sign: Callable[[bytes], bytes]) -> bytes:
    """The plan that lists `pieces`, behind its signature in hexadecimal."""
    content = msgspec.json.encode({"version": VERSION, "pieces": pieces})
    return sign(content).hex().encode() + b"\n" + content


def of_whole_disk(build: Build, key: "Ed25519PrivateKey") -> bytes:
    """The plan for any disk that `build` fits on; the frames are beside it, wherever it is served.

    Raises BakeryError for a build that is not a whole disk: such a disk boots by what is on it.
    """
    if build.manifest.layout != "disk":
        raise BakeryError(
            f"the build in {build.directory} has layout {build.manifest.layout}: "
            "its nodes boot over the network, and no plan brings them there",
            "bakery build IMAGE --layout disk --compress zstd",
        )
    index = base_index(build)
    piece = {"place": 0, "frames": packed_base(build).name, "index": index}
    return signed([piece], key.sign)


def read_key(path: Path) -> "Ed25519PrivateKey":
    """A private key in a PEM file without a password; BakeryError for whatever else it is."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}", MAKE_KEY) from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BakeryError(
            f"{path} is no private key without a password: {error}", MAKE_KEY
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BakeryError(f"{path} is a key of another kind than Ed25519", MAKE_KEY)
    return key
