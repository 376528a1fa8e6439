"""What grub-fstest prints, taken apart; the texts are its own, of GRUB 2.06."""

import pytest

from bakery.disk.extents import Extent
from bakery.engines import grubfs
from bakery.engines.base import CannotServe, FileMissing
from bakery.engines.grubfs import Place
from bakery.errors import BakeryError

SHORT = b"./ ../ lost+found/ with space/ loader two  words broken fifo \n"
LONG = b"""DIR          20261121074809 ./
DIR          20261121074809 ../
DIR          20261121074809 lost+found/
DIR          20261121074809 with space/
3            20261121074809 two  words

"""


def test_names_with_spaces_are_kept_whole_and_links_are_left_open():
    assert grubfs.names(SHORT, LONG) == [
        ("lost+found", True),
        ("with space", True),
        ("loader", None),
        ("two  words", False),
        ("broken", None),
        ("fifo", None),
    ]


def test_an_empty_directory_is_a_directory_and_nothing_is_none():
    assert grubfs.is_directory(b"\n")
    assert not grubfs.is_directory(b"")
    assert grubfs.names(b"\n", b"\n") == []


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (b"./ ../ a \n", LONG),
        (b"a\nb \n", b"1            20261121074809 a\nb\n\n"),
        (b"\xff \n", b"1            20261121074809 \xff\n\n"),
    ],
    ids=["listings-differ", "line-break", "no-text"],
)
def test_listings_that_cannot_be_told_apart_are_refused(short, long):
    with pytest.raises(BakeryError):
        grubfs.names(short, long)


def test_a_blocklist_is_byte_ranges_in_the_order_of_the_file():
    assert grubfs.extents(b"17410[0-3]\n") == [Extent(17410 * 512, 3)]
    assert grubfs.extents(b"20482+28672,53250+2,53252[0-100]\n") == [
        Extent(20482 * 512, 28672 * 512),
        Extent(53250 * 512, 2 * 512 + 100),
    ]
    assert grubfs.extents(b"900+8,100+8\n") == [Extent(900 * 512, 4096), Extent(100 * 512, 4096)]
    assert grubfs.extents(b"\n") == []


@pytest.mark.parametrize("printed", [b"x\n", b"1+\n", b"5[3]\n", b"(hd0)1+1\n", b"1+1,\n"])
def test_a_blocklist_of_another_form_is_not_guessed_at(printed):
    with pytest.raises(CannotServe):
        grubfs.extents(printed)


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ("cannot open `(loop0)/x': file `/x' not found.", FileMissing),
        ("cannot open `(loop0)/x': file `/" + "x" * 200, FileMissing),
        ("cannot open `(loop0)/x': not a directory.", FileMissing),
        ("cannot open `(loop0)/x': too deep nesting of symlinks.", FileMissing),
        ("cannot open `(loop0)/x': unknown filesystem.", CannotServe),
        ("cannot open `(loop0)/x': not a regular file.", BakeryError),
        ("read error: compression type 0x7 not supported.", CannotServe),
    ],
)
def test_a_complaint_is_told_for_what_it_means(complaint, kind):
    error = grubfs.failure("/x", "/dev/sda1", f"grub-fstest: error: {complaint}")
    assert type(error) is kind
    assert "/dev/sda1" in error.message


def test_the_last_inode_read_is_the_file():
    xfs = b"""grub-core/fs/xfs.c:535: Reading inode (128) - 128, 0
grub-core/fs/xfs.c:535: Reading inode (655489) - 442496, 512
442448[0-72]
"""
    btrfs = b"""grub-core/fs/btrfs.c:433: retrieving 5 84 0
grub-core/fs/btrfs.c:433: retrieving 124 1 0
grub-core/fs/btrfs.c:433: retrieving 100 84 0
grub-core/fs/btrfs.c:433: retrieving 108 1 0
grub-core/fs/btrfs.c:433: retrieving 108 6c 0
"""
    assert grubfs.identity("xfs", xfs) == b"655489"
    assert grubfs.identity("btrfs", btrfs) == b"100 108"
    assert grubfs.identity("xfs", b"") is None
    assert grubfs.identity("btrfs", xfs) is None
    assert grubfs.identity("vfat", xfs) is None


def test_a_range_of_a_volume_is_found_in_the_pieces_of_the_disk():
    place = (Extent(5000, 100), Extent(1000, 50))
    assert grubfs.on_disk([Extent(90, 20), Extent(0, 5)], place) == [
        Extent(5090, 10),
        Extent(1000, 10),
        Extent(5000, 5),
    ]
    with pytest.raises(BakeryError, match="beyond the volume's end"):
        grubfs.on_disk([Extent(140, 20)], place)


@pytest.mark.parametrize("path", ["", "etc/fstab", "/a\nb", "/a\0b", "/\x1b[2J", "/\x7f"])
def test_what_is_no_path_is_not_asked_about(path):
    with pytest.raises(BakeryError):
        Place("disk.raw").cat(path)
