"""A key that the node and the conductor share, though all they say is heard: X25519 (RFC 7748).

The node makes a key pair for each write list it asks for and sends the public half; the answer
begins with the public half of the conductor's, and goes on with the list, encrypted. Source:
OpenSSL, X25519(7), EVP_PKEY_derive(3).
"""

import ctypes
import os

from . import cipher, libcrypto, proof
from .errors import AgentError
from .libcrypto import INT, POINTER, SIZE, TEXT

X25519 = 1034  # NID_X25519, <openssl/obj_mac.h>
KEY_BYTES = 32
FUNCTIONS: tuple[libcrypto.Function, ...] = (
    ("EVP_PKEY_new_raw_private_key", POINTER, (INT, POINTER, TEXT, SIZE)),
    ("EVP_PKEY_new_raw_public_key", POINTER, (INT, POINTER, TEXT, SIZE)),
    ("EVP_PKEY_get_raw_public_key", INT, (POINTER,) * 3),
    ("EVP_PKEY_CTX_new", POINTER, (POINTER, POINTER)),
    ("EVP_PKEY_derive_init", INT, (POINTER,)),
    ("EVP_PKEY_derive_set_peer", INT, (POINTER, POINTER)),
    ("EVP_PKEY_derive", INT, (POINTER,) * 3),
    ("EVP_PKEY_CTX_free", None, (POINTER,)),
    ("EVP_PKEY_free", None, (POINTER,)),
)


class Exchange:
    """The node's half of one exchange; `public` is what it sends."""

    def __init__(self) -> None:
        self._crypto = libcrypto.load(FUNCTIONS)
        self._secret = os.urandom(KEY_BYTES)
        own = self._crypto.EVP_PKEY_new_raw_private_key(X25519, None, self._secret, KEY_BYTES)
        try:
            self.public = self._filled(self._crypto.EVP_PKEY_get_raw_public_key, own)
        finally:
            self._crypto.EVP_PKEY_free(own)

    def decrypted(self, answer: bytes, deployment_key: str) -> bytes:
        """What the conductor encrypted for this node, in the try with that key.

        Anything else comes out as nonsense, which no signature fits.
        """
        theirs, encrypted = answer[:KEY_BYTES], answer[KEY_BYTES:]
        if len(theirs) != KEY_BYTES:
            raise AgentError("the conductor's answer is not encrypted")
        key = proof.list_key(deployment_key, self._shared(theirs), self.public, theirs)
        return cipher.decrypted(key, 0, encrypted)

    def _shared(self, theirs: bytes) -> bytes:
        crypto = self._crypto
        own = crypto.EVP_PKEY_new_raw_private_key(X25519, None, self._secret, KEY_BYTES)
        peer = crypto.EVP_PKEY_new_raw_public_key(X25519, None, theirs, KEY_BYTES)
        context = crypto.EVP_PKEY_CTX_new(own, None)
        try:
            begun = crypto.EVP_PKEY_derive_init(context) == 1
            if not begun or crypto.EVP_PKEY_derive_set_peer(context, peer) != 1:
                raise AgentError("the conductor's half of the key is none")
            return self._filled(crypto.EVP_PKEY_derive, context)
        finally:
            crypto.EVP_PKEY_CTX_free(context)
            crypto.EVP_PKEY_free(peer)
            crypto.EVP_PKEY_free(own)

    @staticmethod
    def _filled(function: "ctypes._NamedFuncPointer", about: int | None) -> bytes:
        """The 32 bytes that `function` tells of what it is asked about."""
        content, size = ctypes.create_string_buffer(KEY_BYTES), ctypes.c_size_t(KEY_BYTES)
        # A half that leads to the same secret whoever has the other is refused there.
        if function(about, content, ctypes.byref(size)) != 1 or size.value != KEY_BYTES:
            raise AgentError(f"{libcrypto.NAME} cannot make a key with the conductor")
        return content.raw
