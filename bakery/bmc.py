"""A node's power and its next boot device, over IPMI, with any BMC that speaks it (v2.0, lanplus).

Every order is a process of its own (`bakery.ipmi`), so that it ends in time whatever the BMC does.
"""

import sys
from collections.abc import Callable, Sequence

import msgspec

from bakery.errors import BakeryError
from bakery.ipmi import Answer, Device, Order, Power
from bakery.run import Arg, CommandFailed, run

IPMI_PORT = 623
# How long pyghmi takes to give up on an address where nobody is, and something for a busy machine.
ANSWER_SECONDS = 30.0
POWER_SECONDS = 60.0
# RMCP+ has 20 bytes for a password and 16 for a name (IPMI v2.0, 13.20 and 22.30).
PASSWORD_LIMIT_BYTES = 20
NAME_LIMIT_BYTES = 16
ANSWER_LIMIT_BYTES = 64 << 10


class Bmc:
    """One node's BMC. All calls wait for its answer, and raise BakeryError where it has none.

    There is one message for each of: no answer, login denied, order refused, order not carried
    out in time. `enter` turns a command into one that runs where the BMC can be reached (a lab's
    `Lab.enter`); without it that is here.
    """

    def __init__(
        self,
        address: str,
        port: int = IPMI_PORT,
        username: str = "",
        password: str = "",
        *,
        enter: Callable[[Sequence[Arg]], Sequence[Arg]] = lambda argv: argv,
        answer_seconds: float = ANSWER_SECONDS,
        power_seconds: float = POWER_SECONDS,
    ) -> None:
        if len(username.encode()) > NAME_LIMIT_BYTES:
            raise BakeryError(f"'{username}' is too long for a user of a BMC (16 bytes)")
        if len(password.encode()) > PASSWORD_LIMIT_BYTES:
            raise BakeryError("the BMC's password is longer than the 20 bytes IPMI has for it")
        self._access = Order(address, port, username, password, seconds=power_seconds)
        self._enter = enter
        self._answer_seconds = answer_seconds

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
        self._do(msgspec.structs.replace(self._access, device=device, persistent=persistent))

    def _do(self, order: Order) -> Answer:
        """Have an order carried out. It is given on standard input: it holds the password."""
        words: list[Arg] = [sys.executable, "-P", "-m", "bakery.ipmi"]
        seconds = self._answer_seconds + (order.seconds if order.power else 0)
        try:
            done = run(
                self._enter(words),
                stdin=msgspec.json.encode(order),
                timeout=seconds,
                output_limit=ANSWER_LIMIT_BYTES,
                name="bakery.ipmi",
            )
            answer = msgspec.json.decode(done.stdout, type=Answer)
        except CommandFailed as error:
            if error.returncode > 0:
                raise BakeryError(f"{self.name} cannot be talked to: {error.message}") from None
            raise self._failure(Answer(kind="no-answer"), order) from None
        except msgspec.DecodeError:
            raise self._failure(Answer(kind="no-answer"), order) from None
        if answer.kind:
            raise self._failure(answer, order)
        return answer

    def _failure(self, answer: Answer, order: Order) -> BakeryError:
        words = f": {answer.words}" if answer.words else ""
        if answer.kind == "denied":
            return BakeryError(
                f"{self.name} denies login as '{order.username}'{words}",
                "check the user's name, password and privilege (administrator or operator)",
            )
        if answer.kind == "refused":
            return BakeryError(
                f"{self.name} refuses to {_wish(order)}{words}",
                "check what its own web page or ipmitool says about the node",
            )
        if answer.kind == "late":
            return BakeryError(
                f"{self.name} was told to {_wish(order)}; {order.seconds:g} s later it was not so",
                "look at the node; then try again",
            )
        return BakeryError(
            f"{self.name} gives no answer{words}",
            "check address, port (623), cable, and that IPMI over LAN is enabled",
        )


def _wish(order: Order) -> str:
    if order.device:
        return f"boot from {order.device}"
    return f"switch the node {order.power}" if order.power else "tell the node's power"
