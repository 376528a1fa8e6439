import xml.etree.ElementTree as ET

import pytest

from bakery.lab import redfish_resources as resources
from bakery.lab.redfish_resources import Shown


def paths(document):
    """All that a document links to."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in ("@odata.id", "target", "url"):
                yield str(value)
            yield from paths(value)
    elif isinstance(document, list):
        for value in document:
            yield from paths(value)


@pytest.mark.parametrize("path", resources._RESOURCES)
def test_each_resource_calls_itself_by_its_path_and_links_to_what_is_there(node, path):
    shown = Shown(node)
    document = resources.resource(path, shown)
    assert document is not None and document["@odata.id"] == path
    actions = {resources.RESET, resources.INSERT, resources.EJECT}
    for other in paths(document):
        assert other in actions or resources.resource(other, shown) is not None, other


def test_no_resource_holds_the_password(node):
    told = [str(resources.resource(path, Shown(node))) for path in resources._RESOURCES]
    assert not any(node.bmc.password in text for text in told)


def test_what_is_not_there_is_none(node):
    for path in ("/", "/redfish", "/redfish/v1/Systems/2", f"{resources.SESSIONS}/1"):
        assert resources.resource(path, Shown(node)) is None


def test_the_metadata_names_the_schema_of_each_resource(node):
    root = ET.fromstring(resources.metadata())
    named = {element.get("Namespace") for element in root.iter() if element.tag.endswith("Include")}
    types = [
        str(document["@odata.type"])[1:].split(".")[0]
        for path in resources._RESOURCES
        if (document := resources.resource(path, Shown(node)))
    ]
    assert set(types) <= named


def test_the_service_document_names_what_is_there(node):
    for path in paths(resources.odata()):
        assert resources.resource(path, Shown(node)) is not None
