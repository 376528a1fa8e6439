"""Trees of a btrfs that the kernel wrote, and of what somebody made of one."""

import contextlib
import functools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.volumes import btrfs
from bakery.disk.volumes.btrfs import LAST, Key, Root, Trees
from bakery.disk.volumes.btrfs_files import DIR_INDEX, Files
from bakery.host.errors import BakeryError
from tests.disk.volumes import btrfses

ALL = Key(0, 0, 0), Key(LAST, 255, LAST)
SYSTEM = btrfses.SUBVOLUMES[0].id
SUPERBLOCK = btrfs.SUPERBLOCK_OFFSET


def trees(data: bytes | None = None) -> Trees:
    return Trees(btrfses.reader(btrfses.load("system") if data is None else data))


def system(told: Trees) -> Root:
    root = told.tree(SYSTEM)
    assert root is not None
    return root


def patched(*changes: tuple[int, str, int]) -> bytes:
    """The filesystem with numbers written at places of its superblock."""
    data = bytearray(btrfses.load("system"))
    for at, form, value in changes:
        struct.pack_into(form, data, SUPERBLOCK + at, value)
    return bytes(data)


def block(told: Trees, root: Root) -> int:
    """Where the block of a tree lies on the device."""
    return told._physical(root.logical)


def test_a_tree_of_several_levels_is_read_in_order():
    told = trees()
    root = system(told)
    assert root.level >= 2
    keys = [key for key, _ in told.items(root, *ALL)]
    assert len(keys) > 2 * btrfses.MANY
    assert keys == sorted(set(keys))


def test_a_range_of_keys_is_what_lies_in_it():
    told = trees()
    root = system(told)
    every = [key for key, _ in told.items(root, *ALL)]
    for first, last in ((every[0], every[0]), (every[40], every[900]), (every[-3], ALL[1])):
        expected = [key for key in every if first <= key <= last]
        assert [key for key, _ in told.items(root, first, last)] == expected
    one = every[500]
    before, after = one._replace(offset=one.offset - 1), one._replace(offset=one.offset + 1)
    assert [key for key, _ in told.items(root, before, after) if key == one] == [one]


def test_an_item_is_there_or_not():
    told = trees()
    root = system(told)
    index = next(key for key, _ in told.items(root, *ALL) if key.type == DIR_INDEX)
    assert told.item(root, index)
    assert told.item(root, index._replace(type=DIR_INDEX + 1)) is None
    assert told.tree(999) is None


def test_what_is_no_btrfs_is_told():
    for data in (b"", bytes(1 << 20), patched((0x40, "<Q", 0))):
        with pytest.raises(BakeryError, match="no btrfs superblock"):
            trees(data)


def test_a_filesystem_on_two_devices_is_told_as_such():
    with pytest.raises(BakeryError, match="lies on 2 devices"):
        trees(btrfses.load("pair"))
    alone = bytearray(btrfses.load("pair"))
    struct.pack_into("<Q", alone, SUPERBLOCK + 0x88, 1)
    struct.pack_into("<Q", alone, SUPERBLOCK + 0xC9, 7)
    with pytest.raises(BakeryError, match="lies on another device"):
        trees(bytes(alone))


@pytest.mark.parametrize("size", [0, 2048, 5000, 1 << 20])
def test_blocks_of_an_impossible_size_are_damage(size: int):
    with pytest.raises(BakeryError, match="no possible size"):
        trees(patched((0x94, "<I", size)))


def test_a_striped_chunk_is_not_guessed_at():
    """The type of the first chunk, in the superblock's own array."""
    with pytest.raises(BakeryError, match="striped"):
        trees(patched((0x32B + 17 + 24, "<Q", 1 << 3)))


@pytest.mark.parametrize("length", [1, 60, 100])
def test_torn_chunks_are_damage(length: int):
    with pytest.raises(BakeryError, match="damaged"):
        trees(patched((0xA0, "<I", length)))


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [(0x30, "<Q", 5), (0x60, "<I", 1 << 20), (0x64, "<B", 0), (0x64, "<B", 9)],
    ids=["address", "count", "leaf", "level"],
)
def test_a_block_that_is_not_the_one_it_should_be_is_damage(at: int, form: str, value: int):
    told = trees()
    root = system(told)
    data = bytearray(btrfses.load("system"))
    struct.pack_into(form, data, block(told, root) + at, value)
    changed = trees(bytes(data))
    with pytest.raises(BakeryError, match="not the block of a tree"):
        list(changed.items(root, *ALL))


def test_keys_that_are_not_those_of_the_block_above_are_damage():
    """A pointer that leads to a neighbour would lead through that twice."""
    told = trees()
    root = system(told)
    data = bytearray(btrfses.load("system"))
    first = block(told, root) + btrfs.HEADER_BYTES + 17
    second = first + btrfs.POINTER_BYTES
    data[first : first + 8] = data[second : second + 8]
    changed = trees(bytes(data))
    with pytest.raises(BakeryError, match="other keys"):
        list(changed.items(root, *ALL))


def test_a_block_on_no_chunk_or_beyond_the_device_is_damage():
    with pytest.raises(BakeryError, match="no chunk maps"):
        list(trees().items(Root(LAST - btrfses.NODE_BYTES, 0), *ALL))
    with pytest.raises(BakeryError, match="damaged"):
        trees(btrfses.load("system")[: btrfs.SUPERBLOCK_OFFSET + btrfs.SUPERBLOCK_BYTES])


def test_what_one_range_may_hold_has_a_bound():
    told = trees()
    count = sum(1 for _ in told.items(system(told), *ALL))
    device = btrfses.reader(btrfses.load("system"))
    enough = Trees(device, item_limit=count)
    assert sum(1 for _ in enough.items(system(enough), *ALL)) == count
    few = Trees(device, item_limit=count - 1)
    with pytest.raises(BakeryError, match=f"more than {count - 1} items"):
        list(few.items(system(few), *ALL))


def test_no_more_blocks_are_kept_than_wanted():
    told = Trees(btrfses.reader(btrfses.load("system")), cached_nodes=2)
    assert sum(1 for _ in told.items(system(told), *ALL)) > btrfses.MANY
    assert len(told._nodes) <= 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bytes_turned_over_in_any_block_are_read_or_refused(data: st.DataObject):
    """Whatever the bytes, the reader ends, with an answer or with a BakeryError."""
    whole = btrfses.load("system")
    torn = {
        data.draw(st.sampled_from(used())) + data.draw(st.integers(0, 4095)): bytes([byte])
        for byte in data.draw(st.binary(min_size=1, max_size=8))
    }

    def read_at(offset: int, length: int) -> bytes:
        found = bytearray(whole[offset : offset + length])
        for at, byte in torn.items():
            if offset <= at < offset + length:
                found[at - offset : at - offset + 1] = byte
        return bytes(found)

    with contextlib.suppress(BakeryError):
        files = Files(read_at)
        for subvolume in files.subvolumes():
            top = files.top(subvolume.id)
            for name, node in files.directory(top.node):
                files.find(top, name)
                files.status(node)
                files.directory(node)


@functools.cache
def used() -> list[int]:
    """The superblock, and where the blocks of trees lie."""
    told = trees()
    found = {SUPERBLOCK}
    read = told._read

    def noted(root: Root) -> btrfs._Node:
        found.add(block(told, root))
        return read(root)

    told._read = noted  # type: ignore[method-assign]
    for number in (1, *(subvolume.id for subvolume in btrfses.SUBVOLUMES)):
        root = told.root if number == 1 else told.tree(number)
        assert root is not None
        assert list(told.items(root, *ALL))
    return sorted(found)
