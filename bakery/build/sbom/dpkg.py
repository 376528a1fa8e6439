"""dpkg's database: one text file, /var/lib/dpkg/status.

A stanza for each package, parted by empty lines; `Field: value`, and what continues it begins with
a blank (deb-control(5), deb822(5)). Of `Status: want flag status` (dpkg(1)) the third word counts.
"""

import io
import itertools
import re
from collections.abc import Iterator

from bakery.build.sbom.packages import PACKAGES_LIMIT, Package, checked
from bakery.host.errors import BakeryError
from bakery.host.printable import shown

SIZE_LIMIT_BYTES = 64 << 20
# Unpacked but not configured is on the disk as well; a package of which only its configuration
# is left is not.
ON_DISK = frozenset(
    {"installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
)

FIELDS = frozenset({"package", "status", "version", "architecture", "source"})

# deb-control(5) and deb-version(7); in names dpkg takes more than those allow.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9.+~:-]+", re.ASCII)
_ARCHITECTURE = re.compile(r"[a-z0-9-]*", re.ASCII)
_SOURCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9+._-]*)(?: \(([A-Za-z0-9.+~:-]+)\))?", re.ASCII)


def parse(content: bytes, origin: str) -> list[Package]:
    """The packages that are on the disk. BakeryError names `origin` and the line at fault."""
    packages = []
    for line, stanza in _stanzas(content, origin):
        package = _package(stanza, f"{origin}, line {line}")
        if package:
            packages.append(package)
        if len(packages) > PACKAGES_LIMIT:
            raise BakeryError(f"{origin} names more than {PACKAGES_LIMIT} packages")
    return packages


def _stanzas(content: bytes, origin: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each stanza's first line, from 1, and those of its fields that are read, in lower case."""
    fields: dict[str, str] = {}
    start = 1
    for number, raw in enumerate(itertools.chain(io.BytesIO(content), [b""]), 1):
        line = raw.decode("utf-8", "replace").removesuffix("\n")
        if not line.strip():
            if fields:
                yield start, fields
            fields, start = {}, number + 1
        elif line[0] not in " \t":
            name, colon, value = line.partition(":")
            if not colon:
                raise BakeryError(f"{origin}, line {number} is not a field: {shown(line)}")
            if name.lower() in FIELDS:
                fields[name.lower()] = value.strip()


def _package(fields: dict[str, str], where: str) -> Package | None:
    if fields.get("status", "").split(" ")[-1] not in ON_DISK:
        return None
    name = _matched(_NAME, fields, "package", where)
    version = _matched(_VERSION, fields, "version", where)
    architecture = _matched(_ARCHITECTURE, fields, "architecture", where)
    source = _SOURCE.fullmatch(fields.get("source", name))
    if source is None:
        raise BakeryError(f"{where}: the source is {shown(fields['source'])}")
    return Package(
        kind="deb",
        name=name,
        version=version,
        architecture=architecture,
        source=checked(f"{source[1]} {source[2] or version}", f"{where}: the source"),
    )


def _matched(form: re.Pattern[str], fields: dict[str, str], field: str, where: str) -> str:
    value = fields.get(field, "")
    if not form.fullmatch(value):
        raise BakeryError(f"{where}: the {field} is {shown(value)}")
    return checked(value, f"{where}: the {field}")
