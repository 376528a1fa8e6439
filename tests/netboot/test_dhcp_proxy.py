"""ProxyDHCP: what clients are answered, and on a wire beside a real dnsmasq.

Some of the questions are what real firmware sent (`firmware_packets`).
"""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp import KnownNode, Source, Wire
from bakery.netboot.dhcp_proxy import LOAD_IT, Proxy
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.wire_events import Dhcp, DhcpIgnored, DhcpRival, DhcpStranger, Trouble
from tests.netboot.firmware_packets import BIOS_IPXE, UEFI_HTTP, UEFI_PXE
from tests.netboot.host import Spec
from tests.netboot.site import dnsmasq, exchange
from tests.netboot.test_dhcp import message
from tests.netboot.test_dhcp_own import NODE, OTHER, OWN, Asked, Heard, reply
from tests.netboot.wire import Host, mac

PLACE = Wire("none", IPv4Interface("10.0.0.1/24"))
FILES = BootFiles("undionly.kpxe", "snponly.efi", "", "http://10.0.0.1/s", "http://10.0.0.1/u")
BIOS = {wire.VENDOR_CLASS: b"PXEClient:Arch:00000:UNDI:002001", wire.ARCHITECTURE: b"\0\0"}
UEFI = {wire.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003016", wire.ARCHITECTURE: b"\0\7"}
HTTP = {wire.VENDOR_CLASS: b"HTTPClient:Arch:00016:UNDI:003016", wire.ARCHITECTURE: b"\0\x10"}
IPXE = UEFI | {wire.IPXE: b""}
CLIENT = IPv4Address("10.0.0.77")
ELSEWHERE = IPv4Address("10.9.0.77")
RELAY = IPv4Address("10.9.0.1")


@pytest.fixture
def mode():
    return Proxy(PLACE.address)


@pytest.fixture
def asked(mode):
    made = Asked(PLACE, mode)
    made.known[NODE.hex(":")] = KnownNode(FILES)
    return made


@pytest.mark.parametrize(
    ("options", "file"),
    [(BIOS, b"undionly.kpxe"), (UEFI, b"snponly.efi"), (IPXE, b"http://10.0.0.1/s")],
)
def test_an_offer_says_what_to_boot_and_gives_no_address(asked, options, file):
    uuid = {wire.UUID: b"\0" + b"u" * 16, wire.WANTED_OPTIONS: bytes([66, 67])}
    offer = asked(wire.DISCOVER, options | uuid, flags=wire.BROADCAST)
    assert (offer.message, offer.yiaddr, offer.siaddr) == ("OFFER", wire.NOWHERE, OWN)
    assert (offer.file, offer.options[wire.BOOT_FILE]) == (file, file)
    assert offer.options[wire.VENDOR_CLASS] == b"PXEClient"
    assert offer.options[wire.VENDOR_INFO] == LOAD_IT
    assert offer.options[wire.UUID] == uuid[wire.UUID]
    assert offer.options[wire.TFTP_SERVER] == b"10.0.0.1"
    addresses = {wire.LEASE_SECONDS, wire.SUBNET_MASK, wire.ROUTER, wire.IPXE}
    assert not addresses & set(offer.options)


@pytest.mark.parametrize(
    ("datagram", "file", "vendor"),
    [
        (BIOS_IPXE, b"undionly.kpxe", b"PXEClient"),
        (UEFI_PXE, b"snponly.efi", b"PXEClient"),
        (UEFI_HTTP, b"http://10.0.0.1/u", b"HTTPClient"),
    ],
)
def test_real_firmware_is_offered_what_it_loads(asked, datagram, file, vendor):
    asked.known[mac(1)] = KnownNode(FILES)
    question = wire.parse(datagram)
    asked.server._serve(question, Source("0.0.0.0", 68))
    ((offer, to, port),) = asked.sent
    assert (to, port, offer.xid) == ("255.255.255.255", 68, question.xid)
    assert (offer.file, offer.options[wire.BOOT_FILE]) == (file, file), "it asks for both"
    assert offer.options[wire.VENDOR_CLASS] == vendor
    assert offer.options[wire.UUID] == question.options[wire.UUID]
    assert len(wire.encode(offer)) <= int.from_bytes(question.options[57], "big")


def test_uefi_that_boots_by_http_is_offered_a_url(asked):
    offer = asked(wire.DISCOVER, HTTP)
    assert (offer.file, offer.yiaddr) == (b"http://10.0.0.1/u", wire.NOWHERE)
    assert offer.options[wire.VENDOR_CLASS] == b"HTTPClient"
    assert wire.VENDOR_INFO not in offer.options


@pytest.mark.parametrize(
    "options", [{}, {wire.VENDOR_CLASS: b"udhcp"}, BIOS | {wire.ARCHITECTURE: b"\0\x0b"}]
)
def test_who_boots_nothing_from_here_is_left_to_the_site(asked, options):
    told = asked.nothing(wire.DISCOVER, options)
    assert isinstance(told, Dhcp) and told.answer == ""


@pytest.mark.parametrize("options", [BIOS, UEFI])
@pytest.mark.parametrize("kind", [wire.REQUESTED, wire.INFORM])
def test_who_asks_at_the_boot_port_is_answered_where_it_asks_from(asked, mode, options, kind):
    packet = wire.Packet(wire.REQUEST, 77, NODE, {**options, 53: bytes([kind])}, ciaddr=CLIENT)
    served = mode.serve(packet, KnownNode(FILES), Source(str(CLIENT), 4011, 4011))
    assert served.to == (str(CLIENT), 4011)
    answer = served.reply
    assert (answer.message, answer.yiaddr, answer.ciaddr) == ("ACK", wire.NOWHERE, CLIENT)
    assert answer.file == FILES.of(packet).encode()
    assert answer.options[wire.VENDOR_CLASS] == b"PXEClient"
    assert (served.event.answer, served.event.address) == ("ACK", str(CLIENT))


def test_what_a_node_asks_the_sites_server_for_is_heard_and_not_answered(asked):
    request = BIOS | {wire.REQUESTED_ADDRESS: CLIENT.packed, wire.SERVER: b"\n\0\0\2"}
    told = asked.nothing(wire.REQUESTED, request)
    assert told == Dhcp(NODE.hex(":"), "REQUEST", "", str(CLIENT), "bios", "")
    assert not any(isinstance(event, DhcpRival) for event in asked.told)


@pytest.mark.parametrize("kind", [wire.OFFER, wire.ACK, 0, 99])
def test_what_no_client_sends_is_left(asked, kind):
    assert isinstance(asked.nothing(kind, BIOS), DhcpIgnored)


def test_a_relayed_offer_goes_to_the_relay_with_its_words(asked):
    said = BIOS | {wire.RELAY_INFO: b"\1\1x"}
    offer, to, port = asked.directed(wire.DISCOVER, said, giaddr=RELAY)
    assert (to, port, offer.giaddr) == (str(RELAY), 67, RELAY)
    assert [*offer.options][-1] == wire.RELAY_INFO


def test_of_who_is_behind_a_router_the_claim_is_kept(asked, mode):
    asked.nothing(wire.REQUESTED, {wire.REQUESTED_ADDRESS: ELSEWHERE.packed}, giaddr=RELAY)
    assert mode.claimed == {NODE.hex(":"): str(ELSEWHERE)}
    asked.nothing(wire.REQUESTED, {wire.REQUESTED_ADDRESS: b"\n\x09\0\x63"})  # not relayed
    asked.nothing(wire.REQUESTED, {wire.REQUESTED_ADDRESS: CLIENT.packed}, giaddr=RELAY)
    assert mode.claimed == {NODE.hex(":"): str(ELSEWHERE)}, "of an address here the table tells"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, False),
        ({wire.BOOT_FILE: b"theirs"}, True),
        ({wire.VENDOR_CLASS: b"PXEClient"}, True),
        ({wire.VENDOR_CLASS: b"HTTPClient"}, True),
    ],
)
def test_another_that_says_what_to_boot_is_a_rival_and_one_that_gives_addresses_is_none(
    asked, options, told
):
    data = wire.encode(wire.Packet(wire.REPLY, 1, NODE, options))
    others = wire.encode(wire.Packet(wire.REPLY, 1, b"others", options))
    asked.server._listener = Heard(
        (data, "10.0.0.2"), (reply(), "10.0.0.3"), (others, "10.0.0.2"), (data, str(OWN))
    )
    for _ in range(4):
        asked.server._replies()
    assert asked.told == ([DhcpRival("10.0.0.2", NODE.hex(":"))] if told else [])


