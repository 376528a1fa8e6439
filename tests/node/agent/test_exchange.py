"""The node's half of the exchange, against another library's, and against those who listen."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bakery.node.agent.errors import AgentError
from bakery.node.agent.exchange import Exchange

LISTED = b"what is to be written" * 1000
KEY = "0123456789abcdef"


def encrypted(public: bytes, key: str = KEY) -> bytes:
    """As the protocol notes have it."""
    own = X25519PrivateKey.generate()
    ours = own.public_key().public_bytes_raw()
    shared = own.exchange(X25519PublicKey.from_public_bytes(public))
    info = b"write list" + public + ours
    made = HKDF(hashes.SHA256(), 32, salt=key.encode(), info=info).derive(shared)
    return ours + Cipher(algorithms.ChaCha20(made, bytes(16)), None).encryptor().update(LISTED)


def test_what_is_encrypted_to_a_node_is_opened_by_it():
    node = Exchange()
    answer = encrypted(node.public)
    assert node.decrypted(answer, KEY) == LISTED
    assert LISTED[:16] not in answer


def test_another_node_another_try_and_who_changes_the_half_open_nothing():
    node, answer = Exchange(), encrypted((own := Exchange()).public)
    assert node.decrypted(answer, KEY) != LISTED
    assert own.decrypted(answer, "fedcba9876543210") != LISTED
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    assert own.decrypted(other + answer[32:], KEY) != LISTED


def test_each_exchange_has_another_key():
    assert Exchange().public != Exchange().public


@pytest.mark.parametrize("answer", [b"", bytes(31)])
def test_an_answer_that_is_not_encrypted_is_refused(answer):
    with pytest.raises(AgentError, match="is not encrypted"):
        Exchange().decrypted(answer, KEY)


def test_a_half_that_makes_the_key_known_to_all_is_refused():
    for point in (bytes(32), b"\x01" + bytes(31)):  # RFC 7748, 6.1: the result is zeros
        with pytest.raises(AgentError, match="cannot make a key"):
            Exchange().decrypted(point + b"list", KEY)
