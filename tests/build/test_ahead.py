"""What a build begins before it knows its image's digest."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bakery.build import ahead as beginning
from bakery.build import build as building
from bakery.build.ahead import Ahead
from bakery.build.spec import Options, Scrub
from bakery.build.stages.base import Copying
from bakery.disk import digest
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.host.workdir import WorkDir
from bakery.image import source
from bakery.image.opened import MEANS
from tests import tiny


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ahead")
    image, path = tiny.make(folder), folder / "whole.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, path], check=True)
    return path


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Extent, ...]]:
    """The places of all copies that are begun."""
    begun: list[tuple[Extent, ...]] = []

    class Counted(Copying):
        def start(self) -> None:
            begun.append(self.place)
            super().start()

    monkeypatch.setattr(beginning, "Copying", Counted)
    monkeypatch.setattr("bakery.build.stages.base.Copying", Counted)
    return begun


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read for their digest alone."""
    read: list[Path] = []
    fingerprint = digest.fingerprint

    def counted(path: Path, *more: Any) -> digest.Fingerprint:
        read.append(path)
        return fingerprint(path, *more)

    monkeypatch.setattr(digest, "fingerprint", counted)
    return read


ROOT = (Extent(tiny.ROOT_START, tiny.ROOT_SIZE),)


@pytest.mark.parametrize("options", [{}, {"layout": "disk"}], ids=str)
def test_a_raw_image_is_read_once_and_its_digest_is_what_it_would_be(
    raw: Path, tmp_path: Path, copies: list[Any], hashed: list[Path], options: dict[str, Any]
):
    made, _ = building.build(raw, Options(**options), tmp_path / "out", silent())
    assert raw not in hashed
    assert len(copies) == 1
    assert made.manifest.source.digest == digest.fingerprint(raw).digest
    assert made.manifest.artifacts["base"].digest == digest.fingerprint(made.base).digest


def test_builds_of_a_raw_image_and_of_the_same_as_qcow2_have_the_same_base(
    raw: Path, tmp_path: Path
):
    one, _ = building.build(raw, Options(), tmp_path / "raw", silent())
    other, _ = building.build(raw.with_name("tiny.qcow2"), Options(), tmp_path / "q", silent())
    assert one.manifest.artifacts == other.manifest.artifacts
    assert one.base.read_bytes() == other.base.read_bytes()


def test_a_second_build_of_an_unchanged_image_begins_nothing(
    raw: Path, tmp_path: Path, copies: list[Any]
):
    for _ in range(2):
        building.build(raw, Options(), tmp_path / "out", silent())
    assert len(copies) == 1


def test_an_image_that_is_refused_is_refused_where_it_always_was_and_leaves_nothing(
    raw: Path, tmp_path: Path
):
    events: list[Event] = []
    with pytest.raises(BakeryError, match="cannot become layout pv"):
        building.build(raw, Options(layout="pv"), tmp_path / "out", Report(events.append))
    assert [e.step for e in events if e.kind == "finished"] == ["source", "check", "inspect"]
    assert not (tmp_path / "out/.bakery").exists()


def test_an_image_of_another_sha256_is_refused_and_the_copy_ends(raw: Path, tmp_path: Path):
    with pytest.raises(BakeryError, match="not the requested image"):
        building.build(raw, Options(source_sha256="0" * 64), tmp_path / "out", silent())
    assert not (tmp_path / "out/.bakery").exists()


def begun(raw: Path, tmp_path: Path, options: Options) -> tuple[Ahead, WorkDir]:
    work = WorkDir(tmp_path / "out")
    work.scratch.mkdir(parents=True)
    ahead = Ahead(options, "direct", work, silent(), MEANS)
    ahead.begin(source.look_at(raw))
    return ahead, work


def test_a_likely_place_that_is_not_the_right_one_is_given_up(
    tmp_path: Path, copies: list[tuple[Extent, ...]]
):
    """The table says of /boot that it is for LVM."""
    image = tiny.make(tmp_path, boot_type="8e")
    ahead, work = begun(image, tmp_path, Options())
    assert copies == [(Extent(tiny.BOOT_START, tiny.BOOT_SIZE),), ROOT]
    ahead.close()
    assert list(work.scratch.glob("copy*")) == []


def test_nothing_is_begun_with_an_image_of_which_another_is_made_first(
    raw: Path, tmp_path: Path, copies: list[Any]
):
    ahead, _ = begun(raw, tmp_path, Options(scrub=Scrub()))
    assert (copies, ahead.opened, ahead.hashes) == ([], None, False)
    ahead.close()


def test_what_was_begun_in_vain_is_ended(raw: Path, tmp_path: Path, copies: list[Any]):
    ahead, work = begun(raw, tmp_path, Options())
    assert copies == [ROOT]
    assert ahead.opened is not None
    engine = ahead.opened.session()
    (volume, *_) = engine.survey().volumes
    ahead.close()
    with pytest.raises(BakeryError, match="session on the image is over"):
        engine.read_file(volume, "/etc/fstab")
    assert list(work.scratch.glob("copy*")) == []
