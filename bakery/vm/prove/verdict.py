"""What a proof answers."""

import msgspec

from bakery.host.kvm import Accel
from bakery.vm.prove.shell import Command
from bakery.vm.prove.texts import TITLES, Outcome


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How far a build came, and the console's own words for why it came no farther.

    `seconds` is the wall time from QEMU's start to the ending; `console` the path of the kept
    console.
    """

    reached: Outcome
    reason: str
    seconds: float
    accel: Accel
    console: str
    command: Command | None = None

    @property
    def proved(self) -> bool:
        """Whether a login prompt was reached, and the command (if any) ended well."""
        return self.reached == "login" and (self.command is None or self.command.exit_code == 0)

    @property
    def title(self) -> str:
        """The verdict in a few words."""
        if self.reached != "login" or self.command is None or self.proved:
            return TITLES[self.reached]
        if self.command.exit_code is None:
            return f"login reached, but the command did not finish: {self.command.problem}"
        return f"login reached, but the command failed with exit code {self.command.exit_code}"
