"""The keys of a recovery archive, checked and written as the `age` program takes them.

Its own (X25519: https://c2sp.org/age#the-x25519-recipient-type), and RSA, which age takes from ssh.
An RSA key is the same key whether a PEM file or ssh's own format holds it. Keys of age's plugins
would have age run programs that they name, and keys with a password would have it ask: neither is
handed on.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.host.errors import BakeryError
from bakery.recovery import age
from bakery.recovery.age import SAME_PAIR, AgeFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PUBLIC_PREFIX = "age1"
PRIVATE_PREFIX = "AGE-SECRET-KEY-"
# 32 bytes and a checksum in Bech32 (BIP 173), whose letters have no 1: no plugin's name fits in.
X25519_PUBLIC = re.compile(r"age1[02-9ac-hj-np-z]{58}")
X25519_PRIVATE = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}")
RSA_BITS = range(2048, 16384 + 1)
FILE_LIMIT_BYTES = 64 << 10

MAKE_KEYS = "make a pair with: age-keygen -o KEY, and its public half with: age-keygen -y KEY"


def public_key(path: Path) -> str:
    """The public key in the file `path`, or the one that `path` itself spells (`age1…`).

    Takes an age recipient, an RSA key in PEM, an ssh-rsa line. What comes back is what age calls a
    recipient. Raises BakeryError for all else.
    """
    spelled = is_spelled(str(path)) and not path.exists()
    line = str(path) if spelled else _key_text(path)
    if line.upper().startswith(PRIVATE_PREFIX) or "PRIVATE KEY-----" in line:
        raise BakeryError(
            f"{path} is a private key, and an archive is sealed with the public one",
            "age-keygen -y KEY, or openssl pkey -in KEY -pubout, writes its public half",
        )
    if not line.startswith(PUBLIC_PREFIX):
        return _ssh_line(line, path)
    _check_x25519(line, X25519_PUBLIC, age.check_recipient, path)
    return line


def is_spelled(key: str) -> bool:
    """Whether that is an age recipient itself, and not the name of a file that holds one."""
    return key.startswith(PUBLIC_PREFIX)


def private_key(path: Path) -> str:
    """The private key in the file `path`: age's, or RSA in PEM or in ssh's format, no password.

    What comes back is what age calls an identity. Raises BakeryError for all else.
    """
    text = _key_text(path)
    if not text.upper().startswith(PRIVATE_PREFIX):
        _check_rsa_private_key(text, path)
        return text + "\n"
    _check_x25519(text, X25519_PRIVATE, age.check_identity, path)
    return text + "\n"


def _check_x25519(
    key: str, form: re.Pattern[str], known_to_age: Callable[[str], None], path: Path
) -> None:
    if not form.fullmatch(key):
        raise BakeryError(
            f"{path} holds an age key of another kind than X25519, or a part of one",
            f"{MAKE_KEYS} -- or use RSA",
        )
    try:
        known_to_age(key)
    except AgeFailed as failed:
        raise BakeryError(f"{path} holds no age key: {failed}", MAKE_KEYS) from None


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


def _ssh_line(text: str, path: Path) -> str:
    """An RSA key, of PEM or of an ssh-rsa line, as an ssh-rsa line."""
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
        load_ssh_public_key,
    )

    try:
        load = load_pem_public_key if text.startswith("-----BEGIN ") else load_ssh_public_key
        key = load(text.encode())
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise BakeryError(
            f"{path} holds no public key: neither an age recipient (age1…), nor RSA in PEM, "
            "nor an ssh-rsa line",
            MAKE_KEYS,
        ) from None
    return (
        _strong(key, path, MAKE_KEYS).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    )


def _check_rsa_private_key(text: str, path: Path) -> None:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_ssh_private_key,
    )

    ssh = text.startswith("-----BEGIN OPENSSH ")
    try:
        load = load_ssh_private_key if ssh else load_pem_private_key
        key = load(text.encode(), password=None)
    except TypeError:
        raise BakeryError(
            f"{path} is locked with a password",
            "ssh-keygen -p -f COPY takes it from a copy of the key"
            if ssh
            else f"openssl pkey -in {path} -out PLAIN writes it without one",
        ) from None
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise BakeryError(
            f"{path} holds no private key: neither age's (AGE-SECRET-KEY-1…) nor RSA in PEM or "
            "in ssh's format",
            SAME_PAIR,
        ) from None
    _strong(key.public_key(), path, SAME_PAIR)


def _strong(key: object, path: Path, hint: str) -> "RSAPublicKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if not isinstance(key, RSAPublicKey):
        raise BakeryError(f"{path} is a key of another kind than RSA or age's X25519", hint)
    if key.key_size not in RSA_BITS:
        raise BakeryError(
            f"{path} is an RSA key of {key.key_size} bits; "
            f"it takes {RSA_BITS.start} to {RSA_BITS.stop - 1}",
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY",
        )
    return key
