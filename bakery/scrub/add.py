"""Files put into an image, where the running system will have them.

A kernel writes them (bakery/engines/guestfs_scrub.py). Here it is found out where they lie, and
that no link is on the way: the appliance would follow it into a system that is not the image's.
"""

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bakery.engines import guestfs_scrub
from bakery.engines.base import Addition, Engine
from bakery.errors import BakeryError
from bakery.report import Report
from bakery.scrub import systems
from bakery.scrub.systems import Place, Reader, System
from bakery.scrub.work import Source, unpack

FOLDER_MODE = 0o755


class Placed(msgspec.Struct, frozen=True):
    """A file, its place, and the folders on the way there that are not there yet."""

    file: Addition
    place: Place
    missing: tuple[str, ...]


def placed(engine: Engine, etc: Place, files: Iterable[Addition]) -> list[Placed]:
    """Where the files lie in the system whose /etc is `etc`; BakeryError where one cannot."""
    reader = Reader(engine)
    for system in systems.find(reader)[0]:
        if system.place("/etc") == etc:
            return [_placed(reader, system, file) for file in files]
    raise BakeryError(f"the system of {etc.volume.device}:{etc.path} was not found again")


def add(image: Source, out: Path, files: Iterable[Placed], tar: Path, report: Report) -> None:
    """Write `out`: the image with the files in it; what stands in their place is written over.

    `tar` is a file of the caller's, made or replaced.
    """
    names: set[str] = set()
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for item in files:
            name = guestfs_scrub.key(item.place.volume)
            names.add(name)
            for folder in item.missing:
                archive.addfile(_member(name + folder, tarfile.DIRTYPE, FOLDER_MODE))
            _add_file(archive, name + item.place.path, item.file)
    unpack(image, out, tar.open("rb"), names, report)


def _placed(reader: Reader, system: System, file: Addition) -> Placed:
    if system.is_committed(file.path):
        raise BakeryError(
            f"{file.path} cannot be put into the image: there it belongs to an OSTree commit, "
            "which would no longer be that commit",
            f"files can go to {', '.join(sorted(filter(None, system.mounts)))}",
        )
    place = system.place(file.path)
    *folders, last = place.path.strip("/").split("/")
    missing: list[str] = []
    folder = ""
    for name in folders:
        kinds = {item.name: item.is_directory for item in reader.items(Place(place.volume, folder))}
        folder += f"/{name}"
        if name not in kinds:
            missing.append(folder)
        elif not kinds[name]:
            raise BakeryError(
                f"{file.path} cannot be put into the image: "
                f"{place.volume.device}:{folder} is a link or a file",
                "name the folder that it leads to",
            )
    if not missing and _leads_to_folder(reader.engine, Place(place.volume, folder or "/"), last):
        raise BakeryError(f"{file.path} cannot be put into the image: it is a folder there")
    return Placed(file, place, tuple(missing))


def _leads_to_folder(engine: Engine, folder: Place, name: str) -> bool:
    """Whether a name in a folder is a folder, or a link to one."""
    entries = engine.list_directory(folder.volume, folder.path)
    return any(entry.is_directory for entry in entries if entry.name == name)


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
