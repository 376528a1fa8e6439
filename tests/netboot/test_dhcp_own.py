"""What the DHCP server says to each message, and to whom: no wire, and time that passes by hand."""

import contextlib
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp import DhcpServer, KnownNode, Mode, Source, Wire
from bakery.netboot.dhcp_own import Own
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.leases import Leases
from bakery.netboot.subnet import subnets
from bakery.netboot.wire_events import Dhcp, DhcpIgnored, DhcpRival, DhcpStranger

OWN, FIRST, LAST = map(IPv4Address, ("10.0.0.1", "10.0.0.10", "10.0.0.11"))
RIVAL = IPv4Address("10.0.0.200")
NODE, OTHER, THIRD = (bytes.fromhex(f"5254000000{number}") for number in ("0a", "0b", "0c"))
SERVERS_MAC = bytes.fromhex("525400000001")
PLACE = Wire("none", IPv4Interface("10.0.0.1/24"))
FILES = BootFiles(bios="undionly.kpxe", uefi="u" * 127, bios_ipxe="x" * 128)
BIOS = {wire.ARCHITECTURE: b"\0\0"}


class Asked:
    """A server whose answers are kept, and what it told."""

    def __init__(self, place: Wire, mode: Mode) -> None:
        self.sent: list[tuple[Packet, str, int]] = []
        self.told: list[object] = []
        self.known = {mac.hex(":"): KnownNode(FILES) for mac in (NODE, OTHER, THIRD)}
        self.server = DhcpServer(place, mode, self.known.get, self.told.append)
        self.server._own_mac = SERVERS_MAC
        self.server._send = self._send  # type: ignore[method-assign]

    def _send(self, packet: Packet, to: tuple[str, int], port: int = 67) -> None:
        wire.encode(packet)
        assert port == 67
        self.sent.append((packet, *to))

    def __call__(self, kind: int, options: dict[int, bytes] | None = None, **fields) -> Packet:
        """Its one answer to a message of `kind`; it was broadcast to clients."""
        packet, to, port = self.directed(kind, options, **fields)
        assert (to, port) == ("255.255.255.255", 68)
        return packet

    def directed(
        self, kind: int, options: dict[int, bytes] | None = None, **fields
    ) -> tuple[Packet, str, int]:
        self.says(kind, options, **fields)
        (answer,) = self.sent
        return answer

    def nothing(self, kind: int, options: dict[int, bytes] | None = None, **fields) -> object:
        """It is not answered; what is told of it."""
        self.says(kind, options, **fields)
        assert self.sent == []
        return self.told[-1] if self.told else None

    def says(self, kind: int, options: dict[int, bytes] | None = None, **fields) -> None:
        self.sent.clear()
        self.told.clear()
        told = {wire.MESSAGE_TYPE: bytes([kind]), **(options or {})}
        packet = Packet(op=wire.REQUEST, xid=77, mac=NODE, options=told)
        self.server._serve(replace(packet, **fields), Source("0.0.0.0", 68))


@pytest.fixture
def leases(tmp_path):
    with contextlib.closing(Leases(tmp_path / "leases", FIRST, LAST, seconds=300)) as made:
        yield made


@pytest.fixture
def asked(leases):
    return owning(leases)


def owning(leases: Leases, *ranges: str, **told) -> Asked:
    """A server that gives addresses of 10.0.0.0/24, and of what else there is a range for."""
    given = subnets((f"{FIRST}-{LAST}", *ranges), PLACE.address, told.pop("router", None))
    return Asked(PLACE, Own(PLACE.address, leases, given, **told))


def requested(address: IPv4Address) -> dict[int, bytes]:
    return {wire.REQUESTED_ADDRESS: address.packed}


def test_an_offer_says_all_a_client_needs_and_no_more(asked):
    offer = asked(wire.DISCOVER, flags=0x8001)
    assert (offer.op, offer.xid, offer.mac, offer.flags) == (wire.REPLY, 77, NODE, 0x8000)
    assert (offer.yiaddr, offer.siaddr, offer.file) == (FIRST, OWN, b"")
    assert offer.options == {
        wire.MESSAGE_TYPE: bytes([wire.OFFER]),
        wire.SERVER: OWN.packed,
        wire.LEASE_SECONDS: (300).to_bytes(4, "big"),
        wire.SUBNET_MASK: bytes([255, 255, 255, 0]),
    }
    assert asked.told == [Dhcp(NODE.hex(":"), "DISCOVER", "OFFER", str(FIRST))]


