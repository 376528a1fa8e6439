"""A program of its own: one request to one BMC over Redfish, made by sushy.

    python3 -P -m bakery.bmc.redfish_worker < REQUEST > ANSWER

As a process it can be bounded, and run on another network than bakery. Its session at the BMC is
closed before it ends, asked to or not: BMCs have few, and keep a forgotten one for half an hour.
Source: DSP0266 (Redfish Specification); DSP8010, ComputerSystem.
"""

import contextlib
import logging
import math
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Literal, NoReturn

from bakery.bmc.answer import Answer, Failure, serve
from bakery.bmc.bmc import NO_NUMBER, Device, Firmware, Power
from bakery.bmc.masked import MASK, Masked
from bakery.host.printable import printable

if TYPE_CHECKING:
    from sushy.main import Sushy
    from sushy.resources.system.system import System

    from bakery.bmc.redfish_link import Link
    from bakery.bmc.redfish_wire import Pace, Wire

# An order that a BMC has taken and not followed is given again after so long.
ORDER_AGAIN_SECONDS = 30.0
CARDS_LIMIT = 64
WORDS_LIMIT = 300
MAC_CHARACTERS = 17

Order = Literal["power", "on", "off", "boot", "insert", "eject", "identify"]


class Request(Masked, frozen=True):
    """What is asked of the BMC at `origin`, a URL's scheme, host and port.

    `system` is the path of the node's system; empty where it is the only one. `verify` is true,
    false or a path, as requests has it. `device`, `persistent` and `firmware` are for the order
    to boot, `url` is for media. It may take `seconds` in all, and the BMC may be silent for
    `silence` of them.
    """

    order: Order
    origin: str
    system: str
    username: str
    password: str
    verify: bool | str
    auth_type: Literal["auto", "basic", "session"]
    device: Device = "network"
    persistent: bool = False
    firmware: Firmware = "uefi"
    url: str = ""
    seconds: float = 120.0
    silence: float = 30.0


def perform(request: Request) -> Answer:
    """Log in, do what is asked, log out."""
    from sushy.exceptions import HTTPError, SushyError

    from bakery.bmc.redfish_link import Link
    from bakery.bmc.redfish_wire import Pace, Wire

    pace = Pace(request.seconds, request.silence)
    waits = request.auth_type == "session"
    wire = Wire(request.origin, pace, waits_for_session=waits, secret=request.password)
    link = Link(request.origin, wire, pace, verify=request.verify)
    try:
        with _session(request, link, wire) as root:
            return _answer(request, root, link, pace)
    except Failure as failure:
        return _masked(failure, request)
    except HTTPError as error:
        return _masked(_refusal(error), request)
    except SushyError as error:
        return _masked(Failure("refused", f"its answer makes no sense ({error})"), request)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return Answer(kind="refused", words="its answer makes no sense")


def _masked(failure: Failure, request: Request) -> Answer:
    """What is told of it; a service may say a password back, in a task's messages too."""
    words = failure.words.replace(request.password, MASK) if request.password else failure.words
    return Answer(kind=failure.kind, words=printable(words, WORDS_LIMIT), hint=failure.hint)


@contextlib.contextmanager
def _session(request: Request, link: "Link", wire: "Wire") -> Iterator["Sushy"]:
    """The service's root, logged in for the length of the `with` block."""
    from sushy import auth
    from sushy.exceptions import AccessError, SushyError
    from sushy.main import Sushy

    logins: list[auth.AuthBase] = []
    if request.auth_type in ("auto", "session"):
        logins.append(auth.SessionAuth(request.username, request.password))
    if request.auth_type in ("auto", "basic"):
        logins.append(auth.BasicAuth(request.username, request.password))
    try:
        for login in logins:
            try:
                root = Sushy(request.origin, auth=login, connector=link)
            except AccessError:
                raise  # a second try by other means may lock the user out
            except SushyError as error:
                if login is logins[-1] or _refusal(error).kind == "denied":
                    raise
                continue
            yield root
            return
    finally:
        wire.leaving = True
        for login in logins:
            with contextlib.suppress(Failure, SushyError):
                login.close()
        link.close()


def _answer(request: Request, root: "Sushy", link: "Link", pace: "Pace") -> Answer:
    from bakery.bmc import redfish_boot, redfish_media
    from bakery.bmc.redfish_quirks import quirks_of

    system = _system(request, root)
    quirks = quirks_of(system.manufacturer or root.json.get("Vendor"))
    match request.order:
        case "power":
            return Answer(power="off" if _state(system, pace) == "Off" else "on")
        case "on" | "off" as power:
            return Answer(power=_switched(system, power, pace))
        case "boot":
            wish = redfish_boot.Wish(request.device, request.firmware, request.persistent)
            redfish_boot.boot_from(link, system, wish, quirks, pace)
        case "insert":
            redfish_media.insert(system, request.url, pace)
        case "eject":
            redfish_media.eject(system, pace)
        case "identify":
            return Answer(serial=_number(system.json.get(quirks.serial)), macs=_macs(system))
    return Answer()


