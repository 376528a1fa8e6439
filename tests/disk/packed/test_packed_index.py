"""The index of a packed image, as anybody may have written it: each bound from both sides."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bakery.disk.digest import CHUNK_BYTES, of_chunks
from bakery.disk.packed import packed_index
from bakery.disk.packed.packed_index import Index, PackedChunk
from bakery.host.errors import BakeryError

SHA = hashlib.sha256(b"x").hexdigest()
SIZE = 3 * CHUNK_BYTES + 5


def index(*chunks: PackedChunk, size: int = SIZE, packed: int = 100, **more: Any) -> Index:
    known = [(chunk.number, bytes.fromhex(SHA)) for chunk in chunks]
    digest = of_chunks(size, known)
    made = Index(size_bytes=size, digest=digest, packed_bytes=packed, chunks=chunks)
    return msgspec.structs.replace(made, **more)


def chunk(number: int, offset: int, length: int, frame: str = SHA) -> PackedChunk:
    return PackedChunk(number, offset, length, SHA, frame)


def read(made: Index) -> Index:
    return packed_index.decode(packed_index.encode(made), "it")


def refusal(made: Index) -> str:
    with pytest.raises(BakeryError, match="it is not an index of a packed image: ") as caught:
        read(made)
    return caught.value.message.partition("image: ")[2]


def test_frames_may_touch_and_fill_the_file():
    made = index(chunk(0, 0, 40), chunk(1, 40, 50), chunk(3, 90, 10))
    assert read(made) == made
    assert [made.content_bytes(one) for one in made.chunks] == [CHUNK_BYTES, CHUNK_BYTES, 5]
    assert refusal(msgspec.structs.replace(made, packed_bytes=99)) == (
        "frames lie behind the end of the file"
    )


def test_an_image_may_be_empty_and_as_large_as_the_limit():
    assert read(index(size=0)).size_bytes == 0
    assert "an image of -1 bytes" in refusal(index(size_bytes=-1))
    limit = packed_index.IMAGE_LIMIT_BYTES
    beyond = index(size_bytes=limit + 1)
    assert f"an image of {limit + 1} bytes" in refusal(beyond)
    assert "its chunks are not those" in refusal(index(size_bytes=limit))


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ((chunk(0, 0, 9), chunk(0, 9, 9)), "chunk 0 is out of place"),
        ((chunk(1, 0, 9), chunk(0, 9, 9)), "chunk 0 is out of place"),
        ((chunk(4, 0, 9),), "chunk 4 is out of place"),
        ((chunk(-1, 0, 9),), "chunk -1 is out of place"),
        ((chunk(0, 0, 9), chunk(1, 8, 9)), "the frame of chunk 1 is out of place"),
        ((chunk(0, -1, 9),), "the frame of chunk 0 is out of place"),
        ((chunk(0, 0, 9), chunk(1, 9, 0)), "the frame of chunk 1 is out of place"),
        ((chunk(0, 0, 9), chunk(1, 9, 9, SHA[:-1])), "the frame of chunk 1 has no digest"),
        ((chunk(0, 0, 9, SHA.upper()),), "the frame of chunk 0 has no digest"),
        ((chunk(0, 0, 9, SHA + "0"),), "the frame of chunk 0 has no digest"),
    ],
)
def test_a_chunk_that_cannot_be_is_named(chunks: tuple[PackedChunk, ...], words: str):
    assert refusal(msgspec.structs.replace(index(), chunks=chunks)) == words


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"version": 3}, "version 3"),
        ({"version": 1}, "version 1"),
        ({"chunk_bytes": CHUNK_BYTES * 2}, "chunks of 2097152 bytes"),
        ({"digest": "sha256-1m:" + SHA}, "its chunks are not those of its digest"),
    ],
)
def test_what_an_index_is_of_is_held_against_what_is_known(more: dict[str, Any], words: str):
    assert words in refusal(index(chunk(0, 0, 9), **more))


def test_an_index_is_as_large_as_the_limit_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, made = tmp_path / "index", index(chunk(0, 0, 9))
    content = packed_index.encode(made)
    path.write_bytes(content)
    monkeypatch.setattr(packed_index, "SIZE_LIMIT_BYTES", len(content))
    assert packed_index.read(path) == made
    monkeypatch.setattr(packed_index, "SIZE_LIMIT_BYTES", len(content) - 1)
    with pytest.raises(BakeryError, match="larger than"):
        packed_index.read(path)


def test_a_file_that_is_none_is_told_by_its_name(tmp_path: Path):
    with pytest.raises(BakeryError, match="none cannot be read: No such file"):
        packed_index.read(tmp_path / "none")
    for content in (b"", b"{}", b"[" * 100_000, b"\xff"):
        with pytest.raises(BakeryError, match="it is not an index"):
            packed_index.decode(content, "it")
