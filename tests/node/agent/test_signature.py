"""The signature of what is to be written, made by another library than the node has."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bakery.node.agent import signature
from bakery.node.agent.errors import AgentError

CONTENT = b'{"pieces": []}' * 1000


@pytest.fixture
def owner() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public(owner: Ed25519PrivateKey) -> bytes:
    return owner.public_key().public_bytes_raw()


def test_what_the_owner_of_the_key_signed_is_taken(owner):
    signature.check(CONTENT, owner.sign(CONTENT), public(owner))
    signature.check(b"", owner.sign(b""), public(owner))


@pytest.mark.parametrize("place", [0, len(CONTENT) // 2, len(CONTENT) - 1])
def test_one_other_bit_is_refused(owner, place):
    changed = bytearray(CONTENT)
    changed[place] ^= 1
    with pytest.raises(AgentError, match="not signed by"):
        signature.check(bytes(changed), owner.sign(CONTENT), public(owner))


def test_a_signature_by_another_key_is_refused(owner):
    other = Ed25519PrivateKey.generate()
    with pytest.raises(AgentError, match="not signed by"):
        signature.check(CONTENT, other.sign(CONTENT), public(owner))


@pytest.mark.parametrize(
    ("made", "key"), [(b"", bytes(32)), (bytes(64), b""), (bytes(63), bytes(32))]
)
def test_no_signature_and_no_key_are_refused(made, key):
    with pytest.raises(AgentError, match="not signed"):
        signature.check(CONTENT, made, key)
