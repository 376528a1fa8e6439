import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.system import grub_image, pe
from bakery.system.grub_image import Embedded
from tests.system import programs
from tests.system.programs import read_at

EARLY = "search.fs_uuid 2f6e root\nset prefix=($root)/boot/grub\n"


def place(data: bytes) -> Extent:
    mods = pe.named(pe.read(read_at(data)).sections, "mods")
    assert mods is not None
    return Extent(mods.offset, mods.size_bytes)


def embedded(data: bytes) -> Embedded:
    return grub_image.read(read_at(data), place(data), 8)


def test_debians_own_program_has_a_prefix_and_a_configuration_in_a_memory_disk() -> None:
    found = embedded(programs.GRUB.read_bytes())
    assert found.prefix == "/EFI/debian"
    assert found.config == "normal (memdisk)/grub.cfg\n"
    assert found.memdisk is not None
    assert found.memdisk.length > 2_000_000
    assert found.modules > 50


def test_what_grub_mkimage_was_given_is_told(tmp_path: Path) -> None:
    made = programs.grub_program(tmp_path, prefix="(hd0,gpt2)/boot/grub", config=EARLY)
    assert embedded(made) == Embedded(
        prefix="(hd0,gpt2)/boot/grub", config=EARLY, memdisk=None, modules=0
    )
    with_modules = programs.grub_program(tmp_path, prefix="", modules=["fat", "normal"])
    found = embedded(with_modules)
    assert (found.prefix, found.config) == ("", None)
    assert found.modules > 5


def test_the_memory_disk_is_where_it_says(tmp_path: Path) -> None:
    tar = programs.tar(tmp_path, {"boot/grub/grub.cfg": b"menu\n"})
    made = programs.grub_program(tmp_path, memdisk=tar, modules=["memdisk", "tar"])
    found = embedded(made).memdisk
    assert found is not None
    assert made[found.offset : found.offset + found.length] == tar.read_bytes()


def area(*objects: tuple[int, bytes], width: int = 4) -> bytes:
    """Objects as a 32-bit GRUB has them, or one of 64 bits."""
    body = b""
    for kind, content in objects:
        body += struct.pack("<II", kind, len(content) + 8) + content
        body += bytes(-len(body) % width)
    head = 12 if width == 4 else 24
    info = (b"mimg", head, head + len(body))
    return struct.pack("<4sII" if width == 4 else "<4s4xQQ", *info) + body


@pytest.mark.parametrize("width", [4, 8])
def test_of_two_prefixes_the_last_counts_and_of_two_configurations_the_first(width: int) -> None:
    data = area((2, b"a\0bc"), (3, b"/x\0"), (2, b"d"), (3, b"/y\0"), (0, b"elf"), width=width)
    found = grub_image.read(read_at(data), Extent(0, len(data)), width)
    assert found == Embedded(prefix="/y", config="a", memdisk=None, modules=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"", "no header"),
        (lambda d: b"x" + d[1:], "no header"),
        (lambda d: d[:8] + struct.pack("<I", len(d) + 1) + d[12:], "does not add up"),
        (lambda d: d[:4] + struct.pack("<I", 8) + d[8:], "does not add up"),
        (lambda d: d[:16] + struct.pack("<I", 7) + d[20:], "7 bytes long"),
        (lambda d: d[:16] + struct.pack("<I", len(d)) + d[20:], "bytes long"),
        (lambda _: area((3, bytes(4097))), "4097 bytes long"),
        (lambda _: area(*[(0, b"")] * 2001), "over 2000 objects"),
    ],
)
def test_what_does_not_add_up_is_refused(change: Callable[[bytes], bytes], reason: str) -> None:
    data = change(area((3, b"/boot/grub\0")))
    with pytest.raises(BakeryError, match=reason):
        grub_image.read(read_at(data), Extent(0, len(data)), 4)


def test_a_program_that_ends_early_is_refused() -> None:
    data = area((3, b"/boot/grub\0"))
    with pytest.raises(BakeryError, match="cut short"):
        grub_image.read(read_at(data[:-4]), Extent(0, len(data)), 4)


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=9)), max_size=4), st.data())
def test_any_bytes_are_read_or_refused(
    objects: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    made = bytearray(area(*objects))
    for at in data.draw(st.lists(st.integers(0, len(made) - 1), max_size=3)):
        made[at] = data.draw(st.integers(0, 255))
    try:
        found = grub_image.read(read_at(bytes(made)), Extent(0, len(made)), 4)
    except BakeryError:
        return
    assert found.modules <= len(made) // 8
