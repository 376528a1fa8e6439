"""qemu-nbd(8), which speaks iSCSI with a node, as it is started: in a cage that has the network.

What a node sends is a stranger's. So the program sees the system's programs and one folder: there
it listens, and there lies the secret it logs in by, which the words of a command would show to
everybody. Where root can, it runs it as a user whom no file belongs to.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bakery.disk import blockdevs
from bakery.host import sandbox
from bakery.host.run import Arg, Limits

CHAP_OBJECT = "chap"
"""The object of qemu's that holds the secret (QAPI, SecretProperties)."""
# It holds eight requests of 32 MiB at most (nbd.py); a disk may be at work for hours.
LIMITS = Limits(memory_bytes=4 << 30, file_bytes=0)


class Place(NamedTuple):
    """Its folder, who it runs as (None: the caller), and whether there is a secret."""

    folder: Path
    user: int | None
    secret: bool

    @property
    def server(self) -> Path:
        """The socket it listens at."""
        return self.folder / "disk"

    @property
    def secret_file(self) -> Path:
        """Where the secret lies."""
        return self.folder / "secret"


Command = Callable[[Place, blockdevs.BlockDevice], list[Arg]]


@contextlib.contextmanager
def place(secret: str) -> Iterator[Place]:
    """A folder for one qemu-nbd and us alone; an empty `secret` is none."""
    with tempfile.TemporaryDirectory(prefix="bakery-iscsi-") as name:
        folder = Path(name)
        user = sandbox.nobody() if _is_open_to_all(folder.parent) else None
        made = Place(folder, user, bool(secret))
        if secret:
            with os.fdopen(os.open(made.secret_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(secret)
        if user is not None:
            for path in folder.iterdir():
                os.chown(path, user, user)
            os.chown(folder, user, user)
        yield made


def command(place: Place, device: blockdevs.BlockDevice) -> list[Arg]:
    """Offer `device` at the place's socket; NoCage where it cannot be confined."""
    kept = json.dumps({"qom-type": "secret", "id": CHAP_OBJECT, "file": str(place.secret_file)})
    words: list[Arg] = ["qemu-nbd", "--socket", place.server, "--shared=1"]
    words += ["--cache=none", "--aio=threads", "--discard=unmap", "--detect-zeroes=off"]
    words += ["--object", kept] if place.secret else []
    cage = sandbox.Cage(write=(place.folder,), network=True, user=place.user, limits=LIMITS)
    return cage.argv([*words, blockdevs.name(device)])


def _is_open_to_all(folder: Path) -> bool:
    """Whether everybody can get to what lies in `folder`."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
