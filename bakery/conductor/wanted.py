"""What a node's disk is to hold, told so shortly that it can be kept and compared."""

import hashlib
from pathlib import Path

import msgspec

from bakery.conductor.partition import Extras, check
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build

SHORT_KEY = 12


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A build, by its key and name, and all else that decides what is on which disk.

    Equal ones are the same image on the same disk. `config_drive` is the sha256 of its file in
    hexadecimal, empty where there is none; `root_device` are the hints as they were given.
    """

    build: str
    name: str
    root_device: str = ""
    ephemeral_mib: int = 0
    swap_mib: int = 0
    config_drive: str = ""

    def on(self, root_device: str) -> "Wanted":
        """The same, on the disk that these hints name."""
        return msgspec.structs.replace(self, root_device=root_device)

    def __str__(self) -> str:
        return f"{self.name} (build {self.build[:SHORT_KEY]})"


def wanted(build: Build, extras: Extras, root_device: str = "") -> Wanted:
    """What is asked for; BakeryError where the build has no place for the extras."""
    check(build, extras)
    return Wanted(
        build=build.manifest.key,
        name=build.manifest.name,
        root_device=root_device,
        ephemeral_mib=extras.ephemeral_mib,
        swap_mib=extras.swap_mib,
        config_drive=_digest(extras.config_drive) if extras.config_drive else "",
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BakeryError(f"the config drive {path} cannot be read: {error.strerror}") from error
