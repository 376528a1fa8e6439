"""Machines that ask and are no node of a nodes file: who they are, by what they say themselves."""

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.wire_events import DhcpStranger, readable

KEPT = 256
SHOWN = 8


def stranger(packet: Packet) -> DhcpStranger:
    """The event of a machine that gets no answer."""
    vendor = readable(packet.options.get(wire.VENDOR_CLASS, b""))
    architecture = next(iter(packet.architectures), -1)
    return DhcpStranger(packet.mac_text, vendor, architecture)


class Strangers:
    """Those that were heard, each once, KEPT of them at most; any thread may add one."""

    def __init__(self) -> None:
        self._heard: dict[str, DhcpStranger] = {}
        self._more = False

    def add(self, event: DhcpStranger) -> None:
        """Keep one; who says more of itself than before is kept as that."""
        before = self._heard.get(event.mac)
        if before is None and len(self._heard) >= KEPT:
            self._more = True
        elif before is None or not before.vendor:
            self._heard[event.mac] = event

    def words(self) -> str:
        """A line that counts and names them, those that boot over the network first; or empty."""
        heard = sorted(self._heard.values(), key=lambda event: (not event.vendor, event.mac))
        if not heard:
            return ""
        listed = [f"{e.mac} ({e.vendor})" if e.vendor else e.mac for e in heard[:SHOWN]]
        more = f", and {len(heard) - SHOWN} more" if len(heard) > SHOWN else ""
        count = f"more than {KEPT}" if self._more else str(len(heard))
        asked = "machine asked" if count == "1" else "machines asked"
        not_named = "is no node of this deploy" if count == "1" else "are no nodes of this deploy"
        return (
            f"{count} {asked} for an address or boot file, {not_named}, and got no answer "
            f"from here: {', '.join(listed)}{more}"
        )
