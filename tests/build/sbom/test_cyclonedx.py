"""A document of CycloneDX, field by field."""

import json

import bakery
from bakery.build.sbom import cyclonedx
from bakery.build.sbom.document import Subject
from bakery.build.sbom.packages import Installed, Package

FULL = Package(
    kind="rpm",
    name="a+b",
    version="1-2",
    architecture="noarch",
    epoch="3",
    source="a-1-2.src.rpm",
    vendor="Bakers",
    license="MIT",
)
BARE = Package(kind="deb", name="b", version="1", architecture="")
SUBJECT = Subject("lab", "sha256:0", Installed("x", "9", (FULL, BARE)), 86400)
NO_VERSION = Subject("lab", "sha256:0", Installed("x", "", ()), 0)


def test_a_document_of_cyclonedx():
    text = cyclonedx.encode(SUBJECT)
    assert text.endswith(b"}\n")
    told = json.loads(text)
    assert told["serialNumber"] == f"urn:uuid:{SUBJECT.number}"
    meta = told["metadata"]
    assert meta["timestamp"] == "1970-01-02T00:00:00+00:00"
    (tool,) = meta["tools"]["components"]
    assert (tool["name"], tool["version"]) == ("bakery", bakery.__version__)
    assert meta["component"] == {
        "bom-ref": "system",
        "name": "lab",
        "properties": [{"name": "bakery:image-digest", "value": "sha256:0"}],
        "type": "operating-system",
        "version": "9",
    }
    full, bare = told["components"]
    url = "pkg:rpm/x/a%2Bb@1-2?arch=noarch&distro=x-9&epoch=3"
    assert full == {
        "bom-ref": url,
        "licenses": [{"license": {"id": "MIT"}}],
        "name": "a+b",
        "properties": [{"name": "bakery:source-package", "value": "a-1-2.src.rpm"}],
        "purl": url,
        "supplier": {"name": "Bakers"},
        "type": "library",
        "version": "1-2",
    }
    assert set(bare) == {"bom-ref", "name", "purl", "type", "version"}
    depends = {one["ref"]: one.get("dependsOn") for one in told["dependencies"]}
    assert sorted(depends["system"]) == sorted([url, bare["bom-ref"]])
    assert "version" not in json.loads(cyclonedx.encode(NO_VERSION))["metadata"]["component"]
