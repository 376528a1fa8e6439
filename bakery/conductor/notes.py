"""What a person has to know of the wire while nodes are deployed, each thing said once."""

from bakery.conductor.messages import Request
from bakery.host.report import Report
from bakery.netboot.wire_events import Dhcp, DhcpRival, DhcpStranger, Event, Trouble


class Notes:
    """Takes the events of the servers, and notes what concerns a person in `report`."""

    def __init__(self, request: Request, report: Report) -> None:
        self._report = report
        self._neighbours = request.neighbours
        self._not_for_boot = {
            card.mac: spec.name for spec in request.nodes for card in spec.others if not card.boots
        }
        self._told: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Take one event; from any thread."""
        if isinstance(event, DhcpRival):
            self._report.note(
                f"another DHCP server answers on this network: {event.address}; nodes may boot "
                "by its answers",
                "dhcp",
            )
        elif isinstance(event, Trouble):
            self._report.note(event.reason, event.server.lower())
        elif isinstance(event, Dhcp) and event.firmware and event.mac in self._not_for_boot:
            name = self._not_for_boot[event.mac]
            self._once(
                event.mac,
                f"{event.mac} is booting, but is not a pxe_enabled port of {name}: "
                "check its firmware's boot order and its cabling",
            )
        elif isinstance(event, DhcpStranger) and event.mac in self._neighbours:
            name = self._neighbours[event.mac]
            self._once(
                event.mac,
                f"{event.mac} asks for an address and gets none: it is a card of {name}, which is "
                f"not deployed now. If nobody started it, some node's BMC address may be {name}'s",
            )

    def _once(self, mac: str, text: str) -> None:
        if mac not in self._told:
            self._told.add(mac)
            self._report.note(text, "dhcp")
