"""An image file is read and checked once; what was found is remembered while it stays as it is."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from bakery.disk import digest
from bakery.disk.findings import CheckReport, Finding
from bakery.disk.formats import safety
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.host.workdir import WorkDir
from bakery.image import source
from bakery.image.source import Image, open_image, read_image
from tests import tiny


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def image(original: Path, tmp_path: Path) -> Path:
    path = tmp_path / "image.qcow2"
    path.write_bytes(original.read_bytes())
    return path


class Opening:
    """Opens an image again and again, and counts how often it is checked."""

    def __init__(self, folder: Path) -> None:
        self.work = WorkDir(folder)
        self.checks = 0

    def open(self, path: Path, sha256: str = "") -> Image:
        with self.work.locked():
            return open_image(path, silent(), self.work, sha256, check=self.check)

    def check(self, path: Path) -> Any:
        self.checks += 1
        return safety.check_with_table(path)


def test_what_was_found_is_remembered(image: Path, tmp_path: Path):
    opening = Opening(tmp_path / "out")
    first, second = opening.open(image), opening.open(image)
    assert opening.checks == 1
    assert (first.remembered, second.remembered) == (False, True)
    known = ("path", "format", "virtual_size_bytes", "state", "checked", "table", "digest")
    assert [getattr(first, n) for n in known] == [getattr(second, n) for n in known]
    assert first.format == "qcow2"
    assert first.virtual_size_bytes == tiny.DISK_SIZE
    assert first.table is not None
    assert len(first.table.partitions) == 2


def test_a_file_that_was_written_to_is_read_and_checked_again(image: Path, tmp_path: Path):
    opening = Opening(tmp_path / "out")
    opening.open(image)
    stat = image.stat()
    image.write_bytes(image.read_bytes())
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the change time stays changed
    assert not opening.open(image).remembered
    assert opening.checks == 2


def test_a_check_that_finds_other_things_is_made_again(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opening = Opening(tmp_path / "out")
    opening.open(image)
    monkeypatch.setattr(source, "CHECK_VERSION", source.CHECK_VERSION + 1)
    assert not opening.open(image).remembered
    assert opening.checks == 2


def test_an_image_that_is_refused_is_not_remembered(image: Path, tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    found = CheckReport("qcow2", 1, (Finding.refuse("bomb", "a bomb"), Finding.refuse("x", "y")))
    with work.locked():
        with pytest.raises(BakeryError, match=r"image.qcow2 is refused: a bomb \(and 1 more\)"):
            open_image(image, silent(), work, check=lambda _path: (found, None))
        assert not (work.path / source.MEMORY).exists()


def test_a_memory_that_cannot_be_read_is_none(image: Path, tmp_path: Path):
    opening = Opening(tmp_path / "out")
    opening.open(image)
    (opening.work.path / source.MEMORY).write_text('{"digest": "sha256:0"}')
    assert opening.open(image).digest == read_image(image, silent()).digest
    assert opening.checks == 2


def test_a_file_under_another_name_is_the_same_image(image: Path, tmp_path: Path):
    found = read_image(image, silent())
    os.link(image, tmp_path / "linked")
    with pytest.raises(BakeryError, match="was changed while it was being read"):
        found.check_unchanged()  # its change time is another
    moved = found.moved(tmp_path / "linked")
    moved.check_unchanged()
    assert (moved.path, moved.digest) == (tmp_path / "linked", found.digest)


def test_another_file_under_the_new_name_is_not(image: Path, tmp_path: Path):
    found = read_image(image, silent())
    (tmp_path / "other").write_bytes(image.read_bytes())
    with pytest.raises(BakeryError, match="was changed while it was being read"):
        found.moved(tmp_path / "other")


def test_the_check_is_told_once(image: Path, tmp_path: Path):
    opening, events = Opening(tmp_path / "out"), list[Event]()
    for _ in range(2):
        source.tell_check(opening.open(image), Report(events.append))
    (told,) = [event for event in events if event.kind == "finished"]
    assert (told.step, told.text) == ("check", f"qcow2, {tiny.DISK_SIZE} bytes as a disk")


def test_the_sha256_that_is_asked_for_is_that_of_the_whole_file(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of a file with holes it is not the digest; it is taken once, and remembered."""
    os.truncate(image, image.stat().st_size + (1 << 20))
    wanted = hashlib.sha256(image.read_bytes()).hexdigest()
    opening = Opening(tmp_path / "out")
    assert not opening.open(image).digest.endswith(wanted)
    opening.open(image, wanted)
    monkeypatch.setattr(digest, "sha256", None)
    assert opening.open(image, wanted).remembered
    assert opening.checks == 1
    with pytest.raises(BakeryError, match=f"its sha256 is {wanted}, not 00") as caught:
        opening.open(image, "00")
    assert "download the image again" in caught.value.hint


