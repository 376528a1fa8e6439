"""The one disk the image goes to, or the reason why there is none."""

from collections.abc import Callable, Sequence

from . import hints
from .disks import Disk, Outlook
from .errors import AgentError
from .hints import Hint

LISTED = 8  # disks named in a refusal
LEAST_BYTES = 64 << 20  # no system lies on less, where nobody says how much the image takes
# One disk has it and no other, so that none of those that may still come is meant. A name is what
# was asked for, whatever disk has got it.
IDENTITIES = ("serial", "wwn", "hctl", "by_path", "name")


def looked_for(
    root_device: str, wanted: str, least: int = 0
) -> Callable[[Sequence[Disk]], Outlook]:
    """What tells of some disks whether the one that `choose` would take is among them.

    Hints that do not name one disk (a size, a model) may fit another that is still to come, and so
    does no hint at all. AgentError where the hints cannot be read.
    """
    conditions, name = hints.parse(root_device), _name(wanted)
    names_one = any(hint.name in IDENTITIES and hint.operator == "s==" for hint in conditions)

    def outlook(disks: Sequence[Disk]) -> Outlook:
        if name and not conditions:
            return "there" if any(disk.name == name for disk in disks) else "missing"
        fitting = _fitting(_large(disks, least), conditions)
        if not fitting:
            # One that is named and too small is the one that is refused.
            return "there" if names_one and _fitting(disks, conditions) else "missing"
        return "there" if names_one else "open"

    return outlook


def choose(disks: Sequence[Disk], root_device: str, wanted: str, least: int = 0) -> Disk:
    """The disk that fits the hints, or else the disk the argument `disk` names.

    `wanted` is a list of names such as Ironic's default `cciss/c0d0,sda,hda,vda`, which decides
    nothing: several disks and no hint is refused, for the order of names says nothing about which
    is which. A disk of fewer bytes than `least` is no candidate, and the paths to one disk are
    one. Raises AgentError.
    """
    if not disks:
        raise AgentError("the node has no disk that can be written")
    conditions, name = hints.parse(root_device), _name(wanted)
    if conditions:
        return _hinted(disks, conditions, least)
    if name:
        named = [disk for disk in disks if disk.name == name]
        if not named:
            raise AgentError(f"the node has no disk {name}; {_found(disks)}")
        return _one(_large(named, least), named, f"is the disk {name}")
    large = _large(disks, least)
    one_each = _one_each(large)
    if len(one_each) > 1:
        raise AgentError(
            f"the node has {len(one_each)} disks and no root device hint says which: "
            f"{_list(one_each)}"
        )
    return _one(one_each, disks, "is there")


def paths(disk: Disk, disks: Sequence[Disk]) -> list[str]:
    """The names under which a disk can be reached, its own first: several where it is multipath."""
    others = [other.name for other in disks if other != disk and _same(other, disk)]
    return [disk.name, *others]


def check_sectors(disk: Disk, wanted: int) -> None:
    """Raise AgentError where a whole disk made for sectors of `wanted` bytes is not for this one.

    Its partition table counts in them: with others nothing would find a partition. 0: any.
    """
    if wanted and disk.sector != wanted:
        raise AgentError(
            f"the image is a disk of {wanted}-byte sectors and would not boot from {disk}, "
            f"whose sectors have {disk.sector} bytes"
        )


def _hinted(disks: Sequence[Disk], conditions: Sequence[Hint], least: int) -> Disk:
    asked = ", ".join(map(str, conditions))
    every = _fitting(disks, conditions)
    if not every:
        raise AgentError(f"no disk matches the root device hints ({asked}); {_found(disks)}")
    fitting = _one_each(_large(every, least))
    if len(fitting) > 1:
        raise AgentError(
            f"{len(fitting)} disks match the root device hints ({asked}): {_list(fitting)}"
        )
    return _one(fitting, every, f"matches the root device hints ({asked})")


def _one(large: Sequence[Disk], every: Sequence[Disk], what: str) -> Disk:
    if large:
        return large[0]
    raise AgentError(f"no disk that {what} is large enough for the image; {_found(every)}")


def _name(wanted: str) -> str:
    """The name, where the argument `disk` has one alone."""
    names = [name.removeprefix("/dev/") for name in wanted.split(",") if name]
    return names[0] if len(names) == 1 else ""


def _fitting(disks: Sequence[Disk], conditions: Sequence[Hint]) -> list[Disk]:
    return [disk for disk in disks if all(hints.matches(disk, hint) for hint in conditions)]


def _large(disks: Sequence[Disk], least: int) -> list[Disk]:
    return [disk for disk in disks if disk.size >= (least or LEAST_BYTES)]


def _one_each(disks: Sequence[Disk]) -> list[Disk]:
    """One path to each disk."""
    kept: list[Disk] = []
    for disk in disks:
        if not any(_same(disk, other) for other in kept):
            kept.append(disk)
    return kept


def _same(one: Disk, other: Disk) -> bool:
    """Whether two are paths to one disk: all that tells a disk from others is the same.

    Some adapters give all their disks one number, or one of zeros.
    """
    known = one.wwid.partition(".")[2].strip("0") != ""
    return known and one.wwid == other.wwid and _told(one) == _told(other)


def _told(disk: Disk) -> tuple[object, ...]:
    return disk.size, disk.model, disk.vendor, disk.serial, disk.sector


def _found(disks: Sequence[Disk]) -> str:
    return f"there are: {_list(disks)}"


def _list(disks: Sequence[Disk]) -> str:
    more = len(disks) - LISTED
    return "; ".join(map(str, disks[:LISTED])) + (f"; and {more} more" if more > 0 else "")
