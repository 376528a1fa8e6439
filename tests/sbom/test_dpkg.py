"""dpkg's status file: what is on the disk, and files that are none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.errors import BakeryError
from bakery.sbom import dpkg
from bakery.sbom.packages import Package
from tests.sbom.databases import STATUS


def stanza(**fields: str) -> bytes:
    given = {
        "Package": "a",
        "Status": "install ok installed",
        "Version": "1",
        "Architecture": "all",
    } | fields
    return "".join(f"{name}: {value}\n" for name, value in given.items()).encode()


def test_what_is_on_the_disk_is_told_with_its_source():
    libc, base = dpkg.parse(STATUS, "status")
    assert libc == Package(
        kind="deb",
        name="libc6",
        version="2.36-9+deb12u7",
        architecture="amd64",
        source="glibc 2.36-9+deb12u7",
    )
    assert (base.name, base.version, base.source) == ("base-files", "1:12.4", "base 11")


@pytest.mark.parametrize(
    ("status", "there"),
    [("unpacked", True), ("half-configured", True), ("not-installed", False), ("x", False)],
)
def test_the_third_word_of_the_status_counts(status, there):
    assert bool(dpkg.parse(stanza(Status=f"install ok {status}"), "status")) is there


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n\n" + stanza(Package="a/b"), "status, line 3: the package is 'a/b'"),
        (stanza(Package="\x1b[1m"), r"the package is '\x1b[1m'"),
        (stanza(Package="a" * 2000), "is no text that a package would have: 'aaa"),
        (stanza(Version=""), "status, line 1: the version is ''"),
        (stanza(Version="1 2"), "the version is '1 2'"),
        (stanza(Architecture="AMD 64"), "the architecture is 'AMD 64'"),
        (stanza(Source="a (1) (2)"), "the source is 'a (1) (2)'"),
        (stanza() + b"\nno field\n", "status, line 6 is no field: 'no field'"),
        (b"\xff\xfe\n", "status, line 1 is no field"),
        (stanza(Package="\xff"), "the package is 'ÿ'"),
    ],
    ids=range(10),
)
def test_what_is_no_database_is_refused_with_its_line(content, words):
    with pytest.raises(BakeryError) as raised:
        dpkg.parse(content, "status")
    assert words in raised.value.message
    assert len(raised.value.message) < 300


@given(st.binary(max_size=200))
def test_any_bytes_are_packages_or_a_refusal(content):
    with contextlib.suppress(BakeryError):
        dpkg.parse(content, "status")
