"""A recipe with scrub and files: each image there is, is checked, opened and inspected once.

The appliance that writes the files is stood in for: it takes them, and changes nothing.
"""

import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from bakery.build.build import build
from bakery.build.spec import Options, Scrub
from bakery.disk.formats import safety
from bakery.disk.volumes.volumes import Volume
from bakery.host.report import Event, Report, silent
from bakery.image.engines import choose
from bakery.image.engines.base import Addition, Engine
from bakery.image.engines.direct import DirectEngine
from bakery.image.inspection import Inspection, inspect
from bakery.image.opened import Means
from bakery.image.reader import Reader
from tests import tiny

KEY = b"-----a private key-----" * 200
ROOT = dict(tiny.ROOT) | {
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
    "root/.ssh/id_rsa": KEY,
}


class Appliance(DirectEngine):
    """Stands in for the appliance: what is to be put into the image is noted."""

    members: list[str]

    def restore(self, tar: BinaryIO, volumes: Iterable[Volume]) -> None:
        """Read the tar and leave the image as it is."""
        with tarfile.open(fileobj=tar) as archive:
            self.members = archive.getnames()
        self.into = [volume.device for volume in volumes]


class Counted:
    """What was done to each image; an image is told by the number in which it appeared."""

    def __init__(self) -> None:
        self.checks: Counter[Path] = Counter()
        self.sessions: list[tuple[str, Engine]] = []
        self.inspections: Counter[int] = Counter()
        self.means = Means(self._check, self._open_engine, self._inspect)

    @property
    def engines(self) -> list[str]:
        return [name for name, _ in self.sessions]

    def _check(self, path: Path) -> Any:
        self.checks[path] += 1
        return safety.check_with_table(path)

    def _open_engine(
        self,
        name: choose.EngineName,
        source: Path,
        kind: str,
        size: int,
        work: Path,
        report: Report,
    ) -> Engine:
        engine = (Appliance if name == "guestfs" else DirectEngine)(source, kind, work, report)
        self.sessions.append((name, engine))
        return engine

    def _inspect(self, reader: Reader) -> Inspection:
        self.inspections[id(reader.engine)] += 1
        return inspect(reader)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"), root=ROOT)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Addition, ...]:
    (tmp_path / "motd").write_text("hello\n")
    return (Addition(tmp_path / "motd", "/etc/motd", 0o644, 0, 0),)


def test_without_scrub_and_files_there_is_one_image(image: Path, tmp_path: Path):
    seen = Counted()
    build(image, Options(), tmp_path / "out", silent(), seen.means)
    assert (list(seen.checks.values()), seen.engines) == ([1], ["direct"])
    assert list(seen.inspections.values()) == [1]


def test_with_a_scrub_there_are_two(image: Path, tmp_path: Path):
    seen = Counted()
    options = Options(scrub=Scrub())
    made, _ = build(image, options, tmp_path / "out", silent(), seen.means)
    assert KEY not in made.base.read_bytes()
    assert list(seen.checks.values()) == [1, 1]
    assert seen.engines == ["direct", "direct"]
    assert list(seen.inspections.values()) == [1, 1]


def test_with_a_scrub_and_files_there_are_three(
    image: Path, tmp_path: Path, files: tuple[Addition, ...]
):
    seen, events = Counted(), list[Event]()
    options = Options(scrub=Scrub(), files=files)
    made, fresh = build(image, options, tmp_path / "out", Report(events.append), seen.means)
    assert fresh
    assert KEY not in made.base.read_bytes()
    assert list(seen.checks.values()) == [1, 1, 1]
    # The one that is no session of looking writes the files: no question is asked of it.
    assert seen.engines == ["direct", "direct", "guestfs", "direct"]
    assert list(seen.inspections.values()) == [1, 1, 1]
    appliance = next(engine for name, engine in seen.sessions if name == "guestfs")
    assert isinstance(appliance, Appliance)
    assert appliance.members == [f"{tiny.ROOT_UUID}/etc/motd"]
    assert appliance.into == ["/dev/sda2"]
    told = Counter(event.step for event in events if event.kind == "finished")
    assert (told["source"], told["check"], told["inspect"]) == (3, 1, 1)


def test_a_second_build_opens_none(image: Path, tmp_path: Path, files: tuple[Addition, ...]):
    options = Options(scrub=Scrub(), files=files)
    first = build(image, options, tmp_path / "out", silent(), Counted().means)
    seen = Counted()
    again, fresh = build(image, options, tmp_path / "out", silent(), seen.means)
    assert (again, fresh) == (first[0], False)
    assert (list(seen.checks), seen.engines, list(seen.inspections)) == ([], [], [])


def test_no_session_outlives_a_build_that_is_refused(image: Path, tmp_path: Path):
    seen = Counted()
    options = Options(scrub=Scrub(), layout="pv")
    with pytest.raises(Exception, match="cannot become layout pv"):
        build(image, options, tmp_path / "out", silent(), seen.means)
    assert seen.engines == ["direct", "direct"]
    for _, engine in seen.sessions:
        with pytest.raises(Exception, match="the session on the image is over"):
            engine.list_directory(Volume("/dev/sda", 0, ()), "/")
