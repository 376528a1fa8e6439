"""The filesystems of a sample, each made in a sparse file of its own."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bakery.host.run import Arg, run
from bakery.samples.assemble import make_sparse

Kind = Literal["ext4", "xfs", "btrfs", "vfat"]


@dataclass(frozen=True)
class Filesystem:
    """An empty filesystem in the file `path`, of `size_bytes`."""

    path: Path
    kind: Kind
    size_bytes: int
    uuid: str

    @property
    def spec(self) -> str:
        """How fstab and kernel arguments name it."""
        return f"UUID={self.uuid}"


def make_filesystem(path: Path, kind: Kind, size_bytes: int) -> Filesystem:
    """Make the file `path` and a filesystem in it."""
    make_sparse(path, size_bytes)
    identity = _new_identity(kind)
    run([*_maker(kind, identity), path], timeout=120)
    return Filesystem(path, kind, size_bytes, identity)


def _new_identity(kind: Kind) -> str:
    """A UUID; for vfat the 32 bits of its serial number, as blkid writes them."""
    if kind == "vfat":
        number = uuid.uuid4().hex[:8].upper()
        return f"{number[:4]}-{number[4:]}"
    return str(uuid.uuid4())


def _maker(kind: Kind, identity: str) -> list[Arg]:
    match kind:
        case "ext4":
            return ["mkfs.ext4", "-q", "-U", identity]
        case "xfs":
            return ["mkfs.xfs", "-q", "-m", f"uuid={identity}"]
        case "btrfs":
            return ["mkfs.btrfs", "-q", "-U", identity]
        case "vfat":
            return ["mkfs.vfat", "-i", identity.replace("-", ""), "-n", "EFI"]
