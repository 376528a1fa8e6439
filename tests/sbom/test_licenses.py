"""Licence fields as distributions and others write them: a document comes of each."""

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.sbom import cyclonedx, document, spdx
from bakery.sbom.packages import TEXT_LIMIT, Installed, Package


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


@given(st.lists(st.sampled_from(["MIT", "Nobody", "AND", "OR", "WITH", "(", ")", "+"]), min_size=1))
@settings(max_examples=60, deadline=None)
def test_any_row_of_words_can_be_written_down(words):
    both(" ".join(words))
