"""The block map's text, number by number."""

import hashlib
import xml.etree.ElementTree as ET

import pytest

from bakery.disk.packed import bmap
from bakery.disk.packed.bmap import Range


def told(size: int, *ranges: Range) -> dict[str, str]:
    return {one.tag: (one.text or "").strip() for one in ET.fromstring(bmap.text(size, ranges))}


@pytest.mark.parametrize(("size", "blocks"), [(0, 0), (1, 1), (4096, 1), (4097, 2), (8192, 2)])
def test_a_block_that_is_cut_short_counts(size: int, blocks: int):
    found = told(size)
    assert (found["ImageSize"], found["BlocksCount"]) == (str(size), str(blocks))
    assert (found["BlockSize"], found["MappedBlocksCount"]) == ("4096", "0")


def test_ranges_are_told_by_their_first_and_last_block():
    text = bmap.text(1 << 20, [Range(0, 0, "a" * 64), Range(3, 9, "b" * 64)])
    assert told(1 << 20, Range(0, 0, "a"), Range(3, 9, "b"))["MappedBlocksCount"] == "8"
    lines = text.decode().splitlines()
    assert f'        <Range chksum="{"a" * 64}"> 0 </Range>' in lines
    assert f'        <Range chksum="{"b" * 64}"> 3-9 </Range>' in lines
    assert text.endswith(b"</bmap>\n")


def test_the_maps_own_checksum_stands_alone_in_its_place():
    """A range may have the digest that holds the place."""
    text = bmap.text(4096, [Range(0, 0, "0" * 64)])
    own = told(4096, Range(0, 0, "0" * 64))["BmapFileChecksum"]
    assert text.count(b"0" * 64) == 1
    assert hashlib.sha256(text.replace(own.encode(), b"0" * 64)).hexdigest() == own
