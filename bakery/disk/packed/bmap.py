"""A block map: which blocks of an image hold data, with a checksum for each range.

Format: bmaptool, "bmap file format version 2.0" (XML), as `bmaptool copy --bmap` reads it: blocks
of 4096 bytes, ranges of block numbers, sha256 of each range, and of the file itself with 64 zeros
in that place. An image's last block may be cut short.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

BLOCK_BYTES = 4096
NO_CHECKSUM = "0" * 64


class Range(NamedTuple):
    """Blocks `first` to `last`, both included, and the sha256 of their bytes in hexadecimal."""

    first: int
    last: int
    sha256: str


def text(size_bytes: int, ranges: Iterable[Range]) -> bytes:
    """The block map of an image of `size_bytes`."""
    known = list(ranges)
    mapped = sum(one.last - one.first + 1 for one in known)
    lines = [
        '<?xml version="1.0" ?>',
        '<bmap version="2.0">',
        f"    <ImageSize> {size_bytes} </ImageSize>",
        f"    <BlockSize> {BLOCK_BYTES} </BlockSize>",
        f"    <BlocksCount> {-(-size_bytes // BLOCK_BYTES)} </BlocksCount>",
        f"    <MappedBlocksCount> {mapped} </MappedBlocksCount>",
        "    <ChecksumType> sha256 </ChecksumType>",
        f"    <BmapFileChecksum> {NO_CHECKSUM} </BmapFileChecksum>",
        "    <BlockMap>",
        *map(_line, known),
        "    </BlockMap>",
        "</bmap>",
        "",
    ]
    draft = "\n".join(lines).encode()
    return draft.replace(NO_CHECKSUM.encode(), hashlib.sha256(draft).hexdigest().encode(), 1)


def _line(one: Range) -> str:
    blocks = f"{one.first}-{one.last}" if one.last > one.first else f"{one.first}"
    return f'        <Range chksum="{one.sha256}"> {blocks} </Range>'
