"""The careful engine: the image's filesystems are mounted by a kernel in a virtual machine.

One libguestfs appliance serves a session. It starts with the first question and sees one disk,
the overlay. One volume is mounted at a time, at the appliance's root, so that the kernel itself
keeps every link and every `..` inside that volume.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from bakery.disk import blockdevs
from bakery.disk.extents import Extent
from bakery.disk.volumes import gpt
from bakery.disk.volumes.volumes import LUKS, Survey, Volume
from bakery.host import sandbox, tools
from bakery.host.errors import BakeryError
from bakery.host.kvm import Accel, acceleration
from bakery.host.report import Report
from bakery.host.run import CommandFailed
from bakery.image.engines import appliance, guestfs_mapped, guestfs_scrub, guestfs_survey
from bakery.image.engines import guestfs_files as files
from bakery.image.engines.base import (
    READ_LIMIT_BYTES,
    Capability,
    DirectoryEntry,
    FileMissing,
    Item,
    Removal,
    cluster_bytes,
    too_large,
)
from bakery.image.engines.guestfish import CommandRefused, Guestfish, GuestfishEnded
from bakery.image.engines.survey import DISK

PROGRAMS = ("guestfish", "qemu-img")
LAUNCH_SECONDS = 600.0
COPY_SECONDS = 120.0
COPY_BYTES_PER_SECOND = 1 << 20

MISSING = (
    "No such file or directory",
    "Not a directory",
    "Too many levels of symbolic links",
    "File name too long",
)


def why_not() -> str | None:
    """Why this engine cannot serve on this machine, or None."""
    missing = tools.missing(PROGRAMS)
    return f"{', '.join(missing)} not installed" if missing else None


class GuestfsEngine:
    """A session on one image through an appliance; see `Engine` for what each question means.

    `work` is an existing private folder, `size_bytes` the disk's size (0: not known), `key` what
    opens the LUKS on it. Must be used from one thread, the one that made it.
    """

    name = "guestfs"
    capabilities = frozenset[Capability](("edit", "resize", "scrub", "keep", "restore", "map"))
    mounts_to_edit = True

    def __init__(
        self,
        source: Path,
        source_format: str,
        work: Path,
        report: Report,
        size_bytes: int = 0,
        key: bytes | None = None,
    ) -> None:
        self._key = key
        self._work = work.resolve()
        self._source = source.resolve()
        self._scratch = self._work / "guestfs"
        self._report = report
        self._fish: Guestfish | None = None
        self._survey: Survey | None = None
        self._mounted = ""
        self._closed = False
        self.overlay = self._work / "overlay.qcow2"
        self._size_bytes = size_bytes
        self._disk = blockdevs.image(self._source, source_format)
        _make_overlay(self.overlay, self._source, source_format, cluster_bytes(size_bytes))

    def survey(self) -> Survey:
        """Partitions, volume groups and volumes with their filesystems."""
        if self._survey is None:
            with self._questions() as fish:
                self._survey = guestfs_survey.survey(fish, self._scratch, self._key)
        return self._survey

    def list_directory(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        """The names in a directory, sorted; those that are not plain text are refused."""
        with self._questions(volume, path) as fish:
            return files.entries(fish, path, self._scratch)

    def items(self, volume: Volume, path: str) -> list[Item]:
        """The names in a directory with their sizes, sorted; links are not followed."""
        with self._questions(volume, path) as fish:
            return files.items(fish, path, self._scratch)

    def read_file(self, volume: Volume, path: str, limit: int = READ_LIMIT_BYTES) -> bytes:
        """A file's content; BakeryError when it holds more than `limit` bytes."""
        with self._questions(volume, path) as fish:
            size = files.regular(fish, path).size
            if size > limit:
                raise too_large(volume, path, limit)
            return self._download(fish, path, size)

    def piece(self, volume: Volume, path: str, offset: int, length: int) -> bytes:
        """`length` bytes of a file from byte `offset` on; fewer at its end, none behind it."""
        with self._questions(volume, path) as fish:
            size = min(files.regular(fish, path).size - offset, length)
            return self._piece(fish, files.inside(path), offset, size)

    def read_disk(self, offset: int, length: int) -> bytes:
        """`length` bytes of the disk from byte `offset` on; fewer at its end, none behind it."""
        size = min(self.survey().size_bytes - offset, length)
        with self._questions() as fish:
            return self._piece(fish, DISK, offset, size)

    def copy_out(self, volume: Volume, path: str, destination: Path, limit: int) -> None:
        """Copy a file of at most `limit` bytes to `destination`, which is made or replaced."""
        with self._questions(volume, path) as fish:
            size = files.regular(fish, path).size
            if size > limit:
                raise too_large(volume, path, limit)
            copy = self._copy(fish, path, size)
            shutil.move(copy, destination)

    def copy_volume(self, volume: Volume, destination: Path) -> None:
        """Copy all of a volume to a new file; what was edited in it is in the copy."""
        self.survey()  # by which it is open
        with self._appliance() as (fish, scratch):
            fish.ask("sync")
            guestfs_mapped.copy(fish, volume.device, volume.size_bytes, scratch, destination)

    def same_file(self, volume: Volume, first: str, second: str) -> bool:
        """Whether two paths lead to one and the same file."""
        with self._questions(volume, first) as fish:
            one = files.status(fish, first)
        with self._questions(volume, second) as fish:
            return one.identity == files.status(fish, second).identity

    def cannot_edit(self, volume: Volume, path: str) -> str | None:
        """None: what can be mounted can be edited."""
        return None

    def replace(self, volume: Volume, path: str, old: bytes, new: bytes) -> None:
        """Write `new` over a file that holds exactly `old`; its inode and its times stay."""
        if self.read_file(volume, path, limit=max(len(old), READ_LIMIT_BYTES)) != old:
            raise BakeryError(f"{path} in {volume.name} does not hold what was read from it")
        with self._questions(volume, path, write=True) as fish:
            self._overwrite(fish, path, new)
        with self._questions(volume, path) as fish:
            if self._download(fish, path, len(new)) != new:
                raise BakeryError(
                    f"{path} in {volume.name} was written, but reads back differently"
                )

    def scrub(self, removal: Removal, keep: BinaryIO | None = None) -> set[str]:
        """Take `removal` out of the overlay, a tar of it to `keep`; the paths that were left.

        The files of volumes that share a UUID could not be told apart: BakeryError.
        """
        with self._appliance() as (fish, scratch):
            return guestfs_scrub.scrub(fish, scratch, removal, keep)

    def restore(self, tar: BinaryIO, volumes: Iterable[Volume]) -> None:
        """Put the members of `tar` into these volumes, with all their attributes."""
        with self._appliance() as (fish, scratch):
            guestfs_scrub.restore(fish, scratch, tar, tuple(volumes))

    @contextlib.contextmanager
    def _appliance(self) -> Iterator[tuple[Guestfish, Path]]:
        """The appliance with nothing mounted, and a folder of the session that guestfish sees."""
        with self._questions() as fish:
            fish.ask("umount-all")
            self._mounted = ""
            yield fish, self._scratch

    def close(self) -> None:
        """End the session; everything written is in `overlay` when this returns."""
        self._closed = True
        fish, self._fish = self._fish, None
        try:
            if fish is not None:
                _shut_down(fish)
        except BaseException:
            self.overlay.unlink(missing_ok=True)
            raise
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self._abandon()
        self.close()

    @contextlib.contextmanager
    def _questions(
        self, volume: Volume | None = None, path: str = "", *, write: bool = False
    ) -> Iterator[Guestfish]:
        """The appliance, started, with `volume` mounted; its errors come out as ours.

        After an appliance has ended on its own the session is over.
        """
        try:
            fish = self._started()
            if volume is not None:
                self._mount(fish, volume, write=write)
            yield fish
        except CommandRefused as error:
            where = f"{path} in {volume.name}" if volume else "the image"
            if error.message.endswith(MISSING):
                raise FileMissing(f"there is no {where}") from error
            raise BakeryError(f"{where}: {error.message}") from error
        finally:
            if self._fish is not None and self._fish.ended:
                self._abandon()

    def _started(self) -> Guestfish:
        if self._closed:
            raise BakeryError("the session on the image is over")
        if self._fish is None:
            accel = acceleration()
            with self._report.step("appliance", f"starts under {accel.upper()}") as step:
                self._fish = self._launch(accel)
                step.summary(f"is up under {accel.upper()}")
        return self._fish

    def _launch(self, accel: Accel) -> Guestfish:
        missing = tools.missing(["guestfish"])
        if missing:
            raise BakeryError("guestfish is not installed", tools.install_hint(missing))
        self._scratch.mkdir(exist_ok=True)
        cache = appliance.appliance_cache(self._scratch)
        place = appliance.Place(self._source, self._work, self._scratch, cache)
        cage = appliance.cage(place)
        env = appliance.environment(accel, place, caged=bool(cage))
        fish = Guestfish([*cage, "guestfish", "--keys-from-stdin"], env, self._work)
        try:
            # A name without folders: libguestfs takes no path with a colon in it.
            options = ["format:qcow2", "cachemode:unsafe", "discard:enable"]
            options += [f"label:{guestfs_survey.LABEL}", f"blocksize:{self._sector_bytes()}"]
            fish.ask("add-drive", self.overlay.name, *options)
            fish.ask("launch", timeout=LAUNCH_SECONDS)
        except (CommandRefused, GuestfishEnded) as error:
            fish.kill()
            raise BakeryError(
                f"the libguestfs appliance did not start: {error.message}",
                "libguestfs-test-tool shows what keeps an appliance from starting here",
            ) from error
        return fish

    def _sector_bytes(self) -> int:
        """The sectors of the disk: the appliance's kernel finds its table by them alone."""
        from bakery.disk.copy.copy import read_range

        def read_at(offset: int, length: int) -> bytes:
            sector = Extent(offset, gpt.USUAL_SECTOR_BYTES)
            return read_range(self._disk, [self._source], sector, self._scratch)[:length]

        return gpt.sector_bytes(read_at, self._size_bytes)

    def _mount(self, fish: Guestfish, volume: Volume, *, write: bool) -> None:
        options = files.mount_options(volume, write=write)
        wanted = f"{volume.device} {options}"
        if self._mounted == wanted:
            return
        if volume.type == LUKS:
            raise BakeryError(f"{volume.device} is encrypted (LUKS) and cannot be read")
        self._mounted = ""
        if not volume.place and self._survey is None:  # it may have to be opened first
            self._survey = guestfs_survey.survey(fish, self._scratch, self._key)
        fish.ask("umount-all")
        try:
            fish.ask("mount-options", options, volume.device, "/")
        except CommandRefused as error:
            raise BakeryError(
                f"{volume.name} cannot be mounted: {_mount_reason(error, volume)}",
                "the filesystem may be damaged, or unknown to this machine's kernel",
            ) from error
        self._mounted = wanted

    def _download(self, fish: Guestfish, path: str, size: int) -> bytes:
        copy = self._copy(fish, path, size)
        data = copy.read_bytes()
        copy.unlink()
        return data

    def _piece(self, fish: Guestfish, path: str, offset: int, size: int) -> bytes:
        """A range of a file or a disk, all of which is there."""
        if size <= 0:
            return b""
        copy = self._scratch / "piece"
        fish.ask("download-offset", path, str(copy), str(offset), str(size))
        return copy.read_bytes()

    def _copy(self, fish: Guestfish, path: str, size: int) -> Path:
        """A file of `size` bytes copied to the scratch folder."""
        copy = self._scratch / "copy"
        timeout = COPY_SECONDS + size / COPY_BYTES_PER_SECOND
        fish.ask("download", files.inside(path), str(copy), timeout=timeout)
        return copy

    def _overwrite(self, fish: Guestfish, path: str, new: bytes) -> None:
        """Write a file's new content over the old, in its own blocks, and set its times back."""
        before = files.status(fish, path)
        text = self._scratch / "text"
        text.write_bytes(new)
        fish.ask("upload-offset", str(text), files.inside(path), "0")
        text.unlink()
        fish.ask("truncate-size", files.inside(path), str(len(new)))
        times = (*before.accessed, *before.modified)
        fish.ask("utimens", files.inside(path), *map(str, times))
        after = files.status(fish, path)
        if (after.identity, after.mode, after.owner) != (
            before.identity,
            before.mode,
            before.owner,
        ):
            raise BakeryError(f"{path} changed its owner or its mode while it was written")

    def _abandon(self) -> None:
        """Stop the appliance without waiting for it. The overlay may be torn: it goes too."""
        self._closed = True
        fish, self._fish = self._fish, None
        if fish is not None:
            fish.kill()
        self.overlay.unlink(missing_ok=True)


def _make_overlay(overlay: Path, source: Path, source_format: str, grain_bytes: int) -> None:
    """A qcow2 that takes all writes; the format of its backing file is named, never probed."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", source_format, "-b", str(source)]
    argv += ["-o", f"cluster_size={grain_bytes}", str(overlay)]
    cage = sandbox.Cage(read=(source,), write=(overlay.parent,))
    try:
        sandbox.run_confined(argv, cage)
    except CommandFailed as error:
        raise BakeryError(
            f"{source.name} cannot be opened as {source_format}: {error.tail}",
            "bakery check IMAGE says more",
        ) from error


def _shut_down(fish: Guestfish) -> None:
    try:
        fish.ask("umount-all")
        fish.ask("shutdown")
        fish.end()
    except (CommandRefused, GuestfishEnded) as error:
        fish.kill()
        raise BakeryError(
            f"the libguestfs appliance did not shut down: {error.message}",
            "the changes are lost; run the command again",
        ) from error


def _mount_reason(error: CommandRefused, volume: Volume) -> str:
    """What mount(8) said, without who said it and where; it tells two lines of which one counts."""
    if not volume.type:
        return "no filesystem is recognised on it"
    return error.message.split(" / ")[0].rpartition("mount: /sysroot: ")[2]
