"""The careful engine: the image's filesystems are mounted by a kernel in a virtual machine.

One libguestfs appliance serves a session. It starts with the first question and sees one disk,
the overlay. One volume is mounted at a time, at the appliance's root, so that the kernel itself
keeps every link and every `..` inside that volume.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from bakery import sandbox, tools
from bakery.disk.volumes import LUKS, Survey, Volume
from bakery.engines import appliance, guestfs_survey
from bakery.engines import guestfs_files as files
from bakery.engines.base import READ_LIMIT_BYTES, Entry, FileMissing, Item
from bakery.engines.guestfish import CommandRefused, Guestfish, GuestfishEnded
from bakery.errors import BakeryError
from bakery.kvm import Accel, acceleration
from bakery.report import Report
from bakery.run import CommandFailed

OVERLAY_CLUSTER_BYTES = 16384
LAUNCH_SECONDS = 600.0
COPY_SECONDS = 120.0
COPY_BYTES_PER_SECOND = 1 << 20

SAFE = "nodev,nosuid,noexec"
# Read-only alone still replays a dirty journal (mount(8), FILESYSTEM-SPECIFIC MOUNT OPTIONS).
NO_REPLAY = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery",
    "btrfs": "rescue=nologreplay",
}
# What GRUB sees: all of a btrfs, whichever subvolume is the default; short names in lower case.
AS_GRUB = {"btrfs": "subvolid=5", "vfat": "utf8,shortname=lower"}
MISSING = (
    "No such file or directory",
    "Not a directory",
    "Too many levels of symbolic links",
    "File name too long",
)


class GuestfsEngine:
    """A session on one image through an appliance; see `Engine` for what each question means.

    `work` is an existing private folder. `accel` is how the appliance runs (None: as a trial
    shows best), `cluster_bytes` the overlay's grain. Must be used from one thread, the one that
    made it.
    """

    name = "guestfs"
    mounts_to_edit = True

    def __init__(
        self,
        source: Path,
        source_format: str,
        work: Path,
        report: Report,
        accel: Accel | None = None,
        cluster_bytes: int = OVERLAY_CLUSTER_BYTES,
    ) -> None:
        self._work = work.resolve()
        self._source = source.resolve()
        self._scratch = self._work / "guestfs"
        self._report = report
        self._accel = accel
        self._fish: Guestfish | None = None
        self._survey: Survey | None = None
        self._mounted = ""
        self._closed = False
        self.overlay = self._work / "overlay.qcow2"
        _make_overlay(self.overlay, self._source, source_format, cluster_bytes)

    def survey(self) -> Survey:
        """Partitions, volume groups and volumes with their filesystems."""
        if self._survey is None:
            with self._questions() as fish:
                self._survey = guestfs_survey.survey(fish, self._scratch)
        return self._survey

    def list_directory(self, volume: Volume, path: str) -> list[Entry]:
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
                raise BakeryError(
                    f"{path} in {volume.device} holds {size} bytes, more than the {limit} allowed"
                )
            return self._download(fish, path, size)

    def copy_out(self, volume: Volume, path: str, destination: Path) -> None:
        """Copy a file out of the image to `destination`, which is made or replaced."""
        with self._questions(volume, path) as fish:
            size = files.regular(fish, path).size
            if size > volume.size_bytes:
                raise BakeryError(
                    f"{path} claims {size} bytes; all of {volume.device} is {volume.size_bytes}"
                )
            copy = self._copy(fish, path, size)
            shutil.move(copy, destination)

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
            raise BakeryError(f"{path} in {volume.device} does not hold what was read from it")
        with self._questions(volume, path, write=True) as fish:
            self._overwrite(fish, path, new)
        with self._questions(volume, path) as fish:
            if self._download(fish, path, len(new)) != new:
                raise BakeryError(f"{path} in {volume.device} was written, and reads otherwise")

    @contextlib.contextmanager
    def appliance(self) -> Iterator[tuple[Guestfish, Path]]:
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
            where = f"{path} in {volume.device}" if volume else "the image"
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
            accel = self._accel or acceleration()
            with self._report.step("appliance", f"starts under {accel.upper()}") as step:
                self._fish = self._launch(accel)
                step.summary(f"is up, under {accel.upper()}")
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
        fish = Guestfish([*cage, "guestfish"], env, self._work)
        try:
            # A name without folders: libguestfs takes no path with a colon in it.
            options = ["format:qcow2", "cachemode:unsafe", "discard:enable"]
            options += [f"label:{guestfs_survey.LABEL}"]
            fish.ask("add-drive", self.overlay.name, *options)
            fish.ask("launch", timeout=LAUNCH_SECONDS)
        except (CommandRefused, GuestfishEnded) as error:
            fish.kill()
            raise BakeryError(
                f"the libguestfs appliance did not start: {error.message}",
                "libguestfs-test-tool shows what keeps an appliance from starting here",
            ) from error
        return fish

    def _mount(self, fish: Guestfish, volume: Volume, *, write: bool) -> None:
        options = _options(volume, write=write)
        wanted = f"{volume.device} {options}"
        if self._mounted == wanted:
            return
        if volume.type == LUKS:
            raise BakeryError(f"{volume.device} is encrypted (LUKS) and cannot be looked into")
        self._mounted = ""
        fish.ask("umount-all")
        try:
            fish.ask("mount-options", options, volume.device, "/")
        except CommandRefused as error:
            raise BakeryError(
                f"{volume.device} cannot be mounted: {_mount_reason(error, volume)}",
                "the filesystem may be damaged, or unknown to this machine's kernel",
            ) from error
        self._mounted = wanted

    def _download(self, fish: Guestfish, path: str, size: int) -> bytes:
        copy = self._copy(fish, path, size)
        data = copy.read_bytes()
        copy.unlink()
        return data

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
        if len(new) < before.size:
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


def _make_overlay(overlay: Path, source: Path, source_format: str, cluster_bytes: int) -> None:
    """A qcow2 that takes all writes; the format of its backing file is named, never probed."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", source_format, "-b", str(source)]
    argv += ["-o", f"cluster_size={cluster_bytes}", str(overlay)]
    cage = sandbox.Cage(read=(source,), write=(overlay.parent,))
    try:
        sandbox.run_confined(argv, cage)
    except CommandFailed as error:
        raise BakeryError(
            f"{source.name} cannot be opened as {source_format}: {error.tail}",
            "bakery check IMAGE tells more",
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
            "what was changed is lost; give the command again",
        ) from error


def _options(volume: Volume, *, write: bool) -> str:
    words = [SAFE] if write else ["ro", SAFE, NO_REPLAY.get(volume.type, "")]
    return ",".join(word for word in (*words, AS_GRUB.get(volume.type, "")) if word)


def _mount_reason(error: CommandRefused, volume: Volume) -> str:
    """What mount(8) said, without who said it and where; it tells two lines of which one counts."""
    if not volume.type:
        return "no filesystem is recognised on it"
    return error.message.split(" / ")[0].rpartition("mount: /sysroot: ")[2]
