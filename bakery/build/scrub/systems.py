"""The systems in an image, and where the paths of each lie: in which volume, under what name.

An OSTree deployment has an /etc of its own; all of a stateroot share its /var, where /home and
/root lie as well (libostree, docs/adapting-existing.md). What fstab mounts lies in its own volume.
"""

from collections.abc import Iterator

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import CannotServe
from bakery.image.inspection import Inspection
from bakery.image.reader import Place, Reader
from bakery.image.root_volume import answers
from bakery.image.subvolumes import mounted_with
from bakery.image.trees import READABLE
from bakery.system import fstab, ostree
from bakery.system.device_names import parsed

HOMES = ("/home", "/export/home")
ROOTS_HOME = "/root"
FIRST_PERSON = 1000
"""The least user ID of a person (login.defs(5), UID_MIN); those below are of programs."""
HOMES_LIMIT = 10_000
NOT_OF_THE_DISK = ("/dev/", "/proc/", "/run/", "/sys/")
SHARED = {"/var": "/var", "/home": "/var/home", "/root": "/var/roothome", "/srv": "/var/srv"}


class System(msgspec.Struct, frozen=True):
    """One system: its tree, put together of places. `mounts` maps a path of the running system,
    empty for the root, to where it lies."""

    mounts: dict[str, Place]
    homes: tuple[str, ...] = ()
    swap_files: tuple[str, ...] = ()
    unsearched: tuple[str, ...] = ()
    """What is mounted and cannot be looked into, each told in a sentence."""

    def place(self, path: str) -> Place:
        """Where a path of the running system lies; `path` without a slash at its end."""
        point = self._point(path)
        base = self.mounts[point]
        return Place(base.volume, base.path + path.removeprefix(point))

    def is_committed(self, path: str) -> bool:
        """Whether a path is part of what an OSTree deployment was checked out of."""
        is_deployment = "/etc" in self.mounts and self.mounts["/etc"].path != ""
        return is_deployment and not self._point(path)

    def _point(self, path: str) -> str:
        while path not in self.mounts:
            path = path.rpartition("/")[0]
        return path

    def mounts_in(self, folder: str) -> set[str]:
        """The names in a folder under which another place is to be seen."""
        split = (point.rpartition("/") for point in self.mounts if point)
        return {name for parent, _, name in split if parent == folder}


def find(reader: Reader, inspected: Inspection) -> list[System]:
    """The systems of an image that was inspected; BakeryError where there is none."""
    systems: list[System] = []
    for name in inspected.roots:
        root = inspected.survey.volume(name)
        assert root is not None
        trees = list(_deployments(reader, root)) or [{"": Place(root, "")}]
        systems += [_completed(reader, tree) for tree in trees]
    if not systems:
        reasons = "; ".join(inspected.notes)
        raise BakeryError(
            "no root filesystem was found in it" + (f": {reasons}" if reasons else ""),
            "bakery inspect shows all that was found",
        )
    return systems


def _deployments(reader: Reader, root: Volume) -> Iterator[dict[str, Place]]:
    """The tree of each OSTree deployment on a volume."""
    for stateroot in _folders(reader, Place(root, "/ostree/deploy")):
        base = f"/ostree/deploy/{stateroot}"
        for name in _folders(reader, Place(root, f"{base}/deploy")):
            try:
                deployment = ostree.parse_deployment_name(name)
            except BakeryError:
                continue
            tree = {"": Place(root, ""), "/etc": Place(root, deployment.path(stateroot) + "/etc")}
            yield tree | {point: Place(root, base + path) for point, path in SHARED.items()}


def _folders(reader: Reader, place: Place) -> list[str]:
    return [item.name for item in reader.items(*place) if item.is_directory]


def _completed(reader: Reader, tree: dict[str, Place]) -> System:
    """The system of that tree, with what its fstab mounts and the homes of its users."""
    system = System(tree)
    etc = system.place("/etc")
    swap_files: list[str] = []
    unsearched: list[str] = []
    for entry in _fstab(reader, etc):
        if entry.type == "swap" and not entry.device.startswith("/dev/"):
            swap_files += [entry.device] if entry.device.startswith("/") else []
        elif entry.mount_point.startswith("/") and entry.mount_point != "/":
            named = [v for v in reader.survey.volumes if answers(entry.device, v, reader)]
            if len(named) == 1 and named[0].type in READABLE:
                tree |= _mounted(entry.mount_point, mounted_with(named[0], entry.options))
            elif parsed(entry.device).kind != "none" and entry.type != "swap":
                what = f"{entry.device}, which is mounted at {entry.mount_point}"
                unsearched.append(f"{what}, cannot be read here and was not searched")
    system = System(tree)
    homes = _homes(reader, system)
    return System(tree, homes, tuple(swap_files), tuple(unsearched))


def _fstab(reader: Reader, etc: Place) -> tuple[fstab.FstabEntry, ...]:
    try:
        return fstab.entries(reader.text(etc.volume, etc.path + "/fstab") or b"")
    except CannotServe:
        raise
    except BakeryError:  # a file that no system could use tells of no mounts
        return ()


def _mounted(point: str, volume: Volume) -> dict[str, Place]:
    """A mounted volume, under every name that leads to it: /home is /var/home in a deployment."""
    names = [point, *(name for name, shared in SHARED.items() if shared == point)]
    return dict.fromkeys(names, Place(volume, ""))


def _homes(reader: Reader, system: System) -> tuple[str, ...]:
    """The homes of all users, and every folder where homes are, as well as the folders in those.

    A home may lie below a folder of its domain or its first letter (pam_mkhomedir(8), `%d/%u`).
    """
    users = list(_users(reader, system.place("/etc")))
    persons = [home.rpartition("/")[0] for uid, home in users if uid >= FIRST_PERSON]
    found = [ROOTS_HOME]
    for folder in dict.fromkeys([*HOMES, *filter(None, persons)]):
        for home in _below(reader, system, folder):
            found += [home, *_below(reader, system, home)]
            if len(found) > HOMES_LIMIT:
                raise BakeryError(f"{folder} holds more than {HOMES_LIMIT} folders of users")
    return tuple(dict.fromkeys([*found, *(home for _, home in users)]))


def _below(reader: Reader, system: System, folder: str) -> list[str]:
    names = _folders(reader, system.place(folder))
    return [f"{folder}/{name}" for name in names if not name.startswith(".")]


def _users(reader: Reader, etc: Place) -> Iterator[tuple[int, str]]:
    """Each user's number and home, as passwd(5) has them; a home is a path of the system's own.

    Whether they can log in does not count: a program's user has keys as well.
    """
    for line in (reader.text(etc.volume, etc.path + "/passwd") or b"").splitlines():
        fields = line.decode("utf-8", "replace").split(":")
        if len(fields) != 7 or not fields[2].isdecimal():
            continue
        home = fields[5]
        usable = home.startswith("/") and home.isprintable() and ".." not in home.split("/")
        if usable and not f"{home}/".startswith(NOT_OF_THE_DISK):
            yield int(fields[2][:10]), home.rstrip("/")
