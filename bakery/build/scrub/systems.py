"""The systems in an image, and where the paths of each lie: in which volume, under what name.

An OSTree deployment has an /etc of its own; all of a stateroot share its /var, where /home and
/root lie as well (libostree, docs/adapting-existing.md). What is mounted lies in its own volume.
"""

from collections.abc import Iterator

import msgspec

from bakery.build.scrub import homes, mounts
from bakery.build.scrub.tree import Tree
from bakery.build.scrub.unsearched import Unsearched
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.inspection import Inspection
from bakery.image.reader import Place, Reader
from bakery.system import ostree

SHARED = {"/var": "/var", "/home": "/var/home", "/root": "/var/roothome", "/srv": "/var/srv"}


class System(msgspec.Struct, frozen=True):
    """One system: its tree, its users' homes, its swap files, and what is not in the tree."""

    tree: Tree
    homes: tuple[str, ...] = ()
    swap_files: tuple[str, ...] = ()
    unsearched: tuple[Unsearched, ...] = ()
    notes: tuple[str, ...] = ()
    is_deployment: bool = False

    def place(self, path: str) -> Place:
        """Where the running system has a path; `path` without a slash at its end."""
        return self.tree.place(path)

    def is_committed(self, path: str) -> bool:
        """Whether a path is part of what an OSTree deployment was checked out of."""
        return self.is_deployment and not self.tree.point(path)


def find(reader: Reader, inspected: Inspection) -> list[System]:
    """The systems of an image that was inspected; BakeryError where there is none."""
    systems: list[System] = []
    for name in inspected.roots:
        root = inspected.survey.volume(name)
        assert root is not None
        trees = list(_deployments(reader, root))
        systems += [_completed(reader, inspected, tree, is_deployment=True) for tree in trees]
        if not trees:
            plain = Tree({"": (Place(root, ""),)})
            systems.append(_completed(reader, inspected, plain, is_deployment=False))
    if not systems:
        reasons = "; ".join(inspected.notes)
        raise BakeryError(
            "no root filesystem was found in it" + (f": {reasons}" if reasons else ""),
            "bakery inspect shows all that was found",
        )
    return systems


def _deployments(reader: Reader, root: Volume) -> Iterator[Tree]:
    """The tree of each OSTree deployment on a volume."""
    for stateroot in _folders(reader, Place(root, "/ostree/deploy")):
        base = f"/ostree/deploy/{stateroot}"
        for name in _folders(reader, Place(root, f"{base}/deploy")):
            try:
                deployment = ostree.parse_deployment_name(name)
            except BakeryError:
                continue
            etc = Place(root, deployment.path(stateroot) + "/etc")
            shared = {point: (Place(root, base + path),) for point, path in SHARED.items()}
            yield Tree({"": (Place(root, ""),), "/etc": (etc,), **shared})


def _folders(reader: Reader, place: Place) -> list[str]:
    return [item.name for item in reader.items(*place) if item.is_directory]


def _completed(reader: Reader, inspected: Inspection, tree: Tree, *, is_deployment: bool) -> System:
    """The system of that tree, with what it mounts and the homes of its users."""
    mounted = mounts.find(reader, inspected, tree)
    tree = _linked(tree, mounted.tree) if is_deployment else mounted.tree
    found, sealed = homes.find(reader, tree)
    return System(
        tree=tree,
        homes=found,
        swap_files=mounted.swap_files,
        unsearched=(*mounted.unsearched, *sealed),
        notes=mounted.notes,
        is_deployment=is_deployment,
    )


def _linked(own: Tree, mounted: Tree) -> Tree:
    """What is mounted in a deployment has both names that lead to it: /home is a link."""
    mounts = dict(mounted.mounts)
    for ways in SHARED.items():
        places = {way: own.mounts.get(way, ()) for way in ways}
        over = [p for way in ways for p in mounted.mounts.get(way, ()) if p not in places[way]]
        if over:
            mounts |= {way: (*dict.fromkeys(over), *places[way]) for way in ways}
    return Tree(mounts)
