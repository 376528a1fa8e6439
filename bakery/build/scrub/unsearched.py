"""What of an image belongs to its system and could not be searched, and that this is refused.

Secrets in it would stay, and nobody would know. It is left so only where its name was said.
"""

from collections.abc import Sequence

import msgspec

from bakery.host.errors import BakeryError
from bakery.system import fstab

OPTION = "--leave-unsearched"


class Unsearched(msgspec.Struct, frozen=True):
    """A volume, or a file that tells of volumes."""

    name: str
    """What it is called where it is accepted: where it is mounted, else the device or the file."""
    device: str
    """As the system names it."""
    named_in: str
    """`FILE:LINE`, the file as its volume has it; a kernel argument; or the partition table."""
    reason: str
    """Why, with the device as the subject."""

    @property
    def told(self) -> str:
        """All of it, for a person."""
        return f"{self.name} ({self.named_in}): {self.device} {self.reason}"


def refuse(found: Sequence[Unsearched], accepted: Sequence[str]) -> None:
    """BakeryError with all that was not accepted by its name, or a name that is none of these."""
    known = {item.name for item in found}
    names = {fstab.tidy(name) for name in accepted}
    strange = sorted(names - known)
    if strange:
        raise BakeryError(
            f"{OPTION} {strange[0]}: nothing of that name is left unsearched",
            f"left unsearched: {', '.join(sorted(known))}" if known else "leave the option out",
        )
    left = [item for item in found if item.name not in names]
    if left:
        options = " ".join(f"{OPTION} {name}" for name in dict.fromkeys(i.name for i in left))
        raise BakeryError(
            "the system uses what cannot be searched: " + "; ".join(item.told for item in left),
            f"what is in it can be left as it is: {options}",
        )
