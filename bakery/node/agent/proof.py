"""What both ends of a try make of its deployment key, so that each knows the other.

HMAC-SHA256 (RFC 2104) of what it is for; HKDF (RFC 5869) with the secret of an exchange. The node's
kernel arguments have the key, which is of one node and one try.
"""

import hmac
from typing import NamedTuple

INITIATOR, TARGET = "conductor", "node"
"""The names that the two ends of the iSCSI session log in by."""


class Chap(NamedTuple):
    """The secrets of an iSCSI session: the conductor's and the node's own."""

    conductor: str
    node: str


def chap(key: str) -> Chap:
    """Those of the try with this key."""
    return Chap(_made(key, f"chap {INITIATOR}"), _made(key, f"chap {TARGET}"))


def word(key: str) -> str:
    """What the conductor says on port 10000 to let the node go on."""
    return "done " + _made(key, "done")


def medium(key: str) -> str:
    """The part of a medium's name that nobody can guess."""
    return _made(key, "medium")


def list_key(key: str, shared: bytes, node: bytes, conductor: bytes) -> bytes:
    """The key of the write list: of an exchange's secret, in the try with this key.

    `node` and `conductor` are the public halves of the exchange (exchange.py).
    """
    extracted = hmac.digest(key.encode(), shared, "sha256")
    return hmac.digest(extracted, b"write list" + node + conductor + b"\x01", "sha256")


def same(told: str, expected: str) -> bool:
    """Whether two texts are equal; the time it takes tells nothing of where they differ."""
    return hmac.compare_digest(told.encode(), expected.encode())


def _made(key: str, purpose: str) -> str:
    return hmac.new(key.encode(), purpose.encode(), "sha256").hexdigest()[:32]
