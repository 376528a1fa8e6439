"""The payload of an age file: chunks of 64 KiB, each encrypted and authenticated.

STREAM with ChaCha20-Poly1305, as https://c2sp.org/age#payload says: the nonce of a chunk is its
number and whether it is the last, so chunks can be neither altered, swapped nor dropped.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from bakery.errors import BakeryError
from bakery.recovery import stanza
from bakery.recovery.stanza import ANOTHER_COPY

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CHUNK_BYTES = 64 << 10
TAG_BYTES = 16
NONCE_BYTES = 16


class Encryption:
    """Encrypts what is fed to it, and gives it to `write` chunk by chunk."""

    def __init__(self, file_key: bytes, write: Callable[[bytes], object]) -> None:
        nonce = os.urandom(NONCE_BYTES)
        self._cipher = _cipher(file_key, nonce)
        self._write = write
        self._number = 0
        self._held = bytearray()
        write(nonce)

    def feed(self, content: bytes) -> None:
        """Take more plain bytes. A full chunk is held back: it may be the last."""
        self._held += content
        while len(self._held) > CHUNK_BYTES:
            self._chunk(bytes(self._held[:CHUNK_BYTES]), last=False)
            del self._held[:CHUNK_BYTES]

    def finish(self) -> None:
        """Write what is held as the last chunk."""
        self._chunk(bytes(self._held), last=True)

    def _chunk(self, content: bytes, *, last: bool) -> None:
        self._write(self._cipher.encrypt(_nonce(self._number, last=last), content, None))
        self._number += 1


def decrypted(file: BinaryIO, file_key: bytes) -> Iterator[bytes]:
    """The plain bytes of a payload, chunk by chunk, each of them authentic.

    `file` stands at the payload's first byte. Raises BakeryError where a chunk is not authentic,
    and where the payload does not end with its last chunk.
    """
    nonce = file.read(NONCE_BYTES)
    if len(nonce) < NONCE_BYTES:
        raise BakeryError("it is cut short after its header", ANOTHER_COPY)
    cipher = _cipher(file_key, nonce)
    chunk = file.read(CHUNK_BYTES + TAG_BYTES)
    for number in itertools.count():
        following = file.read(CHUNK_BYTES + TAG_BYTES)
        last = not following
        plain = _opened(cipher, number, chunk, last=last)
        if plain is None:
            raise _not_authentic(cipher, number, chunk, last=last)
        if not plain and number:
            raise BakeryError("it ends with an empty chunk, which age never writes", ANOTHER_COPY)
        yield plain
        if last:
            return
        chunk = following


def _cipher(file_key: bytes, nonce: bytes) -> "ChaCha20Poly1305":
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(stanza.derived(file_key, nonce, b"payload"))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _opened(cipher: "ChaCha20Poly1305", number: int, chunk: bytes, *, last: bool) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(_nonce(number, last=last), chunk, None)
    except InvalidTag:
        return None


def _not_authentic(
    cipher: "ChaCha20Poly1305", number: int, chunk: bytes, *, last: bool
) -> BakeryError:
    """Why a chunk cannot be opened, as far as it can be told."""
    if _opened(cipher, number, chunk, last=not last) is not None:
        reason = "it is cut short" if last else "bytes were added after its end"
    else:
        at = f"in the 64 KiB from byte {number * CHUNK_BYTES} of its payload"
        reason = f"it was altered or cut short {at}"
    return BakeryError(reason, ANOTHER_COPY)
