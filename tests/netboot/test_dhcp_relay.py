"""Clients behind a real relay: dnsmasq on a router between their network and the servers'."""

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.wire_events import Dhcp, DhcpIgnored
from tests.netboot.host import Spec
from tests.netboot.site import exchange
from tests.netboot.test_dhcp import ask, message, script
from tests.netboot.test_dhcp_proxy import UEFI
from tests.netboot.wire import Host, Network, Place, mac

pytestmark = pytest.mark.xdist_group("namespaces")

ROUTER, ON_THE_WIRE = "10.9.0.1", "192.168.88.3"
FILES = {"bios": "undionly.kpxe", "uefi": "snponly.efi"}
__all__ = ["script"]


@contextlib.contextmanager
def behind(network: Network) -> Iterator[Place]:
    """A client with the first address, on a network of its own behind a router that relays."""
    router, client = network.client(5), network.client(6)
    client.run("ip", "link", "delete", "eth0")
    peer = ("peer", "name", "eth0", "netns", str(client.pid))
    router.run("ip", "link", "add", "lan", "type", "veth", *peer)
    router.run("ip", "address", "add", f"{ROUTER}/24", "broadcast", "+", "dev", "lan")
    router.run("ip", "address", "add", f"{ON_THE_WIRE}/24", "broadcast", "+", "dev", "eth0")
    router.run("ip", "link", "set", "lan", "up")
    router.run("sysctl", "-w", "net.ipv4.ip_forward=1")
    client.run("ip", "link", "set", "eth0", "address", mac(1), "up")
    network.servers.run("ip", "route", "add", "10.9.0.0/24", "via", ON_THE_WIRE)
    words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]
    words += [f"--dhcp-relay={ROUTER},192.168.88.1", "--pid-file", "--log-facility=-"]
    with subprocess.Popen([*router.words, *words], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            assert any(b"DHCP relay" in line for line in process.stderr)
            yield client
        finally:
            process.kill()


def spec(tmp_path, *ranges: str) -> Spec:
    return Spec(journal=str(tmp_path / "leases"), nodes={mac(1): FILES}, ranges=list(ranges))


def test_a_client_gets_an_address_of_its_own_network_and_its_relay_as_the_way_out(
    network, tmp_path, script
):
    with (
        behind(network) as client,
        Host(network.servers, spec(tmp_path, "10.9.0.10-10.9.0.20/24"), tmp_path) as host,
    ):
        told = ask(client, script, "-x", "93:0007", "-O", "bootfile", "-V", "PXEClient")
        assert (told["ip"], told["router"], told["subnet"]) == (
            "10.9.0.10",
            ROUTER,
            "255.255.255.0",
        )
        assert (told["siaddr"], told["bootfile"]) == ("192.168.88.1", "snponly.efi")
        assert host.of(Dhcp)[-1].answer == "ACK"


def test_where_its_network_has_no_range_that_is_said(network, tmp_path, script):
    with behind(network) as client, Host(network.servers, spec(tmp_path), tmp_path) as host:
        assert ask(client, script) == {}
        found = host.wait_for(DhcpIgnored)
        reason = f"no range is given for {ROUTER}, where the relay {ROUTER} asks"
        assert found == DhcpIgnored(mac(1), reason)


def test_a_proxys_offer_goes_through_the_relay_as_well(network, tmp_path):
    proxied = Spec(nodes={mac(1): FILES}, proxy=True)
    with behind(network) as client, Host(network.servers, proxied, tmp_path):
        discover = message(wire.DISCOVER, options=UEFI, flags=wire.BROADCAST)
        (offer,) = exchange(client, discover, seconds=3)
        assert (offer.file, offer.yiaddr) == (b"snponly.efi", wire.NOWHERE)
