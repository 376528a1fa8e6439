"""An index as bakery writes it, and everything in one that does not add up."""

import hashlib
import json
import random

import pytest

from bakery.disk.packed import packed_index
from bakery.node.agent import image
from bakery.node.agent.errors import AgentError
from bakery.node.agent.layout import CHUNK
from tests.node.agent.served import base, packing

SIZE = 4 * CHUNK + 5000


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The index of an image with data in its chunks 1, 2 and 4, the last of which is short."""
    path = base(tmp_path_factory.mktemp("image") / "base", SIZE, (CHUNK, 2 * CHUNK, SIZE - 100))
    index, _ = packing(path)
    return json.loads(packed_index.encode(index))


def changed(told, **fields):
    return json.dumps(told | fields).encode()


def with_chunk(told, number, at, value):
    chunks = [list(chunk) for chunk in told["chunks"]]
    chunks[number][at] = value
    return changed(told, chunks=chunks)


def test_an_index_is_read(told):
    index = image.parse(json.dumps(told).encode())
    assert (index.size, index.digest) == (SIZE, told["digest"])
    assert [chunk.number for chunk in index.chunks] == [1, 2, 4]
    assert [chunk.offset for chunk in index.chunks] == [words[1] for words in told["chunks"]]
    assert index.chunks[0].sha256.hex() == told["chunks"][0][3]
    assert index.chunks[0].frame_digest.hex() == told["chunks"][0][4]


def test_the_last_chunk_is_as_long_as_the_image_is():
    index = image.Index(SIZE, "", ())
    assert [index.length(number) for number in range(5)] == [CHUNK] * 4 + [5000]


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 20_000 * CHUNK, 40_000 * CHUNK + 7])
def test_an_image_without_data_has_a_digest_as_well(size):
    digest = image.CHUNKED + digest_of_zeros(size)
    told = {"version": 2, "chunk_bytes": CHUNK, "size_bytes": size, "packed_bytes": 0}
    assert image.from_json(told | {"digest": digest, "chunks": []}).size == size
    with pytest.raises(ValueError, match="do not match its digest"):
        image.from_json(told | {"digest": digest, "chunks": [], "size_bytes": size + CHUNK})


def digest_of_zeros(size):
    total, full = hashlib.sha256(), hashlib.sha256(bytes(CHUNK)).digest()
    for _ in range(size // CHUNK):
        total.update(full)
    if size % CHUNK:
        total.update(hashlib.sha256(bytes(size % CHUNK)).digest())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is invalid"),
        (b"[" * 100_000, "is invalid"),
        (b"[]", "not an index"),
        (b"{}", "not an index"),
        (b'{"chunks": {}}', "not an index"),
    ],
)
def test_what_is_no_index_is_refused(content, words):
    with pytest.raises(AgentError, match=f"the image's index is invalid: .*{words[:5]}|{words}"):
        image.parse(content)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"version": 1}, "unsupported version"),
        ({"version": 3}, "unsupported version"),
        ({"chunk_bytes": CHUNK * 2}, "unsupported version"),
        ({"size_bytes": -1}, "a number out of range"),
        ({"size_bytes": (16 << 40) + 1}, "a number out of range"),
        ({"size_bytes": True}, "a number out of range"),
        ({"size_bytes": 4.0 * CHUNK}, "a number out of range"),
        ({"packed_bytes": "1"}, "a number out of range"),
        ({"size_bytes": 4 * CHUNK}, "chunk 4 cannot be there"),
        ({"size_bytes": SIZE + CHUNK}, "do not match its digest"),
        ({"digest": "sha256-1m:" + "0" * 64}, "do not match its digest"),
        ({"chunks": []}, "do not match its digest"),
        ({"chunks": [[0, 0, 1]]}, "a malformed chunk"),
        ({"chunks": ["01234"]}, "a malformed chunk"),
    ],
)
def test_an_index_that_does_not_add_up_is_refused(told, fields, words):
    with pytest.raises(AgentError, match=words):
        image.parse(changed(told, **fields))


@pytest.mark.parametrize(
    ("number", "at", "value", "words"),
    [
        (1, 0, 1, "chunk 1 cannot be there"),
        (1, 0, -1, "a number out of range"),
        (0, 1, -1, "a number out of range"),
        (1, 1, 5, "the frame of chunk 2 cannot be there"),
        (1, 2, 0, "the frame of chunk 2 cannot be there"),
        (2, 2, 1 << 30, "the frame of chunk 4 cannot be there"),
        (0, 3, "0" * 63, "chunk 1 has no digest"),
        (0, 3, "A" * 64, "chunk 1 has no digest"),
        (0, 4, 7, "chunk 1 has no digest"),
        (0, 3, "0" * 64, "do not match its digest"),
    ],
)
def test_a_chunk_that_cannot_be_is_named(told, number, at, value, words):
    with pytest.raises(AgentError, match=words):
        image.parse(with_chunk(told, number, at, value))


def test_frames_may_lie_apart_and_end_with_the_file(told):
    *_, last = told["chunks"]
    end = last[1] + last[2]
    assert image.parse(changed(told, packed_bytes=end)).size == SIZE
    with pytest.raises(AgentError, match="the frame of chunk 4 cannot be there"):
        image.parse(changed(told, packed_bytes=end - 1))
    moved = with_chunk(told, 2, 1, last[1] + 100)
    far = json.loads(moved) | {"packed_bytes": end + 100}
    assert image.from_json(far).chunks[2].offset == last[1] + 100


def test_any_other_digit_of_a_digest_is_noticed(told):
    chance = random.Random(5)
    for _ in range(20):
        number, at = chance.randrange(3), chance.randrange(64)
        text = told["chunks"][number][3]
        other = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
        with pytest.raises(AgentError, match="do not match its digest"):
            image.parse(with_chunk(told, number, 3, other))
