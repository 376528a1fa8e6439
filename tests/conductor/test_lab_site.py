"""A lab as a place of nodes."""

from uuid import UUID

import pytest

from bakery.bmc.access import IpmiAccess, RedfishAccess
from bakery.conductor import lab_site
from bakery.conductor.messages import StaticNetwork
from bakery.host.errors import BakeryError
from bakery.lab import state
from tests.cli.test_deploy import LAB


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.setattr(state, "load", lambda _folder: LAB)
    return lambda *names, **asked: lab_site.of_lab(tmp_path / "lab", names, **asked)


def test_its_nodes_are_taken_each_once_with_their_consoles(place, tmp_path):
    found = place("node-2", "2", "1")
    assert [spec.name for spec in found.nodes] == ["node-2", "node-1"]
    spec = found.nodes[0]
    assert spec.bmc == IpmiAccess("127.0.0.1", 623, "admin", "secret")
    assert (spec.uuid, spec.macs, spec.console) == (
        UUID(int=2), ("52:54:00:4c:00:02",), "/console",
    )  # fmt: skip
    assert (spec.firmware, spec.processor, spec.root_device) == ("bios", "x86_64", "")
    assert (found.interface, found.address, found.is_real) == ("lo", "192.0.2.1/24", False)
    assert found.journals == tmp_path / "lab-deploys" and found.neighbours == {}
    assert found.enter(["x"]) == LAB.enter(["x"])


def test_a_node_that_it_has_not_is_refused(place):
    with pytest.raises(BakeryError, match="no node '7'"):
        place("7")


def test_nodes_that_boot_from_media_have_drives_and_addresses_of_their_own(place, monkeypatch):
    monkeypatch.setattr(
        state.Lab, "redfish", lambda _lab, node: RedfishAccess(f"https://{node.name}")
    )
    found = place("2", "1", redfish=True)
    assert [spec.bmc for spec in found.nodes] == [
        RedfishAccess("https://node-2"),
        RedfishAccess("https://node-1"),
    ]
    assert [spec.network for spec in found.nodes] == [
        StaticNetwork("52:54:00:4c:00:02", "192.0.2.3/24"),
        StaticNetwork("52:54:00:4c:00:01", "192.0.2.2/24"),
    ]
    assert {spec.network for spec in place("1", "2").nodes} == {None}
