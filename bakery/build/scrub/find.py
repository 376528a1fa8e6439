"""What the rules find in an image. Nothing is written, and no link is followed."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from typing import NamedTuple

import msgspec

from bakery.build.scrub import systems
from bakery.build.scrub.rules import BELOW, HOME, Action, Rule, parts
from bakery.build.scrub.systems import System
from bakery.disk.extents import Extent, merged
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError
from bakery.image.inspection import Inspection
from bakery.image.reader import Place, Reader
from bakery.image.trees import READABLE

SWAP_TYPES = ("swap", "swsuspend")
FOUND_LIMIT = 20_000
DEPTH_LIMIT = 40
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
        notes=tuple(dict.fromkeys((*inspected.notes, *(n for s in found for n in s.unsearched)))),
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
        if (rule.action != "remove" and size == 0) or self._has(device, path):
            return
        if len(self.found) == FOUND_LIMIT:
            raise BakeryError(f"more than {FOUND_LIMIT} paths are to be taken")
        self.found[device, path] = Found(rule.name, device, path, size, rule.why, rule.action)

    def _has(self, device: str, path: str) -> bool:
        while path:
            if (device, path) in self.found:
                return True
            path = path.rpartition("/")[0]
        return False


class _Search:
    """The search for what one rule names in one system."""

    def __init__(self, reader: Reader, system: System, rule: Rule) -> None:
        self._reader = reader
        self._system = system
        self._rule = rule

    def hits(self) -> Iterator[Hit]:
        """All of it, the paths as the running system has them."""
        for pattern in self._rule.paths:
            tops = self._system.homes if pattern.startswith(HOME) else ("",)
            for top in tops:
                yield from self._expanded(top, parts(pattern))

    def _expanded(self, folder: str, words: Sequence[str]) -> Iterator[Hit]:
        word, rest = words[0], words[1:]
        if word == BELOW:
            yield from self._below(folder, rest or ("*",), DEPTH_LIMIT)
            return
        for path, is_directory, size in self._named(folder, word):
            if rest and is_directory:
                yield from self._expanded(path, rest)
            elif not rest and not is_directory:
                yield Hit(path, self._system.place(path), size)
            elif not rest and self._rule.action == "remove":
                place = self._system.place(path)
                yield Hit(path, place, self._reader.size_bytes(*place))

    def _below(self, folder: str, words: Sequence[str], depth: int) -> Iterator[Hit]:
        """What matches in a folder and in all folders in it."""
        yield from self._expanded(folder, words)
        for path, is_directory, _ in self._named(folder, "*"):
            if is_directory and depth:
                yield from self._below(path, words, depth - 1)

    def _named(self, folder: str, word: str) -> Iterator[tuple[str, bool, int]]:
        """The paths in a folder whose name matches, whether each is a folder, and its size.

        A place where something is mounted is a folder whatever it is without that.
        """
        mounts = self._system.mounts_in(folder)
        for item in self._reader.items(*self._system.place(folder)):
            if item.name not in mounts and fnmatchcase(item.name, word):
                yield f"{folder}/{item.name}", item.is_directory, item.size_bytes
        for name in mounts:
            if fnmatchcase(name, word):
                yield f"{folder}/{name}", True, 0


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
