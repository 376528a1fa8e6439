"""A program of its own: one request to one BMC, made by pyghmi.

    python3 -P -m bakery.bmc.ipmi_worker < REQUEST > ANSWER

pyghmi answers from its own threads, and keeps sessions in globals; as a process it can be bounded,
and requests to many BMCs do not meet. What passes by itself (a BMC that is busy, is starting, or
has no free session) is tried again for as long as the request may take. Source: IPMI v2.0
rev. 1.1, 28.2 Get Chassis Status, 28.3 Chassis Control, 28.12 Set System Boot Options, table 28-14.
"""

import sys
import time
from typing import TYPE_CHECKING

from bakery.bmc.answer import Answer, Failure, serve
from bakery.bmc.bmc import Device, Firmware, Power
from bakery.bmc.ipmi_fru import product_serial
from bakery.bmc.ipmi_sockets import repair
from bakery.bmc.masked import Masked

if TYPE_CHECKING:
    from bakery.bmc.ipmi_session import Pace, Session

CHASSIS, STORAGE = 0x00, 0x0A
GET_STATUS = 0x01
CONTROL = 0x02
SET_BOOT_OPTIONS = 0x08
CONTROLS = {"off": 0, "on": 1}
VALID_BIT_CLEARING, BOOT_FLAGS = 3, 5
# With it the BMC does not forget the boot flags where the node starts more than a minute later.
NOT_AFTER_A_MINUTE = 0x08
FLAGS_VALID, FLAGS_PERSISTENT, FLAGS_EFI = 0x80, 0x40, 0x20
DEVICES = {"network": 0x04, "disk": 0x08, "cd": 0x14}
ASK_AGAIN_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0


class Request(Masked, frozen=True):
    """What is asked of the BMC at an address.

    With `power` the node is switched on or off and waited for; with `device` its next boot device
    is set, for the `firmware` it has; with `identify` its serial number is read; with none of
    them its power is asked. It may take `seconds` in all, and the BMC may be silent for `silence`
    of them.
    """

    address: str
    port: int
    username: str
    password: str
    power: Power | None = None
    device: Device | None = None
    persistent: bool = False
    firmware: Firmware = "uefi"
    identify: bool = False
    seconds: float = 120.0
    silence: float = 30.0


def perform(request: Request) -> Answer:
    """Log in, do what is asked, log out; all of it again while what is in the way may pass."""
    from bakery.bmc.ipmi_session import Pace

    repair()
    pace, pause = Pace(request.seconds, request.silence), ASK_AGAIN_SECONDS
    while True:
        try:
            return _tried(request, pace)
        except Failure as failure:
            if failure.kind == "no-answer":
                pace.missed()
            if not _may_pass(failure, pace):
                return failure.answer()
            if failure.kind == "busy":
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _may_pass(failure: Failure, pace: "Pace") -> bool:
    if pace.is_over:
        return False
    return failure.kind == "busy" or (failure.kind == "no-answer" and not pace.is_silent)


def _tried(request: Request, pace: "Pace") -> Answer:
    session = _log_in(request, pace)
    try:
        if request.device:
            _boot_from(session, request, pace)
            return Answer()
        if request.identify:
            return Answer(serial=_serial(session, pace))
        if request.power:
            _switch(session, request.power, pace)
        return Answer(_power(session, pace))
    finally:
        session.logout(sessionok=False)


def _log_in(request: Request, pace: "Pace") -> "Session":
    from pyghmi.exceptions import IpmiException

    from bakery.bmc.ipmi_codes import login_passes
    from bakery.bmc.ipmi_session import Session

    try:
        return Session(request.address, request.port, request.username, request.password, pace)
    except IpmiException as error:
        words = str(error)
    except OSError as error:
        # The name has no address, or there is no way to it.
        raise Failure("unreachable", error.strerror or str(error)) from None
    # Without an answer pyghmi has nothing to say.
    if words in ("", "None", "timeout", "Session failed to initialize"):
        raise Failure("no-answer")
    raise Failure("busy" if login_passes(words) else "denied", words)


def _switch(session: "Session", power: Power, pace: "Pace") -> None:
    if _power(session, pace) == power:
        return
    _ask(session, CHASSIS, CONTROL, [CONTROLS[power]], pace)
    while _power(session, pace) != power:
        if pace.is_over:
            raise Failure("late")
        time.sleep(ASK_AGAIN_SECONDS)


def _power(session: "Session", pace: "Pace") -> Power:
    state = _ask(session, CHASSIS, GET_STATUS, [], pace)
    if not state:
        raise Failure("refused", "an empty answer")
    return "on" if state[0] & 1 else "off"


def _boot_from(session: "Session", request: Request, pace: "Pace") -> None:
    """Set the boot flags. A BMC that forgets them after a minute whatever it is told may do so."""
    assert request.device
    try:
        _ask(session, CHASSIS, SET_BOOT_OPTIONS, [VALID_BIT_CLEARING, NOT_AFTER_A_MINUTE], pace)
    except Failure as failure:
        if failure.kind != "refused":
            raise
    flags = FLAGS_VALID | (FLAGS_PERSISTENT if request.persistent else 0)
    flags |= FLAGS_EFI if request.firmware == "uefi" else 0
    data = [BOOT_FLAGS, flags, DEVICES[request.device], 0, 0, 0]
    _ask(session, CHASSIS, SET_BOOT_OPTIONS, data, pace)


def _serial(session: "Session", pace: "Pace") -> str | None:
    """The machine's serial number; None where the BMC keeps no inventory, or no number in it."""
    try:
        return product_serial(lambda command, data: _ask(session, STORAGE, command, data, pace))
    except Failure as failure:
        if failure.kind == "refused":
            return None
        raise


def _ask(session: "Session", function: int, command: int, data: list[int], pace: "Pace") -> bytes:
    """A command's answer, behind its completion code; given again while that may pass."""
    from pyghmi.exceptions import IpmiException
    from pyghmi.ipmi.private.util import get_ipmi_error

    from bakery.bmc.ipmi_codes import OK, passes

    while True:
        try:
            answer = session.raw_command(netfn=function, command=command, data=data)
        except IpmiException as error:
            raise Failure("no-answer", str(error)) from None
        code = answer["code"]
        if code == OK:
            return bytes(answer["data"])
        if answer.get("error") == "timeout":
            raise Failure("no-answer")
        passing = passes(function + 1, command, code)
        if not passing or pace.is_over:
            words = f"{get_ipmi_error(answer)} ({code:02X}h)"
            raise Failure("busy" if passing else "refused", words)
        time.sleep(ASK_AGAIN_SECONDS)


def main() -> int:
    """Read an order, write its answer; the exit code is 0 whatever the answer is."""
    serve(Request, perform)
    return 0


if __name__ == "__main__":
    sys.exit(main())
