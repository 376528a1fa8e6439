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
from hypothesis import given
from hypothesis import strategies as st

from bakery.errors import BakeryError
from bakery.recovery import bech32, keys
from tests.recovery import pairs
from tests.recovery.pairs import Pair

# BIP 173's own examples, and age's (https://c2sp.org/age#the-x25519-recipient-type).
VALID = (
    "A12UEL5L",
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
    "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j",
)
INVALID = (
    "",
    "1nwldj5",
    "pzry9x0s0muk",
    "10a06t8",
    "x1b4n0q5v",
    "li1dgmt3",
    "A1G7SGD8",
    "a12Uel5l",
)
AGE_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
AGE_IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"


def test_bech32_as_its_inventors_have_it():
    for text in VALID:
        assert bech32.decode(text)[0] == text.lower().rpartition("1")[0]
    for text in INVALID:
        with pytest.raises(ValueError, match=r"letter|checksum|short|byte"):
            bech32.decode(text)


@given(st.binary(max_size=70), st.integers(0, 1000), st.sampled_from(bech32.ALPHABET))
def test_a_wrong_letter_in_a_key_is_seen(content: bytes, at: int, letter: str):
    text = pairs.bech32_of("age", content)
    assert bech32.decode(text) == bech32.decode(text.upper()) == ("age", content)
    at = 4 + at % (len(text) - 4)
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(ValueError, match="checksum"):
            bech32.decode(changed)


def test_the_key_in_ages_own_words(tmp_path: Path):
    (tmp_path / "key").write_text(AGE_IDENTITY)
    identity = keys.private_key(tmp_path / "key")
    wrapped = keys.public_key(Path(AGE_RECIPIENT)).wrap(bytes(16))
    assert identity.unwrap(wrapped) == bytes(16)


def test_an_rsa_key_is_the_same_in_every_format(rsa: Pair):
    publics = [keys.public_key(rsa.public.with_suffix(end)) for end in (".pub", ".ssh.pub")]
    privates = [
        keys.private_key(rsa.private.with_suffix(end)) for end in (".key", ".ssh.key", ".old.key")
    ]
    for public in publics:
        for private in privates:
            assert private.unwrap(public.wrap(b"k" * 16)) == b"k" * 16


def test_a_wrapped_key_that_was_altered_is_told_from_one_for_another(rsa: Pair, age: Pair):
    wrapped = keys.public_key(rsa.public).wrap(bytes(16))
    with pytest.raises(BakeryError, match="the key wrapped in its header was altered"):
        keys.private_key(rsa.private).unwrap(wrapped._replace(body=bytes(256)))
    assert keys.private_key(age.private).unwrap(wrapped) is None
    other = keys.public_key(rsa.public).wrap(bytes(32))
    with pytest.raises(BakeryError, match="altered"):
        keys.private_key(rsa.private).unwrap(other)


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
    "a misspelt recipient": (AGE_RECIPIENT[:-1].encode() + b"q", "no age key: its checksum"),
    "a post-quantum one": (
        pairs.bech32_of("age1pq", bytes(1216)).encode(),
        "an age key of another kind than X25519",
    ),
    "a short one": (pairs.bech32_of("age", bytes(31)).encode(), "another kind than X25519"),
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
            pairs.bech32_of("age-secret-key-pq-", bytes(32)).upper().encode(),
            "another kind than X25519",
        ),
        "misspelt": (AGE_IDENTITY[:-1].encode() + b"Q", "no age key: its checksum"),
    }
    for name, (content, reason) in wrong.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BakeryError, match=reason) as raised:
            keys.private_key(path)
        assert raised.value.message.startswith(f"{path} ")
        assert raised.value.hint


def test_a_key_that_is_not_there_is_told(tmp_path: Path):
    for read in (keys.public_key, keys.private_key):
        with pytest.raises(BakeryError, match="none cannot be read: No such file"):
            read(tmp_path / "none")
        with pytest.raises(BakeryError, match="cannot be read: Is a directory"):
            read(tmp_path)
