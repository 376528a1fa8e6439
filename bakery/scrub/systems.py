"""The systems in an image, and where the paths of each lie: in which volume, under what name.

An OSTree deployment has an /etc of its own; all of a stateroot share its /var, where /home and
/root lie as well (libostree, docs/adapting-existing.md). What fstab mounts lies in its own volume.
"""

from collections.abc import Iterator

import msgspec

from bakery import inspection
from bakery.bootentries import answers
from bakery.disk.volumes import Volume
from bakery.engines.base import CannotServe, Engine, FileMissing, Item
from bakery.errors import BakeryError
from bakery.look import Look
from bakery.system import fstab, ostree

HOMES = "/home"
NO_LOGIN = ("nologin", "false", "sync", "halt", "shutdown")
HOME_PARENTS = ("/home/", "/root", "/srv/", "/opt/", "/var/")
SHARED = {"/var": "/var", "/home": "/var/home", "/root": "/var/roothome", "/srv": "/var/srv"}


class Place(msgspec.Struct, frozen=True):
    """A path inside a volume."""

    volume: Volume
    path: str


class System(msgspec.Struct, frozen=True):
    """One system: its tree, put together of places. `mounts` maps a path of the running system,
    empty for the root, to where it lies."""

    mounts: dict[str, Place]
    homes: tuple[str, ...] = ()
    swap_files: tuple[str, ...] = ()

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


class Reader:
    """An engine session, with a memory of the directories already listed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._listed: dict[tuple[str, str], tuple[Item, ...]] = {}

    def items(self, place: Place) -> tuple[Item, ...]:
        """What is in a directory; nothing where there is none."""
        key = (place.volume.device, place.path)
        if key not in self._listed:
            try:
                found = self.engine.items(place.volume, place.path or "/")
            except FileMissing:
                found = []
            self._listed[key] = tuple(found)
        return self._listed[key]

    def text(self, place: Place) -> bytes:
        """A file's content, empty where there is no such file."""
        try:
            return self.engine.read_file(place.volume, place.path)
        except FileMissing:
            return b""

    def size_bytes(self, place: Place) -> int:
        """All that lies below a directory, in bytes."""
        total = 0
        for item in self.items(place):
            if item.is_directory:
                total += self.size_bytes(Place(place.volume, f"{place.path}/{item.name}"))
            total += item.size_bytes
        return total


def find(reader: Reader) -> tuple[list[System], tuple[str, ...]]:
    """The systems of an image, and notes on what could not be looked into.

    BakeryError where there is none.
    """
    inspected = inspection.inspect(reader.engine)
    volumes = {volume.device: volume for volume in inspected.survey.volumes}
    systems: list[System] = []
    for device in inspected.roots:
        root = volumes[device]
        trees = list(_deployments(reader, root)) or [{"": Place(root, "")}]
        systems += [_completed(reader, tree) for tree in trees]
    if not systems:
        reasons = "; ".join(inspected.notes)
        raise BakeryError(
            "no root filesystem was found in it" + (f": {reasons}" if reasons else ""),
            "bakery inspect shows all that was found",
        )
    return systems, inspected.notes


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
    return [item.name for item in reader.items(place) if item.is_directory]


def _completed(reader: Reader, tree: dict[str, Place]) -> System:
    """The system of that tree, with what its fstab mounts and the homes of its users."""
    system = System(tree)
    etc = system.place("/etc")
    look = Look(reader.engine)
    swap_files: list[str] = []
    for entry in _fstab(reader, etc):
        if entry.type == "swap" and not entry.device.startswith("/dev/"):
            swap_files += [entry.device] if entry.device.startswith("/") else []
        elif entry.mount_point.startswith("/") and entry.mount_point != "/":
            named = [v for v in look.survey.volumes if answers(entry.device, v, look)]
            if len(named) == 1 and named[0].type in inspection.READABLE:
                tree |= _mounted(entry.mount_point, named[0])
    system = System(tree)
    return System(tree, _homes(reader, system), tuple(swap_files))


def _fstab(reader: Reader, etc: Place) -> tuple[fstab.Entry, ...]:
    try:
        return fstab.entries(reader.text(Place(etc.volume, etc.path + "/fstab")))
    except CannotServe:
        raise
    except BakeryError:  # a file that no system could use tells of no mounts
        return ()


def _mounted(point: str, volume: Volume) -> dict[str, Place]:
    """A mounted volume, under every name that leads to it: /home is /var/home in a deployment."""
    return {name: Place(volume, "") for name in (point, *_aliases(point))}


def _aliases(point: str) -> list[str]:
    return [name for name, shared in SHARED.items() if shared == point and name != point]


def _homes(reader: Reader, system: System) -> tuple[str, ...]:
    """The homes of users who can log in, and every folder of /home."""
    found = ["/root"]
    found += [f"{HOMES}/{name}" for name in _folders(reader, system.place(HOMES))]
    etc = system.place("/etc")
    for line in reader.text(Place(etc.volume, etc.path + "/passwd")).splitlines():
        fields = line.decode("utf-8", "replace").split(":")
        if len(fields) == 7 and fields[6].rpartition("/")[2] not in NO_LOGIN:
            home = fields[5].rstrip("/")
            if home.startswith(HOME_PARENTS) and home.isprintable() and ".." not in home:
                found.append(home)
    return tuple(dict.fromkeys(found))
