"""`bakery lab image`: a real sample image, made once and then handed out of the cache."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bakery.host import folders, tools
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.samples import arm64, commits, debian, facts, initramfs, settings
from bakery.samples.bootloader import GRUB_PACKAGES
from bakery.samples.build import build
from bakery.samples.cache import (
    Cache,
    forget_older,
    give_to_caller,
    locked,
    make_directory,
    scratch_in,
)
from bakery.samples.facts import SampleInfo
from bakery.samples.layers import install, make_layer
from bakery.samples.mounts import private_mounts
from bakery.samples.variants import GIB, Variant, find

# One for each Debian package that is needed; the package brings the rest.
PROGRAMS = (
    *("apt-get", "bwrap", "debootstrap", "depmod", "grub-mkimage", "losetup", "lvcreate", "mcopy"),
    *(
        "openssl",
        "mkfs.btrfs",
        "mkfs.ext4",
        "mkfs.vfat",
        "mkfs.xfs",
        "ostree",
        "qemu-img",
        "sfdisk",
    ),
)
# Room in the cache for an image while it is made, and for the layers before the first one.
IMAGE_BYTES = 3 * GIB
LAYERS_BYTES = 3 * GIB


def make_image(out: Path, variant_name: str, cache_directory: Path, report: Report) -> SampleInfo:
    """Write the sample image `variant_name` to `out`, made now or taken from the cache.

    `out` appears whole or not at all. Making needs root; taking from the cache does not.
    """
    variant = find(variant_name)
    cache = Cache(cache_directory.absolute() / "lab")
    out = out.absolute()
    if not out.parent.is_dir():
        raise BakeryError(f"the directory {out.parent} does not exist")
    with _disk_errors_named():
        if not cache.manifest(variant).exists():
            _require_means()
            make_directory(cache.directory)
            with locked(cache.directory / "lock"):
                _make(cache, variant, report)
        with locked(cache.directory / "hand-out.lock"):
            hand_out(cache.image(variant), out)
    return facts.load(cache.manifest(variant))


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
    with folders.writing(out) as descriptor:
        with image.open("rb") as source, os.fdopen(descriptor, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target)
        os.utime(descriptor, ns=(wanted.st_atime_ns, wanted.st_mtime_ns))
        give_to_caller(descriptor)


def _make(cache: Cache, variant: Variant, report: Report) -> None:
    """Make the image of `variant` in the cache, unless someone else did while we waited."""
    if cache.manifest(variant).exists():
        return
    _require_room(cache, variant)
    with private_mounts(), scratch_in(cache.directory) as scratch:
        _make_layers(cache, variant, scratch, report)
        image = scratch / "image.qcow2"
        info = build(variant, cache.base_layer(variant), scratch, image, report)
        image.chmod(0o444)
        manifest = scratch / "manifest.json"
        manifest.write_bytes(facts.encode(info))
        for draft, path in ((image, cache.image(variant)), (manifest, cache.manifest(variant))):
            give_to_caller(draft)
            install(draft, path)
            forget_older(path)


def _make_layers(cache: Cache, variant: Variant, scratch: Path, report: Report) -> None:
    """Make what is missing of the layers below the image of `variant`."""
    if cache.base_layer(variant).exists():
        return
    if variant.architecture == "aarch64":
        make_layer(cache.layer("arm64"), scratch, lambda root: _fill_arm64(root, scratch, report))
        forget_older(cache.layer("arm64"))
        return
    debian_layer, system = cache.layer("debian"), cache.layer("system")
    if not system.exists():
        if not debian_layer.exists():
            make_layer(debian_layer, scratch, lambda root: _fill_debian(root, report))
        with report.step("initramfs", "dracut with ostree and lvm"):
            make_layer(system, scratch, _fill_system, base=debian_layer)
    if variant.stateroot:
        with report.step("commits", "OSTree commits of the tree"):
            make_layer(cache.layer("commits"), scratch, commits.commit_releases, base=system)
    for name in ("debian", "system", "commits"):
        forget_older(cache.layer(name))


def _fill_debian(root: Path, report: Report) -> None:
    tree = root / "tree"
    tree.mkdir()
    with report.step("packages", f"Debian {debian.SUITE} from this machine's mirror"):
        debian.fetch(tree)
    with report.step("tree", "unpacking and configuring"):
        debian.unpack(tree)


def _fill_arm64(root: Path, scratch: Path, report: Report) -> None:
    tree = root / "tree"
    tree.mkdir()
    with report.step("packages", f"Debian {debian.SUITE} for arm64 from this machine's mirror"):
        arm64.fetch(tree)
    with report.step("tree", "unpacking"):
        arm64.unpack(tree, scratch)


def _fill_system(root: Path) -> None:
    settings.apply(root / "tree")
    initramfs.make_initramfs(root / "tree")


def _require_means() -> None:
    """Refuse early, with the way out, where an image cannot be made."""
    if os.geteuid() != 0:
        raise BakeryError(
            "making a sample image needs root: debootstrap makes device nodes and the "
            "filesystems are filled through loop mounts",
            "run it with sudo; once made, it comes from the cache without root",
        )
    absent = tools.missing(PROGRAMS)
    if absent:
        raise BakeryError(f"not installed: {', '.join(absent)}", tools.install_hint(absent))
    for package, directory in GRUB_PACKAGES.items():
        if not directory.is_dir():
            raise BakeryError(
                f"GRUB's modules are not in {directory}", f"sudo apt-get install {package}"
            )


def _require_room(cache: Cache, variant: Variant) -> None:
    """Refuse early where the cache's disk is too small."""
    needed = IMAGE_BYTES + (0 if cache.base_layer(variant).exists() else LAYERS_BYTES)
    free = shutil.disk_usage(cache.directory).free
    if free < needed:
        raise BakeryError(
            f"making a sample image needs {needed >> 20} MiB in {cache.directory}, "
            f"and {free >> 20} MiB are available",
            "choose another folder with --cache DIR",
        )


@contextlib.contextmanager
def _disk_errors_named() -> Iterator[None]:
    """Turn a full or forbidden disk into words; any other OSError is a defect."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
            raise
        raise BakeryError(f"cannot write {error.filename or 'the image'}: {error.strerror}") from (
            error
        )
