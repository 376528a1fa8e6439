"""Which machine a node is expected to be: told by its network cards and its serial number.

A BMC's address that was written down wrongly starts another machine, and a cable in the wrong port
has it boot for the right one. So what its ramdisk reports is compared before anything is written.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bakery.conductor.journal import Machine
from bakery.host.printable import printable

SHOWN_CARDS = 8
TEXT_CHARACTERS = 64


@dataclass(frozen=True)
class Expected:
    """The cards that the machine has to have, in lower case, and its number; empty: any."""

    macs: frozenset[str] = frozenset()
    serial: str = ""

    def refusal(self, machine: Machine) -> str:
        """Why this is another machine; empty where it may be the one.

        What a machine does not tell speaks for nothing.
        """
        missing = self.macs - set(machine.macs) if machine.macs else frozenset()
        if missing:
            return (
                f"the machine that booted has no network card {_listed(missing)}, or none that "
                f"its ramdisk has a driver for; it has {_listed(machine.macs)}"
            )
        return self.other_serial(machine.serial)

    def other_serial(self, serial: str) -> str:
        """Why a machine of this serial number is another one; empty where it may be the one."""
        if not self.serial or not serial or self.serial == serial:
            return ""
        return (
            f"the machine has the serial number {printable(serial, TEXT_CHARACTERS)}, not "
            f"{printable(self.serial, TEXT_CHARACTERS)}"
        )


ANY_MACHINE = Expected()


def _listed(macs: Collection[str]) -> str:
    """Cards in words, not too many of them."""
    shown = sorted(macs)[:SHOWN_CARDS]
    return ", ".join(shown) + (" …" if len(macs) > SHOWN_CARDS else "")
