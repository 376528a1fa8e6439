"""Where a database is looked for, in an image that is a few names."""

from types import SimpleNamespace
from typing import Any

import pytest

from bakery.build.sbom import dpkg, read, rpm
from bakery.build.sbom.packages import Package
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import FileMissing

VOLUME = Volume("/dev/sda2", 1, ())
DEB = b"""\
Package: b
Status: install ok installed
Version: 1

Package: a
Status: a b unpacked
Version: 2
"""


class Image:
    """An engine whose only volume holds these files."""

    def __init__(self, files):
        self.files = files
        self.limits = {}

    def read_file(self, volume, path, limit_bytes):
        assert volume is VOLUME
        self.limits[path] = limit_bytes
        if path not in self.files:
            raise FileMissing(path)
        return self.files[path]

    def list_directory(self, volume, path):
        assert volume is VOLUME
        names = {name[len(path) + 1 :] for name in self.files if name.startswith(f"{path}/")}
        if not names:
            raise FileMissing(path)
        return [SimpleNamespace(name=name.partition("/")[0]) for name in names]

    def copy_out(self, volume, path, target, limit_bytes):
        assert (volume, limit_bytes) == (VOLUME, rpm.SIZE_LIMIT_BYTES)
        target.write_bytes(self.files[path])


@pytest.fixture(autouse=True)
def rpms(monkeypatch):
    """What rpm would be asked to read: the backend, and what lies in its folder."""
    asked = []

    def fake(folder, file, origin):
        asked.append((file, sorted(path.name for path in folder.iterdir()), origin))
        return [Package(kind="rpm", name="r", version="1", architecture="")]

    monkeypatch.setattr(rpm, "read", fake)
    return asked


def read_in(image: Any, root, scratch):
    return read.read(image, VOLUME, root, scratch)


def found(tmp_path, root="", **files):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    image = Image({f"{root}/{name}": content for name, content in files.items()})
    return read_in(image, root, scratch)


@pytest.mark.parametrize("folder", [folder[1:] for folder in read.DPKG_FOLDERS])
@pytest.mark.parametrize("root", ["", "/ostree/deploy/a/deploy/b.0"])
def test_dpkgs_file_is_read_wherever_it_lies(tmp_path, folder, root):
    files = {f"{folder}/status": DEB, "etc/os-release": b"ID=x\nVERSION_ID=3\n"}
    told = found(tmp_path, root, **files)
    assert (told.os_id, told.os_version) == ("x", "3")
    assert [(p.name, p.version) for p in told.packages] == [("a", "2"), ("b", "1")]


def test_the_first_place_that_has_it_counts(tmp_path):
    first, second = (f"{folder[1:]}/status" for folder in read.DPKG_FOLDERS[:2])
    other = DEB.replace(b"Package: a", b"Package: c")
    assert {p.name for p in found(tmp_path, **{first: DEB, second: other}).packages} == {"a", "b"}


def test_a_large_database_is_read_and_its_fault_has_its_place(tmp_path):
    image = Image({"/var/lib/dpkg/status": b"no field\n"})
    with pytest.raises(BakeryError, match="/dev/sda2:/var/lib/dpkg/status, line 1 is not a field"):
        read_in(image, "", tmp_path)
    assert image.limits["/var/lib/dpkg/status"] == dpkg.SIZE_LIMIT_BYTES


def test_rpms_files_are_copied_out_with_what_belongs_to_them(tmp_path, rpms):
    name = read.RPM_FOLDERS[1]
    files = {f"{name[1:]}/rpmdb.sqlite{end}": b"" for end in ("", "-wal", "-shm")}
    told = found(tmp_path, **files, **{"usr/lib/os-release": b"ID=f\n"})
    assert rpms == [
        (
            "rpmdb.sqlite",
            ["rpmdb.sqlite", "rpmdb.sqlite-wal"],
            f"/dev/sda2:{name}/rpmdb.sqlite",
        )
    ]
    assert (told.os_id, [p.name for p in told.packages]) == ("f", ["r"])


def test_a_folder_without_a_database_is_passed_over(tmp_path, rpms):
    files = {"var/lib/rpm/.lock": b"", "usr/share/rpm/Packages": b"", "usr/share/rpm/other": b""}
    found(tmp_path, **files)
    assert [(file, names) for file, names, _ in rpms] == [("Packages", ["Packages"])]


def test_both_databases_are_told_and_none_is_refused(tmp_path):
    both = found(tmp_path, **{"var/lib/dpkg/status": DEB, "var/lib/rpm/Packages.db": b""})
    assert [p.name for p in both.packages] == ["a", "b", "r"]
    assert both.os_id == "linux"
    with pytest.raises(BakeryError, match="no package database in /dev/sda2:/: neither") as refused:
        read_in(Image({}), "", tmp_path)
    assert refused.value.hint == "build it without a bill of materials"
    with pytest.raises(BakeryError, match="in /dev/sda2:/a: neither"):
        read_in(Image({"/var/lib/dpkg/status": DEB}), "/a", tmp_path)
