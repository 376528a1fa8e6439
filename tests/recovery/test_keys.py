"""Which keys are taken, and what is said of the others."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bakery.host.errors import BakeryError
from bakery.recovery import keys
from tests.recovery.pairs import Pair, files, read, sealed

# https://c2sp.org/age#the-x25519-recipient-type
AGE_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
AGE_IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"


def test_an_age_key_is_handed_on_as_it_stands(tmp_path: Path):
    (tmp_path / "key").write_text(f"# public key: {AGE_RECIPIENT}\n\n{AGE_IDENTITY}\n")
    (tmp_path / "pub").write_text(AGE_RECIPIENT)
    assert keys.private_key(tmp_path / "key").split() == [AGE_IDENTITY]
    assert keys.public_key(Path(AGE_RECIPIENT)) == AGE_RECIPIENT
    assert keys.public_key(tmp_path / "pub") == AGE_RECIPIENT


def test_an_rsa_key_is_the_same_in_every_format(rsa: Pair, tmp_path: Path):
    publics = [keys.public_key(rsa.public.with_suffix(end)) for end in (".pub", ".ssh.pub")]
    assert publics[0] == publics[1]
    archive = sealed(tmp_path / "a", files(("a", b"b")), rsa)
    for end in (".key", ".ssh.key", ".old.key"):
        assert read(archive, Pair(rsa.public, rsa.private.with_suffix(end))) == files(("a", b"b"))


PLUGIN = "age-plugin-bakery"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is there once a plugin of age's has been started."""
    started = tmp_path / "started"
    program = tmp_path / "bin" / PLUGIN
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return started


def test_a_key_starts_no_plugin(plugin: Path, tmp_path: Path):
    (tmp_path / "pub").write_text("age1bakery1qqqsyqcyq5rqwzqfpg9scrgwpuca2a7p")
    (tmp_path / "key").write_text("AGE-PLUGIN-BAKERY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUCA2A7P")
    with pytest.raises(BakeryError, match="of another kind than X25519"):
        keys.public_key(tmp_path / "pub")
    with pytest.raises(BakeryError, match="holds no private key"):
        keys.private_key(tmp_path / "key")
    assert not plugin.exists()


def ssh_line(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


WRONG_PUBLIC = {
    "an ed25519 line": (ssh_line(Ed25519PrivateKey.generate()), "another kind than RSA"),
    "a small RSA key": (
        generate_private_key(65537, 1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "an RSA key of 1024 bits; it takes 2048 to 16384",
    ),
    "an age identity": (AGE_IDENTITY.encode(), "is a private key, and"),
    "a private PEM": (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "is a private key, and"),
    "a broken PEM": (
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "no public key",
    ),
    "text": (b"hello", "no public key"),
    "bytes": (bytes(range(256)), "could be keys|no public key"),
    "nothing": (b"\n# a comment\n", "holds 0 lines that could be keys"),
    "two": (f"{AGE_RECIPIENT}\n{AGE_RECIPIENT}\n".encode(), "holds 2 lines"),
    "a misspelt recipient": (AGE_RECIPIENT[:-1].encode() + b"q", "no age key: .*checksum"),
    "a post-quantum one": (
        b"age1pq1" + b"q" * 1952,
        "an age key of another kind than X25519",
    ),
    "a short one": (AGE_RECIPIENT[:-1].encode(), "or a part of one"),
}


@pytest.mark.parametrize("name", WRONG_PUBLIC)
def test_what_is_no_public_key_is_told(name: str, tmp_path: Path):
    content, reason = WRONG_PUBLIC[name]
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(BakeryError, match=reason) as raised:
        keys.public_key(path)
    assert raised.value.message.startswith(f"{path} ")
    assert raised.value.hint


def locked_by_ssh(folder: Path) -> bytes:
    argv: list[str | Path] = [
        "ssh-keygen",
        "-q",
        "-t",
        "rsa",
        "-b",
        "2048",
        "-N",
        "password",
        "-f",
        folder / "id",
    ]
    subprocess.run(argv, check=True)
    return (folder / "id").read_bytes()


def test_what_is_no_private_key_is_told(rsa: Pair, tmp_path: Path):
    key = load_pem_private_key(rsa.private.read_bytes(), None)
    locked = BestAvailableEncryption(b"password")
    wrong = {
        "PEM": (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked),
            "is locked with a password",
        ),
        "ssh": (locked_by_ssh(tmp_path), "is locked with a password"),
        "other": (
            Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "another kind than RSA",
        ),
        "public": (rsa.public.read_bytes(), "no private key"),
        "recipient": (AGE_RECIPIENT.encode(), "no private key"),
        "bytes": (os.urandom(100), "no private key|could be keys"),
        "post-quantum": (
            b"AGE-SECRET-KEY-PQ-1" + b"Q" * 58,
            "another kind than X25519",
        ),
        "misspelt": (AGE_IDENTITY[:-1].encode() + b"Q", "no age key: .*checksum"),
    }
    for name, (content, reason) in wrong.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BakeryError, match=reason) as raised:
            keys.private_key(path)
        assert raised.value.message.startswith(f"{path} ")
        assert raised.value.hint


def test_a_key_that_is_not_there_is_told(tmp_path: Path):
    for taken in (keys.public_key, keys.private_key):
        with pytest.raises(BakeryError, match="none cannot be read: No such file"):
            taken(tmp_path / "none")
        with pytest.raises(BakeryError, match="cannot be read: Is a directory"):
            taken(tmp_path)


def test_keys_of_the_smallest_and_the_largest_size_are_taken(tmp_path: Path):
    assert (keys.RSA_BITS.start, keys.RSA_BITS.stop) == (2048, 16385)  # docs/recovery.md
    key = generate_private_key(65537, 2047)
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(BakeryError, match="an RSA key of 2047 bits; it takes 2048 to 16384"):
        keys.private_key(tmp_path / "key")


def test_a_file_is_read_rather_than_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path(AGE_RECIPIENT).write_text("hello")
    with pytest.raises(BakeryError, match="holds no public key"):
        keys.public_key(Path(AGE_RECIPIENT))
    assert keys.is_spelled(AGE_RECIPIENT)
    assert not keys.is_spelled(f"./{AGE_RECIPIENT}")


def test_a_key_in_capitals_is_told_from_a_public_one(tmp_path: Path):
    (tmp_path / "key").write_text(AGE_IDENTITY.lower())
    with pytest.raises(BakeryError, match="is a private key, and an archive is sealed with"):
        keys.public_key(tmp_path / "key")
    with pytest.raises(BakeryError, match="another kind than X25519"):
        keys.private_key(tmp_path / "key")


def test_a_fifo_is_not_waited_for_and_a_private_key_ends_in_a_newline(rsa: Pair, tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BakeryError, match="holds 0 lines that could be keys"):
        keys.public_key(tmp_path / "fifo")
    assert keys.private_key(rsa.private).endswith("-----END PRIVATE KEY-----\n")
