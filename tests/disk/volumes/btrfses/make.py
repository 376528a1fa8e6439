"""Makes the filesystems of this folder: with btrfs-progs, mounts and loop devices, as root.

Run it as `python -m tests.disk.volumes.btrfses.make`. The files differ from run to run in their
identifiers and times alone.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bakery.host.run import run
from tests.disk.volumes.btrfses import (
    COMPRESSED,
    FILES,
    HERE,
    LINKS,
    MANY,
    NODE_BYTES,
    ROLLED,
    SIZE_BYTES,
)
from tests.disk.volumes.loops import devices


def btrfs(*words: str | Path) -> None:
    run(["btrfs", *words])


@contextlib.contextmanager
def mounted(device: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        run(["mount", "-o", "nossd,noatime", device, folder])
        try:
            yield Path(folder)
        finally:
            run(["umount", folder])


def fill(top: Path) -> None:
    """The subvolumes and the files that `__init__` tells of."""
    system = top / "@"
    for folder in (system, top / "@home", system / "nested", system / ".snapshots"):
        btrfs("subvolume", "create", folder)
    btrfs("subvolume", "create", top / "gone")
    btrfs("subvolume", "create", top / "gone/inside")
    for name in ("etc", "usr/lib", "large", "many", "hollow"):
        (system / name).mkdir(parents=True)
    for name in COMPRESSED:
        (system / "large" / name).touch()
        btrfs("property", "set", system / "large" / name, "compression", name)
    for name, data in FILES.items():
        (system / name).write_bytes(data)
    for name, target in LINKS.items():
        (system / name).symlink_to(target)
    for number in range(MANY):
        (system / f"many/name-{number}").touch()
    (system / "etc/hard").hardlink_to(system / "etc/fstab")
    run(["mkfifo", system / "etc/pipe"])
    (top / "strange").mkdir()
    (top / b"strange/\xff".decode("utf-8", "surrogateescape")).touch()
    (system / ".snapshots/1").mkdir()
    btrfs("subvolume", "snapshot", "-r", system, top / ROLLED)
    btrfs("subvolume", "set-default", top / ROLLED)
    btrfs("subvolume", "delete", "-c", top / "gone/inside")
    btrfs("subvolume", "delete", "-c", top / "gone")


def main() -> None:
    single = ["mkfs.btrfs", "-q", "-M", "-n", str(NODE_BYTES), "-s", "4096"]
    with devices(HERE, SIZE_BYTES, "system") as (one,):
        run([*single, "-L", "the system", one])
        with mounted(one) as top:
            fill(top)
    with devices(HERE, SIZE_BYTES, "pair", "") as both:
        run(["mkfs.btrfs", "-q", "-M", "-d", "single", "-m", "single", *both])


if __name__ == "__main__":
    main()
