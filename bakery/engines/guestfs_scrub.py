"""Taking files out of an image for good, and putting them back, in one appliance.

A kernel moves what is taken into a folder of its own, so that owners, modes, times and extended
attributes stay; from there it streams out as a tar, through a FIFO, and nothing of it touches the
disk. Then it is overwritten and removed, and free space is trimmed: in the overlay that makes
clusters that read as zeros. Trimming is exact where the filesystem's blocks lie on the overlay's
clusters; elsewhere a file of zeros fills the free space.

Members of the tar are named `NAME/path`, NAME being the volume's UUID (`key`).
"""

import contextlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from typing import IO, BinaryIO

from bakery.disk.volumes import Volume
from bakery.engines.base import Removal, outermost
from bakery.engines.guestfish import Guestfish
from bakery.engines.guestfs import AS_GRUB, SAFE, GuestfsEngine
from bakery.engines.guestfs_survey import inside
from bakery.errors import BakeryError
from bakery.pool import Pool

CLUSTER_BYTES = 4096
SCRIPT = Path(__file__).with_name("appliance_scrub.sh")
SCRIPT_INSIDE = "/tmp/scrub.sh"  # noqa: S108 - the appliance's own
TRIMMED = ("ext2", "ext3", "ext4", "xfs", "btrfs")
SECONDS = 600.0
BYTES_PER_SECOND = 4 << 20
# As appliance_scrub.sh has them.
KEPT = "/kept"
VOLUMES = "/volumes"
STAGE = ".bakery-scrub"
# What of a pax header is about the name, which changes, or is written anew from the rest.
REWRITTEN = ("path", "linkpath", "size", "uid", "gid")


def key(volume: Volume) -> str:
    """The volume's name in a tar: its UUID, or its device where it has none."""
    return volume.uuid or volume.device.strip("/").replace("/", "-")


def scrub(engine: GuestfsEngine, removal: Removal, keep: BinaryIO | None) -> set[str]:
    """Take `removal` out of the session's overlay; a tar of the files goes to `keep`, if given.

    Returns the paths that were left: links where a file was to be emptied. The files of volumes
    that share a UUID could not be told apart: BakeryError.
    """
    _refuse_alike(removal.filesystems)
    limit = SECONDS + sum(volume.size_bytes for volume in removal.filesystems) / BYTES_PER_SECOND
    with engine.appliance() as (fish, scratch):
        script = _Script(fish, scratch, limit)
        takings = outermost(removal.takings)
        script.send("list", _words((t.action, key(t.volume), t.path) for t in takings))
        script.send("mounts", _words(map(_mount, removal.filesystems)))
        script.send("swaps", _words((inside(v.device), v.uuid, v.label) for v in removal.swaps))
        script.send("gaps", _words((str(g.offset), str(g.length)) for g in removal.gaps))
        said = script.run("prepare", "mounts", "list")
        for taking in takings:
            if taking.action == "remove":
                top = f"{VOLUMES}/{key(taking.volume)}"
                fish.ask("rename", top + taking.path, f"{top}/{STAGE}{taking.path}")
        said += script.run("stage", "mounts", "list")
        if keep is not None and takings:
            with _taken_from(scratch / "fifo", keep, _told(said, "fixed")) as fifo:
                words = ("tar-out", KEPT, str(fifo), "xattrs:true", "numericowner:true")
                fish.ask(*words, timeout=limit)
        script.run("destroy", "mounts")
        script.run("clear", "mounts", "swaps", "gaps")
    return {"/" + place.partition("/")[2] for place in _told(said, "left")}


def restore(engine: GuestfsEngine, tar: BinaryIO, names: Set[str]) -> None:
    """Put the members of `tar` back into the volumes `names`; BakeryError where one is not there.

    What stands in their place is written over.
    """
    wanted = [volume for volume in engine.survey().volumes if key(volume) in names]
    _refuse_alike(wanted)
    missing = names - {key(volume) for volume in wanted}
    if missing:
        raise BakeryError(
            f"the image has no filesystem with the UUID {', '.join(sorted(missing))}",
            "restore into the image that was scrubbed, or a child of it",
        )
    with engine.appliance() as (fish, scratch):
        script = _Script(fish, scratch, SECONDS)
        script.send("mounts", _words(map(_mount, wanted)))
        script.run("mount", "mounts")
        with _given_to(scratch / "fifo", tar) as fifo:
            fish.ask("tar-in", str(fifo), KEPT, "xattrs:true", timeout=24 * 3600.0)
        script.run("unmount", "mounts")


