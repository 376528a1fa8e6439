"""The age project's own test vectors: which files open, which do not, and what is in them.

`age-vectors.tar.xz` holds the `testdata` of https://github.com/C2SP/CCTV/tree/main/age, those of
armor, of passphrases and of post-quantum keys left out. Its README there says what a vector is,
and that it may be used under CC0 1.0.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bakery.errors import BakeryError
from bakery.recovery import keys, payload, stanza

ARCHIVE = Path(__file__).with_name("age-vectors.tar.xz")


class Vector(NamedTuple):
    """A file, what is to come of it, the private keys to try, and the digest of its contents."""

    name: str
    expected: str
    identities: list[str]
    digest: str
    content: bytes


def vectors() -> Iterator[Vector]:
    with tarfile.open(ARCHIVE) as archive:
        for info in archive:
            file = archive.extractfile(info)
            assert file is not None
            head, _, content = file.read().partition(b"\n\n")
            pairs = [line.partition(": ")[::2] for line in head.decode().splitlines()]
            fields = dict(pairs)
            identities = [value for name, value in pairs if name == "identity"]
            if fields.get("compressed"):
                content = zlib.decompress(content)
            yield Vector(
                info.name, fields["expect"], identities, fields.get("payload", ""), content
            )


VECTORS = {vector.name: vector for vector in vectors() if vector.identities}


def opened(vector: Vector, folder: Path) -> bytes:
    file = io.BytesIO(vector.content)
    header = stanza.read(file)
    for number, identity in enumerate(vector.identities):
        path = folder / f"{number}"
        path.write_text(identity)
        try:
            file_key = keys.file_key(keys.private_key(path), header.stanzas)
        except BakeryError as error:
            if "not sealed for this key" in error.message:
                continue
            raise
        stanza.authenticate(header, file_key)
        return b"".join(payload.decrypted(file, file_key))
    raise BakeryError("it was not sealed for this key")


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_opens_or_does_not(name: str, tmp_path: Path):
    vector = VECTORS[name]
    if vector.expected == "success":
        assert hashlib.sha256(opened(vector, tmp_path)).hexdigest() == vector.digest
        return
    with pytest.raises(BakeryError) as raised:
        opened(vector, tmp_path)
    at_its_place = {
        "no match": "not sealed for this key",
        "HMAC failure": "its header was altered",
        "header failure": "header|age file|version|sealed",
        "payload failure": "altered|cut short|after its end|empty chunk",
    }
    assert any(word in raised.value.message for word in at_its_place[vector.expected].split("|"))


def test_there_are_vectors_of_each_sort():
    sorts = {vector.expected for vector in VECTORS.values()}
    assert sorts == {"success", "no match", "HMAC failure", "header failure", "payload failure"}
    assert len(VECTORS) > 60
