"""Debian's userland, out of the samples' own tree, put into the filesystems of another layout."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bakery.host.run import run
from bakery.samples.debian import kernel_version
from bakery.samples.mounts import mounted
from tests.real.disks import Volume

NOTHING: Mapping[str, str] = {}


class Userland:
    """The tree of a Debian that boots, and the folder where it is put into filesystems."""

    def __init__(self, tree: Path, scratch: Path) -> None:
        self.tree = tree
        self.scratch = scratch
        self.version = kernel_version(tree)
        self.kernel = tree / f"boot/vmlinuz-{self.version}"
        self.initrd = tree / f"boot/initrd.img-{self.version}"
        self.os_release = tree / "usr/lib/os-release"

    @contextlib.contextmanager
    def unpacked(self, fstab: Sequence[str], volumes: Mapping[str, Volume]) -> Iterator[Path]:
        """The system's root, with the tree in it, to write a menu into.

        `volumes` are mounted in each other by the folder each is for: `/` first, then `/boot`, ….
        """
        root = self.scratch / "root"
        with contextlib.ExitStack() as held:
            for folder, volume in volumes.items():
                place = root / folder.lstrip("/")
                if folder != "/":
                    place.mkdir()
                held.enter_context(mounted(volume.path, place))
            self.copy(root, fstab)
            yield root

    @contextlib.contextmanager
    def in_subvolumes(
        self,
        volume: Volume,
        fstab: Sequence[str],
        root: str,
        others: Mapping[str, str] = NOTHING,
        boot: Volume | None = None,
        above: Sequence[str] = (),
    ) -> Iterator[Path]:
        """The top level of a btrfs, with the tree in its subvolume `root`.

        `above` are subvolumes on the way to that one; `others` are further ones, each with the
        folder of the tree whose content it has. `boot` is mounted where the root has its /boot.
        """
        with contextlib.ExitStack() as held:
            top = held.enter_context(mounted(volume.path, self.scratch / "top"))
            for name in (*above, root):
                make_subvolume(top / name)
            if boot:
                (top / root / "boot").mkdir()
                held.enter_context(mounted(boot.path, top / root / "boot"))
            self.copy(top / root, fstab)
            for name, folder in others.items():
                make_subvolume(top / name)
                inside = top / root / folder
                run(["cp", "--archive", "--reflink=auto", "--", f"{inside}/.", top / name])
                run(["find", inside, "-mindepth", "1", "-delete"])
            yield top

    def mounted(self, volume: Volume) -> contextlib.AbstractContextManager[Path]:
        """A volume, mounted by itself."""
        return mounted(volume.path, self.scratch / "volume")

    def copy(self, root: Path, fstab: Sequence[str]) -> None:
        """The tree to `root`, with the lines of its fstab."""
        run(["cp", "--archive", "--", f"{self.tree}/.", root], timeout=600)
        (root / "etc/fstab").write_text("".join(f"{line}\n" for line in fstab))


def make_subvolume(path: Path) -> None:
    """An empty subvolume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run(["btrfs", "-q", "subvolume", "create", path])
