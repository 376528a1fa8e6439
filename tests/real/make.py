"""Makes the image of one system: `python -m tests.real.make NAME IMAGE CACHE`, as root.

CACHE is where `bakery lab image` keeps the samples, whose Debian this is.
"""

import sys
from pathlib import Path

from bakery.host import folders
from bakery.samples import assemble
from bakery.samples.cache import Cache, give_to_caller
from bakery.samples.mounts import mounted, private_mounts
from tests.real.builders import BUILDERS
from tests.real.disks import Disk
from tests.real.layouts import LAYOUTS
from tests.real.userland import Userland


def make(name: str, image: Path, cache: Path) -> None:
    """Write the image; it appears whole or not at all. One process makes one name at a time."""
    work = image.parent / f"{name}.work"  # what a killed run left in it goes first
    folders.fresh(work)
    try:
        _make(name, work, image, cache)
    finally:
        folders.remove(work)


def _make(name: str, work: Path, image: Path, cache: Path) -> None:
    with private_mounts():
        disk = work / "disk.raw"
        if name in BUILDERS:
            BUILDERS[name].run(work, disk)
        else:
            _lay_out(name, disk, cache)
        draft = work / "draft.qcow2"
        assemble.compress(disk, draft, "zstd", lambda _done, _total: None)
        draft.chmod(0o444)
        give_to_caller(draft)
        draft.replace(image)


def _lay_out(name: str, disk: Path, cache: Path) -> None:
    scratch = disk.parent
    layer = Cache(cache / "lab").layer("system")
    with mounted(layer, scratch / "layer", options="ro") as source:
        LAYOUTS[name](Userland(source / "tree", scratch), Disk(disk, scratch))


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
