"""What a node's BMC does for us, whichever protocol it speaks."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.run import Arg

SECONDS = 120.0
"""How long a request may take: a BMC that is restarted is back after a minute or two."""
SILENCE_SECONDS = 30.0

Power = Literal["on", "off"]
Device = Literal["network", "http", "cd", "disk"]
"""What firmware can try first: PXE, UEFI's HTTP boot, a CD (virtual media is one), the disk."""
Firmware = Literal["bios", "uefi"]
Enter = Callable[[Sequence[Arg]], Sequence[Arg]]
"""Turns a command into one that runs where the BMC can be reached, as a lab's `Lab.enter`."""


class NotOffered(BakeryError):
    """The BMC works, and has no such thing: no virtual media, no such boot device.

    Another way may do: the next start alone instead of every start, the network instead of media.
    """


NO_NUMBER = frozenset(("", "0", "none", "n/a", "to be filled by o.e.m.", "not specified"))
"""What makers leave in place of a serial number, in lower case."""


class Identity(msgspec.Struct, frozen=True):
    """Which machine a BMC sits in, as it says; None for what it cannot tell.

    `serial` is the machine's own number, as its label and SMBIOS (type 1) have it. `macs` are
    those of the node's network cards, not the BMC's, in lower case with colons.
    """

    serial: str | None = None
    macs: tuple[str, ...] | None = None


class Bmc(Protocol):
    """One node's BMC. Each call waits for its answer, within a bound that it was opened with.

    Where it has none, or refuses, BakeryError says which: no way to it, no answer, login denied,
    request refused, not ready in time, request not carried out in time. A state that passes by
    itself is waited for. No message holds the password.
    """

    @property
    def name(self) -> str:
        """What messages call it: `the BMC at ADDRESS ...`."""

    def power(self) -> Power:
        """Whether the node is on."""

    def power_on(self) -> None:
        """Switch the node on and see that it is; nothing where it is on."""

    def power_off(self) -> None:
        """Take the node's power away and see that it is off; nothing where it is off."""

    def boot_from(self, device: Device, *, persistent: bool = False) -> None:
        """What the node's firmware tries first: at its next start alone, or from then on.

        The BMC is told which firmware that is for, as it was opened. NotOffered where it knows no
        such device, or cannot hold it beyond the next start.
        """

    def insert_media(self, url: str) -> None:
        """Put the CD image at an http or https URL into the node's virtual drive.

        What was in the drive is ejected before. The BMC fetches the image while the node reads
        it, so it has to be served until `eject_media`. NotOffered where the BMC has no virtual
        media.
        """

    def eject_media(self) -> None:
        """Take out what is in the node's virtual drive; nothing where it is empty.

        NotOffered where the BMC has no virtual media.
        """

    def identity(self) -> Identity:
        """Which machine this is."""
