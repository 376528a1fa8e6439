"""What is heard of DHCP where the site's server says everything."""

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.wire_events import Dhcp, DhcpStranger, Trouble
from tests.netboot.host import Spec
from tests.netboot.site import dnsmasq, exchange
from tests.netboot.test_dhcp import message
from tests.netboot.wire import Host, mac

pytestmark = pytest.mark.xdist_group("namespaces")

PXE = {wire.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003016", wire.ARCHITECTURE: b"\0\7"}


def test_a_nodes_start_is_heard_and_the_sites_server_answers_it(network, tmp_path):
    node, stranger = network.client(1), network.client(9)
    spec = Spec(nodes={mac(1): {}}, watch=True)
    with dnsmasq(network.client(8)), Host(network.servers, spec, tmp_path) as host:
        (offer,) = exchange(node, message(wire.DISCOVER, options=PXE, flags=wire.BROADCAST))
        assert str(offer.address(wire.SERVER)) == "192.168.88.2"
        named = {wire.REQUESTED_ADDRESS: offer.yiaddr.packed, wire.SERVER: offer.options[54]}
        (ack,) = exchange(node, message(wire.REQUESTED, options=PXE | named, flags=wire.BROADCAST))
        assert ack.message == "ACK"
        whole = wire.encode(message(wire.DISCOVER))
        other = bytes.fromhex(mac(9).replace(":", ""))
        exchange(stranger, b"nonsense", whole[:28] + other + whole[34:], seconds=0.1)
        foreign = wire.encode(message(wire.DISCOVER, options=PXE, mac=other))
        exchange(stranger, foreign, foreign, seconds=0.1)
        host.wait_for(DhcpStranger)
        assert host.of(DhcpStranger) == [
            DhcpStranger(mac(9), "PXEClient:Arch:00007:UNDI:003016", 7)
        ], "who does not boot over the network is the site's concern"
        assert host.of(Dhcp) == [
            Dhcp(mac(1), "DISCOVER", firmware="uefi"),
            Dhcp(mac(1), "REQUEST", address=str(offer.yiaddr), firmware="uefi"),
        ]
        assert host.of(Trouble) == []
