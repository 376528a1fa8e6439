"""Taking files out of an image for good, and putting them back, in one appliance.

A kernel moves what is taken into a folder of its own, so that owners, modes, times and extended
attributes stay; from there it streams out as a tar, through a FIFO, and nothing of it touches the
disk. Then it is overwritten and removed, and free space is trimmed: in the overlay that makes
clusters that read as zeros. Trimming is exact where the filesystem's blocks lie on the overlay's
clusters; elsewhere a file of zeros fills the free space.

`fish` is the appliance with nothing mounted, `scratch` a folder that both sides of it see.
"""

import contextlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import wait
from pathlib import Path
from typing import IO, BinaryIO

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool
from bakery.image.engines.base import CLUSTER_BYTES, Removal, Taking, outermost, tar_path
from bakery.image.engines.base import tar_name as key
from bakery.image.engines.guestfish import Guestfish
from bakery.image.engines.guestfs_files import SAFE, seen_as
from bakery.image.engines.guestfs_survey import inside

SCRIPT = Path(__file__).with_name("appliance_scrub.sh")
SCRIPT_INSIDE = "/tmp/scrub.sh"  # noqa: S108 - the appliance's own
TRIMMED = ("ext2", "ext3", "ext4", "xfs", "btrfs")
SECONDS = 600.0
BYTES_PER_SECOND = 4 << 20
PAUSE_SECONDS = 0.01
# As appliance_scrub.sh has them.
KEPT = "/kept"
VOLUMES = "/volumes"
STAGE = ".bakery-scrub"
# What of a pax header is about the name, which changes, or is written anew from the rest.
REWRITTEN = ("path", "linkpath", "size", "uid", "gid")


def scrub(fish: Guestfish, scratch: Path, removal: Removal, keep: BinaryIO | None) -> set[str]:
    """Take `removal` out of the overlay; see `Engine.scrub`.

    The files of volumes that share a UUID could not be told apart: BakeryError.
    """
    _refuse_alike(removal.filesystems)
    limit = SECONDS + sum(volume.size_bytes for volume in removal.filesystems) / BYTES_PER_SECOND
    script = _Script(fish, scratch, limit)
    takings = [_placed(taking) for taking in outermost(map(_whole, removal.takings))]
    views = dict.fromkeys(t.volume for t in takings if t.volume.subvolume)
    filesystems = list(map(_mount, removal.filesystems))
    script.send("list", _words((t.action, _key(t.volume), t.path) for t in takings))
    script.send("mounts", _words([*filesystems, *map(_mount, views)]))
    script.send("filesystems", _words(filesystems))
    script.send("swaps", _words((inside(v.device), v.uuid, v.label) for v in removal.swaps))
    script.send("gaps", _words((str(g.offset), str(g.length)) for g in removal.gaps))
    said = script.run("prepare", "mounts", "list")
    for taking in takings:
        if taking.action == "remove":
            top = f"{VOLUMES}/{_key(taking.volume)}"
            fish.ask("rename", top + taking.path, f"{top}/{STAGE}{taking.path}")
    said += script.run("stage", "mounts", "list")
    if keep is not None and takings:
        leave_out = _told(said, "fixed") | {"", "."}
        named = {_key(view): tar_path(view, "") for view in views}
        with _fifo(scratch, lambda fifo: _take(fifo, keep, leave_out, named), os.O_WRONLY) as fifo:
            words = ("tar-out", KEPT, str(fifo), "xattrs:true", "numericowner:true")
            fish.ask(*words, timeout=limit)
    script.run("destroy", "mounts")
    script.run("clear", "filesystems", "swaps", "gaps")
    places = {_place(_placed(_whole(taking))): taking.path for taking in removal.takings}
    return {places.get(place, "/" + place.partition("/")[2]) for place in _told(said, "left")}


def restore(fish: Guestfish, scratch: Path, tar: BinaryIO, volumes: Sequence[Volume]) -> None:
    """Put the members of `tar` into these volumes; see `Engine.restore`."""
    _refuse_alike(volumes)
    script = _Script(fish, scratch, SECONDS)
    script.send("mounts", _words(map(_mount, volumes)))
    script.run("mount", "mounts")
    with _fifo(scratch, lambda fifo: _give(tar, fifo), os.O_RDONLY) as fifo:
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


