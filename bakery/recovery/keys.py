"""The keys of a recovery archive: age's own (X25519), and RSA as age takes it from ssh.

X25519: https://c2sp.org/age#the-x25519-recipient-type. RSA: age's stanza `ssh-rsa`, OAEP with
SHA-256 (https://github.com/FiloSottile/age/blob/main/agessh/agessh.go). An RSA key is the same key
whether a PEM file or ssh's own format holds it.
"""

import base64
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bakery.errors import BakeryError
from bakery.recovery import bech32, stanza
from bakery.recovery.stanza import ANOTHER_COPY, FILE_KEY_BYTES, Stanza

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

PUBLIC_PREFIX = "age"
PRIVATE_PREFIX = "age-secret-key-"
X25519 = "X25519"
SSH_RSA = "ssh-rsa"
X25519_BYTES = 32
WRAPPED_BYTES = FILE_KEY_BYTES + 16  # with Poly1305's tag
RSA_BITS = range(2048, 16384 + 1)
FILE_LIMIT_BYTES = 64 << 10
WRAP_NONCE = bytes(12)  # as the format has it: the key it goes with is used once

MAKE_KEYS = "make a pair with: age-keygen -o KEY, and its public half with: age-keygen -y KEY"
SAME_PAIR = "name the private key of the pair that the archive was sealed for"


class Recipient(Protocol):
    """A public key, for which a file's key can be wrapped."""

    def wrap(self, file_key: bytes) -> Stanza:
        """The file's key as only the private key's owner can read it."""
        ...


class Identity(Protocol):
    """A private key, with which a file's key can be had back."""

    def unwrap(self, wrapped: Stanza) -> bytes | None:
        """The file's key; None where it was wrapped for another. BakeryError where it is broken."""
        ...


def public_key(path: Path) -> Recipient:
    """The public key in the file `path`, or the one that `path` itself spells (`age1…`).

    Takes an age recipient, an RSA key in PEM, an ssh-rsa line. Raises BakeryError for all else.
    """
    spelled = is_spelled(str(path)) and not path.exists()
    line = str(path) if spelled else _key_text(path)
    if line.upper().startswith(PRIVATE_PREFIX.upper()) or "PRIVATE KEY-----" in line:
        raise BakeryError(
            f"{path} is a private key, and an archive is sealed with the public one",
            "age-keygen -y KEY, or openssl pkey -in KEY -pubout, writes its public half",
        )
    if line.startswith(PUBLIC_PREFIX + "1"):
        return X25519Recipient(_age_key(line, PUBLIC_PREFIX, path))
    return RsaRecipient(_rsa_public_key(line, path))


def is_spelled(key: str) -> bool:
    """Whether that is an age recipient itself, and not the name of a file that holds one."""
    return key.startswith(PUBLIC_PREFIX + "1")


def private_key(path: Path) -> Identity:
    """The private key in the file `path`: age's, or RSA in PEM or in ssh's format, no password.

    Raises BakeryError for all else.
    """
    line = _key_text(path)
    if line.upper().startswith(PRIVATE_PREFIX.upper()):
        return X25519Identity(_age_key(line, PRIVATE_PREFIX, path))
    return RsaIdentity(_rsa_private_key(line, path))


def file_key(identity: Identity, stanzas: Iterable[Stanza]) -> bytes:
    """The file's key, by the first stanza that `identity` opens; BakeryError where none is."""
    for wrapped in stanzas:
        found = identity.unwrap(wrapped)
        if found is not None:
            return found
    raise BakeryError("it was not sealed for this key", SAME_PAIR)


class X25519Recipient:
    """The public half of a key that age-keygen makes."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap with a key that is made for this once, and agreed upon with the recipient's."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        key = _wrap_key(ephemeral.private_bytes_raw(), self._public, share + self._public)
        body = ChaCha20Poly1305(key).encrypt(WRAP_NONCE, file_key, None)
        return Stanza((X25519, stanza.text_of(share)), body)


class X25519Identity:
    """The private half."""

    def __init__(self, private: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = private
        key = X25519PrivateKey.from_private_bytes(private)
        self._public = key.public_key().public_bytes_raw()

    def unwrap(self, wrapped: Stanza) -> bytes | None:
        """Whose the stanza is does not stand in it: it opens, or it does not."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        if wrapped.words[0] != X25519:
            return None
        share = stanza.bytes_of(wrapped.words[1]) if len(wrapped.words) == 2 else b""
        if len(share) != X25519_BYTES or len(wrapped.body) != WRAPPED_BYTES:
            raise _broken()
        try:
            key = _wrap_key(self._private, share, share + self._public)
            return ChaCha20Poly1305(key).decrypt(WRAP_NONCE, wrapped.body, None)
        except InvalidTag:
            return None


