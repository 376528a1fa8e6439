"""Whether an Ed25519 signature (RFC 8032) is right, by the distribution's libcrypto.

Source: OpenSSL, EVP_PKEY_new_raw_public_key(3), EVP_DigestVerifyInit(3).
"""

import ctypes

from .errors import AgentError

LIBRARY = "libcrypto.so.3"
ED25519 = 1087  # NID_ED25519, <openssl/obj_mac.h>
KEY_BYTES, SIGNATURE_BYTES = 32, 64


def check(content: bytes, signature: bytes, key: bytes) -> None:
    """Raise AgentError where `content` was not signed so by the owner of the public `key`."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise AgentError("what is to be written is not signed")
    crypto = _library()
    owner = crypto.EVP_PKEY_new_raw_public_key(ED25519, None, key, len(key))
    context = crypto.EVP_MD_CTX_new()
    try:
        if not owner or not context:
            raise AgentError(f"{LIBRARY} cannot check signatures")
        begun = crypto.EVP_DigestVerifyInit(context, None, None, None, owner)
        size = len(content)
        # 1 alone is yes: there are other numbers for no, and for what went wrong.
        if begun != 1 or crypto.EVP_DigestVerify(context, signature, 64, content, size) != 1:
            raise AgentError("what is to be written was not signed by the owner of the known key")
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_free(owner)


def _library() -> ctypes.CDLL:
    try:
        crypto = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise AgentError(f"{LIBRARY} cannot be loaded: {error}") from None
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    for name, result, arguments in (
        ("EVP_PKEY_new_raw_public_key", pointer, (ctypes.c_int, pointer, text, size)),
        ("EVP_MD_CTX_new", pointer, ()),
        ("EVP_DigestVerifyInit", ctypes.c_int, (pointer,) * 5),
        ("EVP_DigestVerify", ctypes.c_int, (pointer, text, size, text, size)),
        ("EVP_MD_CTX_free", None, (pointer,)),
        ("EVP_PKEY_free", None, (pointer,)),
    ):
        function = crypto[name]
        function.restype, function.argtypes = result, arguments
        setattr(crypto, name, function)
    return crypto