def _whole(taking: Taking) -> Taking:
    """The same, told from the top level of its filesystem."""
    path = tar_path(taking.volume, taking.path).removeprefix(key(taking.volume))
    return Taking(taking.volume.at(None), path, taking.action)


def _placed(taking: Taking) -> Taking:
    """The same, told from the innermost subvolume it is in: nothing is moved from one to another.

    A subvolume that is itself to be taken is a folder of the one that it stands in.
    """
    holding = [s for s in taking.volume.subvolumes if taking.path.startswith(f"/{s.path}/")]
    inner = max(holding, key=lambda subvolume: len(subvolume.path), default=None)
    inside = taking.path.removeprefix(f"/{inner.path}") if inner else taking.path
    return Taking(taking.volume.at(inner), inside, taking.action)


def _place(taking: Taking) -> str:
    return _key(taking.volume) + taking.path


def _key(volume: Volume) -> str:
    """What the script calls a volume, or a subvolume of it."""
    return f"{key(volume)}@{volume.subvolume_id}" if volume.subvolume else key(volume)


def _mount(volume: Volume) -> tuple[str, ...]:
    """A line of MOUNTS, as the script reads it."""
    options = ",".join(filter(None, (SAFE, "noatime", seen_as(volume))))
    exact = all(not (p.offset | p.length) % CLUSTER_BYTES for p in volume.place)
    how = "trim" if exact and volume.type in TRIMMED else "fill"
    how = "part" if volume.subvolume else how
    return _key(volume), inside(volume.device), volume.type, options, how


def _refuse_alike(volumes: Iterable[Volume]) -> None:
    seen: dict[str, Volume] = {}
    for volume in volumes:
        other = seen.setdefault(key(volume), volume)
        if other is not volume:
            raise BakeryError(
                f"{other.device} and {volume.device} have the same UUID and cannot be told apart",
                "change one of them",
            )


@contextlib.contextmanager
def _fifo(scratch: Path, work: Callable[[Path], None], other_end: int) -> Iterator[Path]:
    """Run `work` on a new FIFO beside the block; its own failure comes before the block's."""
    fifo = scratch / "fifo"
    os.mkfifo(fifo, 0o600)
    with Pool(1) as pool:
        running = pool.submit(work, fifo)
        failed: BaseException | None = None
        try:
            yield fifo
        except BaseException as error:
            failed = error
            raise
        finally:
            while not running.done():
                # It may wait for somebody to open the other end, or be about to.
                with contextlib.suppress(OSError):
                    os.close(os.open(fifo, other_end | os.O_NONBLOCK))
                wait([running], PAUSE_SECONDS)
            problem = running.exception()
            fifo.unlink()
            if isinstance(problem, BakeryError) or (problem and failed is None):
                raise problem


def _give(tar: BinaryIO, fifo: Path) -> None:
    with fifo.open("wb", buffering=0) as file:
        shutil.copyfileobj(tar, file, 1 << 20)


def _take(fifo: Path, keep: BinaryIO, leave_out: Set[str], named: Mapping[str, str]) -> None:
    """Copy a tar with plain names: without the `./` of tar(1); `named` are those of subvolumes."""
    with fifo.open("rb") as raw:
        _copy_members(raw, keep, leave_out, named)
        while raw.read(1 << 20):
            pass  # tar(1) fills its last record


def _copy_members(
    raw: IO[bytes], keep: BinaryIO, leave_out: Set[str], named: Mapping[str, str]
) -> None:
    with (
        tarfile.open(fileobj=raw, mode="r|", errors="surrogateescape") as old,
        tarfile.open(
            fileobj=keep, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape"
        ) as new,
    ):
        for member in old:
            name = member.name.removeprefix("./")
            member.name = _renamed(name, named)
            if member.islnk():
                member.linkname = _renamed(member.linkname.removeprefix("./"), named)
            headers = member.pax_headers.items()
            member.pax_headers = {k: v for k, v in headers if k not in REWRITTEN}
            if name not in leave_out:
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
            old.members.clear()  # type: ignore[attr-defined] # it would keep them all in memory


def _renamed(name: str, named: Mapping[str, str]) -> str:
    first, slash, rest = name.partition("/")
    return named.get(first, first) + slash + rest
