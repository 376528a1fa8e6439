"""Where a file lies that is put into an image, and where none can be put."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bakery.build.scrub import add as adding
from bakery.build.scrub.add import Placed, placed
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines.base import Addition
from bakery.image.engines.direct import DirectEngine
from bakery.image.inspection import inspect
from bakery.image.reader import Place, Reader
from tests.build.scrub import trees
from tests.build.scrub.trees import volume

STATEROOT = "/ostree/deploy/lab"
OLD, NEW = (f"{STATEROOT}/deploy/{digit * 64}.0" for digit in "ab")
PLAIN = ("etc/fstab", "usr/bin/true", "usr/lib/file")
OSTREE = (f"{OLD}/etc/fstab", f"{NEW}/etc/fstab", f"{NEW}/usr/bin/true", f"{STATEROOT}/var/lib/a")


def opened(folder: Path, files: tuple[str, ...]) -> Iterator[DirectEngine]:
    """A disk that is one filesystem with those files, each empty."""
    tree = folder / "tree"
    for name in files:
        (tree / name.strip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tree / name.strip("/")).touch()
    (tree / "lib").symlink_to("usr/lib")
    if (tree / "usr").exists():
        (tree / "usr/link").symlink_to("/etc/fstab")
    argv: list[str | Path] = ["mkfs.ext4", "-q", "-d", tree, folder / "disk.raw", "24M"]
    subprocess.run(argv, check=True, timeout=60)
    (folder / "session").mkdir()
    with DirectEngine(folder / "disk.raw", "raw", folder / "session", silent()) as engine:
        yield engine


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectEngine]:
    yield from opened(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture(scope="module")
def ostree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectEngine]:
    yield from opened(tmp_path_factory.mktemp("ostree"), OSTREE)


def put(engine: DirectEngine, path: str, etc: str = "/etc") -> Placed:
    (volume,) = engine.survey().volumes
    file = Addition(Path("source"), path, 0o644, 0, 0)
    reader = Reader(engine)
    (found,) = placed(reader, inspect(reader), Place(volume, etc), [file])
    assert found.file == file
    return found


def test_the_folders_that_lack_are_told_from_the_outermost(plain: DirectEngine):
    assert put(plain, "/etc/motd").missing == ()
    found = put(plain, "/etc/app/conf.d/a")
    assert found.place.path == "/etc/app/conf.d/a"
    assert found.missing == ("/etc/app", "/etc/app/conf.d")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/lib/systemd/a", "/lib is a link or a file"),
        ("/etc/fstab/a", "/etc/fstab is a link or a file"),
        ("/usr/bin", "/usr/bin cannot be put into the image: it is a folder there"),
        ("/lib", "/lib cannot be put into the image: it is a folder there"),
    ],
)
def test_links_and_folders_are_refused(plain: DirectEngine, path: str, reason: str):
    with pytest.raises(BakeryError, match=reason):
        put(plain, path)


def test_a_file_and_a_link_may_be_written_over(plain: DirectEngine):
    assert put(plain, "/etc/fstab").place.path == "/etc/fstab"
    assert put(plain, "/usr/link").place.path == "/usr/link"


@pytest.mark.parametrize(
    ("path", "place", "missing"),
    [
        ("/etc/motd", f"{NEW}/etc/motd", ()),
        ("/var/lib/b", f"{STATEROOT}/var/lib/b", ()),
        ("/root/.profile", f"{STATEROOT}/var/roothome/.profile", (f"{STATEROOT}/var/roothome",)),
    ],
)
def test_in_a_deployment_etc_is_its_own_and_var_is_shared(
    ostree: DirectEngine, path: str, place: str, missing: tuple[str, ...]
):
    found = put(ostree, path, f"{NEW}/etc")
    assert (found.place.path, found.missing) == (place, missing)


@pytest.mark.parametrize("path", ["/usr/bin/true", "/usr/local/bin/a", "/opt/a", "/a", "/boot/a"])
def test_what_is_in_a_commit_is_refused(ostree: DirectEngine, path: str):
    with pytest.raises(BakeryError, match="belongs to an OSTree commit") as raised:
        put(ostree, path, f"{NEW}/etc")
    assert raised.value.hint == "files can go to /etc, /home, /root, /srv, /var"


def test_what_lies_where_nobody_can_look_is_refused():
    """It would be put below the mount, which hides it."""
    root = volume(1)
    tree = {"etc/fstab": "/dev/sda2 /home ext4\n", "home/x": "", "homes/x": ""}
    reader, inspected = trees.opened({"/dev/sda1": tree}, root, volume(2, "f2fs"))
    file = Addition(Path("x"), "/home/ana/a", 0o644, 0, 0)
    with pytest.raises(BakeryError, match=r"/home/ana/a cannot be .*: /home \(/etc/fstab:1\)"):
        placed(reader, inspected, Place(root, "/etc"), [file])
    beside = Addition(Path("x"), "/homes/a", 0o644, 0, 0)
    (found,) = placed(reader, inspected, Place(root, "/etc"), [beside])
    assert found.place == Place(root, "/homes/a")


def test_a_tar_holds_the_files_and_the_folders_they_lack(tmp_path: Path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    os.utime(source, (5, 5.75))
    one, two = (Volume(f"/dev/sda{n}", 1, (), uuid=uuid) for n, uuid in ((1, "aaaa"), (2, "")))
    files = [
        Placed(Addition(source, "/etc/a/b", 0o4750, 12, 34), Place(one, "/etc/a/b"), ("/etc/a",)),
        Placed(Addition(source, "/c", 0o600, 0, 0), Place(two, "/c"), ()),
    ]
    unpacked = []

    def unpack(opened, draft, tar, names, report):
        unpacked.append((opened, draft, names, report))
        with tar as stream, tarfile.open(fileobj=stream) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                told.append((member, content.read() if content else None))

    told: list[Any] = []
    monkeypatch.setattr(adding, "unpack", unpack)
    image, draft, report = list[Any](["opened", "draft", "report"])
    adding.add(image, draft, files, tmp_path / "tar", report)
    assert unpacked == [("opened", "draft", {"aaaa", "dev-sda2"}, "report")]
    fields = [(m.name, m.type, m.mode, m.uid, m.gid, m.mtime, content) for m, content in told]
    assert fields == [
        ("aaaa/etc/a", tarfile.DIRTYPE, 0o755, 0, 0, 0, None),
        ("aaaa/etc/a/b", tarfile.REGTYPE, 0o4750, 12, 34, 5, b"content"),
        ("dev-sda2/c", tarfile.REGTYPE, 0o600, 0, 0, 5, b"content"),
    ]


def test_the_system_is_the_one_whose_etc_it_is(ostree: DirectEngine):
    old = put(ostree, "/etc/a", f"{OLD}/etc")
    assert old.place.path == f"{OLD}/etc/a"
    with pytest.raises(BakeryError, match=r"the system of .*:/none was not found again"):
        put(ostree, "/etc/a", "/none")
