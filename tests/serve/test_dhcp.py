"""The DHCP server against real clients, in network namespaces."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.serve.events import Advertised, Dhcp, DhcpIgnored, DhcpRival
from tests.serve.host import Spec
from tests.serve.wire import Host, Place, mac

BUSYBOX = shutil.which("busybox") or ""
PXE_OPTIONS = ("-V", "PXEClient:Arch:00000", "-O", "bootfile", "-O", "tftp", "-x", "93:0000")
FILES = {"bios": "undionly.kpxe", "uefi": "snponly.efi", "bios_ipxe": "http://192.168.88.1/a.ipxe"}

pytestmark = pytest.mark.xdist_group("namespaces")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """udhcpc's script: it takes the address, and prints all it was told."""
    path = tmp_path / "udhcpc.script"
    path.write_text(
        "#!/bin/sh\n"
        'echo "event=$1"; env\n'
        '[ "$1" = bound ] && ip address replace "$ip/$mask" dev "$interface"\n'
        "exit 0\n"
    )
    path.chmod(0o755)
    return path


def spec(tmp_path, **fields) -> Spec:
    nodes = {mac(1): FILES | {"name": "node-1"}, mac(2): FILES | {"address": "192.168.88.77"}}
    return Spec(journal=str(tmp_path / "leases"), nodes=nodes, **fields)


