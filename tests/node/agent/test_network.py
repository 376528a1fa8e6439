from collections.abc import Callable

import pytest

from bakery.node.agent import network
from bakery.node.agent.errors import AgentError
from bakery.node.agent.kernel_args import parse
from bakery.node.agent.network import interfaces, parse_lease
from bakery.node.agent.static import Address


def test_a_lease_is_read_from_what_udhcpc_gives():
    text = "ip=10.0.0.5\nsubnet=255.255.255.0\nrouter=10.0.0.1 10.0.0.2\nsiaddr=10.0.0.3\n"
    assert parse_lease(text) == Address("10.0.0.5", "10.0.0.3", "10.0.0.1", "255.255.255.0")


def test_without_a_boot_server_the_dhcp_server_is_asked_for_files():
    text = "ip=10.0.0.5\nsubnet=255.0.0.0\nsiaddr=0.0.0.0\ntftp=$(reboot)\nserverid=10.0.0.1\n"
    assert parse_lease(text) == Address("10.0.0.5", "10.0.0.1", "", "255.0.0.0")


def test_what_a_server_invents_is_no_lease():
    for text in ("", "ip=10.0.0.5", "subnet=255.0.0.0", "ip=a\nsubnet=255.0.0.0", "no\nlines"):
        assert parse_lease(text) is None


def test_interfaces_are_those_with_hardware_behind_them(tmp_path):
    for name, kind, hardware in (("eth0", 1, True), ("lo", 772, False), ("br0", 1, False)):
        base = tmp_path / "class/net" / name
        base.mkdir(parents=True)
        (base / "type").write_text(f"{kind}\n")
        (base / "address").write_text("52:54:00:AB:00:01\n")
        if hardware:
            (base / "device").mkdir()
    assert interfaces(str(tmp_path)) == {"eth0": "52:54:00:ab:00:01"}


@pytest.fixture
def commands(monkeypatch):
    """What was started; `network.call` carries out nothing."""
    words: list[list[str]] = []
    monkeypatch.setattr(
        network, "call", lambda argv, _seconds=0, *, check=True: words.append([*argv, str(check)])
    )
    return words


def card(sys, name, mac, carrier="1"):
    base = sys / "class/net" / name
    (base / "device").mkdir(parents=True)
    for file, text in (("type", "1"), ("address", mac), ("carrier", carrier)):
        (base / file).write_text(text + "\n")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.then: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(network, "time", clock)
    return clock


def test_the_card_that_was_booted_by_is_waited_for(tmp_path, commands, clock):
    card(tmp_path, "eth0", "52:54:00:00:00:01")
    card(tmp_path, "eth1", "52:54:00:00:00:02", carrier="0")
    clock.then = lambda: (tmp_path / "class/net/eth1/carrier").write_text("1\n")
    assert network.wait_for_interface("52:54:00:00:00:02", str(tmp_path)) == "eth1"
    assert commands == [["ip", "link", "set", "eth1", "up", "True"]] * 2


def test_where_no_card_was_named_the_first_with_a_cable_will_do(tmp_path, commands, clock):
    card(tmp_path, "eth0", "52:54:00:00:00:01", carrier="0")
    card(tmp_path, "eth1", "52:54:00:00:00:02")
    assert network.wait_for_interface("", str(tmp_path)) == "eth1"


@pytest.mark.parametrize(
    ("cards", "mac", "words"),
    [
        ([], "", "the node has no network interface that a driver in this ramdisk knows"),
        ([], "m1", "the node has no network interface that a driver in this ramdisk knows"),
        (["m1"], "m2", "no network interface has the address m2; there are: eth0 m1"),
        (["m1", "m2"], "m1", "no link on eth0, eth1"),
        (["m1"], "", "no link on eth0"),
    ],
)
def test_why_there_is_no_network_is_told(tmp_path, commands, clock, cards, mac, words):
    (tmp_path / "class/net").mkdir(parents=True)
    for number, own in enumerate(cards):
        card(tmp_path, f"eth{number}", own, carrier="0")
    with pytest.raises(AgentError) as told:
        network.wait_for_interface(mac, str(tmp_path))
    assert str(told.value) == words
    assert clock.now == pytest.approx(160, abs=2 * network.POLL_SECONDS)


