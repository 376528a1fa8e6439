"""Which machine a node is expected to be: told by its network cards and its serial number.

A BMC's address that was written down wrongly starts another machine, and a cable in the wrong port
has it boot for the right one. So what its ramdisk reports is compared before anything is written.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bakery.bmc.bmc import NO_NUMBER
from bakery.conductor.journal import Machine
from bakery.host.printable import printable

SHOWN_CARDS = 8
TEXT_CHARACTERS = 64


@dataclass(frozen=True)
class Expected:
    """The cards that the machine has to have, in lower case, and its number; empty: any.

    `others` are cards that it may not have, with the names of the nodes that have them.
    """

    macs: frozenset[str] = frozenset()
    serial: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

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

    def others_card(self, macs: Collection[str]) -> str:
        """Why a machine with these cards is another one; empty where it may be the one."""
        found = sorted(mac for mac in macs if mac in self.others)
        return f"the machine has the card {found[0]} of {self.others[found[0]]}" if found else ""

    def other_serial(self, serial: str) -> str:
        """Why a machine of this serial number is another one; empty where it may be the one."""
        if not self.serial or serial.lower() in NO_NUMBER or self.serial == serial:
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
