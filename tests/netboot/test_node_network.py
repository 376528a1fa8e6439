from ipaddress import IPv4Address, IPv4Interface

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.node_network import NodeNetwork
from bakery.node.agent import kernel_args
from bakery.node.agent.static import Address

MAC = "52:54:00:00:00:01"
OWN = IPv4Interface("10.0.0.5/24")


def read_back(network):
    return kernel_args.parse(" ".join(network.args()))


def test_without_an_address_the_card_is_told_and_dhcp_is_asked():
    told = read_back(NodeNetwork(MAC))
    assert (told.mac, told.address, told.dns, told.vlan, told.fault) == (MAC, None, (), 0, "")


def test_the_agent_reads_what_was_meant():
    dns = (IPv4Address("10.0.0.2"), IPv4Address("9.9.9.9"))
    told = read_back(NodeNetwork(MAC, OWN, IPv4Address("10.0.0.1"), dns, 7))
    assert told.address == Address("10.0.0.5", "", "10.0.0.1", "255.255.255.0")
    assert (told.mac, told.dns, told.vlan) == (MAC, ("10.0.0.2", "9.9.9.9"), 7)
    assert told.fault == ""


@pytest.mark.parametrize("prefix", [8, 23, 30, 31, 32])
def test_every_length_of_prefix_is_a_mask_for_the_agent(prefix):
    told = read_back(NodeNetwork(MAC, IPv4Interface(f"10.1.2.5/{prefix}")))
    assert told.fault == ""
    assert told.address and IPv4Interface(f"10.1.2.5/{told.address.netmask}").network.prefixlen == (
        prefix
    )


@pytest.mark.parametrize("mac", ["", "52-54-00-00-00-01", "52:54:00:00:00:0G", MAC + "\n", "a b"])
def test_a_card_is_named_by_its_mac(mac):
    with pytest.raises(BakeryError, match="is not an Ethernet address"):
        NodeNetwork(mac)


@pytest.mark.parametrize(
    "address", ["10.0.0.0/24", "10.0.0.255/24", "127.0.0.1/8", "224.0.0.1/4", "0.0.0.0/0"]
)
def test_an_address_that_no_node_can_have_is_refused(address):
    with pytest.raises(BakeryError, match="cannot be a node's address"):
        NodeNetwork(MAC, IPv4Interface(address))


@pytest.mark.parametrize("gateway", ["10.0.1.1", "10.0.0.5", "10.0.0.0", "10.0.0.255"])
def test_a_gateway_is_another_machine_of_the_network(gateway):
    with pytest.raises(BakeryError, match=r"the gateway .* is none for 10\.0\.0\.5/24"):
        NodeNetwork(MAC, OWN, IPv4Address(gateway))


def test_in_a_network_of_two_the_other_is_the_gateway():
    NodeNetwork(MAC, IPv4Interface("10.0.0.0/31"), IPv4Address("10.0.0.1"))


@pytest.mark.parametrize("vlan", [-1, 4095, 70000])
def test_a_vlan_is_one_of_those_there_are(vlan):
    with pytest.raises(BakeryError, match=f"there is no VLAN {vlan}"):
        NodeNetwork(MAC, vlan=vlan)


def test_what_belongs_to_an_address_is_not_told_without_one():
    with pytest.raises(BakeryError, match="DHCP tells them"):
        NodeNetwork(MAC, gateway=IPv4Address("10.0.0.1"))


def test_there_is_room_for_two_dns_servers():
    dns = tuple(IPv4Address(f"10.0.0.{number}") for number in (1, 2, 3))
    with pytest.raises(BakeryError, match="2 DNS servers, and not 3"):
        NodeNetwork(MAC, OWN, dns=dns)
