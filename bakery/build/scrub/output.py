"""Where a changed image is made: beside its place, whole, and there by rename."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from bakery.disk import blockdevs
from bakery.disk.copy import copy
from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.folders import sync
from bakery.host.run import Arg, CommandFailed
from bakery.host.sandbox import Cage, run_confined

SUFFIX = ".bakery-scrub"
INTENT = "recovery"


class Draft:
    """The private folder of a run that makes `out`, held by this run alone."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f".{out.name}{SUFFIX}")
        self.image = self.folder / "image"
        self.session = self.folder / "session"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder, or take over what a killed run left; it goes when the block ends.

        A failure leaves nothing, a kill the folder and in it what `intends` wrote.
        """
        try:
            folders.make(self.folder, mode=0o700, parents=False)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise BakeryError(
                f"{self.out} cannot be written: {error.strerror}", "choose another place with -o"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BakeryError(
                f"another bakery is making {self.out}", "wait for it to end"
            ) from None
        try:
            self._clear()
            self.session.mkdir()
            yield
        finally:
            folders.remove(self.folder)
            os.close(descriptor)

    def intends(self, recovery: Path) -> None:
        """Write down that an archive of that name is this run's; there is none yet.

        Where a killed run wrote the same down, what it left under that name is taken away: the
        image it belongs to was never there.
        """
        intent = self.folder / INTENT
        name = os.fsencode(recovery.absolute())
        if intent.exists() and intent.read_bytes() == name:
            for left in (recovery, *recovery.parent.glob(f".{escape(recovery.name)}.????????")):
                left.unlink(missing_ok=True)
        if not os.path.lexists(recovery):
            intent.write_bytes(name)
            sync(intent)
            sync(self.folder)

    def write(self, source: Path, source_format: str, overlay: Path) -> None:
        """Make the image: `source` with `overlay` over it, in the same format, with no backing."""
        device = blockdevs.overlay(overlay, blockdevs.image(source, source_format))
        cage = Cage(read=(source, overlay), write=(self.folder,), limits=copy.LIMITS)
        words: list[Arg] = ["qemu-img", "convert", "-O", source_format, blockdevs.name(device)]
        try:
            run_confined([*words, self.image], cage, timeout=copy.TIMEOUT_SECONDS)
        except CommandFailed as error:
            full = "No space left" in error.tail
            reason = f"the disk that holds {self.out.parent} is full" if full else error.message
            raise BakeryError(f"{self.out} cannot be written: {reason}") from error

    def install(self, like: Path) -> None:
        """Put the image in its place, with the owner and mode of `like`."""
        status = like.stat()
        self.image.chmod(status.st_mode & 0o7777)
        with contextlib.suppress(PermissionError):
            os.chown(self.image, status.st_uid, status.st_gid)
        sync(self.image)
        self.image.rename(self.out)
        sync(self.out.parent)

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != INTENT or path.is_symlink() or not path.is_file():
                folders.remove(path)
