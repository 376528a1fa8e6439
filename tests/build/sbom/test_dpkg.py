"""dpkg's status file: what is on the disk, and files that are none."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.build.sbom import dpkg
from bakery.build.sbom.packages import Package
from bakery.host.errors import BakeryError
from tests.build.sbom.databases import STATUS


def stanza(**fields: str) -> bytes:
    given = {
        "Package": "a",
        "Status": "install ok installed",
        "Version": "1",
        "Architecture": "all",
    } | fields
    return "".join(f"{name}: {value}\n" for name, value in given.items()).encode()


@pytest.mark.parametrize("line", [b"\n", b" x\n", b"F%d: x\n", b"\xf0\x9f\x98\x80: x\n"])
def test_a_database_of_many_lines_costs_no_more_than_it_weighs(line):
    content = b"".join(line % n if b"%d" in line else line for n in range(200_000))
    tracemalloc.start()
    try:
        assert dpkg.parse(content, "status") == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(content) + (1 << 20)


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
        (stanza(Package="a" * 2000), "is not plain text: 'aaa"),
        (stanza(Version=""), "status, line 1: the version is ''"),
        (stanza(Version="1 2"), "the version is '1 2'"),
        (stanza(Architecture="AMD 64"), "the architecture is 'AMD 64'"),
        (stanza(Source="a (1) (2)"), "the source is 'a (1) (2)'"),
        (stanza() + b"\nno field\n", "status, line 6 is not a field: 'no field'"),
        (b"\xff\xfe\n", "status, line 1 is not a field"),
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


def test_every_status_that_has_files_counts():
    for status in dpkg.ON_DISK:
        assert dpkg.parse(stanza(Status=f"hold reinstreq {status}"), "status")
    for status in ("config-files", "half-installed", "installed ok not-installed"):
        assert dpkg.parse(stanza(Status=status), "status") == []
    assert dpkg.parse(b"Package: a\nVersion: 1\n", "status") == []


def test_a_list_is_bounded(monkeypatch):
    monkeypatch.setattr(dpkg, "PACKAGES_LIMIT", 2)
    two = stanza() + b"\n" + stanza(Package="b")
    assert [one.name for one in dpkg.parse(two, "status")] == ["a", "b"]
    with pytest.raises(BakeryError, match="status names more than 2 packages"):
        dpkg.parse(two + b"\n" + stanza(Package="c"), "status")


def test_a_blank_line_ends_a_stanza_and_a_blank_begins_no_field():
    text = stanza(Source="src") + b"\tVersion: 9\n Package: x\n   \n" + stanza(Package="b")
    first, second = dpkg.parse(text, "status")
    assert (first.name, first.version, first.source) == ("a", "1", "src 1")
    assert (second.name, second.source) == ("b", "b 1")


def test_a_source_has_its_own_version_where_it_is_told():
    (told,) = dpkg.parse(stanza(Source="a-src (1:2~3)"), "status")
    assert told.source == "a-src 1:2~3"
    with pytest.raises(BakeryError, match="the source is not plain text"):
        dpkg.parse(stanza(Source="a" * 2000), "status")
