"""Sealed streams, by the numbers of RFC 8439 and by another library."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from bakery.node.agent import cipher
from bakery.node.agent.errors import AgentError

# RFC 8439, A.1, test vectors 1 and 2: a key of zeros, blocks 0 and 1, the nonce 0.
BLOCK_0 = bytes.fromhex(
    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
)
BLOCK_1 = bytes.fromhex(
    "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
)


def encrypted(key: bytes, content: bytes) -> bytes:
    return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(content)


def test_it_is_the_cipher_of_the_rfc():
    assert cipher.decrypted(bytes(32), 0, bytes(128)) == BLOCK_0 + BLOCK_1
    assert cipher.decrypted(bytes(32), 64, bytes(64)) == BLOCK_1


@pytest.mark.parametrize("start", [0, 1, 63, 64, 65, 4095, 1 << 20])
@pytest.mark.parametrize("length", [0, 1, 64, 100_000])
def test_any_part_of_a_stream_is_opened_by_itself(start, length):
    key, content = os.urandom(32), os.urandom((1 << 20) + 100_000)
    part = encrypted(key, content)[start : start + length]
    assert cipher.decrypted(key, start, part) == content[start : start + length]


def test_far_in_a_long_stream_the_key_stream_is_another():
    """The counter of blocks has more than 32 bits, which are used up after 256 GiB."""
    far = 64 << 32
    assert cipher.decrypted(bytes(32), far, bytes(64)) not in (BLOCK_0, BLOCK_1)
    over = cipher.decrypted(bytes(32), far - 64, bytes(128))
    assert over[64:] == cipher.decrypted(bytes(32), far, bytes(64))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_none(key):
    with pytest.raises(AgentError, match="another length"):
        cipher.decrypted(key, 0, b"x")
