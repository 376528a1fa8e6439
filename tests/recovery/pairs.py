"""Key pairs, small tars and sealed archives for the tests of the recovery archive."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bakery.recovery import bech32, keys, stanza
from bakery.recovery.open import opened
from bakery.recovery.payload import Encryption
from bakery.recovery.seal import sealing

PEM, SSH = Encoding.PEM, Encoding.OpenSSH


class Pair(NamedTuple):
    """A key pair as two files."""

    public: Path
    private: Path


def bech32_of(prefix: str, content: bytes) -> str:
    """Bech32's other direction, from BIP 173's words."""
    bits = "".join(f"{byte:08b}" for byte in content)
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    wanted = bech32.checksum([*bech32.expanded(prefix), *values, *bytes(6)]) ^ 1
    values += [wanted >> shift & 31 for shift in range(25, -1, -5)]
    return prefix + "1" + "".join(bech32.ALPHABET[value] for value in values)


def x25519(folder: Path, name: str = "age") -> Pair:
    """A pair as age-keygen writes it."""
    private = X25519PrivateKey.generate()
    pair = Pair(folder / f"{name}.pub", folder / f"{name}.key")
    public = bech32_of("age", private.public_key().public_bytes_raw())
    pair.public.write_text(f"{public}\n")
    secret = bech32_of("age-secret-key-", private.private_bytes_raw()).upper()
    pair.private.write_text(f"# public key: {public}\n\n{secret}\n")
    return pair


def rsa(folder: Path, name: str = "rsa", bits: int = 2048) -> Pair:
    """A pair in PEM; beside it the same in ssh's own format, NAME.ssh.pub and NAME.ssh.key."""
    key = generate_private_key(65537, bits)
    forms = {
        "pub": key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo),
        "key": key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()),
        "ssh.pub": key.public_key().public_bytes(SSH, PublicFormat.OpenSSH) + b" me@there\n",
        "ssh.key": key.private_bytes(PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "old.key": key.private_bytes(PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    }
    for suffix, content in forms.items():
        path = folder / f"{name}.{suffix}"
        path.write_bytes(content)
        path.chmod(0o600)  # ssh-keygen insists
    return Pair(folder / f"{name}.pub", folder / f"{name}.key")


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    """A header with these fields of tarfile.TarInfo."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these headers and contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for info, content in members:
            info.size = info.size or len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def files(*contents: tuple[str, bytes]) -> bytes:
    """A tar of regular files."""
    return tar((member(name), content) for name, content in contents)


def sealed(path: Path, content: bytes, pair: Pair, step: int = 100_000) -> Path:
    """The archive `path` of the tar `content`, written in pieces."""
    with sealing(path, pair.public) as stream:
        for at in range(0, len(content), step):
            stream.write(content[at : at + step])
    return path


def read(path: Path, pair: Pair) -> bytes:
    """All of the tar in an archive."""
    with opened(path, pair.private) as stream:
        return stream.read()


def forged(path: Path, compressed: bytes, pair: Pair) -> Path:
    """An age file about any bytes: what who has the public key can make."""
    file_key = bytes(range(16))
    with path.open("wb") as file:
        file.write(stanza.encoded(keys.public_key(pair.public).wrap(file_key), file_key))
        encryption = Encryption(file_key, file.write)
        encryption.feed(compressed)
        encryption.finish()
    return path
