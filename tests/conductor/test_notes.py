"""What a person is told of the wire."""

from uuid import UUID

import pytest

from bakery.bmc.access import IpmiAccess
from bakery.conductor.messages import Card, NodeSpec, Request
from bakery.conductor.notes import Notes
from bakery.host.report import Event, Report
from bakery.netboot.wire_events import Dhcp, DhcpRival, DhcpStranger, Trouble

BOOT, SECOND, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"
NEIGHBOUR = "52:54:00:00:00:09"


@pytest.fixture
def told():
    """Takes an event of the wire; the notes so far."""
    said: list[Event] = []
    others = (Card(SECOND), Card(OTHER, boots=False))
    node = NodeSpec("r1", UUID(int=1), BOOT, IpmiAccess("127.0.0.1"), others=others)
    request = Request(
        nodes=(node,), build="", ramdisk="", interface="lo", address="192.0.2.1/24", state="",
        neighbours={NEIGHBOUR: "r2"},
    )  # fmt: skip
    notes = Notes(request, Report(said.append))

    def take(*events):
        for event in events:
            notes(event)
        return [event.text for event in said]

    return take


def test_another_server_and_trouble_are_told(told):
    first, second = told(DhcpRival("192.0.2.9", BOOT), Trouble("TFTP", "no room"))
    assert "192.0.2.9" in first and second == "no room"


def test_a_card_that_is_not_meant_to_boot_is_told_once_and_only_when_it_boots(told):
    assert told(Dhcp(OTHER, "DISCOVER"), Dhcp(SECOND, "DISCOVER", firmware="uefi")) == []
    (line,) = told(*[Dhcp(OTHER, "DISCOVER", firmware="uefi")] * 3)
    assert OTHER in line and "r1" in line and "pxe_enabled" in line


def test_a_node_of_the_file_that_is_not_deployed_is_told_by_its_name(told):
    assert told(DhcpStranger("52:54:00:ff:ff:ff")) == []
    (line,) = told(*[DhcpStranger(NEIGHBOUR)] * 2)
    assert NEIGHBOUR in line and "card of r2" in line and "BMC" in line
