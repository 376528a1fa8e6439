"""Which of a node's disks a deploy by Ironic would write, as far as its inspection tells.

Ironic's agent looks for a disk that all root device hints match, and fails after minutes where
there is none (ironic_lib.utils, find_devices_by_hints). What was found when the node was inspected
is known before.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from bakery.node.agent import hints
from bakery.node.agent.disks import Disk
from bakery.node.agent.errors import AgentError

GIB = 1 << 30
# By what an inventory tells for sure; a name or a path may be another after the next start.
TELLING = frozenset({"size", "model", "vendor", "serial", "wwn", "hctl", "rotational"})


def problem(
    wanted: Mapping[str, object], found: Sequence[Mapping[str, object]], size_bytes: int
) -> str:
    """Why no disk of an inventory can take an image of that size; empty where one may.

    `wanted` are root device hints, `found` disks as `cloud.ironic.Ironic.disks` gives them. Hints
    that cannot be read are for Ironic's own validation.
    """
    try:
        conditions = hints.parse(
            ",".join(
                f"{key}={quote(str(value))}" for key, value in wanted.items() if key in TELLING
            )
        )
    except AgentError:
        return ""
    disks = [disk for disk in map(_disk, found) if disk is not None]
    if not disks:
        return ""
    fitting = [disk for disk in disks if all(hints.matches(disk, one) for one in conditions)]
    said = " and ".join(map(str, conditions))
    if not fitting:
        return f"no disk in its inventory matches root_device ({said}): {_listed(disks)}"
    if max(disk.size for disk in fitting) < size_bytes:
        of = f" that root_device allows ({said})" if said else ""
        return f"no disk{of} can hold the image, {-(-size_bytes // GIB)} GiB: {_listed(fitting)}"
    return ""


def _disk(entry: Mapping[str, object]) -> Disk | None:
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        return None

    def text(key: str) -> str:
        return str(entry.get(key) or "").strip()

    return Disk(
        text("name").removeprefix("/dev/"),
        size,
        rotational=bool(entry.get("rotational")),
        model=text("model"),
        vendor=text("vendor"),
        serial=text("serial"),
        wwn=text("wwn"),
        hctl=text("hctl"),
    )


def _listed(disks: Sequence[Disk]) -> str:
    return ", ".join(map(str, disks))
