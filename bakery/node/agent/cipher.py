"""What travels encrypted: bytes of a stream under ChaCha20 (RFC 8439), by the ramdisk's libcrypto.

It hides, and vouches for nothing: what is decrypted is believed by its signature, or its digest in
the signed list, as what comes in the clear is. It is quick on processors without instructions for a
cipher, too. Each key is for one stream, so the nonce is 0. Source: OpenSSL, EVP_chacha20(3),
EVP_EncryptInit(3).
"""

import ctypes
import struct

from . import libcrypto
from .errors import AgentError
from .libcrypto import INT, POINTER, TEXT

KEY_BYTES = 32
BLOCK_BYTES = 64
FUNCTIONS: tuple[libcrypto.Function, ...] = (
    ("EVP_chacha20", POINTER, ()),
    ("EVP_CIPHER_CTX_new", POINTER, ()),
    ("EVP_EncryptInit_ex", INT, (POINTER, POINTER, POINTER, TEXT, TEXT)),
    ("EVP_EncryptUpdate", INT, (POINTER, POINTER, POINTER, TEXT, INT)),
    ("EVP_CIPHER_CTX_free", None, (POINTER,)),
)


def decrypted(key: bytes, at: int, content: bytes) -> bytes:
    """What was encrypted as `content`, which lies at byte `at` of its stream."""
    if len(key) != KEY_BYTES:
        raise AgentError("the key of an encrypted stream has another length")
    crypto = libcrypto.load(FUNCTIONS)
    block, passed = divmod(at, BLOCK_BYTES)
    place = ctypes.create_string_buffer(passed + len(content))
    done = ctypes.c_int()
    context = crypto.EVP_CIPHER_CTX_new()
    try:
        start = struct.pack("<QQ", block, 0)  # OpenSSL's: a counter of blocks, and the nonce
        begun = crypto.EVP_EncryptInit_ex(context, crypto.EVP_chacha20(), None, key, start)
        for part, to in ((bytes(passed), 0), (content, passed)):
            # The cipher is an exclusive or: what decrypts is what encrypts.
            there = ctypes.byref(place, to)
            made = crypto.EVP_EncryptUpdate(context, there, ctypes.byref(done), part, len(part))
            if begun != 1 or made != 1:
                raise AgentError(f"{libcrypto.NAME} cannot decrypt")
    finally:
        crypto.EVP_CIPHER_CTX_free(context)
    return place.raw[passed:]