def test_an_address_is_asked_for_anew(tmp_path, monkeypatch):
    file = tmp_path / "lease"
    monkeypatch.setattr(network, "LEASE_FILE", str(file))
    file.write_text("ip=10.0.0.9\nsubnet=255.0.0.0\n")

    def udhcpc(argv, seconds, *, check):
        assert (argv[:3], check, file.exists()) == (["udhcpc", "-i", "eth0"], False, False)
        assert seconds == network.LEASE_SECONDS
        file.write_text("ip=10.0.0.5\nsubnet=255.0.0.0\n")

    monkeypatch.setattr(network, "call", udhcpc)
    assert network.lease("eth0") == Address("10.0.0.5", "", "", "255.0.0.0")
    file.unlink()
    monkeypatch.setattr(network, "call", lambda *_, **__: None)
    with pytest.raises(AgentError, match="no DHCP server gave eth0 an address"):
        network.lease("eth0")


@pytest.mark.parametrize(
    ("gateway", "routed"), [("10.0.0.1", True), ("", False), ("10.0.0.5", False)]
)
def test_the_card_gets_its_address_and_the_way_out_where_there_is_one(commands, gateway, routed):
    network.configure("eth0", Address("10.0.0.5", "", gateway, "255.0.0.0"))
    address = [
        "ip",
        "address",
        "add",
        "10.0.0.5/255.0.0.0",
        "broadcast",
        "+",
        "dev",
        "eth0",
        "True",
    ]
    assert commands[:2] == [["ip", "address", "flush", "dev", "eth0", "True"], address]
    route = ["ip", "route", "replace", "default", "via", "10.0.0.1", "False"]
    assert commands[2:] == ([route] if routed else [])


@pytest.mark.parametrize("told", [True, False])
def test_the_address_of_the_boot_is_taken_and_asked_for_where_there_is_none(
    commands, monkeypatch, capsys, told
):
    own, leased = (
        Address("10.0.0.5", "", "", "255.0.0.0"),
        Address("10.0.0.6", "10.0.0.1", "", "255.0.0.0"),
    )
    monkeypatch.setattr(network, "wait_for_interface", lambda mac: f"card-{mac}")
    monkeypatch.setattr(network, "lease", lambda _card: leased)
    settings = parse("BOOTIF=01-52-54-00-00-00-01")._replace(address=own if told else None)
    found = network.bring_up(settings)
    card = "card-52:54:00:00:00:01"
    assert found == ((card, "10.0.0.5", "") if told else (card, "10.0.0.6", "10.0.0.1"))
    assert commands[0] == ["ip", "link", "set", "lo", "up", "True"]
    assert commands[1] == ["ip", "address", "flush", "dev", card, "True"]
    assert f"server {'unknown' if told else '10.0.0.1'}" in capsys.readouterr().out


def test_a_card_in_a_vlan_is_used_by_that(commands, monkeypatch, tmp_path):
    monkeypatch.setattr(network, "wait_for_interface", lambda _mac: "eth0")
    monkeypatch.setattr(network, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    settings = parse("ip=10.0.0.5:::24::::10.0.0.2:10.0.0.3 bakery_vlan=7")
    assert network.bring_up(settings) == ("vlan7", "10.0.0.5", "")
    link = ["ip", "link", "add", "link", "eth0", "name", "vlan7", "type", "vlan", "id", "7", "True"]
    assert commands[1:4] == [
        ["modprobe", "8021q", "False"],
        link,
        ["ip", "link", "set", "vlan7", "up", "True"],
    ]
    assert all("vlan7" in words for words in commands[4:])
    named = "nameserver 10.0.0.2\nnameserver 10.0.0.3\n"
    assert (tmp_path / "resolv.conf").read_text() == named


def test_without_dns_servers_nothing_is_said_of_them(commands, monkeypatch, tmp_path):
    monkeypatch.setattr(network, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    network.ask(())
    assert not (tmp_path / "resolv.conf").exists()


def test_a_network_that_cannot_be_meant_is_refused_before_anything_is_touched(commands):
    with pytest.raises(AgentError, match=r"ip= has '' where a netmask should be"):
        network.bring_up(parse("ip=10.0.0.5"))
    assert commands == []
