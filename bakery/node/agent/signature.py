"""Whether an Ed25519 signature (RFC 8032) is right, by the distribution's libcrypto.

Source: OpenSSL, EVP_PKEY_new_raw_public_key(3), EVP_DigestVerifyInit(3).
"""

from . import libcrypto
from .errors import AgentError
from .libcrypto import INT, POINTER, SIZE, TEXT

ED25519 = 1087  # NID_ED25519, <openssl/obj_mac.h>
KEY_BYTES, SIGNATURE_BYTES = 32, 64
FUNCTIONS: tuple[libcrypto.Function, ...] = (
    ("EVP_PKEY_new_raw_public_key", POINTER, (INT, POINTER, TEXT, SIZE)),
    ("EVP_MD_CTX_new", POINTER, ()),
    ("EVP_DigestVerifyInit", INT, (POINTER,) * 5),
    ("EVP_DigestVerify", INT, (POINTER, TEXT, SIZE, TEXT, SIZE)),
    ("EVP_MD_CTX_free", None, (POINTER,)),
    ("EVP_PKEY_free", None, (POINTER,)),
)


def check(content: bytes, signature: bytes, key: bytes) -> None:
    """Raise AgentError where `content` was not signed so by the owner of the public `key`."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise AgentError("the write list is not signed")
    crypto = libcrypto.load(FUNCTIONS)
    owner = crypto.EVP_PKEY_new_raw_public_key(ED25519, None, key, len(key))
    context = crypto.EVP_MD_CTX_new()
    try:
        if not owner or not context:
            raise AgentError(f"{libcrypto.NAME} cannot check signatures")
        begun = crypto.EVP_DigestVerifyInit(context, None, None, None, owner)
        size = len(content)
        # 1 alone is yes: there are other numbers for no, and for what went wrong.
        if begun != 1 or crypto.EVP_DigestVerify(context, signature, 64, content, size) != 1:
            raise AgentError("the write list was not signed by the expected key")
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_free(owner)
