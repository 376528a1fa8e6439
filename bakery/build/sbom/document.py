"""What both kinds of document say: about what, since when, under which number.

Nothing in it hangs on the clock or on chance, so equal images give equal bytes.
"""

import hashlib
import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from bakery import __version__
from bakery.build.sbom.packages import Installed, Package
from bakery.host.errors import UsageError

if TYPE_CHECKING:
    from packageurl import PackageURL

NAMESPACE = uuid.UUID("8f5b3c1e-5d0b-5a7e-9f43-6d1f2f0c7b11")
EPOCH = "SOURCE_DATE_EPOCH"
LAST_SECOND = 253_402_300_799  # of the year 9999, where datetime ends


class Subject(msgspec.Struct, frozen=True):
    """What a document is about: the build's name, the digest of its image, what is installed."""

    name: str
    image_digest: str
    installed: Installed
    created: int
    """Seconds since 1970."""

    @property
    def time(self) -> datetime:
        """When the document says it was made."""
        return datetime.fromtimestamp(self.created, UTC)

    @property
    def number(self) -> uuid.UUID:
        """The document's own number, made of all that it says (RFC 4122, version 5)."""
        return uuid.uuid5(
            NAMESPACE, hashlib.sha256(msgspec.json.encode([__version__, self])).hexdigest()
        )


def subject(name: str, image_digest: str, installed: Installed) -> Subject:
    """The time is SOURCE_DATE_EPOCH's; else that of the newest package; else 1970."""
    told = source_date_epoch()
    created = installed.newest if told is None else told
    return Subject(name, image_digest, installed, min(created, LAST_SECOND))


def source_date_epoch() -> int | None:
    """The time that reproducible builds are told (https://reproducible-builds.org/specs/).

    UsageError where it is no time.
    """
    text = os.environ.get(EPOCH)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= LAST_SECOND):
        raise UsageError(f"{EPOCH}={text[:40]!r} is not a number of seconds since 1970")
    return int(text)


def purl(package: Package, installed: Installed) -> "PackageURL":
    """The package URL (https://github.com/package-url/purl-spec, types deb and rpm)."""
    from packageurl import PackageURL

    distro = "-".join(filter(None, [installed.os_id, installed.os_version]))
    qualifiers = {"arch": package.architecture, "distro": distro, "epoch": package.epoch}
    return PackageURL(
        type=package.kind,
        namespace=installed.os_id,
        name=package.name,
        version=package.version,
        qualifiers={key: value for key, value in qualifiers.items() if value},
    )
