"""Whose an address is, and what speaks DHCP for it, by who gives the addresses."""

from contextlib import AbstractContextManager
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from bakery.conductor import network
from bakery.conductor.messages import Network
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.netboot.dhcp import DhcpServer, Wire
from bakery.netboot.dhcp_watch import DhcpWatch

WIRE = Wire("eth0", IPv4Interface("192.0.2.1/24"))
NODE, OTHER = "52:54:00:4c:00:01", "52:54:00:4c:00:02"
HERE, ELSEWHERE = "192.0.2.130", "198.51.100.7"
SITE = IPv4Address("192.0.2.66")


def opened(*words: Any) -> AbstractContextManager[Any]:
    """The network, and what is in it."""
    return network.opened(*words)


@pytest.fixture
def answers(monkeypatch):
    """What a look for other servers finds, and how long it was to take."""
    found: dict[str, Any] = {"server": None, "asked": []}

    def answering(interface, own, seconds):
        found["asked"].append((interface, own, seconds))
        return found["server"]

    monkeypatch.setattr("bakery.netboot.dhcp_probe.answering", answering)
    return found


@pytest.fixture
def table(monkeypatch):
    """The kernel's neighbours: address and interface, and whose they are."""
    found: dict[tuple[str, str], str] = {}

    def holder(address, interface):
        return found.get((address, interface), "")

    monkeypatch.setattr("bakery.netboot.neighbours.holder", holder)
    return found


def kinds(addresses) -> list[type]:
    return [type(one) for one in addresses.servers(lambda _: None, lambda _: None)]


def test_own_addresses_are_whose_lease_they_are(tmp_path, answers):
    with opened(Network(), WIRE, tmp_path, silent()) as addresses:
        assert kinds(addresses) == [DhcpServer]
        assert not addresses.holds(NODE, HERE) and not addresses.holds(NODE, "")
        assert addresses._leases.bind(NODE, IPv4Address(HERE))
        assert addresses.holds(NODE, HERE) and not addresses.holds(OTHER, HERE)
        assert addresses.one_holds([OTHER, NODE], HERE)
        assert not addresses.one_holds([OTHER], HERE)
        addresses.seen(HERE)
        assert not addresses._leases.release(NODE, IPv4Address(HERE)), "it is in use"
    assert answers["asked"] == [], "a lab's wire has nobody else"
    assert (tmp_path / "leases-eth0.jsonl").exists()


def test_the_ranges_and_what_nodes_are_told_are_the_requests(tmp_path):
    ranges = ("192.0.2.40-192.0.2.41", "10.9.0.10-10.9.0.20/24")
    told: Any = {"gateway": "192.0.2.254", "dns": ("192.0.2.3",), "ntp": ("192.0.2.4",)}
    with opened(Network(ranges=ranges, **told), WIRE, tmp_path, silent()) as addresses:
        assert addresses._leases.offer(NODE) == IPv4Address("192.0.2.40")
        mode = addresses._mode
        assert str(mode._subnets[0].router) == "192.0.2.254"
        assert [str(s.network) for s in mode._subnets] == ["192.0.2.0/24", "10.9.0.0/24"]
        assert [str(*servers) for servers in mode._servers.values()] == ["192.0.2.3", "192.0.2.4"]


@pytest.mark.parametrize("change", [{"gateway": "x"}, {"dns": ("1.2.3",)}, {"ranges": ("x",)}])
def test_what_is_no_address_is_refused_before_anybody_is_asked(tmp_path, answers, change):
    asked = Network(look_seconds=3.0, **change)
    with pytest.raises(BakeryError), opened(asked, WIRE, tmp_path, silent()):
        pass
    assert answers["asked"] == []


def test_no_addresses_are_given_out_beside_another_server(tmp_path, answers):
    answers["server"] = SITE
    with (
        pytest.raises(BakeryError, match=r"answers on eth0: 192\.0\.2\.66") as caught,
        opened(Network(look_seconds=3.0), WIRE, tmp_path, silent()),
    ):
        pass
    assert "--dhcp proxy" in caught.value.hint
    assert answers["asked"] == [("eth0", WIRE.address, 3.0)]
    assert list(tmp_path.iterdir()) == [], "nothing was changed"


@pytest.mark.parametrize(("server", "noted"), [(SITE, False), (None, True)])
def test_a_proxy_needs_a_server_that_gives_addresses(tmp_path, answers, server, noted):
    answers["server"] = server
    events: list[Event] = []
    with opened(
        Network(dhcp="proxy", look_seconds=3.0), WIRE, tmp_path, Report(events.append)
    ) as addresses:
        assert kinds(addresses) == [DhcpServer]
    notes = [event.text for event in events if event.kind == "note"]
    assert any("no DHCP server answers on eth0" in note for note in notes) == noted


def test_the_sites_addresses_are_whose_frames_go_to_on_this_wire(tmp_path, answers, table):
    table |= {(HERE, "eth0"): NODE, ("192.0.2.131", "eth1"): NODE, (ELSEWHERE, "eth0"): NODE}
    for dhcp in ("proxy", "off"):
        with opened(Network(dhcp=dhcp), WIRE, tmp_path, silent()) as addresses:
            assert addresses.holds(NODE, HERE) and not addresses.holds(OTHER, HERE)
            assert not addresses.holds(NODE, "192.0.2.131"), "that is another interface"
            assert not addresses.holds(NODE, "192.0.2.132")
            assert not addresses.holds(NODE, ELSEWHERE), "it is not on this network"
            assert not addresses.holds("", "192.0.2.132"), "nobody's is no node's"
            assert addresses.one_holds({OTHER, NODE}, HERE)
            assert not addresses.one_holds({OTHER}, HERE)
            addresses.seen(HERE)
    assert answers["asked"] == []


def test_of_a_node_behind_a_router_a_proxy_believes_what_its_relay_brought(tmp_path, table):
    with opened(Network(dhcp="proxy"), WIRE, tmp_path, silent()) as addresses:
        addresses._mode.claimed |= {NODE: ELSEWHERE, OTHER: HERE}
        assert addresses.holds(NODE, ELSEWHERE) and not addresses.holds(OTHER, ELSEWHERE)
        assert addresses.one_holds({OTHER, NODE}, ELSEWHERE)
        assert not addresses.holds(OTHER, HERE), "of those here the table tells"


def test_off_it_only_listens(tmp_path, answers):
    with opened(Network(dhcp="off", look_seconds=3.0), WIRE, tmp_path, silent()) as addresses:
        assert kinds(addresses) == [DhcpWatch]
    assert answers["asked"] == []
