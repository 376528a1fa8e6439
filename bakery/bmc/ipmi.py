"""A node's BMC over IPMI: any that speaks v2.0 (lanplus).

Every request is a process of its own (`ipmi_worker.py`), so that it ends in time whatever the BMC
does. Until then, what passes by itself is waited for: a BMC that is busy, is starting, has no free
session, or is slow to answer.
"""

import msgspec

from bakery.bmc.answer import Answer
from bakery.bmc.bmc import (
    SECONDS,
    SILENCE_SECONDS,
    Device,
    Enter,
    Firmware,
    Identity,
    NotOffered,
    Power,
)
from bakery.bmc.ipmi_worker import Request
from bakery.bmc.worker import Worker
from bakery.host.errors import BakeryError

PORT = 623
# RMCP+ has 20 bytes for a password and 16 for a name (IPMI v2.0, 13.20 and 22.30).
PASSWORD_LIMIT_BYTES = 20
NAME_LIMIT_BYTES = 16
REACH_HINT = "check address, port (623), cable, and that IPMI over LAN is enabled"
HINTS = {
    "refused": "check what its own web page or ipmitool says about the node",
    "unreachable": REACH_HINT,
    "no-answer": REACH_HINT,
}


class Bmc:
    """A node's BMC (`bakery.bmc.bmc.Bmc`) at an address.

    A request may take `seconds`, in which the BMC may be without an answer for `silence_seconds`.
    `firmware` is the node's: a BMC is told which one its next boot device is for. `enter` is for
    a BMC that is reached from another network; without it that is here.
    """

    def __init__(
        self,
        address: str,
        port: int = PORT,
        username: str = "",
        password: str = "",
        *,
        firmware: Firmware = "uefi",
        enter: Enter = lambda argv: argv,
        seconds: float = SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        if len(username.encode()) > NAME_LIMIT_BYTES:
            raise BakeryError(f"'{username}' is too long for a user of a BMC (16 bytes)")
        if len(password.encode()) > PASSWORD_LIMIT_BYTES:
            raise BakeryError("the BMC's password is longer than the 20 bytes IPMI has for it")
        self._access = Request(
            address,
            port,
            username,
            password,
            firmware=firmware,
            seconds=seconds,
            silence=silence_seconds,
        )
        self._worker = Worker("bakery.bmc.ipmi_worker", self.name, username, enter, HINTS)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the BMC at {self._access.address} port {self._access.port}"

    def power(self) -> Power:
        """Whether the node is on."""
        answer = self._do(self._access)
        if answer.power is None:
            raise BakeryError(f"{self.name} did not say whether the node is on")
        return answer.power

    def power_on(self) -> None:
        """Switch the node on and see that it is; nothing where it is on."""
        self._do(msgspec.structs.replace(self._access, power="on"))

    def power_off(self) -> None:
        """Take the node's power away and see that it is off; nothing where it is off."""
        self._do(msgspec.structs.replace(self._access, power="off"))

    def boot_from(self, device: Device, *, persistent: bool = False) -> None:
        """What the node's firmware tries first: at its next start, or from then on."""
        if device == "http":
            raise NotOffered(
                f"{self.name} cannot have the node boot over HTTP: IPMI has no such device",
                "boot it from the network, or name its Redfish address (redfish_address)",
            )
        self._do(msgspec.structs.replace(self._access, device=device, persistent=persistent))

    def insert_media(self, url: str) -> None:
        """Refused: IPMI has no virtual media."""
        raise self._no_media()

    def eject_media(self) -> None:
        """Refused: IPMI has no virtual media."""
        raise self._no_media()

    def identity(self) -> Identity:
        """The serial number in the inventory (FRU 0); IPMI tells no MAC of a node's own cards."""
        return Identity(self._do(msgspec.structs.replace(self._access, identify=True)).serial)

    def _no_media(self) -> NotOffered:
        return NotOffered(
            f"{self.name} has no virtual media that IPMI reaches",
            "name its Redfish address (redfish_address), or boot the node from the network",
        )

    def _do(self, request: Request) -> Answer:
        return self._worker.do(msgspec.json.encode(request), _asked(request), request.seconds)


def _asked(request: Request) -> str:
    if request.device:
        return f"boot from {request.device}"
    if request.identify:
        return "tell the node's serial number"
    return f"switch the node {request.power}" if request.power else "report the node's power"
