"""A sample's /etc/fstab, as Anaconda wrote them in 2014."""

from collections.abc import Iterable
from dataclasses import dataclass

HEADER = """\

#
# /etc/fstab
# Created by anaconda on Tue Nov 11 09:26:11 2014
#
# Accessible filesystems, by reference, are maintained under '/dev/disk'
# See man pages fstab(5), findfs(8), mount(8) and/or blkid(8) for more info
#
"""
# On every machine's list, and nothing to do with /boot.
ALWAYS = (
    "tmpfs                     /dev/shm                tmpfs   defaults        0 0",
    "/dev/sr0                  /run/media/cdrom        iso9660 noauto,ro       0 0",
)


@dataclass(frozen=True)
class Mount:
    """One line: what, where, filesystem, and the order in which fsck takes it (0 never)."""

    what: str
    where: str
    kind: str
    options: str = "defaults"
    fsck_order: int = 0


def render(mounts: Iterable[Mount], extra: Iterable[str] = ()) -> str:
    """The whole file: header, the mounts in columns, then `extra` lines as they are."""
    lines = [
        f"{mount.what:<25} {mount.where:<23} {mount.kind:<7} {mount.options:<15} 0 "
        f"{mount.fsck_order}"
        for mount in mounts
    ]
    return HEADER + "".join(f"{line}\n" for line in (*lines, *ALWAYS, *extra))
