"""The direct engine: no virtual machine, no mount outside a cage, no privilege.

The image is shown as plain files inside a cage; GRUB's own readers find files in them. A file
is edited in place, over the very bytes it lies in, so it keeps its length and nothing else on
the disk changes.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from bakery.disk.extents import Extent, total
from bakery.disk.volumes import btrfs
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host import sandbox, tools
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.host.run import Limits, ending
from bakery.image.engines import direct_survey, ext4_scrub, grubfs, hazards
from bakery.image.engines.base import (
    LACKING,
    READ_LIMIT_BYTES,
    CannotServe,
    Capability,
    DirectoryEntry,
    FileMissing,
    Item,
    Removal,
    too_large,
)
from bakery.image.engines.cell import LIMITS, Command, Output
from bakery.image.engines.direct_btrfs import Names
from bakery.image.engines.grubfs import Place
from bakery.image.engines.survey import DISK
from bakery.image.engines.view import View

PROGRAMS = ("qemu-storage-daemon", "grub-fstest", "sfdisk", "blkid", "prlimit")
FUSE_DEVICE = Path("/dev/fuse")
FUSE_MOUNTER = "fusermount3"
COPY_CPU_SECONDS = 300
COMPLAINT_BYTES = 16 << 10
ENTRY_LIMIT = 20_000
LINK_LIMIT = 512
"""Names in one directory that GRUB does not tell the kind of, each of which costs a program."""
EDIT_LIMIT_BYTES = READ_LIMIT_BYTES


def why_not() -> str | None:
    """Why this engine cannot serve on this machine, or None."""
    missing = tools.missing(PROGRAMS)
    if missing:
        return f"{', '.join(missing)} not installed ({tools.install_hint(missing)})"
    if not os.access(FUSE_DEVICE, os.R_OK | os.W_OK):
        return f"{FUSE_DEVICE} cannot be opened"
    if not sandbox.available() and os.geteuid() != 0 and tools.find(FUSE_MOUNTER) is None:
        return f"neither bubblewrap nor {FUSE_MOUNTER} is there to mount a FUSE filesystem with"
    return None


class DirectEngine:
    """A session on one image; see `Engine` for what each question means.

    `work` is an existing private folder. `written` lists the ranges of the disk that were
    edited, in bytes. Must be used from one thread, the one that made it.
    """

    name = "direct"
    capabilities = frozenset[Capability](("quick", "edit", "scrub"))
    mounts_to_edit = False

    def __init__(self, source: Path, source_format: str, work: Path, report: Report) -> None:
        obstacle = why_not()
        if obstacle:
            raise CannotServe(f"the direct engine cannot serve here: {obstacle}", "bakery doctor")
        self.written: list[Extent] = []
        self._survey: Survey | None = None
        self._btrfs: dict[str, Names] = {}
        """What tells the names of the btrfs on a device."""
        self._known: set[str] = set()
        """The devices of volumes that GRUB's readers were seen to know."""
        self._open: View | None = View(source, source_format, work)
        self.overlay = self._open.overlay
        if not self._open.cell.confined:
            report.note("bubblewrap does not work here: the image's parsers run unconfined")

    def survey(self) -> Survey:
        """Partitions, volume groups and volumes with their filesystems."""
        if self._survey is None:
            self._survey = direct_survey.survey(self._view)
        return self._survey

    def list_directory(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        """The names in a directory, sorted; those that are not plain text are refused."""
        if volume.type == btrfs.TYPE:
            return self._names(volume).entries(volume, path)
        found = grubfs.names(*self._listings(volume, path))
        unknown = [name for name, known in found if known is None]
        if len(found) > ENTRY_LIMIT or len(unknown) > LINK_LIMIT:
            raise CannotServe(f"{path} in {volume.name} holds too many names to tell apart")
        directories = self._directories(volume, path, unknown)
        return sorted(DirectoryEntry(name, known or name in directories) for name, known in found)

    def items(self, volume: Volume, path: str) -> list[Item]:
        """The names in a directory with their sizes, sorted; links are not followed."""
        if volume.type == btrfs.TYPE:
            return self._names(volume).items(volume, path)
        short, long = self._listings(volume, path)
        sizes = grubfs.sizes(long)
        return sorted(
            Item(name, known or False, sizes.get(name, 0))
            for name, known in grubfs.names(short, long)
        )

    def read_file(self, volume: Volume, path: str, limit: int = READ_LIMIT_BYTES) -> bytes:
        """A file's content; BakeryError when it holds more than `limit` bytes."""
        plain = self._plain(volume, path)
        output = self._view.cell.run(_reading(self._place(volume), plain, limit))
        return self._content(output, volume, path, limit)

    def piece(self, volume: Volume, path: str, offset: int, length: int) -> bytes:
        """`length` bytes of a file from byte `offset` on; fewer at its end, none behind it."""
        words = self._place(volume).piece(self._plain(volume, path), offset, length)
        # What it complains of goes into a file as well, and needs room.
        limits = Limits(LIMITS.memory_bytes, LIMITS.cpu_seconds, length + COMPLAINT_BYTES)
        output = self._view.cell.run(Command(words, limits))
        if output.returncode and grubfs.is_behind(output.complaint):
            return b""
        self._check(output, volume, path)
        return output.stdout[:length]

    def read_disk(self, offset: int, length: int) -> bytes:
        """`length` bytes of the disk from byte `offset` on; fewer at its end, none behind it."""
        return self._view.read(offset, length)

    def copy_out(self, volume: Volume, path: str, destination: Path, limit: int) -> None:
        """Copy a file of at most `limit` bytes to `destination`, which is made or replaced."""
        partial = destination.with_name(f".{destination.name}.part")
        limits = Limits(LIMITS.memory_bytes, COPY_CPU_SECONDS, limit + 1)
        try:
            with partial.open("wb") as file:
                words = self._place(volume).cat(self._plain(volume, path))
                output = self._view.cell.run(Command(words, limits, file.fileno()))
            if partial.stat().st_size > limit:
                raise too_large(volume, path, limit)
            self._check(output, volume, path)
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)

    def copy_volume(self, volume: Volume, destination: Path) -> None:
        """CannotServe, always."""
        raise CannotServe(LACKING["map"])

    def same_file(self, volume: Volume, first: str, second: str) -> bool:
        """Whether two paths lead to one and the same file.

        Told by the inode where a reader names it, else by where the bytes lie. Raises
        CannotServe where neither can be told: of an empty file on ext4.
        """
        if volume.type == btrfs.TYPE:
            names = self._names(volume)
            return names.identity(volume, first) == names.identity(volume, second)
        if self.read_file(volume, first) != self.read_file(volume, second):
            return False
        if first == second:
            return True
        place = self._place(volume)
        traces = [place.trace(path, volume.type) for path in (first, second)]
        one, other = (_identity(volume, output) for output in self._outputs(traces))
        if not one or not other:
            raise CannotServe(f"{first} and {second} have the same content and no known place")
        return one == other

    def cannot_edit(self, volume: Volume, path: str) -> str | None:
        """Why `replace` cannot rewrite this file at its length, or None where it can."""
        try:
            self._editable(volume, path, EDIT_LIMIT_BYTES)
        except CannotServe as reason:
            return reason.message
        return None

    def replace(self, volume: Volume, path: str, old: bytes, new: bytes) -> None:
        """Write `new`, of the length of `old`, over the bytes in which a file holds `old`."""
        if len(new) != len(old):
            raise CannotServe(
                f"{path} would change its length from {len(old)} to {len(new)} bytes: "
                "a file is edited in place or not at all"
            )
        content, places = self._editable(volume, path, max(len(old), EDIT_LIMIT_BYTES))
        if content != old:
            raise BakeryError(f"{path} in {volume.name} does not hold what was read from it")
        pieces = _differing(places, old, new)
        self._view.write(pieces)
        self.written += [extent for extent, _ in pieces]
        if self.read_file(volume, path, len(new)) != new:
            raise BakeryError(f"{path} in {volume.name} was written, but reads back differently")

    def scrub(self, removal: Removal, keep: BinaryIO | None = None) -> set[str]:
        """Take `removal` out of the overlay; CannotServe where that takes a kernel."""
        if keep is not None:
            raise CannotServe(LACKING["keep"])
        return ext4_scrub.scrub(self._view, self.survey(), removal)

    def restore(self, tar: BinaryIO, volumes: Iterable[Volume]) -> None:
        """CannotServe, always."""
        raise CannotServe(LACKING["restore"])

    def close(self) -> None:
        """End the session; everything written is in `overlay` when this returns."""
        view, self._open = self._open, None
        if view is not None:
            view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _view(self) -> View:
        if self._open is None:
            raise BakeryError("the session on the image is over")
        return self._open

    def _place(self, volume: Volume) -> Place:
        """Where GRUB finds a volume: a file of its own, or in GRUB's own view of LVM.

        That is given the physical volumes, each a file: of partitions GRUB knows less than sfdisk.
        """
        if len(volume.place) == 1:
            return Place((self._view.window(volume.place[0]),))
        # GRUB doubles hyphens as device-mapper does (grub-core/disk/lvm.c).
        doubled = [part.replace("-", "--") for part in volume.device.split("/")[2:]]
        group = self.survey().group_of(volume.device)
        devices = [f"{DISK}{number or ''}" for number in group.partitions] if group else []
        held = [found for device in devices if (found := self.survey().volume(device))]
        windows = tuple(self._view.window(found.place[0]) for found in held)
        return Place(windows or (self._view.disk,), "lvm/" + "-".join(doubled))

    def _names(self, volume: Volume) -> Names:
        """What tells the names of a btrfs."""
        if volume.device not in self._btrfs:
            self._btrfs[volume.device] = Names(self._view.reader(volume.place))
        return self._btrfs[volume.device]

    def _plain(self, volume: Volume, path: str) -> str:
        """The path by which GRUB's reader comes to a file."""
        if volume.type != btrfs.TYPE:
            return path
        return self._names(volume).plain(volume, path)

    def _listings(self, volume: Volume, path: str) -> tuple[bytes, bytes]:
        """What GRUB prints of a directory, short and long."""
        short, long = self._outputs([*self._place(volume).listings(path)])
        for output in (short, long):
            if output.returncode:
                self._check(output, volume, path)
        if not grubfs.is_directory(short.stdout):
            raise self._absent(volume, path)
        self._known.add(volume.device)
        return short.stdout, long.stdout

    def _outputs(self, commands: Sequence[list[str]]) -> list[Output]:
        return self._view.cell.run_all([Command(words) for words in commands])

    def _check(self, output: Output, volume: Volume, path: str) -> None:
        """Raise what a failed grub-fstest means."""
        if output.returncode < 0:
            raise CannotServe(
                f"GRUB's reader {ending(output.returncode)} over {path} in {volume.name}"
            )
        if output.returncode or output.complaint:
            raise grubfs.failure(path, volume.name, output.complaint)

    def _absent(self, volume: Volume, path: str) -> BakeryError:
        """Why a directory lists as nothing: GRUB does not say."""
        if volume.device not in self._known:
            (identified,) = self._outputs([self._place(volume).identify()])
            if not grubfs.is_known(identified.stdout):
                return CannotServe(f"GRUB's readers do not know the filesystem of {volume.name}")
        return FileMissing(f"there is no directory {path} in {volume.name}")

    def _directories(self, volume: Volume, path: str, names: Sequence[str]) -> set[str]:
        """Those of `names` that lead to a directory."""
        place = self._place(volume)
        commands = [place.listings(f"{path.rstrip('/')}/{name}")[0] for name in names]
        outputs = self._outputs(commands)
        return {
            name
            for name, output in zip(names, outputs, strict=True)
            if grubfs.is_directory(output.stdout)
        }

    def _editable(self, volume: Volume, path: str, limit: int) -> tuple[bytes, list[Extent]]:
        """A file's content and the ranges of the disk that hold it, in its order.

        Raises CannotServe where they are not known, or not free to be written.
        """
        place, read_at = self._place(volume), self._view.reader(volume.place)
        plain = self._plain(volume, path)
        reading, locating = self._view.cell.run_all(
            [_reading(place, plain, limit), Command(place.blocklist(plain))]
        )
        content = self._content(reading, volume, path, limit)
        self._refuse(hazards.editing(read_at, volume), path)
        if not content:
            return content, []  # there is nothing to write over, nor to place
        pieces = grubfs.extents(locating.stdout)
        if total(pieces) != len(content):
            raise CannotServe(f"{path} in {volume.name} has no bytes of its own on the disk")
        self._refuse(hazards.sharing(read_at, volume, pieces), path)
        if b"".join(read_at(piece.offset, piece.length) for piece in pieces) != content:
            raise CannotServe(f"{path} in {volume.name} is kept in another form than it reads")
        return content, grubfs.on_disk(pieces, volume.place)

    def _content(self, output: Output, volume: Volume, path: str, limit: int) -> bytes:
        if len(output.stdout) > limit:
            raise too_large(volume, path, limit)
        self._check(output, volume, path)
        return output.stdout

    def _refuse(self, reason: str | None, path: str) -> None:
        if reason:
            raise CannotServe(f"{path}: {reason}")


def _identity(volume: Volume, traced: Output) -> bytes | None:
    """What tells a file from every other on its volume; None where nothing does."""
    if traced.returncode:
        return None
    if volume.type in hazards.EXT:
        return traced.stdout.strip()
    return grubfs.identity(volume.type, traced.stdout)


def _reading(place: Place, path: str, limit: int) -> Command:
    """The command that prints a file of at most `limit` bytes.

    It may print one byte more, at which it is ended: so the size tells.
    """
    return Command(place.cat(path), Limits(LIMITS.memory_bytes, LIMITS.cpu_seconds, limit + 1))


def _differing(places: Sequence[Extent], old: bytes, new: bytes) -> list[tuple[Extent, bytes]]:
    """The ranges of the disk to write and what to write there, `places` being those of `old`."""
    from bakery.disk.copy import changes

    result: list[tuple[Extent, bytes]] = []
    start = 0
    for place in places:
        for run in changes.differing(
            old[start : start + place.length], new[start : start + place.length]
        ):
            data = new[start + run.offset : start + run.end]
            result.append((Extent(place.offset + run.offset, run.length), data))
        start += place.length
    return result
