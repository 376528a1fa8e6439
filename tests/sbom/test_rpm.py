"""rpm's databases, as rpm made them, and broken ones."""

from pathlib import Path

import pytest

from bakery.errors import BakeryError
from bakery.sbom import rpm
from bakery.sbom.rpm import FIELD_END, RECORD_END, TAGS
from tests.sbom import databases


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    return databases.rpm(tmp_path_factory.mktemp("rpm"))


def copied(folder: Path, tmp_path: Path) -> tuple[Path, str]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (file,) = folder.iterdir()
    (scratch / file.name).write_bytes(file.read_bytes())
    return scratch, file.name


def check(packages):
    hello, world = sorted(packages)
    assert (hello.name, hello.epoch, hello.version, hello.architecture) == (
        "hello",
        "2",
        "1.0-3",
        "noarch",
    )
    assert (hello.license, hello.vendor) == ("GPL-2.0-or-later AND MIT", "Bakers")
    assert (world.epoch, world.source) == ("", "world-1.0-3.src.rpm")
    assert hello.time > databases.BUILT


def test_sqlite_is_read(sqlite, tmp_path):
    scratch, name = copied(sqlite, tmp_path)
    check(rpm.read(scratch, name, "image:/db"))


def test_berkeley_db_is_read(sqlite, tmp_path):
    folder = databases.berkeley(tmp_path / "bdb", sqlite)
    scratch, name = copied(folder, tmp_path)
    check(rpm.read(scratch, name, "image:/db"))


def test_a_form_that_this_rpm_does_not_know_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setitem(rpm.BACKENDS, "Packages.db", "nobody-knows")
    (tmp_path / "Packages.db").write_bytes(b"RpmP")
    with pytest.raises(BakeryError, match="cannot read \\(nobody-knows\\)"):
        rpm.read(tmp_path, "Packages.db", "image:/db")


@pytest.mark.parametrize("name", ["rpmdb.sqlite", "Packages"])
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"x" * 5000], ids=["empty", "zeros", "x"])
def test_what_is_no_database_is_refused_or_empty(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    try:
        assert rpm.read(tmp_path, name, "image:/db") == []
    except BakeryError as error:
        assert error.message.startswith("image:/db cannot be read: ")


def test_a_database_with_damage_inside_is_refused(sqlite, tmp_path):
    scratch, name = copied(sqlite, tmp_path)
    content = bytearray((scratch / name).read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (scratch / name).write_bytes(content)
    with pytest.raises(BakeryError, match="image:/db cannot be read: "):
        rpm.read(scratch, name, "image:/db")


RIGHT = ["a", "(none)", "1", "2", "noarch", "MIT", "(none)", "(none)", "1"]


def listing(**changed):
    words = [changed.get(tag, word) for tag, word in zip(TAGS, RIGHT, strict=True)]
    return "".join(word + FIELD_END for word in words) + RECORD_END


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (listing(NAME=f"a{FIELD_END}b"), "package 1 holds control characters"),
        (listing() + listing(NAME="a\nb"), "the NAME of package 2 is no text"),
        (listing(LICENSE="x" * 9999), "the LICENSE of package 1 is no text"),
        (listing(NAME="(none)"), "package 1 has no name or no version"),
        (listing() + "rest", "what is no list of packages"),
    ],
)
def test_what_rpm_hands_on_is_checked(text, words):
    with pytest.raises(BakeryError, match=words):
        rpm._packages(text, "image:/db")


def test_the_keys_rpm_keeps_are_no_packages():
    assert [p.name for p in rpm._packages(listing() + listing(NAME="gpg-pubkey"), "db")] == ["a"]
