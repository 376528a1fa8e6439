"""The DHCP server against real clients, in network namespaces."""

import shutil
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.wire_events import Dhcp, DhcpIgnored, DhcpRival, DhcpStranger, Trouble
from tests.netboot.host import Spec
from tests.netboot.site import dnsmasq, exchange
from tests.netboot.wire import Host, Place, mac

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
        (told,) = host.of(DhcpStranger)
        assert told.mac == mac(9) and told.vendor.startswith("udhcp")
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


def test_a_released_address_goes_to_the_next(network, tmp_path, script):
    first, second = network.client(1), network.client(3)
    wanted = spec(tmp_path, first="192.168.88.100", last="192.168.88.100")
    wanted.nodes[mac(3)] = FILES
    with Host(network.servers, wanted, tmp_path) as host:
        told = IPv4Address(ask(first, script)["ip"])
        assert exchange(first, message(wire.RELEASE, ciaddr=told)) == []
        host.wait_for(Dhcp, lambda event: event.message == "RELEASE")
        assert ask(second, script)["ip"] == "192.168.88.100"


def message(kind: int, **fields: Any) -> Packet:
    """What the first client would send."""
    options = fields.pop("options", {}) | {wire.MESSAGE_TYPE: bytes([kind])}
    made = Packet(op=wire.REQUEST, xid=7, mac=bytes.fromhex(mac(1).replace(":", "")))
    return replace(made, options=options, **fields)


def test_a_declined_address_is_not_given_again(network, tmp_path):
    client = network.client(1)
    with Host(network.servers, spec(tmp_path), tmp_path) as host:
        (offer,) = exchange(client, message(wire.DISCOVER))
        declined = {wire.REQUESTED_ADDRESS: offer.yiaddr.packed}
        assert exchange(client, message(wire.DECLINE, options=declined)) == []
        (again,) = exchange(client, message(wire.DISCOVER))
        assert again.yiaddr == offer.yiaddr + 1
        assert host.of(Dhcp)[1] == Dhcp(mac(1), "DECLINE", "", str(offer.yiaddr))


def test_a_client_with_an_address_is_told_the_rest_and_gets_no_lease(network, tmp_path):
    client = network.client(1)
    with Host(network.servers, spec(tmp_path), tmp_path):
        (answer,) = exchange(client, message(wire.INFORM))
        assert answer.message_type == wire.ACK
        assert answer.yiaddr == wire.NOWHERE
        assert wire.LEASE_SECONDS not in answer.options


def test_an_answer_echoes_what_the_client_said_of_itself(network, tmp_path):
    """RFC 6842 (client id), RFC 4578 (UUID)."""
    client = network.client(1)
    said = {wire.CLIENT_ID: b"\1abc", wire.UUID: bytes(17), wire.ARCHITECTURE: b"\0\7"}
    said[wire.IPXE] = b""
    with Host(network.servers, spec(tmp_path), tmp_path):
        (answer,) = exchange(client, message(wire.DISCOVER, options=said, flags=wire.BROADCAST))
    assert answer.options[wire.CLIENT_ID] == said[wire.CLIENT_ID]
    assert answer.options[wire.UUID] == said[wire.UUID]
    assert answer.options[wire.IPXE] == wire.IPXE_NO_PROXY
    assert (answer.xid, answer.flags, answer.file) == (7, wire.BROADCAST, b"snponly.efi")
    assert str(answer.siaddr) == "192.168.88.1"


def test_a_script_too_long_for_its_field_goes_as_an_option(network, tmp_path):
    client = network.client(1)
    wanted = spec(tmp_path)
    wanted.nodes[mac(1)] = {"bios_ipxe": "http://192.168.88.1/" + "a" * 200}
    with Host(network.servers, wanted, tmp_path):
        (answer,) = exchange(client, message(wire.DISCOVER, options={wire.IPXE: b""}))
    assert answer.file == b""
    assert answer.options[wire.BOOT_FILE].decode() == wanted.nodes[mac(1)]["bios_ipxe"]


def test_the_server_s_own_address_is_never_given(network, tmp_path):
    client = network.client(1)
    own = {wire.REQUESTED_ADDRESS: bytes([192, 168, 88, 1])}
    with Host(network.servers, spec(tmp_path), tmp_path):
        (answer,) = exchange(client, message(wire.REQUESTED, options=own))
    assert answer.message_type == wire.NAK


def test_hostile_datagrams_get_no_answer_and_the_next_client_is_served(network, tmp_path):
    client = network.client(1)
    whole = wire.encode(message(wire.DISCOVER))
    hostile = [
        *(b"", b"x", whole[:100], whole[:239], bytes(1400), b"\xff" * 1400),
        whole[:236] + b"none" + whole[240:],
        whole[:240] + b"\x35\xff\1",
        wire.encode(message(99)),
        wire.encode(message(0)),
        wire.encode(replace(message(wire.DISCOVER), options={})),
        wire.encode(message(wire.DISCOVER, giaddr=IPv4Address("10.0.0.1"))),
        wire.encode(message(wire.RELEASE, ciaddr=IPv4Address("192.168.88.9"))),
        wire.encode(message(wire.DECLINE)),
        wire.encode(replace(message(wire.ACK), op=wire.REPLY)),
        *(whole[:240] + bytes([code, 200]) + bytes(20) for code in range(0, 255, 5)),
    ]
    with Host(network.servers, spec(tmp_path), tmp_path) as host:
        assert exchange(client, *hostile) == []
        assert len(exchange(client, message(wire.DISCOVER))) == 1
        reasons = {event.reason for event in host.of(DhcpIgnored)}
        assert any("where the relay 10.0.0.1 asks" in reason for reason in reasons)
        assert "the magic cookie is missing" in reasons
        assert host.of(Trouble) == []