def test_the_sha256_of_a_file_without_holes_is_its_digest(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image.write_bytes(image.read_bytes())
    opening = Opening(tmp_path / "out")
    known = opening.open(image).digest
    monkeypatch.setattr(digest, "sha256", None)
    opening.open(image, known.removeprefix(digest.PLAIN))
    assert opening.checks == 1


def test_what_is_known_is_not_written_again(image: Path, tmp_path: Path):
    opening = Opening(tmp_path / "out")
    opening.open(image)
    memory = opening.work.path / source.MEMORY
    before = memory.stat().st_ino
    opening.open(image)
    assert memory.stat().st_ino == before


def test_without_a_work_folder_that_is_held_nothing_is_remembered(image: Path, tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    open_image(image, silent(), work)
    assert not (work.path / source.MEMORY).exists()


def test_what_is_remembered_of_an_image_that_was_made_serves_the_next_run(
    image: Path, tmp_path: Path
):
    opening = Opening(tmp_path / "out")
    with opening.work.locked():
        source.remember(read_image(image, silent()), opening.work, source.MEMORY)
    assert opening.open(image).remembered
    assert opening.checks == 0


def test_a_refused_image_is_read_no_further(image: Path, monkeypatch: pytest.MonkeyPatch):
    given_up: list[bool] = []

    def reading(_path: Path, progress: Any) -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                progress(0, 1)
            except BakeryError:
                given_up.append(True)
                raise
            time.sleep(0.005)

    monkeypatch.setattr(digest, "fingerprint", reading)
    found = CheckReport("qcow2", 1, (Finding.refuse("bomb", "a bomb"),))
    with pytest.raises(BakeryError, match=r"image.qcow2 is refused: a bomb$") as caught:
        read_image(image, silent(), lambda _path: (found, None))
    assert given_up == [True]
    assert caught.value.hint == f"bakery check {image}"


def test_a_look_takes_no_digest_and_refuses_alike(image: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(digest, "fingerprint", None)
    found = source.look_at(image)
    assert (found.format, found.virtual_size_bytes, found.digest) == ("qcow2", tiny.DISK_SIZE, "")
    assert found.table is not None
    assert found.blockdev["backing"] is None
    found.check_unchanged()
    refused = CheckReport("qcow2", 1, (Finding.refuse("bomb", "a bomb"),))
    with pytest.raises(BakeryError, match="a bomb"):
        source.look_at(image, lambda _path: (refused, None))
    warned = CheckReport("qcow2", 1, (Finding.warn("blank", "nothing on it"),))
    assert source.look_at(image, lambda _path: (warned, None)).checked == warned


def test_a_file_that_is_gone_is_told(image: Path):
    found = source.look_at(image)
    image.unlink()
    with pytest.raises(BakeryError, match="cannot be read: No such file"):
        found.check_unchanged()


def test_progress_of_the_reading_is_told(image: Path):
    events: list[Event] = []
    read_image(image, Report(events.append))
    assert any(event.done_bytes == image.stat().st_size for event in events)
