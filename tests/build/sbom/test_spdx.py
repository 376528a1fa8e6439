"""Licence fields as distributions and others write them: a document comes of each."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

import bakery
from bakery.build.sbom import cyclonedx, document, spdx
from bakery.build.sbom.packages import TEXT_LIMIT, Installed, Package
from tests.build.sbom.test_cyclonedx import NO_VERSION, SUBJECT


def test_a_document_of_spdx():
    text = spdx.encode(SUBJECT)
    assert text.endswith(b"}\n")
    told = json.loads(text)
    assert (told["spdxVersion"], told["SPDXID"]) == ("SPDX-2.3", "SPDXRef-DOCUMENT")
    assert told["documentNamespace"] == f"https://spdx.org/spdxdocs/lab-{SUBJECT.number}"
    assert told["creationInfo"] == {
        "created": "1970-01-02T00:00:00Z",
        "creators": [f"Tool: bakery-{bakery.__version__}"],
    }
    system, full, bare = told["packages"]
    assert system == {
        "SPDXID": "SPDXRef-System",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "name": "lab",
        "primaryPackagePurpose": "OPERATING_SYSTEM",
        "sourceInfo": "image sha256:0",
        "versionInfo": "9",
    }
    assert (full["SPDXID"], bare["SPDXID"]) == ("SPDXRef-rpm-1-a-b", "SPDXRef-deb-2-b")
    assert (full["supplier"], full["sourceInfo"]) == (
        "Organization: Bakers",
        "built from a-1-2.src.rpm",
    )
    assert (full["licenseDeclared"], full["filesAnalyzed"]) == ("MIT", False)
    assert (bare["licenseDeclared"], "supplier" in bare, "sourceInfo" in bare) == (
        "NOASSERTION",
        False,
        False,
    )
    assert "licenseComments" not in full
    assert "licenseComments" not in bare
    related = [(r["spdxElementId"], r["relatedSpdxElement"]) for r in told["relationships"]]
    assert related == [
        ("SPDXRef-DOCUMENT", "SPDXRef-System"),
        ("SPDXRef-System", "SPDXRef-rpm-1-a-b"),
        ("SPDXRef-System", "SPDXRef-deb-2-b"),
    ]
    assert "versionInfo" not in json.loads(spdx.encode(NO_VERSION))["packages"][0]


def both(words: str) -> tuple[str, str]:
    package = Package(kind="rpm", name="a+b c", version="1", architecture="", license=words)
    subject = document.subject("lab", "sha256:0", Installed("x", "", (package,)))
    return spdx.encode(subject).decode(), cyclonedx.encode(subject).decode()


@pytest.mark.parametrize(
    "words",
    [
        "MIT AND",
        "MIT WITH nothing",
        "LicenseRef-Callaway-BSD",
        "(MIT",
        "( )",
        "( AND MIT",
        "( OR GPL-2.0-only",
        '"MIT"',
        "GPLv2+ and (LGPLv2+ with exceptions) and Public Domain",
        "NOASSERTION",
        "é",
        " ",
        "(" * TEXT_LIMIT,
        "(" * (TEXT_LIMIT // 2 - 2) + "MIT" + ")" * (TEXT_LIMIT // 2 - 2),
        "MIT AND " * (TEXT_LIMIT // 8 - 1) + "MIT",
    ],
)
def test_any_licence_can_be_written_down(words):
    _, text = both(words)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("words", ["( AND MIT", "( )", "MIT WITH nothing", "Nobody"])
def test_a_licence_that_is_no_expression_is_told_in_the_packages_own_words(words):
    text, _ = both(words)
    (_, package) = json.loads(text)["packages"]
    assert package["licenseDeclared"] == "NOASSERTION"
    assert package["licenseComments"] == f"the package says: {words}"


def test_a_licence_that_is_an_expression_is_declared():
    (_, package) = json.loads(both("MIT AND (GPL-2.0-only OR ISC)")[0])["packages"]
    assert package["licenseDeclared"] == "MIT AND (GPL-2.0-only OR ISC)"
    assert "licenseComments" not in package


@given(st.lists(st.sampled_from(["MIT", "Nobody", "AND", "OR", "WITH", "(", ")", "+"]), min_size=1))
@settings(max_examples=60, deadline=None)
def test_any_row_of_words_can_be_written_down(words):
    both(" ".join(words))
