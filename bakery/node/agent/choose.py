"""The one disk the image goes to, or the reason why there is none."""

from collections.abc import Sequence

from . import hints
from .disks import Disk
from .errors import AgentError

LISTED = 8  # disks named in a refusal


def choose(disks: Sequence[Disk], root_device: str, wanted: str) -> Disk:
    """The disk that fits the hints, or else the disk the argument `disk` names.

    `wanted` is a list of names such as Ironic's default `cciss/c0d0,sda,hda,vda`: the first that
    is there is taken, as long as it is the node's only disk; several disks and no hint is refused,
    for the order of names says nothing about which is which. Raises AgentError.
    """
    if not disks:
        raise AgentError("the node has no disk that can be written")
    conditions = hints.parse(root_device)
    if not conditions:
        return _only(disks, wanted)
    fitting = [disk for disk in disks if all(hints.matches(disk, hint) for hint in conditions)]
    asked = ", ".join(map(str, conditions))
    if not fitting:
        raise AgentError(f"no disk matches the root device hints ({asked}); {_found(disks)}")
    if len(fitting) > 1:
        raise AgentError(
            f"{len(fitting)} disks match the root device hints ({asked}): {_list(fitting)}"
        )
    return fitting[0]


def check_sectors(disk: Disk, wanted: int) -> None:
    """Raise AgentError where a whole disk made for sectors of `wanted` bytes is not for this one.

    Its partition table counts in them: with others nothing would find a partition. 0: any.
    """
    if wanted and disk.sector != wanted:
        raise AgentError(
            f"the image is a disk of {wanted}-byte sectors and would not boot from {disk}, "
            f"whose sectors have {disk.sector} bytes"
        )


def _only(disks: Sequence[Disk], wanted: str) -> Disk:
    names = [name.removeprefix("/dev/") for name in wanted.split(",") if name]
    if len(names) == 1 and any(disk.name == names[0] for disk in disks):
        return next(disk for disk in disks if disk.name == names[0])
    if len(disks) == 1:
        return disks[0]
    if len(names) == 1:
        raise AgentError(f"the node has no disk {names[0]}; {_found(disks)}")
    raise AgentError(
        f"the node has {len(disks)} disks and no root device hint says which: {_list(disks)}"
    )


def _found(disks: Sequence[Disk]) -> str:
    return f"there are: {_list(disks)}"


def _list(disks: Sequence[Disk]) -> str:
    more = len(disks) - LISTED
    return "; ".join(map(str, disks[:LISTED])) + (f"; and {more} more" if more > 0 else "")
