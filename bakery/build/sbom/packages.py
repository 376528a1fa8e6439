"""An installed package, and the system it is installed in."""

from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import shown

TEXT_LIMIT = 1024
PACKAGES_LIMIT = 100_000


class Package(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One entry of a package database; what it does not say is empty."""

    kind: Literal["deb", "rpm"]
    name: str
    version: str
    """As its package manager writes it; of an rpm without the epoch."""
    architecture: str
    epoch: str = ""
    """Of an rpm; a deb has it in its version."""
    source: str = ""
    """The source package it was built from, with its version where the database says so."""
    vendor: str = ""
    license: str = ""
    time: int = 0
    """When it was built, in seconds since 1970; 0 where the database does not say."""


class Installed(msgspec.Struct, frozen=True):
    """A system: os-release's ID and VERSION_ID, and its packages, sorted."""

    os_id: str
    os_version: str
    packages: tuple[Package, ...]

    @property
    def newest(self) -> int:
        """The time of the package that was built last; 0 where no package tells."""
        return max((package.time for package in self.packages), default=0)


def checked(value: str, what: str) -> str:
    """A word out of a database: printable and bounded; BakeryError says what is wrong with it."""
    if len(value) > TEXT_LIMIT or not value.isprintable():
        raise BakeryError(f"{what} is not plain text: {shown(value)}")
    return value
