"""The compressed tar inside a recovery archive: one zstd frame, in bounded memory.

https://www.rfc-editor.org/rfc/rfc8878
"""

from collections.abc import Iterable, Iterator

import zstandard

from bakery.host.errors import BakeryError
from bakery.recovery.records import NOT_OURS

LEVEL = 3
WINDOW_LIMIT_BYTES = 8 << 20
"""The most of its past that a frame may refer to: what RFC 8878 asks of every reader."""

SLICE_BYTES = 512
"""What is unpacked at a time: four bytes can stand for 128 KiB, so this much for 16 MiB."""

FREE_BYTES = 4 << 30
LARGEST_RATIO = 1000
"""A tar may be of FREE_BYTES, and of this many bytes more for each byte of the archive."""


def compressor() -> "zstandard.ZstdCompressionObj":
    """Packs a tar whose size is not known yet, with a checksum."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()


def limit_bytes(archive_bytes: int) -> int:
    """The largest tar that an archive of this size may hold."""
    return FREE_BYTES + LARGEST_RATIO * archive_bytes


def unpacked(chunks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """The tar out of one frame that comes in `chunks`, in pieces of bounded size.

    Raises BakeryError for what is no frame, for more or less than one, and beyond `limit_bytes`.
    All of `chunks` is taken before the last piece is given.
    """
    frame = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT_BYTES).decompressobj()
    total = 0
    for chunk in chunks:
        for at in range(0, len(chunk), SLICE_BYTES):
            if frame.eof:
                raise BakeryError("something follows its compressed tar", NOT_OURS)
            piece = _decompressed(frame, chunk[at : at + SLICE_BYTES])
            total += len(piece)
            if total > limit_bytes:
                raise BakeryError(
                    f"it unpacks to more than {limit_bytes} bytes, too much for its size",
                    NOT_OURS,
                )
            if piece:
                yield piece
    if not frame.eof:
        raise BakeryError("its compressed tar is cut short", NOT_OURS)


def _decompressed(frame: "zstandard.ZstdDecompressionObj", content: bytes) -> bytes:
    try:
        piece = frame.decompress(content)
    except zstandard.ZstdError as error:
        raise BakeryError(f"its tar cannot be unpacked: {error}", NOT_OURS) from None
    if frame.unused_data:
        raise BakeryError("something follows its compressed tar", NOT_OURS)
    return piece
