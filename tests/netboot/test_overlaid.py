import io
import os
import random

import pytest

from bakery.host.errors import BakeryError
from bakery.host.plain_file import seal
from bakery.netboot.overlaid import Overlaid, OverlaidFile, Span
from bakery.netboot.tree import Tree

BASE = bytes(range(256)) * 40


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base").write_bytes(BASE)
    return seal(tmp_path / "base")


def whole(patches):
    content = bytearray(BASE)
    for offset, patch in patches:
        content[offset : offset + len(patch)] = patch
    return bytes(content)


PATCHES = [
    (),
    ((0, b"first"),),
    ((len(BASE) - 4, b"last"),),
    ((10, b"one"), (13, b"two"), (100, b"x" * 5000)),
]


@pytest.mark.parametrize("patches", PATCHES)
def test_any_part_is_that_of_the_file_with_the_patches_in_it(base, patches):
    overlaid, wanted = Overlaid(base, len(BASE), patches), whole(patches)
    draw = random.Random(0)
    for _ in range(500):
        start = draw.randrange(len(BASE))
        length = draw.randrange(len(BASE) - start + 1)
        got = b"".join(
            part if isinstance(part, bytes) else BASE[part.offset : part.offset + part.length]
            for part in overlaid.pieces(start, length)
        )
        assert got == wanted[start : start + length]


def test_what_is_not_patched_is_one_span(base):
    overlaid = Overlaid(base, len(BASE), ((100, b"abc"),))
    assert list(overlaid.pieces(0, len(BASE))) == [
        Span(0, 100),
        b"abc",
        Span(103, len(BASE) - 103),
    ]
    assert list(overlaid.pieces(200, 50)) == [Span(200, 50)]
    assert list(overlaid.pieces(101, 1)) == [b"b"]
    assert list(overlaid.pieces(7, 0)) == []


@pytest.mark.parametrize("patches", PATCHES)
def test_it_is_read_and_sought_as_a_file(base, patches):
    with OverlaidFile(Overlaid(base, len(BASE), patches), base.open()) as raw:
        assert raw.read() == whole(patches)
        assert raw.seek(-6, os.SEEK_END) == len(BASE) - 6
        assert raw.read(100) == whole(patches)[-6:]
        assert raw.read(1) == b""
        raw.seek(12)
        assert io.BufferedReader(raw).read(300) == whole(patches)[12:312]


def test_it_has_no_descriptor_that_would_read_past_the_patches(base):
    with (
        OverlaidFile(Overlaid(base, len(BASE), ((0, b"x"),)), base.open()) as raw,
        pytest.raises(OSError),
    ):
        raw.fileno()


@pytest.mark.parametrize(
    "patches", [((len(BASE) - 1, b"ab"),), ((-1, b"a"),), ((5, b"ab"), (6, b"c"))]
)
def test_patches_lie_in_the_file_and_beside_each_other(base, patches):
    with pytest.raises(BakeryError, match="does not fit into it"):
        Overlaid(base, len(BASE), patches)


def test_a_file_that_shrinks_is_told(base):
    with OverlaidFile(Overlaid(base, len(BASE), ()), base.open()) as raw:
        os.truncate(base.path, 100)
        with pytest.raises(OSError, match="shrank"):
            raw.read()


def test_the_tree_serves_it_and_its_tag_names_the_patches(base):
    tree, tags = Tree(), set()
    for patch in (b"one", b"two"):
        tree.put("medium", Overlaid(base, len(BASE), ((3, patch),)))
        opened = tree.open("medium")
        assert opened is not None
        with opened.file as file:
            assert file.read() == whole(((3, patch),))
        assert opened.size_bytes == len(BASE)
        tags.add(opened.tag)
    assert len(tags) == 2


def test_a_base_that_was_exchanged_is_not_served(base, tmp_path):
    tree = Tree()
    tree.put("medium", Overlaid(base, len(BASE), ()))
    (tmp_path / "other").write_bytes(BASE)
    (tmp_path / "other").replace(base.path)
    with pytest.raises(OSError, match="has changed since it was checked"):
        tree.open("medium")
