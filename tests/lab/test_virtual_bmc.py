"""What ipmitool is told by a BMC of the lab, and its node does, whose machine is a shell script."""

import socket
import subprocess
from types import SimpleNamespace

import msgspec
import pytest
from pyghmi.ipmi.private import session
from pyghmi.ipmi.private.session import Session

from bakery.bmc.ipmi_sockets import listen_to_itself, repair
from bakery.lab import virtual_bmc
from bakery.lab.virtual_bmc import (
    FAILED,
    INVALID_FIELD,
    NOT_IN_THIS_STATE,
    OK,
    PARAMETER_NOT_SUPPORTED,
    TOO_SHORT,
    ClientSession,
    VirtualBmc,
    begin,
    serve,
)
from tests.lab.machines import LISTENS, until

# IPMI v2.0, table 28-14: flags, and devices in bits 2 to 5.
VALID, PERSISTENT = 0x80, 0x40
NETWORK, DISK, CDROM, SETUP, FAR_CDROM = (number << 2 for number in (1, 2, 5, 6, 8))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def bmc(node, monkeypatch):
    monkeypatch.setattr(session, "_io_recvfrom", session._io_recvfrom)  # as it was, afterwards
    repair()
    listen_to_itself()
    node.bmc = msgspec.structs.replace(node.bmc, port=free_port())
    return VirtualBmc(node)


