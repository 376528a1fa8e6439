"""What travels encrypted: the write list, the small pieces' frames, and what is multicast.

A stream is ChaCha20 (RFC 8439) under a key of its own, with the nonce 0. A write list's key comes
of an X25519 exchange (RFC 7748) with its node, and of the secret of the try; the list holds the
other keys. What is encrypted is signed, or has its digest in what is signed: the cipher hides, and
does no more. bakery/node/agent/cipher.py and exchange.py decrypt it, by another library.
"""

import secrets
from typing import BinaryIO, Protocol

from bakery.host.errors import BakeryError
from bakery.node.agent import proof

KEY_BYTES = 32
START = bytes(16)
"""As OpenSSL takes it: a counter of blocks of 64 bytes, and the nonce; both 8 bytes."""


class Encrypter(Protocol):
    """Encrypts a stream from its first byte on."""

    def update(self, data: bytes) -> bytes:
        """The next bytes, encrypted."""


def fresh_key() -> bytes:
    """A key for one stream."""
    return secrets.token_bytes(KEY_BYTES)


def encrypter(key: bytes) -> Encrypter:
    """What encrypts the stream of `key`."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    return Cipher(algorithms.ChaCha20(key, START), mode=None).encryptor()


def encrypted_list(listed: bytes, node: bytes, deployment_key: str) -> bytes:
    """`listed` for who has the other half of `node`, an X25519 key: our own half, and the list.

    BakeryError where `node` is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    own = X25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(node))
    except ValueError:
        raise BakeryError("the public key is not one of X25519") from None
    key = proof.list_key(deployment_key, shared, node, public)
    return public + encrypter(key).update(listed)


class EncryptedFile:
    """A file that what is written to is encrypted in, from its first byte on."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        self._file, self._encrypter = file, encrypter(key)

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        self._file.write(self._encrypter.update(data))
