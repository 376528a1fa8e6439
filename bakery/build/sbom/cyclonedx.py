"""The bill of materials as CycloneDX 1.6, JSON (https://cyclonedx.org/docs/1.6/json/)."""

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.output.json import JsonV1Dot6

from bakery import __version__
from bakery.build.sbom.document import Subject, purl
from bakery.build.sbom.packages import Installed, Package

SOURCE_PROPERTY = "bakery:source-package"
DIGEST_PROPERTY = "bakery:image-digest"


def encode(subject: Subject) -> bytes:
    """The document, in UTF-8, ending in a newline."""
    installed = subject.installed
    bom = Bom(serial_number=subject.number)
    bom.metadata.timestamp = subject.time
    bom.metadata.tools.components.add(
        Component(name="bakery", version=__version__, type=ComponentType.APPLICATION)
    )
    system = Component(
        name=subject.name,
        version=installed.os_version or None,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref="system",
        properties=[Property(name=DIGEST_PROPERTY, value=subject.image_digest)],
    )
    bom.metadata.component = system
    licenses = LicenseFactory()
    components = [_component(package, installed, licenses) for package in installed.packages]
    bom.components.update(components)
    bom.register_dependency(system, components)
    return (JsonV1Dot6(bom).output_as_string(indent=2) + "\n").encode()


def _component(package: Package, installed: Installed, licenses: LicenseFactory) -> Component:
    url = purl(package, installed)
    source = [Property(name=SOURCE_PROPERTY, value=package.source)] if package.source else []
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=url.to_string(),
        purl=url,
        supplier=OrganizationalEntity(name=package.vendor) if package.vendor else None,
        licenses=[licenses.make_from_string(package.license)] if package.license else [],
        properties=source,
    )