def test_a_name_a_router_and_name_servers_are_told_where_there_are_some(leases):
    servers = (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3"))
    asked = owning(leases, router=OWN, dns=servers, ntp=servers[:1])
    asked.known[NODE.hex(":")] = KnownNode(FILES, "node-1")
    offer = asked(wire.DISCOVER)
    assert offer.options[wire.HOST_NAME] == b"node-1"
    assert offer.options[wire.ROUTER] == OWN.packed
    assert offer.options[wire.DNS] == servers[0].packed + servers[1].packed
    assert offer.options[wire.NTP] == servers[0].packed


def test_an_address_is_acknowledged_to_whom_it_was_offered(asked, leases):
    asked(wire.DISCOVER)
    answer = asked(wire.REQUESTED, {**requested(FIRST), wire.SERVER: OWN.packed})
    assert (answer.message, answer.yiaddr) == ("ACK", FIRST)
    assert leases.of(NODE.hex(":")).address == str(FIRST)
    assert asked.told == [Dhcp(NODE.hex(":"), "REQUEST", "ACK", str(FIRST))]


def test_who_renews_is_answered_at_its_address(asked):
    asked(wire.REQUESTED, requested(FIRST))
    answer, to, port = asked.directed(wire.REQUESTED, ciaddr=FIRST)
    assert (answer.message, answer.yiaddr, answer.ciaddr) == ("ACK", FIRST, FIRST)
    assert (to, port) == (str(FIRST), 68)


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.1.10", "10.0.0.12", "0.0.0.0"])
def test_an_address_that_cannot_be_had_is_denied(asked, leases, address):
    denied = asked(wire.REQUESTED, requested(IPv4Address(address)))
    assert (denied.message, denied.yiaddr, denied.siaddr) == ("NAK", wire.NOWHERE, wire.NOWHERE)
    assert set(denied.options) == {wire.MESSAGE_TYPE, wire.SERVER}
    assert leases.of(NODE.hex(":")) is None
    assert asked.told == [Dhcp(NODE.hex(":"), "REQUEST", "NAK", address)]


def test_anothers_address_is_denied(asked):
    asked(wire.REQUESTED, requested(FIRST), mac=OTHER)
    assert asked(wire.REQUESTED, requested(FIRST)).message == "NAK"


def test_who_takes_another_servers_offer_is_left_to_it_and_that_is_told(asked, leases):
    asked.nothing(wire.REQUESTED, {**requested(FIRST), wire.SERVER: RIVAL.packed})
    told = [DhcpRival(str(RIVAL), NODE.hex(":")), Dhcp(NODE.hex(":"), "REQUEST")]
    assert asked.told == told
    assert leases.of(NODE.hex(":")) is None


def test_who_has_an_address_is_told_the_rest(asked, leases):
    answer, to, port = asked.directed(wire.INFORM, BIOS, ciaddr=IPv4Address("10.0.0.99"))
    assert (to, port) == ("10.0.0.99", 68)
    assert (answer.message, answer.yiaddr, answer.file) == ("ACK", wire.NOWHERE, b"undionly.kpxe")
    assert wire.LEASE_SECONDS not in answer.options
    assert answer.options[wire.SUBNET_MASK]
    assert leases.of(NODE.hex(":")) is None
    assert asked.told == [Dhcp(NODE.hex(":"), "INFORM", "ACK", "", "bios", "undionly.kpxe")]
    assert asked(wire.INFORM, ciaddr=IPv4Address("10.0.1.99")).message == "ACK"


def test_an_address_can_be_given_back(asked):
    asked(wire.REQUESTED, requested(FIRST))
    told = asked.nothing(wire.RELEASE, ciaddr=FIRST)
    assert told == Dhcp(NODE.hex(":"), "RELEASE", "", str(FIRST))
    assert asked(wire.REQUESTED, requested(FIRST), mac=OTHER).message == "ACK"


def test_an_address_that_somebody_uses_is_nobodys_for_a_while(asked):
    asked(wire.REQUESTED, requested(FIRST))
    told = asked.nothing(wire.DECLINE, requested(FIRST))
    assert told == Dhcp(NODE.hex(":"), "DECLINE", "", str(FIRST))
    assert asked(wire.DISCOVER).yiaddr == LAST


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (wire.RELEASE, {"ciaddr": FIRST}),
        (wire.DECLINE, {"options": requested(FIRST)}),
        (wire.DECLINE, {}),
    ],
)
def test_only_who_has_an_address_can_give_it_back(asked, kind, fields):
    asked(wire.REQUESTED, requested(FIRST), mac=OTHER)
    options = fields.pop("options", {})
    told = asked.nothing(kind, options, **fields)
    assert isinstance(told, DhcpIgnored) and "this client's" in told.reason
    assert asked(wire.REQUESTED, requested(FIRST), mac=OTHER).message == "ACK"


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (wire.DISCOVER, {"giaddr": OWN}, "10.0.0.1 is no relay's address"),
        (wire.OFFER, {}, "not a message that a client sends"),
        (wire.NAK, {}, "not a message that a client sends"),
        (0, {}, "not a message that a client sends"),
    ],
)
def test_what_is_not_for_this_server_is_left_and_told_once(asked, kind, fields, reason):
    told = asked.nothing(kind, **fields)
    assert told == DhcpIgnored(fields.get("mac", NODE).hex(":"), reason)
    assert asked.nothing(kind, **fields) is None


