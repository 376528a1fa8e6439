"""The header of a VDI: its kind, and how far its blocks reach."""

import struct

import pytest

from bakery.disk.formats import vdi
from bakery.disk.formats.detect import Ends


def header(kind: int = 1, data: int = 4096, block: int = 1000, extra: int = 24, used: int = 3):
    head = bytearray(512)
    struct.pack_into("<I", head, 76, kind)
    struct.pack_into("<I", head, 344, data)
    struct.pack_into("<II", head, 376, block, extra)
    struct.pack_into("<I", head, 388, used)
    return bytes(head)


def ids(head: bytes, size: int) -> list[str]:
    return [finding.id for finding in vdi.findings(Ends(head, b"", size))]


@pytest.mark.parametrize(
    ("kind", "found"), [(0, ["backing-file"]), (1, []), (2, []), (3, ["backing-file"])]
)
def test_only_a_vdi_that_stands_alone_is_taken(kind, found):
    assert ids(header(kind), 1 << 20) == found


def test_every_block_lies_in_the_file():
    end = 4096 + 3 * 1024
    assert ids(header(), end) == []
    assert ids(header(), end - 1) == ["truncated"]


def test_a_header_cut_short_is_none():
    assert ids(header()[:511], 1 << 20) == ["bad-header"]