def test_a_machine_that_is_no_node_is_named_where_it_boots_over_the_network(asked):
    stranger = bytes.fromhex("5254000000ff")
    assert asked.nothing(wire.DISCOVER, {}, mac=stranger) is None
    told = asked.nothing(wire.DISCOVER, UEFI, mac=stranger)
    assert told == DhcpStranger(stranger.hex(":"), UEFI[wire.VENDOR_CLASS].decode(), 7)
    assert stranger != OTHER


def test_no_server_is_looked_for(asked):
    asked.server._listener = object()
    asked.server.tick()
    assert asked.sent == []


@pytest.mark.xdist_group("namespaces")
def test_beside_a_real_dnsmasq_one_gives_the_address_and_ours_the_boot_file(network, tmp_path):
    node, other = network.client(1), network.client(9)
    spec = Spec(nodes={mac(1): {"bios": "pxelinux.0", "uefi": "snponly.efi"}}, proxy=True)
    with dnsmasq(network.client(8)), Host(network.servers, spec, tmp_path) as host:
        discover = wire.parse(UEFI_PXE)
        offers = exchange(node, UEFI_PXE, seconds=2)
        by_server = {str(offer.address(wire.SERVER)): offer for offer in offers}
        theirs, ours = by_server["192.168.88.2"], by_server["192.168.88.1"]
        assert theirs.yiaddr != wire.NOWHERE and not theirs.file
        assert ours.yiaddr == wire.NOWHERE and ours.file == b"snponly.efi"
        node.run("ip", "address", "add", f"{theirs.yiaddr}/24", "dev", "eth0")
        request = message(wire.REQUESTED, options=BIOS, ciaddr=theirs.yiaddr)
        (ack,) = exchange(node, request, to="192.168.88.1:4011")
        assert (ack.message, ack.file, ack.yiaddr) == ("ACK", b"pxelinux.0", wire.NOWHERE)
        foreign = replace(discover, mac=bytes.fromhex("525400880009"))
        assert [str(o.address(wire.SERVER)) for o in exchange(other, foreign)] == ["192.168.88.2"]
        host.wait_for(DhcpStranger, lambda event: event.mac == mac(9))
        assert host.of(DhcpRival) == [] and host.of(Trouble) == []


@pytest.mark.xdist_group("namespaces")
def test_hostile_datagrams_at_the_boot_port_get_no_answer(network, tmp_path):
    node = network.client(1)
    node.run("ip", "address", "add", "192.168.88.9/24", "dev", "eth0")
    spec = Spec(nodes={mac(1): {"bios": "pxelinux.0"}}, proxy=True)
    whole = wire.encode(message(wire.REQUESTED, options=BIOS))
    hostile = [b"", whole[:100], whole[:240] + b"\x35\xff\1", bytes(1400), b"\xff" * 4096]
    with Host(network.servers, spec, tmp_path) as host:
        assert exchange(node, *hostile, to="192.168.88.1:4011") == []
        assert len(exchange(node, whole, to="192.168.88.1:4011")) == 1
        assert host.of(Trouble) == []
