"""Where sample images and their layers are kept, by content, and who owns that place."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bakery.host import folders
from bakery.samples import arm64, commits, debian, initramfs, settings
from bakery.samples.layers import KEY_LENGTH, content_key
from bakery.samples.variants import Variant

IMAGE_VERSION = 1  # of everything that turns a layer into an image


class Cache:
    """The places of everything in the cache `directory`.

    Beside the images lie the layers that all variants share: the Debian tree, the system with
    its initramfs, the OSTree commits of it; and the system for arm64. Each name holds a key over
    all that went into it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        debian_key = content_key(*debian.recipe())
        system_key = content_key(debian_key, *settings.recipe(), *initramfs.recipe())
        commits_key = content_key(system_key, *commits.recipe())
        self._keys = {
            "debian": debian_key,
            "system": system_key,
            "commits": commits_key,
            "arm64": content_key(*arm64.recipe()),
        }

    def layer(self, name: str) -> Path:
        """The file of the layer `debian`, `system`, `commits` or `arm64`."""
        return self.directory / f"{name}-{self._keys[name]}.ext4"

    def base_layer(self, variant: Variant) -> Path:
        """The layer an image of `variant` is made from."""
        if variant.architecture == "aarch64":
            return self.layer("arm64")
        return self.layer("commits" if variant.stateroot else "system")

    def image(self, variant: Variant) -> Path:
        """The finished image of `variant`."""
        key = content_key(self.base_layer(variant).stem, IMAGE_VERSION, repr(variant))
        return self.directory / f"{variant.name}-{key}.qcow2"

    def manifest(self, variant: Variant) -> Path:
        """What is known about the image of `variant`; written last, so the image is whole."""
        return self.image(variant).with_suffix(".json")


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/bakery`, else `~/.cache/bakery`.

    Under sudo it is the cache of the user who called sudo, so that an image made with root's
    help is found again without it.
    """
    if configured := os.environ.get("XDG_CACHE_HOME"):
        return Path(configured) / "bakery"
    user = _sudo_user()
    home = Path(f"~{user}").expanduser() if user else Path.home()
    return home / ".cache/bakery"


def make_directory(directory: Path) -> None:
    """Make `directory` and its missing parents, owned by the user who called sudo."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    folders.make(directory)
    for path in reversed(missing):
        give_to_caller(path)


def give_to_caller(path: Path | int) -> None:
    """Under sudo, make the user who called it the owner of `path`, or of an open file."""
    if _sudo_user():
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone; the kernel opens it when its holder is gone."""
    handle = folders.open_lock(path)
    try:
        give_to_caller(path)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def scratch_in(directory: Path) -> Iterator[Path]:
    """An empty work directory in the cache; what a killed run left in it goes first."""
    scratch = directory / "work"
    folders.fresh(scratch)
    give_to_caller(scratch)
    try:
        yield scratch
    finally:
        folders.remove(scratch)


def forget_older(path: Path) -> None:
    """Remove what lies beside `path` under the same name with another key.

    A layer takes most of a gigabyte; one that an older recipe made is never asked for again.
    """
    name, _, _ = path.stem.rpartition("-")
    for other in path.parent.glob(f"{name}-{'?' * KEY_LENGTH}{path.suffix}"):
        if other != path:
            other.unlink(missing_ok=True)


def _sudo_user() -> str | None:
    return os.environ.get("SUDO_USER") if os.geteuid() == 0 else None
