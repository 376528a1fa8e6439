"""What the rules find in an image. Nothing is written, and no link is followed.

What a mount hides is searched as well: nobody sees it, and its bytes are there.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from typing import NamedTuple

import msgspec

from bakery.build.scrub import systems
from bakery.build.scrub.devices import SWAP_TYPES
from bakery.build.scrub.rules import BELOW, HOME, Action, Rule, parts
from bakery.build.scrub.systems import System
from bakery.build.scrub.tree import whole
from bakery.build.scrub.unsearched import Unsearched
from bakery.disk.extents import Extent, merged
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError
from bakery.image.inspection import Inspection
from bakery.image.reader import Place, Reader
from bakery.image.trees import READABLE

FOUND_LIMIT = 20_000
DEPTH_LIMIT = 40
NAMED_SUBVOLUMES = 3
LOST_AND_FOUND = "/lost+found"
# At the end of the disk GPT keeps its second copy; one MiB is more than it needs.
GPT_COPY_BYTES = 1 << 20


class Found(msgspec.Struct, frozen=True):
    """A file or a folder that a rule takes, `path` inside the volume whose name `device` is."""

    rule: str
    device: str
    path: str
    size_bytes: int
    why: str
    action: Action


class Findings(msgspec.Struct, frozen=True):
    """All that is to be taken: files, swap volumes, and what no file holds any more."""

    files: tuple[Found, ...]
    swaps: tuple[Volume, ...]
    filesystems: tuple[Volume, ...]
    """Those whose free space is to be cleared."""
    gaps: tuple[Extent, ...]
    """Ranges of the disk between and behind the partitions, in bytes."""
    unsearched: tuple[Unsearched, ...] = ()
    """What belongs to a system and could not be looked into."""
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[Found, ...]:
        """What goes into the recovery archive: everything but a swap file's content."""
        return tuple(found for found in self.files if found.action != "blank")


def find(reader: Reader, inspected: Inspection, rules: Sequence[Rule]) -> Findings:
    """Ask the session on an image that was inspected for everything the rules tell of."""
    taken = _Taken()
    found = systems.find(reader, inspected)
    for system in found:
        for rule in (*rules, *_swap_rules(system)):
            for hit in _Search(reader, system, rule).hits():
                taken.add(rule, hit)
    survey = inspected.survey
    return Findings(
        files=tuple(taken.found.values()),
        swaps=tuple(volume for volume in survey.volumes if volume.type in SWAP_TYPES),
        filesystems=tuple(volume for volume in survey.volumes if volume.type in READABLE),
        gaps=_gaps(survey),
        unsearched=tuple(dict.fromkeys(item for system in found for item in system.unsearched)),
        notes=tuple(dict.fromkeys(_notes(inspected, found))),
    )


def _notes(inspected: Inspection, found: Sequence[System]) -> Iterator[str]:
    """What was not looked into and belongs to no system, as far as anything says."""
    yield from inspected.notes
    for system in found:
        yield from system.notes
    places = [p for system in found for there in system.tree.mounts.values() for p in there]
    devices = {place.volume.device for place in places}
    for volume in inspected.survey.volumes:
        if volume.type in READABLE and volume.device not in devices:
            what = f"{volume.device} ({volume.type})"
            yield f"{what} is mounted by no system of the image, and was not searched"
        seen = {place.volume.subvolume for place in places if place.volume.device == volume.device}
        rest = [s.path for s in volume.subvolumes if s.path not in seen]
        if rest and seen:
            named = ", ".join(rest[:NAMED_SUBVOLUMES]) + ", …" * (len(rest) > NAMED_SUBVOLUMES)
            yield (
                f"{volume.device} has {len(rest)} subvolumes that nothing mounts, which no rule "
                f"looks for homes in: {named}"
            )


def _swap_rules(system: System) -> Iterator[Rule]:
    """A rule for the swap files that fstab names; a name may hold what means more in a pattern."""
    for path in system.swap_files:
        yield Rule("swap", "memory of programs, whatever was in it", (escape(path),), "blank")


class Hit(NamedTuple):
    """A path of the running system, where it lies, and its size in bytes."""

    path: str
    place: Place
    size_bytes: int


