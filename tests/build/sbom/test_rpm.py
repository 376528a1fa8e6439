"""rpm's databases, as rpm made them, and broken ones."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bakery.build.sbom import rpm
from bakery.build.sbom.packages import Package
from bakery.build.sbom.rpm import FIELD_END, RECORD_END, TAGS
from bakery.host import tools
from bakery.host.errors import BakeryError
from tests.build.sbom import databases


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
        (listing() + listing(NAME="a\nb"), "the NAME of package 2 is not plain text"),
        (listing(LICENSE="x" * 9999), "the LICENSE of package 1 is not plain text"),
        (listing(NAME="(none)"), "package 1 has no name or no version"),
        (listing() + "rest", "does not give a valid list of packages"),
    ],
)
def test_what_rpm_hands_on_is_checked(text, words):
    with pytest.raises(BakeryError, match=words):
        rpm._packages(text.encode(), "image:/db")


def test_the_keys_rpm_keeps_are_no_packages():
    assert [
        p.name for p in rpm._packages((listing() + listing(NAME="gpg-pubkey")).encode(), "db")
    ] == ["a"]


def test_a_package_in_full():
    words = {"EPOCH": "4", "VENDOR": "v", "SOURCERPM": "s", "BUILDTIME": "77"}
    (told,) = rpm._packages(listing(**words).encode(), "db")
    assert told == Package(
        kind="rpm",
        name="a",
        version="1-2",
        architecture="noarch",
        epoch="4",
        source="s",
        vendor="v",
        license="MIT",
        time=77,
    )
    for time in ("-1", "(none)", "\u0663"):
        assert rpm._packages(listing(BUILDTIME=time).encode(), "db")[0].time == 0
    assert rpm._packages(listing(RELEASE="(none)").encode(), "db")[0].version == "1"
    with pytest.raises(BakeryError, match="package 2 has no name or no version"):
        rpm._packages((listing() + listing(VERSION="(none)")).encode(), "db")


def test_a_list_of_packages_is_bounded(monkeypatch):
    monkeypatch.setattr(rpm, "PACKAGES_LIMIT", 1)
    assert len(rpm._packages(listing().encode(), "db")) == 1
    with pytest.raises(
        BakeryError, match="db does not give a valid list of packages, or too many of them"
    ):
        rpm._packages((listing() * 2).encode(), "db")


def test_a_machine_without_rpm_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "find", lambda _name: None)
    with pytest.raises(BakeryError, match="rpm, which reads it, is not installed") as refused:
        rpm.read(tmp_path, "Packages", "image:/db")
    assert "apt-get install rpm" in refused.value.hint


@pytest.mark.parametrize(
    ("stderr", "code", "words"),
    [
        ("warning: x\nerror: no\nerror: more", 0, "image:/db cannot be read: no"),
        ("", 3, "image:/db cannot be read: rpm"),
        ("warning: unable _db_backend", 0, "a database that the rpm of this machine cannot read"),
        ("using dummy database", 1, "a database that the rpm of this machine cannot read"),
        ("error: " + "x" * 999, 1, "x" * 200),
    ],
)
def test_what_rpm_complains_of_is_told(tmp_path, monkeypatch, stderr, code, words):
    done = SimpleNamespace(stderr=stderr.encode(), returncode=code, stdout=listing().encode())
    asked = []

    def confined(argv, cage, **bounds):
        asked.append((argv, cage, bounds))
        return done

    monkeypatch.setattr(rpm, "run_confined", confined)
    with pytest.raises(BakeryError, match=words) as refused:
        rpm.read(tmp_path, "Packages", "image:/db")
    assert len(refused.value.message) < 300
    ((argv, cage, bounds),) = asked
    assert argv[:5] == ["rpm", "--define", "_db_backend bdb_ro", "--dbpath", tmp_path]
    assert {"--nosignature", "--nodigest"} < set(argv)
    assert cage.write == (tmp_path,)
    assert bounds["check"] is False
    done.stderr, done.returncode = b"warning: an old form", 0
    assert [one.name for one in rpm.read(tmp_path, "Packages", "image:/db")] == ["a"]
