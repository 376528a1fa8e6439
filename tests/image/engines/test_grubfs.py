"""What grub-fstest prints, taken apart; the texts are its own, of GRUB 2.06."""

import pytest

from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.image.engines import grubfs
from bakery.image.engines.base import CannotServe, FileMissing
from bakery.image.engines.grubfs import Place

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
    assert grubfs.identity("xfs", xfs) == b"655489"
    assert grubfs.identity("xfs", b"") is None
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
        Place(("disk.raw",)).cat(path)


def test_a_filesystem_is_known_where_it_is_named():
    assert grubfs.is_known(b"Device loop0: Filesystem type ext2 - Label `x'\n")
    assert not grubfs.is_known(b"Device loop0: No known filesystem detected\n")


def test_the_sizes_are_those_of_files():
    assert grubfs.sizes(LONG) == {"two  words": 3}
    assert grubfs.sizes(b"\n") == {}


def test_a_file_lies_in_as_many_pieces_as_the_limit_at_most(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grubfs, "EXTENT_LIMIT", 2)
    assert len(grubfs.extents(b"1+1,5+1\n")) == 2
    with pytest.raises(CannotServe, match="more than 2 pieces"):
        grubfs.extents(b"1+1,5+1,9+1\n")


def test_the_commands_name_the_image_and_the_file():
    place = Place(("disk.raw",))
    assert place.cat("/a b") == ["grub-fstest", "disk.raw", "cat", "(loop0)/a b"]
    assert place.trace("/a", "xfs")[1:3] == ["-d", "xfs"]
    short, long = place.listings("/a/")
    assert short == ["grub-fstest", "disk.raw", "ls", "--", "-a", "(loop0)/a/"]
    assert long == ["grub-fstest", "disk.raw", "ls", "--", "-la", "(loop0)/a/"]
    assert Place(("disk.raw",), "lvm/vg-root").identify()[-1] == "(lvm/vg-root)"


def test_a_range_at_the_edge_of_a_piece_lies_in_it_alone():
    place = (Extent(5000, 100), Extent(1000, 50))
    assert grubfs.on_disk([Extent(0, 100)], place) == [Extent(5000, 100)]
    assert grubfs.on_disk([Extent(100, 50)], place) == [Extent(1000, 50)]
    assert grubfs.on_disk([Extent(99, 2)], place) == [Extent(5099, 1), Extent(1000, 1)]
    assert grubfs.on_disk([], place) == []
    with pytest.raises(BakeryError, match="byte 151 lies beyond the volume's end, byte 150"):
        grubfs.on_disk([Extent(150, 1)], place)


@pytest.mark.parametrize("said", ["error: cannot open `(loop0)/x': out of range.", "out of range."])
def test_of_another_complaint_its_reason_is_told(said):
    error = grubfs.failure("/x", "/dev/sda1", said)
    assert type(error) is CannotServe
    assert error.message == "GRUB's reader cannot read /x in /dev/sda1: out of range."


def test_a_size_of_more_digits_than_a_file_can_have_is_no_size():
    with pytest.raises(BakeryError):
        grubfs.sizes(b"9" * 5000 + b" 20240101120000 a\n")


def test_a_piece_behind_the_end_of_its_file_is_told_by_the_complaint():
    assert Place(("/image",)).piece("/k", 5, 9) == [
        *("grub-fstest", "-s", "5", "-n", "9", "/image", "cat", "(loop0)/k"),
    ]
    for program in ("grub-fstest", "/usr/bin/grub-fstest"):
        assert grubfs.is_behind(f"{program}: error: invalid skip value 7.")
    assert not grubfs.is_behind("grub-fstest: error: cannot open `(loop0)/invalid skip value'")
