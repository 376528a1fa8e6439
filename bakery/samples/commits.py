"""The tree as OSTree commits: /usr and /etc of a release, and the release after it."""

import shutil
from pathlib import Path

from bakery.host.run import run
from bakery.samples.debian import kernel_version

VERSION = 2
RELEASES = ("20141111", "20141208")  # (the image's own, its first upgrade)
# What an OSTree system keeps outside the read-only tree, and where (ostree: "Adapting existing
# mainstream distributions").
MOVED = {
    "home": "var/home",
    "opt": "var/opt",
    "srv": "var/srv",
    "root": "var/roothome",
    "mnt": "var/mnt",
    "media": "run/media",
    "tmp": "sysroot/tmp",
    "ostree": "sysroot/ostree",
}
TMPFILES = """\
d /var/home 0755 root root -
d /var/opt 0755 root root -
d /var/srv 0755 root root -
d /var/mnt 0755 root root -
d /var/roothome 0700 root root -
d /run/media 0755 root root -
"""
# An archive with no files in it: the kernel unpacks any number of archives one after the other
# (Documentation/driver-api/early-userspace/buffer-format.rst), so that a second release gets a
# second, equally good initramfs without another run of dracut. The fields are inode, mode, uid,
# gid, links, mtime, size, four device numbers, length of the name, and checksum.
TRAILER = b"TRAILER!!!\0"
EMPTY_CPIO = (
    b"070701"
    + b"".join(b"%08X" % field for field in (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(TRAILER), 0))
    + TRAILER
)
CPIO_BLOCK = 512


def recipe() -> list[object]:
    """What decides the commits, the tree apart."""
    return ["commits", VERSION, RELEASES, MOVED, TMPFILES]


def commit_releases(layer: Path) -> None:
    """Turn `layer/tree` into the repository `layer/repo` with a branch for each release."""
    tree, repo = layer / "tree", layer / "repo"
    version = kernel_version(tree)
    modules = Path("usr/lib/modules") / version
    initramfs = (tree / "boot" / f"initrd.img-{version}").read_bytes()
    _reshape(tree, version)
    _write_release(tree, RELEASES[0])
    run(["ostree", "init", f"--repo={repo}", "--mode=bare"])
    _commit(repo, RELEASES[0], ["--consume", f"--tree=dir={tree}"])

    upgrade = layer / "upgrade"
    (upgrade / modules).mkdir(parents=True)
    (upgrade / modules / "initramfs.img").write_bytes(padded(initramfs) + padded(EMPTY_CPIO))
    _write_release(upgrade, RELEASES[1])
    _commit(repo, RELEASES[1], ["--consume", f"--tree=ref={RELEASES[0]}", f"--tree=dir={upgrade}"])


def padded(archive: bytes) -> bytes:
    """`archive` with zeros up to a whole cpio block."""
    return archive + bytes(-len(archive) % CPIO_BLOCK)


def _commit(repo: Path, release: str, words: list[str]) -> None:
    run(
        [
            "ostree",
            "commit",
            f"--repo={repo}",
            f"--branch={release}",
            f"--subject={release}",
            f"--add-metadata-string=version={release}",
            *words,
        ],
        timeout=600,
    )


def _reshape(tree: Path, version: str) -> None:
    """Move files to where OSTree wants them: kernel under /usr, /etc to /usr/etc, no state."""
    modules = tree / "usr/lib/modules" / version
    (tree / "boot" / f"vmlinuz-{version}").rename(modules / "vmlinuz")
    (tree / "boot" / f"initrd.img-{version}").rename(modules / "initramfs.img")
    (tree / "etc").rename(tree / "usr/etc")
    for name in ("boot", "dev", "proc", "run", "sys", "var"):
        shutil.rmtree(tree / name)
        (tree / name).mkdir()
    (tree / "sysroot").mkdir()
    for link in ("vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"):
        (tree / link).unlink(missing_ok=True)
    for name, target in MOVED.items():
        if (tree / name).exists():
            shutil.rmtree(tree / name)
        (tree / name).symlink_to(target)
    (tree / "usr/lib/tmpfiles.d/ostree-state.conf").write_text(TMPFILES)


def _write_release(tree: Path, release: str) -> None:
    """A file that tells the running release."""
    target = tree / "usr/etc/sample-release"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{release}\n")
