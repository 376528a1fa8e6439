"""The package database of a system, found in its image and read through an engine."""

from pathlib import Path

from bakery.build.sbom import dpkg, rpm
from bakery.build.sbom.packages import Installed, Package
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import Engine, FileMissing
from bakery.system import os_release

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# The second and the third are where OSTree's and bootc's builds of Debian move it, since /var is
# not part of such a system.
DPKG_FOLDERS = ("/var/lib/dpkg", "/usr/share/dpkg/database", "/usr/lib/sysimage/dpkg")
# rpm's own default; Fedora since 36 and openSUSE; rpm-ostree.
RPM_FOLDERS = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm")


def read(engine: Engine, volume: Volume, root: str, scratch: Path) -> Installed:
    """What is installed in the system whose root is the folder `root` of `volume`.

    `scratch` is an empty folder of the caller's. BakeryError where there is no database, or one
    that cannot be read.
    """
    packages = _of_dpkg(engine, volume, root) + _of_rpm(engine, volume, root, scratch)
    if not packages:
        raise BakeryError(
            f"no package database in {volume.name}:{root or '/'}: neither dpkg's in "
            f"{', '.join(DPKG_FOLDERS)} nor rpm's in {', '.join(RPM_FOLDERS)}",
            "build it without a bill of materials",
        )
    told = _release(engine, volume, root)
    return Installed(told.id, told.version, tuple(sorted(set(packages))))


def _of_dpkg(engine: Engine, volume: Volume, root: str) -> list[Package]:
    for folder in DPKG_FOLDERS:
        path = f"{root}{folder}/status"
        try:
            content = engine.read_file(volume, path, dpkg.SIZE_LIMIT_BYTES)
        except FileMissing:
            continue
        return dpkg.parse(content, f"{volume.name}:{path}")
    return []


def _of_rpm(engine: Engine, volume: Volume, root: str, scratch: Path) -> list[Package]:
    for folder in RPM_FOLDERS:
        names = _names(engine, volume, root + folder)
        file = next((file for file in rpm.BACKENDS if file in names), None)
        if file:
            for name in {file, *rpm.BESIDE} & names:
                engine.copy_out(
                    volume, f"{root}{folder}/{name}", scratch / name, rpm.SIZE_LIMIT_BYTES
                )
            return rpm.read(scratch, file, f"{volume.name}:{root}{folder}/{file}")
    return []


def _names(engine: Engine, volume: Volume, folder: str) -> set[str]:
    try:
        return {entry.name for entry in engine.list_directory(volume, folder)}
    except FileMissing:
        return set()


def _release(engine: Engine, volume: Volume, root: str) -> os_release.Release:
    for path in OS_RELEASE:
        try:
            content = engine.read_file(volume, root + path, os_release.SIZE_LIMIT_BYTES)
        except FileMissing:
            continue
        return os_release.parse(content)
    return os_release.parse(b"")
