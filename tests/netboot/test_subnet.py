"""Ranges as they are written, and the networks they are of."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.subnet import Subnet, half_of, subnets

OWN = IPv4Interface("10.1.2.5/24")
ROUTER = IPv4Address("10.1.2.254")


@pytest.mark.parametrize(
    ("own", "first", "last"),
    [
        ("192.0.2.1/24", "192.0.2.128", "192.0.2.254"),
        ("192.0.2.127/24", "192.0.2.128", "192.0.2.254"),
        ("192.0.2.128/24", "192.0.2.1", "192.0.2.127"),
        ("192.0.2.254/24", "192.0.2.1", "192.0.2.127"),
        ("10.0.0.9/29", "10.0.0.12", "10.0.0.14"),
    ],
)
def test_without_a_range_it_is_the_half_that_is_not_our_own(own, first, last):
    half = half_of(IPv4Interface(own), ROUTER)
    assert (half.first, half.last) == (IPv4Address(first), IPv4Address(last))
    assert subnets((), IPv4Interface(own), ROUTER) == (half,)


def test_a_range_is_of_the_wires_network_and_told_its_way_out():
    (only,) = subnets(("10.1.2.100-10.1.2.150",), OWN, ROUTER)
    first, last = IPv4Address("10.1.2.100"), IPv4Address("10.1.2.150")
    assert only == Subnet(OWN.network, first, last, ROUTER)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_wires_own_is_the_first_and_the_others_way_out_is_their_relays(order):
    ranges = ("10.1.2.100-10.1.2.150/24", "10.9.0.10-10.9.0.99/23")
    wire, other = subnets([ranges[number] for number in order], OWN, ROUTER)
    assert (wire.network, wire.router) == (OWN.network, ROUTER)
    assert (other.network, other.router) == (IPv4Network("10.9.0.0/23"), None)


def test_a_range_elsewhere_leaves_the_wire_its_half():
    wire, other = subnets(("10.9.0.10-10.9.0.99/24",), OWN)
    assert wire == half_of(OWN)
    assert other.network == IPv4Network("10.9.0.0/24")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a range"),
        ("10.1.2.100", "not a range"),
        ("10.1.2.100-10.1.2.300", "not a range"),
        ("10.1.2.100-10.1.2.150/33", "not a range"),
        ("10.1.2.100-10.1.2.150/24 ", "not a range"),
        ("10.1.2.1\u0661-10.1.2.150", "not a range"),
        ("10.1.2.150-10.1.2.100", "ends before it begins"),
        ("10.9.0.10-10.9.0.20", "prefix is not given"),
        ("10.9.0.10-10.9.1.20/24", "not within 10.9.0.0/24"),
        ("10.1.2.1-10.1.2.150", "this machine's own"),
        ("10.1.2.100-10.1.2.255", "nobody's"),
        ("10.9.0.0-10.9.0.20/24", "nobody's"),
        ("10.1.2.100-10.1.2.110/25", "overlaps this interface"),
        ("10.8.0.1-10.9.0.1/8", "has more than 65536"),
    ],
)
def test_what_cannot_be_given_out_is_refused_with_the_form(text, reason):
    with pytest.raises(BakeryError, match=reason) as caught:
        subnets((text,), OWN)
    assert "10.1.2.100-10.1.2.150" in caught.value.hint


def test_a_network_has_one_range():
    with pytest.raises(BakeryError, match=r"two ranges are in network 10\.1\.2\.0/24"):
        subnets(("10.1.2.100-10.1.2.110", "10.1.2.120-10.1.2.130"), OWN)


def test_a_wrong_range_is_quoted_bounded_and_printable():
    with pytest.raises(BakeryError) as caught:
        subnets(("\x1b[2J" + "9" * 10_000,), OWN)
    assert "\x1b" not in caught.value.message and len(caught.value.message) < 500
