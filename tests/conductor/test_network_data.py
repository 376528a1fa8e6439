"""A node's network as Ironic's `network_data` tells it; the example is of Ironic's guide."""

import copy
from typing import Any

import pytest

from bakery.conductor.media import node_network
from bakery.conductor.messages import StaticNetwork
from bakery.conductor.network_data import network_of
from bakery.host.errors import BakeryError

CARD = "52:54:00:d3:6a:71"
DATA: dict[str, Any] = {
    "links": [{"id": "port-92750f6c", "type": "phy", "ethernet_mac_address": CARD, "mtu": 1500}],
    "networks": [
        {
            "id": "network0",
            "type": "ipv4",
            "link": "port-92750f6c",
            "ip_address": "192.168.122.42",
            "netmask": "255.255.255.0",
            "network_id": "network0",
            "routes": [
                {"network": "10.0.0.0", "netmask": "255.0.0.0", "gateway": "192.168.122.9"},
                {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.168.122.1"},
            ],
        }
    ],
    "services": [{"type": "dns", "address": "8.8.8.8"}],
}


def changed(**of_network):
    data = copy.deepcopy(DATA)
    data["networks"][0] |= of_network
    return data


def test_what_ironics_guide_shows_is_read():
    told = network_of(DATA)
    assert told == StaticNetwork(CARD, "192.168.122.42/24", "192.168.122.1", ("8.8.8.8",))
    assert node_network(told).args()[0] == "BOOTIF=01-52-54-00-d3-6a-71"


def test_an_address_may_have_its_prefix():
    assert network_of(changed(ip_address="10.0.0.5/16", netmask="")).address == "10.0.0.5/16"


def test_a_vlan_is_that_of_the_card_below():
    data = copy.deepcopy(DATA)
    data["links"].append({"id": "v", "type": "vlan", "vlan_id": 7, "vlan_link": "port-92750f6c"})
    data["networks"][0]["link"] = "v"
    told = network_of(data)
    assert (told.mac, told.vlan, told.address) == (CARD, 7, "192.168.122.42/24")


def test_dhcp_is_asked_where_that_is_its_type():
    assert network_of(changed(type="ipv4_dhcp")) == StaticNetwork(CARD)


def test_name_servers_of_the_network_come_first_and_two_are_kept():
    services = [{"type": "dns", "address": f"10.0.0.{number}"} for number in (1, 2)]
    services.insert(0, {"type": "ntp", "address": "10.0.0.9"})
    assert network_of(changed(services=services)).dns == ("10.0.0.1", "10.0.0.2")


def test_the_upper_case_of_a_mac_is_the_same_card():
    data = copy.deepcopy(DATA)
    data["links"][0]["ethernet_mac_address"] = CARD.upper()
    assert network_of(data).mac == CARD


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("text", "cannot be read"),
        ({"networks": [{"type": "ipv4"}]}, "cannot be read"),
        ({}, "has 0 IPv4 networks, and a ramdisk takes one"),
        (DATA | {"networks": DATA["networks"] * 2}, "has 2 IPv4 networks"),
        (changed(type="ipv6"), "has 0 IPv4 networks"),
        (changed(link="x"), "has no link 'x'"),
        (changed(ip_address="10.0.0"), "has an invalid address"),
        (changed(netmask="255.0.255.0"), "has an invalid address"),
        (DATA | {"links": [{"id": "port-92750f6c"}]}, "has no ethernet_mac_address"),
        (DATA | {"links": [{"id": "port-92750f6c", "type": "bond"}]}, "a link of type 'bond'"),
        (DATA | {"links": [{"id": "port-92750f6c", "type": "vlan"}]}, "a VLAN without a number"),
    ],
)
def test_what_a_ramdisk_cannot_be_given_is_refused(data, reason):
    with pytest.raises(BakeryError, match=reason):
        network_of(data)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (StaticNetwork(CARD, "10.0.0.5/24", "10.1.0.1"), "the gateway 10.1.0.1 is none"),
        (StaticNetwork(CARD, "10.0.0.5/24", "gw"), "'gw'"),
        (StaticNetwork(CARD, "10.0.0.5/24", dns=("ns",)), "'ns'"),
        (StaticNetwork("x"), "'x' is not an Ethernet address"),
    ],
)
def test_what_cannot_be_a_nodes_network_is_refused(told, reason):
    with pytest.raises(BakeryError, match=reason):
        node_network(told)
