"""`bakery lab image`: a real sample image, made once and then handed out of the cache.

The cache holds, by content key, the layers that all variants share (Debian tree, system with
initramfs, OSTree commits) and every finished image with its manifest.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bakery import tools
from bakery.errors import BakeryError
from bakery.lab import commits, debian, initramfs, sample_info, settings
from bakery.lab.build import build
from bakery.lab.layers import content_key, make_layer, publish
from bakery.lab.mounts import private_mounts
from bakery.lab.sample_info import SampleInfo
from bakery.lab.variants import Variant, find
from bakery.report import Report

VERSION = 1  # of everything that turns layers into an image
PROGRAMS = (
    "apt-get", "bwrap", "debootstrap", "fstrim", "grub-mkimage", "losetup", "lvcreate", "mcopy",
    "mkfs.btrfs", "mkfs.ext4", "mkfs.vfat", "mkfs.xfs", "ostree", "qemu-img", "sfdisk",
)


class Cache:
    """The places of everything in the cache `directory`, by content."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        debian_key = content_key(*debian.recipe())
        system_key = content_key(debian_key, *settings.recipe(), *initramfs.recipe())
        commits_key = content_key(system_key, *commits.recipe())
        self._keys = {"debian": debian_key, "system": system_key, "commits": commits_key}

    def layer(self, name: str) -> Path:
        """The file of the layer `debian`, `system` or `commits`."""
        return self.directory / f"{name}-{self._keys[name]}.ext4"

    def base_layer(self, variant: Variant) -> Path:
        """The layer an image of `variant` is made from."""
        return self.layer("commits" if variant.stateroot else "system")

    def image(self, variant: Variant) -> Path:
        """The finished image of `variant`; its manifest lies beside it."""
        key = content_key(self.base_layer(variant).stem, VERSION, repr(variant))
        return self.directory / f"{variant.name}-{key}.qcow2"


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


def make_image(out: Path, variant_name: str, cache_directory: Path, report: Report) -> SampleInfo:
    """Write the sample image `variant_name` to `out`, made now or taken from the cache.

    `out` appears whole or not at all. Making needs root; taking from the cache does not.
    """
    cache = Cache(cache_directory.absolute() / "lab")
    variant = find(variant_name)
    image = cache.image(variant)
    manifest = manifest_path(image)
    if not manifest.exists():
        _require_means()
        _make_directory(cache.directory)
        with _locked(cache.directory), private_mounts():
            if not manifest.exists():
                _make(cache, variant, report)
    hand_out(image, out)
    return sample_info.load(manifest)


def manifest_path(image: Path) -> Path:
    """The manifest beside an image in the cache; it is written last."""
    return image.with_suffix(".json")


def hand_out(image: Path, out: Path) -> None:
    """Copy `image` out of the cache to `out`, unless it is there already.

    A copy, because a link would let whoever boots or breaks `out` change the cache. It keeps the
    time stamp, by which a later call sees that there is nothing to do.
    """
    wanted = image.stat()
    with contextlib.suppress(FileNotFoundError):
        present = out.stat()
        if (present.st_size, present.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns):
            return
    handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=_directory_of(out))
    draft = Path(name)
    os.close(handle)
    try:
        shutil.copyfile(image, draft)
        os.utime(draft, ns=(wanted.st_atime_ns, wanted.st_mtime_ns))
        draft.chmod(0o644)
        _give_to_caller(draft)
        publish(draft, out)
    finally:
        draft.unlink(missing_ok=True)


def _make(cache: Cache, variant: Variant, report: Report) -> None:
    with _scratch(cache.directory) as scratch:
        base = _ensure_layers(cache, variant, scratch, report)
        image = cache.image(variant)
        draft = scratch / image.name
        info = build(variant, base, scratch, draft, report)
        draft.chmod(0o444)
        notes = scratch / manifest_path(image).name
        notes.write_bytes(sample_info.encode(info))
        for source, target in ((draft, image), (notes, manifest_path(image))):
            _give_to_caller(source)
            publish(source, target)


def _ensure_layers(cache: Cache, variant: Variant, scratch: Path, report: Report) -> Path:
    """Make the layers that are missing below `variant`'s image; returns the topmost."""
    debian_layer, system, releases = map(cache.layer, ("debian", "system", "commits"))
    wanted = cache.base_layer(variant)
    if not wanted.exists() and not system.exists():
        if not debian_layer.exists():
            make_layer(debian_layer, scratch, lambda root: _fill_debian(root, report))
        with report.step("initramfs", "dracut with ostree and lvm"):
            make_layer(system, scratch, _fill_system, base=debian_layer)
    if not wanted.exists():
        with report.step("commits", "OSTree commits of the tree"):
            make_layer(releases, scratch, commits.commit_releases, base=system)
    return wanted


def _fill_debian(root: Path, report: Report) -> None:
    tree = root / "tree"
    tree.mkdir()
    with report.step("packages", f"Debian {debian.SUITE} from this machine's mirror"):
        debian.fetch(tree)
    with report.step("tree", "unpacking and configuring"):
        debian.unpack(tree)


def _fill_system(root: Path) -> None:
    settings.apply(root / "tree")
    initramfs.make_initramfs(root / "tree")


def _require_means() -> None:
    """Refuse early, with the way out, where an image cannot be made."""
    if os.geteuid() != 0:
        raise BakeryError(
            "making a sample image needs root: debootstrap makes device nodes and the "
            "filesystems are filled through loop mounts",
            "run it with sudo; once made, the image comes out of the cache without",
        )
    absent = tools.missing(PROGRAMS)
    if absent:
        raise BakeryError(f"not installed: {', '.join(absent)}", tools.install_hint(absent))


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One maker at a time; the kernel opens the lock when its holder is gone."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """An empty work directory in the cache; what a killed run left in it goes first."""
    scratch = directory / "work"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make_directory(directory: Path) -> None:
    """Make `directory` and its missing parents, owned by the user who called sudo."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _give_to_caller(path)


def _directory_of(out: Path) -> Path:
    parent = out.absolute().parent
    if not parent.is_dir():
        raise BakeryError(f"the directory {parent} does not exist")
    return parent


def _sudo_user() -> str | None:
    return os.environ.get("SUDO_USER") if os.geteuid() == 0 else None


def _give_to_caller(path: Path) -> None:
    """Under sudo, make the user who called it the owner of `path`."""
    if _sudo_user():
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
