"""A program of its own: one request to one BMC, made by pyghmi.

    python3 -P -m bakery.bmc.ipmi_worker < REQUEST > ANSWER

pyghmi may wait without end, answers from its own threads, and keeps sessions in globals; as a
process it can be bounded, and requests to many BMCs do not meet. Source: IPMI v2.0 rev. 1.1, 28.2
Get Chassis Status, 28.3 Chassis Control.
"""

import sys
import time
from typing import TYPE_CHECKING, Literal

import msgspec

from bakery.bmc.ipmi_sockets import repair

if TYPE_CHECKING:
    from pyghmi.ipmi.command import Command

CHASSIS = 0x00
GET_STATUS = 0x01
CONTROL = 0x02
CONTROLS = {"off": 0, "on": 1}
DEVICES = {"network": "network", "disk": "hd"}
ASK_AGAIN_SECONDS = 1.0

Power = Literal["on", "off"]
Device = Literal["network", "disk"]
Kind = Literal["", "no-answer", "denied", "refused", "late"]


class Request(msgspec.Struct, frozen=True):
    """What is asked of the BMC at an address.

    With `power` the node is switched on or off and waited for, `seconds` at most; with `device`
    its next boot device is set; with neither its power is asked.
    """

    address: str
    port: int
    username: str
    password: str
    power: Power | None = None
    device: Device | None = None
    persistent: bool = False
    seconds: float = 60.0


class Answer(msgspec.Struct, frozen=True):
    """The node's power, or what kind of failure it was, with the BMC's own words for it."""

    power: Power | None = None
    kind: Kind = ""
    words: str = ""


class Failure(Exception):
    """The order was not carried out."""

    def __init__(self, kind: Kind, words: str = "") -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words


def perform(request: Request) -> Answer:
    """Log in, do what is asked, log out."""
    try:
        command = _log_in(request)
        if request.device:
            _boot_from(command, request.device, persistent=request.persistent)
            return Answer()
        if request.power:
            _switch(command, request.power, request.seconds)
        return Answer(_power(command))
    except Failure as failure:
        return Answer(kind=failure.kind, words=failure.words)


def _log_in(request: Request) -> "Command":
    from pyghmi.exceptions import IpmiException
    from pyghmi.ipmi.command import Command

    repair()
    try:
        return Command(
            bmc=request.address,
            port=request.port,
            userid=request.username,
            password=request.password,
        )
    except IpmiException as error:
        words = str(error)
        # Without an answer pyghmi has nothing to say.
        silent = words in ("", "None", "timeout", "Session failed to initialize")
        raise Failure("no-answer" if silent else "denied", "" if silent else words) from None
    except OSError as error:
        raise Failure("no-answer", error.strerror or str(error)) from None


def _switch(command: "Command", power: Power, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    if _power(command) == power:
        return
    _ask(command, CONTROL, [CONTROLS[power]])
    while _power(command) != power:
        if time.monotonic() >= deadline:
            raise Failure("late")
        time.sleep(ASK_AGAIN_SECONDS)


def _power(command: "Command") -> Power:
    state = _ask(command, GET_STATUS, [])
    if not state:
        raise Failure("refused", "an empty answer")
    return "on" if state[0] & 1 else "off"


def _boot_from(command: "Command", device: Device, *, persistent: bool) -> None:
    from pyghmi.exceptions import IpmiException

    try:
        command.set_bootdev(DEVICES[device], persist=persistent)
    except IpmiException as error:
        raise _refusal(str(error)) from None


def _ask(command: "Command", number: int, data: list[int]) -> bytes:
    """A chassis command's answer, behind its completion code."""
    from pyghmi.exceptions import IpmiException

    try:
        response = command.raw_command(netfn=CHASSIS, command=number, data=data)
    except IpmiException as error:
        raise _refusal(str(error)) from None
    if "error" in response:
        raise _refusal(str(response["error"]))
    return bytes(response["data"])


def _refusal(words: str) -> Failure:
    lost = words in ("timeout", "Session no longer connected")
    return Failure("no-answer" if lost else "refused", words)


def main() -> int:
    """Read an order, write its answer; the exit code is 0 whatever the answer is."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    sys.stdout.buffer.write(msgspec.json.encode(perform(request)))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
