"""Where a file lies that is put into an image, and where none can be put."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.engines.base import Addition
from bakery.engines.direct import DirectEngine
from bakery.errors import BakeryError
from bakery.report import silent
from bakery.scrub.add import Placed, placed
from bakery.scrub.systems import Place

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
    (found,) = placed(engine, Place(volume, etc), [file])
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
