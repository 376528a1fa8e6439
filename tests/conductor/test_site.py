"""A place of nodes, whoever made it."""

from pathlib import Path
from uuid import UUID

import pytest

from bakery.bmc.access import IpmiAccess
from bakery.conductor.messages import NodeSpec
from bakery.conductor.site import Site, here

NODES = tuple(
    NodeSpec(f"r{n}", UUID(int=n), f"52:54:00:00:00:0{n}", IpmiAccess("127.0.0.1"), root_device="a")
    for n in (1, 2)
)


@pytest.fixture
def site(tmp_path):
    return Site(NODES, "eno2", "192.0.2.1/24", tmp_path, neighbours={"m": "r3"}, is_real=True)


def test_hints_of_a_command_are_for_all_its_nodes_and_nothing_else_changes(site):
    assert site.hinted("") is site
    hinted = site.hinted("size=1")
    assert [spec.root_device for spec in hinted.nodes] == ["size=1"] * 2
    assert (hinted.neighbours, hinted.is_real, hinted.address) == ({"m": "r3"}, True, site.address)


def test_this_machine_is_entered_by_nothing():
    words: list[str | Path] = ["a", Path("b")]
    assert here(words) == words


def test_power_is_asked_of_the_nodes_own_bmc_from_where_it_is_reached(tmp_path, monkeypatch):
    asked = []

    class Bmc:
        def power(self):
            return "on"

    def open_bmc(access, *, enter):
        asked.append((access, enter))
        return Bmc()

    monkeypatch.setattr("bakery.conductor.site.open_bmc", open_bmc)

    def enter(argv):
        return ["inside", *argv]

    place = Site(NODES, "eno2", "192.0.2.1/24", tmp_path, enter)
    assert place.power_of(NODES[0]) == "on"
    assert asked == [(NODES[0].bmc, enter)]