def test_a_machine_that_is_no_node_is_named_once_with_what_it_says_of_itself(asked):
    vendor = {wire.VENDOR_CLASS: b"PXEClient:Arch:00007", wire.ARCHITECTURE: b"\0\7"}
    told = asked.nothing(wire.DISCOVER, vendor, mac=SERVERS_MAC)
    assert told == DhcpStranger(SERVERS_MAC.hex(":"), "PXEClient:Arch:00007", 7)
    assert asked.nothing(wire.DISCOVER, vendor, mac=SERVERS_MAC) is None


def test_a_node_that_gets_no_address_is_told(asked):
    for mac in (NODE, OTHER):
        asked(wire.DISCOVER, mac=mac)
    told = asked.nothing(wire.DISCOVER, mac=THIRD)
    assert told == DhcpIgnored(THIRD.hex(":"), "no address is free")


def test_a_promised_address_is_the_only_one(asked):
    promised = IPv4Address("10.0.0.50")
    asked.known[NODE.hex(":")] = KnownNode(FILES, address=promised)
    assert asked(wire.DISCOVER, requested(FIRST)).yiaddr == promised
    assert asked(wire.REQUESTED, requested(FIRST)).message == "NAK"
    assert asked(wire.REQUESTED, requested(promised)).message == "ACK"


@pytest.mark.parametrize(("length", "comes_back"), [(0, False), (1, True), (64, True), (65, False)])
def test_a_clients_id_goes_back_to_it(asked, length, comes_back):
    given = b"i" * length
    answers = [
        asked(wire.DISCOVER, {wire.CLIENT_ID: given}),
        asked(wire.REQUESTED, {wire.CLIENT_ID: given, **requested(OWN)}),
    ]
    for answer in answers:
        assert answer.options.get(wire.CLIENT_ID) == (given if comes_back else None)


@pytest.mark.parametrize(("length", "comes_back"), [(16, False), (17, True), (18, False)])
def test_a_machines_uuid_goes_back_to_its_firmware(asked, length, comes_back):
    given = {wire.UUID: b"u" * length}
    assert (wire.UUID in asked(wire.DISCOVER, BIOS | given).options) == comes_back
    assert wire.UUID not in asked(wire.DISCOVER, given).options


@pytest.mark.parametrize(
    ("options", "field", "option"),
    [
        ({}, b"", None),
        (BIOS, b"undionly.kpxe", None),
        (BIOS | {wire.WANTED_OPTIONS: bytes([wire.BOOT_FILE])}, *[b"undionly.kpxe"] * 2),
        ({wire.WANTED_OPTIONS: bytes([wire.BOOT_FILE])}, b"", None),
        ({wire.ARCHITECTURE: b"\0\7"}, b"u" * 127, None),
        ({wire.IPXE: b""}, b"", b"x" * 128),
    ],
)
def test_the_boot_file_is_in_its_field_where_it_fits_and_an_option_where_it_is_wanted(
    asked, options, field, option
):
    offer = asked(wire.DISCOVER, options)
    assert (offer.file, offer.options.get(wire.BOOT_FILE)) == (field, option)


def test_who_loads_files_is_told_from_where(asked):
    wanted = BIOS | {wire.WANTED_OPTIONS: bytes([wire.TFTP_SERVER])}
    assert asked(wire.DISCOVER, wanted).options[wire.TFTP_SERVER] == b"10.0.0.1"
    assert wire.TFTP_SERVER not in asked(wire.DISCOVER, BIOS).options


