"""Key pairs, small tars and sealed archives for the tests of the recovery archive."""

import io
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bakery.recovery import keys
from bakery.recovery.open import opened
from bakery.recovery.seal import sealing

CHUNK_BYTES, TAG_BYTES = 64 << 10, 16  # https://c2sp.org/age#payload
PEM, SSH = Encoding.PEM, Encoding.OpenSSH


class Pair(NamedTuple):
    """A key pair as two files."""

    public: Path
    private: Path


def x25519(folder: Path, name: str = "age") -> Pair:
    """A pair by age-keygen."""
    pair = Pair(folder / f"{name}.pub", folder / f"{name}.key")
    subprocess.run(["age-keygen", "-o", pair.private], check=True, capture_output=True)
    subprocess.run(["age-keygen", "-y", "-o", pair.public, pair.private], check=True)
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
    argv: list[str | Path] = ["age", "-r", keys.public_key(pair.public), "-o", path]
    subprocess.run(argv, input=compressed, check=True)
    return path
