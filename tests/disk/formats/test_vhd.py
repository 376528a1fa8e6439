"""The footer of a VHD, at its end and in front of a dynamic one."""

import pytest

from bakery.disk.formats import vhd
from bakery.disk.formats.detect import Ends

MIB = 1 << 20


def footer(kind: int) -> bytes:
    return (b"conectix".ljust(60, b"\0") + kind.to_bytes(4, "big")).ljust(512, b"\0")


def ids(head: bytes, tail: bytes) -> list[str]:
    return [finding.id for finding in vhd.findings(Ends(head, tail, MIB))]


@pytest.mark.parametrize(
    ("kind", "found"),
    [(2, []), (3, ["bad-header"]), (4, ["backing-file"]), (1, ["bad-header"]), (5, ["bad-header"])],
)
def test_with_the_footer_behind_it_a_vhd_is_a_fixed_one(kind, found):
    assert ids(bytes(512), footer(kind)) == found


@pytest.mark.parametrize(
    ("kind", "found"), [(2, ["bad-header"]), (3, []), (4, ["backing-file"]), (0, ["bad-header"])]
)
def test_with_a_copy_in_front_it_is_a_dynamic_one(kind, found):
    assert ids(footer(kind) + bytes(512), footer(kind)) == found


def test_a_dynamic_one_whose_end_is_not_its_footer_is_cut_short():
    assert ids(footer(3) + bytes(512), bytes(512)) == ["truncated"]
    assert ids(footer(3) + bytes(512), footer(2)) == ["truncated"]


def test_a_footer_cut_short_is_none():
    assert ids(bytes(512), footer(2)[:511]) == ["bad-header"]
    assert ids(footer(3)[:511], footer(3)) == ["bad-header"]
