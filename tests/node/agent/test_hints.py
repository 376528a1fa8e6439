"""Root device hints, held against oslo.utils' specs_matcher, which Ironic itself asks."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_utils import specs_matcher

from bakery.node.agent.disks import Disk
from bakery.node.agent.errors import AgentError
from bakery.node.agent.hints import GIB, matches, parse, unquote

DISK = Disk(
    "sdb",
    10 * GIB + 512,
    rotational=True,
    model="Big Disk",
    vendor="ATA",
    serial="WD-1234",
    wwn="0x5000c5001234abcd",
    hctl="2:0:0:0",
    by_path="/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
)


def fits(argument: str, disk: Disk = DISK) -> bool:
    return all(matches(disk, hint) for hint in parse(argument))


@pytest.mark.parametrize(
    "argument",
    [
        "size=10",
        "size=== 10",
        "size=>= 10",
        "size=>=10",
        "size=%3E%3D%205",
        "size=<= 10",
        "size=< 11",
        "size=> 9",
        "size=!= 11",
        "size== 9",
        "size=<or> 5 <or> 10",
        "model=big disk",
        "model=Big%20Disk",
        "model=s== Big Disk",
        "model=<in> disk",
        "model=%3Cin%3E%20disk",
        "model=s!= small",
        "vendor=<or> intel <or> ata",
        "serial=s>= wd-1",
        "serial=s<= wd-2",
        "serial=s> wd-1",
        "serial=s< wd-2",
        "wwn=0x5000C5001234ABCD",
        "wwn_with_extension=0x5000c5001234abcd",
        "name=/dev/sdb",
        "name=s== /dev/sdb",
        "rotational=true",
        "rotational=1",
        "hctl=2:0:0:0",
        "by_path=/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
        "size=>= 5,vendor=ata,rotational=True",
    ],
)
def test_a_disk_that_is_as_hinted_fits(argument):
    assert fits(argument)


@pytest.mark.parametrize(
    "argument",
    [
        "size=9",
        "size=>= 11",
        "size=<or> 5 <or> 6",
        "size=!= 10",
        "model=big",
        "model=<in> tape",
        "vendor=<or> intel <or> seagate",
        "vendor=s!= ata",
        "rotational=false",
        "name=/dev/sda",
        "size=>= 5,vendor=intel",
    ],
)
def test_a_disk_that_is_not_as_hinted_does_not_fit(argument):
    assert not fits(argument)


def test_what_a_disk_does_not_tell_matches_nothing():
    nameless = Disk("vda", GIB, rotational=False)
    assert not fits("serial=s!= WD-1", nameless)
    assert not fits("model=<in> a", nameless)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("color=red", "'color' is not known"),
        ("size", "'size' has no value"),
        ("size=big", "'size' cannot be read: big"),
        ("size=>=", "'size' cannot be read"),
        ("size=<in> 10", "'size' cannot be read"),
        ("size=1e3", "'size' cannot be read"),
        ("serial=>= 10", "'serial' cannot be read"),
        ("rotational=maybe", "'rotational' cannot be read"),
        ("rotational=<or> 1 <or> 0", "'rotational' cannot be read"),
    ],
)
def test_a_hint_without_meaning_is_refused_by_name(argument, words):
    with pytest.raises(AgentError, match=words):
        parse(argument)


WORDS = st.text("abcdxyz0129", min_size=1, max_size=4)


@given(
    st.sampled_from(["==", "!=", ">=", "<=", ">", "<", "="]), st.integers(1, 9), st.integers(1, 9)
)
def test_numbers_compare_as_in_ironic(sign, size, wanted):
    disk = Disk("sda", size * GIB, rotational=False)
    spec = f"{sign} {wanted}"
    assert fits(f"size={spec}", disk) == specs_matcher.match(str(size), spec)


def test_a_size_that_no_disk_has_is_compared_as_well():
    """A cloud may tell any."""
    disk = Disk("sda", 10**400, rotational=False)
    assert [matches(disk, *parse(f"size={sign} 100")) for sign in (">=", "<")] == [True, False]


@given(st.sampled_from(["s==", "s!=", "s>=", "s<=", "s>", "s<", "<in>"]), WORDS, WORDS)
def test_texts_compare_as_in_ironic(sign, serial, wanted):
    disk = Disk("sda", GIB, rotational=False, serial=serial)
    spec = f"{sign} {wanted}"
    assert fits(f"serial={spec}", disk) == specs_matcher.match(serial, spec)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_alternatives_are_taken_as_in_ironic(serial, wanted):
    disk = Disk("sda", GIB, rotational=False, serial=serial)
    spec = " ".join(f"<or> {word}" for word in wanted)
    assert fits(f"serial={spec}", disk) == specs_matcher.match(serial, spec)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a%20b", "a b"), ("100%", "100%"), ("%3e%3D", ">="), ("%zz%", "%zz%"), ("%C3%A4", "ä")],
)
def test_quoting_is_undone_and_a_lone_percent_stays(text, plain):
    assert unquote(text) == plain


@given(st.text(max_size=40))
def test_no_argument_brings_more_than_a_refusal(text):
    with contextlib.suppress(AgentError):
        fits(text)