def ask(client: Place, script: Path, *options: str) -> dict[str, str]:
    """What udhcpc's script was told; empty where nobody answered."""
    words = ("udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "4", "-T", "1", "-s", str(script))
    done = client.run(BUSYBOX, *words, *options, check=False)
    told = done.stdout.partition("event=bound")[2]
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def test_a_known_client_gets_address_netmask_name_and_lease(network, tmp_path, script):
    client = network.client(1)
    with Host(network.servers, spec(tmp_path), tmp_path) as host:
        told = ask(client, script)
        assert told["ip"] == "192.168.88.100"
        assert (told["subnet"], told["lease"]) == ("255.255.255.0", "3600")
        assert told["serverid"] == told["siaddr"] == "192.168.88.1"
        assert told["hostname"] == "node-1"
        assert "boot_file" not in told and "bootfile" not in told and "router" not in told
        assert [(e.message, e.answer) for e in host.of(Dhcp)] == [
            ("DISCOVER", "OFFER"),
            ("REQUEST", "ACK"),
        ]
        assert host.of(Dhcp)[-1] == Dhcp(mac(1), "REQUEST", "ACK", "192.168.88.100")


def test_firmware_is_told_what_to_load_and_from_where(network, tmp_path, script):
    client = network.client(1)
    with Host(network.servers, spec(tmp_path), tmp_path) as host:
        told = ask(client, script, *PXE_OPTIONS)
        assert told["boot_file"] == told["bootfile"] == "undionly.kpxe"
        assert told["tftp"] == "192.168.88.1"
        assert host.of(Dhcp)[-1].firmware == "bios"
        assert ask(client, script, "-x", "93:0007")["boot_file"] == "snponly.efi"
        ipxe = ask(client, script, "-x", "93:0000", "-x", "175:b0010113010116010119010124")
        assert ipxe["boot_file"] == "http://192.168.88.1/a.ipxe"
        assert host.of(Dhcp)[-1].firmware == "ipxe"


def test_a_client_with_a_promised_address_gets_that(network, tmp_path, script):
    client = network.client(2)
    with Host(network.servers, spec(tmp_path), tmp_path):
        assert ask(client, script)["ip"] == "192.168.88.77"


def test_a_stranger_gets_no_answer(network, tmp_path, script):
    stranger = network.client(9)
    with Host(network.servers, spec(tmp_path), tmp_path) as host:
        assert ask(stranger, script) == {}
        assert host.of(DhcpIgnored) == [DhcpIgnored(mac(9), "no known node has this address")]
        assert host.of(Dhcp) == []


def test_an_address_from_another_network_is_refused(network, tmp_path, script):
    """The client then asks anew, and gets one that fits here (RFC 2131, 4.3.2)."""
    client = network.client(1)
    with Host(network.servers, spec(tmp_path), tmp_path):
        assert ask(client, script, "-r", "10.9.9.9")["ip"] == "192.168.88.100"


def test_a_lease_survives_the_kill_of_the_server(network, tmp_path, script):
    first, second = network.client(1), network.client(3)
    wanted = spec(tmp_path, first="192.168.88.100", last="192.168.88.101")
    wanted.nodes[mac(3)] = FILES
    with Host(network.servers, wanted, tmp_path) as host:
        assert ask(first, script)["ip"] == "192.168.88.100"
        host.kill()
    with Host(network.servers, wanted, tmp_path):
        assert ask(second, script)["ip"] == "192.168.88.101"
        assert ask(first, script)["ip"] == "192.168.88.100"


def test_a_full_range_is_told(network, tmp_path, script):
    first, second = network.client(1), network.client(3)
    wanted = spec(tmp_path, first="192.168.88.100", last="192.168.88.100")
    wanted.nodes[mac(3)] = FILES
    with Host(network.servers, wanted, tmp_path) as host:
        assert ask(first, script)
        assert ask(second, script) == {}
        assert DhcpIgnored(mac(3), "no address is free") in host.of(DhcpIgnored)


def test_a_second_server_is_found_before_any_node_asks(network, tmp_path):
    with dnsmasq(network.client(8)), Host(network.servers, spec(tmp_path), tmp_path) as host:
        found = host.wait_for(DhcpRival)
        assert found == DhcpRival("192.168.88.2", "")


def test_a_second_server_whose_offer_a_node_takes_is_named_with_the_node(network, tmp_path, script):
    """We know both nodes but have one address, so the second must take what it is offered."""
    first, second = network.client(1), network.client(3)
    wanted = spec(tmp_path, first="192.168.88.100", last="192.168.88.100")
    wanted.nodes[mac(3)] = FILES
    with Host(network.servers, wanted, tmp_path) as host:
        assert ask(first, script)
        with dnsmasq(network.client(8)):
            told = ask(second, script)
        assert told["serverid"] == "192.168.88.2"
        host.wait_for(DhcpRival, lambda event: event == DhcpRival("192.168.88.2", mac(3)))


def test_its_own_answers_are_not_taken_for_a_second_server(network, tmp_path, script):
    client = network.client(1)
    with Host(network.servers, spec(tmp_path), tmp_path) as host:
        assert ask(client, script)
        assert host.of(DhcpRival) == []


def test_router_solicitations_are_answered_without_address_or_route(network, tmp_path):
    client = network.client(1)
    with Host(network.servers, Spec(router=True), tmp_path) as host:
        # A card that comes up asks for routers (RFC 4861, 6.3.7).
        client.run("ip", "link", "set", "eth0", "down")
        client.run("ip", "link", "set", "eth0", "up")
        told = host.wait_for(Advertised)
        assert re.fullmatch(r"fe80::[0-9a-f:]+|::", told.client)
        assert "default" not in client.run("ip", "-6", "route").stdout
        assert "scope global" not in client.run("ip", "-6", "address").stdout


@contextlib.contextmanager
def dnsmasq(place: Place) -> Iterator[None]:
    """Another DHCP server, on a machine of its own, which gives everybody an address."""
    place.run("ip", "address", "add", "192.168.88.2/24", "broadcast", "+", "dev", "eth0")
    words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]
    words += ["--interface=eth0", "--bind-interfaces", "--no-ping", "--pid-file"]
    words += ["--dhcp-range=192.168.88.200,192.168.88.210", "--leasefile-ro", "--log-facility=-"]
    with subprocess.Popen([*place.words, *words], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            assert any(b"IP range" in line for line in process.stderr)
            yield
        finally:
            process.kill()