def test_ipxe_is_told_to_wait_for_no_other_server(asked):
    assert asked(wire.DISCOVER, {wire.IPXE: b""}).options[wire.IPXE] == wire.IPXE_NO_PROXY
    assert wire.IPXE not in asked(wire.DISCOVER, BIOS).options
    assert asked.told == [
        Dhcp(NODE.hex(":"), "DISCOVER", "OFFER", str(FIRST), "bios", "undionly.kpxe")
    ]


def test_a_node_that_is_to_load_nothing_is_told_of_no_file(asked):
    asked.known[NODE.hex(":")] = KnownNode(BootFiles())
    everything = {wire.WANTED_OPTIONS: bytes([wire.BOOT_FILE, wire.TFTP_SERVER])}
    offer = asked(wire.DISCOVER, BIOS | everything | {wire.UUID: b"u" * 17})
    assert offer.file == b""
    assert not {wire.BOOT_FILE, wire.TFTP_SERVER} & set(offer.options)
    assert wire.UUID in offer.options


def test_other_servers_are_looked_for_once_a_minute(asked, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    asked.server.tick()
    assert asked.sent == [], "nobody would hear the answer"
    asked.server._listener = object()
    for passed, asks in ((0, 1), (59, 0), (1, 1), (0, 0)):
        now[0] += passed
        asked.sent.clear()
        asked.server.tick()
        assert len(asked.sent) == asks
    now[0] += 60
    asked.server.tick()
    ((question, to, port),) = asked.sent
    assert (to, port) == ("255.255.255.255", 67)
    assert (question.op, question.mac, question.message) == (wire.REQUEST, SERVERS_MAC, "DISCOVER")
    assert question.flags == 0x8000


class Heard:
    """A socket that has these datagrams, each from somebody."""

    def __init__(self, *datagrams: tuple[bytes, str]) -> None:
        self._left = list(datagrams)

    def recvfrom(self, limit: int) -> tuple[bytes, tuple[str, int]]:
        if not self._left:
            raise BlockingIOError
        data, sender = self._left.pop(0)
        assert len(data) <= limit
        return data, (sender, 67)


def reply(mac: bytes = NODE, op: int = wire.REPLY, **options: bytes) -> bytes:
    known = {wire.SERVER: options["server"]} if options else {}
    return wire.encode(Packet(op=op, xid=1, mac=mac, options=known))


@pytest.mark.parametrize(
    ("data", "sender", "told"),
    [
        (reply(), str(RIVAL), DhcpRival(str(RIVAL), NODE.hex(":"))),
        (reply(server=LAST.packed), str(RIVAL), DhcpRival(str(LAST), NODE.hex(":"))),
        (reply(SERVERS_MAC), str(RIVAL), DhcpRival(str(RIVAL), "")),
        (reply(), str(OWN), None),
        (reply(server=OWN.packed), str(RIVAL), None),
        (reply(op=wire.REQUEST), str(RIVAL), None),
        (b"nonsense", str(RIVAL), None),
    ],
)
def test_another_server_that_is_heard_is_told_once(asked, data, sender, told):
    asked.server._listener = Heard((data, sender), (data, sender))
    asked.server._replies()
    asked.server._replies()
    assert asked.told == ([told] if told else [])


def test_requests_are_served_and_nothing_else(asked):
    discover = {wire.MESSAGE_TYPE: bytes([wire.DISCOVER])}
    good, own, back = (
        wire.encode(Packet(op=op, xid=5, mac=mac, options=discover))
        for op, mac in (
            (wire.REQUEST, NODE), (wire.REQUEST, SERVERS_MAC), (wire.REPLY, OTHER)
        )
    )  # fmt: skip
    packets = [(data, "0.0.0.0") for data in (b"nonsense", own, back, good)]
    heard = Heard(*packets)
    with pytest.raises(BlockingIOError):
        asked.server._requests(heard, 67)
    assert [packet.mac for packet, _, _ in asked.sent] == [NODE]
    assert isinstance(asked.told[0], DhcpIgnored)
    assert asked.told[0].reason == "8 bytes are not a DHCP message"
    assert len(asked.told) == 2


RELAY, BEHIND = IPv4Address("10.9.0.1"), "10.9.0.10-10.9.0.11/24"
RELAY_SAYS = b"\1\4port"


def through(relay: IPv4Address = RELAY, more: bytes = b"") -> dict[str, Any]:
    """What makes a message a relayed one."""
    return {"giaddr": relay, "options": {wire.RELAY_INFO: RELAY_SAYS + more}}


def test_a_relayed_client_gets_an_address_of_its_own_network_by_its_relay(leases):
    asked = owning(leases, BEHIND)
    offer, to, port = asked.directed(wire.DISCOVER, **through())
    assert (to, port) == (str(RELAY), 67)
    assert (offer.yiaddr, offer.giaddr) == (IPv4Address("10.9.0.10"), RELAY)
    assert offer.options[wire.ROUTER] == RELAY.packed, "its way out is the relay"
    assert [*offer.options][-1] == wire.RELAY_INFO  # RFC 3046, 2.2: behind all others
    assert offer.options[wire.RELAY_INFO] == RELAY_SAYS
    options = {**through()["options"], **requested(offer.yiaddr)}
    ack, to, _ = asked.directed(wire.REQUESTED, options, giaddr=RELAY)
    assert (ack.message, to) == ("ACK", str(RELAY))
    assert asked(wire.DISCOVER, mac=OTHER).yiaddr == FIRST, "here all is as it was"


def test_a_relayed_client_is_denied_what_is_not_of_its_network_through_the_relay(leases):
    asked = owning(leases, BEHIND)
    denied, to, port = asked.directed(wire.REQUESTED, requested(FIRST), giaddr=RELAY)
    assert (denied.message, to, port, denied.flags) == ("NAK", str(RELAY), 67, wire.BROADCAST)


def test_a_relay_may_name_the_link_its_client_is_on(leases):
    asked = owning(leases, BEHIND)
    loopback = IPv4Address("192.0.2.5")
    link = bytes([wire.RELAY_LINK, 4]) + RELAY.packed
    offer, to, _ = asked.directed(wire.DISCOVER, **through(loopback, link))
    assert (offer.yiaddr, to) == (IPv4Address("10.9.0.10"), str(loopback))
    assert wire.ROUTER not in offer.options, "that address is not on the client's network"


@pytest.mark.parametrize("more", [b"\5", b"\5\4abc", b"\5\3abc"])
def test_a_relay_whose_words_are_broken_names_no_link(leases, more):
    asked = owning(leases, BEHIND)
    asked.says(wire.DISCOVER, **through(IPv4Address("192.0.2.5"), more))
    assert asked.sent == [] and isinstance(asked.told[-1], DhcpIgnored)


def test_a_relay_of_a_network_without_a_range_is_refused_and_named(asked):
    told = asked.nothing(wire.DISCOVER, **through())
    reason = "no range is given for 10.9.0.1, where the relay 10.9.0.1 asks"
    assert told == DhcpIgnored(NODE.hex(":"), reason)


@pytest.mark.parametrize("relay", ["255.255.255.255", "224.0.0.1", "127.0.0.1", "0.0.0.1",
                                   "10.0.0.255", "10.0.0.1", "240.0.0.1"])  # fmt: skip
def test_an_address_that_no_relay_has_is_sent_nothing(leases, relay):
    asked = owning(leases, BEHIND)
    told = asked.nothing(wire.DISCOVER, **through(IPv4Address(relay)))
    assert isinstance(told, DhcpIgnored) and "no relay's" in told.reason


def test_who_renews_from_behind_a_relay_is_answered_at_its_address(leases):
    asked = owning(leases, BEHIND)
    asked.directed(wire.REQUESTED, requested(IPv4Address("10.9.0.10")), giaddr=RELAY)
    answer, to, port = asked.directed(wire.REQUESTED, ciaddr=IPv4Address("10.9.0.10"))
    assert (answer.message, to, port) == ("ACK", "10.9.0.10", 68)


def test_a_node_that_moves_behind_a_relay_gives_up_its_address_here(leases):
    asked = owning(leases, BEHIND)
    asked(wire.REQUESTED, requested(FIRST))
    asked.directed(wire.REQUESTED, requested(IPv4Address("10.9.0.11")), giaddr=RELAY)
    assert leases.address(NODE.hex(":")) == "10.9.0.11"


def test_uefi_that_boots_by_http_is_told_a_url_and_that_it_is_meant(asked):
    asked.known[NODE.hex(":")] = KnownNode(BootFiles(uefi="u", uefi_http="http://10.0.0.1/u"))
    says = {wire.VENDOR_CLASS: b"HTTPClient:Arch:00016:UNDI:003001", wire.ARCHITECTURE: b"\0\x10"}
    offer = asked(wire.DISCOVER, says)
    assert (offer.file, offer.options[wire.VENDOR_CLASS]) == (b"http://10.0.0.1/u", b"HTTPClient")
    arm = says | {wire.ARCHITECTURE: b"\0\x13"}
    assert wire.VENDOR_CLASS not in asked(wire.DISCOVER, arm).options
