"""A packed image is the image again, by zstd's own program, by its index, and by its block map."""

import hashlib
import io
import os
import random
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from bakery.disk import digest, extents
from bakery.disk.copy.changes import Change
from bakery.disk.digest import CHUNK_BYTES
from bakery.disk.extents import Extent
from bakery.disk.packed import bmap, packed_index
from bakery.disk.packed.frames import unpack
from bakery.disk.packed.packing import Packer
from bakery.host.errors import BakeryError

SIZE = 150 * CHUNK_BYTES + 12345
PLACES = (0, 3 * CHUNK_BYTES - 4096, 70 * CHUNK_BYTES, 140 * CHUNK_BYTES, SIZE - 5000)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Data across chunk borders and at both ends, long holes between."""
    path = tmp_path / "image"
    source = random.Random(7)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for place in PLACES:
            file.seek(place)
            file.write(
                source.randbytes(min(9000, SIZE - place)) + b"word " * 40 * (place < SIZE - 9000)
            )
    return path


def packing(image: Path, steps=(SIZE,), edits=()) -> tuple[bytes, packed_index.Index, bytes]:
    target = io.BytesIO()
    with image.open("rb", buffering=0) as source:
        packer = Packer(source, image.stat().st_size, target, edits)
        for end in steps:
            packer.take(end)
        index, block_map = packer.finish()
        packer.close()
    return target.getvalue(), index, block_map


def unzstd(frames: bytes) -> bytes:
    return subprocess.run(["zstd", "-dc"], input=frames, capture_output=True, check=True).stdout


def test_zstd_alone_gives_the_image_again(image):
    frames, index, _ = packing(image)
    assert unzstd(frames) == image.read_bytes()
    assert index.packed_bytes == len(frames)
    assert len(frames) < 64 << 10, "holes cost next to nothing"


def test_each_chunk_is_where_the_index_says_and_has_its_digest(image):
    frames, index, _ = packing(image)
    content = image.read_bytes()
    with image.open("rb") as file:
        numbers = sorted(digest.by_chunk(extents.of_file(file.fileno())))
    assert [chunk.number for chunk in index.chunks] == numbers
    for chunk in index.chunks:
        data = unpack(frames[chunk.offset : chunk.offset + chunk.length])
        start = chunk.number * CHUNK_BYTES
        assert data == content[start : start + index.content_bytes(chunk)]
        assert chunk.sha256 == hashlib.sha256(data).hexdigest()
        frame = frames[chunk.offset : chunk.offset + chunk.length]
        assert chunk.frame_digest == hashlib.new("sha512_256", frame).hexdigest()


def test_the_indexs_digest_is_that_of_the_image(image):
    _, index, _ = packing(image)
    assert index.digest == digest.fingerprint(image).digest
    assert packed_index.decode(packed_index.encode(index), "it") == index


@pytest.mark.parametrize("seed", range(5))
def test_an_image_that_grows_packs_to_the_same_bytes(image, seed):
    cuts = sorted(random.Random(seed).sample(range(1, SIZE), 20))
    assert packing(image, (*cuts, SIZE)) == packing(image)


def test_what_was_not_taken_to_its_end_is_not_finished(image):
    with pytest.raises(BakeryError, match="bytes were packed"):
        packing(image, (SIZE - 1,))


@pytest.mark.parametrize("place", [5, CHUNK_BYTES - 2, 30 * CHUNK_BYTES + 7, SIZE - 4])
def test_edits_go_over_what_is_read_in_data_and_in_holes(image, place):
    edit = Change(Extent(place, 4), b"edit")
    before = packing(image, edits=[edit])
    with image.open("r+b") as file:
        file.seek(place)
        file.write(b"edit")
    assert unzstd(before[0]) == image.read_bytes()
    assert packing(image, edits=[edit])[1].digest == before[1].digest == packing(image)[1].digest


def test_the_seek_table_has_every_frame(image):
    frames, _, _ = packing(image)
    count = int.from_bytes(frames[-9:-5], "little")
    assert frames[-4:] == (0x8F92EAB1).to_bytes(4, "little")
    entries = frames[-9 - 8 * count : -9]
    sizes = [
        (
            int.from_bytes(entries[at : at + 4], "little"),
            int.from_bytes(entries[at + 4 : at + 8], "little"),
        )
        for at in range(0, len(entries), 8)
    ]
    assert sum(content for _, content in sizes) == SIZE
    assert sum(length for length, _ in sizes) == len(frames) - 9 - 8 * count - 8


def test_the_block_map_names_all_data_with_its_checksums(image):
    _, _, block_map = packing(image)
    content, tree = image.read_bytes(), ET.fromstring(block_map)
    covered: set[int] = set()
    for one in tree.iter("Range"):
        first, _, last = (one.text or "").strip().partition("-")
        blocks = range(int(first), int(last or first) + 1)
        covered.update(blocks)
        piece = content[blocks.start * bmap.BLOCK_BYTES : blocks.stop * bmap.BLOCK_BYTES]
        assert one.get("chksum") == hashlib.sha256(piece).hexdigest()
    for number in range(-(-SIZE // bmap.BLOCK_BYTES)):
        block = content[number * bmap.BLOCK_BYTES : (number + 1) * bmap.BLOCK_BYTES]
        assert number in covered or not any(block)
    assert int(tree.findtext("MappedBlocksCount", "")) == len(covered)
    own = tree.findtext("BmapFileChecksum", "").strip()
    assert hashlib.sha256(block_map.replace(own.encode(), b"0" * 64)).hexdigest() == own


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"chunk_bytes": 4096},
        {"size_bytes": -1},
        {"size_bytes": 1 << 60},
        {"size_bytes": CHUNK_BYTES},
        {"packed_bytes": 10},
        {"digest": "sha256-1m:" + "0" * 64},
        {"chunks": ()},
        {"chunks": (packed_index.PackedChunk(0, 0, 5, "zz", "00" * 32),)},
        {"chunks": (packed_index.PackedChunk(0, -1, 5, "00" * 32, "00" * 32),)},
        {"chunks": (packed_index.PackedChunk(0, 0, 0, "00" * 32, "00" * 32),)},
        {"chunks": (packed_index.PackedChunk(0, 0, 5, "00", "00" * 32),)},
        {"chunks": (packed_index.PackedChunk(0, 0, 5, "00" * 32, "zz" * 32),)},
    ],
    ids=str,
)
def test_an_index_that_does_not_add_up_is_refused(image, change):
    _, index, _ = packing(image)
    with pytest.raises(BakeryError, match="it is not an index"):
        packed_index.decode(packed_index.encode(msgspec.structs.replace(index, **change)), "it")


def test_a_frame_larger_than_a_chunk_is_refused_unread():
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(bytes(CHUNK_BYTES + 1))
    with pytest.raises(ValueError, match="allowed"):
        unpack(bomb)


def test_an_image_without_holes_is_digested_by_chunks_all_the_same(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(os.urandom(2 * CHUNK_BYTES + 1))
    _, index, _ = packing(image, (image.stat().st_size,))
    assert index.digest.startswith(digest.CHUNKED)
    assert len(index.chunks) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offset": 0}, "the frame of chunk"),
        ({"length": 0}, "the frame of chunk"),
        ({"number": 0}, ": chunk 0"),
        ({"frame_digest": "00"}, "no digest"),
    ],
)
def test_a_second_chunk_that_lies_about_itself_is_named(image, change, words):
    _, index, _ = packing(image)
    chunks = list(index.chunks)
    assert len(chunks) > 2
    chunks[1] = msgspec.structs.replace(chunks[1], **change)
    forged = msgspec.structs.replace(index, chunks=tuple(chunks))
    with pytest.raises(BakeryError, match=words):
        packed_index.decode(packed_index.encode(forged), "it")