def _system(request: Request, root: "Sushy") -> "System":
    from sushy.exceptions import ResourceNotFoundError

    if request.system:
        try:
            return root.get_system(request.system)
        except ResourceNotFoundError:
            known = _listed(root)
            hint = f"it has {known} (redfish_system_id)" if known else ""
            raise Failure("refused", f"it has no system {request.system}", hint) from None
    systems = root.get_system_collection().members_identities
    if len(systems) == 1:
        return root.get_system(systems[0])
    count = f"it has {len(systems)} systems" if systems else "it has no system"
    hint = f"name the node's: {_listed(root)} (redfish_system_id)" if systems else ""
    raise Failure("refused", count, hint)


def _listed(root: "Sushy") -> str:
    systems = root.get_system_collection().members_identities
    return printable(", ".join(systems[:8]), 400)


def _state(system: "System", pace: "Pace") -> str:
    """On, Off, PoweringOn or PoweringOff; some tell nothing at first."""
    while True:
        state = system.json.get("PowerState")
        if state in ("On", "Off", "PoweringOn", "PoweringOff"):
            return str(state)
        if state == "Paused":
            return "On"
        if pace.is_over:
            raise Failure("late", "it does not say whether the node is on")
        pace.pause()
        system.refresh()


def _switched(system: "System", power: Power, pace: "Pace") -> Power:
    """Give the order, and look until it is carried out; nothing where it is so already."""
    wanted, ordered_at = power.capitalize(), -math.inf
    while (state := _state(system, pace)) != wanted:
        if pace.is_over:
            raise Failure("late", f"it still says {state}")
        # What is under way comes to its end first.
        if state in ("On", "Off") and time.monotonic() - ordered_at > ORDER_AGAIN_SECONDS:
            _order(system, power)
            ordered_at = time.monotonic()
        else:
            pace.pause()
        system.refresh()
    return power


def _order(system: "System", power: Power) -> None:
    """Reset the system; where that is refused, it may be for it is so already."""
    from sushy.exceptions import HTTPError, MissingActionError
    from sushy.resources.constants import ResetType

    wanted = (ResetType.ON, ResetType.FORCE_ON) if power == "on" else (ResetType.FORCE_OFF,)
    try:
        allowed = system.get_allowed_reset_system_values()
    except MissingActionError:
        allowed = set()
    kind = next((kind for kind in wanted if kind in allowed), None)
    if kind is None:
        offered = ", ".join(sorted(entry.value for entry in allowed)) or "nothing"
        hint = "give its user the privilege to switch power, or use IPMI"
        raise Failure("not-offered", f"it offers {offered}", hint)
    try:
        system.reset_system(kind)
    except HTTPError:
        system.refresh()
        if system.json.get("PowerState") != power.capitalize():
            raise


def _number(value: object) -> str | None:
    """A serial number, where there is one: many have words in its place."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() and text.lower() not in NO_NUMBER else None


def _macs(system: "System") -> tuple[str, ...] | None:
    """Those of the node's cards; None where none is told, as before the node's first start."""
    from sushy.exceptions import HTTPError, MissingAttributeError

    try:
        cards = system.ethernet_interfaces.get_members()
    except (MissingAttributeError, HTTPError):
        return None
    found = []
    for card in cards[:CARDS_LIMIT]:
        told = card.json.get("PermanentMACAddress") or card.json.get("MACAddress")
        mac = str(told or "").lower().replace("-", ":")
        digits = set("0123456789abcdef:")
        if len(mac) == MAC_CHARACTERS and set(mac) <= digits and mac != "00:00:00:00:00:00":
            found.append(mac)
    return tuple(dict.fromkeys(found)) or None


def _refusal(error: Exception) -> Failure:
    """What a service's refusal comes to."""
    from sushy.exceptions import HTTPError

    from bakery.bmc import redfish_codes as codes

    if not isinstance(error, HTTPError):
        return Failure("refused", str(error))
    body = {"error": error.body} if isinstance(error.body, Mapping) else None
    words = codes.words(error.status_code, body)
    if codes.is_denied(error.status_code, body):
        return Failure("denied", words)
    return Failure("refused", words)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def main() -> int:
    """Read a request, write its answer; the exit code is 0 whatever the answer is."""
    signal.signal(signal.SIGTERM, _end)
    logging.disable(logging.CRITICAL)  # sushy tells its log of headers and bodies
    serve(Request, perform)
    return 0


if __name__ == "__main__":
    sys.exit(main())