class RsaRecipient:
    """An RSA public key."""

    def __init__(self, public: "RSAPublicKey") -> None:
        self._public = public

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap with RSA-OAEP."""
        return Stanza((SSH_RSA, _tag(self._public)), self._public.encrypt(file_key, _padding()))


class RsaIdentity:
    """An RSA private key."""

    def __init__(self, private: "RSAPrivateKey") -> None:
        self._private = private
        self._tag = _tag(private.public_key())

    def unwrap(self, wrapped: Stanza) -> bytes | None:
        """The stanza tells by four bytes of a digest whose it is."""
        if wrapped.words[0] != SSH_RSA:
            return None
        if len(wrapped.words) != 2:
            raise _broken()
        if wrapped.words[1] != self._tag:
            return None
        try:
            found = self._private.decrypt(wrapped.body, _padding())
        except ValueError:
            raise _broken() from None
        if len(found) != FILE_KEY_BYTES:
            raise _broken()
        return found


def _wrap_key(ours: bytes, theirs: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        secret = X25519PrivateKey.from_private_bytes(ours).exchange(
            X25519PublicKey.from_public_bytes(theirs)
        )
    except ValueError:  # a point of low order: anyone could know the secret
        raise _broken() from None
    return stanza.derived(secret, salt, b"age-encryption.org/v1/X25519")


def _padding() -> "OAEP":
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.hashes import SHA256

    return OAEP(MGF1(SHA256()), SHA256(), label=b"age-encryption.org/v1/ssh-rsa")


def _tag(public: "RSAPublicKey") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return stanza.text_of(hashlib.sha256(base64.b64decode(line.split()[1])).digest()[:4])


def _broken() -> BakeryError:
    return BakeryError("the key wrapped in its header was altered", ANOTHER_COPY)


def _key_text(path: Path) -> str:
    """What the file holds, without comments: one line, or all of a PEM file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - opened above, so as not to wait
            content = file.read(FILE_LIMIT_BYTES)
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}", MAKE_KEYS) from None
    text = content.decode("utf-8", "replace").strip()
    if text.startswith("-----BEGIN "):
        return text
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) != 1:
        raise BakeryError(
            f"{path} holds {len(lines)} lines that could be keys, and one is needed", MAKE_KEYS
        )
    return lines[0]


def _age_key(text: str, prefix: str, path: Path) -> bytes:
    try:
        found, key = bech32.decode(text)
    except ValueError as error:
        raise BakeryError(f"{path} holds no age key: {error}", MAKE_KEYS) from None
    if found != prefix or len(key) != X25519_BYTES:
        raise BakeryError(
            f"{path} holds an age key of another kind than X25519", f"{MAKE_KEYS} -- or use RSA"
        )
    return key


def _rsa_public_key(text: str, path: Path) -> "RSAPublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import (
        load_pem_public_key,
        load_ssh_public_key,
    )

    try:
        load = load_pem_public_key if text.startswith("-----BEGIN ") else load_ssh_public_key
        key: PublicKeyTypes = load(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BakeryError(
            f"{path} holds no public key: neither an age recipient (age1…), nor RSA in PEM, "
            "nor an ssh-rsa line",
            MAKE_KEYS,
        ) from None
    if not isinstance(key, RSAPublicKey):
        raise BakeryError(f"{path} is a key of another kind than RSA or age's X25519", MAKE_KEYS)
    return _strong(key, path)


def _rsa_private_key(text: str, path: Path) -> "RSAPrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_ssh_private_key,
    )

    ssh = text.startswith("-----BEGIN OPENSSH ")
    try:
        load = load_ssh_private_key if ssh else load_pem_private_key
        key: PrivateKeyTypes = load(text.encode(), password=None)
    except TypeError:
        raise BakeryError(
            f"{path} is locked with a password",
            "ssh-keygen -p -f COPY takes it from a copy of the key"
            if ssh
            else f"openssl pkey -in {path} -out PLAIN writes it without one",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BakeryError(
            f"{path} holds no private key: neither age's (AGE-SECRET-KEY-1…) nor RSA in PEM or "
            "in ssh's format",
            SAME_PAIR,
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise BakeryError(f"{path} is a key of another kind than RSA or age's X25519", SAME_PAIR)
    _strong(key.public_key(), path)
    return key


def _strong(key: "RSAPublicKey", path: Path) -> "RSAPublicKey":
    if key.key_size not in RSA_BITS:
        raise BakeryError(
            f"{path} is an RSA key of {key.key_size} bits; "
            f"it takes {RSA_BITS.start} to {RSA_BITS.stop - 1}",
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY",
        )
    return key
