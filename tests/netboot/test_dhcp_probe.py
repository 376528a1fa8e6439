"""Whether another DHCP server answers: a real dnsmasq, and things that only look like one."""

import sys
from typing import Any

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.dhcp_probe import _server
from tests.conftest import REPOSITORY
from tests.netboot.host import Spec
from tests.netboot.site import ADDRESS, dnsmasq
from tests.netboot.test_packet_socket import SOURCE, packet
from tests.netboot.wire import Host, Network

XID = 7
OTHER = bytes([10, 0, 0, 9])


def answer(**fields) -> bytes:
    usual: dict[str, Any] = {"op": wire.REPLY, "xid": XID, "mac": bytes(6)}
    return wire.encode(Packet(**(usual | fields)))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (packet(answer(), port=68), SOURCE),
        (packet(answer(options={wire.SERVER: OTHER}), port=68), "10.0.0.9"),
        (packet(answer(xid=8), port=68), "None"),
        (packet(answer(op=wire.REQUEST), port=68), "None"),
        (packet(answer(), port=67), "None"),
        (packet(b"nonsense", port=68), "None"),
        (b"nonsense", "None"),
    ],
)
def test_an_answer_is_one_to_our_question(data, found):
    assert str(_server(data, XID)) == found


def looked(network: Network, seconds: float) -> str:
    code = (
        "from ipaddress import IPv4Interface;from bakery.netboot.dhcp_probe import answering;"
        f"print(answering('br0',IPv4Interface('192.168.88.1/24'),{seconds}))"
    )
    words = ("env", f"--chdir={REPOSITORY}", sys.executable, "-c", code)
    return network.servers.run(*words).stdout.strip()


@pytest.mark.xdist_group("namespaces")
def test_a_server_is_found_that_first_looks_whether_its_offer_is_free(network):
    with dnsmasq(network.client(8), ping=True):
        assert looked(network, 60) == ADDRESS


@pytest.mark.xdist_group("namespaces")
def test_where_nobody_answers_it_ends_by_itself(network, tmp_path):
    """Not even our own kind, which answers those that it knows."""
    place = network.client(8)
    place.run("ip", "address", "add", "192.168.88.3/24", "dev", "eth0")
    spec = Spec("eth0", "192.168.88.3/24", journal=str(tmp_path / "leases"))
    with Host(place, spec, tmp_path):
        assert looked(network, 2) == "None"
