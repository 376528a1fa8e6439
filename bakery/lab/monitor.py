"""QEMU's monitor (QMP), as far as a node needs it: orders are sent, events are read, none waits.

Source: QEMU's docs/interop/qmp-spec.txt and qapi/run-state.json. QEMU carries out orders one
after the other, so they can be sent before its greeting has come.
"""

import contextlib
import json
import socket

READ_BYTES = 64 << 10
# QEMU's lines are short; one without end is dropped.
LINE_LIMIT_BYTES = 1 << 20


class Monitor:
    """The keeper's end of one QEMU's monitor; `guest` is the end QEMU inherits."""

    def __init__(self) -> None:
        self._host, self.guest = socket.socketpair()
        self._host.settimeout(0)
        self._open_line = b""
        self._order("qmp_capabilities")

    def close(self) -> None:
        """End the connection."""
        self._host.close()
        self.guest.close()

    def boot_index(self, device: str, index: int) -> None:
        """Where a device stands in the boot order, from the next restart on."""
        place = f"/machine/peripheral/{device}"
        self._order("qom-set", path=place, property="bootindex", value=index)

    def reset(self) -> None:
        """Restart the machine at once."""
        self._order("system_reset")

    def press_power_button(self) -> None:
        """Ask the guest to switch the machine off (ACPI)."""
        self._order("system_powerdown")

    def events(self) -> list[str]:
        """The names of the events that have come since the last call."""
        with contextlib.suppress(OSError):
            while piece := self._host.recv(READ_BYTES):
                self._open_line += piece
        *lines, rest = self._open_line.split(b"\n")
        self._open_line = rest if len(rest) <= LINE_LIMIT_BYTES else b""
        return [name for line in lines if (name := _event(line))]

    def _order(self, name: str, **arguments: object) -> None:
        order = json.dumps({"execute": name, "arguments": arguments})
        with contextlib.suppress(OSError):  # a QEMU that is gone, or stuck: its state will tell
            self._host.send(order.encode() + b"\n")


def _event(line: bytes) -> str:
    try:
        message = json.loads(line)
    except ValueError:
        return ""
    name = message.get("event", "") if isinstance(message, dict) else ""
    return name if isinstance(name, str) else ""
