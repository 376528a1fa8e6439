"""What the conductor encrypts, opened as a node does."""

import io

import pytest

from bakery.conductor import encryption
from bakery.host.errors import BakeryError
from bakery.node.agent import cipher
from bakery.node.agent.exchange import Exchange


def test_a_list_is_for_its_node_and_try_alone():
    node, listed = Exchange(), b'{"pieces": []}' * 100
    answer = encryption.encrypted_list(listed, node.public, "KEY")
    assert node.decrypted(answer, "KEY") == listed
    assert node.decrypted(answer, "KEX") != listed
    assert listed not in answer
    assert encryption.encrypted_list(listed, node.public, "KEY") != answer


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), bytes(33)])
def test_a_key_that_is_none_is_refused(public):
    with pytest.raises(BakeryError, match="not one of X25519"):
        encryption.encrypted_list(b"list", public, "KEY")


def test_a_file_is_encrypted_as_it_is_written():
    key, file = encryption.fresh_key(), io.BytesIO()
    there = encryption.EncryptedFile(file, key)
    for piece in (b"some", b"", b"thing" * 1000):
        there.write(piece)
    assert cipher.decrypted(key, 0, file.getvalue()) == b"some" + b"thing" * 1000


def test_no_two_streams_have_the_same_key():
    assert encryption.fresh_key() != encryption.fresh_key()
    assert len(encryption.fresh_key()) == 32
