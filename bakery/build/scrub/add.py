"""Files put into an image, where the running system will have them.

A kernel writes them (`Engine.restore`). Here it is found out where they lie,
and that no link is on the way: the appliance would follow it into a system that is not the image's.
"""

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bakery.build.scrub import systems
from bakery.build.scrub.output import Draft
from bakery.build.scrub.systems import System
from bakery.build.scrub.work import unpack
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.image.engines.base import Addition, tar_name, tar_path
from bakery.image.inspection import Inspection
from bakery.image.opened import Opened
from bakery.image.reader import Place, Reader

FOLDER_MODE = 0o755


class Placed(msgspec.Struct, frozen=True):
    """A file, its place, and the folders on the way there that are not there yet."""

    file: Addition
    place: Place
    missing: tuple[str, ...]


def placed(
    reader: Reader, inspected: Inspection, etc: Place, files: Iterable[Addition]
) -> list[Placed]:
    """Where the files lie in the system whose /etc is `etc`; BakeryError where one cannot."""
    for system in systems.find(reader, inspected):
        if system.place("/etc") == etc:
            return [_placed(reader, system, file) for file in files]
    raise BakeryError(f"the system of {etc.volume.name}:{etc.path} was not found again")


def add(opened: Opened, draft: Draft, files: Iterable[Placed], tar: Path, report: Report) -> None:
    """Write `draft.out`: the image with the files in it, written over what stands in their place.

    `tar` is a file of the caller's, made or replaced.
    """
    names: set[str] = set()
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for item in files:
            volume, path = item.place
            names.add(tar_name(volume))
            for folder in item.missing:
                member = _member(tar_path(volume, folder), tarfile.DIRTYPE, FOLDER_MODE)
                archive.addfile(member)
            _add_file(archive, tar_path(volume, path), item.file)
    unpack(opened, draft, tar.open("rb"), names, report)


def _placed(reader: Reader, system: System, file: Addition) -> Placed:
    if system.is_committed(file.path):
        raise BakeryError(
            f"{file.path} cannot be put into the image: there it belongs to an OSTree commit, "
            "which would no longer be that commit",
            f"files can go to {', '.join(sorted(filter(None, system.tree.mounts)))}",
        )
    for item in system.unsearched:
        if f"{file.path}/".startswith(f"{item.name}/"):
            raise BakeryError(f"{file.path} cannot be put into the image: {item.told}")
    place = system.place(file.path)
    *folders, last = place.path.strip("/").split("/")
    missing: list[str] = []
    folder = ""
    for name in folders:
        kinds = {item.name: item.is_directory for item in reader.items(place.volume, folder)}
        folder += f"/{name}"
        if name not in kinds:
            missing.append(folder)
        elif not kinds[name]:
            raise BakeryError(
                f"{file.path} cannot be put into the image: "
                f"{place.volume.name}:{folder} is a link or a file",
                "name the folder that it leads to",
            )
    entries = () if missing else reader.directory(place.volume, folder)
    if any(entry.is_directory for entry in entries if entry.name == last):
        raise BakeryError(f"{file.path} cannot be put into the image: it is a folder there")
    return Placed(file, place, tuple(missing))


def _add_file(archive: tarfile.TarFile, name: str, file: Addition) -> None:
    with file.source.open("rb") as content:
        status = os.fstat(content.fileno())
        member = _member(name, tarfile.REGTYPE, file.mode)
        member.size, member.mtime = status.st_size, int(status.st_mtime)
        member.uid, member.gid = file.owner, file.group
        archive.addfile(member, content)


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    return member