class Client:
    """What a session sends back."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []

    def send_ipmi_response(self, code: int = 0, data: object = b"") -> None:
        assert isinstance(data, list | bytes)
        self.answers.append((code, bytes(data)))


def ipmitool(bmc, *words, **changed):
    """What it prints; the BMC is served meanwhile."""
    access = {"user": "admin", "password": "secret", "cipher": "3"} | changed
    argv = ["ipmitool", "-I", "lanplus", "-H", "127.0.0.1", "-p", str(bmc.port), "-R", "1"]
    argv += ["-U", access["user"], "-P", access["password"], "-C", access["cipher"], *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            serve(0.01)
        assert process.stdout is not None
        return process.stdout.read().decode()


def test_ipmitool_switches_a_node_and_sees_it(bmc, node):
    assert ipmitool(bmc, "power", "status") == "Chassis Power is off\n"
    assert ipmitool(bmc, "power", "on") == "Chassis Power Control: Up/On\n"
    assert node.on
    assert ipmitool(bmc, "power", "status") == "Chassis Power is on\n"
    assert ipmitool(bmc, "power", "off") == "Chassis Power Control: Down/Off\n"
    assert not node.on


def test_ipmitool_sets_and_sees_what_is_tried_first(bmc, node):
    assert "Set Boot Device to pxe" in ipmitool(bmc, "chassis", "bootdev", "pxe")
    assert node.override == ("network", False)
    flags = ipmitool(bmc, "chassis", "bootparam", "get", "5")
    assert "Force PXE" in flags
    assert "PC Compatible (legacy)" in flags
    ipmitool(bmc, "chassis", "bootdev", "pxe", "options=efiboot")
    assert "BIOS EFI boot" in ipmitool(bmc, "chassis", "bootparam", "get", "5")
    ipmitool(bmc, "chassis", "bootdev", "cdrom")
    assert "Force Boot from CD/DVD" in ipmitool(bmc, "chassis", "bootparam", "get", "5")
    assert "Invalid data field" in ipmitool(bmc, "chassis", "bootdev", "bios")
    assert node.override == ("cd", False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"user": "root"}, "RAKP 2 message indicates an error : unauthorized name"),
        ({"password": "guess"}, "RAKP 2 HMAC is invalid"),
        ({"cipher": "17"}, "invalid authentication algorithm"),
    ],
)
def test_who_logs_in_is_told_what_is_wrong(bmc, wrong, words):
    assert words in ipmitool(bmc, "-v", "power", "status", **wrong)
    assert ipmitool(bmc, "power", "status") == "Chassis Power is off\n"


def test_a_session_ends_with_its_client(bmc):
    before = set(Session.bmc_handlers)
    for _ in range(2):
        assert ipmitool(bmc, "power", "status") == "Chassis Power is off\n"
    assert set(Session.bmc_handlers) == before


def test_a_nodes_own_number_is_its_bmcs(bmc, node):
    assert bmc.get_system_guid() == node.hardware.uuid


def test_power_is_as_the_node_has_it(bmc, node):
    assert (bmc.get_power_state(), bmc.power_on(), bmc.get_power_state()) == ("off", OK, "on")
    assert (bmc.power_off(), bmc.get_power_state(), node.on) == (OK, "off", False)


def test_only_a_node_that_is_on_is_restarted(bmc, node, machines):
    assert (bmc.power_cycle(), bmc.power_reset()) == (NOT_IN_THIS_STATE, NOT_IN_THIS_STATE)
    assert machines.asked == []
    node.power_on()
    first = node._process
    assert (bmc.power_cycle(), len(machines.asked), node.on) == (OK, 2, True)
    assert first is not None and first.poll() is not None
    second = node._process
    assert (bmc.power_reset(), bmc.power_shutdown()) == (OK, OK)
    until(lambda: "system_powerdown" in node._files.messages.read_text())
    assert "system_reset" in node._files.messages.read_text()
    assert node._process is second and node.on


def test_a_node_that_cannot_be_switched_on_is_told_with_its_fault(bmc, node, machines):
    node._files.disk.unlink()
    node._files.folder.rename(node._files.folder.with_name("away"))
    assert bmc.power_on() == FAILED
    assert "qemu.log" in node.record().fault
    node._files.folder.with_name("away").rename(node._files.folder)
    machines.script = LISTENS
    assert (bmc.power_on(), node.fault) == (OK, "")


@pytest.mark.parametrize(
    ("data", "code", "override"),
    [
        ([5, VALID, NETWORK], OK, ("network", False)),
        ([5, VALID | PERSISTENT, NETWORK], OK, ("network", True)),
        ([0x85, VALID, DISK, 0, 0, 0], OK, ("disk", False)),  # bit 7 of the parameter: its lock
        ([5, VALID, 0x80 | DISK], OK, ("disk", False)),
        ([5, VALID, 0], OK, (None, True)),
        ([5, PERSISTENT, NETWORK], OK, (None, True)),
        ([5, VALID, CDROM], OK, ("cd", False)),
        ([5, VALID | PERSISTENT, FAR_CDROM], OK, ("cd", True)),
        ([5, VALID, SETUP], INVALID_FIELD, ("disk", True)),
        ([5, VALID], TOO_SHORT, ("disk", True)),
        ([5], TOO_SHORT, ("disk", True)),
        ([], TOO_SHORT, ("disk", True)),
        ([0, 1], OK, ("disk", True)),
        ([4], OK, ("disk", True)),
        ([6, 1, 2], PARAMETER_NOT_SUPPORTED, ("disk", True)),
    ],
)
def test_what_is_to_be_tried_first_is_read_from_the_boot_flags(bmc, node, data, code, override):
    node.boot_from("disk", persistent=True)
    client = Client()
    bmc.set_system_boot_options({"data": bytearray(data)}, client)
    assert (client.answers, node.override) == ([(code, b"")], override)


@pytest.mark.parametrize(
    ("device", "persistent", "flags", "number"),
    [
        ("network", False, VALID, NETWORK),
        ("network", True, VALID | PERSISTENT, NETWORK),
        ("disk", True, VALID | PERSISTENT, DISK),
        (None, True, 0, 0),
    ],
)
def test_the_boot_flags_say_what_will_be_tried_first(bmc, node, device, persistent, flags, number):
    node.boot_from(device, persistent=persistent)
    client = Client()
    bmc.get_system_boot_options({"data": bytearray([5, 0, 0])}, client)
    bmc.get_system_boot_options({"data": bytearray([4, 0, 0])}, client)
    bmc.get_system_boot_options({"data": bytearray()}, client)
    known = (OK, bytes([1, 5, flags, number, 0, 0, 0]))
    assert client.answers == [known, *[(PARAMETER_NOT_SUPPORTED, b"")] * 2]


def open_session(*, authentication=1, integrity=1, confidentiality=1, length=32) -> bytes:
    """IPMI v2.0, 13.17: tag, privilege, a session id, and three payloads of 8 bytes."""
    head = bytes([9, 4, 0, 0]) + b"\x11\x22\x33\x44"
    chosen = (authentication, integrity, confidentiality)
    payloads = [bytes([kind, 0, 0, 8, number, 0, 0, 0]) for kind, number in enumerate(chosen)]
    return (head + b"".join(payloads))[:length]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (open_session(), 0),
        (open_session(authentication=3), 0x04),
        (open_session(integrity=4), 0x05),
        (open_session(confidentiality=0), 0x10),
        (open_session(authentication=3, confidentiality=0), 0x04),
        (open_session(length=31), 0x12),
        (b"", 0x12),
    ],
)
def test_a_client_that_asks_for_other_algorithms_is_told_which(request_, status, monkeypatch):
    sent: list[tuple[bytes, object]] = []
    begun: list[object] = []
    monkeypatch.setattr(virtual_bmc, "ClientSession", lambda *words, **_: begun.append(words[4]))
    link = SimpleNamespace(sendto=lambda packet, client: sent.append((packet, client)))
    own = SimpleNamespace(serversocket=link, authdata={}, kg=None, uuid=None)
    begin(own, request_, ("10.0.0.9", 4711))  # type: ignore[arg-type]
    if not status:
        assert (begun, sent) == ([request_], [])
        return
    answer = request_[:1] + bytes([status, 0, 0]) + request_[4:8]
    header = b"\x06\x00\xff\x07" + b"\x06\x11" + bytes(8) + bytes([len(answer), 0])
    assert (begun, sent) == ([], [(header + answer, ("10.0.0.9", 4711))])


@pytest.mark.parametrize(
    ("packet", "begins"),
    [
        (b"\x06\x00\xff\x07\x06\x10" + bytes(10) + open_session(), True),
        (b"\x06\x00\xff\x07\x06\x10" + bytes(10) + open_session(length=6), True),
        (b"\x06\x00\xff\x07\x06\x10" + bytes(10) + open_session(length=5), False),
        (b"\x06\x00\xff\x07\x06\x12" + bytes(10) + open_session(), False),
        (b"\x06\x00\xff\x07\x00\x10" + bytes(10) + open_session(), False),
        (b"", False),
    ],
)
def test_a_session_begins_with_the_packet_that_asks_for_one(bmc, monkeypatch, packet, begins):
    begun: list[object] = []
    monkeypatch.setattr(virtual_bmc, "begin", lambda *words: begun.append(words[1:]))
    bmc.sessionless_data(packet, ("127.0.0.1", 4711))
    assert begun == ([(packet[16:], ("127.0.0.1", 4711))] if begins else [])


def test_a_client_that_begins_anew_at_its_port_is_another_session(bmc):
    client = ("127.0.0.1", 4711)
    begin(bmc, open_session(), client)
    first = Session.bmc_handlers[client][bmc.port]
    assert isinstance(first, ClientSession)
    first._got_rmcp_openrequest(open_session())
    second = Session.bmc_handlers[client][bmc.port]
    assert second is not first
    second.close_server_session()
    assert client not in Session.bmc_handlers
    second.close_server_session()


def test_a_session_that_ends_leaves_those_of_other_bmcs(bmc):
    client = ("127.0.0.1", 4712)
    begin(bmc, open_session(), client)
    Session.bmc_handlers[client][1] = "another's"
    own = Session.bmc_handlers[client][bmc.port]
    own.forget()
    assert Session.bmc_handlers.pop(client) == {1: "another's"}
