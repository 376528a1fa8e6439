"""A raw image as an ordinary zstd file that can be read from anywhere: a frame for each chunk.

    zstd -d NAME-base.zst      gives the raw image again, as a whole

Each chunk of 1 MiB that holds data is a frame of its own; the chunks of zeros between them are
frames of zeros, as few as can be, which cost 32 bytes a MiB. The last frame is a skippable one with
the sizes of all others, so that other readers can seek as well. Sources: RFC 8878 (frames), and
zstd_seekable_compression_format.md of zstd's contrib/seekable_format (the seek table).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import zstandard

from bakery.disk.digest import CHUNK_BYTES

LEVEL = 3
ZERO_FRAME_CHUNKS = 64
"""The most chunks of zeros in one frame; a frame may have 1 GiB by the seekable format."""
SKIPPABLE = 0x184D2A5E
SEEKABLE_MAGIC = 0x8F92EAB1


class Frame(NamedTuple):
    """Where a frame lies in the zstd file: bytes packed, and bytes of the image it stands for."""

    offset: int
    length: int
    content_bytes: int


class Destination(Protocol):
    """Where frames go."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


class FrameWriter:
    """Writes frames one behind the other, in the order of the image."""

    def __init__(self, file: Destination) -> None:
        self._file = file
        self._frames: list[Frame] = []
        self._end = 0
        self._zeros: dict[int, bytes] = {}

    def data(self, packed: bytes, content_bytes: int) -> Frame:
        """Append a frame that was compressed by `pack`."""
        self._file.write(packed)
        frame = Frame(self._end, len(packed), content_bytes)
        self._frames.append(frame)
        self._end += len(packed)
        return frame

    def zeros(self, count: int) -> None:
        """Append frames for so many bytes of zeros."""
        for length in _zero_lengths(count):
            if length not in self._zeros:
                self._zeros[length] = pack(bytes(length))
            self.data(self._zeros[length], length)

    def finish(self) -> int:
        """Append the seek table; the bytes of the whole file."""
        entries = b"".join(
            struct.pack("<II", frame.length, frame.content_bytes) for frame in self._frames
        )
        footer = struct.pack("<IBI", len(self._frames), 0, SEEKABLE_MAGIC)
        head = struct.pack("<II", SKIPPABLE, len(entries) + len(footer))
        self._file.write(head + entries + footer)
        return self._end + len(head) + len(entries) + len(footer)


def pack(content: bytes | bytearray | memoryview) -> bytes:
    """One frame, with the size of its content and a checksum; threads may call this."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(content)


def unpack(packed: bytes, limit_bytes: int = CHUNK_BYTES) -> bytes:
    """The content of one frame; ValueError where it is none, or larger than `limit_bytes`."""
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= limit_bytes:
            raise ValueError(f"a frame has {size} bytes; at most {limit_bytes} are allowed")
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=limit_bytes)
    except zstandard.ZstdError as error:
        raise ValueError(f"a frame is damaged: {error}") from error


def _zero_lengths(count: int) -> Iterator[int]:
    """Frames of a few lengths alone, so that each is compressed once."""
    whole, rest = divmod(count, CHUNK_BYTES)
    size = ZERO_FRAME_CHUNKS
    while size:
        yield from [size * CHUNK_BYTES] * (whole // size)
        whole %= size
        size //= 2
    if rest:
        yield rest
