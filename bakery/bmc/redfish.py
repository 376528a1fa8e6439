"""A node's BMC over Redfish: any service of DSP0266, and the makers' ways of `redfish_quirks.py`.

Every request is a process of its own (`redfish_worker.py`), with a session of its own at the BMC.
Until it ends in time, what passes by itself is waited for: a BMC that is busy, is starting, has no
free session, is slow to answer, or works off a task.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from bakery.bmc.answer import Answer
from bakery.bmc.bmc import SECONDS, SILENCE_SECONDS, Device, Enter, Firmware, Identity, Power
from bakery.bmc.redfish_worker import Order, Request
from bakery.bmc.worker import Worker
from bakery.host.errors import BakeryError
from bakery.host.printable import SHOWN_CHARACTERS, printable

AuthType = Literal["auto", "basic", "session"]
SYSTEM_PATH = re.compile(r"/[A-Za-z0-9._~%!$&'()*+,;=:@-][A-Za-z0-9._~%!$&'()*+,;=:@/-]{0,500}")
MEDIA_SCHEMES = ("http", "https")
TRUE_WORDS = frozenset(("1", "t", "true", "on", "y", "yes"))
FALSE_WORDS = frozenset(("0", "f", "false", "off", "n", "no"))
REACH_HINT = "check address, port (443), cable, and that Redfish is enabled on it"
HINTS = {
    "refused": "check what its own web page says about the node",
    "unreachable": REACH_HINT,
    "no-answer": REACH_HINT,
}
ASKED: dict[Order, str] = {
    "power": "report the node's power",
    "on": "switch the node on",
    "off": "switch the node off",
    "eject": "eject the node's virtual media",
    "identify": "tell which machine it is in",
}


class Bmc:
    """A node's BMC (`bakery.bmc.bmc.Bmc`) whose service is at `address`, a URL or `host[:port]`.

    `system_id` is the path of the node's system; it may be empty where the BMC has one alone.
    `verify_ca` and `auth_type` are as Ironic has them: true, false or a path (in words too);
    `auto` takes a session, and HTTP's basic authentication where the service has no sessions.
    A request may take `seconds`, in which the BMC may be without an answer for `silence_seconds`.
    `firmware` is the node's: a BMC is told which one its next boot device is for. `enter` is for
    a BMC that is reached from another network; without it that is here.
    """

    def __init__(
        self,
        address: str,
        system_id: str = "",
        username: str = "",
        password: str = "",
        *,
        verify_ca: bool | str = True,
        auth_type: AuthType = "auto",
        firmware: Firmware = "uefi",
        enter: Enter = lambda argv: argv,
        seconds: float = SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        origin = _origin(address)
        if system_id and not SYSTEM_PATH.fullmatch(system_id):
            shown = printable(system_id, SHOWN_CHARACTERS)
            raise BakeryError(
                f"'{shown}' is not the path of a system (redfish_system_id)",
                "it is such as /redfish/v1/Systems/1",
            )
        self._request = Request(
            order="power",
            origin=origin,
            system=system_id,
            username=username,
            password=password,
            verify=_verify(verify_ca, origin),
            auth_type=auth_type,
            firmware=firmware,
            seconds=seconds,
            silence=silence_seconds,
        )
        self._worker = Worker("bakery.bmc.redfish_worker", self.name, username, enter, HINTS)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the BMC at {self._request.origin}{self._request.system}"

    def power(self) -> Power:
        """Whether the node is on."""
        answer = self._do("power")
        if answer.power is None:
            raise BakeryError(f"{self.name} did not say whether the node is on")
        return answer.power

    def power_on(self) -> None:
        """Switch the node on and see that it is; nothing where it is on."""
        self._do("on")

    def power_off(self) -> None:
        """Take the node's power away and see that it is off; nothing where it is off."""
        self._do("off")

    def boot_from(self, device: Device, *, persistent: bool = False) -> None:
        """What the node's firmware tries first: at its next start, or from then on."""
        asked = f"have the node boot from {device}" + (" at every start" if persistent else "")
        request = msgspec.structs.replace(
            self._request, order="boot", device=device, persistent=persistent
        )
        self._worker.do(msgspec.json.encode(request), asked, request.seconds)

    def insert_media(self, url: str) -> None:
        """Put the CD image at an http or https URL into the node's virtual drive."""
        parts = urlsplit(url)
        # Who knows the rest of it may read the medium.
        shown = printable(f"{parts.scheme}://{parts.hostname}/…", SHOWN_CHARACTERS)
        if parts.scheme not in MEDIA_SCHEMES or not parts.hostname or not url.isprintable():
            raise BakeryError(f"{shown} is not the http or https URL of a CD image")
        if parts.username or parts.password:
            raise BakeryError("the URL of a CD image must not contain a password: BMCs show it")
        request = msgspec.structs.replace(self._request, order="insert", url=url)
        self._worker.do(
            msgspec.json.encode(request), f"insert the medium of {shown}", request.seconds
        )

    def eject_media(self) -> None:
        """Take out what is in the node's virtual drive; nothing where it is empty."""
        self._do("eject")

    def identity(self) -> Identity:
        """The machine's serial number, and its cards' MACs once it has been started."""
        answer = self._do("identify")
        return Identity(answer.serial, answer.macs)

    def _do(self, order: Order) -> Answer:
        request = msgspec.structs.replace(self._request, order=order)
        return self._worker.do(msgspec.json.encode(request), ASKED[order], request.seconds)


def _origin(address: str) -> str:
    """Scheme, host and port of an address; https where it names no scheme (as Ironic has it)."""
    shown = printable(address, SHOWN_CHARACTERS).rpartition("@")[2]
    parts = _split(address.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise BakeryError(
            f"'{shown}' is not the address of a BMC (redfish_address)",
            "it is such as https://192.0.2.7 or bmc-1.example:8443",
        )
    if parts.username is not None or parts.password is not None:
        raise BakeryError(
            f"the address of the BMC at '{shown}' contains a user name (redfish_address)",
            "give it as redfish_username and redfish_password",
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise BakeryError(
            f"'{shown}' is more than the address of a BMC (redfish_address)",
            "the path of the node's system goes into redfish_system_id",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _split(address: str) -> SplitResult | None:
    try:
        if ipaddress.ip_address(address).version == 6:
            address = f"[{address}]"
    except ValueError:
        pass
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
        return parts if parts.port != 0 and address.isprintable() else None
    except ValueError:
        return None


def _verify(verify_ca: bool | str, origin: str) -> bool | str:  # noqa: FBT001 - as Ironic has it
    """What a certificate is held against, as requests has it."""
    words = str(verify_ca).strip()
    if words.lower() in FALSE_WORDS:
        return False
    if origin.startswith("http://"):
        raise BakeryError(
            f"the BMC at {origin} would be sent its password in the clear",
            "use an https address, or accept this with redfish_verify_ca: false",
        )
    if words.lower() in TRUE_WORDS:
        return True
    if not os.path.exists(words):  # noqa: PTH110 - a name that no file can have is no error there
        raise BakeryError(
            f"there is no certificate at '{printable(words, SHOWN_CHARACTERS)}'",
            "redfish_verify_ca is true, false, or the path of a file or folder of certificates",
        )
    return str(Path(words).absolute())