class _Script:
    """appliance_scrub.sh in the appliance, with the files that it reads."""

    def __init__(self, fish: Guestfish, scratch: Path, limit_seconds: float) -> None:
        self._fish = fish
        self._scratch = scratch
        self._limit_seconds = limit_seconds
        self._upload(SCRIPT.read_bytes(), SCRIPT_INSIDE)

    def send(self, name: str, content: bytes) -> None:
        """Make `content` the file of that name."""
        self._upload(content, _inside(name))

    def run(self, phase: str, *files: str) -> str:
        """Run a phase on files that were sent; what it prints."""
        words = " ".join([SCRIPT_INSIDE, phase, *map(_inside, files)])
        return self._fish.ask("debug", "sh", f"bash {words}", timeout=self._limit_seconds)

    def _upload(self, content: bytes, name: str) -> None:
        file = self._scratch / "upload"
        file.write_bytes(content)
        self._fish.ask("debug-upload", str(file), name, "0600")
        file.unlink()


def _inside(name: str) -> str:
    return f"/tmp/{name}"  # noqa: S108 - the appliance's own


def _words(lines: Iterable[Iterable[str]]) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for line in lines for word in line)


def _told(said: str, word: str) -> set[str]:
    """What the script tells of: places as `NAME/path`."""
    lines = (line.split(" ", 2) for line in said.splitlines())
    return {line[1] + line[2] for line in lines if line[0] == word}


def _mount(volume: Volume) -> tuple[str, ...]:
    """A line of MOUNTS, as the script reads it."""
    options = ",".join(filter(None, (SAFE, "noatime", AS_GRUB.get(volume.type, ""))))
    exact = all(not (p.offset | p.length) % CLUSTER_BYTES for p in volume.place)
    how = "trim" if exact and volume.type in TRIMMED else "fill"
    return key(volume), inside(volume.device), volume.type, options, how


def _refuse_alike(volumes: Iterable[Volume]) -> None:
    seen: dict[str, Volume] = {}
    for volume in volumes:
        other = seen.setdefault(key(volume), volume)
        if other is not volume:
            raise BakeryError(
                f"{other.device} and {volume.device} have the same UUID and cannot be told apart",
                "give one of them another",
            )


@contextlib.contextmanager
def _taken_from(fifo: Path, keep: BinaryIO, leave_out: Set[str]) -> Iterator[Path]:
    """A FIFO from which a thread takes a tar into `keep` while the block runs."""
    with _thread(fifo, lambda: _rewrite(fifo, keep, leave_out), os.O_WRONLY):
        yield fifo


@contextlib.contextmanager
def _given_to(fifo: Path, tar: BinaryIO) -> Iterator[Path]:
    """A FIFO that a thread gives `tar` into while the block runs."""

    def give() -> None:
        with fifo.open("wb", buffering=0) as file:
            while piece := tar.read(1 << 20):
                file.write(piece)

    with _thread(fifo, give, os.O_RDONLY):
        yield fifo


@contextlib.contextmanager
def _thread(fifo: Path, work: Callable[[], None], other_end: int) -> Iterator[None]:
    """Run `work` on a new FIFO beside the block; its own failure comes before the block's."""
    os.mkfifo(fifo, 0o600)
    with Pool(1) as pool:
        running = pool.submit(work)
        failed: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failed = error
            raise
        finally:
            if not running.done():
                # It may still wait for somebody to open the other end.
                with contextlib.suppress(OSError):
                    os.close(os.open(fifo, other_end | os.O_NONBLOCK))
            problem = running.exception()
            fifo.unlink()
            if isinstance(problem, BakeryError) or (problem and failed is None):
                raise problem


def _rewrite(fifo: Path, keep: BinaryIO, leave_out: Set[str]) -> None:
    """Copy a tar with plain names: without the `./` of tar(1), and without the bare root."""
    with fifo.open("rb") as raw:
        _copy_members(raw, keep, leave_out | {"", "."})
        while raw.read(1 << 20):
            pass  # tar(1) fills its last record


def _copy_members(raw: IO[bytes], keep: BinaryIO, leave_out: Set[str]) -> None:
    with (
        tarfile.open(fileobj=raw, mode="r|", errors="surrogateescape") as old,
        tarfile.open(
            fileobj=keep, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape"
        ) as new,
    ):
        for member in old:
            member.name = member.name.removeprefix("./")
            if member.islnk():
                member.linkname = member.linkname.removeprefix("./")
            headers = member.pax_headers.items()
            member.pax_headers = {k: v for k, v in headers if k not in REWRITTEN}
            if member.name not in leave_out:
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
            old.members.clear()  # type: ignore[attr-defined] # it would keep them all in memory