class _Taken:
    """What was found so far, each path once, nothing that lies in a folder already taken."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Found] = {}

    def add(self, rule: Rule, hit: Hit) -> None:
        """Note a path, unless the rule keeps it or another has it."""
        device, path, size = hit.place.volume.name, hit.place.path, hit.size_bytes
        if any(fnmatchcase(hit.path, pattern) for pattern in rule.keep):
            return
        if (rule.action != "remove" and size == 0) or self._has(*whole(hit.place)):
            return
        if len(self.found) == FOUND_LIMIT:
            raise BakeryError(f"more than {FOUND_LIMIT} paths are to be taken")
        found = Found(rule.name, device, path, size, rule.why, rule.action)
        self.found[whole(hit.place)] = found

    def _has(self, device: str, path: str) -> bool:
        while path:
            if (device, path) in self.found:
                return True
            path = path.rpartition("/")[0]
        return False


class _Standing(NamedTuple):
    """What stands in one place under a path."""

    place: Place
    is_folder: bool
    size_bytes: int


class _Folder(NamedTuple):
    """A folder of the running system, and the places where what is in it lies."""

    path: str
    places: tuple[Place, ...]


class _Search:
    """The search for what one rule names in one system."""

    def __init__(self, reader: Reader, system: System, rule: Rule) -> None:
        self._reader = reader
        self._homes = system.homes
        self._tree = system.tree
        self._rule = rule

    def hits(self) -> Iterator[Hit]:
        """All of it, the paths as the running system has them."""
        for pattern in self._rule.paths:
            tops = self._homes if pattern.startswith(HOME) else ("",)
            for top in tops:
                folder = _Folder(top, self._tree.places(top))
                yield from self._expanded(folder, parts(pattern))

    def _expanded(self, folder: _Folder, words: Sequence[str]) -> Iterator[Hit]:
        word, rest = words[0], words[1:]
        if word == BELOW:
            yield from self._below(folder, rest or ("*",), DEPTH_LIMIT)
            return
        for path, standing in self._named(folder, word):
            if not rest:
                yield from self._taken(path, standing)
            elif inside := self._inside(path, standing):
                yield from self._expanded(inside, rest)

    def _below(self, folder: _Folder, words: Sequence[str], depth: int) -> Iterator[Hit]:
        """What matches in a folder and in all folders in it."""
        yield from self._expanded(folder, words)
        for path, standing in self._named(folder, "*"):
            inside = self._inside(path, standing)
            if depth and inside:
                yield from self._below(inside, words, depth - 1)

    def _taken(self, path: str, standing: Sequence[_Standing]) -> Iterator[Hit]:
        """What stands under a path that a rule names: files, and where it removes, folders.

        Of a folder that has to be there still, since something is mounted on it or e2fsck(8) wants
        it, the content goes. What is mounted below a folder that goes lies elsewhere, and goes too.
        """
        removes, is_point = self._rule.action == "remove", path in self._tree.mounts
        stays = [one for one in standing if one.is_folder and (is_point or _is_kept(one.place))]
        for one in standing:
            if not one.is_folder:
                yield Hit(path, one.place, one.size_bytes)
            elif removes and one not in stays:
                yield Hit(path, one.place, self._reader.size_bytes(*one.place))
        if removes and stays:
            content = _Folder(path, tuple(one.place for one in stays))
            yield from self._expanded(content, ("*",))
        for point in self._tree.mounts_below(path) if removes else ():
            yield from self._expanded(_Folder(point, self._tree.mounts[point]), ("*",))

    def _inside(self, path: str, standing: Sequence[_Standing]) -> _Folder | None:
        """The folder that a path is, in all the places where it is one; None where in none."""
        places = tuple(one.place for one in standing if one.is_folder)
        return _Folder(path, places) if places or self._tree.mounts_below(path) else None

    def _named(self, folder: _Folder, word: str) -> Iterator[tuple[str, list[_Standing]]]:
        """The paths in a folder whose name matches, with all that stands there, hidden or not."""
        points = (name for name in self._tree.mounts_in(folder.path) if fnmatchcase(name, word))
        found: dict[str, list[_Standing]] = {name: [] for name in points}
        for place in folder.places:
            for item in self._reader.items(*place):
                if fnmatchcase(item.name, word):
                    inside = Place(place.volume, f"{place.path}/{item.name}")
                    standing = _Standing(inside, item.is_directory, item.size_bytes)
                    found.setdefault(item.name, []).append(standing)
        for name in sorted(found):
            path = f"{folder.path}/{name}"
            mounted = [self._standing(place) for place in self._tree.mounts.get(path, ())]
            yield path, [*filter(None, mounted), *found[name]]

    def _standing(self, place: Place) -> _Standing | None:
        """What is mounted: a volume's root, a folder, or a file; None where it is not there."""
        if not place.path:
            return _Standing(place, is_folder=True, size_bytes=0)
        folder, _, name = place.path.rpartition("/")
        items = (item for item in self._reader.items(place.volume, folder) if item.name == name)
        return next((_Standing(place, i.is_directory, i.size_bytes) for i in items), None)


def _is_kept(place: Place) -> bool:
    """Whether it is the folder that e2fsck(8) puts into a filesystem for what it finds."""
    return place.path == LOST_AND_FOUND and not place.volume.subvolume


def _gaps(survey: Survey) -> tuple[Extent, ...]:
    """What lies behind the first partition's start and in no partition.

    Before it a boot loader may lie. An extended partition is left: its chain lies in its gaps.
    """
    if survey.table is None or not survey.table.partitions:
        return ()
    used = [Extent(p.start_bytes, p.size_bytes) for p in survey.table.partitions]
    end = survey.size_bytes - (GPT_COPY_BYTES if survey.table.label == "gpt" else 0)
    gaps: list[Extent] = []
    covered = list(merged(sorted(used)))
    for before, after in zip(covered, [*covered[1:], Extent(end, 0)], strict=True):
        if after.offset > before.end:
            gaps.append(Extent(before.end, after.offset - before.end))
    return tuple(gaps)
