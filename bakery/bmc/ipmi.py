"""A node's BMC over IPMI: any that speaks v2.0 (lanplus).

Every request is a process of its own (`ipmi_worker.py`), so that it ends in time whatever the BMC
does. Until then, what passes by itself is waited for: a BMC that is busy, is starting, has no free
session, or is slow to answer.
"""

import sys

import msgspec

from bakery.bmc.bmc import SECONDS, SILENCE_SECONDS, Device, Enter, Firmware, Identity, Power
from bakery.bmc.ipmi_worker import Answer, Request
from bakery.host.errors import BakeryError
from bakery.host.run import Arg, CommandFailed, run

PORT = 623
# For the program that asks to start, and to see that its time is over; the machine may be busy.
START_SECONDS = 15.0
# RMCP+ has 20 bytes for a password and 16 for a name (IPMI v2.0, 13.20 and 22.30).
PASSWORD_LIMIT_BYTES = 20
NAME_LIMIT_BYTES = 16
ANSWER_LIMIT_BYTES = 64 << 10


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
        self._enter = enter

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
            raise BakeryError(
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

    def _no_media(self) -> BakeryError:
        return BakeryError(
            f"{self.name} has no virtual media that IPMI reaches",
            "name its Redfish address (redfish_address), or boot the node from the network",
        )

    def _do(self, request: Request) -> Answer:
        """Have an order carried out. It is given on standard input: it holds the password."""
        words: list[Arg] = [sys.executable, "-P", "-m", "bakery.bmc.ipmi_worker"]
        seconds = request.seconds + START_SECONDS
        try:
            done = run(
                self._enter(words),
                stdin=msgspec.json.encode(request),
                timeout=seconds,
                output_limit=ANSWER_LIMIT_BYTES,
                name="bakery.bmc.ipmi_worker",
            )
            answer = msgspec.json.decode(done.stdout, type=Answer)
        except CommandFailed as error:
            if error.returncode > 0:
                raise BakeryError(f"{self.name} cannot be talked to: {error.message}") from None
            raise self._failure(Answer(kind="no-answer"), request) from None
        except (msgspec.DecodeError, RecursionError):
            raise self._failure(Answer(kind="no-answer"), request) from None
        if answer.kind:
            raise self._failure(answer, request)
        return answer

    def _failure(self, answer: Answer, request: Request) -> BakeryError:
        words = f": {answer.words}" if answer.words else ""
        if answer.kind == "denied":
            return BakeryError(
                f"{self.name} denies login as '{request.username}'{words}",
                "check the user's name, password and privilege (administrator or operator)",
            )
        if answer.kind == "refused":
            return BakeryError(
                f"{self.name} refuses to {_asked(request)}{words}",
                "check what its own web page or ipmitool says about the node",
            )
        if answer.kind == "busy":
            return BakeryError(
                f"{self.name} was not ready to {_asked(request)} "
                f"within {request.seconds:g} s{words}",
                "wait until it is; close the sessions that others hold, or restart the BMC",
            )
        if answer.kind == "late":
            return BakeryError(
                f"{self.name} did not {_asked(request)} within {request.seconds:g} s",
                "look at the node; then try again",
            )
        what = "cannot be reached" if answer.kind == "unreachable" else "does not answer"
        return BakeryError(
            f"{self.name} {what}{words}",
            "check address, port (623), cable, and that IPMI over LAN is enabled",
        )


def _asked(request: Request) -> str:
    if request.device:
        return f"boot from {request.device}"
    if request.identify:
        return "tell the node's serial number"
    return f"switch the node {request.power}" if request.power else "report the node's power"
