"""The bill of materials as SPDX 2.3, JSON (https://spdx.github.io/spdx-spec/v2.3/)."""

import io
import re

from license_expression import LicenseExpression, get_spdx_licensing
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)
from spdx_tools.spdx.model import Package as SpdxPackage
from spdx_tools.spdx.writer.json import json_writer

from bakery import __version__
from bakery.build.sbom.document import Subject, purl
from bakery.build.sbom.packages import Installed, Package

DOCUMENT = "SPDXRef-DOCUMENT"
SYSTEM = "SPDXRef-System"
NAMESPACE = "https://spdx.org/spdxdocs"


def encode(subject: Subject) -> bytes:
    """The document, in UTF-8, ending in a newline."""
    installed = subject.installed
    packages = [_package(n, p, installed) for n, p in enumerate(installed.packages, 1)]
    contains = [Relationship(SYSTEM, RelationshipType.CONTAINS, p.spdx_id) for p in packages]
    document = Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id=DOCUMENT,
            name=subject.name,
            document_namespace=f"{NAMESPACE}/{subject.name}-{subject.number}",
            creators=[Actor(ActorType.TOOL, f"bakery-{__version__}")],
            created=subject.time.replace(tzinfo=None),
        ),
        packages=[_system(subject), *packages],
        relationships=[Relationship(DOCUMENT, RelationshipType.DESCRIBES, SYSTEM), *contains],
    )
    stream = io.StringIO()
    json_writer.write_document_to_stream(document, stream)
    return (stream.getvalue() + "\n").encode()


def _system(subject: Subject) -> SpdxPackage:
    return SpdxPackage(
        SYSTEM,
        subject.name,
        SpdxNoAssertion(),
        version=subject.installed.os_version or None,
        files_analyzed=False,
        source_info=f"image {subject.image_digest}",
        primary_package_purpose=PackagePurpose.OPERATING_SYSTEM,
    )


def _package(number: int, package: Package, installed: Installed) -> SpdxPackage:
    known = _license(package.license)
    url = purl(package, installed).to_string()
    return SpdxPackage(
        f"SPDXRef-{package.kind}-{number}-" + re.sub(r"[^A-Za-z0-9.-]", "-", package.name),
        package.name,
        SpdxNoAssertion(),
        version=package.version,
        supplier=Actor(ActorType.ORGANIZATION, package.vendor) if package.vendor else None,
        files_analyzed=False,
        source_info=f"built from {package.source}" if package.source else None,
        license_declared=SpdxNoAssertion() if known is None else known,
        license_comment=f"the package says: {package.license}"
        if package.license and known is None
        else None,
        external_references=[
            ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", url)
        ],
    )


def _license(text: str) -> LicenseExpression | None:
    """The licence where it is an SPDX expression of listed licences; distributions have others."""
    if not text:
        return None
    try:
        return get_spdx_licensing().parse(text, validate=True, strict=True)
    except Exception:  # noqa: BLE001 - the parser asserts and indexes as well, by what it is given
        return None
