"""What both documents say, whatever their kind."""

import datetime as dt

import pytest

from bakery.build.sbom import document
from bakery.build.sbom.document import EPOCH, LAST_SECOND, Subject
from bakery.build.sbom.packages import Installed, Package
from bakery.host.errors import UsageError


def package(**fields):
    return Package(**{"kind": "rpm", "name": "a", "version": "1", "architecture": ""} | fields)


def installed(*packages):
    return Installed("fedora", "40", packages or (package(time=5), package(time=7)))


@pytest.fixture(autouse=True)
def no_epoch(monkeypatch):
    monkeypatch.delenv(EPOCH, raising=False)


def test_the_time_is_the_newest_packages_or_the_one_that_is_told(monkeypatch):
    assert document.subject("lab", "d", installed()).created == 7
    assert document.subject("lab", "d", Installed("x", "", ())).created == 0
    assert document.subject("lab", "d", installed(package(time=LAST_SECOND + 9))).created == (
        LAST_SECOND
    )
    for text, seconds in (("0", 0), ("9", 9), (str(LAST_SECOND), LAST_SECOND), ("", 7)):
        monkeypatch.setenv(EPOCH, text)
        assert document.subject("lab", "d", installed()).created == seconds


def test_the_last_second_is_one_that_can_be_written():
    made = Subject("lab", "d", installed(), LAST_SECOND).time
    assert made == dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "text", ["-1", "1.5", "x", "٣", str(LAST_SECOND + 1), "0" * 13, " 1", "1" * 99]
)
def test_what_is_no_time_is_wrong_usage(monkeypatch, text):
    monkeypatch.setenv(EPOCH, text)
    with pytest.raises(UsageError, match="is not a number of seconds since 1970") as refused:
        document.source_date_epoch()
    assert len(refused.value.message) < 120


def test_the_number_hangs_on_all_that_is_said():
    one = Subject("lab", "d", installed(), 1)
    others = (
        Subject("bal", "d", installed(), 1),
        Subject("lab", "e", installed(), 1),
        Subject("lab", "d", installed(package()), 1),
        Subject("lab", "d", installed(), 2),
    )
    assert one.number == Subject("lab", "d", installed(), 1).number
    assert one.number.version == 5
    assert len({one.number, *(other.number for other in others)}) == 5


@pytest.mark.parametrize(
    ("made", "os", "url"),
    [
        (package(epoch="2"), ("fedora", "40"), "pkg:rpm/fedora/a@1?distro=fedora-40&epoch=2"),
        (package(architecture="i386"), ("suse", ""), "pkg:rpm/suse/a@1?arch=i386&distro=suse"),
        (package(kind="deb"), ("", ""), "pkg:deb/a@1"),
    ],
)
def test_a_package_has_its_url(made, os, url):
    assert document.purl(made, Installed(os[0], os[1], ())).to_string() == url
