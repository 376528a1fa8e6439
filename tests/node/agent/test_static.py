import pytest

from bakery.node.agent.static import Address, read


@pytest.mark.parametrize(
    "text", ["", "dhcp", "on", "any", ":::", "0.0.0.0:10.0.0.1::", "::::::dhcp"]
)
def test_without_an_address_dhcp_is_asked(text):
    assert read({"ip": text} if text else {}) == ((None, (), 0, ""))


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        ("255.255.255.0", "255.255.255.0"),
        ("24", "255.255.255.0"),
        ("1", "128.0.0.0"),
        ("32", "255.255.255.255"),
        ("255.255.255.255", "255.255.255.255"),
    ],
)
def test_a_mask_is_written_out_or_as_the_length_of_a_prefix(mask, whole):
    assert read({"ip": f"10.0.0.5:::{mask}"}).address == Address("10.0.0.5", "", "", whole)


def test_all_of_the_kernels_syntax_is_read():
    told = read({"ip": "10.0.0.5:10.0.0.1:10.0.0.2:24:node:eth3:none:10.0.0.3:10.0.0.4:10.0.0.9"})
    assert told.address == Address("10.0.0.5", "10.0.0.1", "10.0.0.2", "255.255.255.0")
    assert told.dns == ("10.0.0.3", "10.0.0.4")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("10.0.0.5", "ip= has '' where a netmask should be"),
        ("10.0.0.5:::0", "ip= has '0' where a netmask should be"),
        ("10.0.0.5:::33", "ip= has '33' where a netmask should be"),
        ("10.0.0.5:::255.0.255.0", "ip= has '255.0.255.0' where a netmask should be"),
        ("10.0.0.5:::$(x)", "ip= has '$(x)' where a netmask should be"),
        ("10.0.5:::24", "ip= has '10.0.5' where a address should be"),
        ("eth0:dhcp", "ip= has 'eth0' where a address should be"),
        ("10.0.0.5:::24::::ns", "ip= has 'ns' where a DNS server should be"),
        ("9" * 500, f"ip= has '{'9' * 64}' where a address should be"),
    ],
)
def test_what_cannot_be_meant_is_a_fault_and_no_address(text, fault):
    assert read({"ip": text}) == (None, (), 0, fault.replace("a address", "an address"))


@pytest.mark.parametrize(("text", "vlan"), [("", 0), ("1", 1), ("0007", 7), ("4094", 4094)])
def test_a_vlan_is_a_number(text, vlan):
    assert read({"bakery_vlan": text}).vlan == vlan


@pytest.mark.parametrize("text", ["0", "4095", "-1", "7a", "70000", "\u0667"])
def test_a_vlan_that_there_is_not_is_a_fault(text):
    told = read({"ip": "10.0.0.5:::24", "bakery_vlan": text})
    assert told.address is None and told.fault.startswith("bakery_vlan is ")
