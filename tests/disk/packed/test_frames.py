"""Frames one behind the other, and the table that finds them again."""

import io
import struct
import subprocess

import pytest

from bakery.disk.digest import CHUNK_BYTES
from bakery.disk.packed import frames
from bakery.disk.packed.frames import Frame, FrameWriter, pack, unpack


def unzstd(packed: bytes) -> bytes:
    return subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout


def test_frames_lie_one_behind_the_other_and_the_table_has_them_all():
    file = io.BytesIO()
    writer = FrameWriter(file)
    one, two = pack(b"a" * 10), pack(b"b" * 3000)
    assert writer.data(one, 10) == Frame(0, len(one), 10)
    assert writer.data(two, 3000) == Frame(len(one), len(two), 3000)
    writer.zeros(5)
    size = writer.finish()
    whole = file.getvalue()
    assert size == len(whole)
    zeros = len(pack(bytes(5)))
    table = struct.pack("<II", 0x184D2A5E, 3 * 8 + 9)
    table += struct.pack("<6I", len(one), 10, len(two), 3000, zeros, 5)
    table += struct.pack("<IBI", 3, 0, 0x8F92EAB1)
    assert whole.endswith(table)
    assert unzstd(whole) == b"a" * 10 + b"b" * 3000 + bytes(5)


@pytest.mark.parametrize(
    ("chunks", "rest", "lengths"),
    [
        (0, 0, []),
        (0, 7, [0]),
        (1, 0, [1]),
        (64, 0, [64]),
        (65, 9, [64, 1, 0]),
        (131, 0, [64, 64, 2, 1]),
        (63, 1, [32, 16, 8, 4, 2, 1, 0]),
    ],
)
def test_zeros_are_few_frames_of_few_lengths(chunks: int, rest: int, lengths: list[int]):
    count = chunks * CHUNK_BYTES + rest
    found = list(frames._zero_lengths(count))
    assert sum(found) == count
    assert found == [length * CHUNK_BYTES or rest for length in lengths]


def test_a_frame_of_zeros_is_compressed_once(monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []

    def counted(content: bytes) -> bytes:
        made.append(len(content))
        return pack(content)

    monkeypatch.setattr(frames, "pack", counted)
    writer = FrameWriter(io.BytesIO())
    for _ in range(3):
        writer.zeros(CHUNK_BYTES + 5)
    assert made == [CHUNK_BYTES, 5]


def test_a_frame_is_unpacked_up_to_the_limit():
    packed = pack(b"x" * 100)
    assert unpack(packed) == unpack(packed, 100) == b"x" * 100
    assert unpack(pack(b"")) == b""
    with pytest.raises(ValueError, match="has 100 bytes; at most 99"):
        unpack(packed, 99)


def test_a_frame_that_is_damaged_or_none_is_told():
    packed = pack(bytes(range(256)) * 9)
    for torn in (packed[:-1], packed[:-1] + b"?", b"no frame", b""):
        with pytest.raises(ValueError, match="a frame"):
            unpack(torn)
    import zstandard

    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"x")
    with pytest.raises(ValueError, match="a frame has -1 bytes"):
        unpack(unsized)


def test_a_frame_tells_its_size_and_has_a_checksum():
    import zstandard

    told = zstandard.get_frame_parameters(pack(b"x" * 300))
    assert (told.content_size, told.has_checksum) == (300, True)
