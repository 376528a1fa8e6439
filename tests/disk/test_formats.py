import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk import formats
from bakery.disk.formats import Ends
from bakery.errors import BakeryError


def ends(head: bytes, tail: bytes = b"") -> Ends:
    return Ends(head, tail, len(head))


def test_content_counts_not_the_name(tmp_path):
    path = tmp_path / "x.vmdk"
    path.write_bytes(b"QFI\xfb" + bytes(600))
    with formats.open_regular(path) as file:
        assert formats.sniff(formats.read_ends(file)) == "qcow2"


def test_a_footer_makes_a_raw_disk_a_fixed_vhd():
    assert formats.sniff(ends(bytes(600))) == "raw"
    assert formats.sniff(ends(bytes(600), b"conectix" + bytes(504))) == "vpc"


def test_every_mark_is_told_where_there_are_several():
    head = bytearray(b"QFI\xfb" + bytes(0x9000))
    head[0x8001:0x8006] = b"CD001"
    assert formats.image_kinds(ends(bytes(head), b"koly")) == ["qcow2", "iso", "dmg"]


def test_the_tail_of_a_short_file_overlaps_its_head(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    with formats.open_regular(path) as file:
        assert formats.read_ends(file) == Ends(b"abc", b"abc", 3)


@pytest.mark.parametrize(
    ("at", "magic"), [(510, b"\x55\xaa"), (1080, b"\x53\xef"), (0, b"XFSB"), (512, b"LABELONE")]
)
def test_disks_are_told_by_their_marks(at, magic):
    head = bytearray(2048)
    assert not formats.looks_like_a_disk(bytes(head))
    head[at : at + len(magic)] = magic
    assert formats.looks_like_a_disk(bytes(head))


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BakeryError, match="is a pipe, not an image"):
        formats.open_regular(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/", "is a folder"), ("/dev/null", "is a device"), ("/nowhere/x", "No such file"),
     ("nbd:localhost:10809", "No such file"), ("a\0b", "cannot be a file's name")],
)  # fmt: skip
def test_what_is_no_regular_file_is_refused_with_its_kind(path, reason):
    with pytest.raises(BakeryError, match=reason):
        formats.open_regular(Path(path))


@pytest.mark.parametrize(
    ("name", "claim"),
    [("a.qcow2", "qcow2"), ("a.VHD", "vpc"), ("a.raw", "raw"), ("a.img", None), ("a", None)],
)
def test_only_suffixes_that_mean_one_format_claim_it(name, claim):
    assert formats.claimed(name) == claim


@given(st.binary(max_size=2048), st.binary(max_size=512))
def test_any_bytes_have_a_kind(head, tail):
    kind = formats.sniff(ends(head, tail))
    assert kind == "raw" or kind in (*formats.PACKED_MARKS, *formats.image_kinds(ends(head, tail)))
