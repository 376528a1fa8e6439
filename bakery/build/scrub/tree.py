"""The paths of a running system, and where in an image's volumes each of them lies.

A path lies in more places than the one a running system shows: a mount hides what stands below its
point, and of two boot entries each may mount another volume there. Nothing hides bytes.
"""

from collections.abc import Iterator

import msgspec

from bakery.image.reader import Place


class Tree(msgspec.Struct, frozen=True):
    """Places put together. `mounts` maps a path, empty for the root, to what is mounted there,
    what a running system shows first."""

    mounts: dict[str, tuple[Place, ...]]

    def place(self, path: str) -> Place:
        """Where a running system has a path; `path` without a slash at its end."""
        return self.places(path)[0]

    def places(self, path: str) -> tuple[Place, ...]:
        """Everything that lies at a path, hidden or not, each once."""
        found: dict[tuple[str, str], Place] = {}
        for point in _above(path):
            for base in self.mounts.get(point, ()):
                place = Place(base.volume, base.path + path.removeprefix(point))
                found.setdefault(whole(place), place)
        return tuple(found.values())

    def point(self, path: str) -> str:
        """The mount point that a path lies below, or is."""
        return next(point for point in _above(path) if point in self.mounts)

    def mounts_in(self, folder: str) -> set[str]:
        """The names in a folder at which something is mounted, or below which it is."""
        start = folder + "/"
        return {
            point.removeprefix(start).partition("/")[0]
            for point in self.mounts
            if point.startswith(start)
        }

    def mounts_below(self, folder: str) -> list[str]:
        """The mount points in a folder and in the folders in it."""
        return sorted(point for point in self.mounts if point.startswith(folder + "/"))


def whole(place: Place) -> tuple[str, str]:
    """A place told from the top level of its filesystem: a subvolume's files may be seen by two
    ways, and are the same."""
    subvolume = place.volume.subvolume
    return place.volume.device, (f"/{subvolume}" if subvolume else "") + place.path


def _above(path: str) -> Iterator[str]:
    """A path and those above it, to the root, which is empty."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""
